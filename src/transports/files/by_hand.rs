//! A file that is read on a thread and written in parts.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::Part;
use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::flow_control::{Consumer, Producer};
use crate::futures::Future;
use crate::sendfile::{PART, read_part};
use crate::transports::interface::Transport;

#[track_caller]
pub(super) fn send_by_hand(transport: &Transport, file: &File, part: &mut Part) -> Result {
    let file = Arc::new(file.try_clone()?);
    let pump = Rc::new(Pump::default());
    transport.register(pump.clone())?;
    let _registered = Registered(transport);
    while part.left > 0 {
        let data = read_part(&file, part.offset, part.next(PART))?;
        if data.is_empty() {
            return Ok(());
        }
        pump.wait()?;
        let count = data.len();
        transport.try_write_bytes(data.into())?;
        part.offset += count as u64;
        part.sent(count);
    }
    pump.wait()
}

/// A transport's producer as long as this lives.
struct Registered<'a>(&'a Transport);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.unregister();
    }
}

/// What the transport says to who sends a file by hand.
#[derive(Default)]
struct Pump {
    paused: Cell<bool>,
    stopped: Cell<bool>,
    waiter: RefCell<Option<Future<()>>>,
}

impl Pump {
    #[track_caller]
    fn wait(&self) -> Result {
        while self.paused.get() && !self.stopped.get() {
            let waiter = Future::about("a transport to be writable", Scheduler::running()?);
            *self.waiter.borrow_mut() = Some(waiter.clone());
            waiter.join()?;
        }
        match self.stopped.get() {
            true => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
            false => Ok(()),
        }
    }

    fn wake(&self) {
        let waiter = self.waiter.take();
        if let Some(waiter) = waiter {
            let _given_up = waiter.set_result(());
        }
    }
}

impl Producer for Pump {
    fn half_register(&self, _: Rc<dyn Consumer>) {}

    fn pause(&self) {
        self.paused.set(true);
    }

    fn resume(&self) {
        self.paused.set(false);
        self.wake();
    }

    fn stop(&self) {
        self.stopped.set(true);
        self.wake();
    }
}
