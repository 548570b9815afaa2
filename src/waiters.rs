//! A line of waiters: whoever waits for a lock, an item, an event.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::reusable::Spare;
use crate::subjects::Subject;
use crate::sys::fifo::Fifo;

/// Below so many waiters that gave up nobody bothers to sweep.
const FEW: usize = 32;

/// Futures in the order in which their tasks came.
///
/// One that was cancelled stays in line until its turn, or until most of the line
/// is such: leaving costs the same however long the line is.
#[derive(Default)]
pub(crate) struct Waiters {
    line: Fifo<Future<()>>,
    gone: Cell<usize>,
    last: Spare,
}

impl Waiters {
    /// Waits in line. `subject` says what for; only that of the first waiter is used. If
    /// waiting ends by an error, `after` is called and told whether the waiter had been
    /// woken before.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn wait<S: Subject>(
        &self,
        scheduler: &Rc<Scheduler>,
        subject: impl FnOnce() -> S,
        after: impl FnOnce(bool),
    ) -> Result {
        let waiter = self.last.get(scheduler, subject);
        self.line.push(waiter.clone());
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
        if self.gone.get() >= FEW && self.gone.get() * 2 > self.line.len() {
            self.gone.set(0);
            self.look(|line| line.retain(|waiter| !waiter.done()));
        }
    }

    /// Wakes the first who still waits; whether there was one.
    #[inline]
    pub(crate) fn wake_one(&self) -> bool {
        !self.line.is_empty() && self.wake_first()
    }

    fn wake_first(&self) -> bool {
        loop {
            let Some(waiter) = self.line.pop() else { return false };
            if waiter.complete(()) {
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
        self.look(|line| line.iter().filter(|waiter| !waiter.done()).count())
    }

    /// Looks at the line, to which nobody may come meanwhile.
    fn look<R>(&self, look: impl FnOnce(&mut VecDeque<Future<()>>) -> R) -> R {
        let mut line = self.line.take();
        let seen = look(&mut line);
        self.line.replace(line);
        seen
    }
}
