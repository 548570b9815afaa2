//! Reading: what comes goes to the protocol.

use std::io;
use std::rc::Rc;

use super::StreamTransport;
use super::lingering::Unread;
use crate::exceptions::Result;
use crate::selectors::Direction;
use crate::transports::interface::{Fetcher, Filled, ProtocolRef};
use crate::transports::link::{deliver, fatal, raised};
use crate::transports::turns::{Did, TakesTurns, retry};

impl StreamTransport {
    /// Asks the protocol who comes for the bytes. If somebody was to come for the one
    /// before, he will not.
    pub(super) fn find_fetcher(&self) {
        let fetcher = match self.link.lost.get() {
            true => None,
            false => self.link.protocol().and_then(|protocol| protocol.fetcher()),
        };
        let former = self.fetcher.replace(fetcher);
        if former.is_some_and(|former| former.withdraw())
            && let Some(me) = self.me()
        {
            me.want(Direction::Read);
        }
    }

    /// There is something to read; whether somebody comes for it.
    #[inline]
    pub(super) fn offer(&self) -> bool {
        match &*self.fetcher.borrow() {
            Some(fetcher) if self.link.is_reading() => fetcher.offer(),
            _ => false,
        }
    }

    #[inline]
    fn is_receiving(&self) -> bool {
        self.link.is_reading() && !self.link.eof_received.get() && self.reads
    }

    pub(super) fn receive(self: &Rc<Self>) {
        if !self.is_receiving() {
            if self.is_lingering() {
                self.throw_away();
            }
            return;
        }
        let Some(protocol) = self.link.protocol() else { return };
        match protocol.fill(|buffer| self.read(buffer)) {
            Some(Ok(Filled { room, read: Ok(length @ 1..) })) => self.has_read(length, room),
            Some(Ok(Filled { read, .. })) => self.has_read_nothing(read),
            Some(Err(error)) => {
                let text = "Fatal error: protocol.get_buffer() or buffer_updated() call failed.";
                fatal(self, text, error);
            }
            None => self.read_for(&protocol),
        }
    }

    /// For a protocol without a buffer of its own.
    #[inline(always)]
    fn read_for(self: &Rc<Self>, protocol: &ProtocolRef) {
        let mut buffer = self.buffer.take();
        match self.read(&mut buffer) {
            Ok(length @ 1..) => {
                if let Err(error) = protocol.data_received(&buffer[..length]) {
                    raised(self, "data_received", error);
                }
                self.has_read(length, buffer.len());
            }
            read => self.has_read_nothing(read),
        }
        self.buffer.give_back(buffer);
    }

    /// For somebody who comes for it.
    #[inline]
    pub(super) fn receive_for(&self, fetcher: &dyn Fetcher) {
        if !self.is_receiving() {
            return;
        }
        let mut buffer = self.buffer.take();
        let room = buffer.len();
        let read = self.read(&mut buffer);
        let taken = match read {
            Ok(length @ 1..) => fetcher.take_in(&mut buffer, length),
            _ => Ok(()),
        };
        self.buffer.give_back(buffer);
        match (read, taken) {
            (Ok(length), Ok(())) if length > 0 && length < room && self.has_read_all() => {}
            (read, taken) => self.has_fetched(read, taken, room),
        }
    }

    /// That was all there was, as a short read says, and the end has not come; false if that
    /// is not known.
    #[inline]
    fn has_read_all(&self) -> bool {
        let Some(registration) = self.turns.registration() else { return false };
        if !self.short_read_empties || self.link.closing.get() {
            return false;
        }
        self.unread.set(Unread::None);
        registration.drained(Direction::Read);
        !registration.may_be_ready(Direction::Read)
    }

    /// There may be more, or the end has come.
    #[cold]
    fn has_fetched(&self, read: io::Result<usize>, taken: Result, room: usize) {
        let Some(me) = self.me() else { return };
        if let Err(error) = taken {
            raised(&me, "data_received", error);
        }
        match read {
            Ok(length @ 1..) => me.has_read(length, room),
            read => me.has_read_nothing(read),
        }
    }

    #[inline(always)]
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &*self.source.borrow() {
            Some(source) => retry(|| source.read(buffer)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// So much has come, for which there was so much room, and the protocol has it.
    #[inline(always)]
    fn has_read(self: &Rc<Self>, length: usize, room: usize) {
        self.unread.set(if length < room { Unread::None } else { Unread::Likely });
        if !self.link.closing.get() {
            let emptied = length < room && self.short_read_empties;
            self.did(Direction::Read, if emptied { Did::Some } else { Did::All });
        }
    }

    #[cold]
    fn has_read_nothing(self: &Rc<Self>, read: io::Result<usize>) {
        match read {
            Ok(_) => self.at_eof(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.unread.set(Unread::None);
                self.did(Direction::Read, Did::Nothing);
            }
            Err(error) => fatal(self, "read error on a transport", error.into()),
        }
    }

    fn at_eof(self: &Rc<Self>) {
        self.link.eof_received.set(true);
        let keep_open = deliver(self, "eof_received", ProtocolRef::eof_received);
        match keep_open {
            // A pipe that is only read has nothing left to do.
            Some(true) if self.writes => self.note_outstanding(),
            Some(_) => self.start_closing(),
            None => {}
        }
    }
}
