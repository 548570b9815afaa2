//! Sockets on their way: opened, bound, listening, connected.
//!
//! What is above has a type for each kind of socket; here they are all
//! [`Socket`]s, in non-blocking mode and not inherited by child processes.
//! Connecting suspends the task. Several addresses are tried one after the other,
//! or, with a delay, overlapping ("happy eyeballs", RFC 8305).

mod accepting;
mod attempt;
mod binding;
mod failures;
mod race;
mod unix;

pub(crate) use accepting::{is_of_the_listener, is_shortage, report_shortage};
pub(crate) use attempt::{Rests, connect_socket, open};
pub(crate) use binding::{BindOptions, open_bound, open_datagram, open_listener};
pub(crate) use failures::{Failures, first_of};
pub(crate) use race::{interleave, staggered_race};
pub(crate) use unix::{
    SocketFile, connect_unix, open_unix_bound, open_unix_datagram, open_unix_listener,
    unix_address, unix_name,
};

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::selector_events::Watched;

/// How to connect to one of several addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectOptions {
    /// Where from: the first of these that is of the peer's family and can be bound.
    /// Without any, the system chooses.
    pub(crate) local: Vec<SocketAddr>,
    /// Whether that may be an address of connections that have ended.
    pub(crate) reuse_address: bool,
    /// Whether other sockets may have that address, if all say so.
    pub(crate) reuse_port: bool,
    /// After how long the next address is tried as well while one has not
    /// answered. Without it they are tried one after the other.
    pub(crate) delay: Option<Duration>,
    /// How many addresses of the first family come before the families alternate.
    /// Zero leaves the order as it is; without it that is done for overlapping
    /// attempts only, with one.
    pub(crate) interleave: Option<usize>,
}

/// Connects to the first of the addresses that answers.
///
/// # Errors
///
/// What none of them would do for, as one error; a cancellation.
#[track_caller]
pub(crate) fn connect(
    addresses: &[SocketAddr],
    options: &ConnectOptions,
) -> io::Result<Watched<Socket>> {
    try_connect(addresses, options)?.map_err(Failures::into_error)
}

/// The same, with the reason of each address apart.
///
/// # Errors
///
/// The outer one is a cancellation, or that nothing can be suspended here.
#[track_caller]
pub(crate) fn try_connect(
    addresses: &[SocketAddr],
    options: &ConnectOptions,
) -> io::Result<Result<Watched<Socket>, Failures>> {
    let count = options.interleave.unwrap_or(usize::from(options.delay.is_some()));
    let addresses = interleave(addresses, count);
    match options.delay {
        Some(delay) if addresses.len() > 1 => {
            let options = Rc::new(options.clone());
            let attempts = addresses.into_iter().map(|address| {
                let options = options.clone();
                (address, move || connect_to(&address, &options))
            });
            staggered_race(attempts, delay)
        }
        _ => one_after_the_other(&addresses, options),
    }
}

#[track_caller]
fn one_after_the_other(
    addresses: &[SocketAddr],
    options: &ConnectOptions,
) -> io::Result<Result<Watched<Socket>, Failures>> {
    // Not by a closure, which would not know from where it is called.
    let mut failures = Failures::default();
    for address in addresses {
        match connect_to(address, options) {
            Ok(socket) => return Ok(Ok(socket)),
            Err(error) => failures.note(*address, error)?,
        }
    }
    Ok(Err(failures))
}

/// Connects by TCP, from the first local address that will do if any are given.
///
/// # Errors
///
/// Those of the system; `AddrNotAvailable` if no local address is of the peer's
/// family; a cancellation.
#[track_caller]
fn connect_to(peer: &SocketAddr, options: &ConnectOptions) -> io::Result<Watched<Socket>> {
    let socket = open(Domain::for_address(*peer), Type::STREAM, Some(Protocol::TCP))?;
    if !options.local.is_empty() {
        bind_locally(&socket, peer, options)?;
    }
    connect_socket(socket, &(*peer).into())
}

fn bind_locally(socket: &Socket, peer: &SocketAddr, options: &ConnectOptions) -> io::Result<()> {
    if options.reuse_address {
        socket.set_reuse_address(true)?;
    }
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    let mut refusal = None;
    for address in options.local.iter().filter(|address| address.is_ipv4() == peer.is_ipv4()) {
        match socket.bind(&(*address).into()) {
            Ok(()) => return Ok(()),
            Err(error) => {
                let text = format!("cannot bind to the local address {address}: {error}");
                refusal = Some(io::Error::new(error.kind(), text));
            }
        }
    }
    Err(refusal.unwrap_or_else(|| {
        let text = format!("no local address is of the family of {peer}");
        io::Error::new(io::ErrorKind::AddrNotAvailable, text)
    }))
}
