//! One attempt: a socket, a local address if one is asked for, a peer.

use std::io;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::selector_events::Watched;
use crate::selectors::Direction;
use crate::timeouts::sleep;

/// How long a Unix socket first rests when the other side's queue is full.
const SHORTEST_REST: Duration = Duration::from_millis(1);

/// To how much that grows.
const LONGEST_REST: Duration = Duration::from_millis(64);

/// A new socket in non-blocking mode, not inherited by child processes.
pub(crate) fn open(domain: Domain, kind: Type, protocol: Option<Protocol>) -> io::Result<Socket> {
    let socket = Socket::new(domain, kind, protocol)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Connects a socket in non-blocking mode and suspends the task until it is.
///
/// It may be of any kind. A Unix socket whose peer has a full queue gives no sign
/// when there is room again, so it is tried again after rests.
///
/// # Errors
///
/// Those of the system; a cancellation, after which the socket is closed.
#[track_caller]
pub(crate) fn connect_socket(socket: Socket, peer: &SockAddr) -> io::Result<Watched<Socket>> {
    let mut rest = SHORTEST_REST;
    loop {
        match socket.connect(peer) {
            Ok(()) => return Ok(Watched::new(socket)),
            Err(error) => match error.raw_os_error() {
                // Interrupted, it goes on by itself.
                Some(libc::EINPROGRESS | libc::EINTR) => break,
                Some(libc::EAGAIN) if peer.is_unix() => {
                    sleep(rest)?;
                    rest = (rest * 2).min(LONGEST_REST);
                }
                _ => return Err(error),
            },
        }
    }
    let socket = Watched::new(socket);
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
