//! Descriptors that carry a stream of bytes: sockets, pipes, terminals.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;

use socket2::{Domain, Socket, Type};

use crate::sys::descriptor::{access, is_read_whole, set_nonblocking};
use crate::transports::extra::Address;

/// Writing to a socket whose peer is gone is an error and no signal, in a program that
/// is not Rust's as well.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const FLAGS: libc::c_int = 0;

/// What carries the bytes.
pub(crate) enum Source {
    /// A socket of TCP.
    Internet(Socket),
    /// A Unix socket.
    Local(Socket),
    /// What is only read: a pipe, a FIFO, a terminal, any device that can be waited for.
    Reading(File),
    /// What is only written.
    Writing(File),
}

impl Source {
    /// A socket that carries a stream, in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a socket of another type, and for what is no socket.
    pub(crate) fn socket(socket: OwnedFd) -> io::Result<Source> {
        let socket = Socket::from(socket);
        if socket.r#type()? != Type::STREAM {
            let text = "a stream socket was expected";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        socket.set_nonblocking(true)?;
        let domain = socket.domain()?;
        Ok(Source::stream(socket, domain))
    }

    /// The same of one that is known to carry a stream and to be in that mode, and of which
    /// domain it is.
    pub(crate) fn stream(socket: Socket, domain: Domain) -> Source {
        match domain {
            Domain::UNIX => Source::Local(socket),
            _ => Source::Internet(socket),
        }
    }

    /// Sends small writes at once, or not, where that can be chosen.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub(crate) fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        match self {
            Source::Internet(socket) => socket.set_tcp_nodelay(nodelay),
            Source::Local(_) | Source::Reading(_) | Source::Writing(_) => Ok(()),
        }
    }

    /// Whether a read that gives less than was asked for has taken all that there was.
    /// On a Unix socket a read stops at a message that carries descriptors, on a
    /// terminal at the end of a line.
    pub(crate) fn short_read_empties(&self) -> bool {
        match self {
            Source::Internet(_) => true,
            Source::Local(_) => false,
            Source::Reading(file) | Source::Writing(file) => is_read_whole(file).unwrap_or(false),
        }
    }

    /// A descriptor to read from, in non-blocking mode.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a regular file or a directory, which can always be read and
    /// never be waited for, and for what can only be written.
    pub(crate) fn reading(pipe: OwnedFd) -> io::Result<Source> {
        Ok(Source::Reading(waitable(pipe, libc::O_WRONLY)?))
    }

    /// The same to write to.
    ///
    /// # Errors
    ///
    /// As [`reading`](Source::reading).
    pub(crate) fn writing(pipe: OwnedFd) -> io::Result<Source> {
        Ok(Source::Writing(waitable(pipe, libc::O_RDONLY)?))
    }

    pub(crate) fn can_read(&self) -> bool {
        !matches!(self, Source::Writing(_))
    }

    pub(crate) fn can_write(&self) -> bool {
        !matches!(self, Source::Reading(_))
    }

    /// Its socket, if it is one.
    pub(crate) fn as_socket(&self) -> Option<&Socket> {
        match self {
            Source::Internet(socket) | Source::Local(socket) => Some(socket),
            Source::Reading(_) | Source::Writing(_) => None,
        }
    }

    /// The address of its peer. A connection that was reset has none any more.
    pub(crate) fn peer(&self) -> Option<Address> {
        Address::peer(self.as_socket()?)
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Internet(socket) | Source::Local(socket) => (&mut &*socket).read(buffer),
            Source::Reading(file) | Source::Writing(file) => (&mut &*file).read(buffer),
        }
    }

    pub(crate) fn write(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Source::Internet(socket) | Source::Local(socket) => socket.send_with_flags(data, FLAGS),
            Source::Reading(file) | Source::Writing(file) => (&mut &*file).write(data),
        }
    }

    pub(crate) fn write_vectored(&self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Source::Internet(socket) | Source::Local(socket) => {
                socket.send_vectored_with_flags(data, FLAGS)
            }
            Source::Reading(file) | Source::Writing(file) => (&mut &*file).write_vectored(data),
        }
    }

    /// Sends the end of the stream; false if only closing can.
    pub(crate) fn end_writing(&self) -> io::Result<bool> {
        match self.as_socket() {
            Some(socket) => socket.shutdown(Shutdown::Write).map(|()| true),
            None => Ok(false),
        }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Source::Internet(socket) | Source::Local(socket) => socket.as_fd(),
            Source::Reading(file) | Source::Writing(file) => file.as_fd(),
        }
    }
}

/// `useless` is the access that would be of no use: what only writes cannot be read.
fn waitable(descriptor: OwnedFd, useless: libc::c_int) -> io::Result<File> {
    let file = File::from(descriptor);
    let kind = file.metadata()?.file_type();
    if !(kind.is_fifo() || kind.is_socket() || kind.is_char_device()) {
        let text = "only pipes, sockets and character devices can be waited for";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if access(&file)? == useless {
        let what = if useless == libc::O_WRONLY { "written" } else { "read" };
        let text = format!("the descriptor is one that can only be {what}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    set_nonblocking(&file, true)?;
    Ok(file)
}
