//! [`StreamReader`]: a task reads in lines or blocks what somebody feeds.
//!
//! What is read does not depend on the pieces in which it was fed, except by `read`.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::buffer::{Buffer, Search};
use super::incoming::{DEFAULT_LIMIT, Incoming};
use crate::exceptions::{Error, ErrorKind, IncompleteRead, LimitOverrun, Result};

/// Reads what comes from a connection, or is fed by hand (`asyncio.StreamReader`).
///
/// The reader of a connection comes from [`open_connection`](crate::open_connection) or
/// [`start_server`](crate::start_server), with a [`StreamWriter`](crate::StreamWriter).
/// When more than twice the limit is waiting to be read, the transport is paused, and so
/// in time is the peer.
///
/// It also is a [`std::io::BufRead`], for code that knows nothing of this crate. These
/// traits have methods of the same names as here: those here are found first, except
/// through a `&mut StreamReader`.
///
/// ```
/// use std::io::BufRead;
/// use stackio::stream_pair;
///
/// stackio::run(|| {
///     let ((reader, _writer), (_, peer)) = stream_pair()?;
///     peer.write(b"one\ntwo\n");
///     peer.close();
///     let lines: Result<Vec<String>, _> = reader.lines().collect();
///     assert_eq!(lines?, ["one", "two"]);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// It is not `Clone`, since only one can wait for the next bytes; it can be moved into
/// another task. Dropping it leaves the connection to its writer. A connection without a
/// writer, as that of a pipe, is closed.
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
    incoming: Rc<Incoming>,
    /// What `fill_buf` has taken out of the buffer, so that it can be looked at while
    /// more comes.
    lent: RefCell<Buffer>,
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
        Ok(StreamReader::with_limit(limit))
    }

    /// The same, if the limit is known not to be 0.
    pub(super) fn with_limit(limit: usize) -> StreamReader {
        StreamReader { incoming: Rc::new(Incoming::new(limit)), lent: RefCell::default() }
    }

    pub(super) fn incoming(&self) -> &Rc<Incoming> {
        &self.incoming
    }

    /// Whether everything has been read and nothing more will come.
    ///
    /// ```
    /// let reader = stackio::StreamReader::default();
    /// reader.feed_eof();
    /// assert!(reader.at_eof());
    /// ```
    pub fn at_eof(&self) -> bool {
        self.incoming.is_eof() && self.incoming.buffered() == 0
    }

    /// Begins a read: what was lent comes back, and an error comes first.
    #[inline]
    fn begin(&self) -> Result {
        let mut lent = self.lent.borrow_mut();
        if !lent.is_empty() {
            self.incoming.take_back(&mut lent);
        }
        self.incoming.check()
    }

    /// Waits until there is something, or the end.
    #[inline(always)]
    #[track_caller]
    fn wait_for_some(&self, operation: &str) -> Result {
        if self.incoming.buffered() == 0 && !self.incoming.has_ended()? {
            self.incoming.wait(operation)?;
            if self.incoming.buffered() == 0 {
                self.incoming.has_ended()?;
            }
        }
        Ok(())
    }

    /// Waits until there is something; gives all that is waiting to be read, and nothing
    /// at the end.
    #[inline]
    #[track_caller]
    pub(super) fn fill(&mut self) -> Result<&[u8]> {
        self.incoming.check()?;
        if self.lent.get_mut().is_empty() {
            self.wait_for_some("fill_buf")?;
            self.incoming.lend(self.lent.get_mut());
        }
        Ok(self.lent.get_mut().unread())
    }

    /// So much of what `fill` gave has been read.
    pub(super) fn skip(&mut self, length: usize) {
        let lent = self.lent.get_mut();
        let length = length.min(lent.len());
        lent.skip(length);
        self.incoming.lent_was_read(length);
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
    #[inline]
    #[track_caller]
    pub fn read(&self, length: usize) -> Result<Vec<u8>> {
        self.begin()?;
        if length > 0 {
            self.wait_for_some("read")?;
        }
        Ok(self.incoming.take(length))
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
            let block = self.read(self.incoming.limit())?;
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
        self.begin()?;
        while self.incoming.buffered() < length {
            if self.incoming.has_ended()? {
                return Err(self.incomplete(Some(length)));
            }
            self.incoming.wait("readexactly")?;
        }
        Ok(self.incoming.take(length))
    }

    fn incomplete(&self, expected: Option<usize>) -> Error {
        let partial = self.incoming.take(usize::MAX);
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
        let error = match self.find(&[b"\n"], "readline") {
            Ok(end) => return Ok(self.incoming.take(end.unwrap_or(usize::MAX))),
            Err(error) => error,
        };
        if let Some(&LimitOverrun { consumed }) = error.downcast_ref() {
            let ends_there = self.incoming.has_at(consumed, b'\n');
            self.incoming.take(if ends_there { consumed + 1 } else { usize::MAX });
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
        match self.find(separators, "readuntil")? {
            Some(end) => Ok(self.incoming.take(end)),
            None => Err(self.incomplete(None)),
        }
    }

    /// Where the first separator ends; `None` if the stream ends before.
    #[track_caller]
    fn find(&self, separators: &[&[u8]], operation: &str) -> Result<Option<usize>> {
        let mut search = Search::new(separators)?;
        self.begin()?;
        loop {
            let found = self.incoming.look(&mut search)?;
            if found.is_some() || self.incoming.has_ended()? {
                return Ok(found);
            }
            self.incoming.wait(operation)?;
        }
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.incoming.reader_gone();
    }
}

impl Default for StreamReader {
    /// With asyncio's limit of 64 KiB.
    fn default() -> StreamReader {
        StreamReader::with_limit(DEFAULT_LIMIT)
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader")
            .field("limit", &self.incoming.limit())
            .field("buffered", &self.incoming.buffered())
            .field("eof", &self.incoming.is_eof())
            .field("exception", &self.incoming.exception())
            .finish_non_exhaustive()
    }
}
