//! The [`Scheduler`]: a queue of what is ready, and timers.
//!
//! This is the heart of a loop, and it knows nothing of futures or tasks: only
//! that something is runnable. `push` appends to the queue; a timer appends when it
//! is due; the loop runs what is in the queue.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;

use crate::clock::{Clock, Instant};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::without_suspending;
use crate::instruments::{FlowEvent, FutureId, Instrument};
use crate::registry::Registry;
use crate::reports::{ExceptionContext, ExceptionSource, Reports, drop_value};
use crate::sys::fetch::fetch;
use crate::sys::fifo::Fifo;
use crate::timers::{Alarm, Timed, Timers};

/// Something that can be run once it is its turn.
pub(crate) trait Runnable {
    /// `scheduler` is the one whose turn it is.
    fn run(self: Rc<Self>, scheduler: &Scheduler);

    /// Has the processor fetch what it will touch first of its stack, if it has one.
    fn fetch_stack(&self) {}

    /// What it is and where it stands, for whoever asks why it takes so long.
    fn describe(&self) -> Standing {
        Standing::default()
    }
}

/// Where something that runs stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// The name of the task; `None` is a callback.
    pub(crate) task: Option<String>,
    /// Where a task was suspended last, or made; where a callback was scheduled.
    pub(crate) place: Option<&'static Location<'static>>,
    /// Whether a task has been suspended yet.
    pub(crate) begun: bool,
    /// Whether a task has ended.
    pub(crate) ended: bool,
}

/// Something that runs when a deadline has passed.
pub(crate) trait Timer: Runnable + Timed + Any {}

/// Something that lives by itself until the loop is closed, or it says that it has ended:
/// a connection. It and what it calls know each other, so neither would ever be dropped.
pub(crate) trait Kept {
    /// Lets go of everything, since the loop is closed.
    fn let_go(&self);
}

/// Room for so many in the ready queue is kept.
const FEW_READY: usize = 1024;

/// What a loop is made of, as far as futures and tasks need it.
pub(crate) struct Scheduler {
    ready: Fifo<Rc<dyn Runnable>>,
    timers: RefCell<Timers<dyn Timer>>,
    /// No timer comes up before that.
    first_look: Cell<Instant>,
    kept: RefCell<Registry<dyn Kept>>,
    clock: Clock,
    reports: Reports,
    instruments: RefCell<Vec<Rc<dyn Instrument>>>,
    /// Whether there are instruments: all that a step asks of them if there are none.
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
            ready: Fifo::new(),
            timers: RefCell::new(Timers::new()),
            first_look: Cell::new(Instant::MAX),
            kept: RefCell::new(Registry::new()),
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
    #[inline(always)]
    pub(crate) fn push(&self, runnable: Rc<dyn Runnable>) {
        if !self.closed.get() {
            self.ready.push(runnable);
        }
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// The first of the queue, if any of these is left to run.
    #[inline]
    pub(crate) fn pop_ready(&self, left: &Cell<usize>) -> Option<Rc<dyn Runnable>> {
        left.set(left.get().checked_sub(1)?);
        self.ready.pop()
    }

    /// Of a crowd each is out of the processor's nearer caches when its turn comes: has it
    /// fetch what is needed of some who come soon, first what tells where their stacks are.
    #[inline(always)]
    pub(crate) fn fetch_ahead(&self) {
        self.ready.peek(8, |soon| fetch(Rc::as_ptr(soon).addr(), 5));
        self.ready.peek(4, |sooner| sooner.fetch_stack());
    }

    // -- timers ------------------------------------------------------------------

    /// Sets a timer that is not set.
    #[inline]
    pub(crate) fn set_timer<T: Timer>(&self, when: Instant, timer: &Rc<T>) {
        if self.is_watched() {
            self.emit(&FlowEvent::CallAt { when });
        }
        self.timers.borrow_mut().set(when, timer.alarm(), || timer.clone());
        self.first_look.set(self.first_look.get().min(when));
    }

    /// Cancels a timer, if it is set.
    #[inline]
    pub(crate) fn cancel_timer(&self, alarm: &Alarm) {
        let sweep = self.timers.borrow_mut().cancel(alarm);
        if sweep {
            self.sweep_timers();
        }
    }

    #[cold]
    fn sweep_timers(&self) {
        let remnants = self.timers.borrow_mut().sweep();
        drop(remnants);
    }

    /// A timer that was kept to be set again, and is fit for that deadline.
    #[inline]
    pub(crate) fn take_spare_timer(&self, when: Instant) -> Option<Rc<dyn Timer>> {
        self.timers.borrow_mut().take_spare(when)
    }

    /// Keeps a timer that nobody has any more to be set again.
    #[inline]
    pub(crate) fn keep_spare_timer(&self, timer: Rc<dyn Timer>) {
        let too_many = self.timers.borrow_mut().keep_spare(timer);
        drop(too_many);
    }

    /// Looks at the timers that come up; what is left of cancelled ones is dropped after that.
    fn with_timers<R>(&self, look: impl FnOnce(&mut Timers<dyn Timer>) -> R) -> R {
        let mut timers = self.timers.borrow_mut();
        let seen = look(&mut timers);
        let gone = timers.take_gone();
        self.first_look.set(timers.first_look().unwrap_or(Instant::MAX));
        drop(timers);
        drop(gone);
        seen
    }

    /// Whether a timer is due by `when`.
    #[inline(always)]
    pub(crate) fn has_timer_due(&self, when: Instant) -> bool {
        self.first_look.get() <= when && self.look_for_due(when)
    }

    #[inline(never)]
    fn look_for_due(&self, when: Instant) -> bool {
        self.with_timers(|timers| timers.has_due(when))
    }

    pub(crate) fn earliest_timer(&self) -> Option<Instant> {
        self.with_timers(Timers::earliest)
    }

    /// Moves every timer that is due by `now` into the queue.
    pub(crate) fn push_due_timers(&self, now: Instant) {
        loop {
            let due = self.with_timers(|timers| timers.pop_due(now));
            let Some((when, timer)) = due else { return };
            if self.is_watched() {
                self.emit(&FlowEvent::TimerDue { when });
            }
            self.push(timer);
        }
    }

    // -- room ------------------------------------------------------------------------

    /// Whether the lists have room for many more than there are.
    pub(crate) fn has_surplus(&self) -> bool {
        self.has_surplus_ready() || self.timers.borrow().has_surplus()
    }

    fn has_surplus_ready(&self) -> bool {
        self.ready.capacity() > 4 * self.ready.len() + FEW_READY
    }

    /// Gives up the room that is not needed.
    pub(crate) fn shrink(&self) {
        if self.has_surplus_ready() {
            self.ready.shrink_to(64);
        }
        self.kept.borrow_mut().shrink();
        let mut timers = self.timers.borrow_mut();
        let remnants = if timers.has_surplus() { timers.shrink() } else { Vec::new() };
        drop(timers);
        drop(remnants);
    }

    // -- the end -------------------------------------------------------------------

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Keeps it until the loop is closed, or until then; gives its place.
    pub(crate) fn keep(&self, kept: Rc<dyn Kept>) -> usize {
        self.kept.borrow_mut().insert(kept)
    }

    /// Forgets what is at that place, which has ended.
    pub(crate) fn forget(&self, place: usize) {
        let ended = self.kept.borrow_mut().remove(place);
        drop(ended);
    }

    /// Forgets everything that waits to run or to be heard of.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        let timers = self.timers.borrow_mut().drain();
        let ready = self.ready.take();
        let kept = self.kept.replace(Registry::new()).all();
        // Each by itself, for what they captured may panic.
        timers.into_iter().for_each(drop_value);
        ready.into_iter().for_each(drop_value);
        kept.iter().for_each(|kept| kept.let_go());
        kept.into_iter().for_each(drop_value);
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
                let context =
                    ExceptionContext::new(ExceptionSource::Loop, "an instrument panicked");
                let error = Error::panic("an instrument", panic);
                self.reports.report(&context.with_exception(error));
            }
        }
        self.emitting.set(false);
    }

    /// Where errors go that nobody waits for.
    pub(crate) fn reports(&self) -> &Reports {
        &self.reports
    }
}
