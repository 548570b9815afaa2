//! Listeners on Unix sockets.

use std::io;
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use super::named::Named;
use super::stream::UnixStream;
use crate::connecting::{BindOptions, open_unix_listener, unix_name};
use crate::net::limited::is_a_descriptor;
use crate::net::listening::{Incoming, Listening};

type Socket = std::os::unix::net::UnixListener;

/// A socket that Unix connections are accepted from
/// (`std::os::unix::net::UnixListener`).
///
/// ```
/// use std::io::{Read, Write};
/// use stackio::net::{UnixListener, UnixStream};
/// use stackio::spawn;
///
/// stackio::run(|| {
///     let path = std::env::temp_dir().join(format!("stackio-doc-{}", std::process::id()));
///     let listener = UnixListener::bind(&path)?;
///     let server = spawn(move || {
///         let (mut stream, _) = listener.accept()?;
///         Ok(stream.write_all(b"hello")?)
///     });
///     let mut greeting = String::new();
///     UnixStream::connect(&path)?.read_to_string(&mut greeting)?;
///     assert_eq!(greeting, "hello");
///     server.join()?;
///     assert!(!path.exists(), "its file went with the listener");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct UnixListener(Rc<Listening<Named<Socket>>>);

impl UnixListener {
    /// Binds to a name in the file system and listens.
    ///
    /// The file of a socket that is there already is removed first, whether somebody
    /// still listens there or not; anything else there is an error. The file is removed
    /// when the last handle to the listener is dropped, unless another socket has taken
    /// its place. Both is as in asyncio.
    ///
    /// A path that begins with a zero byte is a name in Linux's abstract namespace, as it
    /// is everywhere in this crate.
    ///
    /// # Errors
    ///
    /// `AddrInUse`; others of the system, as for a name of more than about 100 bytes.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&unix_name(path.as_ref())?)
    }

    /// Binds to an address, which may be one of the abstract names that Linux has: those
    /// have no file, and are gone with the listener.
    ///
    /// # Errors
    ///
    /// As [`bind`](UnixListener::bind); `InvalidInput` if it has no name.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        let (socket, file) = open_unix_listener(address, &BindOptions::default())?;
        Ok(UnixListener::wrap(Named::new(socket.into(), file)))
    }

    /// Takes over a listener of std's, whose file it leaves alone.
    ///
    /// # Errors
    ///
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(listener: Socket) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        Ok(UnixListener::wrap(Named::new(listener, None)))
    }

    /// The listener as one of std's. It stays in non-blocking mode, and shares that with other
    /// handles to it. Its file, if it has one, stays when it is closed, as std's does.
    ///
    /// # Errors
    ///
    /// If there are other handles and there is no descriptor left for a copy.
    pub fn into_std(self) -> io::Result<Socket> {
        match Rc::try_unwrap(self.0) {
            Ok(only) => Ok(only.into_socket().into_socket()),
            Err(shared) => {
                let copy = shared.socket().try_clone()?;
                shared.socket().leave_file();
                Ok(copy)
            }
        }
    }

    fn wrap(listener: Named<Socket>) -> UnixListener {
        UnixListener(Rc::new(Listening::new(listener)))
    }

    /// Waits for a connection. Several tasks may do so, and are served in the
    /// order in which they came.
    ///
    /// When the process has no descriptors left, it tells the loop's
    /// [exception handler](crate::LoopBuilder::exception_handler), rests for a second
    /// and tries again, as asyncio does.
    ///
    /// # Errors
    ///
    /// Those of the system; a cancellation of the task.
    #[track_caller]
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.0.accept(|listener| listener.accept())?;
        Ok((UnixStream::from_std(stream)?, peer))
    }

    /// The connections, one after the other, for ever.
    pub fn incoming(&self) -> Incoming<'_, UnixListener> {
        Incoming { listener: self }
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.socket().local_addr()
    }

    /// Another handle to the same listener, for a second task.
    ///
    /// # Errors
    ///
    /// None; the signature is std's.
    pub fn try_clone(&self) -> io::Result<UnixListener> {
        Ok(UnixListener(self.0.clone()))
    }
}

is_a_descriptor!(UnixListener);

impl Iterator for Incoming<'_, UnixListener> {
    type Item = io::Result<UnixStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}
