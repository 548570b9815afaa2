//! The [`Scheduler`]'s queue of what is ready, its timers, and [`Handle`]s.
//!
//! This is the heart of a loop, and it knows nothing of futures or tasks: only
//! that something is runnable. `call_soon` appends to the queue, `call_at` sets a
//! timer, which appends when it is due; the loop runs what is in the queue.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::clock::{Clock, Instant};
use crate::context::{Context, Variables};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::without_suspending;
use crate::instruments::{FlowEvent, FutureId, Instrument};
use crate::reports::{CallbackOutput, ExceptionContext, ExceptionSource, Reports, run_callback};
use crate::timers::{Cancellable, Timers};

/// Something that can be run once it is its turn.
pub(crate) trait Runnable {
    fn run(self: Rc<Self>);
}

/// Something that runs when a deadline has passed.
pub(crate) trait Timer: Runnable + Cancellable {}

/// What a loop is made of, as far as futures and tasks need it.
pub(crate) struct Scheduler {
    ready: RefCell<VecDeque<Rc<dyn Runnable>>>,
    timers: RefCell<Timers<dyn Timer>>,
    clock: Clock,
    reports: Reports,
    instruments: RefCell<Vec<Rc<dyn Instrument>>>,
    /// Whether there are instruments: the one flag that is tested at each step.
    watched: Cell<bool>,
    emitting: Cell<bool>,
    closed: Cell<bool>,
    /// Set while the loop runs, and not only is being set up.
    pub(crate) iterating: Cell<bool>,
    pub(crate) eager: Cell<bool>,
    pub(crate) stack_size: usize,
    unnamed_tasks: Cell<u64>,
}

thread_local! {
    /// Without a destructor, so that a loop may be used in those of others.
    static RUNNING: ManuallyDrop<RefCell<Option<Rc<Scheduler>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
    static NEXT_ID: Cell<u64> = const { Cell::new(1) };
}

/// The number of the next future made on this thread.
pub(crate) fn next_id() -> FutureId {
    FutureId(NEXT_ID.replace(NEXT_ID.get() + 1))
}

/// What is said where a loop has to be running.
#[cold]
pub(crate) fn no_running_loop() -> Error {
    Error::text(ErrorKind::Runtime, "no running event loop: start one with `stackio::run`")
}

impl Scheduler {
    pub(crate) fn new(clock: Clock, stack_size: usize) -> Scheduler {
        Scheduler {
            ready: RefCell::new(VecDeque::with_capacity(64)),
            timers: RefCell::new(Timers::new()),
            clock,
            reports: Reports::default(),
            instruments: RefCell::new(Vec::new()),
            watched: Cell::new(false),
            emitting: Cell::new(false),
            closed: Cell::new(false),
            iterating: Cell::new(false),
            eager: Cell::new(false),
            stack_size,
            unnamed_tasks: Cell::new(0),
        }
    }

    /// The scheduler of the loop that runs on this thread.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if none runs.
    pub(crate) fn running() -> Result<Rc<Scheduler>> {
        Scheduler::try_running().ok_or_else(no_running_loop)
    }

    pub(crate) fn try_running() -> Option<Rc<Scheduler>> {
        RUNNING.with(|running| running.borrow().clone())
    }

    /// Makes it the running one of this thread, or none; gives back the former.
    pub(crate) fn replace_running(scheduler: Option<Rc<Scheduler>>) -> Option<Rc<Scheduler>> {
        RUNNING.with(|running| running.replace(scheduler))
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The number of the next task that is not given a name.
    pub(crate) fn next_task_number(&self) -> u64 {
        let number = self.unnamed_tasks.get() + 1;
        self.unnamed_tasks.set(number);
        number
    }

    // -- what is ready ---------------------------------------------------------

    /// Appends to the queue of what is ready.
    #[inline]
    pub(crate) fn push(&self, runnable: Rc<dyn Runnable>) {
        if !self.closed.get() {
            self.ready.borrow_mut().push_back(runnable);
        }
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.borrow().len()
    }

    #[inline]
    pub(crate) fn pop_ready(&self) -> Option<Rc<dyn Runnable>> {
        self.ready.borrow_mut().pop_front()
    }

    pub(crate) fn call_soon<R, F>(self: &Rc<Self>, callback: F) -> Handle
    where
        R: CallbackOutput,
        F: FnOnce() -> R + 'static,
    {
        let (handle, inner) = self.handle(None, callback);
        if self.is_watched() {
            self.emit(&FlowEvent::CallSoon { task: None });
        }
        self.push(inner);
        handle
    }

    // -- timers ------------------------------------------------------------------

    pub(crate) fn set_timer(&self, when: Instant, timer: Rc<dyn Timer>) {
        if self.is_watched() {
            self.emit(&FlowEvent::CallAt { when });
        }
        self.timers.borrow_mut().push(when, timer);
    }

    pub(crate) fn call_at<R, F>(self: &Rc<Self>, when: Instant, callback: F) -> TimerHandle
    where
        R: CallbackOutput,
        F: FnOnce() -> R + 'static,
    {
        let (handle, inner) = self.handle(Some(when), callback);
        self.set_timer(when, inner);
        TimerHandle { handle, when }
    }

    pub(crate) fn call_later<R, F>(self: &Rc<Self>, delay: Duration, callback: F) -> TimerHandle
    where
        R: CallbackOutput,
        F: FnOnce() -> R + 'static,
    {
        self.call_at(self.now() + delay, callback)
    }

    /// Told that a timer that is still set has been cancelled.
    pub(crate) fn timer_cancelled(&self) {
        let dead = self.timers.borrow_mut().note_cancelled();
        drop(dead);
    }

    pub(crate) fn earliest_timer(&self) -> Option<Instant> {
        self.timers.borrow_mut().earliest()
    }

    /// Moves every timer that is due by `now` into the queue.
    pub(crate) fn push_due_timers(&self, now: Instant) {
        loop {
            let due = self.timers.borrow_mut().pop_due(now);
            let Some((when, timer)) = due else { return };
            if self.is_watched() {
                self.emit(&FlowEvent::TimerDue { when });
            }
            self.push(timer);
        }
    }

    // -- the end -------------------------------------------------------------------

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Forgets everything that waits to run.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let timers = self.timers.borrow_mut().drain();
        let ready = std::mem::take(&mut *self.ready.borrow_mut());
        drop((timers, ready));
    }

    // -- watchers ------------------------------------------------------------------

    #[inline]
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.get()
    }

    pub(crate) fn add_instrument(&self, instrument: Rc<dyn Instrument>) {
        self.instruments.borrow_mut().push(instrument);
        self.watched.set(true);
    }

    #[cold]
    pub(crate) fn emit(&self, event: &FlowEvent<'_>) {
        if self.emitting.replace(true) {
            // What a watcher causes itself is not told: it would never end.
            return;
        }
        let instruments = self.instruments.borrow().clone();
        for instrument in instruments {
            // A watcher that panics must not tear a step in two.
            let watch = || without_suspending(|| instrument.event(event));
            if let Err(panic) = catch_unwind(AssertUnwindSafe(watch)) {
                self.reports.report(&ExceptionContext {
                    source: ExceptionSource::Loop,
                    message: "an instrument panicked".to_owned(),
                    exception: Some(Error::panic("an instrument", panic)),
                    task: None,
                });
            }
        }
        self.emitting.set(false);
    }

    /// Where errors go that nobody waits for.
    pub(crate) fn reports(&self) -> &Reports {
        &self.reports
    }

    fn handle<R, F>(self: &Rc<Self>, when: Option<Instant>, f: F) -> (Handle, Rc<HandleInner<F>>)
    where
        R: CallbackOutput,
        F: FnOnce() -> R + 'static,
    {
        let inner = Rc::new(HandleInner {
            scheduler: self.clone(),
            cancelled: Cell::new(false),
            waiting: Cell::new(when.is_some()),
            context: Cell::new(Variables::copy()),
            entered: Cell::new(false),
            callback: Cell::new(Some(f)),
        });
        (Handle(inner.clone()), inner)
    }
}

struct HandleInner<F> {
    scheduler: Rc<Scheduler>,
    cancelled: Cell<bool>,
    /// Whether it is a timer that has not been due yet.
    waiting: Cell<bool>,
    context: Cell<Variables>,
    /// Whether its context is the current one.
    entered: Cell<bool>,
    callback: Cell<Option<F>>,
}

impl<F, R> Runnable for HandleInner<F>
where
    R: CallbackOutput,
    F: FnOnce() -> R,
{
    fn run(self: Rc<Self>) {
        self.waiting.set(false);
        if let Some(callback) = self.callback.take() {
            self.entered.set(true);
            Variables::swap(&self.context);
            run_callback(self.scheduler.reports(), callback);
            Variables::swap(&self.context);
            self.entered.set(false);
        }
    }
}

impl<F> Cancellable for HandleInner<F> {
    fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }
}

impl<F, R> Timer for HandleInner<F>
where
    R: CallbackOutput,
    F: FnOnce() -> R,
{
}

trait Scheduled {
    fn cancel(&self);
    fn cancelled(&self) -> bool;
    fn context(&self) -> Context;
}

impl<F: 'static> Scheduled for HandleInner<F> {
    fn cancel(&self) {
        if !self.cancelled.replace(true) {
            drop((self.callback.take(), self.context.take()));
            if self.waiting.get() {
                self.scheduler.timer_cancelled();
            }
        }
    }

    fn cancelled(&self) -> bool {
        self.cancelled.get()
    }

    fn context(&self) -> Context {
        match self.entered.get() {
            true => Variables::share_current(),
            false => Variables::share(&self.context),
        }
    }
}

/// A callback that was scheduled by `call_soon` (`asyncio.Handle`).
#[derive(Clone)]
pub struct Handle(Rc<dyn Scheduled>);

impl Handle {
    /// Takes the callback back. One that has run, or was cancelled, stays as it is.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    /// The context that it is to run in, which from now on it shares with whoever
    /// has this one; an empty one if it was cancelled.
    #[doc(alias = "get_context")]
    pub fn context(&self) -> Context {
        self.0.context()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("cancelled", &self.cancelled()).finish()
    }
}

/// A callback that was scheduled by `call_later` or `call_at`
/// (`asyncio.TimerHandle`).
#[derive(Clone, Debug)]
pub struct TimerHandle {
    handle: Handle,
    when: Instant,
}

impl TimerHandle {
    /// Takes the callback back, as [`Handle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.handle.cancelled()
    }

    /// The context that it is to run in, as [`Handle::context`].
    #[doc(alias = "get_context")]
    pub fn context(&self) -> Context {
        self.handle.context()
    }

    /// The deadline, in the loop's time.
    pub fn when(&self) -> Instant {
        self.when
    }
}
