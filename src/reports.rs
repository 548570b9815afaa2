//! Errors that nobody waits for, and where they go.
//!
//! A callback has no caller who could be given its error, and a failed future may
//! be dropped before anybody looks. Such errors go to the loop's exception
//! handler (asyncio's `call_exception_handler`).

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::exceptions::{Error, Result};
use crate::fiber::without_suspending;

/// What a callback may return: nothing, or a `Result` whose error goes to the
/// loop's exception handler.
pub trait CallbackOutput {
    /// As a result.
    ///
    /// # Errors
    ///
    /// The error that the callback returned.
    fn into_result(self) -> Result;
}

impl CallbackOutput for () {
    fn into_result(self) -> Result {
        Ok(())
    }
}

impl CallbackOutput for Result {
    fn into_result(self) -> Result {
        self
    }
}

/// Where an error came from that nobody is waiting for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExceptionSource {
    /// A callback returned an error or panicked.
    Callback,
    /// A future or task with an error was dropped and nobody had asked for it.
    NeverRetrieved,
    /// A task ended with an error while the loop was shutting down.
    Shutdown,
    /// A task could not be ended when the loop was closed.
    Leaked,
    /// A task failed whose group's parent task is already done.
    Group,
    /// The loop's own machinery.
    Loop,
}

/// What a loop's exception handler is told.
#[derive(Clone, Debug)]
pub struct ExceptionContext {
    /// Where the error came from.
    pub source: ExceptionSource,
    /// What happened, in words.
    pub message: String,
    /// The error, if there is one.
    pub exception: Option<Error>,
    /// The name of the task concerned, if there is one.
    pub task: Option<String>,
}

pub(crate) type ExceptionHandler = Rc<dyn Fn(&ExceptionContext)>;

/// A loop's exception handler.
#[derive(Default)]
pub(crate) struct Reports {
    handler: RefCell<Option<ExceptionHandler>>,
    /// Whether the handler is running: what it causes goes to the default one.
    reporting: Cell<bool>,
}

impl Reports {
    pub(crate) fn set_handler(&self, handler: Option<ExceptionHandler>) {
        let former = self.handler.replace(handler);
        drop(former);
    }

    /// Reports an error. A handler that panics is reported in its turn, by the
    /// default handler.
    pub(crate) fn report(&self, context: &ExceptionContext) {
        let handler = self.handler.borrow().clone();
        let Some(handler) = handler.filter(|_| !self.reporting.get()) else {
            return default_exception_handler(context);
        };
        self.reporting.set(true);
        let handled = catch_unwind(AssertUnwindSafe(|| without_suspending(|| handler(context))));
        self.reporting.set(false);
        if let Err(panic) = handled {
            default_exception_handler(context);
            default_exception_handler(&ExceptionContext {
                source: ExceptionSource::Loop,
                message: "the exception handler panicked".to_owned(),
                exception: Some(Error::panic("the exception handler", panic)),
                task: None,
            });
        }
    }
}

/// What reports an error if no handler is set: a `tracing` event, or a line on
/// standard error if nothing listens to those, as Python's logging does.
pub(crate) fn default_exception_handler(context: &ExceptionContext) {
    let ExceptionContext { message, exception, task, .. } = context;
    if tracing::dispatcher::has_been_set() {
        let (exception, task) = (exception.as_ref().map(tracing::field::display), task.as_deref());
        tracing::error!(exception, task, "{message}");
        return;
    }
    let task = task.as_ref().map(|name| format!(" [task `{name}`]")).unwrap_or_default();
    match exception {
        Some(exception) => eprintln!("stackio: {message}{task}: {exception}"),
        None => eprintln!("stackio: {message}{task}"),
    }
}

/// Runs code of the user's in the middle of something; a panic is an error.
pub(crate) fn catch_panic<T>(what: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(Error::panic(what, panic)))
}

/// Drops a value of the user's in the middle of something that must not be torn in
/// two: a panic of its destructor ends here.
pub(crate) fn drop_value<V>(value: V) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // The payload is the user's as well.
        std::mem::forget(panic);
        let told = catch_unwind(|| tracing::error!("a destructor panicked; it was ignored"));
        std::mem::forget(told);
    }
}

/// Runs a callback; its error or panic goes to the exception handler.
pub(crate) fn run_callback<R: CallbackOutput>(reports: &Reports, f: impl FnOnce() -> R) {
    let Err(error) = catch_panic("a callback", || f().into_result()) else { return };
    reports.report(&ExceptionContext {
        source: ExceptionSource::Callback,
        message: "Exception in callback".to_owned(),
        exception: Some(error),
        task: None,
    });
}
