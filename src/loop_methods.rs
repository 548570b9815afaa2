//! What can be asked of an [`EventLoop`]: to run things, and what it knows.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::base_events::{EventLoop, get_running_loop};
use crate::clock::Instant;
use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::handles::{Handle, TimerHandle};
use crate::instruments::Instrument;
use crate::remote::LoopHandle;
use crate::reports::{
    CallbackOutput, ExceptionContext, ExceptionHandler, default_exception_handler,
};
use crate::spawning::TaskBuilder;
use crate::tasks::{AnyTask, Task, current_task, tasks_of};

impl EventLoop {
    // -- what runs on it -------------------------------------------------------------

    /// Starts a task on this loop, running or not.
    ///
    /// # Panics
    ///
    /// If the loop is closed.
    #[track_caller]
    #[doc(alias = "create_task")]
    pub fn spawn<T: 'static>(&self, body: impl FnOnce() -> Result<T> + 'static) -> Task<T> {
        TaskBuilder::new().spawn_on(self.scheduler().clone(), body)
    }

    /// A pending future of this loop.
    #[track_caller]
    pub fn create_future<T: 'static>(&self) -> Future<T> {
        Future::on(self.scheduler().clone())
    }

    /// Has `callback` called in the next iteration, after what is ready already,
    /// in a copy of the present context.
    ///
    /// # Panics
    ///
    /// If the loop is closed; so do `call_later` and `call_at`.
    #[track_caller]
    pub fn call_soon<R: CallbackOutput + 'static>(
        &self,
        callback: impl FnOnce() -> R + 'static,
    ) -> Handle {
        self.check_open("call_soon");
        // What another thread has asked for before this comes before this.
        self.0.remote.drain(self.scheduler());
        self.scheduler().call_soon(callback)
    }

    /// Has `callback` called after that time, never earlier.
    #[track_caller]
    pub fn call_later<R: CallbackOutput + 'static>(
        &self,
        delay: Duration,
        callback: impl FnOnce() -> R + 'static,
    ) -> TimerHandle {
        self.check_open("call_later");
        self.scheduler().call_later(delay, callback)
    }

    /// Has `callback` called when the loop's time is `when`, never earlier. Timers
    /// of the same deadline are called in the order in which they were set.
    #[track_caller]
    pub fn call_at<R: CallbackOutput + 'static>(
        &self,
        when: Instant,
        callback: impl FnOnce() -> R + 'static,
    ) -> TimerHandle {
        self.check_open("call_at");
        self.scheduler().call_at(when, callback)
    }

    #[track_caller]
    fn check_open(&self, operation: &str) {
        assert!(!self.is_closed(), "{operation}: the event loop is closed");
    }

    /// A handle for other threads.
    pub fn handle(&self) -> LoopHandle {
        LoopHandle(self.0.remote.clone())
    }

    // -- what it knows ---------------------------------------------------------------

    /// The time of its clock.
    pub fn time(&self) -> Instant {
        self.scheduler().now()
    }

    /// Its unfinished tasks, in the order of their creation.
    pub fn all_tasks(&self) -> Vec<AnyTask> {
        tasks_of(self.scheduler())
    }

    /// The task that is running on it now.
    pub fn current_task(&self) -> Option<AnyTask> {
        current_task().filter(|task| Rc::ptr_eq(&task.0.core().scheduler, self.scheduler()))
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        self.0.running.get()
    }

    /// Whether it has been closed.
    pub fn is_closed(&self) -> bool {
        self.scheduler().is_closed()
    }

    /// Whether tasks take their first step at once
    /// (`asyncio.eager_task_factory`).
    pub fn set_eager(&self, eager: bool) {
        self.scheduler().eager.set(eager);
    }

    /// Whether debug mode is on (`loop.get_debug`).
    #[doc(alias = "get_debug")]
    pub fn is_debug(&self) -> bool {
        self.scheduler().reports().is_debug()
    }

    /// Turns debug mode on or off ([`LoopBuilder::debug`](crate::LoopBuilder::debug)
    /// says what it does), from the next iteration on.
    pub fn set_debug(&self, debug: bool) {
        self.scheduler().reports().set_debug(debug);
        if !debug {
            self.0.dismiss_watchdog();
        }
    }

    /// How long a step or callback may take before debug mode reports it; 100 ms if
    /// it was not set.
    pub fn slow_callback_duration(&self) -> Duration {
        self.scheduler().reports().slow_step.get()
    }

    /// Sets [`slow_callback_duration`](EventLoop::slow_callback_duration). With zero
    /// every step is reported.
    pub fn set_slow_callback_duration(&self, limit: Duration) {
        self.scheduler().reports().slow_step.set(limit);
    }

    /// How long a [`Lock`](crate::Lock) may be held before debug mode reports it, in
    /// the loop's time; one second if it was not set.
    pub fn slow_lock_duration(&self) -> Duration {
        self.scheduler().reports().slow_lock.get()
    }

    /// Sets [`slow_lock_duration`](EventLoop::slow_lock_duration).
    pub fn set_slow_lock_duration(&self, limit: Duration) {
        self.scheduler().reports().slow_lock.set(limit);
    }

    /// Installs a watcher.
    pub fn add_instrument(&self, instrument: Rc<dyn Instrument>) {
        self.scheduler().add_instrument(instrument);
    }

    /// Sets what is told of errors that nobody waits for.
    pub fn set_exception_handler(&self, handler: impl Fn(&ExceptionContext) + 'static) {
        self.scheduler().reports().set_handler(Some(Rc::new(handler)));
    }

    /// What was set to be told of them, `None` if nothing was
    /// (`loop.get_exception_handler`).
    #[doc(alias = "get_exception_handler")]
    pub fn exception_handler(&self) -> Option<ExceptionHandler> {
        self.scheduler().reports().handler()
    }

    /// Takes it back: errors are reported as
    /// [`default_exception_handler`](EventLoop::default_exception_handler) does
    /// (`loop.set_exception_handler(None)`).
    pub fn reset_exception_handler(&self) {
        self.scheduler().reports().set_handler(None);
    }

    /// Reports an error to the exception handler.
    pub fn call_exception_handler(&self, context: &ExceptionContext) {
        self.scheduler().reports().report(context);
    }

    /// What is done with a report if no handler is set: an event of the `tracing`
    /// crate, or a line on standard error if nobody subscribed to those.
    pub fn default_exception_handler(&self, context: &ExceptionContext) {
        default_exception_handler(context);
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (running, closed) = (self.is_running(), self.is_closed());
        f.debug_struct("EventLoop").field("running", &running).field("closed", &closed).finish()
    }
}

/// [`EventLoop::call_soon`] of the loop that is running.
///
/// # Panics
///
/// If no loop is running on this thread; so do the other two.
#[track_caller]
pub fn call_soon<R: CallbackOutput + 'static>(callback: impl FnOnce() -> R + 'static) -> Handle {
    match get_running_loop() {
        Ok(event_loop) => event_loop.call_soon(callback),
        // While a loop is being closed there is only this.
        Err(_) => running("call_soon").call_soon(callback),
    }
}

/// [`EventLoop::call_later`] of the loop that is running.
///
/// # Panics
///
/// If no loop is running on this thread.
#[track_caller]
pub fn call_later<R: CallbackOutput + 'static>(
    delay: Duration,
    callback: impl FnOnce() -> R + 'static,
) -> TimerHandle {
    running("call_later").call_later(delay, callback)
}

/// [`EventLoop::call_at`] of the loop that is running.
///
/// # Panics
///
/// If no loop is running on this thread.
#[track_caller]
pub fn call_at<R: CallbackOutput + 'static>(
    when: Instant,
    callback: impl FnOnce() -> R + 'static,
) -> TimerHandle {
    running("call_at").call_at(when, callback)
}

#[track_caller]
fn running(operation: &str) -> Rc<Scheduler> {
    match Scheduler::running() {
        Ok(scheduler) => scheduler,
        Err(error) => panic!("{operation}: {error}"),
    }
}
