//! TCP connections.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::limited::{
    Limited, check_timeout, is_a_descriptor, methods_of_all_sockets, reads_and_writes,
};
use super::sending::sends_files;
use crate::connecting::{ConnectOptions, connect};
use crate::resolver::ToAddrs;
use crate::selector_events::Watched;
use crate::timeouts::timeout;

/// A TCP connection (`std::net::TcpStream`).
///
/// ```
/// use std::io::{Read, Write};
/// use stackio::net::{TcpListener, TcpStream};
/// use stackio::spawn;
///
/// stackio::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let server = spawn(move || {
///         let (mut stream, _) = listener.accept()?;
///         stream.write_all(b"hello")?;
///         Ok(())
///     });
///     let mut greeting = String::new();
///     TcpStream::connect(address)?.read_to_string(&mut greeting)?;
///     assert_eq!(greeting, "hello");
///     server.join()
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct TcpStream(Rc<Limited<std::net::TcpStream>>);

impl TcpStream {
    /// Connects, trying the addresses of a name in turn.
    ///
    /// # Errors
    ///
    /// That of the address, and if there are several that failed for different
    /// reasons, one that lists them; that of the resolver; a cancellation.
    #[track_caller]
    pub fn connect(address: impl ToAddrs) -> io::Result<TcpStream> {
        TcpStream::connect_with(&address.to_addrs()?, &ConnectOptions::default())
    }

    #[track_caller]
    pub(super) fn connect_with(
        addresses: &[SocketAddr],
        options: &ConnectOptions,
    ) -> io::Result<TcpStream> {
        let socket = connect(addresses, options)?;
        Ok(TcpStream::wrap(socket.retyped()))
    }

    /// Connects, and gives up with `TimedOut` after that time.
    ///
    /// # Errors
    ///
    /// As [`connect`](TcpStream::connect), `TimedOut`, and `InvalidInput` if the
    /// time is zero.
    #[track_caller]
    pub fn connect_timeout(address: &SocketAddr, limit: Duration) -> io::Result<TcpStream> {
        check_timeout(Some(limit))?;
        Ok(timeout(limit, |_| {
            Ok(TcpStream::connect_with(&[*address], &ConnectOptions::default())?)
        })?)
    }

    /// Takes over a stream of std's.
    ///
    /// # Errors
    ///
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        Ok(TcpStream::wrap(Watched::new(stream)))
    }

    /// The stream as one of std's. It stays in non-blocking mode, and shares that with
    /// other handles to the connection.
    ///
    /// # Errors
    ///
    /// If there are other handles and there is no descriptor left for a copy.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.0.into_socket(std::net::TcpStream::try_clone)
    }

    pub(super) fn wrap(io: Watched<std::net::TcpStream>) -> TcpStream {
        TcpStream(Limited::new(io))
    }

    fn socket(&self) -> &std::net::TcpStream {
        self.0.socket()
    }

    methods_of_all_sockets!();
    sends_files!();

    /// The address of the other end.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// Ends one direction or both; with `Write`, the other side reads to the end
    /// and can still answer.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket().shutdown(how)
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket().set_nodelay(nodelay)
    }

    /// Whether small writes are sent at once.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket().nodelay()
    }

    /// Reads without taking what is read out of the stream.
    ///
    /// # Errors
    ///
    /// As `read`.
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match buffer {
            [] => Ok(0),
            buffer => self.0.reading(|socket| socket.peek(buffer)),
        }
    }
}

is_a_descriptor!(TcpStream);
reads_and_writes!(TcpStream, &TcpStream);
