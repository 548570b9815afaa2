//! A Unix socket that was bound, with its file.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd};

use crate::connecting::SocketFile;

/// A socket of std's; if it has a file, that goes when it is closed.
pub(super) struct Named<S> {
    // Before the file: nobody finds a socket that nobody serves any more.
    socket: S,
    file: RefCell<Option<SocketFile>>,
}

impl<S> Named<S> {
    pub(super) fn new(socket: S, file: Option<SocketFile>) -> Named<S> {
        Named { socket, file: RefCell::new(file) }
    }

    /// Leaves the file where it is: the socket goes on elsewhere.
    pub(super) fn leave_file(&self) {
        self.file.borrow_mut().iter_mut().for_each(SocketFile::leave);
    }

    /// The socket, without anything that would remove its file.
    pub(super) fn into_socket(self) -> S {
        self.leave_file();
        self.socket
    }
}

impl<S> Deref for Named<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.socket
    }
}

impl<S: AsFd> AsFd for Named<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl<S: fmt::Debug> fmt::Debug for Named<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.socket, f)
    }
}
