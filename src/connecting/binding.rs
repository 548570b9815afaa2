//! Sockets with an address of their own: those that listen, and those for datagrams.

use std::io;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::attempt::open;
use crate::constants::BACKLOG;

/// How a socket gets its address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BindOptions {
    /// Whether the address may still be that of connections that have ended; by default
    /// for sockets that listen.
    pub(crate) reuse_address: Option<bool>,
    /// Whether several sockets may have it, if all say so; the system shares out what
    /// comes.
    pub(crate) reuse_port: bool,
    /// Whether an IPv6 socket leaves IPv4 alone; `None` is as the system has it.
    pub(crate) v6only: Option<bool>,
    /// How many connections may wait to be accepted; `None` is [`BACKLOG`].
    pub(crate) backlog: Option<u32>,
    /// Whether datagrams may go to broadcast addresses.
    pub(crate) broadcast: bool,
}

/// A stream socket that is bound to an address, Internet or Unix, and listens.
///
/// # Errors
///
/// Those of the system.
pub(crate) fn open_listener(address: &SockAddr, options: &BindOptions) -> io::Result<Socket> {
    let socket = open_bound(address, options)?;
    socket.listen(options.backlog.map_or(BACKLOG, |count| count.try_into().unwrap_or(i32::MAX)))?;
    Ok(socket)
}

/// The same, and does not listen yet.
///
/// # Errors
///
/// Those of the system.
pub(crate) fn open_bound(address: &SockAddr, options: &BindOptions) -> io::Result<Socket> {
    let socket = open(address.domain(), Type::STREAM, protocol(address, Protocol::TCP))?;
    bind(&socket, address, options, !address.is_unix())?;
    Ok(socket)
}

/// A socket for datagrams that is bound to an address, Internet or Unix.
///
/// # Errors
///
/// Those of the system.
pub(crate) fn open_datagram(address: &SockAddr, options: &BindOptions) -> io::Result<Socket> {
    let socket = open(address.domain(), Type::DGRAM, protocol(address, Protocol::UDP))?;
    if options.broadcast {
        socket.set_broadcast(true)?;
    }
    bind(&socket, address, options, false)?;
    Ok(socket)
}

/// Unix sockets have no protocol of their own.
fn protocol(address: &SockAddr, internet: Protocol) -> Option<Protocol> {
    (!address.is_unix()).then_some(internet)
}

fn bind(socket: &Socket, address: &SockAddr, options: &BindOptions, reuse: bool) -> io::Result<()> {
    if options.reuse_address.unwrap_or(reuse) {
        socket.set_reuse_address(true)?;
    }
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if let Some(only) = options.v6only.filter(|_| address.domain() == Domain::IPV6) {
        socket.set_only_v6(only)?;
    }
    socket.bind(address)
}
