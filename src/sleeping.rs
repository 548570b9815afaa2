//! [`sleep`]: a future that is its own timer.

use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

use crate::coroutines::yield_now;
use crate::events::{Runnable, Scheduler, Timer};
use crate::exceptions::Result;
use crate::future_core::{AnyFuture, FutureCore, Promise};
use crate::futures::Future;
use crate::slot::Slot;
use crate::timers::{Alarm, Timed};

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
#[inline]
#[track_caller]
pub fn sleep(duration: Duration) -> Result {
    if duration.is_zero() {
        return yield_now();
    }
    let sleeping = Sleeping::begin(duration)?;
    Future(sleeping.0.clone()).settle()
}

/// While it lives, the alarm is set; and nobody hears of it any more after that.
struct Sleeping(Rc<Sleeper>);

impl Sleeping {
    #[track_caller]
    fn begin(duration: Duration) -> Result<Sleeping> {
        let scheduler = Scheduler::running()?;
        let when = scheduler.now() + duration;
        let core = FutureCore::new(scheduler);
        let sleeper = Rc::new(Sleeper { core, slot: Slot::empty(), alarm: Alarm::default() });
        sleeper.core.scheduler.set_timer(when, &sleeper);
        Ok(Sleeping(sleeper))
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        let core = &self.0.core;
        core.scheduler.cancel_timer(&self.0.alarm);
        if !core.is_done() {
            // Given up where the task was ended: it would own the task until its time came.
            core.cancel(self.0.clone(), None);
        }
    }
}

/// Finished by its alarm.
struct Sleeper {
    core: FutureCore,
    slot: Slot<()>,
    alarm: Alarm,
}

impl Timed for Sleeper {
    fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}

impl Timer for Sleeper {}

impl Runnable for Sleeper {
    fn run(self: Rc<Self>) {
        if !self.core.is_done() {
            self.slot.put(());
            self.core.finish(self.clone());
        }
    }
}

impl AnyFuture for Sleeper {
    fn core(&self) -> &FutureCore {
        &self.core
    }

    fn cancel_any(self: Rc<Self>, message: Option<&str>) -> bool {
        self.core.cancel(self.clone(), message)
    }

    fn typed(self: Rc<Self>) -> Box<dyn Any> {
        Box::new(Future(self as Rc<dyn Promise<()>>))
    }

    fn title(&self) -> String {
        "a timer".to_owned()
    }
}

impl Promise<()> for Sleeper {
    fn slot(&self) -> &Slot<()> {
        &self.slot
    }
}
