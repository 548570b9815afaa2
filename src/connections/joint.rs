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
use std::rc::{Rc, Weak};

use bytes::Bytes;

use super::attaching::Connected;
use crate::base_events::EventLoop;
use crate::events::Kept;
use crate::exceptions::{Error, Result};
use crate::flow_control::FlowControl;
use crate::protocols::{IntoProtocol, Protocol};
use crate::transports::extra::ExtraInfo;
use crate::transports::interface::{
    BaseTransport, ProtocolRef, ReadTransport, Transport, WriteTransport,
};
use crate::transports::link::{
    self, Link, Linked, check_flow, deliver, force_close, let_go, not_writable, schedule_lost,
};
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
            let carrier = Carrier { source, is_shared: true, peer: None, made_at };
            StreamTransport::start(self, carrier, protocol, None).transport()
        };
        let begin = |waiter| {
            let (reader, writer) =
                (Source::reading(reader.into())?, Source::writing(writer.into())?);
            let handle = factory().into_handle();
            let joint = Rc::new_cyclic(|me| Joint {
                me: me.clone(),
                link: Link::new(self.scheduler().clone(), handle.erased()),
                pipes: RefCell::new(None),
                reading_lost: Cell::new(false),
                writing_lost: Cell::new(false),
                failure: RefCell::new(None),
            });
            // Before anything of the pipes.
            link::begin(&joint, Some(waiter), |_| ());
            let reading = start(reader, ReadEnd(joint.clone()).into_handle().erased());
            let writing = start(writer, WriteEnd(joint.clone()).into_handle().erased());
            *joint.pipes.borrow_mut() = Some(Pipes { reading, writing });
            Ok((joint.transport(), handle))
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
    me: Weak<Joint>,
    link: Link,
    /// None before they are made, and once they are lost.
    pipes: RefCell<Option<Pipes>>,
    reading_lost: Cell<bool>,
    writing_lost: Cell<bool>,
    /// Why nothing can be written any more.
    failure: RefCell<Option<Error>>,
}

impl Joint {
    fn pipes(&self) -> Option<Pipes> {
        self.pipes.borrow().clone()
    }

    fn writing(&self) -> Result<Transport> {
        self.pipes().map(|pipes| pipes.writing).ok_or_else(|| not_writable(true, false))
    }

    /// The pipe that is read is lost; an error is also the other's end.
    fn reading_lost(self: &Rc<Self>, error: Option<Error>) {
        self.reading_lost.set(true);
        match error {
            Some(_) => force_close(self, error),
            None => self.end_when_both_have(),
        }
    }

    /// The pipe that is written is lost. What was said before is still read to its end.
    fn writing_lost(self: &Rc<Self>, error: Option<Error>) {
        self.writing_lost.set(true);
        *self.failure.borrow_mut() = error;
        check_flow(self);
        self.end_when_both_have();
    }

    fn end_when_both_have(self: &Rc<Self>) {
        if self.reading_lost.get() && self.writing_lost.get() {
            let failure = self.failure.borrow().clone();
            schedule_lost(self, failure);
        }
    }
}

impl Linked for Joint {
    fn link(&self) -> &Link {
        &self.link
    }

    fn transport(self: &Rc<Self>) -> Transport {
        Transport::new(self.clone())
    }

    fn buffered(&self) -> usize {
        self.get_write_buffer_size()
    }

    fn give_up(&self) {
        // When the loop is closed they are let go as this one is.
        if let Some(pipes) = self.pipes().filter(|_| !self.link.scheduler.is_closed()) {
            pipes.reading.abort();
            pipes.writing.abort();
        }
    }

    fn release(&self) {
        let pipes = self.pipes.take();
        drop(pipes);
    }
}

impl Kept for Joint {
    fn let_go(&self) {
        let_go(self);
    }
}

impl BaseTransport for Joint {
    fn close(&self) {
        if !self.link.closing.replace(true)
            && let Some(pipes) = self.pipes()
        {
            pipes.reading.close();
            pipes.writing.close();
        }
    }

    fn is_closing(&self) -> bool {
        self.link.closing.get() || self.writing_lost.get()
    }

    fn get_extra_info(&self) -> ExtraInfo {
        ExtraInfo::default()
    }

    fn set_protocol(&self, protocol: ProtocolRef) {
        self.link.set_protocol(protocol);
    }

    fn get_protocol(&self) -> Option<ProtocolRef> {
        self.link.protocol()
    }
}

impl ReadTransport for Joint {
    fn is_reading(&self) -> bool {
        !self.link.closing.get() && self.pipes().is_some_and(|pipes| pipes.reading.is_reading())
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
        &self.link.flow
    }

    /// The pipe has the same marks, so that it tells when they are crossed.
    fn limits_changed(&self) {
        if let Some(pipes) = self.pipes() {
            let (low, high) = self.link.flow.limits();
            // They were checked when they were set here.
            let _ = pipes.writing.set_write_buffer_limits(high, low);
        }
    }

    fn close_with(&self, error: Error) {
        self.link.close_for(error);
        self.close();
    }

    fn abort_with(&self, error: Option<Error>) {
        if let Some(me) = self.me.upgrade() {
            force_close(&me, error);
        }
    }

    fn write_refused(&self, error: Error) {
        self.link.write_refused(error);
    }
}

/// The protocol of the pipe that is read.
struct ReadEnd(Rc<Joint>);

impl Protocol for ReadEnd {
    fn data_received(&mut self, data: &[u8]) {
        deliver(&self.0, "data_received", |protocol| protocol.data_received(data));
    }

    fn eof_received(&mut self) -> bool {
        if deliver(&self.0, "eof_received", ProtocolRef::eof_received) == Some(false) {
            self.0.close();
        }
        false
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        self.0.reading_lost(error);
    }
}

/// The protocol of the pipe that is written.
struct WriteEnd(Rc<Joint>);

impl Protocol for WriteEnd {
    fn pause_writing(&mut self) {
        check_flow(&self.0);
    }

    fn resume_writing(&mut self) {
        check_flow(&self.0);
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        self.0.writing_lost(error);
    }
}
