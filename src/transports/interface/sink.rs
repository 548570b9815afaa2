//! What the system can send files into.

use std::io;
use std::os::fd::BorrowedFd;

use crate::exceptions::Result;
use crate::futures::Future;

/// A descriptor that the system can send files into.
pub trait FileSink {
    /// Refuses writes from now on; the future is done when all is sent that was written
    /// before.
    ///
    /// # Errors
    ///
    /// As [`Transport::try_write`](super::Transport::try_write); kind `Runtime` if a file is being sent already.
    fn begin(&self) -> Result<Future<()>>;

    /// Sends up to `count` bytes of the file from `offset` on, which moves along.
    ///
    /// # Errors
    ///
    /// Those of `sendfile(2)`; `BrokenPipe` if the connection is lost.
    fn send(&self, file: BorrowedFd<'_>, offset: &mut u64, count: usize) -> io::Result<usize>;

    /// It would block; the future is done when it may not any more.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the connection is lost.
    fn until_writable(&self) -> Result<Future<()>>;

    /// Takes writes again.
    fn end(&self);
}
