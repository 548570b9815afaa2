//! Files through transports: by the system into sockets, by hand into all others.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

use stackio::{
    Error, ErrorKind, Future, Protocol, Result, Runner, Transport, VirtualClock, get_running_loop,
    millis, run, spawn,
};

struct Silent;

impl Protocol for Silent {}

struct Collect(Vec<u8>, Future<Vec<u8>>);

impl Collect {
    fn new() -> (Collect, Future<Vec<u8>>) {
        let all = Future::new();
        (Collect(Vec::new(), all.clone()), all)
    }
}

impl Protocol for Collect {
    fn data_received(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
    }

    fn connection_lost(&mut self, _: Option<Error>) {
        let _ = self.1.set_result(std::mem::take(&mut self.0));
    }
}

/// A file without a name, and what is in it.
fn file(length: usize) -> (File, Vec<u8>) {
    let content: Vec<u8> = (0..length).map(|at| (at * 31 / 7) as u8).collect();
    let name = format!("stackio-sendfile-{}-{:?}", std::process::id(), thread::current().id());
    let path = std::env::temp_dir().join(name);
    let mut file =
        File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(&content).unwrap();
    (file, content)
}

/// A transport, and a thread that reads what comes out of the other end.
fn to_a_slow_reader() -> Result<(Transport, thread::JoinHandle<Vec<u8>>)> {
    let (ours, mut theirs) = UnixStream::pair()?;
    let reader = thread::spawn(move || {
        let mut all = Vec::new();
        theirs.read_to_end(&mut all).unwrap();
        all
    });
    let (transport, _) = get_running_loop()?.connect_accepted_socket(|| Silent, ours)?;
    Ok((transport, reader))
}

#[test]
fn a_large_file_goes_through_a_socket_between_writes() -> Result {
    run(|| {
        let (mut file, content) = file(5_000_000);
        let (transport, reader) = to_a_slow_reader()?;
        let before = vec![b'<'; 1_000_000];
        transport.write(&before);
        let sent = get_running_loop()?.sendfile(&transport, &file, 0, None)?;
        assert_eq!(sent, 5_000_000);
        assert_eq!(file.stream_position()?, 5_000_000);
        transport.write(b">");
        transport.close();
        let all = stackio::to_thread(move || reader.join().unwrap())?;
        assert!(all == [before, content, b">".to_vec()].concat());
        Ok(())
    })
}

#[test]
fn a_part_of_a_file_is_sent_and_its_end_is_the_end() -> Result {
    run(|| {
        let (file, content) = file(1000);
        let (transport, reader) = to_a_slow_reader()?;
        let event_loop = get_running_loop()?;
        assert_eq!(event_loop.sendfile(&transport, &file, 100, 50)?, 50);
        assert_eq!(event_loop.sendfile(&transport, &file, 990, 50)?, 10);
        assert_eq!(event_loop.sendfile(&transport, &file, 5000, None)?, 0);
        transport.close();
        let all = stackio::to_thread(move || reader.join().unwrap())?;
        assert_eq!(all, [&content[100..150], &content[990..]].concat());
        Ok(())
    })
}

#[test]
fn what_is_no_socket_gets_it_by_hand_and_no_faster_than_it_reads() -> Result {
    let clock = VirtualClock::new();
    Runner::builder().virtual_clock(&clock).build()?.run(|| {
        let (file, content) = file(2_000_000);
        let event_loop = get_running_loop()?;
        let (collect, all) = Collect::new();
        let ((near, _), _far) = event_loop.create_pair(|| Silent, || collect, None)?;
        assert_eq!(event_loop.sendfile(&near, &file, 0, None)?, 2_000_000);
        near.close();
        assert!(all.wait()? == content);
        Ok(())
    })
}

#[test]
fn while_a_file_is_sent_writes_are_refused() -> Result {
    run(|| {
        let (file, _) = file(10_000_000);
        let (ours, theirs) = UnixStream::pair()?;
        let event_loop = get_running_loop()?;
        let (transport, _) = event_loop.connect_accepted_socket(|| Silent, ours)?;
        let sending = transport.clone();
        let task = spawn(move || get_running_loop()?.sendfile(&sending, &file, 0, None));
        stackio::sleep(millis(1))?;
        assert!(!transport.is_reading());
        assert_eq!(transport.try_write(b"in between").unwrap_err().kind(), ErrorKind::Runtime);
        assert_eq!(transport.try_write_eof().unwrap_err().kind(), ErrorKind::Runtime);
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
        assert!(transport.is_reading());
        transport.try_write(b"again")?;
        transport.abort();
        drop(theirs);
        Ok(())
    })
}

#[test]
fn a_peer_that_goes_away_ends_the_sending() -> Result {
    run(|| {
        let (file, _) = file(10_000_000);
        let (ours, theirs) = UnixStream::pair()?;
        let event_loop = get_running_loop()?;
        let (transport, _) = event_loop.connect_accepted_socket(|| Silent, ours)?;
        let task = spawn(move || get_running_loop()?.sendfile(&transport, &file, 0, None));
        stackio::sleep(millis(1))?;
        theirs.shutdown(Shutdown::Both)?;
        drop(theirs);
        assert_eq!(task.wait().unwrap_err().io_kind(), Some(std::io::ErrorKind::BrokenPipe));
        Ok(())
    })
}

#[test]
fn a_transport_that_is_aborted_ends_the_sending() -> Result {
    run(|| {
        let (file, _) = file(10_000_000);
        let (ours, _theirs) = UnixStream::pair()?;
        let event_loop = get_running_loop()?;
        let (transport, _) = event_loop.connect_accepted_socket(|| Silent, ours)?;
        let sending = transport.clone();
        let task = spawn(move || get_running_loop()?.sendfile(&sending, &file, 0, None));
        stackio::sleep(millis(1))?;
        transport.abort();
        assert_eq!(task.wait().unwrap_err().io_kind(), Some(std::io::ErrorKind::BrokenPipe));
        Ok(())
    })
}

#[test]
fn virtual_time_stands_still_while_a_peer_takes_its_time() -> Result {
    let clock = VirtualClock::new();
    let virtual_time = clock.clone();
    Runner::builder().virtual_clock(&clock).build()?.run(move || {
        let (file, content) = file(8_000_000);
        let (ours, mut theirs) = UnixStream::pair()?;
        let event_loop = get_running_loop()?;
        let (transport, _) = event_loop.connect_accepted_socket(|| Silent, ours)?;
        let (begin, begun) = std::sync::mpsc::channel();
        let reader = thread::spawn(move || {
            begun.recv().unwrap();
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).unwrap();
            all
        });
        // Only once the socket is full and nothing else is left to do.
        stackio::call_soon(move || {
            thread::spawn(move || {
                thread::sleep(millis(20));
                begin.send(()).unwrap();
            });
        });
        let before = virtual_time.now();
        let send = || get_running_loop()?.sendfile(&transport, &file, 0, None);
        assert_eq!(stackio::timeout(stackio::secs(60), |_| send())?, 8_000_000);
        assert_eq!(virtual_time.now(), before);
        transport.close();
        assert!(stackio::to_thread(move || reader.join().unwrap())? == content);
        Ok(())
    })
}
