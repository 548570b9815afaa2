//! [`Chunks`]: messages that end with a delimiter.

use std::fmt;

use super::contract::Framing;
use super::delimiter::Delimiter;
use super::partial::Partial;
use crate::exceptions::{Error, ErrorKind, Result};

/// asyncio's limit for what comes before a separator, in bytes. A chunk has no length
/// that could be refused early, so a peer can always have this much kept.
pub(super) const DEFAULT_MAX_SIZE: usize = 64 * 1024;

/// Messages that end with a delimiter of one or more bytes: the chunks of
/// [PEP 3153](https://peps.python.org/pep-3153/).
///
/// The first place where the delimiter is complete ends a chunk: `aab` ends one in
/// `aaab`. The next chunk begins behind it.
///
/// ```
/// use stackio::framing::{Chunks, Framing};
///
/// let mut chunks = Chunks::new(b"\r\n\r\n")?;
/// let mut data: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nthe body";
/// let head = chunks.decode(&mut data)?.unwrap();
/// assert_eq!(head, b"GET / HTTP/1.1\r\nHost: a");
/// assert_eq!(data, b"the body");
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone)]
pub struct Chunks {
    delimiter: Delimiter,
    max_size: usize,
    partial: Partial,
    /// How many bytes of the delimiter `partial` ends with.
    matched: usize,
}

impl Chunks {
    /// Chunks of at most 64 KiB.
    ///
    /// # Errors
    ///
    /// Kind `Value` if the delimiter is empty.
    ///
    /// ```
    /// use stackio::ErrorKind;
    /// use stackio::framing::Chunks;
    /// assert_eq!(Chunks::new(b"").unwrap_err().kind(), ErrorKind::Value);
    /// ```
    pub fn new(delimiter: impl AsRef<[u8]>) -> Result<Chunks> {
        let Some(delimiter) = Delimiter::new(delimiter.as_ref()) else {
            return Err(Error::text(ErrorKind::Value, "a delimiter has one byte at least"));
        };
        let partial = Partial::default();
        Ok(Chunks { delimiter, max_size: DEFAULT_MAX_SIZE, partial, matched: 0 })
    }

    /// The same with another limit for a chunk without its delimiter, in bytes.
    ///
    /// ```
    /// use stackio::ErrorKind;
    /// use stackio::framing::{Chunks, Framing};
    ///
    /// let mut chunks = Chunks::new(b";")?.max_size(3);
    /// assert_eq!(chunks.decode(&mut &b"abc"[..])?, None);
    /// let error = chunks.decode(&mut &b"d"[..]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::LimitOverrun);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn max_size(self, bytes: usize) -> Chunks {
        Chunks { max_size: bytes, ..self }
    }

    fn too_large(&self) -> Error {
        let text = format!("a chunk has more than {} bytes before its delimiter", self.max_size);
        Error::text(ErrorKind::LimitOverrun, text)
    }
}

impl Framing for Chunks {
    fn decode<'a, 'b: 'a>(&'a mut self, data: &mut &'b [u8]) -> Result<Option<&'a [u8]>> {
        self.partial.begin()?;
        let end = self.delimiter.search(data, &mut self.matched);
        let (new, rest) = data.split_at(end.unwrap_or(data.len()));
        // What may be the beginning of the delimiter is no part of the chunk yet.
        let after = if end.is_some() { self.delimiter.len() } else { self.matched };
        let size = self.partial.len() + new.len() - after;
        if size > self.max_size {
            return Err(self.partial.fail(self.too_large()));
        }
        *data = rest;
        if end.is_none() {
            self.partial.push(new, self.max_size.saturating_add(self.delimiter.len()));
            return Ok(None);
        }
        Ok(Some(self.partial.complete(size, new)))
    }

    fn finish(&mut self) -> Result {
        self.partial.finish()
    }

    fn encode_into(&self, chunk: &[u8], out: &mut Vec<u8>) -> Result {
        if chunk.len() > self.max_size {
            return Err(self.too_large());
        }
        if !self.delimiter.ends_only(chunk) {
            return Err(Error::text(ErrorKind::Value, "the delimiter ends before the chunk does"));
        }
        out.reserve(chunk.len() + self.delimiter.len());
        out.extend_from_slice(chunk);
        out.extend_from_slice(self.delimiter.bytes());
        Ok(())
    }
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delimiter = self.delimiter.bytes().escape_ascii().to_string();
        f.debug_struct("Chunks")
            .field("delimiter", &delimiter)
            .field("max_size", &self.max_size)
            .field("buffered", &self.partial.len())
            .finish()
    }
}
