//! Debug mode's clock for steps, and a thread that speaks while one blocks.
//!
//! One thread runs everything, so a step that computes for long, or waits for
//! something outside of the loop, stops all the others. When such a step has ended
//! the loop's exception handler is told. A step that does not end can tell nobody:
//! so a second thread looks on, and names the task and the place it was last
//! suspended at, while it still blocks.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::dispatcher::{self, Dispatch};

use crate::events::{Runnable, Scheduler, Standing};
use crate::reports::{
    ExceptionContext, ExceptionSource, default_exception_handler, report_anywhere,
};

/// Nobody is told sooner that a step blocks, however short the steps are to be.
const SOONEST: Duration = Duration::from_millis(10);

/// Runs steps and times them.
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
}

impl Watchdog {
    /// Starts to look on. Without a thread to be had, steps are timed all the same.
    pub(crate) fn new() -> Watchdog {
        let shared = Arc::new(Shared::default());
        let looking = shared.clone();
        let named = thread::Builder::new().name("stackio-watchdog".to_owned());
        if let Err(error) = named.spawn(move || looking.look_on()) {
            let text = "debug mode has no thread to watch for steps that block";
            report_anywhere(text, Some(error.into()));
        }
        Watchdog { shared }
    }

    /// Runs one step; reports it if it takes long.
    pub(crate) fn run(&self, scheduler: &Scheduler, runnable: Rc<dyn Runnable>) {
        let begin = runnable.describe();
        let limit = scheduler.reports().slow_step.get();
        let began = Instant::now();
        let tell_after = limit.max(SOONEST);
        // What this thread's subscriber is to hear, and not only the global one.
        let listening = dispatcher::has_been_set().then(|| dispatcher::get_default(Clone::clone));
        let standing = begin.clone();
        let step = Step { standing, began, tell_after, listening };
        let running = Running::begin(&self.shared, step);
        runnable.clone().run(scheduler);
        let took = began.elapsed();
        drop(running);
        if took >= limit {
            scheduler.reports().report(&slow_step(&begin, &runnable.describe(), took));
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // It is not waited for. It may be speaking to something that this thread has
        // locked, and in the child of a fork it does not exist.
        self.shared.lock().ending = true;
        self.shared.changed.notify_one();
    }
}

/// While it lives, the step runs.
struct Running<'a>(&'a Shared);

impl Running<'_> {
    fn begin(shared: &Shared, step: Step) -> Running<'_> {
        let mut state = shared.lock();
        let due = step.due();
        state.step = Some(step);
        // One that sleeps for an earlier step finds this one by itself, mostly in time.
        if due.is_some_and(|due| state.alarm.is_none_or(|alarm| due < alarm)) {
            shared.changed.notify_one();
        }
        Running(shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let step = self.0.lock().step.take();
        // Outside of the lock: its subscriber is the user's.
        drop(step);
    }
}

fn slow_step(begin: &Standing, end: &Standing, took: Duration) -> ExceptionContext {
    let mut text = match &begin.task {
        Some(name) => format!("the task `{name}` took {took:?} for one step"),
        None => format!("a callback took {took:?}"),
    };
    // Writing into a string cannot fail.
    let _ = match (&begin.task, begin.place, end.place) {
        (Some(_), Some(from), _) if end.ended => write!(text, ", from {from} to its end"),
        (Some(_), Some(from), Some(to)) => write!(text, ", from {from} to {to}"),
        (None, Some(place), _) => write!(text, "; it was scheduled at {place}"),
        _ => Ok(()),
    };
    let mut context = ExceptionContext::new(ExceptionSource::SlowStep, text);
    context.task = begin.task.clone();
    context
}

fn blocking(step: &Step, elapsed: Duration) -> ExceptionContext {
    let Standing { task, place, begun, .. } = &step.standing;
    let mut text = match task {
        Some(name) => format!("the task `{name}` has been blocking the event loop for {elapsed:?}"),
        None => format!("a callback has been blocking the event loop for {elapsed:?}"),
    };
    // Writing into a string cannot fail.
    let _ = match (task, place) {
        (Some(_), Some(place)) if *begun => write!(text, ", since it went on from {place}"),
        (Some(_), Some(place)) => write!(text, ", since it began; it was spawned at {place}"),
        (None, Some(place)) => write!(text, "; it was scheduled at {place}"),
        (_, None) => Ok(()),
    };
    let mut context = ExceptionContext::new(ExceptionSource::SlowStep, text);
    context.task = task.clone();
    context
}

/// Says so, on the watchdog's thread. What it says it to is the user's, and may panic.
fn tell(context: &ExceptionContext, listening: Option<Dispatch>) {
    let told = catch_unwind(AssertUnwindSafe(|| match &listening {
        Some(dispatch) => {
            dispatcher::with_default(dispatch, || default_exception_handler(context));
        }
        None => default_exception_handler(context),
    }));
    // The next step is watched as well, and the payload may panic when it is dropped.
    std::mem::forget(told);
}

/// The step that is running.
struct Step {
    standing: Standing,
    began: Instant,
    /// When to speak of it next.
    tell_after: Duration,
    /// Who listens to the thread that runs it; `None` if nobody listens anywhere.
    listening: Option<Dispatch>,
}

impl Step {
    /// The same as a point in time; `None` is never.
    fn due(&self) -> Option<Instant> {
        self.began.checked_add(self.tell_after)
    }
}

#[derive(Default)]
struct State {
    step: Option<Step>,
    /// When the thread last meant to wake; `None` is when somebody wakes it.
    alarm: Option<Instant>,
    ending: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look_on(&self) {
        let mut state = self.lock();
        while !state.ending {
            let Some(step) = &mut state.step else {
                state.alarm = None;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let elapsed = step.began.elapsed();
            if elapsed < step.tell_after {
                let left = step.tell_after - elapsed;
                state.alarm = step.due();
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            // Less often the longer it lasts.
            step.tell_after = elapsed * 2;
            let (context, listening) = (blocking(step, elapsed), step.listening.clone());
            drop(state);
            tell(&context, listening);
            state = self.lock();
        }
    }
}
