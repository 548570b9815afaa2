//! Files into sockets, without a way through this process where the system can
//! (`sendfile(2)`), and what to do by hand where it cannot.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::threads::call_on_thread;

/// How much of a file is read at a time where it has to be by hand; asyncio's figure.
pub(crate) const PART: usize = 256 * 1024;

/// How much Linux sends at a time; a count that is far above is refused.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MOST: usize = 0x7fff_f000;

/// Has the system send up to `count` bytes of a file from `offset` on, which moves
/// along. Zero is the end of the file.
///
/// # Errors
///
/// `WouldBlock`; those for which [`is_refused`] is true, after which it is to be done
/// by hand; others of the system.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn send_file_once(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: &mut u64,
    count: usize,
) -> io::Result<usize> {
    let Some(length) = std::num::NonZeroUsize::new(count.min(MOST)) else { return Ok(0) };
    let from = usize::try_from(*offset).map_err(|_| io::ErrorKind::Unsupported)?;
    let sent = socket2::SockRef::from(&socket).sendfile(&file, from, Some(length))?;
    *offset += sent as u64;
    Ok(sent)
}

/// Nowhere else: what has been sent when a call would block is not told in the same way.
///
/// # Errors
///
/// `Unsupported`, for which [`is_refused`] is true.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn send_file_once(
    _: BorrowedFd<'_>,
    _: BorrowedFd<'_>,
    _: &mut u64,
    _: usize,
) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the system cannot send this file into this socket, rather than not now.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    let codes = [libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOTSUP, libc::EOVERFLOW];
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Reads up to `length` bytes of a file at `offset`, on a thread of the executor. None
/// is the end of the file.
///
/// # Errors
///
/// Those of the system; a cancellation of the task.
#[track_caller]
pub(crate) fn read_part(file: &Arc<File>, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let file = file.clone();
    call_on_thread("a part of a file", move || {
        let mut part = vec![0; length];
        let count = file.read_at(&mut part, offset)?;
        part.truncate(count);
        Ok(part)
    })?
}
