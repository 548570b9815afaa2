//! [`sleep`]: a future that is its own timer.

use std::any::Any;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::coroutines::yield_now;
use crate::events::{Runnable, Scheduler, Timer};
use crate::exceptions::Result;
use crate::future_core::{AnyFuture, FutureCore, Promise};
use crate::futures::Future;
use crate::slot::Slot;
use crate::sys::spares;
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
    let sleeper = Sleeper::begin(duration)?;
    let sleeping = Sleeping(Some(sleeper.clone()));
    let slept = Future(sleeper).settle();
    drop(sleeping);
    slept
}

/// While it lives, the alarm is set; and nobody hears of it any more after that.
struct Sleeping(Option<Rc<Sleeper>>);

impl Drop for Sleeping {
    fn drop(&mut self) {
        let Some(sleeper) = self.0.take() else { return };
        let core = &sleeper.core;
        core.scheduler.cancel_timer(&sleeper.alarm);
        if !core.is_done() {
            // Given up where the task was ended: it would own the task until its time came.
            core.cancel(sleeper.clone(), None);
        }
        spares::give_back(sleeper);
    }
}

/// Finished by its alarm.
struct Sleeper {
    core: FutureCore,
    slot: Slot<()>,
    alarm: Alarm,
}

impl Sleeper {
    #[track_caller]
    fn begin(duration: Duration) -> Result<Rc<Sleeper>> {
        let scheduler = Scheduler::running()?;
        let when = scheduler.now() + duration;
        let created_at = Location::caller();
        let sleeper = spares::make(|| Sleeper {
            core: FutureCore::made_at(scheduler, created_at),
            slot: Slot::empty(),
            alarm: Alarm::default(),
        });
        sleeper.core.scheduler.set_timer(when, &sleeper);
        Ok(sleeper)
    }
}

impl Timed for Sleeper {
    fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}

impl Timer for Sleeper {}

impl Runnable for Sleeper {
    fn run(self: Rc<Self>, _: &Scheduler) {
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
