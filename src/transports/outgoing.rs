//! What waits to be sent.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;

use crate::constants::WRITE_BUFFERS;

/// Small writes are put together in pieces of this size.
const PIECE: usize = 16 * 1024;

/// Bytes in the order in which they were written: whole buffers that were given away,
/// and copies of what was only lent, put together.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Outgoing {
    length: usize,
    pieces: VecDeque<Bytes>,
    /// The last of them, which still grows.
    tail: BytesMut,
}

/// What was written of it.
pub(crate) struct Written {
    pub(crate) count: usize,
    pub(crate) wanted: usize,
    /// The buffers that are done with. Their destructors are the user's: they are for
    /// the caller to drop, when nothing is borrowed.
    pub(crate) spent: SmallVec<[Bytes; 4]>,
}

impl Outgoing {
    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Keeps a copy.
    pub(crate) fn push_copy(&mut self, data: &[u8]) {
        self.length += data.len();
        if self.tail.len() + data.len() > PIECE {
            self.seal();
        }
        if data.len() >= PIECE {
            self.pieces.push_back(Bytes::copy_from_slice(data));
        } else {
            self.tail.extend_from_slice(data);
        }
    }

    /// Keeps the buffer itself.
    pub(crate) fn push(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.seal();
            self.length += data.len();
            self.pieces.push_back(data);
        }
    }

    /// The tail is a piece like the others.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }

    /// Has `write` write what comes first, as much as goes into one call.
    pub(crate) fn write_with(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Written> {
        self.seal();
        let mut slices = [IoSlice::new(&[]); WRITE_BUFFERS];
        let mut wanted = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            wanted += piece.len();
        }
        let count = self.pieces.len().min(WRITE_BUFFERS);
        let written = write(&slices[..count])?;
        Ok(Written { count: written, wanted, spent: self.advance(written) })
    }

    fn advance(&mut self, mut written: usize) -> SmallVec<[Bytes; 4]> {
        self.length -= written;
        let mut spent = SmallVec::new();
        while let Some(first) = self.pieces.front_mut() {
            if written < first.len() {
                first.advance(written);
                break;
            }
            written -= first.len();
            spent.extend(self.pieces.pop_front());
        }
        spent
    }

    /// Takes what comes first, at most so many bytes; nothing if nothing waits.
    pub(crate) fn take(&mut self, most: usize) -> Bytes {
        self.seal();
        let Some(first) = self.pieces.front_mut() else { return Bytes::new() };
        let taken = first.split_to(most.min(first.len()));
        if first.is_empty() {
            self.pieces.pop_front();
        }
        self.length -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::Outgoing;

    proptest! {
        /// Whatever is written in whatever way, and however little is taken at a time,
        /// the same bytes come out in the same order.
        #[test]
        fn every_byte_leaves_in_the_order_in_which_it_came(
            writes in prop::collection::vec((any::<bool>(), 0usize..40_000), 0..20),
            takes in prop::collection::vec(1usize..50_000, 1..10),
        ) {
            let (mut outgoing, mut written) = (Outgoing::default(), Vec::new());
            for (number, (copied, length)) in writes.into_iter().enumerate() {
                let data: Vec<u8> = (0..length).map(|at| (at + number) as u8).collect();
                written.extend_from_slice(&data);
                match copied {
                    true => outgoing.push_copy(&data),
                    false => outgoing.push(Bytes::from(data)),
                }
                prop_assert_eq!(outgoing.len(), written.len());
            }
            let taken = RefCell::new(Vec::new());
            let mut takes = takes.iter().cycle();
            while !outgoing.is_empty() {
                let most = *takes.next().expect("it is not empty");
                let taking = outgoing.write_with(|slices| {
                    let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter()).copied().collect();
                    let now = most.min(all.len());
                    taken.borrow_mut().extend_from_slice(&all[..now]);
                    Ok(now)
                });
                taking.expect("nothing fails here");
            }
            prop_assert_eq!(taken.into_inner(), written);
        }
    }
}
