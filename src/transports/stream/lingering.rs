//! The end of a connection whose peer may still be sending.
//!
//! A socket that is closed with something unread in it answers the peer with a reset, and
//! so does one that is gone to whatever comes later. A reset overtakes what was sent
//! before: an answer that was accepted for writing, and flushed, may never arrive. So the
//! end of the stream is sent, what comes is thrown away, and the connection is lost when
//! the peer has ended too, or has got everything and is late. (RFC 9112, section 9.6, asks
//! servers for it; nginx calls it a lingering close.)
//!
//! What has been read to its end, as far as anybody knows, and sent but little, is closed
//! at once.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use super::StreamTransport;
use crate::constants::{LINGER_LIMIT, LINGER_SENT, LINGER_STALLS, LINGER_TIME};
use crate::exceptions::Error;
use crate::handles::TimerHandle;
use crate::selectors::Direction;
use crate::sys::descriptor::unsent;
use crate::transports::link::finish;
use crate::transports::source::Source;
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
}

/// What is left of a connection that lingers.
pub(super) struct Lingering {
    /// Bytes that the peer had not got when somebody last looked.
    unsent: Cell<usize>,
    /// How often somebody has looked since the peer last took some.
    stalls: Cell<u32>,
    /// Bytes that are thrown away before somebody looks again.
    left: Cell<usize>,
    timer: Cell<Option<TimerHandle>>,
}

impl Lingering {
    /// Whether the peer has taken something since the last look.
    fn goes_on(&self, unsent: usize) -> bool {
        let less = unsent < self.unsent.replace(unsent);
        if less {
            self.stalls.set(0);
            self.left.set(LINGER_LIMIT);
        }
        less
    }
}

impl StreamTransport {
    /// All is sent: ends the connection, now or when the peer is served.
    pub(super) fn end(self: &Rc<Self>) {
        if !self.link.lost.get() && !self.is_lingering() && !self.linger() {
            finish(self, None);
        }
    }

    /// Begins to linger, if there is a reason to.
    fn linger(self: &Rc<Self>) -> bool {
        if self.link.eof_received.get() || self.link.scheduler.is_closed() {
            return false;
        }
        let unread = self.unread.get();
        // Only a socket can be ended in one direction.
        let Some(unsent) = self.unsent() else { return false };
        let is_sending = unsent > 0
            || matches!(unread, Unread::Unknown | Unread::Likely) && self.finds_more(unread);
        let sent = |source: &Source| source.end_writing().is_ok();
        if !is_sending || !self.source.borrow().as_ref().is_some_and(sent) {
            return false;
        }
        *self.lingering.borrow_mut() = Some(Lingering {
            unsent: Cell::new(unsent),
            stalls: Cell::new(0),
            left: Cell::new(LINGER_LIMIT),
            timer: Cell::new(None),
        });
        self.look_again_later();
        self.want(Direction::Read);
        true
    }

    /// Bytes that the peer has not got yet, if it is a socket; 0 if they are few, or where
    /// no reset can overtake them.
    fn unsent(&self) -> Option<usize> {
        let source = self.source.borrow();
        match source.as_ref()? {
            Source::Internet(socket) if self.sent.get() >= LINGER_SENT => Some(unsent(socket)),
            source => source.as_socket().map(|_| 0),
        }
    }

    fn look_again_later(self: &Rc<Self>) {
        // A virtual clock would jump to the timer at once, and time is not to pass for it.
        if !self.link.scheduler.clock().is_virtual()
            && let Some(lingering) = &*self.lingering.borrow()
        {
            let late = self.clone();
            let timer = self.link.scheduler.call_later(LINGER_TIME, move || late.look_again());
            lingering.timer.set(Some(timer));
        }
    }

    fn look_again(self: &Rc<Self>) {
        let unsent = self.unsent().unwrap_or(0);
        let stalls = self.lingering.borrow().as_ref().map_or(LINGER_STALLS, |lingering| {
            if !lingering.goes_on(unsent) {
                lingering.stalls.set(lingering.stalls.get() + 1);
            }
            lingering.stalls.get()
        });
        match unsent {
            0 if stalls > 0 => self.end_lingering(None),
            1.. if stalls >= LINGER_STALLS => {
                let text = format!("the peer does not take the last {unsent} bytes");
                self.end_lingering(Some(io::Error::new(io::ErrorKind::TimedOut, text)));
            }
            _ => {
                self.look_again_later();
                self.want(Direction::Read);
            }
        }
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
        let virtually = self.link.scheduler.clock().is_virtual();
        let emptied = matches!(read, Ok(length) if length < room && self.short_read_empties);
        match read {
            Ok(1..) if emptied && virtually => self.end_lingering(None),
            Ok(length @ 1..) if self.may_take(length) => {
                self.did(Direction::Read, if emptied { Did::Some } else { Did::All });
            }
            // It sends much while it takes little. The next look goes on.
            Ok(1..) if self.unsent() > Some(0) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !virtually => {
                self.did(Direction::Read, Did::Nothing);
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock && self.unsent() > Some(0) => {
                self.end_lingering(Some(error));
            }
            _ => self.end_lingering(None),
        }
    }

    /// Whether that is not too much for the time being.
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

    fn end_lingering(self: &Rc<Self>, error: Option<io::Error>) {
        if !self.link.lost.get() {
            finish(self, error.map(Error::from));
        }
    }

    /// Closes the descriptor.
    pub(super) fn let_source_go(&self) {
        let lingering = self.lingering.take();
        if let Some(timer) = lingering.and_then(|lingering| lingering.timer.take()) {
            timer.cancel();
        }
        self.turns.end();
        let source = self.source.take();
        drop(source);
    }
}
