//! [`SocketBuilder`]: what has to be settled before a socket is bound or connected.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::listener::TcpListener;
use super::tcp::TcpStream;
use super::udp::UdpSocket;
use crate::connecting::{BindOptions, ConnectOptions, first_of, open_datagram, open_listener};
use crate::resolver::ToAddrs;
use crate::selector_events::Watched;

/// A socket to be, with what has to be settled before it is bound or connected. What
/// can be changed later is a method of the socket.
///
/// ```
/// use stackio::millis;
/// use stackio::net::SocketBuilder;
///
/// stackio::run(|| {
///     let listener = SocketBuilder::new().backlog(16).v6only(true).listen("127.0.0.1:0")?;
///     let stream = SocketBuilder::new()
///         .happy_eyeballs_delay(millis(250))
///         .local_address("127.0.0.1:0".parse()?)
///         .connect(("localhost", listener.local_addr()?.port()))?;
///     assert_eq!(stream.peer_addr()?, listener.local_addr()?);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it makes a socket only by `connect`, `listen` or `bind`"]
pub struct SocketBuilder {
    connecting: ConnectOptions,
    binding: BindOptions,
}

impl SocketBuilder {
    /// A socket as [`TcpStream::connect`], [`TcpListener::bind`] and
    /// [`UdpSocket::bind`] make it.
    pub fn new() -> SocketBuilder {
        SocketBuilder::default()
    }

    /// Where to connect from; port 0 is any free one. Called once for each family, it
    /// serves a name that has addresses of both. For [`connect`](SocketBuilder::connect).
    #[doc(alias = "local_addr")]
    pub fn local_address(mut self, address: SocketAddr) -> SocketBuilder {
        self.connecting.local.push(address);
        self
    }

    /// Has attempts overlap, by RFC 8305 ("happy eyeballs"): when an address has not
    /// answered for that long, the next one is tried as well, and the first to answer
    /// wins. RFC 8305 recommends 250 milliseconds. For
    /// [`connect`](SocketBuilder::connect), which by default gives each address all the
    /// time that the system does.
    pub fn happy_eyeballs_delay(mut self, delay: Duration) -> SocketBuilder {
        self.connecting.delay = Some(delay);
        self
    }

    /// How many addresses of the family of the first one are tried before IPv6 and IPv4
    /// take turns; zero leaves the resolver's order. By default one if attempts overlap,
    /// and zero otherwise. For [`connect`](SocketBuilder::connect).
    pub fn interleave(mut self, count: usize) -> SocketBuilder {
        self.connecting.interleave = Some(count);
        self
    }

    /// How many connections may wait to be accepted; 1024 unless it is said, and never
    /// more than the system allows. For [`listen`](SocketBuilder::listen).
    pub fn backlog(mut self, connections: u32) -> SocketBuilder {
        self.binding.backlog = Some(connections);
        self
    }

    /// Whether to bind to an address that connections which have ended still have
    /// (`SO_REUSEADDR`); a socket that listens does by default. For datagrams it lets
    /// several sockets have one address, as multicast wants it.
    pub fn reuse_address(mut self, reuse: bool) -> SocketBuilder {
        self.binding.reuse_address = Some(reuse);
        self
    }

    /// Whether several sockets, of several processes too, may have the same address
    /// (`SO_REUSEPORT`), if all of them say so: the system shares out what comes.
    pub fn reuse_port(mut self, reuse: bool) -> SocketBuilder {
        self.binding.reuse_port = reuse;
        self
    }

    /// Whether an IPv6 socket leaves IPv4 alone (`IPV6_V6ONLY`); one for IPv4 ignores
    /// it. Unless it is said, the system decides. For [`listen`](SocketBuilder::listen)
    /// and [`bind`](SocketBuilder::bind).
    pub fn v6only(mut self, only: bool) -> SocketBuilder {
        self.binding.v6only = Some(only);
        self
    }

    /// Whether datagrams may go to a broadcast address. For
    /// [`bind`](SocketBuilder::bind).
    pub fn broadcast(mut self, broadcast: bool) -> SocketBuilder {
        self.binding.broadcast = broadcast;
        self
    }

    /// Connects by TCP.
    ///
    /// # Errors
    ///
    /// As [`TcpStream::connect`]; `AddrNotAvailable` if no local address is of the
    /// peer's family.
    #[track_caller]
    pub fn connect(&self, address: impl ToAddrs) -> io::Result<TcpStream> {
        let mut options = self.connecting.clone();
        options.reuse_address = self.binding.reuse_address.unwrap_or(false);
        options.reuse_port = self.binding.reuse_port;
        TcpStream::connect_with(&address.to_addrs()?, &options)
    }

    /// Binds to an address and listens for TCP connections.
    ///
    /// # Errors
    ///
    /// As [`TcpListener::bind`].
    #[track_caller]
    pub fn listen(&self, address: impl ToAddrs) -> io::Result<TcpListener> {
        first_of(address, |address| {
            let socket = open_listener(&(*address).into(), &self.binding)?;
            Ok(TcpListener::wrap(socket.into()))
        })
    }

    /// Binds a UDP socket to an address.
    ///
    /// # Errors
    ///
    /// As [`UdpSocket::bind`].
    #[track_caller]
    pub fn bind(&self, address: impl ToAddrs) -> io::Result<UdpSocket> {
        first_of(address, |address| {
            let socket = open_datagram(&(*address).into(), &self.binding)?;
            Ok(UdpSocket::wrap(Watched::new(socket.into())))
        })
    }
}
