//! [`run`] and [`Runner`]: a loop from its making to its end.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::base_events::{EventLoop, Options};
use crate::clock::{Clock, VirtualClock};
use crate::constants::SELECT_BUDGET;
use crate::context::Context;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::gather::gather_erased;
use crate::instruments::Instrument;
use crate::reports::{ExceptionContext, ExceptionHandler, ExceptionSource};
use crate::selectors::Registration;
use crate::stack::DEFAULT_STACK_SIZE;
use crate::sys::signal::{SignalWatch, is_main_thread};
use crate::tasks::{AnyTask, Task, TaskBuilder};

/// Runs `main` as the main task of a new loop, and closes the loop when it has
/// ended (`asyncio.run`).
///
/// Tasks that are left when `main` ends are cancelled and run to their end. On the
/// main thread of the process the first Ctrl-C cancels the main task, and a second
/// one ends the run.
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
/// loop is running on this thread already; kind `Io` if the system has no
/// descriptors left for a loop.
#[track_caller]
pub fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::new()?.run(main)
}

/// How a loop is made, where the defaults are not enough.
///
/// ```
/// use stackio::{Runner, VirtualClock};
/// let clock = VirtualClock::new();
/// let mut runner =
///     Runner::builder().virtual_clock(&clock).stack_size(128 * 1024).build()?;
/// assert_eq!(runner.run(|| Ok(1))?, 1);
/// # Ok::<(), stackio::Error>(())
/// ```
#[must_use = "it makes a loop only by `build`"]
pub struct LoopBuilder<L = EventLoop> {
    clock: Option<VirtualClock>,
    stack_size: usize,
    select_budget: u32,
    eager: bool,
    debug: bool,
    instruments: Vec<Rc<dyn Instrument>>,
    exception_handler: Option<ExceptionHandler>,
    makes: PhantomData<fn() -> L>,
}

impl<L: From<EventLoop>> LoopBuilder<L> {
    fn new() -> LoopBuilder<L> {
        LoopBuilder {
            clock: None,
            stack_size: DEFAULT_STACK_SIZE,
            select_budget: SELECT_BUDGET,
            eager: false,
            debug: debug_by_environment(),
            instruments: Vec::new(),
            exception_handler: None,
            makes: PhantomData,
        }
    }

    /// Reads the time from this clock, and jumps to the next timer whenever
    /// nothing is ready and nothing real is outstanding: no thread's work, no
    /// socket that somebody waits for.
    pub fn virtual_clock(mut self, clock: &VirtualClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// The stack size of tasks that do not ask for another, in bytes
    /// ([`DEFAULT_STACK_SIZE`] if it is not set).
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// How many steps and callbacks may run, while there are more, before the
    /// selector is asked again (64). With 1 it is asked in every iteration.
    pub fn select_budget(mut self, handles: u32) -> Self {
        self.select_budget = handles;
        self
    }

    /// Whether tasks take their first step at once, inside `spawn`
    /// (`asyncio.eager_task_factory`).
    pub fn eager(mut self, eager: bool) -> Self {
        self.eager = eager;
        self
    }

    /// Whether the loop looks for mistakes that do no harm at once (asyncio's debug
    /// mode). By default it does if the environment variable `STACKIO_DEBUG` is set,
    /// to anything but nothing or `0`.
    ///
    /// It reports to the [exception handler](LoopBuilder::exception_handler):
    ///
    /// - a step or callback that takes longer than
    ///   [`slow_callback_duration`](EventLoop::slow_callback_duration), when it has
    ///   ended. While it still blocks, a thread says so as a `tracing` event, or on
    ///   standard error if nobody subscribed to those;
    /// - a [`Lock`](crate::Lock) that is held longer than
    ///   [`slow_lock_duration`](EventLoop::slow_lock_duration), when it is released
    ///   or somebody else wants it;
    /// - tasks that nobody cancelled, and sockets that were waited for and are still
    ///   open, when the loop is closed.
    ///
    /// A step costs about a microsecond more. Errors that nobody retrieved are
    /// reported in any case, and name the place at which the future or task was made.
    ///
    /// ```
    /// use std::{thread, time::Duration};
    /// use stackio::{ExceptionSource, Runner};
    ///
    /// let mut runner = Runner::builder()
    ///     .debug(true)
    ///     .exception_handler(|report| {
    ///         assert_eq!(report.source, ExceptionSource::SlowStep);
    ///         println!("{}", report.message);
    ///     })
    ///     .build()?;
    /// runner.event_loop().set_slow_callback_duration(Duration::from_millis(5));
    /// runner.run(|| {
    ///     thread::sleep(Duration::from_millis(10)); // stops everybody
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Installs a watcher.
    pub fn instrument(mut self, instrument: Rc<dyn Instrument>) -> Self {
        self.instruments.push(instrument);
        self
    }

    /// Sets what is told of errors that nobody waits for.
    pub fn exception_handler(mut self, handler: impl Fn(&ExceptionContext) + 'static) -> Self {
        self.exception_handler = Some(Rc::new(handler));
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// Kind `Io` if the system has no descriptors left for its selector.
    pub fn build(self) -> Result<L> {
        let event_loop = EventLoop::with_options(Options {
            clock: self.clock.map_or_else(Clock::monotonic, Clock::Virtual),
            stack_size: self.stack_size,
            select_budget: self.select_budget,
            eager: self.eager,
            debug: self.debug,
        })?;
        for instrument in self.instruments {
            event_loop.add_instrument(instrument);
        }
        event_loop.scheduler().reports().set_handler(self.exception_handler);
        Ok(L::from(event_loop))
    }
}

impl<L> fmt::Debug for LoopBuilder<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopBuilder")
            .field("stack_size", &self.stack_size)
            .field("select_budget", &self.select_budget)
            .field("eager", &self.eager)
            .field("debug", &self.debug)
            .finish_non_exhaustive()
    }
}

fn debug_by_environment() -> bool {
    std::env::var_os("STACKIO_DEBUG").is_some_and(|value| !value.is_empty() && value != "0")
}

impl EventLoop {
    /// A loop with the defaults.
    ///
    /// # Errors
    ///
    /// Kind `Io` if the system has no descriptors left for its selector.
    pub fn new() -> Result<EventLoop> {
        EventLoop::builder().build()
    }

    /// A loop with settings.
    pub fn builder() -> LoopBuilder<EventLoop> {
        LoopBuilder::new()
    }
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
    /// Kind `Runtime` inside the running loop, kind `Deadlock` if tasks refused to
    /// end under a virtual clock; they have been made to then.
    pub fn close(&mut self) -> Result {
        if self.event_loop.is_closed() {
            return Ok(());
        }
        let ended = cancel_all_tasks(&self.event_loop);
        if self.event_loop.is_running() {
            return ended;
        }
        self.event_loop.shutdown_executor();
        self.event_loop.close()?;
        ended
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "closing the event loop");
        }
    }
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
    for task in tasks.into_iter().filter(|task| task.done() && !task.cancelled()) {
        report_failure(event_loop, &task);
    }
    ended
}

fn report_failure(event_loop: &EventLoop, task: &AnyTask) {
    if let Ok(Some(error)) = task.exception() {
        let text = "unhandled exception during shutdown";
        let mut context = ExceptionContext::new(ExceptionSource::Shutdown, text);
        context.exception = Some(error);
        context.task = Some(task.name());
        context.created_at = task.spawned_at();
        event_loop.call_exception_handler(&context);
    }
}

/// Ctrl-C while a main task runs.
struct Interrupts {
    count: Rc<Cell<u32>>,
    registration: Rc<Registration>,
}

impl Interrupts {
    /// Watches SIGINT, as asyncio does: only on the process's main thread, and
    /// only if nobody else handles it.
    fn watch<T>(event_loop: &EventLoop, main: &Task<T>) -> Result<Option<Interrupts>> {
        if !is_main_thread() {
            return Ok(None);
        }
        let Some(signals) = SignalWatch::if_default(libc::SIGINT)? else { return Ok(None) };
        let registration = event_loop.driver().register(signals.fd())?;
        let count = Rc::new(Cell::new(0));
        let (counted, main, interrupted) = (count.clone(), main.erase(), event_loop.clone());
        registration.on_readable(Rc::new(move || {
            for _ in 0..signals.take() {
                counted.set(counted.get() + 1);
                if counted.get() > 1 || !main.cancel() {
                    interrupted.interrupt(Error::from(ErrorKind::KeyboardInterrupt));
                }
            }
        }));
        Ok(Some(Interrupts { count, registration }))
    }

    /// A cancellation that Ctrl-C caused is a keyboard interrupt.
    fn cause_of<T>(&self, cancelled: Error, main: &Task<T>) -> Error {
        if self.count.get() > 0 && main.uncancel() == 0 {
            return Error::from(ErrorKind::KeyboardInterrupt);
        }
        cancelled
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.registration.deregister();
        self.registration.forget_callback();
    }
}
