//! What can carry a connection. A test of what protocols are told is for all of them.

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::net;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::rc::Rc;

#[cfg(feature = "tls")]
use stackio::{Connector, ServerBuilder};
use stackio::{IntoProtocol, Result, Transport, get_running_loop};

use super::recorder::{Call, Log};

/// A sort of connection.
pub trait Carrier: 'static {
    const NAME: &'static str;
    /// Whether both ends read and write; if not, the first writes and the second reads.
    const DUPLEX: bool;
    /// Whether one direction can be ended without the other.
    const HALVES: bool = Self::DUPLEX;
    /// Whether an end that is cut in `connection_made` may be one that the other never hears of.
    const SHAKES_HANDS: bool = false;
    /// Whether the end of what the first end sends reaches the second without an error.
    const ENDS: bool = true;

    /// By how much less is to be sent, for tests to be quick.
    const SLOW: usize = 1;
    /// More bytes than the system takes before anything waits here.
    const HOLDS: usize = 1 << 20;

    /// Opens a connection with these protocols at its ends.
    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result;
}

/// Opens one for two protocols that write down what they are told; their transports.
pub fn open<C: Carrier, A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(
    (first, near): (A, &Log),
    (second, far): (B, &Log),
) -> Result<(Transport, Transport)> {
    C::open(first, second)?;
    super::until(|| near.has(Call::Made) && far.has(Call::Made))?;
    Ok((near.transport(), far.transport()))
}

/// Does the same with every sort of connection.
macro_rules! for_every_carrier {
    ($scenario:ident $(, $argument:expr)*) => {{
        $scenario::<$crate::transports::carriers::Tcp>($($argument),*);
        $scenario::<$crate::transports::carriers::Served>($($argument),*);
        $scenario::<$crate::transports::carriers::Unix>($($argument),*);
        $scenario::<$crate::transports::carriers::Narrow>($($argument),*);
        $scenario::<$crate::transports::carriers::Memory>($($argument),*);
        $scenario::<$crate::transports::carriers::Bytewise>($($argument),*);
        $scenario::<$crate::transports::carriers::Pipe>($($argument),*);
        $scenario::<$crate::transports::carriers::Terminal>($($argument),*);
        #[cfg(feature = "tls")]
        $scenario::<$crate::transports::carriers::Tls>($($argument),*);
        #[cfg(feature = "tls")]
        $scenario::<$crate::transports::carriers::Reversed<$crate::transports::carriers::Tls>>(
            $($argument),*
        );
        $scenario::<$crate::transports::carriers::Reversed<$crate::transports::carriers::Tcp>>($($argument),*);
        $scenario::<$crate::transports::carriers::Reversed<$crate::transports::carriers::Served>>($($argument),*);
        $scenario::<$crate::transports::carriers::Reversed<$crate::transports::carriers::Memory>>($($argument),*);
    }};
}
pub(crate) use for_every_carrier;

/// Both ends made of sockets that are connected already.
fn adopt<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(
    (first, near): (A, impl Into<OwnedFd>),
    (second, far): (B, impl Into<OwnedFd>),
) -> Result {
    let event_loop = get_running_loop()?;
    event_loop.connect_accepted_socket(|| first, near)?;
    event_loop.connect_accepted_socket(|| second, far)?;
    Ok(())
}

pub struct Tcp;

impl Carrier for Tcp {
    const NAME: &'static str = "TCP";
    const DUPLEX: bool = true;
    const HOLDS: usize = 20 << 20;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        let listener = net::TcpListener::bind("127.0.0.1:0")?;
        let near = net::TcpStream::connect(listener.local_addr()?)?;
        let (far, _) = listener.accept()?;
        adopt((first, near), (second, far))
    }
}

/// A client that connects, and what a server makes of it.
pub struct Served;

impl Carrier for Served {
    const NAME: &'static str = "a server";
    const DUPLEX: bool = true;
    const HOLDS: usize = 20 << 20;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        let (accepted, mut second) = (Rc::new(Cell::new(false)), Some(second));
        let told = accepted.clone();
        let factory = move || {
            told.set(true);
            second.take().expect("one comes")
        };
        let event_loop = get_running_loop()?;
        let server = event_loop.create_server(factory, "127.0.0.1:0")?;
        event_loop.create_connection(|| first, server.local_addrs()[0])?;
        super::until(|| accepted.get())?;
        server.close();
        Ok(())
    }
}

/// The same, encrypted.
#[cfg(feature = "tls")]
pub struct Tls;

#[cfg(feature = "tls")]
impl Carrier for Tls {
    const NAME: &'static str = "TLS";
    const DUPLEX: bool = true;
    const HALVES: bool = false;
    const SHAKES_HANDS: bool = true;
    const HOLDS: usize = 20 << 20;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        let (client, server) = crate::tls::acquainted()?;
        let mut second = Some(second);
        let factory = move || second.take().expect("one comes");
        let server = ServerBuilder::new().tls(&server).create_server(factory, "127.0.0.1:0")?;
        let connector = Connector::new().tls(&client).server_hostname("localhost");
        connector.create_connection(|| first, server.local_addrs()[0])?;
        server.close();
        Ok(())
    }
}

pub struct Unix;

impl Carrier for Unix {
    const NAME: &'static str = "a Unix socket";
    const DUPLEX: bool = true;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        let (near, far) = UnixStream::pair()?;
        adopt((first, near), (second, far))
    }
}

/// A Unix socket that takes little at a time.
pub struct Narrow;

impl Carrier for Narrow {
    const NAME: &'static str = "a narrow socket";
    const DUPLEX: bool = true;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        let (near, far) = UnixStream::pair()?;
        super::narrow(&near)?;
        super::narrow(&far)?;
        adopt((first, near), (second, far))
    }
}

pub struct Memory;

impl Carrier for Memory {
    const NAME: &'static str = "memory";
    const DUPLEX: bool = true;
    const HOLDS: usize = 0;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        get_running_loop()?.create_pair(|| first, || second, None)?;
        Ok(())
    }
}

/// Memory that gives bytes one by one.
pub struct Bytewise;

impl Carrier for Bytewise {
    const NAME: &'static str = "memory, byte by byte";
    const DUPLEX: bool = true;
    const SLOW: usize = 20;
    const HOLDS: usize = 0;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        get_running_loop()?.create_pair(|| first, || second, 1)?;
        Ok(())
    }
}

pub struct Pipe;

impl Carrier for Pipe {
    const NAME: &'static str = "a pipe";
    const DUPLEX: bool = false;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        let (reader, writer) = io::pipe()?;
        join(first, writer, second, reader)
    }
}

fn join<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(
    first: A,
    writer: impl Into<OwnedFd>,
    second: B,
    reader: impl Into<OwnedFd>,
) -> Result {
    let event_loop = get_running_loop()?;
    event_loop.connect_write_pipe(|| first, writer)?;
    event_loop.connect_read_pipe(|| second, reader)?;
    Ok(())
}

/// A program that writes to a terminal whose other side is read.
pub struct Terminal;

impl Carrier for Terminal {
    const NAME: &'static str = "a terminal";
    const DUPLEX: bool = false;
    /// When the last program has closed it, reading is an error (EIO on Linux).
    const ENDS: bool = false;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        let (ours, theirs) = crate::pipes::terminal()?;
        raw(&theirs)?;
        join(first, theirs, second, ours)
    }
}

/// Has a terminal pass bytes on as they are.
fn raw(terminal: &OwnedFd) -> io::Result<()> {
    let status =
        Command::new("stty").args(["raw", "-echo"]).stdin(terminal.try_clone()?).status()?;
    assert!(status.success(), "stty: {status}");
    Ok(())
}

/// The same the other way round.
pub struct Reversed<C>(PhantomData<C>);

impl<C: Carrier> Carrier for Reversed<C> {
    const NAME: &'static str = C::NAME;
    const DUPLEX: bool = true;
    const HALVES: bool = C::HALVES;
    const SHAKES_HANDS: bool = C::SHAKES_HANDS;
    const SLOW: usize = C::SLOW;
    const HOLDS: usize = C::HOLDS;

    fn open<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(first: A, second: B) -> Result {
        assert!(C::DUPLEX);
        C::open(second, first)
    }
}
