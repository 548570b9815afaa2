//! What all sockets have in common: a watched descriptor, and limits on waiting for it.

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use crate::constants::VECTORED_BUFFERS;
use crate::selector_events::Watched;
use crate::selectors::Direction;

/// A socket of std's that is watched, and how long reads and writes may wait for it.
pub(super) struct Limited<S: AsFd> {
    io: Watched<S>,
    read_limit: Cell<Option<Duration>>,
    write_limit: Cell<Option<Duration>>,
}

impl<S: AsFd> Limited<S> {
    pub(super) fn new(io: Watched<S>) -> Rc<Limited<S>> {
        Rc::new(Limited { io, read_limit: Cell::new(None), write_limit: Cell::new(None) })
    }

    pub(super) fn socket(&self) -> &S {
        self.io.source()
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }

    /// The socket; if there are other handles to it, a copy of its descriptor.
    pub(super) fn into_socket(
        self: Rc<Self>,
        copy: impl FnOnce(&S) -> io::Result<S>,
    ) -> io::Result<S> {
        match Rc::try_unwrap(self) {
            Ok(only) => Ok(only.io.into_source()),
            Err(shared) => {
                shared.io.share();
                copy(shared.socket())
            }
        }
    }

    /// Tries an operation that reads, until it does not block.
    #[inline(always)]
    #[track_caller]
    pub(super) fn reading<T>(&self, operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        self.io.attempt(Direction::Read, self.read_limit.get(), operation)
    }

    /// Tries an operation that writes, until it does not block.
    #[inline(always)]
    #[track_caller]
    pub(super) fn writing<T>(&self, operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        self.io.attempt(Direction::Write, self.write_limit.get(), operation)
    }

    pub(super) fn set_read_limit(&self, limit: Option<Duration>) -> io::Result<()> {
        check_timeout(limit)?;
        self.read_limit.set(limit);
        Ok(())
    }

    pub(super) fn set_write_limit(&self, limit: Option<Duration>) -> io::Result<()> {
        check_timeout(limit)?;
        self.write_limit.set(limit);
        Ok(())
    }

    pub(super) fn read_limit(&self) -> Option<Duration> {
        self.read_limit.get()
    }

    pub(super) fn write_limit(&self) -> Option<Duration> {
        self.write_limit.get()
    }
}

/// A socket of std's that is a stream.
pub(super) trait Stream: AsFd {
    /// Whether a read that gives less than was asked for has emptied the socket.
    const SHORT_READ_EMPTIES: bool;
}

impl Stream for std::net::TcpStream {
    const SHORT_READ_EMPTIES: bool = true;
}

impl Stream for std::os::unix::net::UnixStream {
    // A read ends where a descriptor was sent along, with more behind it.
    const SHORT_READ_EMPTIES: bool = false;
}

impl<S: Stream> Limited<S>
where
    for<'a> &'a S: Read + Write,
{
    #[inline(always)]
    #[track_caller]
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_with(buffer.len(), |mut socket| socket.read(buffer))
    }

    #[track_caller]
    pub(super) fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let wanted = buffers.iter().take(VECTORED_BUFFERS).map(|buffer| buffer.len()).sum();
        self.read_with(wanted, |mut socket| socket.read_vectored(buffers))
    }

    #[inline(always)]
    #[track_caller]
    pub(super) fn write(&self, buffer: &[u8]) -> io::Result<usize> {
        self.write_with(buffer.len(), |mut socket| socket.write(buffer))
    }

    #[track_caller]
    pub(super) fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted = buffers.iter().take(VECTORED_BUFFERS).map(|buffer| buffer.len()).sum();
        self.write_with(wanted, |mut socket| socket.write_vectored(buffers))
    }

    #[inline(always)]
    #[track_caller]
    fn read_with(
        &self,
        wanted: usize,
        operation: impl FnMut(&S) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Into nothing nothing is read, which is no reason to wait for something.
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.reading(operation)?;
        if S::SHORT_READ_EMPTIES && count < wanted {
            self.io.drained(Direction::Read);
        }
        Ok(count)
    }

    #[inline(always)]
    #[track_caller]
    fn write_with(
        &self,
        wanted: usize,
        operation: impl FnMut(&S) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let count = self.writing(operation)?;
        if count < wanted {
            self.io.drained(Direction::Write);
        }
        Ok(count)
    }
}

/// A timeout of zero would be none at all; std refuses it as well.
pub(super) fn check_timeout(limit: Option<Duration>) -> io::Result<()> {
    if limit.is_some_and(|limit| limit.is_zero()) {
        let text = "a timeout of zero is not allowed";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

/// The methods that every socket has, for its `impl` block.
macro_rules! methods_of_all_sockets {
    () => {
        /// Another handle to the same socket, for a second task.
        ///
        /// # Errors
        ///
        /// None; the signature is std's.
        pub fn try_clone(&self) -> io::Result<Self> {
            Ok(Self(self.0.clone()))
        }

        /// The error that the system keeps for the socket, which is cleared.
        ///
        /// # Errors
        ///
        /// Those of the system.
        pub fn take_error(&self) -> io::Result<Option<io::Error>> {
            self.0.socket().take_error()
        }

        /// How long a read may wait before it fails with `TimedOut`; `None` is for
        /// ever.
        ///
        /// # Errors
        ///
        /// `InvalidInput` if the time is zero.
        pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
            self.0.set_read_limit(limit)
        }

        /// How long a write may wait before it fails with `TimedOut`.
        ///
        /// # Errors
        ///
        /// `InvalidInput` if the time is zero.
        pub fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
            self.0.set_write_limit(limit)
        }

        /// The time set for reads.
        pub fn read_timeout(&self) -> Option<Duration> {
            self.0.read_limit()
        }

        /// The time set for writes.
        pub fn write_timeout(&self) -> Option<Duration> {
            self.0.write_limit()
        }
    };
}
pub(super) use methods_of_all_sockets;

/// Access to the descriptor of a socket or listener, and its `Debug`, which is std's.
macro_rules! is_a_descriptor {
    ($socket:ty) => {
        impl std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $socket {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                self.0.as_fd().as_raw_fd()
            }
        }

        impl std::fmt::Debug for $socket {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(self.0.socket(), f)
            }
        }
    };
}
pub(super) use is_a_descriptor;

/// `Read` and `Write` for a stream and for a reference to one, as std has them.
macro_rules! reads_and_writes {
    ($($stream:ty),+) => {$(
        impl std::io::Read for $stream {
            #[inline]
            #[track_caller]
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }

            #[track_caller]
            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> io::Result<usize> {
                self.0.read_vectored(buffers)
            }
        }

        impl std::io::Write for $stream {
            #[track_caller]
            fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
                self.0.write(buffer)
            }

            #[track_caller]
            fn write_vectored(&mut self, buffers: &[std::io::IoSlice<'_>]) -> io::Result<usize> {
                self.0.write_vectored(buffers)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    )+};
}
pub(super) use reads_and_writes;
