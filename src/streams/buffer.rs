//! Bytes in a row, and the search for the end of a message among them.

use std::cell::{Cell, RefCell};
use std::mem;
use std::ops::Range;
use std::thread::LocalKey;

use memchr::{memchr, memmem};

use crate::constants::READ_SIZE;
use crate::exceptions::{Error, ErrorKind, LimitOverrun, Result};

/// The memory of a small buffer, in bytes. A large one has what is read at a time.
const SMALL: usize = 4 * 1024;

/// Memory that buffers pass on to each other is at most so many pieces, small ones and
/// those that are neither.
const SPARES: usize = 32;

/// There are at most so many large ones, in use or not: 1 MiB for a thread.
const LARGE_ONES: usize = 16;

/// The last that was laid down, which is warm, is taken first.
type Pile = RefCell<Vec<Box<[u8]>>>;

thread_local! {
    static SMALL_SPARES: Pile = const { RefCell::new(Vec::new()) };
    static SPARES_BETWEEN: Pile = const { RefCell::new(Vec::new()) };
    static LARGE_SPARES: Pile = const { RefCell::new(Vec::new()) };
    static LARGE_MADE: Cell<usize> = const { Cell::new(0) };
}

#[inline]
fn keep_spare(bytes: Box<[u8]>) {
    let pile = match bytes.len() {
        SMALL => &SMALL_SPARES,
        READ_SIZE => &LARGE_SPARES,
        length if SMALL < length && length < READ_SIZE => &SPARES_BETWEEN,
        _ => return,
    };
    // Once the thread is ending there is nobody to keep it for.
    let _ = pile.try_with(|spares| lay_down(spares, bytes));
}

fn lay_down(spares: &Pile, bytes: Box<[u8]>) {
    let mut spares = spares.borrow_mut();
    if spares.len() < SPARES {
        spares.push(bytes);
    }
}

/// The spare that was laid down last, if it is so large.
#[inline]
fn take_spare(pile: &'static LocalKey<Pile>, length: usize) -> Option<Box<[u8]>> {
    let take = |spares: &Pile| spares.borrow_mut().pop_if(|spare| spare.len() >= length);
    pile.try_with(take).ok().flatten()
}

/// A large piece, unless all that there may be are in use.
#[inline]
fn take_large() -> Option<Box<[u8]>> {
    take_spare(&LARGE_SPARES, READ_SIZE).or_else(make_large)
}

#[cold]
fn make_large() -> Option<Box<[u8]>> {
    let made = LARGE_MADE.get();
    (made < LARGE_ONES).then(|| {
        LARGE_MADE.set(made + 1);
        zeros(READ_SIZE)
    })
}

/// Bytes that are taken from the front. What has been taken stays in place until
/// it is the greater part, and room is needed.
///
/// An empty one holds no memory: an idle connection is not to hold what a busy one needed.
#[derive(Default)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn extend(&mut self, data: &[u8]) {
        if self.end > 0 {
            self.make_room(data.len());
        } else if data.len() <= SMALL {
            self.bytes = take_spare(&SMALL_SPARES, SMALL).unwrap_or_else(|| zeros(SMALL));
        } else {
            let is_much = (READ_SIZE / 4..=READ_SIZE).contains(&data.len());
            let spare = is_much.then(take_large).flatten();
            let spare = spare.or_else(|| take_spare(&SPARES_BETWEEN, data.len()));
            self.bytes = spare.unwrap_or_else(|| zeros(data.len()));
        }
        let end = self.end + data.len();
        self.bytes[self.end..end].copy_from_slice(data);
        self.end = end;
    }

    /// As [`extend`](Buffer::extend) with the first bytes of a buffer of the size that is
    /// read at a time; if they are many, the buffer itself is kept, and another one takes
    /// its place.
    pub(crate) fn extend_from(&mut self, buffer: &mut Box<[u8]>, length: usize) {
        let is_much = self.end == 0 && length >= READ_SIZE / 4;
        match is_much.then(take_large).flatten() {
            Some(other) => {
                self.bytes = mem::replace(buffer, other);
                self.end = length;
            }
            None => self.extend(&buffer[..length]),
        }
    }

    /// Has room for so many more at the end.
    fn make_room(&mut self, length: usize) {
        if self.bytes.len() - self.end >= length {
            return;
        }
        let unread = self.len();
        if self.start < unread || self.bytes.len() < unread + length {
            let mut larger = zeros((unread + length).max(2 * self.bytes.len()));
            larger[..unread].copy_from_slice(self.unread());
            keep_spare(mem::replace(&mut self.bytes, larger));
        } else {
            self.bytes.copy_within(self.start..self.end, 0);
        }
        (self.start, self.end) = (0, unread);
    }

    /// The next bytes, as many as that if there are.
    pub(crate) fn take(&mut self, length: usize) -> Vec<u8> {
        let length = length.min(self.len());
        if self.start == 0 && length == self.bytes.len() && length != READ_SIZE {
            self.end = 0;
            return mem::take(&mut self.bytes).into_vec();
        }
        let taken = self.unread()[..length].to_vec();
        self.skip(length);
        taken
    }

    /// Drops the next bytes, as many as that if there are.
    pub(crate) fn skip(&mut self, length: usize) {
        self.start += length.min(self.len());
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
            keep_spare(mem::take(&mut self.bytes));
        }
    }

    /// Gives back memory, if a part of it would do: more may come, but nobody knows when.
    #[inline]
    pub(crate) fn shrink(&mut self) {
        if self.len() < self.bytes.len() / 4 {
            self.shrink_to_fit();
        }
    }

    #[cold]
    fn shrink_to_fit(&mut self) {
        let fitting = self.unread().into();
        let end = self.len();
        keep_spare(mem::replace(&mut self.bytes, fitting));
        (self.start, self.end) = (0, end);
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

impl Drop for Buffer {
    fn drop(&mut self) {
        keep_spare(mem::take(&mut self.bytes));
    }
}

fn zeros(length: usize) -> Box<[u8]> {
    vec![0; length].into_boxed_slice()
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

    use super::{Buffer, SMALL, zeros};
    use crate::constants::READ_SIZE;

    /// Something that is done to a buffer, with how many bytes.
    #[derive(Clone, Debug)]
    enum Op {
        Extend(usize),
        Take(usize),
        Skip(usize),
        Put(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let size = 0..3 * SMALL;
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
    fn an_empty_one_holds_no_memory() {
        let mut buffer = Buffer::default();
        for length in [3, 100_000] {
            buffer.extend(&vec![0; length]);
            buffer.skip(length - 1);
            buffer.take(1);
            assert_eq!(buffer.bytes.len(), 0);
        }
    }

    #[test]
    fn busy_ones_pass_their_memory_on() {
        let data = [7; 4 * SMALL];
        let (mut one, mut other) = (Buffer::default(), Buffer::default());
        one.extend(&data);
        let place = one.unread().as_ptr();
        one.skip(data.len());
        other.extend(&data);
        assert_eq!((other.unread().as_ptr(), other.unread()), (place, &data[..]));
        assert_eq!(one.bytes.len(), 0);
        // Who needs little does not take much.
        other.skip(data.len());
        one.extend(&data[..8]);
        assert_eq!(one.bytes.len(), SMALL);
    }

    #[test]
    fn much_is_not_copied() {
        let (mut buffer, mut read) = (Buffer::default(), zeros(READ_SIZE));
        let place = read.as_ptr();
        buffer.extend_from(&mut read, READ_SIZE / 4);
        assert_eq!((buffer.unread().as_ptr(), buffer.len()), (place, READ_SIZE / 4));
        assert_eq!(read.len(), READ_SIZE);
        // More comes behind it, in the same memory while there is room.
        read[0] = 1;
        buffer.extend_from(&mut read, READ_SIZE / 2);
        assert_eq!(buffer.unread().as_ptr(), place);
        assert_eq!(buffer.unread()[READ_SIZE / 4], 1);
        // And the memory goes round.
        buffer.skip(READ_SIZE);
        buffer.extend_from(&mut read, READ_SIZE);
        buffer.skip(READ_SIZE - 1);
        assert_eq!(read.as_ptr(), place);
        // For a rest that waits for more it is not kept.
        buffer.shrink();
        assert_eq!((buffer.bytes.len(), buffer.unread()), (1, &[0][..]));
    }
}
