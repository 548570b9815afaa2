//! One attempt: a socket, a local address if one is asked for, a peer.

use std::io;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::selector_events::Watched;
use crate::selectors::Direction;
use crate::sleeping::sleep;

/// Rests between attempts, where the system gives no sign when one is worth while: a
/// Unix socket is not told that the other side's queue has room again. Each is twice as
/// long as the one before, from one millisecond to 64.
pub(crate) struct Rests {
    next: Duration,
    rested: Duration,
}

impl Rests {
    pub(crate) fn new() -> Rests {
        Rests { next: Duration::from_millis(1), rested: Duration::ZERO }
    }

    /// Rests once more.
    ///
    /// # Errors
    ///
    /// `TimedOut` if all rests together have come to the limit; a cancellation.
    #[track_caller]
    pub(crate) fn rest(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let left = limit.map_or(self.next, |limit| limit.saturating_sub(self.rested));
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let rest = self.advance().min(left);
        self.rested += rest;
        Ok(sleep(rest)?)
    }

    /// How long to rest now, for whoever is no task.
    pub(crate) fn advance(&mut self) -> Duration {
        let rest = self.next;
        self.next = (rest * 2).min(Duration::from_millis(64));
        rest
    }
}

/// A new socket in non-blocking mode, not inherited by child processes.
pub(crate) fn open(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Connects a socket in non-blocking mode and suspends the task until it is.
///
/// It may be of any kind.
///
/// # Errors
///
/// Those of the system; a cancellation, after which the socket is closed.
#[track_caller]
pub(crate) fn connect_socket(socket: Socket, peer: &SockAddr) -> io::Result<Watched<Socket>> {
    let mut rests = Rests::new();
    loop {
        match socket.connect(peer) {
            Ok(()) => return Ok(Watched::own(socket)),
            Err(error) => match error.raw_os_error() {
                // Interrupted, it goes on by itself.
                Some(libc::EINPROGRESS | libc::EINTR) => break,
                Some(libc::EAGAIN) if peer.is_unix() => rests.rest(None)?,
                _ => return Err(error),
            },
        }
    }
    let socket = Watched::own(socket);
    loop {
        socket.wait_ready(Direction::Write, None)?;
        if let Some(error) = socket.source().take_error()? {
            return Err(error);
        }
        match socket.source().peer_addr() {
            // Woken for something else: it is still connecting.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            Err(error) => return Err(error),
            Ok(_) => return Ok(socket),
        }
    }
}
