//! [`SubprocessTransport`]: a process and its pipes as one, with a protocol that is told.
//!
//! Each pipe has a transport of its own, with a protocol that passes on what happens:
//!
//! ```text
//!   stdin   <--  transport 0  --+                      pause_writing, resume_writing
//!   stdout  -->  transport 1  --+--> SubprocessTransport --> protocol
//!   stderr  -->  transport 2  --+                      pipe_data_received,
//!   its end  ------------------->                      pipe_connection_lost, process_exited
//! ```

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::process::returncode;
use super::watching::{Child, Watcher};
use crate::context::OwnContext;
use crate::events::{Kept, Scheduler};
use crate::exceptions::{Error, Result};
use crate::futures::Future;
use crate::protocols::Protocol;
use crate::reports::{ExceptionContext, ExceptionSource, drop_value};
use crate::signals::Signal;
use crate::transports::interface::{Held, Transport, busy};

/// A protocol of whatever type.
pub(super) trait Receiver {
    fn connection_made(&mut self, transport: &SubprocessTransport) -> Result;
    fn pipe_data_received(&mut self, fd: i32, data: &[u8]) -> Result;
    fn pipe_connection_lost(&mut self, fd: i32, error: Option<Error>) -> Result;
    fn process_exited(&mut self) -> Result;
    fn pause_writing(&mut self) -> Result;
    fn resume_writing(&mut self) -> Result;
    fn connection_lost(&mut self, error: Option<Error>) -> Result;
}

/// A [`SubprocessProtocol`](super::SubprocessProtocol) of whatever type.
#[derive(Clone)]
pub struct SubprocessProtocolRef(pub(super) Rc<Held<dyn Receiver>>);

impl fmt::Debug for SubprocessProtocolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubprocessProtocolRef")
    }
}

/// A child process, for its protocol to talk to and to steer
/// (`asyncio.SubprocessTransport`); made by
/// [`subprocess_exec`](crate::EventLoop::subprocess_exec).
///
/// A handle; clones are the same. The process lives on its own, so dropping handles ends
/// nothing.
#[derive(Clone)]
pub struct SubprocessTransport(pub(super) Rc<Core>);

impl SubprocessTransport {
    /// The number of the process. Once it has ended, that may be another's.
    pub fn get_pid(&self) -> u32 {
        self.0.child.process().pid()
    }

    /// How it ended, by [Python's rule](super::returncode); `None` before
    /// `process_exited`.
    pub fn get_returncode(&self) -> Option<i32> {
        self.0.child.status().map(returncode)
    }

    /// The transport of a pipe: 0 is the standard input, to write to; 1 and 2 are output
    /// and errors, to pause for instance. `None` for what is no pipe.
    pub fn get_pipe_transport(&self, fd: i32) -> Option<Transport> {
        self.0.pipe_transport(fd)
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// As [`Process::send_signal`](super::Process::send_signal).
    pub fn send_signal(&self, signal: Signal) -> Result {
        self.0.child.send_signal(signal)
    }

    /// Asks it to end, by SIGTERM.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](SubprocessTransport::send_signal).
    pub fn terminate(&self) -> Result {
        self.send_signal(Signal::TERM)
    }

    /// Ends it at once, by SIGKILL.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](SubprocessTransport::send_signal).
    pub fn kill(&self) -> Result {
        self.send_signal(Signal::KILL)
    }

    /// Closes the pipes and kills the process, unless it has ended. `process_exited` and
    /// `connection_lost` follow.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether it is closed or about to be.
    pub fn is_closing(&self) -> bool {
        self.0.closing.get()
    }

    /// Has another protocol told from now on; not of what has been.
    pub fn set_protocol(&self, protocol: impl Into<SubprocessProtocolRef>) {
        if !self.0.finished.get() {
            let former = self.0.protocol.replace(Some(protocol.into()));
            drop(former);
        }
    }

    /// The protocol; `None` once it has been told `connection_lost`.
    pub fn get_protocol(&self) -> Option<SubprocessProtocolRef> {
        self.0.protocol.borrow().clone()
    }
}

impl PartialEq for SubprocessTransport {
    /// Whether both are the same transport.
    fn eq(&self, other: &SubprocessTransport) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SubprocessTransport {}

impl fmt::Debug for SubprocessTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubprocessTransport")
            .field("pid", &self.get_pid())
            .field("returncode", &self.get_returncode())
            .field("closing", &self.is_closing())
            .finish()
    }
}

/// See the module.
pub(super) struct Core {
    scheduler: Rc<Scheduler>,
    child: Rc<Child>,
    protocol: RefCell<Option<SubprocessProtocolRef>>,
    pipes: RefCell<Vec<(i32, Transport)>>,
    /// How many pipes are not lost yet.
    open: Cell<usize>,
    closing: Cell<bool>,
    /// Whether the protocol has been told that the process has ended.
    exited: Cell<bool>,
    /// Whether `connection_lost` has been called, or will be.
    finished: Cell<bool>,
    /// Where the scheduler keeps it: the process may be gone long before its pipes.
    place: Cell<Option<usize>>,
    context: OwnContext,
}

impl Core {
    pub(super) fn new(
        scheduler: Rc<Scheduler>,
        child: Rc<Child>,
        protocol: SubprocessProtocolRef,
    ) -> Rc<Core> {
        Rc::new(Core {
            scheduler,
            child,
            protocol: RefCell::new(Some(protocol)),
            pipes: RefCell::default(),
            open: Cell::new(0),
            closing: Cell::new(false),
            exited: Cell::new(false),
            finished: Cell::new(false),
            place: Cell::new(None),
            context: OwnContext::copy(),
        })
    }

    /// Has the protocol told in the next iteration, before anything of the pipes, and
    /// then wakes whoever waits.
    pub(super) fn begin(self: &Rc<Self>, waiter: Future<()>) {
        let core = self.clone();
        self.scheduler.call_soon(move || {
            let transport = SubprocessTransport(core.clone());
            let made = core.call(|protocol| protocol.connection_made(&transport));
            if let Err(error) = made {
                core.report("connection_made", error);
                core.close();
            }
            // Whoever waited may have been cancelled.
            let _ = waiter.set_result(());
        });
        self.child.set_watcher(self.clone());
        self.place.set(Some(self.scheduler.keep(self.clone())));
    }

    /// The protocol of a pipe's transport.
    pub(super) fn pipe(self: &Rc<Self>, fd: i32) -> Pipe {
        self.open.set(self.open.get() + 1);
        Pipe { core: self.clone(), fd }
    }

    pub(super) fn add_pipe(&self, fd: i32, transport: Transport) {
        self.pipes.borrow_mut().push((fd, transport));
    }

    fn pipe_transport(&self, fd: i32) -> Option<Transport> {
        let pipes = self.pipes.borrow();
        pipes.iter().find(|(number, _)| *number == fd).map(|(_, transport)| transport.clone())
    }

    pub(super) fn close(&self) {
        if self.closing.replace(true) {
            return;
        }
        let pipes = self.pipes.borrow().clone();
        for (_, transport) in pipes {
            transport.close();
        }
        // One that has ended needs no signal.
        let _ = self.child.process().send_signal(Signal::KILL.as_raw());
    }

    /// Calls the protocol, which nobody else calls now.
    fn call(&self, call: impl FnOnce(&mut (dyn Receiver + 'static)) -> Result) -> Result {
        let protocol = self.protocol.borrow().clone();
        let Some(protocol) = protocol else { return Ok(()) };
        protocol.0.call(call).unwrap_or_else(|| Err(busy()))
    }

    /// Calls the protocol now, or when the call of it that goes on has returned.
    fn tell(
        self: &Rc<Self>,
        what: &'static str,
        call: impl Fn(&mut (dyn Receiver + 'static)) -> Result + 'static,
    ) {
        let protocol = self.protocol.borrow().clone();
        let Some(protocol) = protocol else { return };
        match protocol.0.call(&call) {
            Some(Ok(())) => {}
            Some(Err(error)) => self.report(what, error),
            None => {
                let later = self.clone();
                protocol.0.after(move || later.tell(what, call));
            }
        }
    }

    fn report(&self, what: &str, error: Error) {
        if error.is_interrupt() {
            return self.scheduler.reports().interrupt(error);
        }
        let text = format!("protocol.{what}() of a subprocess failed");
        let context = ExceptionContext::new(ExceptionSource::Transport, text);
        self.scheduler.reports().report(&context.with_exception(error));
    }

    fn pipe_lost(self: &Rc<Self>, fd: i32, error: Option<Error>) {
        self.tell("pipe_connection_lost", move |protocol| {
            protocol.pipe_connection_lost(fd, error.clone())
        });
        self.open.set(self.open.get() - 1);
        self.try_finish();
    }

    /// When the process has ended and every pipe is lost.
    fn try_finish(self: &Rc<Self>) {
        if !self.exited.get() || self.open.get() > 0 || self.finished.replace(true) {
            return;
        }
        self.closing.set(true);
        let core = self.clone();
        self.scheduler.call_soon(move || core.finish());
    }

    fn finish(&self) {
        if let Err(error) = self.call(|protocol| protocol.connection_lost(None)) {
            self.report("connection_lost", error);
        }
        if let Some(place) = self.place.take() {
            self.scheduler.forget(place);
        }
        self.release();
    }

    fn release(&self) {
        let (protocol, pipes) = (self.protocol.take(), self.pipes.take());
        drop_value(protocol);
        drop(pipes);
        self.context.end();
    }
}

impl Watcher for Core {
    fn ended(self: Rc<Self>) {
        self.context.run(|| {
            self.tell("process_exited", |protocol| protocol.process_exited());
            self.exited.set(true);
            self.try_finish();
        });
    }

    fn abandoned(self: Rc<Self>) {
        self.let_go();
    }
}

impl Kept for Core {
    fn let_go(&self) {
        self.closing.set(true);
        self.finished.set(true);
        self.release();
    }
}

/// Passes on what happens to a pipe.
pub(super) struct Pipe {
    core: Rc<Core>,
    fd: i32,
}

impl Protocol for Pipe {
    fn data_received(&mut self, data: &[u8]) {
        let told = self.core.call(|protocol| protocol.pipe_data_received(self.fd, data));
        if let Err(error) = told {
            self.core.report("pipe_data_received", error.clone());
            if let Some(transport) = self.core.pipe_transport(self.fd) {
                transport.abort_with(error);
            }
        }
    }

    fn pause_writing(&mut self) {
        self.core.tell("pause_writing", |protocol| protocol.pause_writing());
    }

    fn resume_writing(&mut self) {
        self.core.tell("resume_writing", |protocol| protocol.resume_writing());
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        self.core.pipe_lost(self.fd, error);
    }
}
