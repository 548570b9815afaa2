//! Bytes in a row, and the search for the end of a message among them.

use std::ops::Range;

use crate::exceptions::{Error, ErrorKind, LimitOverrun, Result};

/// Bytes that are taken from the front. What has been taken stays in place until
/// it is the greater part.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn extend(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
    }

    /// The next bytes, as many as that if there are.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let length = length.min(self.unread().len());
        let taken = self.unread()[..length].to_vec();
        self.start += length;
        if self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        taken
    }
}

/// The search for the first of some separators in bytes that keep coming.
pub(crate) struct Search<'a> {
    separators: &'a [&'a [u8]],
    shortest: usize,
    longest: usize,
    /// Before this, no separator begins.
    offset: usize,
}

impl<'a> Search<'a> {
    /// # Errors
    ///
    /// Kind `Value` without a separator, or with an empty one.
    pub(crate) fn new(separators: &'a [&'a [u8]]) -> Result<Search<'a>> {
        let lengths = || separators.iter().map(|separator| separator.len());
        let (Some(shortest @ 1..), Some(longest)) = (lengths().min(), lengths().max()) else {
            return Err(Error::text(ErrorKind::Value, "a separator has one byte at least"));
        };
        Ok(Search { separators, shortest, longest, offset: 0 })
    }

    /// Looks at all bytes there are; gives the end of the separator, once it is there.
    ///
    /// # Errors
    ///
    /// Kind `LimitOverrun` if more than `limit` bytes come before the separator.
    pub(crate) fn look(&mut self, bytes: &[u8], limit: usize) -> Result<Option<usize>> {
        if bytes.len() < self.offset + self.shortest {
            return Ok(None);
        }
        let found = self.find(bytes);
        let before = match &found {
            Some(found) => found.start,
            // The last bytes may be the beginning of a separator.
            None => {
                self.offset = (bytes.len() + 1).saturating_sub(self.longest);
                self.offset
            }
        };
        if before > limit {
            return Err(Error::new(ErrorKind::LimitOverrun, LimitOverrun { consumed: before }));
        }
        Ok(found.map(|found| found.end))
    }

    /// The separator that ends first, and the shortest of those that end there.
    fn find(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let rest = &bytes[self.offset..];
        let each = self.separators.iter().filter_map(|separator| {
            let mut windows = rest.windows(separator.len());
            let start = self.offset + windows.position(|window| window == *separator)?;
            Some(start..start + separator.len())
        });
        each.min_by_key(|found| (found.end, found.len()))
    }
}
