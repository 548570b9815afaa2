//! Pipes, FIFOs and terminals: they read and write as std's, and only the task waits.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use stackio::pipes::{PipeReader, PipeWriter, pipe};
use stackio::{
    Error, Future, Protocol, Result, Transport, get_running_loop, run, secs, spawn, timeout,
    yield_now,
};

use crate::net::alone::{alone, open_descriptors};

/// After this a test has failed.
const LIMIT: std::time::Duration = secs(25);

#[track_caller]
fn play<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> T {
    run(move || timeout(LIMIT, |_| body())).unwrap_or_else(|error| panic!("{error:?}"))
}

fn is_nonblocking(file: &impl AsFd) -> bool {
    // SAFETY: asks about an open descriptor.
    let flags = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_GETFL) };
    flags & libc::O_NONBLOCK != 0
}

#[test]
fn more_than_a_pipe_holds_goes_through_in_order() {
    let expected: Vec<u8> = (0..3_000_000_u32).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect();
    let sent = expected.clone();
    let received = play(move || {
        let (mut reader, mut writer) = pipe()?;
        let sender = spawn(move || Ok(writer.write_all(&sent)?));
        let mut received = Vec::new();
        reader.read_to_end(&mut received)?;
        sender.join()?;
        Ok(received)
    });
    assert!(received == expected);
}

#[test]
fn a_reader_waits_for_what_comes_late_and_for_the_end() {
    play(|| {
        let (mut reader, mut writer) = pipe()?;
        let task = spawn(move || {
            let mut pieces = Vec::new();
            loop {
                let mut buffer = [0; 64];
                match reader.read(&mut buffer)? {
                    0 => return Ok(pieces),
                    n => pieces.push(buffer[..n].to_vec()),
                }
            }
        });
        for piece in [b"one", b"two"] {
            yield_now()?;
            writer.write_all(piece)?;
            for _ in 0..200 {
                yield_now()?;
            }
        }
        drop(writer);
        assert_eq!(task.join()?, [b"one", b"two"]);
        Ok(())
    });
}

#[test]
fn a_vectored_write_is_one() {
    play(|| {
        let (mut reader, mut writer) = pipe()?;
        let count = writer.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cd")])?;
        assert_eq!(count, 4);
        let mut buffer = [0; 8];
        assert_eq!(reader.read(&mut buffer)?, 4);
        assert_eq!(&buffer[..4], b"abcd");
        Ok(())
    });
}

#[test]
fn a_writer_whose_reader_has_gone_is_told_also_while_it_waits() {
    play(|| {
        let (reader, mut writer) = pipe()?;
        let task = spawn(move || Ok(writer.write_all(&vec![0; 1 << 20])));
        yield_now()?;
        drop(reader);
        assert_eq!(task.join()?.unwrap_err().kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn a_second_reader_is_refused_and_the_first_is_not_disturbed() {
    play(|| {
        let (reader, mut writer) = pipe()?;
        let reader = Rc::new(reader);
        let first = reader.clone();
        let task = spawn(move || Ok((&*first).read(&mut [0; 8])?));
        yield_now()?;
        let second = (&*reader).read(&mut [0; 8]);
        assert_eq!(second.unwrap_err().kind(), ErrorKind::ResourceBusy);
        writer.write_all(b"abc")?;
        assert_eq!(task.join()?, 3);
        Ok(())
    });
}

#[test]
fn a_cancelled_reader_takes_nothing() {
    play(|| {
        let (mut reader, mut writer) = pipe()?;
        let late = timeout(stackio::millis(1), |_| Ok(reader.read(&mut [0; 8])?));
        assert!(late.unwrap_err().is_timeout());
        writer.write_all(b"abc")?;
        assert_eq!(reader.read(&mut [0; 8])?, 3);
        Ok(())
    });
}

#[test]
fn closing_a_writer_while_a_task_writes_lets_that_end_first() {
    play(|| {
        let (mut reader, writer) = pipe()?;
        let writer = Rc::new(writer);
        let writing = writer.clone();
        let task = spawn(move || Ok((&*writing).write(&vec![1; 1 << 20])?));
        yield_now()?;
        writer.close();
        writer.close();
        assert!(writer.is_closed());
        let mut received = Vec::new();
        reader.read_to_end(&mut received)?;
        assert_eq!(task.join()?, received.len());
        Ok(())
    });
}

#[test]
fn a_descriptor_is_given_back_in_blocking_mode() {
    play(|| {
        let (mut reader, mut writer) = pipe()?;
        writer.write_all(b"ab")?;
        assert_eq!(reader.read(&mut [0; 1])?, 1);
        assert!(timeout(stackio::millis(1), |_| Ok(reader.read_exact(&mut [0; 2])?)).is_err());
        let reader = reader.into_blocking()?;
        assert!(!is_nonblocking(&reader));
        let writer = writer.into_blocking()?;
        assert!(!is_nonblocking(&writer));
        // And can be taken over again.
        let (mut reader, writer) = (PipeReader::from_fd(reader)?, PipeWriter::from_fd(writer)?);
        let task = spawn(move || Ok(reader.read(&mut [0; 8])?));
        yield_now()?;
        (&writer).write_all(b"abc")?;
        assert_eq!(task.join()?, 3);
        Ok(())
    });
}

#[test]
fn a_terminal_gives_a_line_at_a_time_and_none_is_left() {
    let (ours, theirs) = terminal().expect("a pseudo terminal");
    play(move || {
        let (mut keyboard, mut program) =
            (PipeWriter::from_fd(ours)?, PipeReader::from_fd(theirs)?);
        let task = spawn(move || {
            let mut lines = Vec::new();
            for _ in 0..3 {
                let mut buffer = [0; 64];
                let n = program.read(&mut buffer)?;
                lines.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
            }
            Ok(lines)
        });
        yield_now()?;
        keyboard.write_all(b"one\ntwo\nthree\n")?;
        assert_eq!(task.join()?, ["one\n", "two\n", "three\n"]);
        Ok(())
    });
}

/// The two sides of a new terminal: what is typed into the first is read from the second.
pub fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    use std::ffi::CStr;
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;

    let open = |path: &str| {
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(path)
    };
    let ours = open("/dev/ptmx")?;
    let mut name = [0; 64];
    // SAFETY: the descriptor is open, and the name ends within the buffer.
    let name = unsafe {
        assert_eq!(libc::grantpt(ours.as_raw_fd()), 0);
        assert_eq!(libc::unlockpt(ours.as_raw_fd()), 0);
        assert_eq!(libc::ptsname_r(ours.as_raw_fd(), name.as_mut_ptr(), name.len()), 0);
        CStr::from_ptr(name.as_ptr())
    };
    let theirs = open(name.to_str().expect("a path of a device"))?;
    Ok((ours.into(), theirs.into()))
}

/// Collects what is read.
struct Collect(Rc<RefCell<Vec<u8>>>);

impl Protocol for Collect {
    fn data_received(&mut self, data: &[u8]) {
        self.0.borrow_mut().extend_from_slice(data);
    }
}

#[test]
fn a_protocol_gets_all_lines_of_a_terminal() {
    let (ours, theirs) = terminal().expect("a pseudo terminal");
    play(move || {
        let mut keyboard = PipeWriter::from_fd(ours)?;
        let collected = Rc::new(RefCell::new(Vec::new()));
        let collect = Collect(collected.clone());
        let (transport, _) = get_running_loop()?.connect_read_pipe(|| collect, theirs)?;
        for _ in 0..20 {
            yield_now()?; // it has found nothing, and waits
        }
        keyboard.write_all(b"one\ntwo\nthree\n")?;
        while *collected.borrow() != b"one\ntwo\nthree\n" {
            yield_now()?;
        }
        transport.close();
        Ok(())
    });
}

/// Writes much as soon as it can.
struct Pour;

impl Protocol for Pour {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(&vec![7; 1_000_000]);
        transport.close();
    }
}

#[test]
fn a_protocol_may_write_more_than_a_pipe_holds_at_once() {
    play(|| {
        let (mut reader, writer) = pipe()?;
        let task = spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all)?;
            Ok(all.len())
        });
        get_running_loop()?.connect_write_pipe(|| Pour, writer.into_blocking()?)?;
        assert_eq!(task.join()?, 1_000_000);
        Ok(())
    });
}

/// Writes at first, and tells how it ended.
struct Abandoned {
    first: usize,
    lost: Future<Option<ErrorKind>>,
}

impl Protocol for Abandoned {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(&vec![7; self.first]);
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        let _ = self.lost.set_result(error.and_then(|error| error.io_kind()));
    }
}

#[test]
fn a_protocol_is_told_that_the_reader_of_its_pipe_has_gone_away() {
    for (first, expected) in [(0, None), (1, None), (1_000_000, Some(ErrorKind::BrokenPipe))] {
        let lost = play(move || {
            let (reader, writer) = io::pipe()?;
            let lost = Future::new();
            let protocol = Abandoned { first, lost: lost.clone() };
            get_running_loop()?.connect_write_pipe(|| protocol, writer)?;
            drop(reader);
            lost.join()
        });
        assert_eq!(lost, expected, "after {first} bytes");
    }
}

/// Owns the transport that owns it.
struct Keep(Option<Transport>);

impl Protocol for Keep {
    fn connection_made(&mut self, transport: &Transport) {
        self.0 = Some(transport.clone());
    }
}

#[test]
fn a_loop_that_is_closed_leaves_no_descriptor_open() {
    if !alone("pipes::a_loop_that_is_closed_leaves_no_descriptor_open", "") {
        return;
    }
    let open = || Keep(None);
    let before = open_descriptors();
    for _ in 0..3 {
        let other_ends = play(move || {
            let event_loop = get_running_loop()?;
            let (reader, other_writer) = io::pipe()?;
            let (other_reader, writer) = io::pipe()?;
            event_loop.connect_read_pipe(open, reader)?;
            event_loop.connect_write_pipe(open, writer)?;
            let (reader, writer) = io::pipe()?;
            event_loop.connect_pipes(open, reader, writer)?;
            let server = event_loop.create_server(open, "127.0.0.1:0")?;
            let address = server.local_addrs()[0];
            let idle = event_loop.create_connection(open, address)?;
            let (full, _) = event_loop.create_connection(open, address)?;
            full.write(&vec![0; 10_000_000]);
            // Nothing of this is closed, and the handles outlive the loop.
            Ok((other_writer, other_reader, idle, full))
        });
        drop(other_ends);
    }
    assert_eq!(open_descriptors(), before);
}

#[test]
fn a_regular_file_is_read_without_waiting() {
    play(|| {
        let file = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))?;
        let mut text = String::new();
        PipeReader::from_fd(file)?.read_to_string(&mut text)?;
        assert!(text.starts_with("[package]"));
        Ok(())
    });
}

#[test]
fn a_read_into_nothing_does_not_wait() {
    play(|| {
        let (reader, mut writer) = pipe()?;
        let reader = Rc::new(reader);
        let waiting = reader.clone();
        let first = spawn(move || Ok((&*waiting).read(&mut [0; 8])?));
        yield_now()?;
        writer.write_all(b"x")?;
        assert_eq!(first.join()?, 1);
        // The loop knows that the pipe is empty now.
        assert_eq!((&*reader).read(&mut [])?, 0);
        assert_eq!((&*reader).read_vectored(&mut [io::IoSliceMut::new(&mut [])])?, 0);
        Ok(())
    });
}
