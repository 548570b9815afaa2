//! Accepting connections whose sockets are as the loop needs them.

use std::io;
use std::os::fd::BorrowedFd;

use socket2::{SockAddr, Socket};

/// The next connection to a listener, and who its peer is: in non-blocking mode and not
/// inherited by child processes.
///
/// # Errors
///
/// Those of the system; `WouldBlock` if there is none.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(Socket, SockAddr)> {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes the address and its length to where it is told, at most as
    // much as it is told that there is room for.
    let accepted = unsafe {
        SockAddr::try_init(|address, length| {
            match libc::accept4(listener.as_raw_fd(), address.cast(), length, flags) {
                -1 => Err(io::Error::last_os_error()),
                descriptor => Ok(descriptor),
            }
        })
    };
    let (descriptor, peer) = accepted?;
    // SAFETY: the kernel has just made the descriptor, and nobody else knows of it.
    Ok((unsafe { OwnedFd::from_raw_fd(descriptor) }.into(), peer))
}

/// The same where it takes several calls.
///
/// # Errors
///
/// As above.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(Socket, SockAddr)> {
    let (socket, peer) = socket2::SockRef::from(&listener).accept()?;
    socket.set_nonblocking(true)?;
    Ok((socket, peer))
}
