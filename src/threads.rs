//! [`to_thread`] and the loop's own pools of threads.
//!
//! A loop has a default executor, made when it is needed first and shut down when
//! the loop ends; and another for names, so that a job that is stuck does not keep anybody
//! from connecting. Only what is `Send` crosses the border.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::base_events::{EventLoop, get_running_loop};
use crate::border::bring;
use crate::concurrent::ConcurrentFuture;
use crate::coroutines::check_suspendable;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::executor::ThreadPoolExecutor;
use crate::futures::Future;
use crate::reports::report_anywhere;
use crate::subjects::Subject;
use crate::timeouts::timeout;

/// How long closing a loop waits for jobs that are still running; asyncio's figure.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(300);

/// Calls a function on another thread and suspends the task until it returns
/// (`asyncio.to_thread`). The thread is one of the loop's default executor.
///
/// It has as many threads as asyncio's: four more than there are processors, and 32 at
/// most. Further jobs stand in line until one of them ends;
/// [`set_default_executor`](EventLoop::set_default_executor) sets another bound. Lookups
/// of names have threads of their own, as many, and do not stand in this line.
///
/// Cancelling the task ends the waiting. A function that has not begun, since all
/// threads are busy, then never does; one that has cannot be stopped and runs to its
/// end, for which [`run`](crate::run) waits before it returns, for at most five minutes.
/// Context variables stay behind: their values belong to the loop's thread.
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
/// kind `Cancelled`; kind `Runtime` outside of a task, or after
/// [`shutdown_default_executor`](EventLoop::shutdown_default_executor).
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
    call(what, None, function)
}

/// Calls what asks for a name or an address, on one of the threads that are kept for that.
#[track_caller]
pub(crate) fn call_on_resolver<T: Send + 'static>(
    what: impl Subject,
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    check_suspendable()?;
    let executor = get_running_loop()?.service(Resolver::default).0.get_or_make()?;
    call(what, Some(&executor), function)
}

#[track_caller]
fn call<T: Send + 'static>(
    what: impl Subject,
    executor: Option<&ThreadPoolExecutor>,
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    check_suspendable()?;
    let event_loop = get_running_loop()?;
    let job = submit(&event_loop, executor, function)?;
    let ended = bring(what, &event_loop, &job, ConcurrentFuture::take).join();
    if ended.is_err() {
        // At once, and not when the loop comes to the callback of the future.
        job.cancel();
    }
    ended
}

/// A pool of a loop, made when it is needed first.
#[derive(Default)]
struct Pool {
    executor: RefCell<Option<ThreadPoolExecutor>>,
    shut_down: Cell<bool>,
}

/// The one for jobs.
#[derive(Default)]
struct DefaultExecutor(Pool);

/// The one for names.
#[derive(Default)]
struct Resolver(Pool);

impl Pool {
    fn get(&self) -> Option<ThreadPoolExecutor> {
        self.executor.borrow().clone()
    }

    fn get_or_make(&self) -> Result<ThreadPoolExecutor> {
        if self.shut_down.get() {
            return Err(Error::text(ErrorKind::Runtime, "Executor shutdown has been called"));
        }
        Ok(self.executor.borrow_mut().get_or_insert_default().clone())
    }
}

/// Submits a function for a loop, to the default executor if there is no other.
fn submit<T: Send + 'static>(
    event_loop: &EventLoop,
    executor: Option<&ThreadPoolExecutor>,
    function: impl FnOnce() -> T + Send + 'static,
) -> Result<ConcurrentFuture<T>> {
    if event_loop.is_closed() {
        return Err(Error::text(ErrorKind::Runtime, "the event loop is closed"));
    }
    let served = event_loop.handle();
    let job = move || served.serve(function);
    match executor {
        Some(executor) => executor.submit(job),
        None => event_loop.service(DefaultExecutor::default).0.get_or_make()?.submit(job),
    }
}

impl EventLoop {
    /// Calls a function on a thread of `executor`, or of the loop's default executor
    /// for `None`; gives the future of what it returns (`loop.run_in_executor`).
    ///
    /// Cancelling the future cancels the job if no thread has begun it. The future
    /// fails with kind `Panic` if the function panics; with kind `Runtime` if the
    /// executor has been shut down or the loop is closed; with kind `Io` if no thread
    /// can be started.
    ///
    /// ```
    /// use stackio::{ThreadPoolExecutor, gather, get_running_loop};
    ///
    /// stackio::run(|| {
    ///     let (event_loop, executor) = (get_running_loop()?, ThreadPoolExecutor::new(2)?);
    ///     let a = event_loop.run_in_executor(None, || 1);
    ///     let b = event_loop.run_in_executor(&executor, || 2);
    ///     assert_eq!(gather([a, b]).join()?, [1, 2]);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn run_in_executor<'a, T: Send + 'static>(
        &self,
        executor: impl Into<Option<&'a ThreadPoolExecutor>>,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Future<T> {
        match submit(self, executor.into(), function) {
            Ok(job) => bring("a job of an executor", self, &job, ConcurrentFuture::take),
            Err(error) => {
                let failed = self.create_future();
                // It is pending, so this cannot fail.
                let _ = failed.set_exception(error);
                failed
            }
        }
    }

    /// Sets the executor that [`to_thread`] and `run_in_executor` without an executor
    /// use (`loop.set_default_executor`). It is shut down with the loop. The threads
    /// of the one before finish what they have, and nobody waits for them. Lookups of
    /// names do not use it, unlike asyncio's.
    pub fn set_default_executor(&self, executor: ThreadPoolExecutor) {
        let former = self.service(DefaultExecutor::default).0.executor.replace(Some(executor));
        drop(former);
    }

    /// Shuts the default executor down (`loop.shutdown_default_executor`): it takes no
    /// more jobs, runs those it has, and this waits until its threads have ended, for
    /// at most `limit`; `None` waits without a limit. What is not done by then goes on
    /// alone, and a warning says so.
    ///
    /// In a task it suspends the task. Where the loop does not run it blocks.
    /// [`Runner::close`](crate::Runner::close) does it by itself.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`, and kind `Runtime` where the loop runs but nothing can be
    /// suspended; jobs are refused from then on all the same.
    #[track_caller]
    pub fn shutdown_default_executor(&self, limit: impl Into<Option<Duration>>) -> Result {
        let default = self.service(DefaultExecutor::default);
        self.shut_down(&default.0, "the end of the default executor", limit.into())
    }

    #[track_caller]
    fn shut_down(&self, pool: &Pool, what: &'static str, limit: Option<Duration>) -> Result {
        pool.shut_down.set(true);
        let Some(executor) = pool.get() else { return Ok(()) };
        let ended = executor.begin_shutdown();
        let waited = if self.is_running() {
            check_suspendable()?;
            let wait = || bring(what, self, ended, ConcurrentFuture::peek).join();
            match limit {
                None => wait(),
                Some(limit) => timeout(limit, |_| wait()),
            }
        } else {
            executor.join(limit)
        };
        match waited {
            Ok(()) => executor.join(None),
            Err(error) if error.kind() == ErrorKind::Timeout => {
                report_anywhere("the threads of the executor did not end in time", None);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The same with all pools at the end of a run, for at most five minutes each. The
    /// loop runs meanwhile, since jobs may wait for it.
    ///
    /// # Errors
    ///
    /// Kind `KeyboardInterrupt`, after which nobody waits for them.
    pub(crate) fn shutdown_executors(&self) -> Result {
        let default = self.find_service::<DefaultExecutor>().and_then(|pool| pool.0.get());
        let resolver = self.find_service::<Resolver>().and_then(|pool| pool.0.get());
        if default.is_none() && resolver.is_none() {
            return Ok(());
        }
        let event_loop = self.clone();
        if let Err(error) = self.run_until_complete(move || event_loop.shut_all_down()) {
            if error.is_interrupt() {
                return Err(error);
            }
            report_anywhere("the loop cannot run until its executor has ended", Some(error));
            // Jobs that wait for the loop would wait for ever: closing it tells them.
            let _ = self.close();
            let _ = self.shut_all_down();
        }
        Ok(())
    }

    /// The resolver last: jobs may have the loop look up a name.
    fn shut_all_down(&self) -> Result {
        let jobs = self.shutdown_default_executor(SHUTDOWN_TIMEOUT);
        let resolver = self.service(Resolver::default);
        let names = self.shut_down(&resolver.0, "the end of the resolver", Some(SHUTDOWN_TIMEOUT));
        jobs.and(names)
    }
}
