//! The end of a connection whose peer may still be sending.
//!
//! A socket that is closed with something unread in it answers the peer with a reset, and
//! so does one that is gone to whatever comes later. A reset overtakes what was sent
//! before: an answer that was accepted for writing, and flushed, may never arrive. So the
//! end of the stream is sent, what comes is thrown away, and the descriptor is closed
//! when the peer has ended too, or for being late or much. (RFC 9112, section 9.6, asks
//! servers for it; nginx calls it a lingering close.)
//!
//! The protocol has been told by then. What has been read to its end, as far as anybody
//! knows, is closed at once.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use super::StreamTransport;
use crate::clock::Clock;
use crate::constants::{LINGER_LIMIT, LINGER_TIME};
use crate::handles::TimerHandle;
use crate::selectors::Direction;
use crate::transports::turns::{Did, TakesTurns};

/// What is known of bytes that came and were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Nothing was read yet, and the selector has said nothing.
    Unknown,
    /// There were none when somebody last looked.
    None,
    /// The last read got as much as it could take, or something came since.
    Likely,
    /// The connection was cut, so that nobody cares.
    Irrelevant,
}

/// What is left of a connection that lingers.
pub(super) struct Lingering {
    /// Bytes that are thrown away before it is closed anyway.
    left: Cell<usize>,
    timer: Option<TimerHandle>,
}

impl StreamTransport {
    /// Notes what is known of what is unread.
    pub(super) fn note_unread(&self, unread: Unread) {
        if self.unread.get() != Unread::Irrelevant {
            self.unread.set(unread);
        }
    }

    /// Begins to linger, if there is a reason to.
    pub(super) fn linger(self: &Rc<Self>) -> bool {
        let unread = self.unread.get();
        let ended = self.link.eof_received.get() || self.link.scheduler.is_closed();
        if ended || !matches!(unread, Unread::Unknown | Unread::Likely) {
            return false;
        }
        // Only a socket can be ended in one direction.
        let ends = self.source.borrow().as_ref().is_some_and(|source| source.as_socket().is_some());
        if !ends || !self.finds_more(unread) {
            return false;
        }
        let sent = self.source.borrow().as_ref().is_some_and(|source| source.end_writing().is_ok());
        if !sent {
            return false;
        }
        // A virtual clock would jump to the timer at once, and time is not to pass for it.
        let virtually = matches!(self.link.scheduler.clock(), Clock::Virtual(_));
        let late = self.clone();
        let timer = (!virtually)
            .then(|| self.link.scheduler.call_later(LINGER_TIME, move || late.end_lingering()));
        *self.lingering.borrow_mut() = Some(Lingering { left: Cell::new(LINGER_LIMIT), timer });
        self.link.keep(self.clone());
        self.want(Direction::Read);
        true
    }

    /// Reads once: whether something was there, or is likely to come.
    fn finds_more(&self, unread: Unread) -> bool {
        let mut buffer = self.buffer.take();
        let read = self.read(&mut buffer);
        self.buffer.give_back(buffer);
        match read {
            Ok(length) => length > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock && unread == Unread::Likely,
        }
    }

    /// Throws away what has come; it is this transport's turn.
    pub(super) fn throw_away(self: &Rc<Self>) {
        let mut buffer = self.buffer.take();
        let (read, room) = (self.read(&mut buffer), buffer.len());
        self.buffer.give_back(buffer);
        let virtually = matches!(self.link.scheduler.clock(), Clock::Virtual(_));
        match read {
            Ok(length @ 1..) if self.may_take(length) => {
                let emptied = length < room && self.short_read_empties;
                self.did(Direction::Read, if emptied { Did::Some } else { Did::All });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !virtually => {
                self.did(Direction::Read, Did::Nothing);
            }
            _ => self.end_lingering(),
        }
    }

    /// Whether that is not too much.
    fn may_take(&self, length: usize) -> bool {
        self.lingering.borrow().as_ref().is_some_and(|lingering| {
            let left = lingering.left.get().checked_sub(length);
            lingering.left.set(left.unwrap_or_default());
            left.is_some()
        })
    }

    pub(super) fn is_lingering(&self) -> bool {
        self.lingering.borrow().is_some()
    }

    fn end_lingering(&self) {
        self.let_source_go();
        self.link.leave();
    }

    /// Closes the descriptor.
    pub(super) fn let_source_go(&self) {
        let lingering = self.lingering.take();
        if let Some(timer) = lingering.and_then(|lingering| lingering.timer) {
            timer.cancel();
        }
        self.turns.end();
        let source = self.source.take();
        drop(source);
    }
}
