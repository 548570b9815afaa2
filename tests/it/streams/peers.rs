//! Peers that behave badly, on real sockets: std's blocking ones on a thread.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use stackio::{
    Error, ErrorKind, Future, IncompleteRead, Result, ServerBuilder, StreamReader, StreamWriter,
    current_task, spawn,
};

use super::flow::pattern;
use super::{rest, run};

/// Serves one connection of a std client that runs on a thread; what both came to.
fn against<T: 'static, C: Send + 'static>(
    serve: impl Fn(&StreamReader, &StreamWriter) -> Result<T> + 'static,
    client: impl FnOnce(TcpStream) -> C + Send + 'static,
) -> (Result<T>, C) {
    let (tell, told) = mpsc::channel::<SocketAddr>();
    let client = thread::spawn(move || client(TcpStream::connect(told.recv().unwrap()).unwrap()));
    let served = run(move || {
        let outcome = Future::new();
        let done = outcome.clone();
        let server = ServerBuilder::new().limit(1024).start_server(
            move |reader, writer| {
                let served = serve(&reader, &writer);
                match served {
                    Ok(value) => done.set_result(value),
                    Err(error) => done.set_exception(error),
                }
            },
            "127.0.0.1:0",
        )?;
        tell.send(server.local_addrs()[0])?;
        let outcome = outcome.join();
        server.close();
        server.wait_closed()?;
        outcome
    });
    (served, client.join().unwrap())
}

/// Closes it in such a way that the other side gets an RST.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

fn io_kind(error: &Error) -> Option<std::io::ErrorKind> {
    error.io_kind()
}

#[test]
fn one_byte_at_a_time_gives_the_same_lines() {
    let (served, ()) = against(
        |reader, _| Ok([reader.readline()?, reader.readline()?, reader.readline()?]),
        |mut stream| {
            stream.set_nodelay(true).unwrap();
            for byte in b"one\ntwo\nthr" {
                stream.write_all(&[*byte]).unwrap();
            }
        },
    );
    assert_eq!(served.unwrap(), [&b"one\n"[..], b"two\n", b"thr"]);
}

#[test]
fn an_end_in_the_middle_says_what_there_was() {
    let (served, ()) = against(
        |reader, _| reader.readexactly(10),
        |mut stream| stream.write_all(b"12345").unwrap(),
    );
    let error = served.unwrap_err();
    assert_eq!(error.downcast_ref::<IncompleteRead>().unwrap().partial, b"12345");
}

#[test]
fn a_peer_that_has_only_ended_its_half_gets_its_answer() {
    let (served, answer) = against(
        |reader, writer| {
            let question = reader.read_to_end()?;
            writer.write(&question.repeat(100_000));
            writer.drain()
        },
        |mut stream| {
            stream.write_all(b"again ").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            answer
        },
    );
    served.unwrap();
    assert_eq!(answer, b"again ".repeat(100_000));
}

#[test]
fn a_reset_in_the_middle_of_a_read_comes_out_of_everything() {
    let (served, ()) = against(
        |reader, writer| {
            writer.write(b"!");
            let errors = [
                reader.readline().unwrap_err(),
                writer.drain().unwrap_err(),
                writer.wait_closed().unwrap_err(),
                reader.read(1).unwrap_err(),
            ];
            Ok(errors)
        },
        |mut stream| {
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(b"half a li").unwrap();
            reset(stream);
        },
    );
    for error in served.unwrap() {
        assert_eq!(io_kind(&error), Some(std::io::ErrorKind::ConnectionReset));
    }
}

#[test]
fn a_reset_in_the_middle_of_a_drain_comes_out_of_it() {
    let (served, ()) = against(
        |_, writer| loop {
            writer.write(&[0; 100_000]);
            writer.drain()?;
        },
        |mut stream| {
            stream.read_exact(&mut [0; 1000]).unwrap();
            reset(stream);
        },
    );
    let served: Result = served;
    let kind = io_kind(&served.unwrap_err()).unwrap();
    let gone = [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe];
    assert!(gone.contains(&kind), "{kind:?}");
}

#[test]
fn a_reset_while_closing_comes_out_of_wait_closed() {
    let (served, ()) = against(
        |_, writer| {
            writer.write(&vec![0; 50_000_000]);
            writer.close();
            writer.wait_closed()
        },
        |mut stream| {
            stream.read_exact(&mut [0; 1000]).unwrap();
            reset(stream);
        },
    );
    assert_eq!(served.unwrap_err().kind(), ErrorKind::Io);
}

#[test]
fn garbage_runs_into_the_limit_and_is_answered() {
    let (served, answer) = against(
        |reader, writer| {
            let error = reader.readline().unwrap_err();
            writer.write(b"line too long\n");
            writer.write_eof();
            // What was sent and not read would make a reset of the close.
            while !reader.read(65_536)?.is_empty() {}
            Ok(error.kind())
        },
        |mut stream| {
            stream.write_all(&[0xff; 300_000]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        },
    );
    assert_eq!((served.unwrap(), &answer[..]), (ErrorKind::Value, "line too long\n"));
}

#[test]
fn a_slow_reader_gets_all_of_it_and_holds_bounded_memory() {
    const PIECES: usize = 200;
    let (served, received) = against(
        |_, writer| {
            let (piece, mut peak) = (pattern(100_000), 0);
            for _ in 0..PIECES {
                writer.write(&piece);
                peak = peak.max(writer.transport().get_write_buffer_size());
                writer.drain()?;
            }
            Ok(peak)
        },
        |mut stream| {
            let (mut received, mut buffer) = (Vec::new(), [0; 10_000]);
            loop {
                thread::yield_now();
                match stream.read(&mut buffer).unwrap() {
                    0 => return received,
                    length => received.extend_from_slice(&buffer[..length]),
                }
            }
        },
    );
    let peak = served.unwrap();
    assert!(peak <= 64 * 1024 + 100_000, "{peak}");
    assert!(received == pattern(100_000).repeat(PIECES));
}

#[test]
fn a_fast_sender_is_held_back_while_nobody_reads() {
    let (served, sent) = against(
        |reader, writer| {
            // Until the system's buffers are full there is always something to do.
            while writer.transport().is_reading() {
                stackio::yield_now()?;
            }
            let waiting = reader.read(usize::MAX)?.len();
            let mut count = waiting;
            loop {
                match reader.read(100_000)?.len() {
                    0 => return Ok((waiting, count)),
                    length => count += length,
                }
            }
        },
        |mut stream| {
            let piece = [0; 100_000];
            (0..200).for_each(|_| stream.write_all(&piece).unwrap());
            200 * piece.len()
        },
    );
    let (waiting, count) = served.unwrap();
    assert_eq!(count, sent);
    // Twice the limit of 1,024, and what one read of the transport gives.
    assert!((2049..=2048 + 64 * 1024).contains(&waiting), "{waiting}");
}

#[test]
fn a_cancelled_read_leaves_what_comes_to_the_next() {
    let (served, ()) = against(
        |reader, writer| {
            let reading = current_task().unwrap();
            spawn(move || {
                rest()?;
                Ok(reading.cancel())
            });
            let cancelled = reader.readline().unwrap_err();
            assert!(cancelled.is_cancelled());
            writer.write(b"go on\n");
            reader.readline()
        },
        |mut stream| {
            stream.write_all(b"half ").unwrap();
            stream.read_exact(&mut [0; 6]).unwrap();
            stream.write_all(b"and half\n").unwrap();
        },
    );
    assert_eq!(served.unwrap(), b"half and half\n");
}

#[test]
fn a_reader_and_a_writer_work_in_tasks_of_their_own() {
    run(|| {
        let server = stackio::start_server(
            |reader, writer| {
                let (lines, done) = (Rc::new(stackio::Queue::new(2)), writer.clone());
                let queued = lines.clone();
                let reading = spawn(move || {
                    loop {
                        let line = reader.readline()?;
                        let ended = line.is_empty();
                        queued.put(line)?;
                        if ended {
                            return Ok(());
                        }
                    }
                });
                spawn(move || {
                    loop {
                        let line: Vec<u8> = lines.get()?;
                        stackio::yield_now()?;
                        if line.is_empty() {
                            return Ok(());
                        }
                        writer.writelines([b"> ", &line[..]]);
                        writer.drain()?;
                    }
                })
                .join()?;
                drop(done);
                reading.join()
            },
            "127.0.0.1:0",
        )?;
        let (reader, writer) = stackio::open_connection(server.local_addrs()[0])?;
        writer.write(b"one\ntwo\nthree\n");
        writer.write_eof();
        assert_eq!(reader.read_to_end()?, b"> one\n> two\n> three\n");
        rest()
    })
    .unwrap();
}
