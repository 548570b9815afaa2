//! What the kernel knows of an open descriptor: how operations on it end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileTypeExt;

/// Sets whether operations on the file fail with `WouldBlock` instead of blocking. It
/// holds for everybody who has the same open file, another process too.
pub(crate) fn set_nonblocking(file: &impl AsFd, nonblocking: bool) -> io::Result<()> {
    let flags = flags(file)?;
    let wanted = if nonblocking { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    if wanted == flags {
        return Ok(());
    }
    // SAFETY: the descriptor is open as long as `file` is borrowed.
    match unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_SETFL, wanted) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Bytes that were written to a socket and that its peer has not got yet, as far as the
/// system tells.
pub(crate) fn unsent(socket: &impl AsFd) -> usize {
    let mut count: libc::c_int = 0;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the request
    // writes one `int`.
    let asked = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &mut count) };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let asked = {
        let _ = (socket, &mut count);
        0
    };
    if asked == 0 { usize::try_from(count).unwrap_or(0) } else { 0 }
}

/// Whether a read of what is no socket leaves nothing if it gives less than it was asked
/// for. A terminal gives a line at a time, and a pipe may be told to keep what each write
/// gave apart from the next.
pub(crate) fn is_read_whole(file: &File) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let packets = flags(file)? & libc::O_DIRECT != 0;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let packets = false;
    Ok(file.metadata()?.file_type().is_fifo() && !packets)
}

/// What the descriptor is open for: `O_RDONLY`, `O_WRONLY` or `O_RDWR`.
pub(crate) fn access(file: &File) -> io::Result<libc::c_int> {
    flags(file).map(|flags| flags & libc::O_ACCMODE)
}

fn flags(file: &impl AsFd) -> io::Result<libc::c_int> {
    // SAFETY: as above.
    match unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_GETFL) } {
        -1 => Err(io::Error::last_os_error()),
        flags => Ok(flags),
    }
}
