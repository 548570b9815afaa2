//! The system's resolver with all it can be asked: `getaddrinfo` and `getnameinfo`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::BitOr;

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind};

use crate::threads::call_on_resolver;

/// What kind of socket an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketKind {
    /// A TCP stream or listener.
    Stream,
    /// A UDP socket.
    Datagram,
}

/// Which addresses [`getaddrinfo`] is to give; made by [`AddrHints::new`] for streams of
/// both families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "they are an argument of `getaddrinfo`"]
pub struct AddrHints {
    family: i32,
    kind: SocketKind,
    flags: i32,
}

impl Default for AddrHints {
    fn default() -> AddrHints {
        AddrHints::new()
    }
}

impl AddrHints {
    /// Addresses of both families, for streams.
    pub fn new() -> AddrHints {
        AddrHints { family: libc::AF_UNSPEC, kind: SocketKind::Stream, flags: 0 }
    }

    /// Only those of IPv4.
    pub fn v4(mut self) -> AddrHints {
        self.family = libc::AF_INET;
        self
    }

    /// Only those of IPv6.
    pub fn v6(mut self) -> AddrHints {
        self.family = libc::AF_INET6;
        self
    }

    /// For which kind of socket: a service may have another port for datagrams.
    pub fn kind(mut self, kind: SocketKind) -> AddrHints {
        self.kind = kind;
        self
    }

    /// To bind to instead of to connect to: no host is any address (`AI_PASSIVE`).
    pub fn passive(self) -> AddrHints {
        self.flag(libc::AI_PASSIVE)
    }

    /// Asks for the proper name of the host as well (`AI_CANONNAME`).
    pub fn canonical_name(self) -> AddrHints {
        self.flag(libc::AI_CANONNAME)
    }

    /// The host has to be an address; nobody is asked (`AI_NUMERICHOST`).
    pub fn numeric_host(self) -> AddrHints {
        self.flag(libc::AI_NUMERICHOST)
    }

    /// Leaves out families of which this machine has no address itself
    /// (`AI_ADDRCONFIG`).
    pub fn configured(self) -> AddrHints {
        self.flag(libc::AI_ADDRCONFIG)
    }

    fn flag(mut self, flag: i32) -> AddrHints {
        self.flags |= flag;
        self
    }
}

/// One of the addresses that [`getaddrinfo`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddrInfo {
    /// The address with the port of the service.
    pub address: SocketAddr,
    /// What it is for.
    pub kind: SocketKind,
    /// The proper name of the host, with the first address if it was asked for.
    pub canonical_name: Option<String>,
}

/// The addresses of a host and a service, from the system's resolver
/// (`loop.getaddrinfo`), in the order in which to try them. It is asked on one of the
/// threads that the loop has for that.
///
/// The host may be a name or an address; `None` is this machine, for binding any of its
/// addresses. The service may be a port or a name, as `"http"`.
///
/// ```
/// use stackio::net::{AddrHints, getaddrinfo};
///
/// stackio::run(|| {
///     let found = getaddrinfo("127.0.0.1", 80, AddrHints::new())?;
///     assert_eq!(found[0].address, "127.0.0.1:80".parse()?);
///     let found = getaddrinfo(None, 0, AddrHints::new().v4().passive())?;
///     assert_eq!(found[0].address, "0.0.0.0:0".parse()?);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// What the resolver reports: `NotFound` if there is no such host or service or it has
/// no such address, `InvalidInput` if the hints do not go together; a cancellation of the
/// task.
#[track_caller]
pub fn getaddrinfo<'a>(
    host: impl Into<Option<&'a str>>,
    service: impl fmt::Display,
    hints: AddrHints,
) -> io::Result<Vec<AddrInfo>> {
    let (host, service) = (host.into().map(str::to_owned), service.to_string());
    let name = host.clone().unwrap_or_else(|| "this machine".to_owned());
    let asked = name.clone();
    call_on_resolver(format!("the addresses of {name}"), move || {
        look_up(host.as_deref(), &service, hints)
            .map_err(|error| named(error, &format!("cannot resolve {asked}, service {service}")))
    })?
}

fn look_up(
    host: Option<&str>,
    service: &str,
    hints: AddrHints,
) -> Result<Vec<AddrInfo>, LookupError> {
    let socktype = match hints.kind {
        SocketKind::Stream => libc::SOCK_STREAM,
        SocketKind::Datagram => libc::SOCK_DGRAM,
    };
    let asked = AddrInfoHints { flags: hints.flags, address: hints.family, socktype, protocol: 0 };
    let found = dns_lookup::getaddrinfo(host, Some(service), Some(asked))?;
    let found = found.map(|info| {
        info.map(|info| AddrInfo {
            address: info.sockaddr,
            kind: hints.kind,
            canonical_name: info.canonname,
        })
    });
    Ok(found.collect::<io::Result<Vec<_>>>()?)
}

/// What [`getnameinfo`] is to do in another way than usual; they are combined by `|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameFlags(i32);

impl NameFlags {
    /// Nothing: names where there are some, numbers otherwise.
    pub const NONE: NameFlags = NameFlags(0);
    /// The address as it is, instead of a name (`NI_NUMERICHOST`).
    pub const NUMERIC_HOST: NameFlags = NameFlags(libc::NI_NUMERICHOST);
    /// The port as it is, instead of a name (`NI_NUMERICSERV`).
    pub const NUMERIC_SERVICE: NameFlags = NameFlags(libc::NI_NUMERICSERV);
    /// An address without a name is an error (`NI_NAMEREQD`).
    pub const NAME_REQUIRED: NameFlags = NameFlags(libc::NI_NAMEREQD);
    /// The service is one for datagrams (`NI_DGRAM`).
    pub const DATAGRAM: NameFlags = NameFlags(libc::NI_DGRAM);
    /// Of hosts of this domain only their own part of the name (`NI_NOFQDN`).
    pub const NO_DOMAIN: NameFlags = NameFlags(libc::NI_NOFQDN);
}

impl BitOr for NameFlags {
    type Output = NameFlags;

    fn bitor(self, other: NameFlags) -> NameFlags {
        NameFlags(self.0 | other.0)
    }
}

/// The names of an address and a port, from the system's resolver
/// (`loop.getnameinfo`): host and service. It is asked on a thread as well.
///
/// ```
/// use stackio::net::{NameFlags, getnameinfo};
///
/// stackio::run(|| {
///     let numbers = NameFlags::NUMERIC_HOST | NameFlags::NUMERIC_SERVICE;
///     let (host, service) = getnameinfo("[::1]:80".parse()?, numbers)?;
///     assert_eq!((&*host, &*service), ("::1", "80"));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// What the resolver reports, as [`getaddrinfo`]; a cancellation of the task.
#[track_caller]
pub fn getnameinfo(address: SocketAddr, flags: NameFlags) -> io::Result<(String, String)> {
    call_on_resolver(format!("the name of {address}"), move || {
        dns_lookup::getnameinfo(&address, flags.0)
            .map_err(|error| named(error, &format!("cannot find the name of {address}")))
    })?
}

/// The resolver's error as one of std's, with a kind where there is one that fits.
fn named(error: LookupError, what: &str) -> io::Error {
    let kind = match error.kind() {
        LookupErrorKind::NoName | LookupErrorKind::NoData => Some(io::ErrorKind::NotFound),
        LookupErrorKind::Badflags
        | LookupErrorKind::Family
        | LookupErrorKind::Service
        | LookupErrorKind::Socktype => Some(io::ErrorKind::InvalidInput),
        _ => None,
    };
    let error = io::Error::from(error);
    io::Error::new(kind.unwrap_or(error.kind()), format!("{what}: {error}"))
}
