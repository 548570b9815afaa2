//! Sockets in the shape of std's, which suspend the task instead of the thread.
//!
//! [`TcpStream`] and [`UnixStream`] implement `std::io::Read` and `Write`, so that code
//! written for blocking sockets runs on them unchanged. An operation is tried at once; only if
//! it would block does the task wait, and the loop runs others meanwhile. A
//! cancellation comes as an `io::Error` that `?` turns back into an
//! [`Error`](crate::Error) of kind `Cancelled`.
//!
//! One task at a time may wait to read from a socket, and one to write to it; a
//! second one gets an error of kind `ResourceBusy`. Several may accept from one
//! listener, they are served in turn.
//!
//! Dropping a stream closes its descriptor at once, as std's. If the peer has sent something
//! that was not read, or sends more, the system answers with a reset, and what the peer has
//! not got yet may be lost. Who wants to be sure ends the writing by
//! [`shutdown`](TcpStream::shutdown) and reads to the end, as HTTP servers do; transports and
//! streams do it by themselves when they are closed.
//!
//! # Small writes
//!
//! As with std's sockets Nagle's algorithm is on: a small write waits until the peer has
//! acknowledged the one before, for which it may take its time. Transports and streams turn
//! it off, as asyncio does. Where a message is written in pieces, write through a
//! `BufWriter`, or call [`set_nodelay(true)`](TcpStream::set_nodelay): otherwise an answer
//! whose header and body are two writes waits for the peer in between.
//!
//! # Cancellation
//!
//! A cancellation is delivered once. A library that goes on to read after an error
//! (`serde_json` does, inside a list) waits again, until the next one.
//!
//! A task that was cancelled while it waited to write gets the cancellation again where it
//! would wait for the same socket once more, unless that was taken back
//! ([`uncancel`](crate::AnyTask::uncancel), which a timeout does by itself): std's `BufWriter`
//! writes itself out in its destructor, and so does a compressor. Who was cancelled
//! elsewhere does wait there, however long the peer takes: then `BufWriter::into_parts`
//! gives up what is left.

mod limited;
mod sending;
mod listening;
mod tcp;
mod listener;
mod udp;
mod casting;
mod keepalive;
mod unix;
mod builder;

pub use builder::SocketBuilder;
pub use keepalive::Keepalive;
pub use listener::TcpListener;
pub use listening::Incoming;
pub use tcp::TcpStream;
pub use udp::UdpSocket;
pub use unix::{PeerCredentials, UnixDatagram, UnixListener, UnixStream};

pub use crate::resolver::{
    AddrHints, AddrInfo, NameFlags, SocketKind, ToAddrs, getaddrinfo, getnameinfo,
};
pub use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4, SocketAddrV6};
