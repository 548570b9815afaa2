//! Two pipes as one connection: one to read, one to write.
//!
//! ```text
//!   reader  -->  transport  --+                  data_received, eof_received
//!                             +-- Joint -->  protocol
//!   writer  <--  transport  --+                  pause_writing, resume_writing
//! ```
//!
//! Each pipe has a transport of its own, whose protocol passes on what happens. The
//! connection is lost when both are.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::rc::Rc;

use bytes::Bytes;

use super::Connected;
use crate::base_events::EventLoop;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::flow_control::FlowControl;
use crate::futures::Future;
use crate::protocols::{IntoProtocol, Protocol};
use crate::reports::{ExceptionContext, ExceptionSource, drop_value};
use crate::transports::extra::ExtraInfo;
use crate::transports::interface::{
    BaseTransport, ProtocolRef, ReadTransport, Transport, WriteTransport,
};
use crate::transports::link::{Linked, not_writable};
use crate::transports::making::make;
use crate::transports::source::Source;
use crate::transports::stream::{Carrier, StreamTransport};

impl EventLoop {
    /// Gives a protocol two pipes as one connection: the standard input and output of
    /// this process, or the output and input of a child. Ending the stream, by
    /// `write_eof`, closes the pipe that is written to.
    ///
    /// ```
    /// use stackio::{Future, Protocol, get_running_loop};
    ///
    /// struct First(Future<Vec<u8>>);
    /// impl Protocol for First {
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         let _ = self.0.set_result(data.to_vec());
    ///     }
    /// }
    ///
    /// stackio::run(|| {
    ///     // What is written comes back.
    ///     let (reader, writer) = std::io::pipe()?;
    ///     let first = Future::new();
    ///     let protocol = First(first.clone());
    ///     let (transport, _) = get_running_loop()?.connect_pipes(|| protocol, reader, writer)?;
    ///     transport.write(b"there and back");
    ///     assert_eq!(first.wait()?, b"there and back");
    ///     transport.close();
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`connect_read_pipe`](EventLoop::connect_read_pipe).
    #[track_caller]
    pub fn connect_pipes<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        reader: impl Into<OwnedFd>,
        writer: impl Into<OwnedFd>,
    ) -> Result<Connected<P>> {
        self.check_current("connect_pipes")?;
        let made_at = Location::caller();
        let start = |source, protocol: ProtocolRef| {
            let carrier = Carrier { source, peer: None, made_at };
            StreamTransport::start(self, carrier, protocol, None).transport()
        };
        let begin = |waiter| {
            let (reader, writer) =
                (Source::reading(reader.into())?, Source::writing(writer.into())?);
            let handle = factory().into_handle();
            let joint = Rc::new(Joint::new(self.scheduler().clone(), handle.erased()));
            let transport = Transport::new(joint.clone());
            joint.begin(&transport, waiter);
            let reading = start(reader, Incoming(joint.clone()).into_handle().erased());
            let writing = start(writer, Outgoing(joint.clone()).into_handle().erased());
            *joint.pipes.borrow_mut() = Some(Pipes { reading, writing });
            Ok((transport, handle))
        };
        make(self, "a connection to be made", begin, |(transport, _)| transport.abort())
    }
}

#[derive(Clone)]
struct Pipes {
    reading: Transport,
    writing: Transport,
}

/// See the module.
struct Joint {
    scheduler: Rc<Scheduler>,
    protocol: RefCell<Option<ProtocolRef>>,
    /// None before they are made, and once they are lost.
    pipes: RefCell<Option<Pipes>>,
    flow: FlowControl,
    /// Whether the protocol has been told to pause writing.
    told_paused: Cell<bool>,
    closing: Cell<bool>,
    reading_lost: Cell<bool>,
    writing_lost: Cell<bool>,
    /// Why it is lost.
    error: RefCell<Option<Error>>,
}

impl Joint {
    fn new(scheduler: Rc<Scheduler>, protocol: ProtocolRef) -> Joint {
        Joint {
            scheduler,
            protocol: RefCell::new(Some(protocol)),
            pipes: RefCell::new(None),
            flow: FlowControl::default(),
            told_paused: Cell::new(false),
            closing: Cell::new(false),
            reading_lost: Cell::new(false),
            writing_lost: Cell::new(false),
            error: RefCell::new(None),
        }
    }

    /// Has the protocol told in the next iteration, before anything of the pipes.
    fn begin(self: &Rc<Self>, transport: &Transport, waiter: Future<()>) {
        let (joint, transport) = (self.clone(), transport.clone());
        self.scheduler.call_soon(move || {
            joint.deliver("connection_made", |protocol| protocol.connection_made(&transport));
            // Whoever waited may have been cancelled.
            let _ = waiter.set_result(());
        });
    }

    /// Calls the protocol; an error that it raises ends the connection.
    fn deliver<T>(&self, what: &str, call: impl FnOnce(&ProtocolRef) -> Result<T>) -> Option<T> {
        let protocol = self.get_protocol()?;
        match call(&protocol) {
            Ok(value) => Some(value),
            Err(error) => {
                if error.kind() != ErrorKind::Io {
                    self.report(what, error.clone());
                }
                self.abort_with(Some(error));
                None
            }
        }
    }

    fn report(&self, what: &str, error: Error) {
        if error.is_interrupt() {
            return self.scheduler.reports().interrupt(error);
        }
        let text = format!("protocol.{what}() failed");
        let context = ExceptionContext::new(ExceptionSource::Transport, text);
        self.scheduler.reports().report(&context.with_exception(error));
    }

    fn pipes(&self) -> Option<Pipes> {
        self.pipes.borrow().clone()
    }

    fn writing(&self) -> Result<Transport> {
        self.pipes().map(|pipes| pipes.writing).ok_or_else(|| not_writable(true, false))
    }

    /// Tells the protocol whether to pause writing, once it can be called.
    fn tell_flow(self: &Rc<Self>) {
        self.flow.update(self.get_write_buffer_size());
        let (paused, protocol) = (self.flow.is_paused(), self.get_protocol());
        let Some(protocol) = protocol else { return };
        if self.told_paused.replace(paused) == paused {
            return;
        }
        match protocol.set_writing_paused(paused) {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                self.report(if paused { "pause_writing" } else { "resume_writing" }, error);
            }
            None => {
                self.told_paused.set(!paused);
                let later = self.clone();
                protocol.0.after(move || later.tell_flow());
            }
        }
    }

    /// One of the two is lost; an error is also the other's end.
    fn lost(self: &Rc<Self>, which: &Cell<bool>, error: Option<Error>) {
        which.set(true);
        if error.is_some() {
            self.abort_with(error);
        }
        if self.reading_lost.get() && self.writing_lost.get() {
            let joint = self.clone();
            self.scheduler.call_soon(move || joint.finish());
        }
    }

    /// The last that happens.
    fn finish(&self) {
        self.closing.set(true);
        self.flow.stop();
        let (protocol, pipes) = (self.protocol.take(), self.pipes.take());
        if let Some(protocol) = protocol {
            if let Err(error) = protocol.connection_lost(self.error.take()) {
                self.report("connection_lost", error);
            }
            drop_value(protocol);
        }
        drop(pipes);
    }
}

impl BaseTransport for Joint {
    fn close(&self) {
        if !self.closing.replace(true)
            && let Some(pipes) = self.pipes()
        {
            pipes.reading.close();
            pipes.writing.close();
        }
    }

    fn is_closing(&self) -> bool {
        self.closing.get()
    }

    fn get_extra_info(&self) -> ExtraInfo {
        ExtraInfo::default()
    }

    fn set_protocol(&self, protocol: ProtocolRef) {
        let former = self.protocol.borrow_mut().as_mut().map(|p| std::mem::replace(p, protocol));
        drop(former);
    }

    fn get_protocol(&self) -> Option<ProtocolRef> {
        self.protocol.borrow().clone()
    }
}

impl ReadTransport for Joint {
    fn is_reading(&self) -> bool {
        !self.closing.get() && self.pipes().is_some_and(|pipes| pipes.reading.is_reading())
    }

    fn pause_reading(&self) {
        if let Some(pipes) = self.pipes() {
            pipes.reading.pause_reading();
        }
    }

    fn resume_reading(&self) {
        if let Some(pipes) = self.pipes() {
            pipes.reading.resume_reading();
        }
    }
}

impl WriteTransport for Joint {
    fn try_write(&self, data: &[u8]) -> Result {
        self.writing()?.try_write(data)
    }

    fn try_write_bytes(&self, data: Bytes) -> Result {
        self.writing()?.try_write_bytes(data)
    }

    fn try_writelines(&self, pieces: &[&[u8]]) -> Result {
        self.writing()?.try_writelines(pieces)
    }

    fn try_write_eof(&self) -> Result {
        self.pipes().map_or(Ok(()), |pipes| pipes.writing.try_write_eof())
    }

    fn can_write_eof(&self) -> bool {
        true
    }

    fn get_write_buffer_size(&self) -> usize {
        self.pipes().map_or(0, |pipes| pipes.writing.get_write_buffer_size())
    }

    fn flow_control(&self) -> &FlowControl {
        &self.flow
    }

    /// The pipe has the same marks, so that it tells when they are crossed.
    fn limits_changed(&self) {
        if let Some(pipes) = self.pipes() {
            let (low, high) = self.flow.limits();
            // They were checked when they were set here.
            let _ = pipes.writing.set_write_buffer_limits(high, low);
        }
    }

    fn close_with(&self, error: Error) {
        if !self.closing.get() {
            self.error.borrow_mut().get_or_insert(error);
        }
        self.close();
    }

    fn abort_with(&self, error: Option<Error>) {
        self.closing.set(true);
        if let Some(error) = error {
            self.error.borrow_mut().get_or_insert(error);
        }
        if let Some(pipes) = self.pipes() {
            pipes.reading.abort();
            pipes.writing.abort();
        }
    }

    fn write_refused(&self, error: Error) {
        if let Some(pipes) = self.pipes() {
            pipes.writing.0.write_refused(error);
        }
    }
}

/// The protocol of the pipe that is read.
struct Incoming(Rc<Joint>);

impl Protocol for Incoming {
    fn data_received(&mut self, data: &[u8]) {
        self.0.deliver("data_received", |protocol| protocol.data_received(data));
    }

    fn eof_received(&mut self) -> bool {
        if self.0.deliver("eof_received", ProtocolRef::eof_received) == Some(false) {
            self.0.close();
        }
        false
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        self.0.lost(&self.0.reading_lost, error);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // The loop has been closed: the protocol may own the connection.
        if !self.0.reading_lost.get() {
            self.0.closing.set(true);
            self.0.flow.unregister();
            drop_value((self.0.protocol.take(), self.0.pipes.take()));
        }
    }
}

/// The protocol of the pipe that is written.
struct Outgoing(Rc<Joint>);

impl Protocol for Outgoing {
    fn pause_writing(&mut self) {
        self.0.tell_flow();
    }

    fn resume_writing(&mut self) {
        self.0.tell_flow();
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        self.0.lost(&self.0.writing_lost, error);
    }
}
