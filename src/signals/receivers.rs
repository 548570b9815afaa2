//! Who is told of a signal: a [`Handler`] is called, an [`Inbox`] keeps it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::context::Variables;
use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::reports::{CallbackOutput, catch_panic, drop_value, run_callback};
use crate::signals::signal::Signal;

type Callback = Box<dyn FnMut() -> Result>;

/// A callback for a signal, in the context in which it was added.
pub(super) struct Handler {
    /// None while it runs.
    callback: Cell<Option<Callback>>,
    context: Cell<Variables>,
    removed: Cell<bool>,
}

impl Handler {
    pub(super) fn new<R: CallbackOutput>(mut callback: impl FnMut() -> R + 'static) -> Rc<Handler> {
        let callback: Callback = Box::new(move || callback().into_result());
        Rc::new(Handler {
            callback: Cell::new(Some(callback)),
            context: Cell::new(Variables::copy()),
            removed: Cell::new(false),
        })
    }

    /// Has it called that many times in the next iteration: one handle, however
    /// large the burst.
    pub(super) fn schedule(self: &Rc<Self>, scheduler: &Rc<Scheduler>, times: u32) {
        let (handler, on) = (self.clone(), scheduler.clone());
        scheduler.call_soon(move || {
            for _ in 0..times {
                run_callback(on.reports(), || handler.call());
            }
        });
    }

    fn call(&self) -> Result {
        let Some(mut callback) = self.callback.take() else { return Ok(()) };
        Variables::swap(&self.context);
        let called = catch_panic("a signal handler", &mut callback);
        Variables::swap(&self.context);
        if !self.removed.get() {
            self.callback.set(Some(callback));
        }
        called
    }

    /// From now on it is not called, also for signals that have come already.
    pub(super) fn remove(&self) {
        self.removed.set(true);
        drop_value(self.callback.take());
    }
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
