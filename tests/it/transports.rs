//! Transports of every sort: what their protocols are told, and what becomes of the bytes.

mod recorder;
mod carriers;
mod grammar;
mod bad_peers;
mod closing;
mod flow;
mod lingering;
mod memory;
mod ownership;
mod pipes;
mod reading;
mod shutdown;
mod writing;

use std::io;
use std::net;
use std::os::fd::AsFd;
use std::time::Duration;

use stackio::{Future, Result, Runner, Transport, get_running_loop, run, secs, timeout};

use self::recorder::{Log, Plain};

/// After this a test has failed: nothing here takes a tenth of it.
const LIMIT: Duration = secs(120);

/// Runs the body as a loop's main task; one that hangs fails.
#[track_caller]
fn play<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> T {
    run(move || timeout(LIMIT, |_| body())).unwrap_or_else(|error| panic!("{error:?}"))
}

/// The same under a virtual clock, where to wait for ever is an error at once.
#[track_caller]
fn play_virtually<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> T {
    let runner = Runner::builder().virtual_clock(&stackio::VirtualClock::new()).build();
    let played = runner.and_then(|mut runner| runner.run(body));
    played.unwrap_or_else(|error| panic!("{error:?}"))
}

/// Gives way until what has come is seen: the loop asks the selector at the latest after 64
/// callbacks.
fn settle() -> Result {
    (0..200).try_for_each(|_| stackio::yield_now())
}

/// Gives way until it is so.
#[track_caller]
fn until(mut so: impl FnMut() -> bool) -> Result {
    while !so() {
        stackio::yield_now()?;
    }
    Ok(())
}

/// A connection of TCP whose other end is std's, in blocking mode.
fn with_std(log: &Log) -> Result<(Transport, net::TcpStream)> {
    let listener = net::TcpListener::bind("127.0.0.1:0")?;
    let theirs = net::TcpStream::connect(listener.local_addr()?)?;
    theirs.set_nodelay(true)?;
    let (ours, _) = listener.accept()?;
    let protocol = Plain(log.clone());
    let (transport, _) = get_running_loop()?.connect_accepted_socket(|| protocol, ours)?;
    Ok((transport, theirs))
}

/// Has the system keep little of what is written to the socket.
fn narrow(socket: &impl AsFd) -> io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.set_send_buffer_size(4096)?;
    socket.set_recv_buffer_size(4096)
}

/// Makes the socket be closed with a reset instead of an orderly end.
fn reset_on_close(socket: &impl AsFd) -> io::Result<()> {
    socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

/// Bytes in which every place can be told from its neighbours.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// What the loop's exception handler is told from now on.
fn reports() -> Result<std::rc::Rc<std::cell::RefCell<Vec<String>>>> {
    let reports = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let told = reports.clone();
    get_running_loop()?.set_exception_handler(move |context| {
        told.borrow_mut().push(context.message.clone());
    });
    Ok(reports)
}

/// Done by somebody else, on a thread of its own.
fn elsewhere<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> Future<T> {
    let done = Future::new();
    let told = done.clone();
    stackio::spawn(move || {
        let value = stackio::to_thread(what)?;
        told.set_result(value)
    });
    done
}
