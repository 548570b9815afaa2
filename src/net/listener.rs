//! TCP listeners.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::rc::Rc;

use super::limited::is_a_descriptor;
use super::listening::{Incoming, Listening};
use super::tcp::TcpStream;
use crate::connecting::{BindOptions, first_of, open_listener};
use crate::resolver::ToAddrs;
use crate::selector_events::Watched;
use crate::sys::accept::accept;

/// A socket that TCP connections are accepted from (`std::net::TcpListener`).
///
/// ```
/// use std::io::{Read, Write};
/// use stackio::net::{TcpListener, TcpStream};
/// use stackio::spawn;
///
/// fn echo(mut stream: TcpStream) -> std::io::Result<()> {
///     let mut buffer = [0; 4096];
///     loop {
///         match stream.read(&mut buffer)? {
///             0 => return Ok(()),
///             n => stream.write_all(&buffer[..n])?,
///         }
///     }
/// }
///
/// fn serve(listener: TcpListener) -> stackio::Result {
///     loop {
///         let (stream, _) = listener.accept()?;
///         spawn(move || Ok(echo(stream)?));
///     }
/// }
///
/// stackio::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let mut client = TcpStream::connect(listener.local_addr()?)?;
///     let server = spawn(move || serve(listener));
///     client.write_all(b"ping")?;
///     let mut answer = [0; 4];
///     client.read_exact(&mut answer)?;
///     assert_eq!(&answer, b"ping");
///     server.cancel();
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct TcpListener(Rc<Listening<std::net::TcpListener>>);

impl TcpListener {
    /// Binds to an address and listens; port 0 is any free one. The address can
    /// be used again at once after a server has ended (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// That of the last address tried; of the resolver; a cancellation.
    #[track_caller]
    pub fn bind(address: impl ToAddrs) -> io::Result<TcpListener> {
        first_of(address, |address| {
            let socket = open_listener(&(*address).into(), &BindOptions::default())?;
            Ok(TcpListener::wrap(socket.into()))
        })
    }

    /// Takes over a listener of std's.
    ///
    /// # Errors
    ///
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        Ok(TcpListener::wrap(listener))
    }

    /// The listener as one of std's; it stays in non-blocking mode.
    ///
    /// # Errors
    ///
    /// If there are other handles and there is no descriptor left for a copy.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        match Rc::try_unwrap(self.0) {
            Ok(only) => Ok(only.into_socket()),
            Err(shared) => shared.socket().try_clone(),
        }
    }

    pub(super) fn wrap(listener: std::net::TcpListener) -> TcpListener {
        TcpListener(Rc::new(Listening::new(listener)))
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
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.0.accept(|listener| accept(listener.as_fd()))?;
        let peer = peer.as_socket().ok_or_else(not_of_tcp)?;
        Ok((TcpStream::wrap(Watched::own(stream.into())), peer))
    }

    /// The connections, one after the other, for ever.
    pub fn incoming(&self) -> Incoming<'_, TcpListener> {
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
    pub fn try_clone(&self) -> io::Result<TcpListener> {
        Ok(TcpListener(self.0.clone()))
    }
}

/// A listener of std's may have been made of any socket.
fn not_of_tcp() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the listener is not one of TCP")
}

is_a_descriptor!(TcpListener);

impl Iterator for Incoming<'_, TcpListener> {
    type Item = io::Result<TcpStream>;

    #[track_caller]
    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}
