//! What can be asked of a transport besides its bytes: whose they are.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "android")]
use std::os::android::net::SocketAddrExt;
use std::os::fd::OwnedFd;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::path::Path;
use std::rc::Rc;

use socket2::{SockAddr, Socket};

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

    /// `None` for another sort of socket, and for a path that leaves no room for the zero
    /// byte at its end: only the system can put that into an address of std's.
    pub(crate) fn of(address: &SockAddr) -> Option<Address> {
        if let Some(inet) = address.as_socket() {
            return Some(Address::Inet(inet));
        }
        if !address.is_unix() {
            return None;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.as_abstract_namespace() {
            return UnixAddr::from_abstract_name(name).ok().map(Address::Unix);
        }
        // Without a path it has no name.
        let path = address.as_pathname().unwrap_or(Path::new(""));
        UnixAddr::from_pathname(path).ok().map(Address::Unix)
    }

    /// That of this end of a socket.
    pub(crate) fn local(socket: &Socket) -> Option<Address> {
        let address = socket.local_addr().ok()?;
        Address::of(&address).or_else(|| ask_by_std(socket, UnixStream::local_addr))
    }

    /// That of the other end. A connection that was reset has none any more.
    pub(crate) fn peer(socket: &Socket) -> Option<Address> {
        let address = socket.peer_addr().ok()?;
        Address::of(&address).or_else(|| ask_by_std(socket, UnixStream::peer_addr))
    }
}

/// Asks again through one of std's sockets, which takes a copy of the descriptor.
fn ask_by_std(
    socket: &Socket,
    ask: impl FnOnce(&UnixStream) -> io::Result<UnixAddr>,
) -> Option<Address> {
    let copy = UnixStream::from(OwnedFd::from(socket.try_clone().ok()?));
    ask(&copy).ok().map(Address::Unix)
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

impl From<&Address> for Address {
    fn from(address: &Address) -> Address {
        address.clone()
    }
}

/// What an address is compared by.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Inet(SocketAddr),
    Path(&'a Path),
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Abstract(&'a [u8]),
    Unnamed,
}

impl Address {
    fn key(&self) -> Key<'_> {
        let address = match self {
            Address::Inet(address) => return Key::Inet(*address),
            Address::Unix(address) => address,
        };
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.as_abstract_name() {
            return Key::Abstract(name);
        }
        address.as_pathname().map_or(Key::Unnamed, Key::Path)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Address) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
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

/// What the system has said last of the local address of a socket, which outlives it.
/// Most connections are never asked for theirs.
#[derive(Default)]
pub(crate) struct LocalAddress(RefCell<Option<Box<Address>>>);

impl LocalAddress {
    /// What the system says now, which is kept; or what it said last.
    pub(crate) fn or_last(&self, now: Option<Address>) -> Option<Address> {
        if let Some(address) = now {
            self.0.replace(Some(Box::new(address)));
        }
        self.last()
    }

    pub(crate) fn last(&self) -> Option<Address> {
        self.0.borrow().as_deref().cloned()
    }
}

/// What a transport knows of its connection (`transport.get_extra_info`), also when it is
/// lost; see [`local_addr`](ExtraInfo::local_addr).
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ExtraInfo {
    /// The other end (asyncio's `peername`).
    pub peer_addr: Option<Address>,
    /// This end (asyncio's `sockname`). It takes a system call, which is made when somebody
    /// asks: of a connection that is lost it is what was said last, and `None` if nobody
    /// had asked. In `connection_lost` it can still be asked for, unless there is TLS.
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
