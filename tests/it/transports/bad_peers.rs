//! Peers that are slow, many, or gone: the loop lives, and others do not suffer.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::thread;

use stackio::{Protocol, Result, Server, Transport, get_running_loop};

use super::{elsewhere, pattern, play, reports, reset_on_close, until};
use crate::net::alone::{alone, open_descriptors};
use crate::support::resident;

#[derive(Default)]
struct Echo(Option<Transport>);

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) {
        self.0 = Some(transport.clone());
    }

    fn data_received(&mut self, data: &[u8]) {
        self.0.iter().for_each(|transport| transport.write(data));
    }

    fn pause_writing(&mut self) {
        self.0.iter().for_each(Transport::pause_reading);
    }

    fn resume_writing(&mut self) {
        self.0.iter().for_each(Transport::resume_reading);
    }
}

fn echo_server() -> Result<(Server, SocketAddr)> {
    let server = get_running_loop()?.create_server(Echo::default, "127.0.0.1:0")?;
    let address = server.local_addrs()[0];
    Ok((server, address))
}

/// A client that behaves well, and has its answer.
fn is_served(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    let mut answer = [0; 5];
    stream.write_all(b"hello")?;
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"hello");
    Ok(())
}

#[test]
fn who_sends_and_never_reads_is_held_back_and_holds_up_nobody() {
    play(|| {
        let (server, address) = echo_server()?;
        let mut greedy = TcpStream::connect(address)?;
        greedy.set_nonblocking(true)?;
        let (mut sent, piece, mut refused) = (0, pattern(100_000), 0);
        while refused < 1000 {
            match greedy.write(&piece) {
                Ok(count) => (sent, refused) = (sent + count, 0),
                Err(_) => refused += 1,
            }
            assert!(sent < 200 << 20, "somebody keeps it all");
            stackio::yield_now()?;
        }
        for _ in 0..10 {
            elsewhere(move || is_served(address)).join()??;
        }
        assert_eq!(server.client_count(), 1);
        drop(greedy);
        until(|| server.client_count() == 0)
    });
}

#[test]
fn a_flood_of_connections_that_go_again_leaves_nothing() {
    if !alone(
        "transports::bad_peers::a_flood_of_connections_that_go_again_leaves_nothing",
        "ulimit -n 4096",
    ) {
        return;
    }
    play(|| {
        let reports = reports()?;
        let (server, address) = echo_server()?;
        elsewhere(move || is_served(address)).join()??;
        until(|| server.client_count() == 0)?;
        let before = open_descriptors();
        let floods: Vec<_> = (0..4).map(|kind| elsewhere(move || flood(address, kind))).collect();
        for flood in floods {
            flood.join()??;
        }
        elsewhere(move || is_served(address)).join()??;
        until(|| server.client_count() == 0)?;
        until(|| open_descriptors() == before)?;
        assert_eq!(*reports.borrow(), Vec::<String>::new());
        Ok(())
    });
}

/// Connections that end at once: as they should, by a reset, after some bytes, after half.
fn flood(address: SocketAddr, kind: usize) -> std::io::Result<()> {
    for number in 0..500 {
        let mut stream = TcpStream::connect(address)?;
        match kind {
            0 => {}
            1 => reset_on_close(&stream)?,
            2 => stream.write_all(&pattern(number * 10))?,
            _ => {
                stream.write_all(b"half")?;
                stream.shutdown(std::net::Shutdown::Write)?;
                reset_on_close(&stream)?;
            }
        }
    }
    Ok(())
}

/// Counts those that are there.
struct Idle(Rc<Cell<usize>>);

impl Protocol for Idle {
    fn connection_made(&mut self, _: &Transport) {
        self.0.set(self.0.get() + 1);
    }

    fn connection_lost(&mut self, _: Option<stackio::Error>) {
        self.0.set(self.0.get() - 1);
    }
}

#[test]
fn ten_thousand_that_say_nothing_take_little() {
    if !alone(
        "transports::bad_peers::ten_thousand_that_say_nothing_take_little",
        "ulimit -n $(ulimit -Hn)",
    ) {
        return;
    }
    play(|| {
        let count = Rc::new(Cell::new(0));
        let counted = count.clone();
        let server =
            get_running_loop()?.create_server(move || Idle(counted.clone()), "127.0.0.1:0")?;
        let address = server.local_addrs()[0];
        let wanted = 10_000.min(limit().saturating_sub(200) / 2);
        let before = resident();
        let clients = elsewhere(move || {
            (0..wanted).map(|_| TcpStream::connect(address)).collect::<std::io::Result<Vec<_>>>()
        });
        let clients = clients.join()??;
        until(|| count.get() == wanted)?;
        let each = resident().saturating_sub(before) / wanted;
        println!("{wanted} idle connections take {each} bytes each");
        assert!(each < 2500, "{each} bytes for each idle connection");
        // The last one is served as the first.
        clients.last().expect("there are some").write_all(b"x")?;
        drop(clients);
        until(|| count.get() == 0 && server.client_count() == 0)
    });
}

/// How many descriptors this process may have.
fn limit() -> usize {
    let text = std::fs::read_to_string("/proc/self/limits").expect("Linux tells");
    let line = text.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    line.split_whitespace().nth(3).and_then(|word| word.parse().ok()).unwrap_or(1 << 20)
}

#[test]
fn one_byte_at_a_time_and_a_slow_reader_get_what_others_get() {
    play(|| {
        let (server, address) = echo_server()?;
        let slow = elsewhere(move || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(address)?;
            let mut writer = stream.try_clone()?;
            let writing = thread::spawn(move || {
                for byte in pattern(2000) {
                    writer.write_all(&[byte])?;
                }
                writer.shutdown(std::net::Shutdown::Write)
            });
            let (mut all, mut byte) = (Vec::new(), [0]);
            while stream.read(&mut byte)? == 1 {
                all.push(byte[0]);
            }
            writing.join().expect("it does not panic")?;
            Ok(all)
        });
        assert!(slow.join()?? == pattern(2000));
        until(|| server.client_count() == 0)
    });
}
