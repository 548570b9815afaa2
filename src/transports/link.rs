//! What all transports of the crate have: their protocol, their state, and the rules of
//! when the one is told of the other.
//!
//! ```text
//!             close, eof               flushed
//!    open ------------------> closing -----------> lost
//!      |                         |                  ^   connection_lost is called
//!      +----- abort, error ------+------------------+   in the next iteration, once
//! ```

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use crate::events::{Kept, Runnable, Scheduler};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::few::Few;
use crate::flow_control::FlowControl;
use crate::futures::Future;
use crate::instruments::FlowEvent;
use crate::reports::{ExceptionContext, ExceptionSource, drop_value};
use crate::transports::interface::{ProtocolRef, Transport};

/// What is called when a connection is lost, after its protocol.
pub(crate) type OnLost = Box<dyn FnOnce()>;

/// A protocol of some sort, for streams or for datagrams, as far as a link calls it.
pub(crate) trait Told: Clone + 'static {
    /// What it is given to write to.
    type Transport;
    /// Whether an error that it raises ends the connection, or is only reported.
    const RAISING_ENDS: bool;

    fn connection_made(&self, transport: &Self::Transport) -> Result;
    fn connection_lost(&self, error: Option<Error>) -> Result;
    /// `None` if it is being called, so that it has to be told later.
    fn set_writing_paused(&self, paused: bool) -> Option<Result>;
    /// Has something done once the present call of it has returned.
    fn after(&self, what: impl FnOnce() + 'static);
}

impl Told for ProtocolRef {
    type Transport = Transport;
    const RAISING_ENDS: bool = true;

    fn connection_made(&self, transport: &Transport) -> Result {
        self.connection_made(transport)
    }

    fn connection_lost(&self, error: Option<Error>) -> Result {
        self.connection_lost(error)
    }

    fn set_writing_paused(&self, paused: bool) -> Option<Result> {
        self.set_writing_paused(paused)
    }

    fn after(&self, what: impl FnOnce() + 'static) {
        self.after(what);
    }
}

/// The part of a transport that does not depend on what carries the bytes. What is needed
/// most often is first.
#[repr(C)]
pub(crate) struct Link<P: Told = ProtocolRef> {
    /// Whether it is closing, or lost already.
    pub(crate) closing: Cell<bool>,
    /// Whether reading is paused by the protocol.
    pub(crate) paused: Cell<bool>,
    /// Whether the end of the stream is to be sent, or has been.
    pub(crate) eof_written: Cell<bool>,
    /// Whether the end of the stream has come.
    pub(crate) eof_received: Cell<bool>,
    /// Whether `connection_lost` has been called, or will be.
    pub(crate) lost: Cell<bool>,
    /// Whether the protocol has been told to pause writing.
    told_paused: Cell<bool>,
    /// Whether its owner has closed or aborted it, and is not told yet.
    ended_here: Cell<bool>,
    refused: Cell<bool>,
    protocol: RefCell<Option<P>>,
    pub(crate) scheduler: Rc<Scheduler>,
    pub(crate) flow: FlowControl,
    /// What `connection_lost` is given if nothing goes wrong while it closes.
    reason: RefCell<Option<Error>>,
    on_lost: RefCell<Few<OnLost>>,
    /// Where the scheduler keeps the transport, until it is lost.
    place: Cell<Option<usize>>,
}

/// A transport with a [`Link`].
pub(crate) trait Linked<P: Told = ProtocolRef>: 'static {
    fn link(&self) -> &Link<P>;
    fn transport(self: &Rc<Self>) -> P::Transport;
    /// How many bytes wait to be sent.
    fn buffered(&self) -> usize;
    /// Drops what waits to be sent, and stops to send and to receive.
    fn give_up(&self);
    /// Lets go of what carries the bytes; the protocol has been told.
    fn release(&self);
}

impl<P: Told> Link<P> {
    pub(crate) fn new(scheduler: Rc<Scheduler>, protocol: P) -> Link<P> {
        Link {
            scheduler,
            protocol: RefCell::new(Some(protocol)),
            flow: FlowControl::default(),
            told_paused: Cell::new(false),
            paused: Cell::new(false),
            closing: Cell::new(false),
            eof_written: Cell::new(false),
            eof_received: Cell::new(false),
            lost: Cell::new(false),
            reason: RefCell::new(None),
            ended_here: Cell::new(false),
            refused: Cell::new(false),
            on_lost: RefCell::default(),
            place: Cell::new(None),
        }
    }

    pub(crate) fn protocol(&self) -> Option<P> {
        self.protocol.borrow().clone()
    }

    pub(crate) fn set_protocol(&self, protocol: P) {
        if !self.lost.get() {
            let former = self.protocol.replace(Some(protocol));
            drop(former);
        }
    }

    /// Takes over a protocol that has been told to pause writing.
    #[cfg(feature = "tls")]
    pub(crate) fn begin_paused(&self) {
        self.flow.begin_paused();
        self.told_paused.set(true);
    }

    /// Lets go of a protocol that was never told of the connection, and is not to be.
    #[cfg(feature = "tls")]
    pub(crate) fn forget_protocol(&self) {
        let former = self.protocol.take();
        drop(former);
    }

    /// The loop is closed: lets go of the protocol, which may own the transport, and of
    /// all others that would be told.
    pub(crate) fn abandon(&self) {
        self.closing.set(true);
        self.lost.set(true);
        self.flow.unregister();
        let (protocol, on_lost) = (self.protocol.take(), self.on_lost.take());
        drop_value((protocol, on_lost));
    }

    /// Has something called when the connection is lost, after the protocol.
    pub(crate) fn on_lost(&self, what: OnLost) {
        self.on_lost.borrow_mut().push(what);
    }

    /// Has the loop keep the transport until it is lost, whoever drops its handles.
    pub(crate) fn keep(&self, transport: Rc<dyn Kept>) {
        self.place.set(Some(self.scheduler.keep(transport)));
    }

    pub(crate) fn leave(&self) {
        if let Some(place) = self.place.take() {
            self.scheduler.forget(place);
        }
    }

    /// Notes that its owner ends it: then a write is a mistake of his.
    pub(crate) fn end_here(&self) {
        if !self.lost.get() {
            self.ended_here.set(true);
        }
    }

    /// Notes why it is about to be closed; the first reason counts.
    pub(crate) fn close_for(&self, reason: Error) {
        if !self.closing.get() {
            *self.reason.borrow_mut() = Some(reason);
        }
    }

    /// Whether bytes go to the protocol.
    pub(crate) fn is_reading(&self) -> bool {
        !self.closing.get() && !self.paused.get()
    }

    /// Whether something can be written.
    ///
    /// # Errors
    ///
    /// As [`Transport::try_write`].
    #[inline]
    pub(crate) fn check_writable(&self) -> Result {
        if self.eof_written.get() || self.closing.get() {
            let ends = self.lost.get() || !self.eof_written.get();
            let lost = ends && !self.ended_here.get();
            Err(not_writable(lost, self.eof_written.get()))
        } else {
            Ok(())
        }
    }

    /// Reports an error of a write that has nobody to give it to; the first only.
    pub(crate) fn write_refused(&self, error: Error) {
        if !self.refused.replace(true) {
            self.report("a write to a transport was refused", error);
        }
    }

    /// Puts a transport into the loop's queue.
    #[inline]
    pub(crate) fn enqueue(&self, transport: Rc<dyn Runnable>) {
        if self.scheduler.is_watched() {
            self.scheduler.emit(&FlowEvent::CallSoon { task: None });
        }
        self.scheduler.push(transport);
    }

    pub(crate) fn report(&self, message: &str, error: Error) {
        if error.is_interrupt() {
            return self.scheduler.reports().interrupt(error);
        }
        let context = ExceptionContext::new(ExceptionSource::Transport, message);
        self.scheduler.reports().report(&context.with_exception(error));
    }
}

/// Why nothing can be written.
#[cold]
pub(crate) fn not_writable(lost: bool, eof_written: bool) -> Error {
    if lost {
        return io::Error::new(io::ErrorKind::BrokenPipe, "the connection is lost").into();
    }
    let what = if eof_written { "write_eof" } else { "close" };
    Error::text(ErrorKind::Runtime, format!("write after {what}: the bytes were dropped"))
}

/// Begins: the protocol is told in the next iteration, and then `then` is called, and
/// whoever waits is woken.
pub(crate) fn begin<P: Told, L: Linked<P> + Kept>(
    core: &Rc<L>,
    waiter: Option<Future<()>>,
    then: impl FnOnce(&Rc<L>) + 'static,
) {
    core.link().keep(core.clone());
    let made = core.clone();
    core.link().scheduler.call_soon(move || {
        let transport = made.transport();
        // Also of one that was closed in between: it is lost after that.
        deliver(&made, "connection_made", |protocol| protocol.connection_made(&transport));
        if !made.link().lost.get() {
            then(&made);
        }
        if let Some(waiter) = waiter {
            // Whoever waited may have been cancelled.
            let _ = waiter.set_result(());
        }
    });
}

/// Calls the protocol; an error that it raises ends the connection, or of datagrams is
/// reported. `None` if there was one, or there is no protocol any more.
pub(crate) fn deliver<P: Told, L: Linked<P>, T>(
    core: &Rc<L>,
    what: &str,
    call: impl FnOnce(&P) -> Result<T>,
) -> Option<T> {
    let protocol = core.link().protocol()?;
    match call(&protocol) {
        Ok(value) => Some(value),
        Err(error) => {
            raised(core, what, error);
            None
        }
    }
}

/// The protocol has raised an error in that callback.
#[cold]
pub(crate) fn raised<P: Told, L: Linked<P>>(core: &Rc<L>, what: &str, error: Error) {
    if P::RAISING_ENDS {
        fatal(core, &format!("Fatal error: protocol.{what}() call failed."), error);
    } else {
        core.link().report(&format!("protocol.{what}() failed"), error);
    }
}

/// Looks whether the water marks have been crossed, and has the protocol told.
#[inline]
pub(crate) fn check_flow<P: Told, L: Linked<P>>(core: &Rc<L>) {
    if core.link().flow.update(core.buffered()).is_some() {
        tell_flow(core);
    }
}

/// Tells the protocol what it has not been told yet, once it can be called.
fn tell_flow<P: Told, L: Linked<P>>(core: &Rc<L>) {
    let link = core.link();
    let Some(protocol) = link.protocol() else { return };
    loop {
        let paused = link.flow.is_paused();
        if link.told_paused.get() == paused || link.lost.get() {
            return;
        }
        link.told_paused.set(paused);
        match protocol.set_writing_paused(paused) {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                let what = if paused { "pause_writing" } else { "resume_writing" };
                link.report(&format!("protocol.{what}() failed"), error);
            }
            None => {
                link.told_paused.set(!paused);
                let later = core.clone();
                return protocol.after(move || tell_flow(&later));
            }
        }
    }
}

/// Ends the connection for an error of the system or of the protocol. What the system
/// says is the owner's to know, and he is told; what the protocol raised is reported.
pub(crate) fn fatal<P: Told, L: Linked<P>>(core: &Rc<L>, message: &str, error: Error) {
    if error.kind() == ErrorKind::Io {
        force_close(core, Some(error.clone()));
        // Whoever listens to it may panic.
        tracing::debug!(%error, "{message}");
    } else {
        core.link().report(message, error.clone());
        force_close(core, Some(error));
    }
}

/// Ends the connection at once.
pub(crate) fn force_close<P: Told, L: Linked<P>>(core: &Rc<L>, error: Option<Error>) {
    if core.link().lost.get() {
        return;
    }
    core.give_up();
    schedule_lost(core, error);
}

/// Has `connection_lost` called in the next iteration.
pub(crate) fn schedule_lost<P: Told, L: Linked<P>>(core: &Rc<L>, error: Option<Error>) {
    let link = core.link();
    link.closing.set(true);
    if link.lost.replace(true) {
        return;
    }
    let lost = core.clone();
    link.scheduler.call_soon(move || finish(&lost, error));
}

/// The last that happens: the protocol is told, and then everything is let go.
pub(crate) fn finish<P: Told, L: Linked<P>>(core: &Rc<L>, error: Option<Error>) {
    let link = core.link();
    link.closing.set(true);
    link.lost.set(true);
    link.ended_here.set(false);
    link.flow.stop();
    let protocol = link.protocol.take();
    if let Some(protocol) = protocol {
        let error = error.or_else(|| link.reason.take());
        if let Err(error) = protocol.connection_lost(error) {
            link.report("protocol.connection_lost() failed", error);
        }
        drop_value(protocol);
    }
    link.leave();
    core.release();
    let on_lost = link.on_lost.take();
    on_lost.for_each(|what| what());
}

/// The loop is closed: nobody is told.
pub(crate) fn let_go<P: Told, L: Linked<P>>(core: &L) {
    core.link().abandon();
    core.give_up();
    core.release();
}
