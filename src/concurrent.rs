//! [`ConcurrentFuture`]: a result that any thread may wait for.
//!
//! ```text
//!   Pending --- a thread begins ---> Running --- it returns ---> Finished
//!      |                                |------ it panics -----> Failed
//!      |-- cancel ---------------------------------------------> Cancelled
//! ```
//!
//! It belongs to no loop: whoever wants the result blocks the thread for it. The
//! other end is a [`Completer`]; one that is dropped completes the future as well,
//! so nobody waits for a loop or a pool that is gone.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::without_suspending;
use crate::remote::LoopHandle;
use crate::reports::{
    CallbackOutput, ExceptionContext, ExceptionSource, catch_panic, default_exception_handler,
    drop_value,
};

/// The result of something that goes on elsewhere, for threads to wait for
/// (`concurrent.futures.Future`): a job of a
/// [`ThreadPoolExecutor`](crate::ThreadPoolExecutor), or a coroutine that
/// [`run_coroutine_threadsafe`](crate::run_coroutine_threadsafe) started.
///
/// A handle; clones are the same future. It can be sent to any thread, and asking
/// it for the result blocks the thread that asks. A task that is not to stop its
/// whole loop asks [`wrap_future`](crate::wrap_future) instead.
///
/// ```
/// use stackio::{ErrorKind, ThreadPoolExecutor};
///
/// let executor = ThreadPoolExecutor::new(2)?;
/// let sum = executor.submit(|| (1..=1_000u64).sum::<u64>())?;
/// assert_eq!(sum.result(None)?, 500_500);
///
/// let failed = executor.submit(|| -> u64 { panic!("no sum") })?;
/// assert_eq!(failed.result(None).unwrap_err().kind(), ErrorKind::Panic);
/// # Ok::<(), stackio::Error>(())
/// ```
#[doc(alias = "concurrent.futures.Future")]
pub struct ConcurrentFuture<T>(Arc<Shared<T>>);

type Callback<T> = Box<dyn FnOnce(&ConcurrentFuture<T>) + Send>;

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// There once the stage is `Finished`, until it is moved out. It has a lock of
    /// its own, so that a `Clone` of the user's may look at the future.
    value: Mutex<Option<T>>,
    /// The loop that the result comes from.
    home: Option<LoopHandle>,
}

struct State<T> {
    stage: Stage,
    error: Option<Error>,
    callbacks: Vec<Callback<T>>,
    /// How many of those who wait are counted by the loop that they wait for.
    held: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Pending,
    Running,
    Finished,
    Failed,
    Cancelled,
}

impl Stage {
    fn is_done(self) -> bool {
        matches!(self, Stage::Finished | Stage::Failed | Stage::Cancelled)
    }
}

/// Both ends of a future. `home` is the loop that the result comes from, and
/// `lost` what is said if the completer is dropped.
pub(crate) fn promise<T>(
    home: Option<LoopHandle>,
    lost: &'static str,
) -> (Completer<T>, ConcurrentFuture<T>) {
    let state = State { stage: Stage::Pending, error: None, callbacks: Vec::new(), held: 0 };
    let shared =
        Shared { state: Mutex::new(state), changed: Condvar::new(), value: Mutex::new(None), home };
    let future = ConcurrentFuture(Arc::new(shared));
    (Completer { future: future.clone(), lost }, future)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> ConcurrentFuture<T> {
    // -- what it knows ---------------------------------------------------------------

    fn stage(&self) -> Stage {
        lock(&self.0.state).stage
    }

    /// Whether it has a result or an error, or was cancelled.
    pub fn done(&self) -> bool {
        self.stage().is_done()
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.stage() == Stage::Cancelled
    }

    /// Whether a thread of an executor is at it now. A coroutine of a loop is never
    /// said to be running, since it can be cancelled until it has ended.
    pub fn running(&self) -> bool {
        self.stage() == Stage::Running
    }

    /// Whether the result comes from that loop.
    pub(crate) fn comes_from(&self, event_loop: &LoopHandle) -> bool {
        self.0.home.as_ref().is_some_and(|home| home.is_same(event_loop))
    }

    // -- the result ------------------------------------------------------------------

    /// Blocks the thread until the result is there, for at most `timeout` of real
    /// time; `None` waits without a limit. It can be asked for as often as one likes:
    /// what it gives is a clone, whose making must not ask this future again.
    ///
    /// # Errors
    ///
    /// What the call failed with: kind `Panic` for a job that panicked. Kind
    /// `Cancelled` if it was cancelled, or if the loop or the executor is gone. Kind
    /// `Timeout` if the time is over: the call goes on, and one may ask again. Kind
    /// `Runtime` on the thread of the very loop that is to run the coroutine, where
    /// waiting would have no end.
    pub fn result(&self, timeout: impl Into<Option<Duration>>) -> Result<T>
    where
        T: Clone,
    {
        self.settle(timeout.into())?;
        self.peek()
    }

    /// The same without a limit, and moves the result out, which then need not be
    /// `Clone`. Later readers get an error of kind `InvalidState`.
    ///
    /// # Errors
    ///
    /// As [`result`](ConcurrentFuture::result).
    pub fn join(self) -> Result<T> {
        self.settle(None)?;
        self.take()
    }

    /// Waits as [`result`](ConcurrentFuture::result) does; gives the error that the
    /// call failed with, `None` if it did not.
    ///
    /// # Errors
    ///
    /// Kinds `Cancelled`, `Timeout` and `Runtime`, as `result`.
    pub fn exception(&self, timeout: impl Into<Option<Duration>>) -> Result<Option<Error>> {
        self.settle(timeout.into())?;
        match self.error() {
            Some(error) if self.cancelled() => Err(error),
            error => Ok(error),
        }
    }

    /// The error of one that is done.
    fn error(&self) -> Option<Error> {
        lock(&self.0.state).error.clone()
    }

    /// A clone of the result of one that is done.
    pub(crate) fn peek(&self) -> Result<T>
    where
        T: Clone,
    {
        match self.error() {
            Some(error) => Err(error),
            None => lock(&self.0.value).clone().ok_or_else(moved_out),
        }
    }

    /// The result of one that is done, moved out.
    pub(crate) fn take(&self) -> Result<T> {
        match self.error() {
            Some(error) => Err(error),
            None => lock(&self.0.value).take().ok_or_else(moved_out),
        }
    }

    /// Blocks until it is done.
    fn settle(&self, timeout: Option<Duration>) -> Result {
        let mut state = lock(&self.0.state);
        if state.stage.is_done() {
            return Ok(());
        }
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(late());
        }
        if self.0.home.as_ref().is_some_and(LoopHandle::is_of_this_thread) {
            return Err(own_thread());
        }
        // One that is too far away to be written down never comes.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let held = self.0.home.as_ref().filter(|home| home.hold());
        state.held += usize::from(held.is_some());
        while !state.stage.is_done() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    if let Some(home) = held {
                        state.held -= 1;
                        home.release(1);
                    }
                    return Err(late());
                }
                Some(left) => {
                    let waited = self.0.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        Ok(())
    }

    // -- cancelling and callbacks ----------------------------------------------------

    /// Cancels it, and says whether it is cancelled. A job that a thread has begun,
    /// and what is done, cannot be. A job that has not begun never runs. A coroutine
    /// is asked to end, as [`Future::cancel`](crate::Future::cancel) does, whereas
    /// who waits here is told at once.
    pub fn cancel(&self) -> bool {
        let state = lock(&self.0.state);
        match state.stage {
            Stage::Pending => {
                self.close(state, Stage::Cancelled, Some(Error::cancelled()));
                true
            }
            stage => stage == Stage::Cancelled,
        }
    }

    /// Has `callback` called with the future on the thread that completes or cancels
    /// it, or here and now if it is done. Callbacks are called in the order in which
    /// they were added; the error or panic of one is reported, and the next called.
    /// They must not wait for a task's sake: suspending is refused.
    pub fn add_done_callback<R: CallbackOutput>(
        &self,
        callback: impl FnOnce(&ConcurrentFuture<T>) -> R + Send + 'static,
    ) {
        let callback: Callback<T> = Box::new(move |future| {
            let call = || without_suspending(|| callback(future).into_result());
            if let Err(error) = catch_panic("a done callback", call) {
                let text = "exception in a done callback of a ConcurrentFuture";
                let context = ExceptionContext::new(ExceptionSource::Callback, text);
                default_exception_handler(&context.with_exception(error));
            }
        });
        let mut state = lock(&self.0.state);
        if state.stage.is_done() {
            drop(state);
            callback(self);
        } else {
            state.callbacks.push(callback);
        }
    }

    /// It is done: tells everybody.
    fn close(&self, mut state: MutexGuard<'_, State<T>>, stage: Stage, error: Option<Error>) {
        state.stage = stage;
        state.error = error;
        let callbacks = std::mem::take(&mut state.callbacks);
        if let Some(home) = &self.0.home {
            // Those who wait are about to go on, and to be of use again.
            home.release(std::mem::take(&mut state.held));
        }
        drop(state);
        self.0.changed.notify_all();
        for callback in callbacks {
            callback(self);
        }
    }
}

#[cold]
fn moved_out() -> Error {
    Error::text(ErrorKind::InvalidState, "the result has been moved out by another reader")
}

#[cold]
fn late() -> Error {
    Error::text(ErrorKind::Timeout, "the result was not there in time; the call goes on")
}

#[cold]
fn own_thread() -> Error {
    let text = "waiting for a coroutine on the thread of its own loop would never end, since the \
                loop could not run it; in a task use `wrap_future`, or call it directly";
    Error::text(ErrorKind::Runtime, text)
}

impl<T> Clone for ConcurrentFuture<T> {
    fn clone(&self) -> ConcurrentFuture<T> {
        ConcurrentFuture(self.0.clone())
    }
}

impl<T> fmt::Debug for ConcurrentFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<concurrent future {:?}>", self.stage())
    }
}

/// The end of a [`ConcurrentFuture`] that gives the result.
pub(crate) struct Completer<T> {
    future: ConcurrentFuture<T>,
    lost: &'static str,
}

impl<T> Completer<T> {
    pub(crate) fn future(&self) -> &ConcurrentFuture<T> {
        &self.future
    }

    /// Work on it begins, and it can no longer be cancelled; false if it has been.
    pub(crate) fn begin(&self) -> bool {
        let mut state = lock(&self.future.0.state);
        if state.stage == Stage::Pending {
            state.stage = Stage::Running;
        }
        state.stage == Stage::Running
    }

    /// Gives the result, which is dropped if the future has been cancelled.
    pub(crate) fn complete(self, outcome: Result<T>) {
        self.give(outcome);
    }

    fn give(&self, outcome: Result<T>) {
        let shared = &*self.future.0;
        let (stage, error, value) = match outcome {
            Ok(value) => (Stage::Finished, None, Some(value)),
            Err(error) if error.is_cancelled() => (Stage::Cancelled, Some(error), None),
            Err(error) => (Stage::Failed, Some(error), None),
        };
        // Nobody looks for it before the stage says that it is there.
        *lock(&shared.value) = value;
        let state = lock(&shared.state);
        if !state.stage.is_done() {
            return self.future.close(state, stage, error);
        }
        drop(state);
        let refused = lock(&shared.value).take();
        drop_value((refused, error));
    }
}

impl<T> Drop for Completer<T> {
    fn drop(&mut self) {
        if !self.future.done() {
            self.give(Err(Error::cancelled_with(self.lost)));
        }
    }
}
