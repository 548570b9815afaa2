//! A line of waiters: whoever waits for a lock, an item, an event.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::events::{Scheduler, next_id};
use crate::exceptions::Result;
use crate::futures::Future;
use crate::instruments::FutureId;
use crate::subjects::Primitive;

/// Below so many waiters that gave up nobody bothers to sweep.
const FEW: usize = 32;

/// Futures in the order in which their tasks came.
///
/// One that was cancelled stays in line until its turn, or until most of the line
/// is such: leaving costs the same however long the line is.
pub(crate) struct Waiters {
    line: RefCell<VecDeque<Future<()>>>,
    gone: Cell<usize>,
    kind: &'static str,
    /// What they wait for, made when the first has to.
    primitive: OnceCell<Rc<Primitive>>,
}

/// The number of what has lines of waiters, given when the first has to wait.
#[derive(Default)]
pub(crate) struct Number(OnceCell<FutureId>);

impl Number {
    fn get(&self) -> FutureId {
        *self.0.get_or_init(next_id)
    }
}

impl Waiters {
    /// Nobody yet, for something of that kind.
    pub(crate) fn of(kind: &'static str) -> Waiters {
        Waiters { line: RefCell::default(), gone: Cell::new(0), kind, primitive: OnceCell::new() }
    }

    /// The same, where what they wait for is known better.
    pub(crate) fn standing_for(primitive: Rc<Primitive>) -> Waiters {
        Waiters { primitive: OnceCell::from(primitive), ..Waiters::of("") }
    }

    /// Waits in line for what has that number. `after` is called if the waiting ends by an error, with
    /// whether the waiter had been woken before that.
    #[track_caller]
    pub(crate) fn wait(&self, number: &Number, after: impl FnOnce(bool)) -> Result {
        let scheduler = Scheduler::running()?;
        let make = || Primitive::numbered(self.kind, number.get());
        let primitive = self.primitive.get_or_init(make);
        let waiter = Future::about(primitive.clone(), scheduler);
        self.line.borrow_mut().push_back(waiter.clone());
        let waited = waiter.settle();
        if waited.is_err() {
            waiter.cancel();
            let woken = !waiter.cancelled();
            if !woken {
                self.note_gone();
            }
            after(woken);
        }
        waited
    }

    fn note_gone(&self) {
        self.gone.set(self.gone.get() + 1);
        let mut line = self.line.borrow_mut();
        if self.gone.get() >= FEW && self.gone.get() * 2 > line.len() {
            self.gone.set(0);
            line.retain(|waiter| !waiter.done());
        }
    }

    /// Wakes the first who still waits; whether there was one.
    pub(crate) fn wake_one(&self) -> bool {
        loop {
            let Some(waiter) = self.line.borrow_mut().pop_front() else { return false };
            if waiter.set_result(()).is_ok() {
                return true;
            }
        }
    }

    /// Wakes all.
    pub(crate) fn wake_all(&self) {
        while self.wake_one() {}
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.line.borrow().iter().filter(|waiter| !waiter.done()).count()
    }
}
