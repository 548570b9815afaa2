//! The end of a loop, and of tasks that cannot go on.
//!
//! Closing a loop makes every task end that has not: it is resumed with an error
//! of kind `Cancelled`, and gets it again at every attempt to wait, until it
//! returns. One that refuses for ever is unwound, and where even that cannot be,
//! its stack is leaked and reported: a leak is safe where a free is not.

use std::rc::Rc;

use crate::base_events::{EventLoop, Inner};
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::future_core::AnyFuture;
use crate::reports::{ExceptionContext, ExceptionSource};
use crate::steps::{dispose, force_end};
use crate::task_core::{BodyState, TaskObject, task_core, unfinished, unfinished_task};

/// How many times closing a loop looks for tasks that others have spawned.
const DISPOSAL_ROUNDS: usize = 16;

impl EventLoop {
    // -- the end -------------------------------------------------------------------------

    /// Closes the loop. Tasks that have not ended are made to: they are resumed
    /// with an error of kind `Cancelled`, and get it again at every attempt to
    /// wait, until they return; one that refuses for ever is unwound.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the loop is running. Closing twice does nothing.
    pub fn close(&self) -> Result {
        if self.is_running() {
            return Err(Error::text(ErrorKind::Runtime, "cannot close a running event loop"));
        }
        self.0.close();
        Ok(())
    }
}

/// Makes a task end now, wherever it stands; false if that cannot be. One whose body
/// has ended counts, though further up the stack it is only about to be completed.
fn end_task(task: &Rc<dyn TaskObject>) -> bool {
    if task.task().coroutine.fiber.is_finished() {
        return true;
    }
    let is_dropping = task.task().body_state.get() == BodyState::Dropping;
    if task.task().coroutine.fiber.is_running() || is_dropping {
        return false;
    }
    if !task.core().is_done() {
        dispose(task);
    }
    task.core().is_done() || force_end(task)
}

/// The same, for a task of which one has only the future.
pub(crate) fn end_now(future: &Rc<dyn AnyFuture>) -> bool {
    match unfinished_task(&**future) {
        Some(task) => end_task(&task),
        None => {
            let core = task_core(&**future);
            future.core().is_done() || core.is_some_and(|core| core.coroutine.fiber.is_finished())
        }
    }
}

impl Inner {
    fn close(&self) {
        // What ends may call this again.
        if self.closing.replace(true) {
            return;
        }
        let debug = self.scheduler.reports().is_debug();
        let running = Running::replace(Some(self.scheduler.clone()));
        if debug {
            for task in unfinished(&self.scheduler) {
                let text = "a task was still pending when its loop was closed";
                self.scheduler.reports().report(&about(&*task, text));
            }
        }
        for _ in 0..DISPOSAL_ROUNDS {
            let tasks = unfinished(&self.scheduler);
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                if !end_task(&task) {
                    self.report_leak(&*task);
                }
            }
        }
        drop(running);
        if debug {
            self.driver.report_open();
        }
        self.driver.close();
        self.dismiss_watchdog();
        self.scheduler.close();
        self.remote.close();
    }

    fn report_leak(&self, task: &dyn AnyFuture) {
        let text = "a task could not be ended when the loop was closed; its stack is leaked";
        self.scheduler.reports().report(&about(task, text));
    }
}

fn about(task: &dyn AnyFuture, text: &str) -> ExceptionContext {
    let core = task_core(task);
    let place = core.and_then(|core| core.coroutine.suspended_at.get());
    let place = place.map(|place| format!("; it was suspended at {place}")).unwrap_or_default();
    let mut context = ExceptionContext::new(ExceptionSource::Leaked, format!("{text}{place}"));
    context.task = core.map(|core| core.title());
    context.created_at = Some(task.core().created_at);
    context
}

/// Another scheduler is the running one while this lives.
struct Running(Option<Rc<Scheduler>>);

impl Running {
    fn replace(scheduler: Option<Rc<Scheduler>>) -> Running {
        Running(Scheduler::replace_running(scheduler))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(Scheduler::replace_running(self.0.take()));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
