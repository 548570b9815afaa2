//! TCP listeners.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;

use super::tcp::TcpStream;
use crate::base_events::get_running_loop;
use crate::connecting::{BindOptions, first_of, open_listener};
use crate::constants::ACCEPT_RETRY_DELAY;
use crate::events::Scheduler;
use crate::reports::{ExceptionContext, ExceptionSource};
use crate::resolver::ToAddrs;
use crate::selector_events::Watched;
use crate::selectors::Direction;
use crate::timeouts::sleep;
use crate::waiters::Waiters;

/// A socket that TCP connections are accepted from (`std::net::TcpListener`).
///
/// ```
/// use std::io::{Read, Write};
/// use stackio::net::{TcpListener, TcpStream};
/// use stackio::spawn;
///
/// fn echo(mut stream: TcpStream) -> std::io::Result<()> {
///     let mut buffer = [0; 4096];
///     loop {
///         match stream.read(&mut buffer)? {
///             0 => return Ok(()),
///             n => stream.write_all(&buffer[..n])?,
///         }
///     }
/// }
///
/// fn serve(listener: TcpListener) -> stackio::Result {
///     loop {
///         let (stream, _) = listener.accept()?;
///         spawn(move || Ok(echo(stream)?));
///     }
/// }
///
/// stackio::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?)?;
///     let server = spawn(move || serve(listener));
///     client.write_all(b"ping")?;
///     let mut answer = [0; 4];
///     client.read_exact(&mut answer)?;
///     assert_eq!(&answer, b"ping");
///     server.cancel();
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct TcpListener(Rc<Listening>);

struct Listening {
    io: Watched<std::net::TcpListener>,
    /// Whether somebody is accepting; the others stand in line.
    accepting: Cell<bool>,
    line: Waiters,
}

impl TcpListener {
    /// Binds to an address and listens; port 0 is any free one. The address can
    /// be used again at once after a server has ended (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// That of the last address tried; of the resolver; a cancellation.
    #[track_caller]
    pub fn bind(address: impl ToAddrs) -> io::Result<TcpListener> {
        first_of(address, |address| {
            let socket = open_listener(&(*address).into(), &BindOptions::default())?;
            Ok(TcpListener::wrap(socket.into()))
        })
    }

    /// Takes over a listener of std's.
    ///
    /// # Errors
    ///
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        Ok(TcpListener::wrap(listener))
    }

    pub(super) fn wrap(listener: std::net::TcpListener) -> TcpListener {
        TcpListener(Rc::new(Listening {
            io: Watched::new(listener),
            accepting: Cell::new(false),
            line: Waiters::default(),
        }))
    }

    /// Waits for a connection. Several tasks may do so, and are served in the
    /// order in which they came.
    ///
    /// When the process has no descriptors left, it tells the loop's
    /// [exception handler](crate::LoopBuilder::exception_handler), rests for a second
    /// and tries again, as asyncio does.
    ///
    /// # Errors
    ///
    /// Those of the system; a cancellation of the task.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let _turn = Turn::take(&self.0)?;
        let mut warned = false;
        loop {
            match self.0.io.attempt(Direction::Read, None, std::net::TcpListener::accept) {
                Ok((stream, peer)) => return Ok((TcpStream::from_std(stream)?, peer)),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if is_out_of_resources(&error) => {
                    if !warned {
                        report(error);
                        warned = true;
                    }
                    sleep(ACCEPT_RETRY_DELAY)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The connections, one after the other, for ever.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.io.source().local_addr()
    }

    /// Another handle to the same listener, for a second task.
    ///
    /// # Errors
    ///
    /// None; the signature is std's.
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(TcpListener(self.0.clone()))
    }
}

/// Outside of a loop there is nobody to tell, and no resting either: that fails.
fn report(error: io::Error) {
    if let Ok(event_loop) = get_running_loop() {
        let text = "accept is out of system resources; it tries again in a second";
        let context = ExceptionContext::new(ExceptionSource::Loop, text);
        event_loop.call_exception_handler(&context.with_exception(error.into()));
    }
}

/// Whether it is for want of descriptors or memory, which may come back.
fn is_out_of_resources(error: &io::Error) -> bool {
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// The right to accept, which goes to the next in line.
struct Turn<'a>(&'a Listening);

impl Turn<'_> {
    #[track_caller]
    fn take(listening: &Listening) -> io::Result<Turn<'_>> {
        if listening.accepting.replace(true) {
            let fd = listening.io.as_fd().as_raw_fd();
            let (scheduler, turn) = (Scheduler::running()?, format!("a turn at listener {fd}"));
            listening.line.wait(scheduler, turn, |woken| {
                // The turn had been passed here already: on to the next.
                if woken {
                    drop(Turn(listening));
                }
            })?;
        }
        Ok(Turn(listening))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.0.line.wake_one() {
            self.0.accepting.set(false);
        }
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.io.as_fd()
    }
}

impl AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.io.source(), f)
    }
}

/// The connections to a listener; made by [`TcpListener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}
