//! A callback that is called again and again: for a signal, for a descriptor.

use std::cell::Cell;
use std::panic::Location;
use std::rc::Rc;

use crate::context::Variables;
use crate::exceptions::Result;
use crate::reports::{CallbackOutput, Reports, drop_value, run_callback};

type Callback = Box<dyn FnMut() -> Result>;

/// A callback, in the context in which it was added.
pub(crate) struct Repeating {
    /// None while it runs.
    callback: Cell<Option<Callback>>,
    context: Cell<Variables>,
    added_at: &'static Location<'static>,
    removed: Cell<bool>,
}

impl Repeating {
    #[track_caller]
    pub(crate) fn new<R: CallbackOutput>(
        mut callback: impl FnMut() -> R + 'static,
    ) -> Rc<Repeating> {
        let callback: Callback = Box::new(move || callback().into_result());
        Rc::new(Repeating {
            callback: Cell::new(Some(callback)),
            context: Cell::new(Variables::copy()),
            added_at: Location::caller(),
            removed: Cell::new(false),
        })
    }

    /// Calls it; its error or panic goes to the exception handler, and it stays.
    pub(crate) fn call(&self, reports: &Reports) {
        let Some(mut callback) = self.callback.take() else { return };
        Variables::swap(&self.context);
        run_callback(reports, self.added_at, &mut callback);
        Variables::swap(&self.context);
        match self.removed.get() {
            true => drop_value(callback),
            false => self.callback.set(Some(callback)),
        }
    }

    /// From now on it is not called, also for what has come already.
    pub(crate) fn remove(&self) {
        self.removed.set(true);
        drop_value(self.callback.take());
    }
}
