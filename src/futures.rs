//! [`Future`]: the result of something that is not finished yet.
//!
//! ```text
//!              set_result(v) ----> Finished   result() -> v
//!   Pending -- set_exception(e) -> Failed     result() -> e
//!              cancel(msg) ------> Cancelled  result() -> CancelledError(msg)
//! ```
//!
//! Completing a future runs nothing: it hands every done callback to `call_soon`,
//! in the order in which they were added. A task that waits for the future is one
//! of these callbacks and runs in its place among them.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::Location;
use std::rc::Rc;

use crate::callback_id::CallbackId;
use crate::callbacks::Function;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::future_core::{AnyFuture, FutureCore, Promise};
use crate::instruments::FutureId;
use crate::reports::CallbackOutput;
use crate::slot::Slot;
use crate::subjects::Subject;

/// A future that is completed by `set_result`, and nothing else.
struct Plain<T, S> {
    core: FutureCore,
    slot: Slot<T>,
    subject: S,
}

impl<T: 'static, S: Subject> AnyFuture for Plain<T, S> {
    fn core(&self) -> &FutureCore {
        &self.core
    }

    fn cancel_any(self: Rc<Self>, message: Option<&str>) -> bool {
        self.core.cancel(self.clone(), message)
    }

    fn typed(self: Rc<Self>) -> Box<dyn Any> {
        Box::new(Future(self as Rc<dyn Promise<T>>))
    }

    fn renew(&mut self, created_at: &'static Location<'static>) -> bool {
        drop(self.slot.take());
        self.core.renew(created_at);
        true
    }

    fn title(&self) -> String {
        self.subject.title().unwrap_or_else(|| format!("future {}", self.core.id()))
    }

    fn holder(&self) -> Option<FutureId> {
        self.subject.holder()
    }

    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        self.subject.awaits()
    }
}

impl<T: 'static, S: Subject> Promise<T> for Plain<T, S> {
    fn slot(&self) -> &Slot<T> {
        &self.slot
    }
}

/// The result of something that is not finished yet (`asyncio.Future`).
///
/// A handle: clones are the same future, and `==` compares identity. Somebody
/// completes it with [`set_result`](Future::set_result) or
/// [`set_exception`](Future::set_exception), others [`wait`](Future::wait) for it.
///
/// ```
/// use stackio::{Future, spawn};
///
/// stackio::run(|| {
///     let answer = Future::new();
///     let asked = answer.clone();
///     let waiter = spawn(move || asked.wait());
///     stackio::call_soon(move || answer.set_result(42));
///     assert_eq!(waiter.join()?, 42);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Future<T: 'static>(pub(crate) Rc<dyn Promise<T>>);

impl<T: 'static> Future<T> {
    /// A pending future of the loop that is running.
    ///
    /// # Panics
    ///
    /// If no loop is running on this thread;
    /// [`EventLoop::create_future`](crate::EventLoop::create_future) works anywhere.
    #[expect(clippy::new_without_default, reason = "it needs a running loop")]
    #[track_caller]
    pub fn new() -> Future<T> {
        match Scheduler::running() {
            Ok(scheduler) => Future::on(scheduler),
            Err(error) => panic!("Future::new: {error}"),
        }
    }

    #[track_caller]
    pub(crate) fn on(scheduler: Rc<Scheduler>) -> Future<T> {
        Future::about((), scheduler)
    }

    /// A pending future that stands for something.
    #[track_caller]
    pub(crate) fn about(subject: impl Subject, scheduler: Rc<Scheduler>) -> Future<T> {
        Future(Rc::new(Plain { core: FutureCore::new(scheduler), slot: Slot::empty(), subject }))
    }

    /// Makes it another one, which is pending; false, and it stays as it is, if there are
    /// other handles, or it is of another loop.
    #[inline]
    #[track_caller]
    pub(crate) fn renew(&mut self, scheduler: &Rc<Scheduler>) -> bool {
        Rc::ptr_eq(&self.core().scheduler, scheduler) && self.renew_here()
    }

    /// The same, on the loop that it belongs to.
    #[inline]
    #[track_caller]
    pub(crate) fn renew_here(&mut self) -> bool {
        let created_at = Location::caller();
        Rc::get_mut(&mut self.0).is_some_and(|only| only.renew(created_at))
    }

    #[inline]
    pub(crate) fn core(&self) -> &FutureCore {
        self.0.core()
    }

    pub(crate) fn erased(&self) -> Rc<dyn AnyFuture> {
        self.0.clone()
    }

    /// Its number.
    pub fn id(&self) -> FutureId {
        self.core().id()
    }

    /// Whether it has a result or an exception, or was cancelled.
    pub fn done(&self) -> bool {
        self.core().is_done()
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.core().is_cancelled()
    }

    /// Completes it with a value and schedules its callbacks.
    ///
    /// # Errors
    ///
    /// Kind `InvalidState` if it is done; kind `Runtime` if it is a task.
    pub fn set_result(&self, value: T) -> Result {
        self.check_settable("set_result")?;
        self.complete(value);
        Ok(())
    }

    /// Completes it with an error and schedules its callbacks. An error of kind
    /// `StopIteration` becomes one of kind `Runtime`.
    ///
    /// # Errors
    ///
    /// As [`set_result`](Future::set_result).
    pub fn set_exception(&self, error: impl Into<Error>) -> Result {
        self.check_settable("set_exception")?;
        self.core().fail(self.erased(), error.into());
        Ok(())
    }

    /// Completes one that is no task, unless it is done; whether it was not.
    #[inline]
    pub(crate) fn complete(&self, value: T) -> bool {
        let core = self.core();
        if core.is_done() {
            return false;
        }
        self.0.slot().put(value);
        core.finish(self.erased());
        true
    }

    fn check_settable(&self, operation: &str) -> Result {
        if self.0.extension().is_some() {
            let text = format!("a task does not support {operation}: its coroutine gives it");
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        self.core().check_pending()
    }

    /// Its result.
    ///
    /// # Errors
    ///
    /// Its exception or cancellation; kind `InvalidState` if it is not done, or if
    /// the value has been moved out by [`join`](Future::join).
    pub fn result(&self) -> Result<T>
    where
        T: Clone,
    {
        match self.core().take_error() {
            Some(error) => Err(error),
            None => self.0.slot().get().ok_or_else(moved_out),
        }
    }

    /// The result, moved out: later readers get an error of kind `InvalidState`.
    pub(crate) fn take_result(&self) -> Result<T> {
        match self.core().take_error() {
            Some(error) => Err(error),
            None => self.0.slot().take().ok_or_else(moved_out),
        }
    }

    /// Its exception, `None` if it has a result.
    ///
    /// # Errors
    ///
    /// The cancellation if it was cancelled; kind `InvalidState` if it is not done.
    pub fn exception(&self) -> Result<Option<Error>> {
        self.core().exception()
    }

    /// Cancels it: whoever waits gets an error of kind
    /// [`Cancelled`](ErrorKind::Cancelled). A task is only asked to end; a gather
    /// passes the request on to its children. False if it is done already.
    pub fn cancel(&self) -> bool {
        self.erased().cancel_any(None)
    }

    /// The same, with a message for whoever asks why.
    pub fn cancel_with(&self, message: impl AsRef<str>) -> bool {
        self.erased().cancel_any(Some(message.as_ref()))
    }

    /// Has `callback` called with the future, by `call_soon`, once it is done. It
    /// runs in a copy of the present context.
    #[track_caller]
    pub fn add_done_callback<R: CallbackOutput + 'static>(
        &self,
        callback: impl FnOnce(&Future<T>) -> R + 'static,
    ) -> CallbackId {
        let id = CallbackId::new();
        self.add_done_callback_with(id, callback);
        id
    }

    /// The same, under an id that the caller chose.
    #[track_caller]
    pub fn add_done_callback_with<R: CallbackOutput + 'static>(
        &self,
        id: CallbackId,
        callback: impl FnOnce(&Future<T>) -> R + 'static,
    ) {
        // A strong handle here would be a circle: future, callback, future.
        let weak = Rc::downgrade(&self.0);
        let function = Function::new(move |_: &Rc<dyn AnyFuture>| match weak.upgrade() {
            Some(future) => callback(&Future(future)).into_result(),
            None => Ok(()),
        });
        self.core().add_callback(|| self.erased(), id, function);
    }

    /// Removes all callbacks that were added under that id; how many there were.
    pub fn remove_done_callback(&self, id: CallbackId) -> usize {
        self.core().remove_callback(id)
    }
}

fn moved_out() -> Error {
    Error::text(ErrorKind::InvalidState, "the result has been moved out by another reader")
}

impl<T> Clone for Future<T> {
    fn clone(&self) -> Future<T> {
        Future(self.0.clone())
    }
}

impl<T> PartialEq for Future<T> {
    fn eq(&self, other: &Future<T>) -> bool {
        self.id() == other.id()
    }
}

impl<T> Eq for Future<T> {}

impl<T> Hash for Future<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} {:?}>", self.0.label(), self.core().state())
    }
}
