//! Readers from their other side: whoever has the bytes.
//!
//! ```text
//!   set_exception*  ( feed_data* feed_eof? )      whoever has the bytes
//!        |               |          |
//!        |               v          v
//!        |            [ buffer   | eof ]  --->  read, readline, readexactly, readuntil
//!        +--- the error comes first ----------^
//! ```

use super::reader::StreamReader;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::transports::interface::Transport;

impl StreamReader {
    /// Has the transport paused while too much is waiting to be read
    /// (`reader.set_transport`). A [`StreamReaderProtocol`](crate::StreamReaderProtocol)
    /// does this; it is for protocols of one's own that feed a reader.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if there is a transport already.
    ///
    /// ```
    /// use stackio::{Protocol, Result, StreamReader, Transport, get_running_loop};
    ///
    /// /// Feeds a reader, and counts.
    /// struct Counting(StreamReader, usize);
    ///
    /// impl Protocol<Result> for Counting {
    ///     fn connection_made(&mut self, transport: &Transport) -> Result {
    ///         self.0.set_transport(transport)
    ///     }
    ///     fn data_received(&mut self, data: &[u8]) -> Result {
    ///         self.1 += data.len();
    ///         self.0.feed_data(data)
    ///     }
    /// }
    /// ```
    pub fn set_transport(&self, transport: &Transport) -> Result {
        if self.incoming().transport().is_some() {
            return Err(Error::text(ErrorKind::Runtime, "set_transport: there is one already"));
        }
        self.incoming().set_transport(transport);
        Ok(())
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
        self.incoming().feed(data)
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
        self.incoming().feed_eof();
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
        self.incoming().set_exception(error.into());
    }

    /// The error that was set.
    ///
    /// ```
    /// assert!(stackio::StreamReader::default().exception().is_none());
    /// ```
    pub fn exception(&self) -> Option<Error> {
        self.incoming().exception()
    }
}
