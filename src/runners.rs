//! [`run`] and [`Runner`]: a loop from its making to its end.

use std::cell::Cell;
use std::rc::Rc;

use crate::base_events::EventLoop;
use crate::builders::LoopBuilder;
use crate::context::Context;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::gather::gather_erased;
use crate::reports::{ExceptionContext, ExceptionSource, report_anywhere};
use crate::signals::InterruptReaction;
use crate::spawning::TaskBuilder;
use crate::sys::signal::is_main_thread;
use crate::tasks::{AnyTask, Task};

/// Runs `main` as the main task of a new loop, and closes the loop when it has
/// ended (`asyncio.run`).
///
/// Tasks that are left when `main` ends are cancelled and run to their end. On the
/// main thread of the process the first Ctrl-C cancels the main task, and a second
/// one ends the run, unless somebody on the loop [listens](crate::signals) for it; each
/// does while what is left is run to its end. A second one that comes before the loop has
/// heard of the first ends the process, and so does one in a loop that is run without
/// this or a [`Runner`].
///
/// Code that keeps a thread-local for the length of a closure (as a scoped one
/// does), or holds a `std::sync::Mutex` guard, must not suspend meanwhile: other
/// tasks run on the same thread and would meet it.
///
/// ```
/// let greeting = stackio::run(|| {
///     stackio::sleep(stackio::millis(1))?;
///     Ok("hello")
/// })?;
/// assert_eq!(greeting, "hello");
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// What `main` returns; kind `KeyboardInterrupt` after Ctrl-C; kind `Runtime` if a
/// loop is running on this thread already, or somebody stopped it; kind `Io` if the
/// system has no descriptors left for a loop. An error of [`close`](Runner::close) goes
/// before one of `main`.
#[track_caller]
pub fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    let mut runner = Runner::new()?;
    let ended = runner.run(main);
    runner.close()?;
    ended
}

/// A loop that several main tasks can be run on, one after the other
/// (`asyncio.Runner`). Dropping it closes the loop.
#[derive(Debug)]
pub struct Runner {
    event_loop: EventLoop,
    /// What the main tasks run in, one after the other.
    context: Context,
}

impl From<EventLoop> for Runner {
    fn from(event_loop: EventLoop) -> Runner {
        Runner { event_loop, context: Context::copy_current() }
    }
}

impl Runner {
    /// A runner with the defaults.
    ///
    /// # Errors
    ///
    /// As [`LoopBuilder::build`].
    pub fn new() -> Result<Runner> {
        Runner::builder().build()
    }

    /// A runner with settings.
    pub fn builder() -> LoopBuilder<Runner> {
        LoopBuilder::new()
    }

    /// Settings with debug mode on or off: short for `Runner::builder().debug(debug)`.
    ///
    /// ```
    /// use stackio::Runner;
    ///
    /// let mut runner = Runner::debug(true).build()?;
    /// assert!(runner.event_loop().is_debug());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn debug(debug: bool) -> LoopBuilder<Runner> {
        Runner::builder().debug(debug)
    }

    /// Its loop.
    pub fn event_loop(&self) -> EventLoop {
        self.event_loop.clone()
    }

    /// Runs a main task to its end. Tasks it leaves go on at the next run. All main
    /// tasks of a runner have one context: a [`ContextVar`](crate::ContextVar) that
    /// one sets is set for the next.
    ///
    /// # Errors
    ///
    /// As [`run`]; kind `Deadlock` under a virtual clock.
    #[track_caller]
    pub fn run<T: 'static>(&mut self, main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
        let context = self.context.clone();
        self.run_in(&context, main)
    }

    /// The same, in a context of the caller's.
    ///
    /// # Errors
    ///
    /// As [`run`](Runner::run).
    #[track_caller]
    pub fn run_in<T: 'static>(
        &mut self,
        context: &Context,
        main: impl FnOnce() -> Result<T> + 'static,
    ) -> Result<T> {
        // Refused before the task is made, not after.
        drop(self.event_loop.enter()?);
        let builder = TaskBuilder::new().context(context);
        let task = builder.spawn_on(self.event_loop.scheduler().clone(), main);
        let interrupts = Interrupts::watch(&self.event_loop, &task)?;
        let ended = self.event_loop.run_until_complete(task.clone());
        match (ended, interrupts) {
            (Err(error), Some(interrupts)) if error.is_cancelled() => {
                Err(interrupts.cause_of(error, &task))
            }
            (ended, _) => ended,
        }
    }

    /// Cancels what is left, runs it to its end, reports what failed meanwhile,
    /// waits for the jobs of `to_thread`, and closes the loop.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` inside the running loop, or if somebody stopped it, kind
    /// `KeyboardInterrupt` after Ctrl-C, kind `Deadlock` if tasks refused to end under a
    /// virtual clock; they have been made to then.
    pub fn close(&mut self) -> Result {
        if self.event_loop.is_closed() {
            return Ok(());
        }
        let ended = self.run_out();
        if !self.event_loop.is_running() {
            self.event_loop.close()?;
        }
        ended
    }

    /// Has the loop run what is left.
    fn run_out(&self) -> Result {
        let event_loop = &self.event_loop;
        let _interrupts = watch_the_end(event_loop);
        let ended =
            cancel_all_tasks(event_loop).and_then(|()| iterate(event_loop, LAST_ITERATIONS));
        let interrupted = ended.as_ref().is_err_and(Error::is_interrupt);
        if interrupted || event_loop.is_running() {
            return ended;
        }
        let shut_down = event_loop.shutdown_executors();
        ended.and(shut_down)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            report_anywhere("the runner's loop could not be closed as it should", Some(error));
        }
    }
}

/// How many iterations a run has after its last task has ended, for what follows from
/// that: `asyncio.run` closes asynchronous generators and the executor then, each of which
/// takes two.
const LAST_ITERATIONS: usize = 4;

fn iterate(event_loop: &EventLoop, times: usize) -> Result {
    let _entered = event_loop.enter()?;
    (0..times).try_for_each(|_| {
        event_loop.stop();
        event_loop.iterate()
    })
}

/// What `asyncio.run` does with the tasks left over.
fn cancel_all_tasks(event_loop: &EventLoop) -> Result {
    let entered = event_loop.enter()?;
    let tasks = event_loop.all_tasks();
    if tasks.is_empty() {
        return Ok(());
    }
    for task in &tasks {
        task.cancel();
    }
    let all = gather_erased(tasks.iter().map(|task| task.0.clone()).collect());
    let ended = event_loop.iterate_until(&all.erased());
    drop(entered);
    ended?;
    for task in tasks.into_iter().filter(|task| task.done() && !task.cancelled()) {
        report_failure(event_loop, &task);
    }
    Ok(())
}

fn report_failure(event_loop: &EventLoop, task: &AnyTask) {
    if let Ok(Some(error)) = task.exception() {
        let text = "unhandled exception during shutdown";
        let mut context = ExceptionContext::new(ExceptionSource::Shutdown, text);
        context.exception = Some(error);
        context.task = Some(task.name());
        context.created_at = task.spawned_at();
        let report = || event_loop.call_exception_handler(&context);
        match task.context() {
            Some(context) => context.run(report),
            None => report(),
        }
    }
}

/// Ends the run at each Ctrl-C, while what is left of it runs. Where that cannot be, the
/// process ends by it as ever.
fn watch_the_end(event_loop: &EventLoop) -> Option<InterruptReaction> {
    if !is_main_thread() {
        return None;
    }
    let scheduler = event_loop.scheduler().clone();
    let interrupt = move |_| {
        scheduler.reports().interrupt(Error::from(ErrorKind::KeyboardInterrupt));
    };
    InterruptReaction::install(event_loop, interrupt).ok().flatten()
}

/// Ctrl-C while a main task runs.
struct Interrupts {
    count: Rc<Cell<u32>>,
    _reaction: InterruptReaction,
}

impl Interrupts {
    /// Reacts to SIGINT, as asyncio does: only on the process's main thread, and
    /// only while nobody else handles it.
    fn watch<T>(event_loop: &EventLoop, main: &Task<T>) -> Result<Option<Interrupts>> {
        if !is_main_thread() {
            return Ok(None);
        }
        let count = Rc::new(Cell::new(0));
        let (counted, main, scheduler) =
            (count.clone(), main.erase(), event_loop.scheduler().clone());
        let reaction = InterruptReaction::install(event_loop, move |times| {
            for _ in 0..times {
                counted.set(counted.get() + 1);
                if counted.get() > 1 || !main.cancel() {
                    scheduler.reports().interrupt(Error::from(ErrorKind::KeyboardInterrupt));
                }
            }
        })?;
        Ok(reaction.map(|reaction| Interrupts { count, _reaction: reaction }))
    }

    /// A cancellation that Ctrl-C caused is a keyboard interrupt.
    fn cause_of<T>(&self, cancelled: Error, main: &Task<T>) -> Error {
        if self.count.get() > 0 && main.uncancel() == 0 {
            return Error::from(ErrorKind::KeyboardInterrupt);
        }
        cancelled
    }
}
