//! Connections by Unix sockets.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::connecting::{connect_unix, unix_name};
use crate::net::limited::{Limited, is_a_descriptor, methods_of_all_sockets, reads_and_writes};
use crate::net::sending::sends_files;
use crate::selector_events::Watched;
use crate::sys::peer::credentials;

type Socket = std::os::unix::net::UnixStream;

/// A connection by a Unix socket (`std::os::unix::net::UnixStream`).
///
/// ```
/// use std::io::{Read, Write};
/// use stackio::net::UnixStream;
/// use stackio::spawn;
///
/// stackio::run(|| {
///     let (mut near, mut far) = UnixStream::pair()?;
///     let echo = spawn(move || {
///         let mut text = [0; 4];
///         far.read_exact(&mut text)?;
///         Ok(far.write_all(&text)?)
///     });
///     near.write_all(b"ping")?;
///     let mut answer = String::new();
///     near.read_to_string(&mut answer)?;
///     assert_eq!(answer, "ping");
///     echo.join()
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct UnixStream(Rc<Limited<Socket>>);

impl UnixStream {
    /// Connects to the socket of that name in the file system; of one in Linux's abstract
    /// namespace, if it begins with a zero byte.
    ///
    /// # Errors
    ///
    /// Those of the system: `NotFound`, and `ConnectionRefused` if nobody listens
    /// there any more; a cancellation.
    #[track_caller]
    pub fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::connect_addr(&unix_name(path.as_ref())?)
    }

    /// Connects to an address, which may be one of the abstract names that Linux has.
    ///
    /// # Errors
    ///
    /// As [`connect`](UnixStream::connect); `InvalidInput` if it has no name.
    #[track_caller]
    pub fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        Ok(UnixStream::wrap(connect_unix(address)?.retyped()))
    }

    /// Two sockets that are connected with each other.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = Socket::pair()?;
        Ok((UnixStream::from_std(one)?, UnixStream::from_std(other)?))
    }

    /// Takes over a stream of std's.
    ///
    /// # Errors
    ///
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(stream: Socket) -> io::Result<UnixStream> {
        stream.set_nonblocking(true)?;
        Ok(UnixStream::wrap(Watched::new(stream)))
    }

    /// The stream as one of std's. It stays in non-blocking mode, and shares that with
    /// other handles to the connection.
    ///
    /// # Errors
    ///
    /// If there are other handles and there is no descriptor left for a copy.
    pub fn into_std(self) -> io::Result<Socket> {
        self.0.into_socket(Socket::try_clone)
    }

    fn wrap(io: Watched<Socket>) -> UnixStream {
        UnixStream(Limited::new(io))
    }

    methods_of_all_sockets!();
    sends_files!();

    /// The address of the other end, which has no name unless it was bound to one.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket().peer_addr()
    }

    /// The address of this end.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket().local_addr()
    }

    /// Who is at the other end, as the system knows it from the time of connecting.
    ///
    /// # Errors
    ///
    /// Those of the system; `Unsupported` where it does not tell.
    pub fn peer_cred(&self) -> io::Result<PeerCredentials> {
        let (uid, gid, pid) = credentials(self.0.as_fd())?;
        Ok(PeerCredentials { uid, gid, pid })
    }

    /// Ends one direction or both; with `Write`, the other side reads to the end
    /// and can still answer.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.socket().shutdown(how)
    }
}

is_a_descriptor!(UnixStream);
reads_and_writes!(UnixStream, &UnixStream);

/// Who is at the other end of a Unix socket; given by [`UnixStream::peer_cred`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The number of its user.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// The number of its process, if the system tells and the process is in our
    /// namespace.
    pub pid: Option<i32>,
}
