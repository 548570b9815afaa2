//! [`EventLoop`]: one iteration after another.
//!
//! ```text
//!   run_once:  1  timeout: 0 if something is ready, else until the first timer
//!              2  select: descriptors that are ready complete futures,
//!                 and completing a future puts its callbacks into the queue
//!              3  timers that are due go into the queue
//!              4  what was in the queue at this moment runs, in order;
//!                 what it adds waits for the next iteration
//! ```
//!
//! With work in the queue, steps 1 to 3 may be left out for a few iterations; for how
//! many, [`Pace`] says.
//!
//! Under a virtual clock the loop jumps to the first timer when nothing is ready
//! and nothing real is outstanding; with no timer left it is a deadlock.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::callback_id::CallbackId;
use crate::callbacks::Function;
use crate::clock::Clock;
use crate::deadlocks::deadlock;
use crate::events::{Scheduler, no_running_loop};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::future_core::AnyFuture;
use crate::housekeeping::Housekeeping;
use crate::pace::Pace;
use crate::remote::Remote;
use crate::reports::{ExceptionContext, ExceptionSource};
use crate::selectors::{CROWD_OF_SOCKETS, Driver};
use crate::sys::clocks::coarse_millis;
use crate::watchdog::Watchdog;

/// How many that are ready are a crowd, of whom each is fetched ahead of its turn: below
/// that all are in the processor's caches anyway.
const CROWD: usize = 2048;

/// What a loop is made with.
pub(crate) struct Options {
    pub(crate) clock: Clock,
    pub(crate) stack_size: usize,
    pub(crate) select_budget: u32,
    pub(crate) eager: bool,
    pub(crate) debug: bool,
}

/// The event loop: what runs tasks, callbacks and timers, and asks the system
/// which sockets are ready.
///
/// A handle; clones are the same loop. Most programs need only [`run`](crate::run).
#[derive(Clone)]
pub struct EventLoop(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) scheduler: Rc<Scheduler>,
    pub(crate) driver: Rc<Driver>,
    pub(crate) remote: Arc<Remote>,
    pace: Pace,
    pub(crate) stopping: Cell<bool>,
    pub(crate) running: Cell<bool>,
    pub(crate) closing: Cell<bool>,
    /// What the loop waits for that is neither timer nor descriptor.
    outstanding: Rc<Cell<usize>>,
    housekeeping: Housekeeping,
    services: RefCell<Vec<Rc<dyn Any>>>,
    /// There since debug mode first ran.
    watchdog: RefCell<Option<Rc<Watchdog>>>,
}

impl Inner {
    fn watchdog(&self) -> Rc<Watchdog> {
        self.watchdog.borrow_mut().get_or_insert_with(|| Rc::new(Watchdog::new())).clone()
    }

    /// Ends its thread.
    pub(crate) fn dismiss_watchdog(&self) {
        let watchdog = self.watchdog.take();
        drop(watchdog);
    }
}

thread_local! {
    /// Without a destructor, so that a loop may be used in those of others.
    static RUNNING: ManuallyDrop<RefCell<Option<EventLoop>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// The loop that is running on this thread.
///
/// # Errors
///
/// Kind `Runtime` if none is.
pub fn get_running_loop() -> Result<EventLoop> {
    let running = RUNNING.with(|running| running.borrow().clone());
    running.ok_or_else(no_running_loop)
}

/// Makes a loop the running one of the thread as long as it lives.
pub(crate) struct Entered(Rc<Inner>);

impl Drop for Entered {
    fn drop(&mut self) {
        drop(Scheduler::replace_running(None));
        drop(RUNNING.with(|running| running.take()));
        self.0.running.set(false);
    }
}

impl EventLoop {
    pub(crate) fn with_options(options: Options) -> Result<EventLoop> {
        let scheduler = Rc::new(Scheduler::new(options.clock, options.stack_size));
        scheduler.eager.set(options.eager);
        scheduler.reports().set_debug(options.debug);
        let driver = Rc::new(Driver::new(scheduler.clone())?);
        let remote = Remote::new(driver.waker(), &scheduler);
        Ok(EventLoop(Rc::new(Inner {
            scheduler,
            driver,
            remote,
            pace: Pace::new(options.select_budget),
            stopping: Cell::new(false),
            running: Cell::new(false),
            closing: Cell::new(false),
            outstanding: Rc::new(Cell::new(0)),
            housekeeping: Housekeeping::default(),
            services: RefCell::new(Vec::new()),
            watchdog: RefCell::new(None),
        })))
    }

    pub(crate) fn scheduler(&self) -> &Rc<Scheduler> {
        &self.0.scheduler
    }

    pub(crate) fn driver(&self) -> &Rc<Driver> {
        &self.0.driver
    }

    /// The loop's own object of that type, made at first use: what higher floors
    /// keep for each loop.
    pub(crate) fn service<S: 'static>(&self, make: impl FnOnce() -> S) -> Rc<S> {
        if let Some(service) = self.find_service() {
            return service;
        }
        let service = Rc::new(make());
        self.0.services.borrow_mut().push(service.clone());
        service
    }

    pub(crate) fn find_service<S: 'static>(&self) -> Option<Rc<S>> {
        let services = self.0.services.borrow();
        services.iter().find_map(|service| service.clone().downcast().ok())
    }

    /// Counts something outside of the loop that will wake it, until it is dropped.
    pub(crate) fn outstanding(&self) -> Outstanding {
        self.0.outstanding.set(self.0.outstanding.get() + 1);
        Outstanding(self.0.outstanding.clone())
    }

    // -- running -----------------------------------------------------------------------

    /// Makes it the running loop of this thread.
    pub(crate) fn enter(&self) -> Result<Entered> {
        if self.is_closed() {
            return Err(Error::text(ErrorKind::Runtime, "the event loop is closed"));
        }
        if self.is_running() || Scheduler::try_running().is_some() {
            let text = "an event loop is running on this thread already; inside a task, call \
                        things directly or `spawn` them";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        Scheduler::replace_running(Some(self.scheduler().clone()));
        RUNNING.with(|running| running.replace(Some(self.clone())));
        self.0.running.set(true);
        Ok(Entered(self.0.clone()))
    }

    /// Runs until [`stop`](EventLoop::stop) is called.
    ///
    /// # Errors
    ///
    /// Kind `Deadlock` under a virtual clock, kind `Runtime` if a loop is running
    /// on this thread already or this one is closed, and errors of the selector.
    pub fn run_forever(&self) -> Result {
        let _entered = self.enter()?;
        self.iterate()
    }

    /// Iterates until stopped; the loop has been entered.
    pub(crate) fn iterate(&self) -> Result {
        let _iterating = Iterating::begin(&self.0);
        loop {
            self.run_once()?;
            if let Some(interrupt) = self.scheduler().reports().take_interrupt() {
                return Err(interrupt);
            }
            if self.0.stopping.get() {
                return Ok(());
            }
        }
    }

    /// Iterates until the future is done; the loop has been entered.
    pub(crate) fn iterate_until(&self, future: &Rc<dyn AnyFuture>) -> Result {
        let stop = self.clone();
        let id = CallbackId::new();
        let callback = Function::new(move |future: &Rc<dyn AnyFuture>| {
            // An interrupt has ended the run already, and the next one is not to stop.
            if !future.core().failed_by_interrupt() {
                stop.stop();
            }
        });
        future.core().add_callback(|| future.clone(), id, callback);
        let ended = self.iterate();
        future.core().remove_callback(id);
        if ended.is_err() && future.core().failed_by_interrupt() {
            future.core().mark_retrieved();
        }
        ended?;
        if future.core().is_done() {
            return Ok(());
        }
        Err(Error::text(ErrorKind::Runtime, "the event loop stopped before the future was done"))
    }

    /// Has the loop stop at the end of the iteration.
    pub fn stop(&self) {
        self.0.stopping.set(true);
    }

    fn run_once(&self) -> Result {
        let inner = &*self.0;
        let scheduler = &*inner.scheduler;
        let ready = scheduler.ready_len();
        let mut sockets = 0;
        if ready == 0 || inner.pace.must_ask(ready, scheduler.clock(), coarse_millis()) {
            sockets = self.ask(ready)?;
        } else {
            inner.remote.drain(&inner.scheduler);
            if inner.is_timer_near() {
                scheduler.push_due_timers(scheduler.now());
            }
        }
        let left = Cell::new(scheduler.ready_len());
        let watchdog = scheduler.reports().is_debug().then(|| inner.watchdog());
        let watchdog = watchdog.as_deref();
        let crowd = sockets >= CROWD_OF_SOCKETS || left.get() >= CROWD;
        let run = || inner.run_ready(&left, crowd, watchdog);
        while let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            let text = "something that the event loop called panicked";
            let context = ExceptionContext::new(ExceptionSource::Loop, text);
            let error = Error::panic("the event loop", panic);
            scheduler.reports().report(&context.with_exception(error));
        }
        Ok(())
    }

    /// Asks the selector, and moves what became ready into the queue. Of how many sockets
    /// it knew.
    fn ask(&self, ready: usize) -> Result<usize> {
        let inner = &*self.0;
        let idle = ready == 0 && !inner.stopping.get();
        let timeout = if idle { self.idle_timeout()? } else { Some(Duration::ZERO) };
        let sockets = inner.driver.select(timeout)?;
        inner.remote.drain(&inner.scheduler);
        let now = inner.scheduler.now();
        inner.scheduler.push_due_timers(now);
        inner.pace.asked(now, coarse_millis());
        Ok(sockets)
    }

    /// How long the selector may block when nothing is ready. Under a virtual
    /// clock this is where time passes.
    fn idle_timeout(&self) -> Result<Option<Duration>> {
        let inner = &*self.0;
        let rest = inner.housekeeping.tend(&inner.scheduler, coarse_millis());
        let first = inner.scheduler.earliest_timer();
        let Clock::Virtual(clock) = inner.scheduler.clock() else {
            let first = first.map(|when| when - inner.scheduler.now());
            return Ok(first.into_iter().chain(rest).min());
        };
        if inner.outstanding.get() > inner.remote.held() || inner.driver.is_awaited() {
            let due = first.is_some_and(|when| when <= clock.now());
            return Ok(due.then_some(Duration::ZERO));
        }
        if inner.remote.has_work() {
            return Ok(Some(Duration::ZERO));
        }
        match first {
            Some(when) => {
                clock.advance_to(when);
                Ok(Some(Duration::ZERO))
            }
            // A thread that waits for the loop may give up.
            None if inner.outstanding.get() > 0 => Ok(None),
            None => Err(deadlock(&inner.scheduler)),
        }
    }
}

impl Inner {
    /// Runs what is ready, at most `left`, and then the next iterations, as long as
    /// nothing is to be looked at between two of them. Bodies and callbacks catch their
    /// own panics; what comes out of here is one in a destructor.
    #[inline]
    fn run_ready(&self, left: &Cell<usize>, crowd: bool, watchdog: Option<&Watchdog>) {
        let scheduler = &*self.scheduler;
        while !scheduler.reports().is_interrupted() {
            if left.get() == 0 && watchdog.is_none() {
                left.set(self.next_iteration());
            }
            if crowd {
                scheduler.fetch_ahead();
            }
            match (scheduler.pop_ready(left), watchdog) {
                (Some(runnable), None) => runnable.run(scheduler),
                (Some(runnable), Some(watchdog)) => watchdog.run(scheduler, runnable),
                (None, _) => return,
            }
        }
    }

    /// How many handles the next iteration runs, if it can begin at once; else none.
    #[inline]
    fn next_iteration(&self) -> usize {
        let ready = self.scheduler.ready_len();
        let looks = self.scheduler.reports().is_debug()
            || self.stopping.get()
            || self.remote.has_some()
            || self.is_timer_near();
        if !looks && self.pace.goes_on(ready) { ready } else { 0 }
    }

    /// Whether a timer may be due before the selector is asked again.
    #[inline(always)]
    fn is_timer_near(&self) -> bool {
        self.scheduler.has_timer_due(self.pace.near(self.scheduler.clock()))
    }
}

/// The time in which tasks and callbacks are run.
struct Iterating<'a>(&'a Inner);

impl Iterating<'_> {
    fn begin(inner: &Inner) -> Iterating<'_> {
        inner.scheduler.iterating.set(true);
        Iterating(inner)
    }
}

impl Drop for Iterating<'_> {
    fn drop(&mut self) {
        self.0.scheduler.iterating.set(false);
        // However it ends: a stop was for this run.
        self.0.stopping.set(false);
    }
}

/// One thing that the loop waits for.
pub(crate) struct Outstanding(Rc<Cell<usize>>);

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
