//! The sockets themselves, of both families.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use socket2::{Domain, Socket, Type};

use crate::connecting::SocketFile;
use crate::transports::extra::Address;

/// A socket for datagrams, in non-blocking mode.
pub(super) enum DatagramSocket {
    Inet(UdpSocket),
    /// With the file that is its address, which is removed when the socket is closed.
    Unix {
        socket: UnixDatagram,
        _file: Option<SocketFile>,
    },
}

impl DatagramSocket {
    /// # Errors
    ///
    /// `InvalidInput` for a socket of another type, and for what is no socket.
    pub(super) fn new(socket: Socket, file: Option<SocketFile>) -> io::Result<DatagramSocket> {
        if socket.r#type()? != Type::DGRAM {
            let text = "a datagram socket was expected";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        socket.set_nonblocking(true)?;
        let is_unix = socket.domain()? == Domain::UNIX;
        let socket = OwnedFd::from(socket);
        Ok(match is_unix {
            true => DatagramSocket::Unix { socket: socket.into(), _file: file },
            false => DatagramSocket::Inet(socket.into()),
        })
    }

    pub(super) fn is_unix(&self) -> bool {
        matches!(self, DatagramSocket::Unix { .. })
    }

    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        match self {
            DatagramSocket::Inet(socket) => {
                socket.recv_from(buffer).map(|(length, from)| (length, from.into()))
            }
            DatagramSocket::Unix { socket, .. } => {
                socket.recv_from(buffer).map(|(length, from)| (length, from.into()))
            }
        }
    }

    /// Without an address, to the peer it is connected to.
    pub(super) fn send(&self, data: &[u8], to: Option<&Address>) -> io::Result<usize> {
        match (self, to) {
            (DatagramSocket::Inet(socket), None) => socket.send(data),
            (DatagramSocket::Unix { socket, .. }, None) => socket.send(data),
            (DatagramSocket::Inet(socket), Some(Address::Inet(to))) => socket.send_to(data, to),
            (DatagramSocket::Unix { socket, .. }, Some(Address::Unix(to))) => {
                socket.send_to_addr(data, to)
            }
            // The system's word for it.
            (_, Some(_)) => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
        }
    }

    pub(super) fn local_addr(&self) -> Option<Address> {
        match self {
            DatagramSocket::Inet(socket) => socket.local_addr().ok().map(Address::from),
            DatagramSocket::Unix { socket, .. } => socket.local_addr().ok().map(Address::from),
        }
    }

    pub(super) fn peer_addr(&self) -> Option<Address> {
        match self {
            DatagramSocket::Inet(socket) => socket.peer_addr().ok().map(Address::from),
            DatagramSocket::Unix { socket, .. } => socket.peer_addr().ok().map(Address::from),
        }
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            DatagramSocket::Inet(socket) => socket.as_fd(),
            DatagramSocket::Unix { socket, .. } => socket.as_fd(),
        }
    }
}
