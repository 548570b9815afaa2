//! [`Side`]: one direction of a descriptor, what is known of it, and who waits for it.

use std::cell::Cell;
use std::os::fd::RawFd;
use std::rc::Rc;

use crate::events::Scheduler;
use crate::futures::Future;
use crate::reusable::Reusable;
use crate::subjects::Subject;

/// The two things one can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Subject for (RawFd, Direction) {
    fn title(&self) -> Option<String> {
        let what = match self.1 {
            Direction::Read => "readable",
            Direction::Write => "writable",
        };
        Some(format!("descriptor {} to become {what}", self.0))
    }
}

/// What of a descriptor has become ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// One direction of a descriptor. `waiting` is how many wait in the whole loop.
pub(crate) struct Side {
    /// Whether an operation may succeed; it is tried before this is believed.
    pub(crate) ready: Cell<bool>,
    /// Whether the peer closed, or an error or an urgent byte came: then a short
    /// operation does not mean that nothing is left.
    pub(crate) ended: Cell<bool>,
    /// Whether somebody waits for the last of the futures, or has given up.
    waited_for: Cell<bool>,
    waiters: Reusable,
}

impl Side {
    pub(crate) fn new() -> Side {
        Side {
            ready: Cell::new(true),
            ended: Cell::new(false),
            waited_for: Cell::new(false),
            waiters: Reusable::default(),
        }
    }

    /// It is ready: so is who waits.
    #[inline(always)]
    pub(crate) fn wake(&self, ended: bool, waiting: &Cell<usize>) {
        self.ready.set(true);
        if ended {
            self.ended.set(true);
        }
        if let Some(waiter) = self.take_waiter(waiting) {
            let _unless_cancelled = waiter.complete(());
        }
    }

    /// The future that is done when it becomes ready; none if somebody else waits for it
    /// already.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn waiter(
        &self,
        scheduler: &Rc<Scheduler>,
        waiting: &Cell<usize>,
        subject: (RawFd, Direction),
    ) -> Option<Future<()>> {
        // One that was cancelled is still counted as waiting.
        if !self.waited_for.replace(true) {
            waiting.set(waiting.get() + 1);
        } else if self.waiters.last().is_some_and(|other| !other.done()) {
            return None;
        }
        Some(self.waiters.get(scheduler, || subject))
    }

    /// Takes a waiter back that has given up; one that came later stays.
    pub(crate) fn forget_waiter(&self, waiter: &Future<()>, waiting: &Cell<usize>) {
        if self.waiters.last().as_ref() == Some(waiter) {
            drop(self.take_waiter(waiting));
        }
    }

    /// Who waits does so no more.
    #[inline]
    pub(crate) fn take_waiter(&self, waiting: &Cell<usize>) -> Option<Future<()>> {
        if !self.waited_for.replace(false) {
            return None;
        }
        waiting.set(waiting.get() - 1);
        self.waiters.last()
    }
}
