//! Two ends in one process, joined by memory.
//!
//! ```text
//!   protocol A  --write-->  [ waiting ]  --data_received-->  protocol B
//!               <--data_received--  [ waiting ]  <--write--
//! ```
//!
//! What one end writes is given to the other's protocol in the next iteration. Nothing
//! of it is real: under a virtual clock it takes no time, and its order is the same in
//! each run. What waits is counted for the end that wrote it, so a reader that pauses
//! holds the writer back.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::rc::{Rc, Weak};

use bytes::Bytes;

use crate::base_events::EventLoop;
use crate::context::OwnContext;
use crate::events::{Kept, Runnable, Scheduler};
use crate::exceptions::{Error, Result};
use crate::flow_control::FlowControl;
use crate::futures::Future;
use crate::reports::drop_value;
use crate::transports::extra::ExtraInfo;
use crate::transports::interface::{
    BaseTransport, ProtocolRef, ReadTransport, Transport, WriteTransport,
};
use crate::transports::link::{
    Link, Linked, begin, check_flow, deliver, fatal, finish, force_close, let_go, raised,
    schedule_lost,
};
use crate::transports::outgoing::Outgoing;

/// See the module.
pub(crate) struct End {
    me: Weak<End>,
    link: Link,
    other: OnceCell<Weak<End>>,
    outgoing: RefCell<Outgoing>,
    /// Bytes that are given to the protocol at a time.
    chunk: usize,
    /// Whether it was aborted; whether the other was.
    cut: Cell<bool>,
    cut_off: Cell<bool>,
    queued: Cell<bool>,
    context: OwnContext,
}

/// Makes both ends. `waiter` is woken when both protocols know of it.
pub(crate) fn pair(
    event_loop: &EventLoop,
    first: ProtocolRef,
    second: ProtocolRef,
    chunk: usize,
    waiter: Option<Future<()>>,
) -> (Transport, Transport) {
    let make = |protocol| {
        Rc::new_cyclic(|me: &Weak<End>| End {
            me: me.clone(),
            link: Link::new(event_loop.scheduler().clone(), protocol),
            other: OnceCell::new(),
            outgoing: RefCell::default(),
            chunk: chunk.max(1),
            cut: Cell::new(false),
            cut_off: Cell::new(false),
            queued: Cell::new(false),
            context: OwnContext::copy(),
        })
    };
    let (first, second) = (make(first), make(second));
    for (end, other, waiter) in [(&first, &second, None), (&second, &first, waiter)] {
        let _set_once = end.other.set(Rc::downgrade(other));
        begin(end, waiter, |end| end.want());
    }
    (first.transport(), second.transport())
}

impl End {
    fn other(&self) -> Option<Rc<End>> {
        self.other.get()?.upgrade()
    }

    /// The other end, if there is still somebody to write to.
    fn reader(&self) -> Option<Rc<End>> {
        self.other().filter(|other| !other.link.lost.get())
    }

    /// Has itself look at what the other end wrote.
    fn want(self: &Rc<Self>) {
        if !self.queued.replace(true) {
            self.link.enqueue(self.clone());
        }
    }

    fn receive(self: &Rc<Self>) {
        if self.reader().is_none() && !self.outgoing.borrow().is_empty() {
            let cut_off = self.other().is_some_and(|other| other.cut.get());
            if cut_off || self.cut_off.get() {
                let text = "the other end is gone";
                let error = io::Error::new(io::ErrorKind::BrokenPipe, text);
                return force_close(self, Some(error.into()));
            }
            drop_value(self.outgoing.take());
            self.was_read();
        }
        if self.link.closing.get() && !self.link.lost.get() {
            return self.receive_nothing();
        }
        if !self.link.is_reading() || self.link.eof_received.get() {
            return;
        }
        let Some(other) = self.other() else { return self.at_eof() };
        if !other.outgoing.borrow().is_empty() {
            self.give(&other.outgoing);
            other.was_read();
            self.want();
        } else if other.link.lost.get() || other.link.eof_written.get() {
            self.at_eof();
        }
    }

    /// Gives the protocol the next piece, of which one with a buffer of its own takes what
    /// fits.
    fn give(self: &Rc<Self>, from: &RefCell<Outgoing>) {
        let take = |most: usize| from.borrow_mut().take(most.min(self.chunk));
        let filled = self.link.protocol().and_then(|protocol| {
            protocol.fill(|buffer| {
                let data = take(buffer.len());
                buffer[..data.len()].copy_from_slice(&data);
                Ok(data.len())
            })
        });
        match filled {
            Some(Ok(_)) => {}
            Some(Err(error)) => raised(self, "buffer_updated", error),
            None => {
                let data = take(usize::MAX);
                deliver(self, "data_received", |protocol| protocol.data_received(&data));
            }
        }
    }

    /// What comes now is dropped, as a system does when a connection is closed.
    fn receive_nothing(&self) {
        if let Some(other) = self.other() {
            let unread = std::mem::take(&mut *other.outgoing.borrow_mut());
            if !unread.is_empty() {
                other.was_read();
            }
        }
    }

    /// The other end took something of what waits here.
    fn was_read(self: &Rc<Self>) {
        check_flow(self);
        let all = self.outgoing.borrow().is_empty();
        if all && self.link.closing.get() && !self.link.lost.get() {
            finish(self, None);
        }
    }

    fn at_eof(self: &Rc<Self>) {
        self.link.eof_received.set(true);
        if deliver(self, "eof_received", ProtocolRef::eof_received) == Some(false) {
            self.start_closing();
        }
    }

    fn start_closing(&self) {
        if self.link.closing.replace(true) {
            return;
        }
        if let Some(me) = self.me.upgrade() {
            me.want();
            if self.outgoing.borrow().is_empty() {
                schedule_lost(&me, None);
            }
        }
    }

    fn tell_other(&self) {
        if let Some(other) = self.other() {
            other.want();
        }
    }

    /// What is written to nobody is an error, as for a socket.
    fn check_peer(&self) -> Result {
        if self.reader().is_some() {
            return Ok(());
        }
        let error = Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        if let Some(me) = self.me.upgrade() {
            fatal(&me, "write error on a transport", error.clone());
        }
        Err(error)
    }

    fn keep(&self, keep: impl FnOnce(&mut Outgoing)) -> Result {
        self.link.check_writable()?;
        self.check_peer()?;
        keep(&mut self.outgoing.borrow_mut());
        self.tell_other();
        if let Some(me) = self.me.upgrade() {
            check_flow(&me);
        }
        Ok(())
    }
}

impl Runnable for End {
    fn run(self: Rc<Self>, _: &Scheduler) {
        self.queued.set(false);
        self.context.run(|| self.receive());
    }
}

impl Linked for End {
    fn link(&self) -> &Link {
        &self.link
    }

    fn transport(self: &Rc<Self>) -> Transport {
        Transport::new(self.clone())
    }

    fn buffered(&self) -> usize {
        self.outgoing.borrow().len()
    }

    fn give_up(&self) {
        self.cut.set(true);
        drop_value(self.outgoing.take());
    }

    fn release(&self) {
        self.context.end();
        if let Some(other) = self.other() {
            other.cut_off.set(self.cut.get());
            other.want();
        }
    }
}

impl Kept for End {
    fn let_go(&self) {
        let_go(self);
    }
}

impl BaseTransport for End {
    fn close(&self) {
        self.link.end_here();
        self.start_closing();
    }

    fn is_closing(&self) -> bool {
        self.link.closing.get()
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

impl ReadTransport for End {
    fn is_reading(&self) -> bool {
        self.link.is_reading()
    }

    fn at_eof(&self) -> bool {
        self.link.eof_received.get()
    }

    fn pause_reading(&self) {
        self.link.paused.set(true);
    }

    fn resume_reading(&self) {
        if self.link.paused.replace(false)
            && let Some(me) = self.me.upgrade()
        {
            me.want();
        }
    }
}

impl WriteTransport for End {
    fn try_write(&self, data: &[u8]) -> Result {
        self.keep(|outgoing| outgoing.push_copy(data))
    }

    fn try_write_bytes(&self, data: Bytes) -> Result {
        self.keep(|outgoing| outgoing.push(data))
    }

    fn try_writelines(&self, pieces: &[&[u8]]) -> Result {
        self.keep(|outgoing| pieces.iter().for_each(|piece| outgoing.push_copy(piece)))
    }

    fn try_write_eof(&self) -> Result {
        if !self.link.closing.get() && !self.link.eof_written.replace(true) {
            self.tell_other();
        }
        Ok(())
    }

    fn can_write_eof(&self) -> bool {
        true
    }

    fn get_write_buffer_size(&self) -> usize {
        self.outgoing.borrow().len()
    }

    fn flow_control(&self) -> &FlowControl {
        &self.link.flow
    }

    fn limits_changed(&self) {
        if let Some(me) = self.me.upgrade() {
            check_flow(&me);
        }
    }

    fn close_with(&self, error: Error) {
        self.link.close_for(error);
        self.close();
    }

    fn abort_with(&self, error: Option<Error>) {
        self.link.end_here();
        if let Some(me) = self.me.upgrade() {
            force_close(&me, error);
        }
    }

    fn write_refused(&self, error: Error) {
        self.link.write_refused(error);
    }
}
