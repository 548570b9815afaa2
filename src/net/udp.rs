//! UDP.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::limited::{Limited, is_a_descriptor, methods_of_all_sockets};
use crate::connecting::{BindOptions, first_of, open_datagram};
use crate::resolver::ToAddrs;
use crate::selector_events::Watched;

/// A UDP socket (`std::net::UdpSocket`).
///
/// ```
/// use stackio::net::UdpSocket;
/// use stackio::spawn;
///
/// stackio::run(|| {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let address = server.local_addr()?;
///     spawn(move || {
///         let mut buffer = [0; 512];
///         let (length, peer) = server.recv_from(&mut buffer)?;
///         server.send_to(&buffer[..length], peer)?;
///         Ok(())
///     });
///     let client = UdpSocket::bind("127.0.0.1:0")?;
///     client.connect(address)?;
///     client.send(b"echo")?;
///     let mut buffer = [0; 512];
///     let length = client.recv(&mut buffer)?;
///     assert_eq!(&buffer[..length], b"echo");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct UdpSocket(pub(super) Rc<Limited<std::net::UdpSocket>>);

impl UdpSocket {
    /// A socket bound to an address; port 0 is any free one.
    ///
    /// # Errors
    ///
    /// That of the last address tried; of the resolver; a cancellation.
    #[track_caller]
    pub fn bind(address: impl ToAddrs) -> io::Result<UdpSocket> {
        first_of(address, |address| {
            let socket = open_datagram(&(*address).into(), &BindOptions::default())?;
            Ok(UdpSocket::wrap(Watched::new(socket.into())))
        })
    }

    /// Takes over a socket of std's.
    ///
    /// # Errors
    ///
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        socket.set_nonblocking(true)?;
        Ok(UdpSocket::wrap(Watched::new(socket)))
    }

    /// The socket as one of std's. It stays in non-blocking mode, and shares that with
    /// other handles to it.
    ///
    /// # Errors
    ///
    /// If there are other handles and there is no descriptor left for a copy.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.0.into_socket(std::net::UdpSocket::try_clone)
    }

    pub(super) fn wrap(io: Watched<std::net::UdpSocket>) -> UdpSocket {
        UdpSocket(Limited::new(io))
    }

    methods_of_all_sockets!();

    /// Sets the peer: `send` goes to it, `recv` takes only what comes from it.
    ///
    /// # Errors
    ///
    /// That of the last address tried; of the resolver; a cancellation.
    #[track_caller]
    pub fn connect(&self, address: impl ToAddrs) -> io::Result<()> {
        first_of(address, |address| self.0.socket().connect(address))
    }

    /// Receives a datagram from the peer; what does not fit into the buffer is
    /// lost. Its length.
    ///
    /// # Errors
    ///
    /// Those of the system; `ConnectionRefused` if nobody listens there;
    /// `TimedOut`; a cancellation of the task.
    #[track_caller]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.reading(|socket| socket.recv(buffer))
    }

    /// Receives a datagram and the address it came from.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    #[track_caller]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.reading(|socket| socket.recv_from(buffer))
    }

    /// Looks at the next datagram and leaves it there.
    ///
    /// # Errors
    ///
    /// As [`recv`](UdpSocket::recv).
    #[track_caller]
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.reading(|socket| socket.peek_from(buffer))
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    ///
    /// Those of the system; `TimedOut`; a cancellation of the task.
    #[track_caller]
    pub fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.0.writing(|socket| socket.send(datagram))
    }

    /// Sends a datagram to an address; of a name, the first.
    ///
    /// # Errors
    ///
    /// As [`send`](UdpSocket::send), and those of the resolver.
    #[track_caller]
    pub fn send_to(&self, datagram: &[u8], address: impl ToAddrs) -> io::Result<usize> {
        let addresses = address.to_addrs()?;
        let Some(address) = addresses.first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address was given"));
        };
        self.0.writing(|socket| socket.send_to(datagram, address))
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
}

is_a_descriptor!(UdpSocket);
