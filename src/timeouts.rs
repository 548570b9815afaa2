//! [`timeout`]: a deadline for a block of code.
//!
//! A timeout cancels the task when its deadline passes, and turns that
//! cancellation, and no other, into an error of kind `Timeout` when the block is
//! left. Which one it is, the task's count of requests tells: the timeout takes
//! its own request back, and only if none is left over that came meanwhile is the
//! cancellation its own.
//!
//! A timeout is its own timer. One that is left in time, and that nobody has a handle
//! to, is kept with its entry in the heap to be set again by the next: most are armed
//! again and again, for as long as the time before, and then cost neither an allocation
//! nor a move in the heap.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Instant;
use crate::events::{Runnable, Scheduler, Timer};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::instruments::FlowEvent;
use crate::tasks::{AnyTask, current_task};
use crate::timers::{Alarm, Timed};

/// Runs a block of code for at most that long (`asyncio.timeout`).
///
/// The block gets the [`Timeout`], to look at it or to move the deadline.
///
/// # Errors
///
/// Kind `Timeout` if the deadline passed and the block let the cancellation that
/// it caused out; otherwise what the block returns. Kind `Runtime` outside of a
/// task.
///
/// ```
/// use stackio::{ErrorKind, millis, secs, sleep, timeout};
///
/// stackio::run(|| {
///     let error = timeout(millis(10), |_| sleep(secs(60))).unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::Timeout);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[inline(always)]
#[track_caller]
pub fn timeout<T>(delay: Duration, block: impl FnOnce(&Timeout) -> Result<T>) -> Result<T> {
    let entered = Timeout::begin(delay)?;
    let ended = block(&entered.timeout);
    entered.exit(ended)
}

/// The same, until an instant of the loop's clock (`asyncio.timeout_at`).
///
/// # Errors
///
/// As [`timeout`].
#[track_caller]
pub fn timeout_at<T>(when: Instant, block: impl FnOnce(&Timeout) -> Result<T>) -> Result<T> {
    Timeout::new(Some(when)).scope(block)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not entered yet.
    #[default]
    Created,
    /// In the block, before the deadline.
    Active,
    /// The deadline has passed and the task has been cancelled.
    Expiring,
    /// Left after the deadline.
    Expired,
    /// Left in time.
    Finished,
}

#[derive(Default)]
struct Inner {
    state: Cell<State>,
    /// Whether it is to expire: its alarm is set, or it is in the ready queue.
    armed: Cell<bool>,
    /// How many times it is in the ready queue without being meant any more.
    disarmed: Cell<u32>,
    /// The task's count of requests on entry.
    cancelling: Cell<u32>,
    when: Cell<Option<Instant>>,
    alarm: Alarm,
    task: RefCell<Option<AnyTask>>,
}

/// A deadline for one block of code (`asyncio.Timeout`).
///
/// A handle, cheap to clone. [`timeout`] makes and enters one in one go.
#[derive(Clone)]
pub struct Timeout(Rc<Inner>);

impl Timeout {
    /// A timeout that expires at `when`; never, if it is `None`.
    pub fn new(when: Option<Instant>) -> Timeout {
        Timeout(Rc::new(Inner { when: Cell::new(when), ..Inner::default() }))
    }

    /// Runs the block under this timeout, which can be used once.
    ///
    /// # Errors
    ///
    /// As [`timeout`]; kind `Runtime` if it has been entered before.
    #[track_caller]
    pub fn scope<T>(&self, block: impl FnOnce(&Timeout) -> Result<T>) -> Result<T> {
        let scheduler = Scheduler::running()?;
        let now = scheduler.now();
        let entered = self.clone().enter(scheduler, now)?;
        entered.exit(block(self))
    }

    /// The deadline.
    pub fn when(&self) -> Option<Instant> {
        self.0.when.get()
    }

    /// Whether the deadline has passed while the block ran.
    pub fn expired(&self) -> bool {
        matches!(self.0.state.get(), State::Expiring | State::Expired)
    }

    /// Moves the deadline; `None` is never.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the block has not been entered, has been left, or the
    /// deadline has passed.
    pub fn reschedule(&self, when: Option<Instant>) -> Result {
        let state = self.0.state.get();
        if state != State::Active {
            let text = match state {
                State::Created => "the timeout has not been entered".to_owned(),
                state => format!("cannot change the deadline of a timeout that is {state:?}"),
            };
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        Scheduler::running()?;
        let task = self.0.task.borrow().clone();
        if let Some(task) = task {
            let scheduler = &task.0.core().scheduler;
            self.0.disarm(scheduler);
            self.arm(scheduler, when, scheduler.now());
        }
        Ok(())
    }

    /// Sets the deadline and the alarm for it.
    fn arm(&self, scheduler: &Scheduler, when: Option<Instant>, now: Instant) {
        self.0.when.set(when);
        self.0.armed.set(when.is_some());
        match when {
            Some(when) if when > now => scheduler.set_timer(when, &self.0),
            Some(_) => {
                if scheduler.is_watched() {
                    scheduler.emit(&FlowEvent::CallSoon { task: None });
                }
                scheduler.push(self.0.clone());
            }
            None => {}
        }
    }

    /// Begins a block that may take so long. The clock is read once, which is most of
    /// what a deadline that does not pass costs.
    pub(crate) fn begin(delay: Duration) -> Result<Entered> {
        let scheduler = Scheduler::running()?;
        let now = scheduler.now();
        let when = now + delay;
        let inner = Inner::spare(&scheduler, when).unwrap_or_default();
        inner.when.set(Some(when));
        Timeout(inner).enter(scheduler, now)
    }

    fn enter(self, scheduler: Rc<Scheduler>, now: Instant) -> Result<Entered> {
        if self.0.state.get() != State::Created {
            let text = "the timeout has already been entered";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        let task = current_task()
            .ok_or_else(|| Error::text(ErrorKind::Runtime, "a timeout works only inside a task"))?;
        self.0.cancelling.set(task.cancelling());
        *self.0.task.borrow_mut() = Some(task);
        self.0.state.set(State::Active);
        self.arm(&scheduler, self.0.when.get(), now);
        Ok(Entered { timeout: self, scheduler })
    }
}

impl Inner {
    /// One that was left, to be entered again.
    fn spare(scheduler: &Scheduler, when: Instant) -> Option<Rc<Inner>> {
        let timer: Rc<dyn Any> = scheduler.take_spare_timer(when)?;
        let inner: Rc<Inner> = timer.downcast().ok()?;
        inner.state.set(State::Created);
        inner.disarmed.set(0);
        Some(inner)
    }

    /// Whether its one handle and its entry in the heap are all that is left of it.
    fn is_spare(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) == 1 + usize::from(self.alarm.has_entry())
    }

    fn disarm(&self, scheduler: &Scheduler) {
        if !self.armed.replace(false) {
            return;
        }
        if self.alarm.is_set() {
            scheduler.cancel_timer(&self.alarm);
        } else {
            self.disarmed.set(self.disarmed.get() + 1);
        }
    }

    fn leave<T>(&self, scheduler: &Scheduler, ended: Result<T>) -> Result<T> {
        self.disarm(scheduler);
        let task = self.task.take();
        if self.state.get() != State::Expiring {
            self.state.set(State::Finished);
            return ended;
        }
        self.state.set(State::Expired);
        let left = task.map_or(0, |task| task.uncancel());
        match ended {
            Err(error) if error.is_cancelled() && left <= self.cancelling.get() => {
                Err(Error::from(ErrorKind::Timeout))
            }
            ended => ended,
        }
    }
}

impl Timed for Inner {
    fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}

impl Timer for Inner {}

impl Runnable for Inner {
    /// Expires, unless it was disarmed while it was in the queue.
    fn run(self: Rc<Self>, _: &Scheduler) {
        let disarmed = self.disarmed.get();
        if disarmed > 0 {
            self.disarmed.set(disarmed - 1);
            return;
        }
        self.armed.set(false);
        self.state.set(State::Expiring);
        let task = self.task.borrow().clone();
        if let Some(task) = task {
            task.cancel();
        }
    }
}

/// A timeout whose block is running; dropped by a panic, it is left as well.
pub(crate) struct Entered {
    timeout: Timeout,
    scheduler: Rc<Scheduler>,
}

impl Entered {
    /// Ends the block: a cancellation that the timeout caused is converted.
    pub(crate) fn exit<T>(self, ended: Result<T>) -> Result<T> {
        self.timeout.0.leave(&self.scheduler, ended)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let inner = &self.timeout.0;
        if matches!(inner.state.get(), State::Active | State::Expiring) {
            let _panicking = inner.leave::<()>(&self.scheduler, Ok(()));
        }
        if inner.is_spare() {
            self.scheduler.keep_spare_timer(inner.clone());
        }
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, when) = (self.0.state.get(), self.0.when.get());
        f.debug_struct("Timeout").field("state", &state).field("when", &when).finish()
    }
}
