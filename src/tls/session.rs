//! An engine and the wire it runs over, for code that waits: the steps that [`TlsStream`]
//! and its halves share.
//!
//! No borrow is held while the wire is waited for, and everything that was taken out is
//! put back if the waiting ends by an error: a read that is cancelled has read nothing, a
//! write has taken nothing, and what it has taken is sent before anything else.
//!
//! [`TlsStream`]: super::TlsStream

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice, Read, Write};
use std::mem;
use std::time::Duration;

use super::config::Limits;
use super::engine::{Engine, Event};
use super::info::TlsInfo;
use crate::constants::TLS_READ_SIZE;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::task_core::task_core;
use crate::tasks::current_task;
use crate::timeouts::timeout;
use crate::waiters::Waiters;

/// Bytes to read of a peer that sends little: what idle connections keep.
const SMALL: usize = 4096;

/// One connection.
pub(super) struct Session {
    engine: RefCell<Engine>,
    limits: Limits,
    info: RefCell<Option<TlsInfo>>,
    /// How the incoming half has ended.
    end: RefCell<Option<Event>>,
    /// Ciphertext that was read and that the engine has not taken yet.
    unread: RefCell<Vec<u8>>,
    /// How much to read next.
    room: Cell<usize>,
    /// Ciphertext that is older than what the engine has.
    unsent: RefCell<Vec<u8>>,
    /// Whether somebody is sending; others stand in line, so that records stay whole.
    sending: Cell<bool>,
    line: Waiters,
    /// Why the wire takes nothing any more.
    broken: RefCell<Option<Error>>,
}

impl Session {
    pub(super) fn new(engine: Engine, limits: Limits) -> Session {
        Session {
            engine: RefCell::new(engine),
            limits,
            info: RefCell::new(None),
            end: RefCell::new(None),
            unread: RefCell::default(),
            room: Cell::new(SMALL),
            unsent: RefCell::default(),
            sending: Cell::new(false),
            line: Waiters::default(),
            broken: RefCell::new(None),
        }
    }

    /// Known from the end of the handshake on.
    pub(super) fn info(&self) -> Option<TlsInfo> {
        self.info.borrow().clone()
    }

    pub(super) fn title(&self) -> String {
        self.engine.borrow().title().to_owned()
    }

    pub(super) fn engine_mut(&mut self) -> &mut Engine {
        self.engine.get_mut()
    }

    /// Brings the connection up, within the limit of time.
    #[track_caller]
    pub(super) fn handshake(&self, wire: &mut (impl Read + Write)) -> io::Result<()> {
        within(self.limits.handshake, || self.shake_hands(wire))
            .map_err(|error| self.name_timeout(error, "the handshake", self.limits.handshake))
    }

    fn shake_hands(&self, wire: &mut (impl Read + Write)) -> Result {
        loop {
            // A peer that refuses may have said why before it closed.
            let sent = self.flush(wire);
            tolerate(sent)?;
            if self.info.borrow().is_some() {
                return Ok(());
            }
            if self.ended() {
                let unsent = self.broken.borrow().clone();
                let Err(refused) = self.check_end() else { return Ok(()) };
                let cut = refused.io_kind() == Some(io::ErrorKind::UnexpectedEof);
                return Err(unsent.filter(|_| cut).unwrap_or(refused));
            }
            self.fill(wire)?;
        }
    }

    /// Reads plaintext; nothing at the end of the stream.
    #[track_caller]
    pub(super) fn read(
        &self,
        wire: &mut (impl Read + Write),
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.engine.borrow_mut().read(buffer);
            if count > 0 {
                return Ok(count);
            }
            self.note_events();
            if self.ended() {
                self.check_end()?;
                return Ok(0);
            }
            self.fill(wire)?;
        }
    }

    /// Waits until there is plaintext, or an end; whether there is any.
    #[track_caller]
    pub(super) fn fill_plaintext(&self, wire: &mut (impl Read + Write)) -> io::Result<bool> {
        loop {
            if self.engine.borrow_mut().has_plaintext() {
                return Ok(true);
            }
            self.note_events();
            if self.ended() {
                self.check_end()?;
                return Ok(false);
            }
            self.fill(wire)?;
        }
    }

    fn ended(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// What the end is to somebody who reads.
    fn check_end(&self) -> Result {
        match &*self.end.borrow() {
            None | Some(Event::CloseNotify | Event::HandshakeDone(_) | Event::Data) => Ok(()),
            Some(Event::Truncated) => {
                let text = format!(
                    "{}: truncated: the peer closed the connection without close_notify",
                    self.title()
                );
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, text).into())
            }
            Some(Event::Failed(error)) => Err(error.clone()),
        }
    }

    /// Gives the engine ciphertext, from the wire if there is no other, and sends what it
    /// says to that.
    #[track_caller]
    fn fill(&self, wire: &mut (impl Read + Write)) -> Result {
        let mut bytes = self.unread.take();
        if bytes.is_empty() {
            bytes.shrink_to(self.room.get());
            bytes.resize(self.room.get(), 0);
            let count = loop {
                match wire.read(&mut bytes) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    ended => break ended?,
                }
            };
            self.adapt(count, bytes.len());
            bytes.truncate(count);
            if count == 0 {
                self.engine.borrow_mut().feed_eof();
            }
        }
        let taken = self.engine.borrow_mut().feed(&bytes);
        bytes.drain(..taken);
        *self.unread.borrow_mut() = bytes;
        self.note_events();
        self.reply(wire)
    }

    /// Reads more at a time from a peer that sends much.
    fn adapt(&self, count: usize, room: usize) {
        if count == room {
            self.room.set(TLS_READ_SIZE);
        } else if count < SMALL {
            self.room.set(SMALL);
        }
    }

    fn note_events(&self) {
        loop {
            let event = self.engine.borrow_mut().next_event();
            match event {
                None => return,
                Some(Event::Data) => {}
                Some(Event::HandshakeDone(info)) => *self.info.borrow_mut() = Some(info),
                Some(end) => *self.end.borrow_mut() = Some(end),
            }
        }
    }

    /// Sends an alert. What is left of a write is not touched: the peer may be waiting
    /// for a reader before it takes that.
    #[track_caller]
    fn reply(&self, wire: &mut impl Write) -> Result {
        let established = self.info.borrow().is_some() || self.ended();
        let alone = !self.sending.get() && self.unsent.borrow().is_empty();
        if !established || !alone || !self.engine.borrow().has_ciphertext() {
            return Ok(());
        }
        let sent = self.flush(wire);
        tolerate(sent)
    }

    /// Encrypts and sends; how many bytes were taken.
    #[track_caller]
    pub(super) fn write(&self, wire: &mut impl Write, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(wire)?;
        let count = self.engine.borrow_mut().write_vectored(pieces)?;
        match self.flush(wire) {
            // They were taken and go out with the next flight, while an error would say that
            // nothing was.
            Err(error) if count > 0 && is_passing(&error) && told_later(&error) => Ok(count),
            flushed => Ok(flushed.map(|()| count)?),
        }
    }

    /// Sends everything that has been encrypted.
    #[track_caller]
    pub(super) fn flush(&self, wire: &mut impl Write) -> Result {
        if let Some(error) = &*self.broken.borrow() {
            return Err(error.clone());
        }
        let turn = Turn::take(self)?;
        let sent = self.send(wire).map_err(Error::from);
        drop(turn);
        if let Err(error) = &sent
            && !is_passing(error)
        {
            *self.broken.borrow_mut() = Some(error.clone());
            self.unsent.take();
        }
        sent
    }

    fn send(&self, wire: &mut impl Write) -> io::Result<()> {
        while let Some(mut flight) = Flight::take(self) {
            while !flight.rest().is_empty() {
                match wire.write(flight.rest()) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => flight.sent += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        wire.flush()
    }

    /// Says that nothing more will be written.
    #[track_caller]
    pub(super) fn close_write(&self, wire: &mut impl Write) -> Result {
        self.engine.borrow_mut().close();
        self.flush(wire)
    }

    /// The same, and waits until the peer says so too, within the limit of time.
    #[track_caller]
    pub(super) fn close(&self, wire: &mut (impl Read + Write)) -> io::Result<()> {
        let closed = within(self.limits.shutdown, || {
            let sent = self.close_write(wire);
            tolerate(sent)?;
            let mut dropped = [0; 1024];
            while self.read(wire, &mut dropped)? > 0 {}
            Ok(())
        });
        closed.map_err(|error| self.name_timeout(error, "the shutdown", self.limits.shutdown))
    }

    fn name_timeout(&self, error: Error, step: &str, limit: Duration) -> io::Error {
        if error.kind() != ErrorKind::Timeout {
            return error.into();
        }
        let text = format!("{}: {step} took longer than {limit:?}", self.title());
        io::Error::new(io::ErrorKind::TimedOut, text)
    }
}

/// Runs the steps with a limit of time, for which there must be a task: others wait as
/// long as the wire makes them.
#[track_caller]
fn within<T>(limit: Duration, steps: impl FnOnce() -> Result<T>) -> Result<T> {
    match current_task() {
        Some(_) => timeout(limit, |_| steps()),
        None => steps(),
    }
}

/// Whether the same can be tried again: a cancellation or a limit of time, after which
/// the wire is as it was.
fn is_passing(error: &Error) -> bool {
    use io::ErrorKind::{ResourceBusy, TimedOut, WouldBlock};
    matches!(error.io_kind(), None | Some(TimedOut | WouldBlock | ResourceBusy))
}

/// Whether an error that can be tried again is met again by who tries, a cancellation at
/// the next wait.
fn told_later(error: &Error) -> bool {
    if !error.is_cancelled() {
        return error.io_kind().is_some();
    }
    let task = current_task();
    let core = task.as_ref().and_then(|task| task_core(&*task.0));
    core.is_some_and(|core| core.put_off(error))
}

/// Lets only errors pass that say nothing against the wire. The others are kept, for
/// whoever writes next.
fn tolerate(sent: Result) -> Result {
    sent.or_else(|error| if is_passing(&error) { Err(error) } else { Ok(()) })
}

/// Ciphertext on its way; what has not been sent goes back to the front.
struct Flight<'a> {
    session: &'a Session,
    bytes: Vec<u8>,
    sent: usize,
}

impl Flight<'_> {
    fn take(session: &Session) -> Option<Flight<'_>> {
        let mut bytes = session.unsent.take();
        session.engine.borrow_mut().take_ciphertext(&mut bytes);
        (!bytes.is_empty()).then_some(Flight { session, bytes, sent: 0 })
    }

    fn rest(&self) -> &[u8] {
        self.bytes.get(self.sent..).unwrap_or_default()
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut rest = mem::take(&mut self.bytes);
        rest.drain(..self.sent.min(rest.len()));
        if !rest.is_empty() {
            *self.session.unsent.borrow_mut() = rest;
        }
    }
}

/// The right to send, which goes to the next in line.
struct Turn<'a>(&'a Session);

impl Turn<'_> {
    #[track_caller]
    fn take(session: &Session) -> Result<Turn<'_>> {
        if session.sending.replace(true) {
            let turn = || format!("a turn to send by {}", session.title());
            session.line.wait(&Scheduler::running()?, turn, |woken| {
                // The turn had been passed here already: on to the next.
                if woken {
                    drop(Turn(session));
                }
            })?;
        }
        Ok(Turn(session))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.0.line.wake_one() {
            self.0.sending.set(false);
        }
    }
}
