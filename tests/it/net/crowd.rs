//! A thousand clients at once, each with its own data in pieces of its own.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream};
use stackio::{Result, TaskBuilder, spawn};

use super::alone::{MANY_DESCRIPTORS, alone};
use super::play;

const CLIENTS: u64 = 1000;

/// Xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn up_to(&mut self, most: usize) -> usize {
        1 + (self.next() as usize) % most
    }
}

fn data_of(client: u64) -> Vec<u8> {
    let mut random = Random::new(client + 1);
    let length = random.up_to(30_000);
    (0..length).map(|_| random.next() as u8).collect()
}

/// Echoes with a buffer of another size each time.
fn echo(stream: TcpStream, mut random: Random) -> io::Result<()> {
    let mut buffer = [0; 3000];
    loop {
        let most = random.up_to(buffer.len());
        match (&stream).read(&mut buffer[..most])? {
            0 => return stream.shutdown(Shutdown::Write),
            n => (&stream).write_all(&buffer[..n])?,
        }
    }
}

fn serve(listener: TcpListener) -> Result {
    for number in 0.. {
        let (stream, _) = listener.accept()?;
        spawn(move || Ok(echo(stream, Random::new(number))?));
    }
    Ok(())
}

/// Sends its data from one task and compares what comes back in another.
fn client(number: u64, address: SocketAddr, together: &Gate) -> Result {
    let stream = TcpStream::connect(address)?;
    together.pass()?;
    let data = data_of(number);
    let (writing, sent) = (stream.try_clone()?, data.clone());
    let writer = spawn(move || {
        let mut random = Random::new(!number);
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let (chunk, others) = rest.split_at(random.up_to(2000).min(rest.len()));
            (&writing).write_all(chunk)?;
            rest = others;
        }
        Ok(writing.shutdown(Shutdown::Write)?)
    });
    let mut all = Vec::new();
    (&stream).read_to_end(&mut all)?;
    assert!(all == data, "client {number}: {} bytes came back of {}", all.len(), data.len());
    writer.join()
}

/// Opens when all have come.
struct Gate {
    missing: Cell<u64>,
    open: stackio::Future<()>,
}

impl Gate {
    fn pass(&self) -> Result {
        self.missing.set(self.missing.get() - 1);
        if self.missing.get() == 0 {
            self.open.set_result(())?;
        }
        stackio::shield(&self.open).wait()
    }
}

#[test]
fn a_thousand_clients_get_back_what_they_sent() {
    if !alone("net::crowd::a_thousand_clients_get_back_what_they_sent", MANY_DESCRIPTORS) {
        return;
    }
    play(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = spawn(move || serve(listener));
        let gate = Gate { missing: Cell::new(CLIENTS), open: stackio::Future::new() };
        let gate = Rc::new(gate);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let gate = gate.clone();
                let name = format!("client {number}");
                TaskBuilder::new().name(name).spawn(move || client(number, address, &gate))
            })
            .collect();
        for client in clients {
            client.join()?;
        }
        server.cancel();
        Ok(())
    });
}

#[test]
fn connections_come_and_go_by_the_hundred() {
    play(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = spawn(move || serve(listener));
        for round in 0..10 {
            let clients: Vec<_> = (0..50)
                .map(|place| {
                    spawn(move || {
                        let data = data_of(round * 50 + place);
                        let mut stream = TcpStream::connect(address)?;
                        for chunk in data[..data.len().min(2000)].chunks(100) {
                            stream.write_all(chunk)?;
                            let mut back = vec![0; chunk.len()];
                            stream.read_exact(&mut back)?;
                            assert!(back == chunk, "the bytes differ");
                        }
                        // Some say good bye, the others are just gone.
                        if place % 2 == 0 {
                            super::reset_on_close(&stream)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            for client in clients {
                client.join()?;
            }
        }
        server.cancel();
        Ok(())
    });
}
