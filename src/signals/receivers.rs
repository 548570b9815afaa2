//! Who is told of a signal: a handler is called, an [`Inbox`] keeps it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::repeating::Repeating;
use crate::signals::signal::Signal;

/// Has it called that many times in the next iteration: one handle, however large
/// the burst.
pub(super) fn schedule(handler: &Rc<Repeating>, scheduler: &Rc<Scheduler>, times: u32) {
    let (handler, on) = (handler.clone(), scheduler.clone());
    scheduler.call_soon(move || {
        for _ in 0..times {
            handler.call(on.reports());
        }
    });
}

/// The signals that came for one [`Signals`](super::Signals), each number once,
/// and the tasks that wait for them.
#[derive(Default)]
pub(super) struct Inbox {
    arrived: RefCell<VecDeque<Signal>>,
    waiters: RefCell<VecDeque<Future<()>>>,
}

impl Inbox {
    pub(super) fn put(&self, signal: Signal) {
        let mut arrived = self.arrived.borrow_mut();
        if !arrived.contains(&signal) {
            arrived.push_back(signal);
            drop(arrived);
            self.wake_one();
        }
    }

    pub(super) fn take(&self) -> Option<Signal> {
        self.arrived.borrow_mut().pop_front()
    }

    /// Suspends the task until there may be something to take.
    #[track_caller]
    pub(super) fn wait(&self, scheduler: Rc<Scheduler>) -> Result {
        let waiter = Future::about("a signal", scheduler);
        self.waiters.borrow_mut().push_back(waiter.clone());
        let waited = waiter.settle();
        if waited.is_err() {
            self.waiters.borrow_mut().retain(|other| *other != waiter);
            // It may have been woken before, but is not there to take the signal.
            if !self.arrived.borrow().is_empty() {
                self.wake_one();
            }
        }
        waited
    }

    fn wake_one(&self) {
        loop {
            let Some(waiter) = self.waiters.borrow_mut().pop_front() else { return };
            if waiter.set_result(()).is_ok() {
                return;
            }
        }
    }
}
