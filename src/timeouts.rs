//! [`timeout`]: a deadline for a block of code, and [`sleep`].
//!
//! A timeout cancels the task when its deadline passes, and turns that
//! cancellation, and no other, into an error of kind `Timeout` when the block is
//! left. Which one it is, the task's count of requests tells: the timeout takes
//! its own request back, and only if none is left over that came meanwhile is the
//! cancellation its own.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Instant;
use crate::coroutines::yield_now;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::futures::Future;
use crate::handles::{Handle, TimerHandle};
use crate::tasks::{AnyTask, current_task};

/// Suspends the current task for at least that long; zero is a bare yield.
///
/// # Errors
///
/// Kind `Cancelled` if the task is cancelled; kind `Runtime` outside of a task.
///
/// ```
/// use stackio::{millis, sleep};
/// stackio::run(|| sleep(millis(1)))?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Result {
    if duration.is_zero() {
        return yield_now();
    }
    let scheduler = Scheduler::running()?;
    let future = Future::about("a timer", scheduler.clone());
    let sleeper = future.clone();
    let timer = scheduler.call_later(duration, move || {
        if !sleeper.done() { sleeper.set_result(()) } else { Ok(()) }
    });
    let slept = future.settle();
    timer.cancel();
    slept
}

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
#[track_caller]
pub fn timeout<T>(delay: Duration, block: impl FnOnce(&Timeout) -> Result<T>) -> Result<T> {
    let entered = Timeout::begin(delay)?;
    let ended = block(&entered.0);
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not entered yet.
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

enum Alarm {
    Soon(Handle),
    Later(TimerHandle),
}

impl Alarm {
    fn cancel(&self) {
        match self {
            Alarm::Soon(handle) => handle.cancel(),
            Alarm::Later(timer) => timer.cancel(),
        }
    }
}

struct Inner {
    state: Cell<State>,
    when: Cell<Option<Instant>>,
    alarm: RefCell<Option<Alarm>>,
    task: RefCell<Option<AnyTask>>,
    /// The task's count of requests on entry.
    cancelling: Cell<u32>,
}

/// A deadline for one block of code (`asyncio.Timeout`).
///
/// A handle, cheap to clone. [`timeout`] makes and enters one in one go.
#[derive(Clone)]
pub struct Timeout(Rc<Inner>);

impl Timeout {
    /// A timeout that expires at `when`; never, if it is `None`.
    pub fn new(when: Option<Instant>) -> Timeout {
        Timeout(Rc::new(Inner {
            state: Cell::new(State::Created),
            when: Cell::new(when),
            alarm: RefCell::new(None),
            task: RefCell::new(None),
            cancelling: Cell::new(0),
        }))
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
        let entered = self.clone().enter(&scheduler, now)?;
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
        let scheduler = Scheduler::running()?;
        self.disarm();
        let now = scheduler.now();
        self.arm(&scheduler, when, now);
        Ok(())
    }

    /// Sets the deadline and the alarm for it.
    fn arm(&self, scheduler: &Rc<Scheduler>, when: Option<Instant>, now: Instant) {
        self.0.when.set(when);
        let inner = self.0.clone();
        let expire = move || inner.expire();
        *self.0.alarm.borrow_mut() = when.map(|when| {
            if when <= now {
                Alarm::Soon(scheduler.call_soon(expire))
            } else {
                Alarm::Later(scheduler.call_at(when, expire))
            }
        });
    }

    fn disarm(&self) {
        let alarm = self.0.alarm.take();
        if let Some(alarm) = alarm {
            alarm.cancel();
        }
    }

    /// Begins a block that may take so long. The clock is read once, which is most of
    /// what a deadline that does not pass costs.
    pub(crate) fn begin(delay: Duration) -> Result<Entered> {
        let scheduler = Scheduler::running()?;
        let now = scheduler.now();
        Timeout::new(Some(now + delay)).enter(&scheduler, now)
    }

    fn enter(self, scheduler: &Rc<Scheduler>, now: Instant) -> Result<Entered> {
        if self.0.state.get() != State::Created {
            let text = "the timeout has already been entered";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        let task = current_task()
            .ok_or_else(|| Error::text(ErrorKind::Runtime, "a timeout works only inside a task"))?;
        self.0.cancelling.set(task.cancelling());
        *self.0.task.borrow_mut() = Some(task);
        self.0.state.set(State::Active);
        self.arm(scheduler, self.0.when.get(), now);
        Ok(Entered(self))
    }

    fn leave<T>(&self, ended: Result<T>) -> Result<T> {
        self.disarm();
        let task = self.0.task.take();
        if self.0.state.get() != State::Expiring {
            self.0.state.set(State::Finished);
            return ended;
        }
        self.0.state.set(State::Expired);
        let left = task.map_or(0, |task| task.uncancel());
        match ended {
            Err(error) if error.is_cancelled() && left <= self.0.cancelling.get() => {
                Err(Error::from(ErrorKind::Timeout))
            }
            ended => ended,
        }
    }
}

impl Inner {
    fn expire(&self) {
        self.state.set(State::Expiring);
        let alarm = self.alarm.take();
        let task = self.task.borrow().clone();
        if let Some(task) = task {
            task.cancel();
        }
        drop(alarm);
    }
}

/// A timeout whose block is running; dropped by a panic, it is left as well.
pub(crate) struct Entered(Timeout);

impl Entered {
    /// Ends the block: a cancellation that the timeout caused is converted.
    pub(crate) fn exit<T>(self, ended: Result<T>) -> Result<T> {
        self.0.leave(ended)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if matches!(self.0.0.state.get(), State::Active | State::Expiring) {
            let _panicking = self.0.leave::<()>(Ok(()));
        }
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, when) = (self.0.state.get(), self.0.when.get());
        f.debug_struct("Timeout").field("state", &state).field("when", &when).finish()
    }
}
