//! A done callback that is a function, run in the context it was added in.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;

use crate::context::Variables;
use crate::events::{Runnable, Scheduler, Standing};
use crate::future_core::{AnyFuture, DoneCallback, FutureCore};
use crate::instruments::FlowEvent;
use crate::reports::{CallbackOutput, run_callback};

/// A done callback that is a function.
pub(crate) struct Function<F> {
    added_at: &'static Location<'static>,
    /// Held from completion until the callback has run.
    future: Cell<Option<Rc<dyn AnyFuture>>>,
    context: Cell<Variables>,
    function: Cell<Option<F>>,
    withdrawn: Cell<bool>,
}

impl<F> Function<F> {
    #[track_caller]
    pub(crate) fn new(function: F) -> Rc<Function<F>> {
        Rc::new(Function {
            added_at: Location::caller(),
            future: Cell::new(None),
            context: Cell::new(Variables::copy()),
            function: Cell::new(Some(function)),
            withdrawn: Cell::new(false),
        })
    }

    /// Has it not run, and drops the function and its context; for callbacks of our
    /// own that many may add to one future.
    pub(crate) fn withdraw(&self, future: &FutureCore) {
        self.withdrawn.set(true);
        drop((self.function.take(), self.context.take()));
        future.note_withdrawn();
    }
}

impl<F, R> DoneCallback for Function<F>
where
    F: FnOnce(&Rc<dyn AnyFuture>) -> R + 'static,
    R: CallbackOutput,
{
    fn schedule(self: Rc<Self>, future: &Rc<dyn AnyFuture>, scheduler: &Scheduler) {
        self.future.set(Some(future.clone()));
        if scheduler.is_watched() {
            scheduler.emit(&FlowEvent::CallSoon { task: None });
        }
        scheduler.push(self);
    }

    fn is_withdrawn(&self) -> bool {
        self.withdrawn.get()
    }
}

impl<F, R> Runnable for Function<F>
where
    F: FnOnce(&Rc<dyn AnyFuture>) -> R + 'static,
    R: CallbackOutput,
{
    fn run(self: Rc<Self>, _: &Scheduler) {
        let (Some(future), Some(function)) = (self.future.take(), self.function.take()) else {
            return;
        };
        Variables::swap(&self.context);
        let reports = future.core().scheduler.reports();
        run_callback(reports, self.added_at, || function(&future));
        Variables::swap(&self.context);
    }

    fn describe(&self) -> Standing {
        Standing { place: Some(self.added_at), ..Standing::default() }
    }
}
