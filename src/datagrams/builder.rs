//! How an endpoint is made.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::Path;

use socket2::{Domain, Protocol, Socket, Type};

use super::endpoint::{Endpoint, Peer};
use super::interface::{DatagramProtocolRef, DatagramTransport};
use super::multicast::Multicast;
use super::protocol::DatagramProtocol;
use super::socket::DatagramSocket;
use crate::base_events::{EventLoop, get_running_loop};
use crate::connecting::{
    BindOptions, SocketFile, open, open_datagram, open_unix_datagram, unix_address, unix_name,
};
use crate::coroutines::check_suspendable;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::protocols::ProtocolHandle;
use crate::reports::CallbackOutput;
use crate::resolver::ToAddrs;
use crate::transports::extra::Address;
use crate::transports::making::make;

/// An endpoint: its transport, and its protocol for the owner to look at.
pub type DatagramConnected<P> = (DatagramTransport, ProtocolHandle<P, DatagramProtocolRef>);

/// How to make an endpoint for datagrams: the keyword arguments of asyncio's
/// `create_datagram_endpoint`, and the options of multicast groups.
///
/// ```
/// use std::net::Ipv4Addr;
/// use stackio::{DatagramEndpoint, DatagramProtocol};
///
/// struct Silent;
/// impl DatagramProtocol for Silent {}
///
/// stackio::run(|| {
///     let group = Ipv4Addr::new(239, 255, 0, 1);
///     let endpoint = DatagramEndpoint::new()
///         .local_addr("0.0.0.0:0")?
///         .multicast_interface_v4(Ipv4Addr::LOCALHOST)
///         .multicast_ttl(0) // it stays on this machine
///         .join_multicast_v4(group, Ipv4Addr::LOCALHOST);
///     let (transport, _) = endpoint.create(|| Silent)?;
///     transport.sendto(b"to all", std::net::SocketAddr::from((group, 4000)));
///     transport.close();
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DatagramEndpoint {
    local: Vec<Address>,
    remote: Vec<Address>,
    bind: BindOptions,
    multicast: Multicast,
}

impl DatagramEndpoint {
    /// Without anything set. It needs a local address, or a remote one, or both.
    pub fn new() -> DatagramEndpoint {
        DatagramEndpoint::default()
    }

    /// Where to receive: port 0 is any free one. Without it the system chooses.
    ///
    /// # Errors
    ///
    /// Those of the resolver.
    #[track_caller]
    pub fn local_addr(mut self, address: impl ToAddrs) -> Result<DatagramEndpoint> {
        self.local = address.to_addrs()?.into_iter().map(Address::from).collect();
        Ok(self)
    }

    /// The peer: the socket is connected to it, so it sends to nobody else, hears nobody
    /// else, and is told if nobody listens there. With
    /// [`allow_broadcast`](DatagramEndpoint::allow_broadcast) it is not connected, and
    /// hears everybody.
    ///
    /// # Errors
    ///
    /// Those of the resolver.
    #[track_caller]
    pub fn remote_addr(mut self, address: impl ToAddrs) -> Result<DatagramEndpoint> {
        self.remote = address.to_addrs()?.into_iter().map(Address::from).collect();
        Ok(self)
    }

    /// The same as [`local_addr`](DatagramEndpoint::local_addr) of a Unix socket. A
    /// socket that somebody has left at that path is removed first, as asyncio does, and
    /// this one is when it is closed. A path that begins with a zero byte is a name in
    /// Linux's abstract namespace.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is too long.
    pub fn local_path(mut self, path: impl AsRef<Path>) -> Result<DatagramEndpoint> {
        self.local = vec![unix_name(path.as_ref())?.into()];
        Ok(self)
    }

    /// The same as [`remote_addr`](DatagramEndpoint::remote_addr) of a Unix socket.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the path is too long.
    pub fn remote_path(mut self, path: impl AsRef<Path>) -> Result<DatagramEndpoint> {
        self.remote = vec![unix_name(path.as_ref())?.into()];
        Ok(self)
    }

    /// Whether other sockets may have the same address, if all say so (`SO_REUSEPORT`).
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> DatagramEndpoint {
        self.bind.reuse_port = reuse;
        self
    }

    /// Whether datagrams may go to broadcast addresses (`SO_BROADCAST`).
    #[must_use]
    pub fn allow_broadcast(mut self, allow: bool) -> DatagramEndpoint {
        self.bind.broadcast = allow;
        self
    }

    /// Receives what is sent to a group, through the interface of that address
    /// (`0.0.0.0`: the system chooses). It may be called for several groups.
    #[must_use]
    pub fn join_multicast_v4(mut self, group: Ipv4Addr, interface: Ipv4Addr) -> DatagramEndpoint {
        self.multicast.groups_v4.push((group, interface));
        self
    }

    /// The same for IPv6, through the interface of that number (0: the system chooses).
    #[must_use]
    pub fn join_multicast_v6(mut self, group: Ipv6Addr, interface: u32) -> DatagramEndpoint {
        self.multicast.groups_v6.push((group, interface));
        self
    }

    /// How many routers pass on what is sent to a group; 1 if this is not set, which is
    /// none.
    #[must_use]
    pub fn multicast_ttl(mut self, hops: u32) -> DatagramEndpoint {
        self.multicast.ttl = Some(hops);
        self
    }

    /// Whether sockets of this machine receive what is sent to a group; they do if this
    /// is not set.
    #[must_use]
    pub fn multicast_loop(mut self, looped: bool) -> DatagramEndpoint {
        self.multicast.looped = Some(looped);
        self
    }

    /// Through which interface, by its address, to send to groups.
    #[must_use]
    pub fn multicast_interface_v4(mut self, interface: Ipv4Addr) -> DatagramEndpoint {
        self.multicast.interface_v4 = Some(interface);
        self
    }

    /// Through which interface, by its number, to send to groups.
    #[must_use]
    pub fn multicast_interface_v6(mut self, interface: u32) -> DatagramEndpoint {
        self.multicast.interface_v6 = Some(interface);
        self
    }

    /// Makes the socket, and has the protocol that `factory` makes called with what comes
    /// (`loop.create_datagram_endpoint`). When this returns, its `connection_made` has
    /// been called. Of several addresses the first of each family is tried.
    ///
    /// # Errors
    ///
    /// Why the first of them would not do, with the address; kind `Value` without any
    /// address, or if the two have no family in common; kind `Cancelled`; kind `Runtime`
    /// outside of a task.
    #[track_caller]
    pub fn create<P: DatagramProtocol<R>, R: CallbackOutput>(
        &self,
        factory: impl FnOnce() -> P,
    ) -> Result<DatagramConnected<P>> {
        let event_loop = get_running_loop()?;
        check_suspendable()?;
        establish(&event_loop, self.open()?, factory)
    }

    /// Takes over a socket that there is, bound or connected (`create_datagram_endpoint`
    /// with `sock`).
    ///
    /// # Errors
    ///
    /// As [`create`](DatagramEndpoint::create); `InvalidInput` for what is no socket for
    /// datagrams.
    #[track_caller]
    pub fn adopt<P: DatagramProtocol<R>, R: CallbackOutput>(
        factory: impl FnOnce() -> P,
        socket: impl Into<OwnedFd>,
    ) -> Result<DatagramConnected<P>> {
        let event_loop = get_running_loop()?;
        check_suspendable()?;
        let socket = DatagramSocket::new(Socket::from(socket.into()), None)?;
        let peer = socket.peer_addr().map_or(Peer::Anybody, Peer::Connected);
        establish(&event_loop, (socket, peer), factory)
    }

    fn open(&self) -> Result<(DatagramSocket, Peer)> {
        let mut refusal = None;
        for (local, remote) in self.pairs() {
            match self.open_at(local, remote) {
                Ok(opened) => return Ok(opened),
                Err(error) => _ = refusal.get_or_insert(error),
            }
        }
        let text = match (self.local.is_empty(), self.remote.is_empty()) {
            (true, true) => "an endpoint for datagrams needs a local or a remote address",
            _ => "the local and the remote address have no family in common",
        };
        Err(refusal.map_or_else(|| Error::text(ErrorKind::Value, text), Error::from))
    }

    /// For each family, in order, the first address of each end.
    fn pairs(&self) -> Vec<(Option<&Address>, Option<&Address>)> {
        let mut families: Vec<Domain> = Vec::new();
        for family in self.local.iter().chain(&self.remote).map(family) {
            if !families.contains(&family) {
                families.push(family);
            }
        }
        let of = |ends: &'_ [Address], of: Domain| ends.iter().position(|end| family(end) == of);
        let mut pairs = Vec::new();
        for family in families {
            let local = of(&self.local, family).map(|at| &self.local[at]);
            let remote = of(&self.remote, family).map(|at| &self.remote[at]);
            if local.is_some() != self.local.is_empty()
                && remote.is_some() != self.remote.is_empty()
            {
                pairs.push((local, remote));
            }
        }
        pairs
    }

    fn open_at(
        &self,
        local: Option<&Address>,
        remote: Option<&Address>,
    ) -> io::Result<(DatagramSocket, Peer)> {
        let (socket, file) = match (local, remote) {
            (Some(local), _) => self.open_bound(local)?,
            (None, Some(remote)) => (self.open_unbound(family(remote))?, None),
            (None, None) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        self.multicast.apply(&socket)?;
        let peer = match remote {
            None => Peer::Anybody,
            // What goes to all is answered by each for himself.
            Some(remote) if self.bind.broadcast => Peer::Fixed(remote.clone()),
            Some(remote) => {
                let connected = match remote {
                    Address::Inet(address) => socket.connect(&(*address).into()),
                    Address::Unix(address) => socket.connect(&unix_address(address)?),
                };
                connected.map_err(|error| naming("cannot connect to", remote, &error))?;
                Peer::Connected(remote.clone())
            }
        };
        Ok((DatagramSocket::new(socket, file)?, peer))
    }

    fn open_bound(&self, local: &Address) -> io::Result<(Socket, Option<SocketFile>)> {
        let opened = match local {
            Address::Inet(address) => {
                open_datagram(&(*address).into(), &self.bind).map(|socket| (socket, None))
            }
            Address::Unix(address) => open_unix_datagram(address),
        };
        opened.map_err(|error| naming("cannot bind to", local, &error))
    }

    fn open_unbound(&self, family: Domain) -> io::Result<Socket> {
        let protocol = (family != Domain::UNIX).then_some(Protocol::UDP);
        let socket = open(family, Type::DGRAM, protocol)?;
        if self.bind.broadcast {
            socket.set_broadcast(true)?;
        }
        Ok(socket)
    }
}

fn family(address: &Address) -> Domain {
    match address {
        Address::Inet(address) => Domain::for_address(*address),
        Address::Unix(_) => Domain::UNIX,
    }
}

fn naming(what: &str, address: &Address, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what} {address}: {error}"))
}

/// Starts, and waits until the protocol knows of it.
#[track_caller]
fn establish<P: DatagramProtocol<R>, R: CallbackOutput>(
    event_loop: &EventLoop,
    socket: (DatagramSocket, Peer),
    factory: impl FnOnce() -> P,
) -> Result<DatagramConnected<P>> {
    let made_at = Location::caller();
    let begin = |waiter| {
        let handle = ProtocolHandle::for_datagrams(factory());
        let transport = Endpoint::start(event_loop, socket, handle.erased(), Some(waiter), made_at);
        Ok((transport, handle))
    };
    make(event_loop, "an endpoint to be made", begin, |(transport, _)| transport.close())
}

impl EventLoop {
    /// Has a protocol called with the datagrams that come to a local address, or from a
    /// remote one, or both (`loop.create_datagram_endpoint`). With options, and for Unix
    /// sockets: [`DatagramEndpoint`].
    ///
    /// The addresses are references to whatever is one, to a `&str` as well:
    ///
    /// ```
    /// use stackio::{DatagramProtocol, get_running_loop};
    ///
    /// struct Silent;
    /// impl DatagramProtocol for Silent {}
    ///
    /// stackio::run(|| {
    ///     let event_loop = get_running_loop()?;
    ///     event_loop.create_datagram_endpoint(|| Silent, Some(&"127.0.0.1:0"), None)?;
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`DatagramEndpoint::create`], and those of the resolver.
    #[track_caller]
    pub fn create_datagram_endpoint<P: DatagramProtocol<R>, R: CallbackOutput>(
        &self,
        factory: impl FnOnce() -> P,
        local: Option<&dyn ToAddrs>,
        remote: Option<&dyn ToAddrs>,
    ) -> Result<DatagramConnected<P>> {
        self.check_current("create_datagram_endpoint")?;
        let mut endpoint = DatagramEndpoint::new();
        if let Some(local) = local {
            endpoint = endpoint.local_addr(local)?;
        }
        if let Some(remote) = remote {
            endpoint = endpoint.remote_addr(remote)?;
        }
        endpoint.create(factory)
    }
}
