//! Writing: what cannot be sent at once waits, in order.

use std::io;
use std::rc::Rc;

use super::StreamTransport;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::reports::drop_value;
use crate::selectors::Direction;
use crate::transports::link::{check_flow, fatal, force_close};
use crate::transports::outgoing::Written;
use crate::transports::source::Source;
use crate::transports::turns::{Did, TakesTurns, retry};

/// Bytes that are written at most before others get their turn.
const WRITE_BOUND: usize = 1024 * 1024;

impl StreamTransport {
    #[inline(always)]
    pub(super) fn check_writable(&self) -> Result {
        self.link.check_writable()?;
        self.check_not_sending("write")?;
        if self.writes {
            return Ok(());
        }
        Err(Error::text(ErrorKind::Runtime, "write: this transport is only for reading"))
    }

    /// While a file is sent nothing may come in between.
    #[inline(always)]
    pub(super) fn check_not_sending(&self, operation: &str) -> Result {
        if self.sending.borrow().is_some() { Err(is_sending(operation)) } else { Ok(()) }
    }

    /// Whether somebody waits until something can be written.
    pub(super) fn has_to_write(&self) -> bool {
        !self.outgoing.borrow().is_empty() || self.sending.borrow().is_some()
    }

    /// Tries to write at once what is not to overtake anything; how much it was.
    #[inline]
    pub(super) fn write_now(
        &self,
        length: usize,
        write: impl Fn(&Source) -> io::Result<usize>,
    ) -> Result<usize> {
        let waits = !self.outgoing.borrow().is_empty();
        if length == 0 || waits || !self.turns.may_be_ready(Direction::Write) {
            return Ok(0);
        }
        let written = match &*self.source.borrow() {
            Some(source) => retry(|| write(source)),
            None => return Ok(0),
        };
        match written {
            Ok(written) if written == length => {
                self.note_sent(written);
                Ok(written)
            }
            written => self.has_written_less(written),
        }
    }

    /// The system does not take all of it.
    #[cold]
    fn has_written_less(&self, written: io::Result<usize>) -> Result<usize> {
        let Some(me) = self.me() else { return Ok(0) };
        match written {
            Ok(written) => {
                self.note_sent(written);
                me.did(Direction::Write, Did::Some);
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                me.did(Direction::Write, Did::Nothing);
                Ok(0)
            }
            Err(error) => {
                let error = Error::from(error);
                fatal(&me, "write error on a transport", error.clone());
                Err(error)
            }
        }
    }

    /// Something was added to what waits.
    pub(super) fn kept(&self) {
        self.note_outstanding();
        let Some(me) = self.me() else { return };
        if !self.turns.will_be_heard_of() {
            // What the selector did not take has made somebody wait after all.
            me.register();
        }
        check_flow(&me);
    }

    pub(super) fn send_waiting(self: &Rc<Self>) {
        if self.link.lost.get() {
            return;
        }
        let written = self.flush();
        if let Err(error) = written {
            return fatal(self, "write error on a transport", error.into());
        }
        check_flow(self);
        if self.outgoing.borrow().is_empty() && !self.link.lost.get() {
            self.all_sent();
        }
    }

    /// Writes what waits, until that would block or it was much.
    fn flush(self: &Rc<Self>) -> io::Result<()> {
        let mut total = 0;
        while !self.outgoing.borrow().is_empty() {
            let written = match &*self.source.borrow() {
                Some(source) => retry(|| {
                    self.outgoing.borrow_mut().write_with(|data| source.write_vectored(data))
                }),
                None => return Ok(()),
            };
            match written {
                Ok(Written { count, wanted, spent }) => {
                    drop_value(spent);
                    self.note_sent(count);
                    if count < wanted {
                        self.did(Direction::Write, Did::Some);
                        return Ok(());
                    }
                    total += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.did(Direction::Write, Did::Nothing);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            if total >= WRITE_BOUND && !self.outgoing.borrow().is_empty() {
                self.did(Direction::Write, Did::All);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Nothing waits any more: what was to come after that comes now.
    fn all_sent(self: &Rc<Self>) {
        self.note_outstanding();
        let sending = self.sending.borrow().clone();
        if let Some(sending) = sending {
            let _given_up = sending.set_result(());
        }
        if self.link.closing.get() {
            self.end();
        } else if self.link.eof_written.get() {
            self.end_writing();
        }
    }

    /// Sends what waits and ends the connection.
    pub(super) fn start_closing(&self) {
        if self.link.closing.replace(true) {
            return;
        }
        self.note_outstanding();
        if self.outgoing.borrow().is_empty()
            && let Some(me) = self.me()
        {
            self.link.scheduler.call_soon(move || me.end());
        }
    }

    pub(super) fn end_writing(self: &Rc<Self>) {
        let ended = match &*self.source.borrow() {
            Some(source) => source.end_writing(),
            None => return,
        };
        match ended {
            Ok(true) => {}
            // The end of a pipe is its being closed.
            Ok(false) => {
                self.link.end_here();
                self.start_closing();
            }
            // The peer is gone; reading says so.
            Err(error) => tracing::debug!(%error, "write_eof"),
        }
    }

    /// What is only written is watched for its reader's going away.
    pub(super) fn reader_left(self: &Rc<Self>) {
        let reader_is_gone = !self.reads && self.turns.has_ended(Direction::Write);
        if !reader_is_gone || self.link.lost.get() {
            return;
        }
        let unsent = !self.outgoing.borrow().is_empty();
        let error = unsent.then(|| {
            let text = "the reader of the pipe is gone";
            Error::from(io::Error::new(io::ErrorKind::BrokenPipe, text))
        });
        force_close(self, error);
    }
}

#[cold]
fn is_sending(operation: &str) -> Error {
    let text = format!("{operation}: a file is being sent here; wait for the end of it");
    Error::text(ErrorKind::Runtime, text)
}
