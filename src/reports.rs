//! Errors that nobody waits for, and where they go.
//!
//! A callback has no caller who could be given its error, and a failed future may
//! be dropped before anybody looks. Such errors go to the loop's exception
//! handler (asyncio's `call_exception_handler`).

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::constants::{SLOW_LOCK, SLOW_STEP};
use crate::exceptions::{Error, Result};
use crate::fiber::without_suspending;
use crate::notices::{is_heard, say};
use crate::panics::drop_caught;

/// What a callback may return: nothing, or a `Result` whose error goes to the
/// loop's exception handler.
pub trait CallbackOutput: 'static {
    /// What is returned where nothing went wrong.
    fn done() -> Self;

    /// As a result.
    ///
    /// # Errors
    ///
    /// The error that the callback returned.
    fn into_result(self) -> Result;
}

impl CallbackOutput for () {
    fn done() {}

    fn into_result(self) -> Result {
        Ok(())
    }
}

impl CallbackOutput for Result {
    fn done() -> Result {
        Ok(())
    }

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
    /// Something outlives its loop: a task that could not be ended; in debug mode
    /// also a socket that is still open, and a task that nobody had cancelled.
    Leaked,
    /// A task failed whose group's parent task is already done.
    Group,
    /// A step of a task or a callback took long, and nothing else ran meanwhile
    /// (debug mode).
    SlowStep,
    /// A lock was held for long (debug mode).
    HeldLock,
    /// A transport failed, or a callback of its protocol.
    Transport,
    /// The loop's own machinery.
    Loop,
}

impl ExceptionSource {
    /// Whether it tells of something that works, though not well.
    fn is_warning(self) -> bool {
        matches!(self, ExceptionSource::SlowStep | ExceptionSource::HeldLock)
    }
}

/// What a loop's exception handler is told.
#[non_exhaustive]
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
    /// Where the task or future concerned was made, if that is known.
    pub created_at: Option<&'static Location<'static>>,
}

impl ExceptionContext {
    /// A report of nothing but a message; the other fields can be set.
    pub fn new(source: ExceptionSource, message: impl Into<String>) -> ExceptionContext {
        let message = message.into();
        ExceptionContext { source, message, exception: None, task: None, created_at: None }
    }

    /// The same, with an error.
    pub fn with_exception(mut self, exception: Error) -> ExceptionContext {
        self.exception = Some(exception);
        self
    }
}

/// What is told of errors that nobody waits for.
pub type ExceptionHandler = Rc<dyn Fn(&ExceptionContext)>;

/// How often a handler is called within itself before it is passed over.
const DEEPEST_REPORT: u32 = 16;

/// A loop's exception handler, and what it is told of.
pub(crate) struct Reports {
    handler: RefCell<Option<ExceptionHandler>>,
    /// How many reports the handler is dealing with: what it causes is one more.
    reporting: Cell<u32>,
    /// Whether there is an error that is to end the run.
    interrupted: Cell<bool>,
    interrupt: Cell<Option<Error>>,
    debug: Cell<bool>,
    /// How long a step may take before it is reported, in debug mode.
    pub(crate) slow_step: Cell<Duration>,
    /// How long a lock may be held before that is reported, in debug mode.
    pub(crate) slow_lock: Cell<Duration>,
}

impl Default for Reports {
    fn default() -> Reports {
        Reports {
            handler: RefCell::new(None),
            reporting: Cell::new(0),
            interrupted: Cell::new(false),
            interrupt: Cell::new(None),
            debug: Cell::new(false),
            slow_step: Cell::new(SLOW_STEP),
            slow_lock: Cell::new(SLOW_LOCK),
        }
    }
}

impl Reports {
    /// Whether the loop looks for mistakes that do no harm at once.
    #[inline]
    pub(crate) fn is_debug(&self) -> bool {
        self.debug.get()
    }

    /// Has the loop's run end with an error, before anything else is run.
    pub(crate) fn interrupt(&self, error: Error) {
        self.interrupt.set(Some(error));
        self.interrupted.set(true);
    }

    #[inline]
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.get()
    }

    pub(crate) fn take_interrupt(&self) -> Option<Error> {
        self.interrupted.set(false);
        self.interrupt.take()
    }

    pub(crate) fn set_debug(&self, debug: bool) {
        self.debug.set(debug);
    }

    pub(crate) fn handler(&self) -> Option<ExceptionHandler> {
        self.handler.borrow().clone()
    }

    pub(crate) fn set_handler(&self, handler: Option<ExceptionHandler>) {
        let former = self.handler.replace(handler);
        drop(former);
    }

    /// Reports an error. A handler that panics is reported in its turn, by the
    /// default handler. It never panics itself: whoever reports has more to do.
    pub(crate) fn report(&self, context: &ExceptionContext) {
        let Some(handler) = self.handler().filter(|_| self.reporting.get() < DEEPEST_REPORT) else {
            return report_by_default(context);
        };
        self.reporting.set(self.reporting.get() + 1);
        let handled = catch_unwind(AssertUnwindSafe(|| without_suspending(|| handler(context))));
        self.reporting.set(self.reporting.get() - 1);
        if let Err(panic) = handled {
            report_by_default(context);
            let context =
                ExceptionContext::new(ExceptionSource::Loop, "the exception handler panicked");
            let error = Error::panic("the exception handler", panic);
            report_by_default(&context.with_exception(error));
        }
    }
}

/// What reports an error if no handler is set: a `tracing` event, or a line on
/// standard error if nothing listens to those, as Python's logging does.
pub(crate) fn default_exception_handler(context: &ExceptionContext) {
    let ExceptionContext { source, message, exception, task, created_at } = context;
    if is_heard() {
        let (exception, task) = (exception.as_ref().map(tracing::field::display), task.as_deref());
        let created_at = created_at.map(tracing::field::display);
        if source.is_warning() {
            tracing::warn!(exception, task, created_at, "{message}");
        } else {
            tracing::error!(exception, task, created_at, "{message}");
        }
        return;
    }
    let task = task.as_ref().map(|name| format!(" [task `{name}`]")).unwrap_or_default();
    let exception = exception.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let made = created_at.map(|place| format!(" (made at {place})")).unwrap_or_default();
    say(&format!("stackio: {message}{task}{exception}{made}\n"));
}

/// Runs code of the user's in the middle of something; a panic is an error.
pub(crate) fn catch_panic<T>(what: &str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(Error::panic(what, panic)))
}

/// Drops a value of the user's in the middle of something that must not be torn in
/// two: a panic of its destructor ends here.
pub(crate) fn drop_value<V>(value: V) {
    if drop_caught(value) {
        report_anywhere("a destructor panicked; it was ignored", None);
    }
}

/// Reports where there is no loop, or it is not to be asked: on another thread, in
/// the middle of something.
pub(crate) fn report_anywhere(text: &str, error: Option<Error>) {
    let mut context = ExceptionContext::new(ExceptionSource::Loop, text);
    context.exception = error;
    report_by_default(&context);
}

/// The default handler where a panic would do harm: what listens is the user's, and so is
/// the text of an error. The panic itself is told by its hook.
fn report_by_default(context: &ExceptionContext) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| default_exception_handler(context))) {
        // The payload is the user's as well.
        std::mem::forget(panic);
        say(&format!("stackio: {} (there was a panic while this was reported)\n", context.message));
    }
}

/// Runs a callback that was scheduled at that place; its error or panic goes to the
/// exception handler. An interrupt ends the run instead, as in asyncio.
pub(crate) fn run_callback<R: CallbackOutput>(
    reports: &Reports,
    place: &'static Location<'static>,
    f: impl FnOnce() -> R,
) {
    let Err(error) = catch_panic("a callback", || f().into_result()) else { return };
    if error.is_interrupt() {
        return reports.interrupt(error);
    }
    let text = "Exception in callback";
    let mut context = ExceptionContext::new(ExceptionSource::Callback, text);
    context.created_at = Some(place);
    reports.report(&context.with_exception(error));
}
