//! [`Lines`]: messages that end where a line does.

use std::fmt;

use super::chunks::DEFAULT_MAX_SIZE;
use super::contract::Framing;
use super::partial::Partial;
use crate::exceptions::{Error, ErrorKind, Result};

/// Lines, without their ends: `\n` or `\r\n`.
///
/// The lines are bytes; [`std::str::from_utf8`] makes text of one, and its error
/// passes through `?`.
///
/// ```
/// use stackio::framing::{Framing, Lines};
///
/// let (mut lines, mut data) = (Lines::new(), &b"one\r\n\ntwo\n"[..]);
/// let mut all = Vec::new();
/// while let Some(line) = lines.decode(&mut data)? {
///     all.push(std::str::from_utf8(line)?.to_owned());
/// }
/// assert_eq!(all, ["one", "", "two"]);
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone)]
pub struct Lines {
    ends: Ends,
    max_size: usize,
    partial: Partial,
    /// Whether the last byte of `partial` is a `\r`, which may belong to the end.
    after_cr: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// Reads both, writes `\n`.
    Lf,
    /// Reads both, writes `\r\n`.
    CrLf,
    /// Knows `\r\n` only.
    Strict,
}

impl Lines {
    /// Reads lines that end with `\n` or `\r\n`, and writes them with `\n`. They have
    /// 64 KiB at most.
    ///
    /// ```
    /// use stackio::framing::{Framing, Lines};
    /// assert_eq!(Lines::new().encode(b"one")?, b"one\n");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn new() -> Lines {
        Lines::ending(Ends::Lf)
    }

    /// Reads the same, and writes `\r\n`: what most protocols of the Internet ask for.
    ///
    /// ```
    /// use stackio::framing::{Framing, Lines};
    /// assert_eq!(Lines::crlf().encode(b"one")?, b"one\r\n");
    /// assert_eq!(Lines::crlf().decode(&mut &b"one\n"[..])?, Some(&b"one"[..]));
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn crlf() -> Lines {
        Lines::ending(Ends::CrLf)
    }

    /// Reads and writes `\r\n` only, as SMTP demands
    /// ([RFC 5321, 2.3.8](https://www.rfc-editor.org/rfc/rfc5321#section-2.3.8)): a
    /// `\r` or `\n` without the other is an error of kind `Value`. Where two programs
    /// disagree about it, one sees a message that the other does not.
    ///
    /// ```
    /// use stackio::ErrorKind;
    /// use stackio::framing::{Framing, Lines};
    ///
    /// let error = Lines::strict_crlf().decode(&mut &b"one\ntwo\r\n"[..]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Value);
    /// ```
    pub fn strict_crlf() -> Lines {
        Lines::ending(Ends::Strict)
    }

    fn ending(ends: Ends) -> Lines {
        let partial = Partial::default();
        Lines { ends, max_size: DEFAULT_MAX_SIZE, partial, after_cr: false }
    }

    /// The same with another limit for a line without its end, in bytes.
    ///
    /// ```
    /// use stackio::ErrorKind;
    /// use stackio::framing::{Framing, Lines};
    ///
    /// let mut lines = Lines::new().max_size(3);
    /// assert_eq!(lines.decode(&mut &b"abc\r\n"[..])?, Some(&b"abc"[..]));
    /// let error = lines.decode(&mut &b"abcd"[..]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::LimitOverrun);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn max_size(self, bytes: usize) -> Lines {
        Lines { max_size: bytes, ..self }
    }

    /// How many bytes the line has so far, and what comes behind them.
    fn look(&self, data: &[u8]) -> (usize, Next) {
        if self.ends != Ends::Strict {
            let newline = memchr::memchr(b'\n', data);
            let until = newline.unwrap_or(data.len());
            let cr = if until == 0 { self.after_cr } else { data[until - 1] == b'\r' };
            let size = self.partial.len() + until - usize::from(cr);
            return (size, newline.map_or(Next::More, |at| Next::End(at + 1)));
        }
        if self.after_cr {
            let next = match data {
                [] => Next::More,
                [b'\n', ..] => Next::End(1),
                _ => Next::Half,
            };
            return (self.partial.len() - 1, next);
        }
        let until = memchr::memchr2(b'\r', b'\n', data).unwrap_or(data.len());
        let next = match &data[until..] {
            [] | [b'\r'] => Next::More,
            [b'\r', b'\n', ..] => Next::End(until + 2),
            _ => Next::Half,
        };
        (self.partial.len() + until, next)
    }

    fn too_large(&self) -> Error {
        let text = format!("a line has more than {} bytes", self.max_size);
        Error::text(ErrorKind::LimitOverrun, text)
    }
}

/// What follows the bytes of a line.
enum Next {
    /// Nothing yet, or the beginning of its end.
    More,
    /// Its end, up to this place.
    End(usize),
    /// One half of an end, and not the other.
    Half,
}

impl Framing for Lines {
    fn decode<'a, 'b: 'a>(&'a mut self, data: &mut &'b [u8]) -> Result<Option<&'a [u8]>> {
        self.partial.begin()?;
        let (size, next) = self.look(data);
        if size > self.max_size {
            return Err(self.partial.fail(self.too_large()));
        }
        match next {
            Next::Half => {
                let text = "a line ends with \\r\\n, and one of the two came alone";
                Err(self.partial.fail(Error::text(ErrorKind::Value, text)))
            }
            Next::More => {
                let new = std::mem::take(data);
                self.after_cr = new.last().map_or(self.after_cr, |&byte| byte == b'\r');
                self.partial.push(new, self.max_size.saturating_add(1));
                Ok(None)
            }
            Next::End(end) => {
                let (new, rest) = data.split_at(end);
                *data = rest;
                self.after_cr = false;
                Ok(Some(self.partial.complete(size, new)))
            }
        }
    }

    fn finish(&mut self) -> Result {
        self.partial.finish()
    }

    /// Besides `\n`, a line must not have a `\r` that may be taken for an end: at the end
    /// of a line that ends with `\n`, or anywhere in one that ends with `\r\n`.
    fn encode_into(&self, line: &[u8], out: &mut Vec<u8>) -> Result {
        if line.len() > self.max_size {
            return Err(self.too_large());
        }
        let (end, has_end) = match self.ends {
            Ends::Lf => {
                let has_end = memchr::memchr(b'\n', line).is_some() || line.ends_with(b"\r");
                (&b"\n"[..], has_end)
            }
            Ends::CrLf | Ends::Strict => {
                (&b"\r\n"[..], memchr::memchr2(b'\r', b'\n', line).is_some())
            }
        };
        if has_end {
            return Err(Error::text(ErrorKind::Value, "a line has the end of a line in it"));
        }
        out.reserve(line.len() + end.len());
        out.extend_from_slice(line);
        out.extend_from_slice(end);
        Ok(())
    }
}

impl Default for Lines {
    /// As [`new`](Lines::new).
    fn default() -> Lines {
        Lines::new()
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("ends", &self.ends)
            .field("max_size", &self.max_size)
            .field("buffered", &self.partial.len())
            .finish()
    }
}
