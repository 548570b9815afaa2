//! The line of those who wait for a primitive: asyncio's deque of waiters.
//!
//! Whoever waits leaves the line by itself, when its task runs again. Between being
//! woken or cancelled and that step it is still there, and asyncio's rules look at
//! it: a lock that is free is not given past a waiter that has been woken. (A
//! [`Waiters`](crate::waiters::Waiters) forgets a waiter as soon as it is woken,
//! as queues do.)
//!
//! ```text
//!   left  cancelled  woken | woken  pending  cancelled  pending
//!                          ^ done_before: nobody in front of it still waits
//! ```
//!
//! Being done is for ever, so the search for the first who still waits goes on
//! where the last one ended, and looks at everyone once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::instruments::FutureId;
use crate::subjects::Lazy;

/// Below so many empty places nobody bothers to sweep.
const FEW: usize = 32;

/// What a primitive says of its users, for people who look for a deadlock.
///
/// ```
/// let statistics = stackio::Lock::new().statistics();
/// assert!(statistics.holders.is_empty());
/// assert_eq!(statistics.waiting, 0);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockStatistics {
    /// The names of the tasks that have it, as they were when they took it: at most
    /// one for a lock, several for a semaphore, and none for what is not taken: an
    /// event, a barrier. What is taken outside of a task is nobody's.
    pub holders: Vec<String>,
    /// How many tasks wait.
    pub waiting: usize,
    /// Their names, in the order in which they came.
    pub waiters: Vec<String>,
}

/// A future by its number, or the place that it has left.
struct Place(FutureId, Option<Future<()>>);

/// Futures in the order in which their tasks came. Their numbers ascend.
pub(crate) struct Line {
    places: RefCell<VecDeque<Place>>,
    /// How many places are empty. The first one never is.
    empty: Cell<usize>,
    /// Whoever is in front of this one is done.
    done_before: Cell<FutureId>,
    /// Whoever is in front of this one has been cancelled.
    cancelled_before: Cell<FutureId>,
    kind: &'static str,
    pub(crate) primitive: Lazy,
}

impl Line {
    /// The line in front of something of that kind.
    pub(crate) fn of(kind: &'static str) -> Line {
        Line {
            places: RefCell::default(),
            empty: Cell::new(0),
            done_before: Cell::new(FutureId(0)),
            cancelled_before: Cell::new(FutureId(0)),
            kind,
            primitive: Lazy::default(),
        }
    }

    /// Goes to the end of the line.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` outside of a loop, or in another one than those before.
    #[track_caller]
    pub(crate) fn enter(&self) -> Result<Waiter<'_>> {
        let scheduler = Scheduler::running()?;
        let subject = (self.kind, self.primitive.enter(&scheduler)?.clone());
        let future = Future::about(subject, scheduler);
        self.places.borrow_mut().push_back(Place(future.id(), Some(future.clone())));
        Ok(Waiter { line: self, future })
    }

    fn leave(&self, id: FutureId) {
        let mut places = self.places.borrow_mut();
        let Ok(index) = places.binary_search_by_key(&id, |place| place.0) else { return };
        places[index].1 = None;
        let mut empty = self.empty.get() + 1;
        while let Some(Place(_, None)) = places.front() {
            places.pop_front();
            empty -= 1;
        }
        if empty >= FEW && empty * 2 > places.len() {
            places.retain(|place| place.1.is_some());
            empty = 0;
        }
        self.empty.set(empty);
    }

    /// Wakes whoever is first, unless that one is done and only has to run.
    pub(crate) fn wake_head(&self) {
        let head = self.places.borrow().front().and_then(|place| place.1.clone());
        if let Some(head) = head {
            wake(head);
        }
    }

    /// Wakes the first who still waits; whether there was one.
    pub(crate) fn wake_next(&self) -> bool {
        self.first_without(&self.done_before, Future::done).is_some_and(wake)
    }

    /// Whether anybody is there who has not been cancelled.
    pub(crate) fn has_claims(&self) -> bool {
        // Asked for by everybody who comes: most lines are empty.
        !self.places.borrow().is_empty()
            && self.first_without(&self.cancelled_before, Future::cancelled).is_some()
    }

    /// The first who is not yet `over`, from that number on, which moves up to it.
    fn first_without(
        &self,
        before: &Cell<FutureId>,
        over: impl Fn(&Future<()>) -> bool,
    ) -> Option<Future<()>> {
        let places = self.places.borrow();
        let start = places.partition_point(|place| place.0 < before.get());
        let rest = places.range(start..);
        let mut rest = rest.filter_map(|Place(_, future)| future.as_ref());
        let first = rest.find(|&future| !over(future));
        match (first, places.back()) {
            (Some(first), _) => before.set(first.id()),
            // The next to come has a higher number.
            (None, Some(last)) => before.set(FutureId(last.0.get() + 1)),
            (None, None) => {}
        }
        first.cloned()
    }

    /// How many still wait.
    pub(crate) fn waiting(&self) -> usize {
        let places = self.places.borrow();
        places.iter().filter_map(|Place(_, future)| future.as_ref()).filter(|f| !f.done()).count()
    }

    /// Who waits, and who has what they wait for.
    pub(crate) fn statistics(&self, holders: Vec<String>) -> LockStatistics {
        let places = self.places.borrow();
        let waiting = places.iter().filter_map(|Place(_, future)| future.as_ref());
        let waiters: Vec<_> = waiting.flat_map(|future| future.core().woken()).collect();
        LockStatistics { holders, waiting: self.waiting(), waiters }
    }
}

fn wake(future: Future<()>) -> bool {
    future.complete(())
}

/// One who waits; it leaves the line when this is dropped.
pub(crate) struct Waiter<'a> {
    line: &'a Line,
    future: Future<()>,
}

impl Waiter<'_> {
    #[track_caller]
    pub(crate) fn wait(&self) -> Result {
        self.future.settle()
    }

    /// Whether somebody has woken it, even if it was cancelled after that.
    pub(crate) fn woken(&self) -> bool {
        self.future.done() && !self.future.cancelled()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.line.leave(self.future.id());
    }
}
