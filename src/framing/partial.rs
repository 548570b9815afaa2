//! What has come of a message whose end has not, and the error after which none comes.

use crate::exceptions::{Error, ErrorKind, IncompleteRead, Result};

/// A buffer of at most this size is kept for the next message, in bytes. One large
/// message should not cost its size for as long as a connection is idle after it.
const KEPT: usize = 16 * 1024;

/// ```text
///            push*              complete            begin
///   empty ----------> partial -----------> given ----------> empty
///     any state ---- fail ----> failed, for ever
/// ```
#[derive(Clone, Default)]
pub(super) struct Partial {
    bytes: Vec<u8>,
    /// Whether `bytes` is a message that the caller has been given.
    given: bool,
    failed: Option<Error>,
}

impl Partial {
    /// Has to be called first by everything that reads.
    ///
    /// # Errors
    ///
    /// The one that was there before.
    pub(super) fn begin(&mut self) -> Result {
        if self.given {
            self.given = false;
            if self.bytes.capacity() > KEPT {
                self.bytes = Vec::new();
            } else {
                self.bytes.clear();
            }
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    pub(super) fn len(&self) -> usize {
        if self.given { 0 } else { self.bytes.len() }
    }

    /// Keeps the beginning of a message that will have `most` bytes at most.
    pub(super) fn push(&mut self, bytes: &[u8], most: usize) {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            // Doubling makes it linear; what is beyond `most` would never be used.
            let wanted = needed.max(self.bytes.len() * 2).min(most.max(needed));
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The message of `size` bytes that begins with what was kept, and goes on in `rest`.
    pub(super) fn complete<'a, 'b: 'a>(&'a mut self, size: usize, rest: &'b [u8]) -> &'a [u8] {
        if self.bytes.is_empty() {
            return &rest[..size];
        }
        // The end of the message, and not only that of its delimiter, may be here already.
        if let Some(missing) = size.checked_sub(self.bytes.len()) {
            self.push(&rest[..missing], size);
        }
        self.given = true;
        &self.bytes[..size]
    }

    /// Nothing comes after this.
    pub(super) fn fail(&mut self, error: Error) -> Error {
        self.bytes = Vec::new();
        self.failed = Some(error.clone());
        error
    }

    /// The end of the stream, which is not one within a message.
    pub(super) fn finish(&mut self) -> Result {
        self.begin()?;
        if self.bytes.is_empty() { Ok(()) } else { Err(self.incomplete(None)) }
    }

    /// The error for a stream that ended before there were `expected` bytes.
    pub(super) fn incomplete(&mut self, expected: Option<usize>) -> Error {
        let partial = std::mem::take(&mut self.bytes);
        self.fail(Error::new(ErrorKind::IncompleteRead, IncompleteRead { partial, expected }))
    }
}
