//! The documented pattern: a server that ends gracefully.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use stackio::net::{TcpListener, TcpStream};
use stackio::signals::{self, Signal};
use stackio::{
    Future, Result, Task, Timeout, get_running_loop, millis, run, secs, spawn, task_group,
};

use super::{assert_dies_of, assert_plays_well, raise};

/// Echoes until SIGINT or SIGTERM; tells then.
fn serve(listener: TcpListener, grace: std::time::Duration, stopping: Future<()>) -> Result {
    let deadline = Timeout::new(None);
    let served = deadline.scope(|deadline| {
        task_group(|connections| {
            let acceptor = connections.spawn(move || -> Result {
                loop {
                    let (stream, _) = listener.accept()?;
                    connections.spawn(move || match talk(stream) {
                        Err(error) if !error.is_cancelled() => {
                            eprintln!("a connection failed: {error}");
                            Ok(())
                        }
                        ended => ended,
                    });
                }
            });
            signals::wait_any([Signal::INT, Signal::TERM])?;
            acceptor.cancel();
            stopping.set_result(())?;
            deadline.reschedule(Some(get_running_loop()?.time() + grace))
        })
    });
    match served {
        Err(late) if late.is_timeout() => Ok(()),
        served => served,
    }
}

fn talk(mut stream: TcpStream) -> Result {
    let mut buffer = [0; 64];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

/// A server, its address, and what is done when it stops.
fn server(grace: std::time::Duration) -> Result<(Task<()>, SocketAddr, Future<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, stopping) = (listener.local_addr()?, Future::new());
    let stops = stopping.clone();
    Ok((spawn(move || serve(listener, grace, stops)), address, stopping))
}

/// A client whose connection has been accepted: it has an echo.
fn client(address: SocketAddr) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    assert_echoes(&mut stream)?;
    Ok(stream)
}

fn assert_echoes(stream: &mut TcpStream) -> Result {
    let mut echo = [0; 5];
    stream.write_all(b"hello")?;
    stream.read_exact(&mut echo)?;
    assert_eq!(&echo, b"hello");
    Ok(())
}

#[test]
fn a_server_finishes_its_connections_and_takes_no_more() {
    assert_plays_well(|| {
        run(|| {
            let (server, address, stopping) = server(secs(15))?;
            let mut present = client(address)?;
            raise(Signal::TERM);
            stopping.wait()?;
            assert_echoes(&mut present)?;
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            assert!(!server.done());
            drop(present);
            server.join()
        })
        .unwrap();
    });
}

#[test]
fn a_connection_that_outlasts_the_grace_is_cut_off() {
    assert_plays_well(|| {
        run(|| {
            let (server, address, _) = server(millis(5))?;
            let mut idle = client(address)?;
            raise(Signal::INT);
            server.join()?;
            assert_eq!(idle.read(&mut [0; 8])?, 0);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    assert_dies_of(Signal::TERM, || {
        run(|| {
            let (_server, address, stopping) = server(secs(15))?;
            let _idle = client(address)?;
            raise(Signal::TERM);
            stopping.wait()?;
            raise(Signal::TERM);
            Ok(())
        })
        .unwrap();
    });
}
