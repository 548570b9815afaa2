//! Pipes, FIFOs, terminals: whatever can be read or written and waited for.
//!
//! [`PipeReader`] and [`PipeWriter`] are in the shape of std's, and suspend the task
//! instead of the thread; [`pipe`] makes a pair. For protocols there are
//! [`connect_read_pipe`](crate::EventLoop::connect_read_pipe) and
//! [`connect_write_pipe`](crate::EventLoop::connect_write_pipe).
//!
//! One task at a time may wait to read from a pipe, and one to write to it; a second one
//! gets an error of kind `ResourceBusy`.
//!
//! # Non-blocking mode
//!
//! It belongs to the open file and not to the descriptor. Who else has the same file, as
//! a shell has the terminal of its programs, finds it in non-blocking mode too, until
//! somebody sets it back; [`into_blocking`](PipeReader::into_blocking) does. The two ends
//! of a pipe are two files.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use crate::constants::VECTORED_BUFFERS;
use crate::selector_events::Watched;
use crate::selectors::Direction;
use crate::sys::descriptor::{is_read_whole, set_nonblocking};

/// A new pipe: what is written to the one end can be read from the other
/// (`std::io::pipe`). No child process inherits either.
///
/// ```
/// use std::io::{Read, Write};
/// use stackio::{pipes, spawn};
///
/// stackio::run(|| {
///     let (mut reader, mut writer) = pipes::pipe()?;
///     let task = spawn(move || {
///         let mut text = String::new();
///         reader.read_to_string(&mut text)?; // to the end: the writer is dropped
///         Ok(text)
///     });
///     writer.write_all(b"through the pipe")?;
///     drop(writer);
///     assert_eq!(task.join()?, "through the pipe");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// If the system has no descriptors left.
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((PipeReader::from_fd(reader)?, PipeWriter::from_fd(writer)?))
}

/// A descriptor in non-blocking mode.
struct End {
    io: Watched<File>,
    /// Whether an operation that did less than it was asked to has left nothing.
    whole: bool,
}

impl End {
    fn new(descriptor: OwnedFd) -> io::Result<End> {
        let file = File::from(descriptor);
        let whole = is_read_whole(&file)?;
        set_nonblocking(&file, true)?;
        Ok(End { io: Watched::new(file), whole })
    }

    #[track_caller]
    fn attempt(
        &self,
        direction: Direction,
        wanted: usize,
        mut operation: impl FnMut(&File) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Into nothing nothing is read, which is no reason to wait for something.
        if wanted == 0 && direction == Direction::Read {
            return Ok(0);
        }
        let count = self.io.attempt(direction, None, &mut operation)?;
        if self.whole && count < wanted {
            self.io.drained(direction);
        }
        Ok(count)
    }

    fn into_blocking(self) -> io::Result<OwnedFd> {
        let file = self.io.into_source();
        set_nonblocking(&file, false)?;
        Ok(file.into())
    }
}

/// An end of a pipe to read from.
pub struct PipeReader(End);

impl PipeReader {
    /// Takes over a descriptor that can be read from, and sets it to
    /// [non-blocking mode](self#non-blocking-mode).
    ///
    /// The end of a pipe or FIFO, a terminal, a serial line. A regular file can be read
    /// too, but is never waited for: what the disk takes, everybody waits.
    ///
    /// A FIFO is best opened for reading *and* writing: opening does not wait for a
    /// writer then, and reading does not end when one leaves.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use stackio::pipes::PipeReader;
    ///
    /// let (theirs, mut ours) = std::io::pipe()?;
    /// let mut reader = PipeReader::from_fd(theirs)?;
    /// ours.write_all(b"abc")?;
    /// stackio::run(move || {
    ///     let mut buffer = [0; 8];
    ///     assert_eq!(reader.read(&mut buffer)?, 3);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn from_fd(descriptor: impl Into<OwnedFd>) -> io::Result<PipeReader> {
        Ok(PipeReader(End::new(descriptor.into())?))
    }

    /// Gives the descriptor back, set to blocking mode, for instance to a child process.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        self.0.into_blocking()
    }
}

/// An end of a pipe to write to. The readers have come to the end when all that stand for
/// the same end are closed or dropped, also those of other processes.
pub struct PipeWriter(RefCell<Option<Rc<End>>>);

impl PipeWriter {
    /// Takes over a descriptor that can be written to, and sets it to
    /// [non-blocking mode](self#non-blocking-mode).
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use stackio::pipes::PipeWriter;
    ///
    /// let (mut ours, theirs) = std::io::pipe()?;
    /// stackio::run(move || Ok(PipeWriter::from_fd(theirs)?.write_all(b"abc")?))?;
    /// let mut text = String::new();
    /// ours.read_to_string(&mut text)?;
    /// assert_eq!(text, "abc");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn from_fd(descriptor: impl Into<OwnedFd>) -> io::Result<PipeWriter> {
        let end = End::new(descriptor.into())?;
        Ok(PipeWriter(RefCell::new(Some(Rc::new(end)))))
    }

    /// Gives the descriptor back, set to blocking mode, for instance to a child process.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if it was closed; those of the system.
    pub fn into_blocking(self) -> io::Result<OwnedFd> {
        self.0.into_inner().and_then(Rc::into_inner).ok_or_else(closed)?.into_blocking()
    }

    /// Closes this end; closing twice does nothing. A task that is writing meanwhile
    /// ends that first. Dropping closes as well.
    ///
    /// ```
    /// use std::io::{ErrorKind, Write};
    ///
    /// let (_reader, mut writer) = stackio::pipes::pipe()?;
    /// writer.close();
    /// assert!(writer.is_closed());
    /// assert_eq!(writer.write(b"late").unwrap_err().kind(), ErrorKind::BrokenPipe);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn close(&self) {
        let end = self.0.take();
        drop(end);
    }

    /// Whether this end has been closed.
    pub fn is_closed(&self) -> bool {
        self.0.borrow().is_none()
    }

    fn end(&self) -> io::Result<Rc<End>> {
        self.0.borrow().clone().ok_or_else(closed)
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "this end of the pipe has been closed")
}

impl Read for &PipeReader {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.attempt(Direction::Read, buffer.len(), |mut file| file.read(buffer))
    }

    #[track_caller]
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let wanted = buffers.iter().take(VECTORED_BUFFERS).map(|buffer| buffer.len()).sum();
        self.0.attempt(Direction::Read, wanted, |mut file| file.read_vectored(buffers))
    }
}

impl Read for PipeReader {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }

    #[track_caller]
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self).read_vectored(buffers)
    }
}

impl Write for &PipeWriter {
    #[track_caller]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.end()?.attempt(Direction::Write, buffer.len(), |mut file| file.write(buffer))
    }

    #[track_caller]
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let wanted = buffers.iter().take(VECTORED_BUFFERS).map(|buffer| buffer.len()).sum();
        self.end()?.attempt(Direction::Write, wanted, |mut file| file.write_vectored(buffers))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for PipeWriter {
    #[track_caller]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self).write(buffer)
    }

    #[track_caller]
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.io.as_fd()
    }
}

impl AsRawFd for PipeReader {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeReader").field("fd", &self.as_raw_fd()).finish()
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fd = self.0.borrow().as_ref().map(|end| end.io.as_fd().as_raw_fd());
        f.debug_struct("PipeWriter").field("fd", &fd).finish()
    }
}
