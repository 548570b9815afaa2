//! Names to addresses: `getaddrinfo`, on a thread that is kept for that.

mod lookups;

pub use lookups::{AddrHints, AddrInfo, NameFlags, SocketKind, getaddrinfo, getnameinfo};

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs};

use crate::threads::call_on_resolver;

/// Where to connect or bind to: an address, or a name and a port.
///
/// As std's [`ToSocketAddrs`], but looking a name up suspends the task instead of
/// blocking the thread. An address written out needs no lookup.
pub trait ToAddrs {
    /// The addresses, at least one, in the order in which to try them.
    ///
    /// # Errors
    ///
    /// Kind `InvalidInput` if it is not of the form `host:port`; what the system's
    /// resolver reports; a cancellation of the task.
    #[track_caller]
    fn to_addrs(&self) -> io::Result<Vec<SocketAddr>>;

    /// The name or literal address of the host, which TLS checks the peer's
    /// certificate for; `None` for several addresses.
    fn host(&self) -> Option<String> {
        None
    }
}

/// The host and the port of an address, if it has them, or what is wrong with it.
fn split(address: &str) -> Result<(&str, u16), String> {
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(match address.contains('/') {
            true => format!(
                "`{address}` is a path, and an address has the form `host:port`; what is for \
                 Unix sockets has `unix` in its name"
            ),
            false => format!("`{address}` has no port; an address has the form `host:port`"),
        });
    };
    match port.parse() {
        Ok(port) => Ok((host, port)),
        Err(_) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => {
            Err(format!("the port {port} of `{address}` is out of range, which ends at 65535"))
        }
        Err(_) => Err(format!(
            "`{port}` is no port; `{address}` has not the form `host:port`, with a number"
        )),
    }
}

/// Looks up a host name; a literal address is taken as it is.
///
/// # Errors
///
/// What the system's resolver reports; a cancellation of the task.
#[track_caller]
pub(crate) fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // A literal address of IPv6 may be in brackets.
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    let lookup = move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let addresses =
        call_on_resolver(format!("the address of {host}"), lookup).map_err(io::Error::from)?;
    let addresses = addresses.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot resolve the host name `{host}`: {error}"))
    })?;
    if addresses.is_empty() {
        let text = format!("the host name `{host}` has no address");
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(addresses)
}

impl ToAddrs for str {
    fn to_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Ok(vec![address]);
        }
        let parts = split(self);
        let (host, port) =
            parts.map_err(|text| io::Error::new(io::ErrorKind::InvalidInput, text))?;
        resolve(host, port)
    }

    fn host(&self) -> Option<String> {
        match self.parse::<SocketAddr>() {
            Ok(address) => Some(address.ip().to_string()),
            Err(_) => split(self).ok().map(|(host, _)| host.to_owned()),
        }
    }
}

impl ToAddrs for String {
    fn to_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.as_str().to_addrs()
    }

    fn host(&self) -> Option<String> {
        self.as_str().host()
    }
}

impl ToAddrs for (&str, u16) {
    fn to_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        resolve(self.0, self.1)
    }

    fn host(&self) -> Option<String> {
        Some(self.0.to_owned())
    }
}

impl ToAddrs for (String, u16) {
    fn to_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        resolve(&self.0, self.1)
    }

    fn host(&self) -> Option<String> {
        Some(self.0.clone())
    }
}

impl ToAddrs for [SocketAddr] {
    fn to_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        if self.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address was given"));
        }
        Ok(self.to_vec())
    }
}

impl<T: ToAddrs + ?Sized> ToAddrs for &T {
    fn to_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        (**self).to_addrs()
    }

    fn host(&self) -> Option<String> {
        (**self).host()
    }
}

macro_rules! literal_addresses {
    ($($address:ty),+) => {$(
        impl ToAddrs for $address {
            fn to_addrs(&self) -> io::Result<Vec<SocketAddr>> {
                Ok(vec![(*self).into()])
            }

            fn host(&self) -> Option<String> {
                Some(SocketAddr::from(*self).ip().to_string())
            }
        }
    )+};
}

literal_addresses!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16));
literal_addresses!((std::net::Ipv4Addr, u16), (std::net::Ipv6Addr, u16));
