//! [`ThreadPoolExecutor`]: a pool of threads for what blocks.
//!
//! A thread is started for a job when none is idle, up to the bound; from then on
//! jobs queue and are begun in the order in which they came. The threads end when
//! the executor has been shut down and its queue is empty.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::concurrent::{Completer, ConcurrentFuture, promise};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::reports::{drop_value, report_anywhere};

/// A pool of threads that calls functions
/// (`concurrent.futures.ThreadPoolExecutor`).
///
/// A handle; clones are the same pool. When the last one is dropped, the threads
/// finish what is queued and end; [`shutdown`](ThreadPoolExecutor::shutdown) waits
/// for that. They do not keep the process alive: a program that is to end only when
/// all jobs have ended calls it.
///
/// A job may submit others to its own pool. One that waits for them can stop the
/// pool for good: all its threads may come to wait for jobs that none is left to run.
///
/// ```
/// use stackio::ThreadPoolExecutor;
///
/// let executor = ThreadPoolExecutor::new(4)?;
/// let jobs: Vec<_> = (1..=3).map(|n| executor.submit(move || n * n)).collect();
/// let squares = jobs.into_iter().map(|job| job?.join()).collect::<Result<Vec<u32>, _>>()?;
/// assert_eq!(squares, [1, 4, 9]);
/// executor.shutdown(true, false)?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "concurrent.futures.ThreadPoolExecutor")]
pub struct ThreadPoolExecutor(Arc<Handles>);

/// What all handles share; the threads have the pool alone.
struct Handles {
    pool: Arc<Pool>,
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.pool.close();
    }
}

impl Default for ThreadPoolExecutor {
    /// As many threads as asyncio's default executor has: four more than there are
    /// processors, and 32 at most.
    fn default() -> ThreadPoolExecutor {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        ThreadPoolExecutor::with_bound((processors + 4).min(32))
    }
}

impl ThreadPoolExecutor {
    /// A pool of at most `max_workers` threads. None is started yet.
    ///
    /// # Errors
    ///
    /// Kind `Value` for zero.
    pub fn new(max_workers: usize) -> Result<ThreadPoolExecutor> {
        if max_workers == 0 {
            let text = "max_workers must be greater than 0: without a thread no job can run";
            return Err(Error::text(ErrorKind::Value, text));
        }
        Ok(ThreadPoolExecutor::with_bound(max_workers))
    }

    fn with_bound(max_workers: usize) -> ThreadPoolExecutor {
        let (completer, ended) = promise(None, "the executor's threads are gone");
        // Nobody may cancel the end of the threads.
        completer.begin();
        let pool = Pool {
            state: Mutex::new(State { end: Some(completer), ..State::default() }),
            changed: Condvar::new(),
            ended,
            max_workers,
        };
        ThreadPoolExecutor(Arc::new(Handles { pool: Arc::new(pool) }))
    }

    /// The bound of its threads.
    pub fn max_workers(&self) -> usize {
        self.0.pool.max_workers
    }

    /// Has `function` called on one of the threads. A panic of it becomes an error
    /// of kind `Panic` in the future.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` after a shutdown; kind `Io` if there is no thread and none can
    /// be started.
    pub fn submit<T: Send + 'static>(
        &self,
        function: impl FnOnce() -> T + Send + 'static,
    ) -> Result<ConcurrentFuture<T>> {
        let (completer, future) =
            promise(None, "the executor was shut down before the job had begun");
        let job = move || {
            if completer.begin() {
                let returned = catch_unwind(AssertUnwindSafe(function));
                completer.complete(
                    returned.map_err(|panic| Error::panic("a function on another thread", panic)),
                );
            }
        };
        self.0.pool.submit(Box::new(job))?;
        Ok(future)
    }

    /// Refuses jobs from now on; the threads end when the queue is empty. With
    /// `cancel_futures` the jobs that have not begun are cancelled, otherwise they
    /// are still run. With `wait` it blocks until the threads have ended, which in a
    /// task is a matter for [`to_thread`](crate::to_thread). It can be called again, to
    /// wait or to cancel.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` with `wait` on one of the pool's own threads, which would wait
    /// for itself; all else has been done then.
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) -> Result {
        let pool = &self.0.pool;
        pool.close();
        if cancel_futures {
            let unstarted = std::mem::take(&mut pool.lock().jobs);
            for job in unstarted {
                drop_value(job);
            }
        }
        if wait {
            pool.check_not_own_thread()?;
            self.join(None)?;
        }
        Ok(())
    }

    /// Refuses jobs from now on. The future is done when the threads are ending.
    pub(crate) fn begin_shutdown(&self) -> &ConcurrentFuture<()> {
        self.0.pool.close();
        &self.0.pool.ended
    }

    /// Blocks until the threads of one that was shut down have ended.
    ///
    /// # Errors
    ///
    /// Kind `Timeout`.
    pub(crate) fn join(&self, timeout: Option<Duration>) -> Result {
        self.0.pool.ended.exception(timeout)?;
        let workers = std::mem::take(&mut self.0.pool.lock().workers);
        for worker in workers {
            // A thread cannot fail: what jobs do is caught.
            let _ = worker.join();
        }
        Ok(())
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.pool.lock();
        f.debug_struct("ThreadPoolExecutor")
            .field("max_workers", &self.0.pool.max_workers)
            .field("threads", &state.alive)
            .field("idle", &state.idle)
            .field("queued", &state.jobs.len())
            .field("shut_down", &state.closing)
            .finish()
    }
}

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// All threads that were started, until somebody has joined them.
    workers: Vec<JoinHandle<()>>,
    alive: usize,
    idle: usize,
    closing: bool,
    /// Completed by the last thread that ends.
    end: Option<Completer<()>>,
}

impl State {
    /// Whether it has ended; gives what is to be completed then.
    fn ended(&mut self) -> Option<Completer<()>> {
        if self.closing && self.alive == 0 { self.end.take() } else { None }
    }
}

struct Pool {
    state: Mutex<State>,
    /// There is a job, or none will come any more.
    changed: Condvar,
    ended: ConcurrentFuture<()>,
    max_workers: usize,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(self: &Arc<Self>, job: Job) -> Result {
        let mut state = self.lock();
        let refusal = if state.closing {
            let text = "cannot schedule new futures after shutdown of the executor";
            Error::text(ErrorKind::Runtime, text)
        } else {
            // With as many idle threads as jobs each job has one.
            let started = match state.jobs.len() < state.idle {
                true => Ok(()),
                false => self.start_thread(&mut state),
            };
            match started {
                // Without a new thread those there are will come to it.
                Err(error) if state.alive == 0 => Error::from(error),
                started => {
                    state.jobs.push_back(job);
                    drop(state);
                    self.changed.notify_one();
                    if let Err(error) = started {
                        let text = "cannot start another thread of the executor";
                        report_anywhere(text, Some(error.into()));
                    }
                    return Ok(());
                }
            }
        };
        drop(state);
        Err(refusal)
    }

    /// Starts another thread, if the bound allows it.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.alive == self.max_workers {
            return Ok(());
        }
        let pool = self.clone();
        let name = format!("stackio-executor-{}", state.alive);
        let worker = thread::Builder::new().name(name).spawn(move || pool.work())?;
        state.workers.push(worker);
        state.alive += 1;
        Ok(())
    }

    /// What a thread does from its start to its end.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                run(job);
                state = self.lock();
            } else if state.closing {
                state.alive -= 1;
                let ended = state.ended();
                drop(state);
                return complete(ended);
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    /// No jobs are taken any more.
    fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        let ended = state.ended();
        drop(state);
        self.changed.notify_all();
        complete(ended);
    }

    fn check_not_own_thread(&self) -> Result {
        let current = thread::current().id();
        if self.lock().workers.iter().any(|worker| worker.thread().id() == current) {
            let text = "cannot wait for the executor on one of its own threads: it would wait for \
                        itself; shut it down without waiting";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        Ok(())
    }
}

/// Runs a job. The panic of its function is in the future; what gets out of it is one
/// of values that are dropped with the job, and the thread has to survive that.
fn run(job: Job) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
        std::mem::forget(panic);
        report_anywhere("a value dropped on a thread of the executor panicked", None);
    }
}

fn complete(ended: Option<Completer<()>>) {
    if let Some(ended) = ended {
        ended.complete(Ok(()));
    }
}
