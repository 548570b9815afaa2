//! Datagrams by Unix sockets.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::named::Named;
use crate::connecting::{Rests, SocketFile, open_unix_datagram, unix_name};
use crate::net::limited::{Limited, is_a_descriptor, methods_of_all_sockets};
use crate::selector_events::Watched;

type Socket = std::os::unix::net::UnixDatagram;

/// A Unix socket for datagrams (`std::os::unix::net::UnixDatagram`). None is lost on
/// its way, and they arrive in order.
///
/// ```
/// use stackio::net::UnixDatagram;
///
/// stackio::run(|| {
///     let (near, far) = UnixDatagram::pair()?;
///     near.send(b"one")?;
///     near.send(b"two")?;
///     let mut buffer = [0; 16];
///     assert_eq!(far.recv(&mut buffer)?, 3);
///     assert_eq!(&buffer[..3], b"one");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct UnixDatagram(Rc<Limited<Named<Socket>>>);

impl UnixDatagram {
    /// A socket bound to a name in the file system, which the peer sees.
    ///
    /// The file of a socket that is there already is removed first, and that of this
    /// one when its last handle is dropped, by the rules of
    /// [`UnixListener::bind`](super::UnixListener::bind): so a path that begins with a zero
    /// byte is an abstract name, here and in the other methods that take a path.
    ///
    /// # Errors
    ///
    /// `AddrInUse`; others of the system.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_addr(&unix_name(path.as_ref())?)
    }

    /// A socket bound to an address, which may be one of the abstract names that Linux
    /// has.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixDatagram::bind); `InvalidInput` if it has no name.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        let (socket, file) = open_unix_datagram(address)?;
        Ok(UnixDatagram::wrap(socket.into(), file))
    }

    /// A socket without a name: nobody can answer it.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(Socket::unbound()?)
    }

    /// Two sockets that are connected with each other.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = Socket::pair()?;
        Ok((UnixDatagram::from_std(one)?, UnixDatagram::from_std(other)?))
    }

    /// Takes over a socket of std's, whose file it leaves alone.
    ///
    /// # Errors
    ///
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(socket: Socket) -> io::Result<UnixDatagram> {
        socket.set_nonblocking(true)?;
        Ok(UnixDatagram::wrap(socket, None))
    }

    /// The socket as one of std's. It stays in non-blocking mode, and shares that with other
    /// handles to it. Its file, if it has one, stays when it is closed, as std's does.
    ///
    /// # Errors
    ///
    /// If there are other handles and there is no descriptor left for a copy.
    pub fn into_std(self) -> io::Result<Socket> {
        let only = self.0.into_socket(|shared| {
            let copy = shared.try_clone()?;
            shared.leave_file();
            Ok(Named::new(copy, None))
        });
        only.map(Named::into_socket)
    }

    fn wrap(socket: Socket, file: Option<SocketFile>) -> UnixDatagram {
        UnixDatagram(Limited::new(Watched::new(Named::new(socket, file))))
    }

    methods_of_all_sockets!();

    /// Sets the peer: `send` goes to it, `recv` takes only what comes from it.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&unix_name(path.as_ref())?)
    }

    /// The same by an address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.0.socket().connect_addr(address)
    }

    /// Receives a datagram; what does not fit into the buffer is lost. Its length.
    ///
    /// # Errors
    ///
    /// Those of the system; `TimedOut`; a cancellation of the task.
    #[track_caller]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.reading(|socket| socket.recv(buffer))
    }

    /// Receives a datagram and the address it came from.
    ///
    /// # Errors
    ///
    /// As [`recv`](UnixDatagram::recv).
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.reading(|socket| socket.recv_from(buffer))
    }

    /// Sends a datagram to the peer; waits while it has too many of them.
    ///
    /// # Errors
    ///
    /// Those of the system; `TimedOut`; a cancellation of the task.
    #[track_caller]
    pub fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.0.writing(|socket| socket.send(datagram))
    }

    /// Sends a datagram to the socket of that name in the file system; waits while that
    /// has too many of them.
    ///
    /// # Errors
    ///
    /// As [`send`](UnixDatagram::send); `NotFound`, and `ConnectionRefused` if nobody
    /// has the socket any more.
    #[track_caller]
    pub fn send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.send_to_addr(datagram, &unix_name(path.as_ref())?)
    }

    /// The same by an address.
    ///
    /// # Errors
    ///
    /// As [`send_to`](UnixDatagram::send_to).
    #[track_caller]
    pub fn send_to_addr(&self, datagram: &[u8], address: &SocketAddr) -> io::Result<usize> {
        // That another socket has room again makes this one ready only if it is its peer.
        let mut rests = Rests::new();
        loop {
            let tried = self.0.writing(|socket| match socket.send_to_addr(datagram, address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                ended => ended.map(Some),
            });
            if let Some(sent) = tried? {
                return Ok(sent);
            }
            rests.rest(self.write_timeout())?;
        }
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket().local_addr()
    }

    /// The peer it is connected to.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket().peer_addr()
    }

    /// Ends one direction or both.
    ///
    /// # Errors
    ///
    /// `NotConnected`.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.socket().shutdown(how)
    }
}

is_a_descriptor!(UnixDatagram);
