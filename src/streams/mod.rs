//! [`StreamReader`]: bytes that one side feeds, and tasks read in lines or blocks.
//!
//! ```text
//!   set_exception*  ( feed_data* feed_eof? )      whoever has the bytes
//!        |               |          |
//!        |               v          v
//!        |            [ buffer   | eof ]  --->  read, readline, readexactly, readuntil
//!        +--- the error comes first ----------^
//! ```
//!
//! The buffer knows nothing of where the bytes come from, nor of time: what is read
//! does not depend on the pieces in which it was fed, except by `read`.

mod buffer;

use std::cell::{Cell, RefCell};
use std::fmt;

use self::buffer::{Buffer, Search};
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, IncompleteRead, LimitOverrun, Result};
use crate::futures::Future;

/// asyncio's limit for a line, in bytes.
const DEFAULT_LIMIT: usize = 64 * 1024;

/// A reader of bytes that are fed to it (`asyncio.StreamReader`).
///
/// ```
/// use std::rc::Rc;
/// use stackio::{StreamReader, spawn};
///
/// stackio::run(|| {
///     let reader = Rc::new(StreamReader::new(1024)?);
///     let lines = reader.clone();
///     let task = spawn(move || Ok([lines.readline()?, lines.readline()?]));
///     reader.feed_data(b"one\ntw")?;
///     stackio::yield_now()?; // the task has a line, and waits for the other
///     reader.feed_data(b"o\n")?;
///     assert_eq!(task.join()?, [b"one\n", b"two\n"]);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct StreamReader {
    limit: usize,
    buffer: RefCell<Buffer>,
    eof: Cell<bool>,
    exception: RefCell<Option<Error>>,
    /// The one who waits for data.
    waiter: RefCell<Option<Future<()>>>,
}

impl StreamReader {
    /// A reader of lines of at most `limit` bytes, their ends not counted.
    ///
    /// # Errors
    ///
    /// Kind `Value` if `limit` is 0.
    ///
    /// ```
    /// use stackio::{ErrorKind, StreamReader};
    /// assert_eq!(StreamReader::new(0).unwrap_err().kind(), ErrorKind::Value);
    /// ```
    pub fn new(limit: usize) -> Result<StreamReader> {
        if limit == 0 {
            return Err(Error::text(ErrorKind::Value, "the limit of a stream cannot be 0"));
        }
        Ok(StreamReader::of(limit))
    }

    fn of(limit: usize) -> StreamReader {
        StreamReader {
            limit,
            buffer: RefCell::default(),
            eof: Cell::new(false),
            exception: RefCell::new(None),
            waiter: RefCell::new(None),
        }
    }

    /// Adds bytes at the end, and wakes the one who waits for them.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` after [`feed_eof`](StreamReader::feed_eof).
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_data(b"abc")?;
    /// assert_eq!(reader.read(2)?, b"ab");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn feed_data(&self, data: &[u8]) -> Result {
        if self.eof.get() {
            return Err(Error::text(ErrorKind::Runtime, "feed_data after feed_eof"));
        }
        if !data.is_empty() {
            self.buffer.borrow_mut().extend(data);
            self.wake();
        }
        Ok(())
    }

    /// Says that nothing more will come.
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_eof();
    /// assert_eq!(reader.readline()?, b"");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn feed_eof(&self) {
        self.eof.set(true);
        self.wake();
    }

    fn wake(&self) {
        let waiter = self.waiter.take();
        if let Some(waiter) = waiter {
            // One that was cancelled has no use for it.
            let _ = waiter.set_result(());
        }
    }

    /// Has every read from now on fail with this error, also one that waits.
    ///
    /// ```
    /// use stackio::{ErrorKind, StreamReader};
    ///
    /// let reader = StreamReader::default();
    /// reader.set_exception(ErrorKind::Timeout);
    /// assert_eq!(reader.read(1).unwrap_err().kind(), ErrorKind::Timeout);
    /// ```
    pub fn set_exception(&self, error: impl Into<Error>) {
        let error = error.into();
        let former = self.exception.replace(Some(error.clone()));
        drop(former);
        let waiter = self.waiter.take();
        if let Some(waiter) = waiter {
            let _ = waiter.set_exception(error);
        }
    }

    /// The error that was set.
    ///
    /// ```
    /// assert!(stackio::StreamReader::default().exception().is_none());
    /// ```
    pub fn exception(&self) -> Option<Error> {
        self.exception.borrow().clone()
    }

    fn check(&self) -> Result {
        self.exception().map_or(Ok(()), Err)
    }

    /// Whether everything has been read and nothing more will come.
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_eof();
    /// assert!(reader.at_eof());
    /// ```
    pub fn at_eof(&self) -> bool {
        self.eof.get() && self.buffered() == 0
    }

    fn buffered(&self) -> usize {
        self.buffer.borrow().unread().len()
    }

    fn take(&self, length: usize) -> Vec<u8> {
        self.buffer.borrow_mut().take(length)
    }

    #[track_caller]
    fn wait_for_data(&self, operation: &str) -> Result {
        if self.waiter.borrow().is_some() {
            let text =
                format!("{operation} called while another task waits for data of the stream");
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        let waiter = Future::about("data of a stream", Scheduler::running()?);
        *self.waiter.borrow_mut() = Some(waiter.clone());
        let _waiting = Waiting(self);
        waiter.settle()
    }

    /// Waits until there is something; gives at most `length` bytes of it. Nothing is
    /// given at the end of the stream, or if `length` is 0.
    ///
    /// # Errors
    ///
    /// The error that was set; kind `Runtime` if another task waits for data, or if it
    /// has to wait where nothing can; kind `Cancelled`.
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_data(b"abc")?;
    /// assert_eq!(reader.read(100)?, b"abc");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn read(&self, length: usize) -> Result<Vec<u8>> {
        self.check()?;
        if length > 0 && self.buffered() == 0 && !self.eof.get() {
            self.wait_for_data("read")?;
        }
        Ok(self.take(length))
    }

    /// Reads until the end of the stream (`read(-1)`). What has been read is lost if an
    /// error comes before.
    ///
    /// # Errors
    ///
    /// As [`read`](StreamReader::read).
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_data(b"abc")?;
    /// reader.feed_eof();
    /// assert_eq!(reader.read_to_end()?, b"abc");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn read_to_end(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let block = self.read(self.limit)?;
            if block.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&block);
        }
    }

    /// Reads exactly that many bytes, however many they are.
    ///
    /// # Errors
    ///
    /// Kind `IncompleteRead` with an [`IncompleteRead`] if the stream ends before, which
    /// takes what was there. Otherwise as [`read`](StreamReader::read).
    ///
    /// ```
    /// use stackio::{IncompleteRead, StreamReader};
    ///
    /// let reader = StreamReader::default();
    /// reader.feed_data(b"abc")?;
    /// reader.feed_eof();
    /// assert_eq!(reader.readexactly(2)?, b"ab");
    /// let error = reader.readexactly(2).unwrap_err();
    /// assert_eq!(error.downcast_ref::<IncompleteRead>().unwrap().partial, b"c");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn readexactly(&self, length: usize) -> Result<Vec<u8>> {
        self.check()?;
        while self.buffered() < length {
            if self.eof.get() {
                return Err(self.incomplete(Some(length)));
            }
            self.wait_for_data("readexactly")?;
        }
        Ok(self.take(length))
    }

    fn incomplete(&self, expected: Option<usize>) -> Error {
        let partial = self.take(usize::MAX);
        Error::new(ErrorKind::IncompleteRead, IncompleteRead { partial, expected })
    }

    /// Reads a line with its end; without one at the end of the stream, and nothing
    /// after that.
    ///
    /// # Errors
    ///
    /// Kind `Value` if the line is longer than the limit: it is dropped, or, if its end
    /// is not there yet, everything that is. Otherwise as [`read`](StreamReader::read).
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_data(b"one\ntwo")?;
    /// reader.feed_eof();
    /// assert_eq!(reader.readline()?, b"one\n");
    /// assert_eq!(reader.readline()?, b"two");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn readline(&self) -> Result<Vec<u8>> {
        let error = match self.readuntil(b"\n") {
            Ok(line) => return Ok(line),
            Err(error) => error,
        };
        if let Some(incomplete) = error.downcast_ref::<IncompleteRead>() {
            return Ok(incomplete.partial.clone());
        }
        if let Some(&LimitOverrun { consumed }) = error.downcast_ref() {
            let ends_there = self.buffer.borrow().unread().get(consumed) == Some(&b'\n');
            self.take(if ends_there { consumed + 1 } else { usize::MAX });
            return Err(Error::text(ErrorKind::Value, format!("the line is too long: {error}")));
        }
        Err(error)
    }

    /// Reads up to and with the separator.
    ///
    /// # Errors
    ///
    /// Kind `LimitOverrun` with a [`LimitOverrun`] if what comes before the separator is
    /// longer than the limit, which leaves everything as it is. Kind `IncompleteRead`
    /// with an [`IncompleteRead`] if the stream ends before the separator, which takes
    /// what was there. Kind `Value` if the separator is empty. Otherwise as
    /// [`read`](StreamReader::read).
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_data(b"key: value")?;
    /// assert_eq!(reader.readuntil(b": ")?, b"key: ");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn readuntil(&self, separator: &[u8]) -> Result<Vec<u8>> {
        self.readuntil_any(&[separator])
    }

    /// Reads up to and with whichever of the separators ends first.
    ///
    /// # Errors
    ///
    /// As [`readuntil`](StreamReader::readuntil); kind `Value` if there is no separator.
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_data(b"one\r\ntwo\n")?;
    /// assert_eq!(reader.readuntil_any(&[b"\r\n", b"\n"])?, b"one\r\n");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn readuntil_any(&self, separators: &[&[u8]]) -> Result<Vec<u8>> {
        let mut search = Search::new(separators)?;
        self.check()?;
        loop {
            let found = search.look(self.buffer.borrow().unread(), self.limit)?;
            if let Some(end) = found {
                return Ok(self.take(end));
            }
            if self.eof.get() {
                return Err(self.incomplete(None));
            }
            self.wait_for_data("readuntil")?;
        }
    }
}

impl Default for StreamReader {
    /// With asyncio's limit of 64 KiB.
    fn default() -> StreamReader {
        StreamReader::of(DEFAULT_LIMIT)
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (buffered, eof) = (self.buffered(), self.eof.get());
        f.debug_struct("StreamReader").field("buffered", &buffered).field("eof", &eof).finish()
    }
}

/// The end of waiting, however it comes. As in asyncio, nobody waits after that,
/// not even one who came between the data and this one's step.
struct Waiting<'a>(&'a StreamReader);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let waiter = self.0.waiter.take();
        drop(waiter);
    }
}
