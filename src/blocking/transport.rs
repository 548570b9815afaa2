//! The transport of a stream that blocks: a write has been sent when it returns.

use std::cell::{Cell, RefCell, RefMut};
use std::io;
use std::rc::Rc;

use super::stream::Stream;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::flow_control::FlowControl;
use crate::reports::{drop_value, report_anywhere};
use crate::transports::interface::Filled;
use crate::transports::link::not_writable;
use crate::transports::{BaseTransport, ExtraInfo, ProtocolRef, ReadTransport, WriteTransport};

/// A stream and its protocol.
///
/// ```text
///   open --- end, the first reason counts ---> closing --- settle ---> lost
/// ```
pub(super) struct BlockingTransport {
    /// None once it is lost.
    stream: RefCell<Option<Box<dyn Stream>>>,
    /// None once it is lost.
    protocol: RefCell<Option<ProtocolRef>>,
    info: ExtraInfo,
    can_write_eof: bool,
    /// Nothing ever waits to be sent, so it only has a producer.
    flow: FlowControl,
    paused: Cell<bool>,
    closing: Cell<bool>,
    eof_written: Cell<bool>,
    eof_received: Cell<bool>,
    refused: Cell<bool>,
    /// What `connection_lost` will be given.
    reason: RefCell<Option<Error>>,
    /// What the owner will be given: the reason, or what the protocol raised after it.
    outcome: RefCell<Option<Error>>,
}

impl BlockingTransport {
    pub(super) fn new(stream: Box<dyn Stream>, protocol: ProtocolRef) -> BlockingTransport {
        BlockingTransport {
            info: stream.extra_info(),
            can_write_eof: stream.can_write_eof(),
            stream: RefCell::new(Some(stream)),
            protocol: RefCell::new(Some(protocol)),
            flow: FlowControl::default(),
            paused: Cell::new(false),
            closing: Cell::new(false),
            eof_written: Cell::new(false),
            eof_received: Cell::new(false),
            refused: Cell::new(false),
            reason: RefCell::new(None),
            outcome: RefCell::new(None),
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.protocol.borrow().is_none()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.eof_received.get() || self.closing.get()
    }

    /// The error with which the connection ended.
    pub(super) fn outcome(&self) -> Option<Error> {
        self.outcome.borrow().clone()
    }

    fn end(&self, reason: Option<Error>) {
        if !self.closing.replace(true) {
            *self.reason.borrow_mut() = reason;
        }
    }

    /// Ends it with an error that the owner will be given in any case.
    pub(super) fn fail(&self, error: Error) {
        self.outcome.borrow_mut().get_or_insert_with(|| error.clone());
        self.end(Some(error));
    }

    /// Calls the protocol; an error that it raises ends the connection.
    pub(super) fn deliver<T>(&self, call: impl FnOnce(&ProtocolRef) -> Result<T>) -> Option<T> {
        let protocol = self.get_protocol()?;
        call(&protocol).map_err(|error| self.fail(error)).ok()
    }

    /// Reads once, which blocks, and calls the protocol.
    pub(super) fn receive(&self, buffer: &mut [u8]) {
        let Some(protocol) = self.get_protocol() else { return };
        let read = match protocol.fill(|buffer| self.read(buffer)) {
            Some(Ok(Filled { read, .. })) => read,
            Some(Err(error)) => return self.fail(error),
            None => {
                let read = self.read(buffer);
                if let Ok(length @ 1..) = read {
                    self.deliver(|protocol| protocol.data_received(&buffer[..length]));
                }
                read
            }
        };
        match read {
            Ok(1..) => {}
            Ok(0) => {
                self.eof_received.set(true);
                if self.deliver(ProtocolRef::eof_received) == Some(false) {
                    self.close();
                }
            }
            Err(error) => self.fail(error.into()),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = self.stream()?;
        let Some(stream) = stream.as_mut() else { return Ok(0) };
        loop {
            match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// The stream, unless it is in use: one that suspends a task lets others come here.
    fn stream(&self) -> Result<RefMut<'_, Option<Box<dyn Stream>>>> {
        self.stream.try_borrow_mut().map_err(|_| {
            let text = "the blocking driver is waiting for its stream: with streams that suspend \
                        a task, another task cannot write";
            Error::text(ErrorKind::Runtime, text)
        })
    }

    /// Tells the protocol that the connection is lost, if it is closing, and lets go of
    /// the stream. To be called when the protocol is not running.
    pub(super) fn settle(&self) {
        if !self.closing.get() {
            return;
        }
        let Some(protocol) = self.protocol.take() else { return };
        self.flow.stop();
        let reason = self.reason.take();
        let mut outcome = self.outcome().or_else(|| reason.clone());
        if let Err(error) = protocol.connection_lost(reason) {
            outcome.get_or_insert(error);
        }
        *self.outcome.borrow_mut() = outcome;
        drop_value(protocol);
        drop_value(self.stream.take());
    }
}

impl BaseTransport for BlockingTransport {
    fn close(&self) {
        self.end(None);
    }

    fn is_closing(&self) -> bool {
        self.closing.get()
    }

    fn get_extra_info(&self) -> ExtraInfo {
        self.info.clone()
    }

    fn set_protocol(&self, protocol: ProtocolRef) {
        if !self.is_lost() {
            let former = self.protocol.replace(Some(protocol));
            drop(former);
        }
    }

    fn get_protocol(&self) -> Option<ProtocolRef> {
        self.protocol.borrow().clone()
    }
}

impl ReadTransport for BlockingTransport {
    fn is_reading(&self) -> bool {
        !self.closing.get() && !self.paused.get()
    }

    fn pause_reading(&self) {
        self.paused.set(true);
    }

    fn resume_reading(&self) {
        self.paused.set(false);
    }
}

impl WriteTransport for BlockingTransport {
    fn try_write(&self, data: &[u8]) -> Result {
        if self.closing.get() || self.eof_written.get() {
            return Err(not_writable(self.is_lost(), self.eof_written.get()));
        }
        let written = match self.stream()?.as_mut() {
            Some(stream) => stream.write_all(data).and_then(|()| stream.flush()),
            None => Ok(()),
        };
        written.map_err(|error| {
            let error = Error::from(error);
            self.end(Some(error.clone()));
            error
        })
    }

    fn try_writelines(&self, pieces: &[&[u8]]) -> Result {
        self.try_write(&pieces.concat())
    }

    fn try_write_eof(&self) -> Result {
        if self.closing.get() || self.eof_written.get() {
            return Ok(());
        }
        if !self.can_write_eof {
            let text = "write_eof: this stream cannot send its end alone";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        let ended = self.stream()?.as_mut().map_or(Ok(()), |stream| stream.write_eof());
        self.eof_written.set(true);
        if let Err(error) = ended {
            // The peer is gone; reading says so.
            tracing::debug!(%error, "write_eof");
        }
        Ok(())
    }

    fn can_write_eof(&self) -> bool {
        self.can_write_eof
    }

    fn get_write_buffer_size(&self) -> usize {
        0
    }

    fn flow_control(&self) -> &FlowControl {
        &self.flow
    }

    fn limits_changed(&self) {}

    fn close_with(&self, error: Error) {
        self.end(Some(error));
    }

    fn abort_with(&self, error: Option<Error>) {
        self.end(error);
    }

    fn write_refused(&self, error: Error) {
        if !self.refused.replace(true) {
            report_anywhere("a write to a transport was refused", Some(error));
        }
    }
}

/// The connection, for as long as somebody has it: its end is told to the protocol.
pub(super) struct Open(pub(super) Rc<BlockingTransport>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
        self.0.settle();
    }
}
