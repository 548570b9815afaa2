//! [`LoopBuilder`]: how a loop is made.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::base_events::{EventLoop, Options};
use crate::clock::{Clock, VirtualClock};
use crate::constants::SELECT_BUDGET;
use crate::exceptions::Result;
use crate::instruments::Instrument;
use crate::reports::{ExceptionContext, ExceptionHandler};
use crate::stack::DEFAULT_STACK_SIZE;

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
    pub(crate) fn new() -> LoopBuilder<L> {
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
    /// socket or signal that somebody waits for.
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
    /// selector is asked again (64). If these have taken less than 20 microseconds since
    /// it was asked, as many again may run. With 1 it is asked in every iteration.
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
    /// - tasks that nobody cancelled, and sockets that are still open, when the loop
    ///   is closed.
    ///
    /// A step costs about a tenth of a microsecond more. Errors that nobody retrieved are
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
