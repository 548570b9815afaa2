//! Reading: what comes goes to the protocol.

use std::io;
use std::rc::Rc;

use super::StreamTransport;
use super::lingering::Unread;
use crate::selectors::Direction;
use crate::transports::interface::{Filled, ProtocolRef};
use crate::transports::link::{deliver, fatal};
use crate::transports::turns::{Did, TakesTurns, retry};

impl StreamTransport {
    pub(super) fn receive(self: &Rc<Self>) {
        if !self.link.is_reading() || self.link.eof_received.get() || !self.can_read() {
            if self.is_lingering() {
                self.throw_away();
            }
            return;
        }
        let filled = match self.link.protocol() {
            Some(protocol) => protocol.fill(|buffer| self.read(buffer)),
            None => return,
        };
        match filled {
            Some(Ok(Filled { room, read })) => self.has_read(room, read, &[]),
            Some(Err(error)) => {
                let text = "Fatal error: protocol.get_buffer() or buffer_updated() call failed.";
                fatal(self, text, error);
            }
            None => {
                let mut buffer = self.buffer.take();
                let read = self.read(&mut buffer);
                self.has_read(buffer.len(), read, &buffer);
                self.buffer.give_back(buffer);
            }
        }
    }

    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &*self.source.borrow() {
            Some(source) => retry(|| source.read(buffer)),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// `data` begins with what came, unless the protocol has it already.
    fn has_read(self: &Rc<Self>, room: usize, read: io::Result<usize>, data: &[u8]) {
        match read {
            Ok(0) => self.at_eof(),
            Ok(length) => {
                self.unread.set(if length < room { Unread::None } else { Unread::Likely });
                let data = data.get(..length).unwrap_or_default();
                if !data.is_empty() {
                    deliver(self, "data_received", |protocol| protocol.data_received(data));
                }
                if !self.link.closing.get() {
                    let emptied = length < room && self.short_read_empties;
                    self.did(Direction::Read, if emptied { Did::Some } else { Did::All });
                }
            }
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
            Some(true) if self.can_write() => self.note_outstanding(),
            Some(_) => self.start_closing(),
            None => {}
        }
    }
}
