//! Two pipes as one transport: what one of them brings, and what the other takes.
//!
//! ```text
//!   pipe -->  Incoming  -- data_received -->  protocol
//!                                                |
//!   pipe <--  Outgoing  <------- write ----------+
//! ```

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use stackio::transports::{BaseTransport, ReadTransport, WriteTransport};
use stackio::{
    Error, ExtraInfo, FlowControl, Future, IntoProtocol, Protocol, ProtocolRef, Result, Transport,
    get_running_loop,
};

/// Gives a protocol a pipe to read from and one to write to.
pub fn join<P: IntoProtocol<K>, K>(
    protocol: P,
    reading: OwnedFd,
    writing: OwnedFd,
) -> Result<Transport> {
    Ok(start(protocol, reading, writing)?.0)
}

/// Serves on standard input and output until the input ends.
pub fn serve<P: IntoProtocol<K>, K>(protocol: P) -> Result {
    let reading = io::stdin().as_fd().try_clone_to_owned()?;
    let writing = io::stdout().as_fd().try_clone_to_owned()?;
    start(protocol, reading, writing)?.1.join()
}

/// The transport, and what is done when both pipes are closed.
fn start<P: IntoProtocol<K>, K>(
    protocol: P,
    reading: OwnedFd,
    writing: OwnedFd,
) -> Result<(Transport, Future<()>)> {
    let event_loop = get_running_loop()?;
    let done = Future::new();
    let protocol = RefCell::new(Some(protocol.into_handle().into()));
    let ends = Rc::new(Joined {
        ends: RefCell::default(),
        protocol,
        flow: FlowControl::default(),
        open: Cell::new(2),
        error: RefCell::new(None),
        done: done.clone(),
        refused: Cell::new(false),
    });
    // Both are there before anything is read.
    let outgoing = Pipe { ends: ends.clone(), incoming: false };
    let incoming = Pipe { ends: ends.clone(), incoming: true };
    let (outgoing, _) = event_loop.connect_write_pipe(|| outgoing, writing)?;
    *ends.ends.borrow_mut() = Some((None, outgoing));
    event_loop.connect_read_pipe(|| incoming, reading)?;
    Ok((Transport::new(ends), done))
}

/// The protocol of one of them.
struct Pipe {
    ends: Rc<Joined>,
    incoming: bool,
}

impl Protocol<Result> for Pipe {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if !self.incoming {
            return Ok(());
        }
        if let Some((reading, _)) = &mut *self.ends.ends.borrow_mut() {
            *reading = Some(transport.clone());
        }
        let joined = Transport::new(self.ends.clone());
        self.ends.with_protocol(|protocol| protocol.connection_made(&joined))
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        self.ends.with_protocol(|protocol| protocol.data_received(data))
    }

    fn eof_received(&mut self) -> bool {
        false
    }

    fn pause_writing(&mut self) -> Result {
        self.ends.look_at_flow();
        self.ends.with_protocol(ProtocolRef::pause_writing)
    }

    fn resume_writing(&mut self) -> Result {
        self.ends.look_at_flow();
        self.ends.with_protocol(ProtocolRef::resume_writing)
    }

    /// One without the other is of no use.
    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        self.ends.lost(error)
    }
}

/// The transport.
struct Joined {
    /// What is read from, once it is known, and what is written to.
    ends: RefCell<Option<(Option<Transport>, Transport)>>,
    protocol: RefCell<Option<ProtocolRef>>,
    /// With the marks of the pipe, for producers.
    flow: FlowControl,
    /// How many are open, and why the first of them is not.
    open: Cell<u32>,
    error: RefCell<Option<Error>>,
    done: Future<()>,
    refused: Cell<bool>,
}

impl Joined {
    fn with_protocol(&self, call: impl FnOnce(&ProtocolRef) -> Result) -> Result {
        let protocol = self.protocol.borrow().clone();
        protocol.map_or(Ok(()), |protocol| call(&protocol))
    }

    fn reading(&self) -> Option<Transport> {
        self.ends.borrow().as_ref().and_then(|(reading, _)| reading.clone())
    }

    fn writing(&self) -> Option<Transport> {
        self.ends.borrow().as_ref().map(|(_, writing)| writing.clone())
    }

    fn look_at_flow(&self) {
        // The protocol is told by that of the pipe.
        let _crossed = self.flow.update(self.get_write_buffer_size());
    }

    fn lost(&self, error: Option<Error>) -> Result {
        self.open.set(self.open.get() - 1);
        if let Some(error) = error {
            self.error.borrow_mut().get_or_insert(error);
        }
        if self.open.get() > 0 {
            self.close();
            return Ok(());
        }
        self.flow.stop();
        let (protocol, error) = (self.protocol.take(), self.error.take());
        let told = protocol.map_or(Ok(()), |protocol| protocol.connection_lost(error));
        let _nobody_waits = self.done.set_result(());
        let ends = self.ends.take();
        drop(ends);
        told
    }
}

impl BaseTransport for Joined {
    fn close(&self) {
        self.writing().inspect(Transport::close);
        self.reading().inspect(Transport::close);
    }

    fn is_closing(&self) -> bool {
        self.writing().is_none_or(|writing| writing.is_closing())
    }

    fn get_extra_info(&self) -> ExtraInfo {
        ExtraInfo::default()
    }

    fn set_protocol(&self, protocol: ProtocolRef) {
        let former = self.protocol.replace(Some(protocol));
        drop(former);
    }

    fn get_protocol(&self) -> Option<ProtocolRef> {
        self.protocol.borrow().clone()
    }
}

impl ReadTransport for Joined {
    fn is_reading(&self) -> bool {
        self.reading().is_some_and(|reading| reading.is_reading())
    }

    fn pause_reading(&self) {
        self.reading().inspect(Transport::pause_reading);
    }

    fn resume_reading(&self) {
        self.reading().inspect(Transport::resume_reading);
    }
}

impl WriteTransport for Joined {
    fn try_write(&self, data: &[u8]) -> Result {
        match self.writing() {
            Some(writing) => writing.try_write(data)?,
            None => return Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
        }
        self.look_at_flow();
        Ok(())
    }

    /// The end of a pipe is its being closed.
    fn try_write_eof(&self) -> Result {
        self.writing().inspect(Transport::close);
        Ok(())
    }

    fn can_write_eof(&self) -> bool {
        true
    }

    fn get_write_buffer_size(&self) -> usize {
        self.writing().map_or(0, |writing| writing.get_write_buffer_size())
    }

    fn flow_control(&self) -> &FlowControl {
        &self.flow
    }

    fn limits_changed(&self) {
        let (low, high) = self.flow.limits();
        if let Some(writing) = self.writing()
            && let Err(error) = writing.set_write_buffer_limits(high, low)
        {
            self.write_refused(error);
        }
        self.look_at_flow();
    }

    fn abort_with(&self, error: Option<Error>) {
        if let Some(error) = error {
            self.error.borrow_mut().get_or_insert(error);
        }
        self.writing().inspect(Transport::abort);
        self.reading().inspect(Transport::abort);
    }

    fn write_refused(&self, error: Error) {
        if !self.refused.replace(true) {
            eprintln!("{error}");
        }
    }
}
