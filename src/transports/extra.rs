//! What can be asked of a transport besides its bytes: whose they are.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::rc::Rc;

use socket2::SockAddr;

/// The address of one end of a connection.
#[derive(Clone)]
pub enum Address {
    /// Of a TCP or UDP socket.
    Inet(SocketAddr),
    /// Of a Unix socket, which may have no name.
    Unix(UnixAddr),
}

impl Address {
    /// That of a TCP or UDP socket.
    pub fn inet(&self) -> Option<SocketAddr> {
        match self {
            Address::Inet(address) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// `None` for another sort of socket.
    pub(crate) fn of(address: &SockAddr) -> Option<Address> {
        match (address.as_socket(), address.as_unix()) {
            (Some(inet), _) => Some(Address::Inet(inet)),
            (None, Some(unix)) => Some(Address::Unix(unix)),
            (None, None) => None,
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Inet(address)
    }
}

impl From<UnixAddr> for Address {
    fn from(address: UnixAddr) -> Address {
        Address::Unix(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(address) => fmt::Display::fmt(address, f),
            Address::Unix(address) => match address.as_pathname() {
                Some(path) => fmt::Display::fmt(&path.display(), f),
                None => fmt::Debug::fmt(address, f),
            },
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a transport knows of its connection (`transport.get_extra_info`).
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ExtraInfo {
    /// The other end (asyncio's `peername`).
    pub peer_addr: Option<Address>,
    /// This end (asyncio's `sockname`).
    pub local_addr: Option<Address>,
    layers: Vec<Rc<dyn Any>>,
}

impl ExtraInfo {
    /// The same, with something that a layer knows: the session of a TLS connection,
    /// the request that an HTTP transport serves.
    pub fn with<T: 'static>(mut self, info: Rc<T>) -> ExtraInfo {
        self.layers.push(info);
        self
    }

    /// What a layer knows, by its type.
    pub fn get<T: 'static>(&self) -> Option<Rc<T>> {
        self.layers.iter().find_map(|layer| layer.clone().downcast().ok())
    }
}

impl fmt::Debug for ExtraInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtraInfo")
            .field("peer_addr", &self.peer_addr)
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}
