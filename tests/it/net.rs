//! The sockets: what std's promise, what suspending adds, and how connections end.

mod accepting;
mod adapters;
pub mod alone;
mod cancelling;
mod connecting;
mod crowd;
mod ends;
mod fairness;
mod files;
mod flushing;
mod lifetimes;
mod loops;
mod names;
mod options;
mod overlapping;
mod racing;
mod reading;
mod timing;
mod udp;
mod unix;
mod writing;

use std::io;
use std::net;
use std::net::SocketAddr;
use std::time::Duration;

use stackio::net::{TcpListener, TcpStream};
use stackio::{Result, Runner, secs, timeout, yield_now};

/// After this a test has failed: nothing here takes a tenth of it.
const LIMIT: Duration = secs(25);

/// Runs the body as a loop's main task. A body that hangs fails; one that leaves tasks behind that
/// hang is ended with its loop.
#[track_caller]
fn play<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> T {
    play_on(Runner::new().expect("a loop"), body)
}

/// The same on a loop that asks the selector in nearly every iteration, so that a task can let
/// events come in by giving way.
#[track_caller]
fn play_asking_often<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> T {
    play_on(Runner::builder().select_budget(1).build().expect("a loop"), body)
}

#[track_caller]
fn play_on<T: 'static>(mut runner: Runner, body: impl FnOnce() -> Result<T> + 'static) -> T {
    match runner.run(move || timeout(LIMIT, |_| body())) {
        Ok(value) => value,
        Err(error) => panic!("the test's main task failed: {error:?}"),
    }
}

/// Gives way until every task that can run without an event has come to a halt, and, on a loop
/// that asks often, until the events that are there have been seen.
fn settle() -> Result {
    for _ in 0..8 {
        yield_now()?;
    }
    Ok(())
}

/// Any free port of the loopback interface.
const ANY: &str = "127.0.0.1:0";

/// Both ends of a connection, both of the crate.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(ANY)?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    Ok((near, far))
}

/// Both ends of a connection; the far one is std's, and what it does takes effect at once, without
/// the loop.
fn pair_with_std() -> io::Result<(TcpStream, net::TcpStream)> {
    let listener = net::TcpListener::bind(ANY)?;
    let far = net::TcpStream::connect(listener.local_addr()?)?;
    let (near, _) = listener.accept()?;
    far.set_nodelay(true)?;
    Ok((TcpStream::from_std(near)?, far))
}

/// An address that refuses connections for as long as the socket lives.
fn refusing() -> io::Result<(socket2::Socket, SocketAddr)> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    let address = socket.local_addr()?.as_socket().expect("an Internet address");
    Ok((socket, address))
}

/// Makes the socket be closed with a reset instead of an orderly end.
fn reset_on_close(socket: &impl std::os::fd::AsFd) -> io::Result<()> {
    socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

/// Bytes in which every place can be told from its neighbours.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}
