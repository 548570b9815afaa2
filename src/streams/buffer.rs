//! Bytes in a row, and the search for the end of a message among them.

use std::cell::RefCell;
use std::mem;
use std::ops::Range;

use memchr::{memchr, memmem};

use crate::exceptions::{Error, ErrorKind, LimitOverrun, Result};

/// Bytes of memory that an empty buffer keeps: an idle connection is not to hold what
/// a busy one needed.
const KEPT_WHEN_EMPTY: usize = 4 * 1024;

/// Memory that busy buffers pass on to each other is at most so many pieces, and each of
/// them at most so large: 2 MiB for a thread.
const SPARES: usize = 64;
const LARGEST_SPARE: usize = 32 * 1024;

thread_local! {
    /// Empty, for whoever needs more than an empty buffer keeps.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn keep_spare(bytes: Vec<u8>) {
    // Once the thread is ending there is nobody to keep it for.
    let _ = SPARE.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        if spares.len() < SPARES && bytes.capacity() <= LARGEST_SPARE {
            spares.push(bytes);
        }
    });
}

fn take_spare() -> Option<Vec<u8>> {
    SPARE.try_with(|spares| spares.borrow_mut().pop()).ok().flatten()
}

/// Bytes that are taken from the front. What has been taken stays in place until
/// it is the greater part, and room is needed.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn extend(&mut self, data: &[u8]) {
        let is_full = self.bytes.capacity() - self.bytes.len() < data.len();
        if is_full && self.start * 2 >= self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let is_large = data.len() > KEPT_WHEN_EMPTY.max(self.bytes.capacity());
        if is_large && self.bytes.is_empty() {
            self.bytes = take_spare().unwrap_or_default();
        }
        self.bytes.extend_from_slice(data);
    }

    /// The next bytes, as many as that if there are.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let length = length.min(self.len());
        if self.start == 0 && length == self.bytes.len() && length > KEPT_WHEN_EMPTY {
            return mem::take(&mut self.bytes);
        }
        let taken = self.unread()[..length].to_vec();
        self.skip(length);
        taken
    }

    /// Drops the next bytes, as many as that if there are.
    pub(crate) fn skip(&mut self, length: usize) {
        self.start += length.min(self.len());
        if self.is_empty() {
            self.start = 0;
            self.bytes.clear();
            if self.bytes.capacity() > KEPT_WHEN_EMPTY {
                keep_spare(mem::take(&mut self.bytes));
            }
        }
    }

    /// Moves everything that another buffer has to the front of this one.
    pub(crate) fn put_before(&mut self, front: &mut Buffer) {
        if !self.is_empty() {
            front.extend(self.unread());
        }
        mem::swap(self, front);
        front.skip(usize::MAX);
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
        let mut first: Option<Range<usize>> = None;
        for separator in self.separators {
            // What ends after the first found so far need not be looked for.
            let end = first.as_ref().map_or(bytes.len(), |found| found.end);
            let rest = bytes.get(self.offset..end).unwrap_or_default();
            let Some(start) = position(rest, separator) else { continue };
            let start = self.offset + start;
            let found = start..start + separator.len();
            let rank = |found: &Range<usize>| (found.end, found.len());
            if first.as_ref().is_none_or(|first| rank(&found) < rank(first)) {
                first = Some(found);
            }
        }
        first
    }
}

fn position(bytes: &[u8], separator: &[u8]) -> Option<usize> {
    match separator {
        [byte] => memchr(*byte, bytes),
        _ => memmem::find(bytes, separator),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Buffer, KEPT_WHEN_EMPTY};

    /// Something that is done to a buffer, with how many bytes.
    #[derive(Clone, Debug)]
    enum Op {
        Extend(usize),
        Take(usize),
        Skip(usize),
        Put(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let size = 0..3 * KEPT_WHEN_EMPTY;
        prop_oneof![
            size.clone().prop_map(Op::Extend),
            size.clone().prop_map(Op::Take),
            size.clone().prop_map(Op::Skip),
            size.prop_map(Op::Put),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_queue_of_bytes(ops in prop::collection::vec(op(), 0..30)) {
            let (mut buffer, mut model, mut next) = (Buffer::default(), Vec::new(), 0);
            let mut bytes = |length: usize| -> Vec<u8> {
                next += length;
                (next - length..next).map(|at| at as u8).collect()
            };
            for op in ops {
                match op {
                    Op::Extend(length) => {
                        let data = bytes(length);
                        buffer.extend(&data);
                        model.extend(data);
                    }
                    Op::Take(length) => {
                        let length = length.min(model.len());
                        let taken: Vec<u8> = model.drain(..length).collect();
                        prop_assert_eq!(buffer.take(length), taken);
                    }
                    Op::Skip(length) => {
                        model.drain(..length.min(model.len()));
                        buffer.skip(length);
                    }
                    Op::Put(length) => {
                        let (data, mut front) = (bytes(length), Buffer::default());
                        front.extend(&data);
                        buffer.put_before(&mut front);
                        prop_assert!(front.is_empty());
                        model.splice(..0, data);
                    }
                }
                prop_assert_eq!(buffer.unread(), &model[..]);
            }
        }
    }

    #[test]
    fn an_empty_one_holds_little_memory() {
        let mut buffer = Buffer::default();
        buffer.extend(&[0; 100_000]);
        buffer.skip(99_999);
        buffer.take(1);
        assert!(buffer.bytes.capacity() <= KEPT_WHEN_EMPTY);
    }

    #[test]
    fn busy_ones_pass_their_memory_on() {
        let data = [7; 4 * KEPT_WHEN_EMPTY];
        let (mut one, mut other) = (Buffer::default(), Buffer::default());
        one.extend(&data);
        let place = one.unread().as_ptr();
        one.skip(data.len());
        other.extend(&data);
        assert_eq!((other.unread().as_ptr(), other.unread()), (place, &data[..]));
        assert_eq!(one.bytes.capacity(), 0);
        // Who needs little makes its own.
        other.skip(data.len());
        one.extend(&data[..8]);
        assert!(one.bytes.capacity() <= KEPT_WHEN_EMPTY);
    }
}
