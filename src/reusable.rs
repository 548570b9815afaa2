//! [`Reusable`]: one future after the other, in the same memory.
//!
//! Who waits again and again for the same thing needs a future each time, and most
//! often nobody has the one before any more: then it is made new instead of another.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::{Rc, Weak};

use crate::events::{Kept, Scheduler};
use crate::exceptions::Result;
use crate::futures::Future;
use crate::subjects::Subject;

/// A place for the last future that was given out.
#[derive(Default)]
pub(crate) struct Reusable(Cell<Option<Future<()>>>);

impl Reusable {
    /// A pending future. It is another one for everybody who can tell, by its number
    /// too; only what it stands for is that of the first.
    #[track_caller]
    #[inline(always)]
    pub(crate) fn get<S: Subject>(
        &self,
        scheduler: &Rc<Scheduler>,
        subject: impl FnOnce() -> S,
    ) -> Future<()> {
        match self.again(scheduler) {
            Some(future) => future,
            None => self.another(subject(), scheduler),
        }
    }

    /// The same for the loop that runs here.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if none runs.
    #[track_caller]
    #[inline(always)]
    pub(crate) fn get_here<S: Subject>(&self, subject: impl FnOnce() -> S) -> Result<Future<()>> {
        // While a loop iterates there is no other that runs, except one that is being
        // closed, whose tasks cannot wait.
        if let Some(mut last) = self.0.take()
            && last.core().scheduler.iterating.get()
            && last.renew_here()
        {
            self.0.set(Some(last.clone()));
            return Ok(last);
        }
        self.another_here(subject)
    }

    #[cold]
    #[track_caller]
    fn another_here<S: Subject>(&self, subject: impl FnOnce() -> S) -> Result<Future<()>> {
        Ok(self.another(subject(), &Scheduler::running()?))
    }

    /// The last one, if nobody has it any more.
    #[track_caller]
    #[inline(always)]
    fn again(&self, scheduler: &Rc<Scheduler>) -> Option<Future<()>> {
        let mut last = self.0.take()?;
        if !last.renew(scheduler) {
            return None;
        }
        self.0.set(Some(last.clone()));
        Some(last)
    }

    /// Apart, for it takes much more room on the stack than to use one again.
    #[cold]
    #[track_caller]
    fn another(&self, subject: impl Subject, scheduler: &Rc<Scheduler>) -> Future<()> {
        let future = Future::about(subject, scheduler.clone());
        self.0.set(Some(future.clone()));
        future
    }

    /// The one that was given out last.
    #[inline]
    pub(crate) fn last(&self) -> Option<Future<()>> {
        let last = self.0.take();
        self.0.set(last.clone());
        last
    }
}

/// The same for what may belong to the loop itself, as what an exception handler has
/// captured does: the future, which has the loop, is dropped when the loop is closed.
#[derive(Default)]
pub(crate) struct Spare(OnceCell<Rc<Place>>);

#[derive(Default)]
struct Place {
    reusable: Reusable,
    /// The loop that keeps this, and where.
    kept: RefCell<Option<(Weak<Scheduler>, usize)>>,
}

impl Spare {
    /// As [`Reusable::get`].
    #[track_caller]
    #[inline]
    pub(crate) fn get<S: Subject>(
        &self,
        scheduler: &Rc<Scheduler>,
        subject: impl FnOnce() -> S,
    ) -> Future<()> {
        // Not by a closure, which would not know from where this is called.
        if let Some(place) = self.0.get()
            && let Some(future) = place.reusable.again(scheduler)
        {
            return future;
        }
        self.another(subject(), scheduler)
    }

    #[cold]
    #[track_caller]
    fn another(&self, subject: impl Subject, scheduler: &Rc<Scheduler>) -> Future<()> {
        let place = self.0.get_or_init(Rc::default);
        place.be_kept_by(scheduler);
        place.reusable.another(subject, scheduler)
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let Some(place) = self.0.get() {
            place.leave();
        }
    }
}

impl Place {
    fn be_kept_by(self: &Rc<Self>, scheduler: &Rc<Scheduler>) {
        let keeper = self.kept.borrow().as_ref().map(|(keeper, _)| keeper.as_ptr());
        if keeper == Some(Rc::as_ptr(scheduler)) {
            return;
        }
        self.leave();
        let at = scheduler.keep(self.clone());
        *self.kept.borrow_mut() = Some((Rc::downgrade(scheduler), at));
    }

    fn leave(&self) {
        let kept = self.kept.take();
        if let Some((scheduler, at)) = kept
            && let Some(scheduler) = scheduler.upgrade()
        {
            scheduler.forget(at);
        }
    }
}

impl Kept for Place {
    fn let_go(&self) {
        let (kept, last) = (self.kept.take(), self.reusable.0.take());
        drop((kept, last));
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::Reusable;
    use crate::clock::Clock;
    use crate::events::Scheduler;
    use crate::exceptions::ErrorKind;
    use crate::futures::Future;

    fn scheduler() -> Rc<Scheduler> {
        Rc::new(Scheduler::new(Clock::monotonic(), 1 << 16))
    }

    fn address(future: &Future<()>) -> *const () {
        Rc::as_ptr(&future.0).cast()
    }

    #[test]
    fn what_nobody_has_any_more_is_pending_again() {
        let (reusable, scheduler) = (Reusable::default(), scheduler());
        let first = reusable.get(&scheduler, || "something");
        first.add_done_callback(|_| ());
        first.set_exception(ErrorKind::Timeout).expect("it is pending");
        assert!(first.exception().is_ok_and(|error| error.is_some()));
        let (id, place) = (first.id(), address(&first));
        scheduler.close(); // the callback, which knows the future
        drop(first);

        let (second, line) = (reusable.get(&scheduler, || "something"), line!());
        assert_eq!(address(&second), place);
        assert_ne!(second.id(), id);
        assert_eq!(second.core().created_at.line(), line);
        assert!(!second.done() && second.result().is_err());
        second.set_result(()).expect("it is pending");
        assert!(second.result().is_ok() && second.exception().is_ok_and(|error| error.is_none()));
    }

    #[test]
    fn what_somebody_has_is_left_alone() {
        let (reusable, here, there) = (Reusable::default(), scheduler(), scheduler());
        let first = reusable.get(&here, || "something");
        first.set_result(()).expect("it is pending");
        let second = reusable.get(&here, || "something");
        assert!(first.done() && !second.done() && first != second);
        // So is one with callbacks that have not run yet, for they will ask for it.
        second.add_done_callback(|_| ());
        second.set_result(()).expect("it is pending");
        let place = address(&second);
        drop(second);
        assert_ne!(address(&reusable.get(&here, || "something")), place);
        // And one of another loop is of no use.
        let third = reusable.get(&there, || "something");
        assert!(Rc::ptr_eq(&third.core().scheduler, &there));
    }
}
