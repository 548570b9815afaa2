//! TCP connections.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use super::{Limits, check_timeout};
use crate::connecting::{ConnectOptions, connect};
use crate::resolver::ToAddrs;
use crate::selector_events::Watched;
use crate::selectors::Direction;
use crate::timeouts::timeout;

/// How many buffers of a vectored operation are looked at: `IOV_MAX`, on every
/// system, to which std keeps as well.
const MAX_BUFFERS: usize = 1024;

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
pub struct TcpStream(Rc<Connection>);

struct Connection {
    io: Watched<std::net::TcpStream>,
    limits: Limits,
}

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
        match Rc::try_unwrap(self.0) {
            Ok(connection) => Ok(connection.io.into_source()),
            Err(shared) => shared.io.source().try_clone(),
        }
    }

    fn wrap(io: Watched<std::net::TcpStream>) -> TcpStream {
        TcpStream(Rc::new(Connection { io, limits: Limits::default() }))
    }

    fn socket(&self) -> &std::net::TcpStream {
        self.0.io.source()
    }

    /// Another handle to the same connection, for a second task.
    ///
    /// # Errors
    ///
    /// None; the signature is std's.
    pub fn try_clone(&self) -> io::Result<TcpStream> {
        Ok(TcpStream(self.0.clone()))
    }

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

    /// The error that the system keeps for the socket, which is cleared.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }

    /// How long a read may wait before it fails with `TimedOut`; `None` is for
    /// ever.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the time is zero.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.0.limits.set_read(limit)
    }

    /// How long a write may wait before it fails with `TimedOut`.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the time is zero.
    pub fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.0.limits.set_write(limit)
    }

    /// The time set for reads.
    pub fn read_timeout(&self) -> Option<Duration> {
        self.0.limits.read.get()
    }

    /// The time set for writes.
    pub fn write_timeout(&self) -> Option<Duration> {
        self.0.limits.write.get()
    }

    /// Reads without taking what is read out of the stream.
    ///
    /// # Errors
    ///
    /// As `read`.
    #[track_caller]
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.io.attempt(Direction::Read, self.read_timeout(), |socket| socket.peek(buffer))
    }

    #[track_caller]
    fn read_with(
        &self,
        wanted: usize,
        operation: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let count = self.0.io.attempt(Direction::Read, self.read_timeout(), operation)?;
        if count < wanted {
            self.0.io.drained(Direction::Read);
        }
        Ok(count)
    }

    #[track_caller]
    fn write_with(
        &self,
        wanted: usize,
        operation: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let count = self.0.io.attempt(Direction::Write, self.write_timeout(), operation)?;
        if count < wanted {
            self.0.io.drained(Direction::Write);
        }
        Ok(count)
    }
}

impl Read for &TcpStream {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(buffer.len(), |mut socket| socket.read(buffer))
    }

    #[track_caller]
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let wanted = buffers.iter().take(MAX_BUFFERS).map(|buffer| buffer.len()).sum();
        self.read_with(wanted, |mut socket| socket.read_vectored(buffers))
    }
}

impl Read for TcpStream {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    #[track_caller]
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for &TcpStream {
    #[track_caller]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.write_with(buffer.len(), |mut socket| socket.write(buffer))
    }

    #[track_caller]
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted = buffers.iter().take(MAX_BUFFERS).map(|buffer| buffer.len()).sum();
        self.write_with(wanted, |mut socket| socket.write_vectored(buffers))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TcpStream {
    #[track_caller]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self).write(buffer)
    }

    #[track_caller]
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.io.as_fd()
    }
}

impl AsRawFd for TcpStream {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.socket(), f)
    }
}
