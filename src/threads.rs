//! [`to_thread`]: blocking calls on threads of their own.
//!
//! A loop has a small pool of threads, started as they are needed. A job runs on
//! one of them and sends word through `call_soon_threadsafe`; the task waits for
//! a future meanwhile. Only what is `Send` crosses the border.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::base_events::{EventLoop, Outstanding, get_running_loop};
use crate::coroutines::check_suspendable;
use crate::exceptions::{Error, Result};
use crate::futures::Future;
use crate::registry::Registry;
use crate::subjects::Subject;

/// How long closing a loop waits for jobs that are still running; asyncio's figure.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(300);

/// Calls a function on another thread and suspends the task until it returns
/// (`asyncio.to_thread`).
///
/// Cancelling the task ends the waiting; the function cannot be stopped and runs
/// to its end.
///
/// ```
/// stackio::run(|| {
///     let sum = stackio::to_thread(|| (1..=1_000u64).sum::<u64>())?;
///     assert_eq!(sum, 500_500);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// Kind `Panic` if the function panics; kind `Io` if no thread can be started;
/// kind `Cancelled`; kind `Runtime` outside of a task.
#[track_caller]
pub fn to_thread<T: Send + 'static>(function: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    call_on_thread("a job of to_thread", function)
}

/// The same, and says what for.
#[track_caller]
pub(crate) fn call_on_thread<T: Send + 'static>(
    what: impl Subject,
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    check_suspendable()?;
    let event_loop = get_running_loop()?;
    let executor = event_loop.service(Executor::new);
    let outcome = Arc::new(Mutex::new(None));
    let result = outcome.clone();
    let done = executor.submit(&event_loop, what, move || {
        let returned = catch_unwind(AssertUnwindSafe(function));
        *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
    })?;
    done.settle()?;
    let returned = result.lock().unwrap_or_else(PoisonError::into_inner).take();
    match returned {
        Some(Ok(value)) => Ok(value),
        Some(Err(panic)) => Err(Error::panic("a function on another thread", panic)),
        None => Err(Error::cancelled()),
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Somebody who waits for a job.
struct Pending {
    future: Future<()>,
    _outstanding: Outstanding,
}

/// The pool of one loop.
pub(crate) struct Executor {
    pool: Arc<Pool>,
    pending: RefCell<Registry<Pending>>,
}

impl Executor {
    fn new() -> Executor {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let pool = Pool {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            // What asyncio's default executor allows itself.
            limit: (processors + 4).min(32),
        };
        Executor { pool: Arc::new(pool), pending: RefCell::new(Registry::new()) }
    }

    /// Runs a job on some thread; the future is done when it has ended.
    fn submit(
        &self,
        event_loop: &EventLoop,
        what: impl Subject,
        job: impl FnOnce() + Send + 'static,
    ) -> Result<Future<()>> {
        let future = Future::about(what, event_loop.scheduler().clone());
        let outstanding = event_loop.outstanding();
        let pending = Rc::new(Pending { future: future.clone(), _outstanding: outstanding });
        let place = self.pending.borrow_mut().insert(pending);
        let handle = event_loop.handle();
        let submitted = self.pool.submit(Box::new(move || {
            // What the job captured is dropped here too, and may panic.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
                tracing::error!("a value dropped on an executor thread panicked");
                std::mem::forget(panic);
            }
            // A loop that is closed has nobody waiting.
            let _ = handle.call_soon_threadsafe(move || finish(place));
        }));
        if let Err(error) = submitted {
            self.pending.borrow_mut().remove(place);
            return Err(error.into());
        }
        Ok(future)
    }
}

/// Runs on the loop's thread when a job has ended.
fn finish(place: usize) {
    let Ok(event_loop) = get_running_loop() else { return };
    let executor = event_loop.service(Executor::new);
    let pending = executor.pending.borrow_mut().remove(place);
    if let Some(pending) = pending.filter(|pending| !pending.future.done()) {
        // It is pending, so this cannot fail.
        let _ = pending.future.set_result(());
    }
}

impl EventLoop {
    /// Waits until the jobs of `to_thread` have ended, for at most five minutes,
    /// and ends the threads (`loop.shutdown_default_executor`). It blocks.
    pub(crate) fn shutdown_executor(&self) {
        if let Some(executor) = self.find_service::<Executor>() {
            executor.pool.shutdown();
        }
    }
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closing: bool,
}

struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(self: &Arc<Self>, job: Job) -> std::io::Result<()> {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.jobs.len() <= state.idle || state.threads >= self.limit {
            self.changed.notify_all();
            return Ok(());
        }
        let pool = self.clone();
        let started = thread::Builder::new().name("stackio-executor".into());
        match started.spawn(move || pool.work()) {
            Ok(_detached) => state.threads += 1,
            // The threads there are will come to it.
            Err(error) if state.threads > 0 => {
                tracing::warn!(%error, "cannot start another executor thread");
            }
            Err(error) => {
                state.jobs.pop_back();
                return Err(error);
            }
        }
        Ok(())
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = self.lock();
            } else if state.closing {
                state.threads -= 1;
                self.changed.notify_all();
                return;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn shutdown(&self) {
        let deadline = Instant::now() + SHUTDOWN_TIMEOUT;
        let mut state = self.lock();
        state.closing = true;
        self.changed.notify_all();
        while state.threads > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!(threads = state.threads, "executor threads did not end in time");
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.pool.lock().closing = true;
        self.pool.changed.notify_all();
    }
}
