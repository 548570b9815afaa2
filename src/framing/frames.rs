//! [`Frames`]: messages that begin with their length.

use std::fmt;

use super::contract::Framing;
use super::partial::Partial;
use crate::exceptions::{Error, ErrorKind, Result};

/// A length that a peer merely announces costs nothing, so there is more room than for
/// a chunk: for a picture or a page, and for a hundred connections at once.
const DEFAULT_MAX_SIZE: usize = 8 * 1024 * 1024;

/// How many bytes a varint of 64 bits has at most, seven bits in each.
const LONGEST_PREFIX: usize = 10;

/// How a length is written in front of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// One byte: up to 255 bytes.
    U8,
    /// Two bytes, the most significant first.
    U16Be,
    /// Two bytes, the least significant first.
    U16Le,
    /// Three bytes, the most significant first.
    U24Be,
    /// Three bytes, the least significant first.
    U24Le,
    /// Four bytes, the most significant first.
    U32Be,
    /// Four bytes, the least significant first.
    U32Le,
    /// Eight bytes, the most significant first.
    U64Be,
    /// Eight bytes, the least significant first.
    U64Le,
    /// One to ten bytes of seven bits each, the least significant first, of which all but
    /// the last have the highest bit set (LEB128, as in
    /// [Protocol Buffers](https://protobuf.dev/programming-guides/encoding/#varints)).
    /// The shortest form is written, longer ones are read as well.
    Varint,
}

impl Prefix {
    /// How many bytes it has; `None` if they say so themselves.
    fn width(self) -> Option<usize> {
        match self {
            Prefix::U8 => Some(1),
            Prefix::U16Be | Prefix::U16Le => Some(2),
            Prefix::U24Be | Prefix::U24Le => Some(3),
            Prefix::U32Be | Prefix::U32Le => Some(4),
            Prefix::U64Be | Prefix::U64Le => Some(8),
            Prefix::Varint => None,
        }
    }

    fn is_big_endian(self) -> bool {
        matches!(self, Prefix::U16Be | Prefix::U24Be | Prefix::U32Be | Prefix::U64Be)
    }

    /// The greatest length it can say.
    fn greatest(self) -> u64 {
        match self.width() {
            Some(width @ 1..8) => (1 << (8 * width)) - 1,
            _ => u64::MAX,
        }
    }

    fn write(self, length: u64, out: &mut Vec<u8>) {
        match self.width() {
            Some(width) if self.is_big_endian() => {
                out.extend_from_slice(&length.to_be_bytes()[8 - width..]);
            }
            Some(width) => out.extend_from_slice(&length.to_le_bytes()[..width]),
            None => {
                let mut rest = length;
                while rest > 0x7f {
                    out.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                out.push(rest as u8);
            }
        }
    }
}

/// The length of a frame, as far as its bytes have come.
#[derive(Clone, Copy, Default)]
struct Length {
    value: u64,
    bytes: [u8; LONGEST_PREFIX],
    count: usize,
}

impl Length {
    /// Whether it is complete with this byte; `None` if it does not fit in 64 bits.
    fn push(&mut self, byte: u8, prefix: Prefix) -> Option<bool> {
        let position = self.count;
        self.bytes[position] = byte;
        self.count += 1;
        let Some(width) = prefix.width() else {
            let bits = u64::from(byte & 0x7f);
            let more = byte & 0x80 != 0;
            if position == LONGEST_PREFIX - 1 && byte > 1 {
                return None;
            }
            self.value |= bits << (7 * position);
            return Some(!more);
        };
        if prefix.is_big_endian() {
            self.value = self.value << 8 | u64::from(byte);
        } else {
            self.value |= u64::from(byte) << (8 * position);
        }
        Some(self.count == width)
    }
}

/// Messages that begin with their length, which does not count itself.
///
/// ```
/// use stackio::framing::{Frames, Framing, Prefix};
///
/// let mut frames = Frames::new(Prefix::U16Be);
/// let mut data: &[u8] = b"\x00\x03one\x00\x00\x00";
/// assert_eq!(frames.decode(&mut data)?, Some(&b"one"[..]));
/// assert_eq!(frames.decode(&mut data)?, Some(&b""[..]));
/// assert_eq!(frames.decode(&mut data)?, None);
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone)]
pub struct Frames {
    prefix: Prefix,
    max_size: usize,
    length: Length,
    /// How many bytes the frame has, once that is known.
    size: Option<usize>,
    partial: Partial,
}

impl Frames {
    /// Frames of at most 8 MiB.
    ///
    /// ```
    /// use stackio::framing::{Frames, Framing, Prefix};
    /// assert_eq!(Frames::new(Prefix::U32Le).encode(b"one")?, b"\x03\0\0\0one");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn new(prefix: Prefix) -> Frames {
        let (length, partial) = (Length::default(), Partial::default());
        Frames { prefix, max_size: DEFAULT_MAX_SIZE, length, size: None, partial }
    }

    /// The same with another limit for a frame without its length, in bytes. What the
    /// prefix can say is a limit as well.
    ///
    /// ```
    /// use stackio::ErrorKind;
    /// use stackio::framing::{Frames, Framing, Prefix};
    ///
    /// let mut frames = Frames::new(Prefix::U8).max_size(3);
    /// let error = frames.decode(&mut &b"\x04"[..]).unwrap_err(); // before the four bytes
    /// assert_eq!(error.kind(), ErrorKind::LimitOverrun);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn max_size(self, bytes: usize) -> Frames {
        Frames { max_size: bytes, ..self }
    }

    /// Reads the length, if it is not known yet.
    fn read_length(&mut self, data: &mut &[u8]) -> Result<Option<usize>> {
        while self.size.is_none()
            && let Some((&byte, rest)) = data.split_first()
        {
            *data = rest;
            let Some(complete) = self.length.push(byte, self.prefix) else {
                return Err(Error::text(ErrorKind::Value, "the length of a frame has no end"));
            };
            let length = self.length.value;
            if length > self.max_size as u64 && (complete || self.prefix == Prefix::Varint) {
                return Err(self.too_large());
            }
            if complete {
                self.length = Length::default();
                self.size = Some(length as usize);
            }
        }
        Ok(self.size)
    }

    fn too_large(&self) -> Error {
        let text = format!("a frame has more than {} bytes", self.max_size);
        Error::text(ErrorKind::LimitOverrun, text)
    }
}

impl Framing for Frames {
    fn decode<'a, 'b: 'a>(&'a mut self, data: &mut &'b [u8]) -> Result<Option<&'a [u8]>> {
        self.partial.begin()?;
        let size = self.read_length(data).map_err(|error| self.partial.fail(error))?;
        let Some(size) = size else { return Ok(None) };
        let missing = size - self.partial.len();
        if data.len() < missing {
            self.partial.push(std::mem::take(data), size);
            return Ok(None);
        }
        let (new, rest) = data.split_at(missing);
        *data = rest;
        self.size = None;
        Ok(Some(self.partial.complete(size, new)))
    }

    /// Within a length, [`partial`](crate::IncompleteRead::partial) is what there was of
    /// it; of a varint one byte more is `expected` then, for nobody knows how many.
    fn finish(&mut self) -> Result {
        self.partial.begin()?;
        if self.size.is_some() {
            return Err(self.partial.incomplete(self.size));
        }
        let count = self.length.count;
        if count == 0 {
            return Ok(());
        }
        self.partial.push(&self.length.bytes[..count], LONGEST_PREFIX);
        Err(self.partial.incomplete(Some(self.prefix.width().unwrap_or(count + 1))))
    }

    fn encode_into(&self, frame: &[u8], out: &mut Vec<u8>) -> Result {
        if frame.len() > self.max_size {
            return Err(self.too_large());
        }
        if frame.len() as u64 > self.prefix.greatest() {
            let text = format!("a frame has more than {} bytes", self.prefix.greatest());
            return Err(Error::text(ErrorKind::LimitOverrun, text));
        }
        out.reserve(LONGEST_PREFIX + frame.len());
        self.prefix.write(frame.len() as u64, out);
        out.extend_from_slice(frame);
        Ok(())
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("prefix", &self.prefix)
            .field("max_size", &self.max_size)
            .field("buffered", &(self.length.count + self.partial.len()))
            .finish()
    }
}
