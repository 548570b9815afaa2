//! How a task drives its coroutine: step and wakeup.
//!
//! ```text
//!            +--------------------- wakeup: the future is done ------------------+
//!            v                                                                   |
//!   step: send (or throw) ---> the coroutine yields a future: add_done_callback -+
//!            |            \--> it yields nothing: call_soon(step)
//!            v
//!         it ends: the task, being a future, gets the result
//! ```
//!
//! An unfinished task is always in one of three states: it waits for a future,
//! with its wakeup among that future's callbacks; or its next step is in the
//! ready queue; or it is running. A step that is queued is remembered in
//! `pending`, so there is never more than one.

use std::rc::Rc;

use crate::context::Variables;
use crate::coroutines::replace_current;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::resuming;
use crate::future_core::{AnyFuture, CallbackId};
use crate::instruments::{FlowEvent, Outcome, TaskRef};
use crate::task_core::{Pending, TaskObject, unregister};

/// Puts the task's next step into the ready queue.
#[inline(always)]
pub(crate) fn push(task: Rc<dyn TaskObject>, pending: Pending) {
    // One that is disposed of may still be among the callbacks of what it waited for.
    if task.core().is_done() || task.task().coroutine.disposed.get() {
        return;
    }
    task.task().pending.set(pending);
    let scheduler = &task.core().scheduler;
    if scheduler.is_watched() {
        let name = task.task().title();
        let task = Some(TaskRef { id: task.core().id(), name: &name });
        scheduler.emit(&FlowEvent::CallSoon { task });
    }
    scheduler.clone().push(task);
}

/// Schedules the first step.
pub(crate) fn schedule_first_step(task: Rc<dyn TaskObject>) {
    push(task, Pending::Send);
}

pub(crate) fn run_pending(task: Rc<dyn TaskObject>) {
    let error = match task.task().pending.replace(Pending::None) {
        Pending::None => return,
        Pending::Send => None,
        Pending::Throw(error) => Some(error),
        Pending::Wakeup(future) => future.core().take_error(),
    };
    step(task, error);
}

/// One step: sends into the coroutine, or throws the error in, and deals with
/// what it yields or how it ends.
///
/// The switch confuses the processor's prediction of returns, each of which then
/// costs as much as the switch: from `run_pending` to it all is inlined.
#[inline(always)]
fn step(task: Rc<dyn TaskObject>, mut error: Option<Error>) {
    let core = task.task();
    if core.must_cancel.replace(false) && !error.as_ref().is_some_and(Error::is_cancelled) {
        error = Some(core.cancellation());
    }
    let waiter = core.waiter.take();
    drop(waiter);
    resume(task, error);
}

/// Runs the first step of an eager task right now, inside whatever is running, which
/// may be something that must not wait itself.
pub(crate) fn step_eagerly(task: Rc<dyn TaskObject>) {
    resuming(|| resume(task, None));
}

/// Resumes a task of a loop that is being closed, where its steps do not wait for
/// their turn; what it waited for is forgotten.
pub(crate) fn dispose(task: Rc<dyn TaskObject>) {
    let waiter = task.task().waiter.take();
    drop(waiter);
    task.task().pending.set(Pending::None);
    task.task().coroutine.disposed.set(true);
    resume(task, Some(Error::cancelled_with("the event loop is closing")));
}

/// Unwinds a task that refuses to end; false if even that cannot be, and the task
/// is given up.
pub(crate) fn force_end(task: Rc<dyn TaskObject>) -> bool {
    // Current all the while: a body that swallows the unwinding and goes on to
    // wait has to come to the door, where the next one begins.
    let former = replace_current(Some(task.clone()));
    Variables::swap(&task.task().context);
    let unwound = task.task().coroutine.fiber.unwind();
    Variables::swap(&task.task().context);
    drop(replace_current(former));
    if unwound {
        end(task);
        return true;
    }
    unregister(task.task());
    false
}

#[inline(always)]
fn resume(task: Rc<dyn TaskObject>, error: Option<Error>) {
    let core = task.task();
    let watched = task.core().scheduler.is_watched();
    if watched {
        emit_resume(&*task, error.as_ref());
        if task.core().is_done() {
            // The watcher had it ended.
            return;
        }
    }
    let former = replace_current(Some(task.clone()));
    Variables::swap(&core.context);
    let ended = run_coroutine(&task, error);
    Variables::swap(&core.context);
    drop(replace_current(former));
    if ended {
        end(task);
    } else {
        let awaited = core.coroutine.awaited.take();
        if watched {
            emit_yield(&*task, awaited.as_deref());
        }
        match awaited {
            None => push(task, Pending::Send),
            Some(future) => wait_for(task, future),
        }
    }
}

/// Starts or resumes the coroutine; true if it has ended.
#[inline(always)]
fn run_coroutine(task: &Rc<dyn TaskObject>, error: Option<Error>) -> bool {
    let core = task.task();
    if core.coroutine.fiber.is_idle() {
        // Thrown into before it started, a body does not run at all.
        let started = error.map_or_else(|| task.clone().start(), Err);
        if let Err(error) = started {
            task.drop_body();
            core.ended.set(Some(Err(error)));
            return true;
        }
    } else {
        core.coroutine.thrown.set(error);
    }
    core.coroutine.fiber.resume()
}

/// The coroutine has yielded a future.
fn wait_for(task: Rc<dyn TaskObject>, future: Rc<dyn AnyFuture>) {
    let refusal = if Rc::ptr_eq(&future.core().scheduler, &task.core().scheduler) {
        (future.core().id() == task.core().id())
            .then(|| format!("the task `{}` cannot await on itself", task.task().title()))
    } else {
        Some(format!("{} belongs to a different loop", future.label()))
    };
    if let Some(text) = refusal {
        return push(task, Pending::Throw(Error::text(ErrorKind::Runtime, text)));
    }
    let core = task.task();
    *core.waiter.borrow_mut() = Some(future.clone());
    let id = CallbackId::of(task.core().id());
    future.core().add_callback(|| future.clone(), id, task.clone());
    if core.must_cancel.get() {
        let message = core.cancel_message();
        if future.cancel_any(message.as_deref()) {
            core.must_cancel.set(false);
        }
    }
}

/// The coroutine has ended: the task gets its outcome.
fn end(task: Rc<dyn TaskObject>) {
    let core = task.task();
    let ended = core.ended.take().unwrap_or_else(|| Err(Error::cancelled()));
    if task.core().scheduler.is_watched() {
        emit_return(&*task, &ended);
    }
    unregister(core);
    match ended {
        Ok(()) if core.must_cancel.replace(false) => {
            task.drop_result();
            let message = core.cancel_message();
            task.core().cancel(task.clone(), message.as_deref());
        }
        Ok(()) => task.core().finish(task.clone()),
        Err(error) if error.is_cancelled() => {
            task.core().cancel_for_first_reader(task.clone(), error);
        }
        Err(error) => {
            if error.is_interrupt() {
                task.core().scheduler.reports().interrupt(error.clone());
            }
            task.core().fail(task.clone(), error);
        }
    }
}

// -- what watchers are told ----------------------------------------------------

#[cold]
fn emit_resume(task: &dyn TaskObject, error: Option<&Error>) {
    let name = task.task().title();
    let seen = TaskRef { id: task.core().id(), name: &name };
    task.core().scheduler.emit(&match error {
        None => FlowEvent::Send { task: seen },
        Some(error) => FlowEvent::Throw { task: seen, error },
    });
}

#[cold]
fn emit_yield(task: &dyn TaskObject, future: Option<&dyn AnyFuture>) {
    let name = task.task().title();
    let seen = TaskRef { id: task.core().id(), name: &name };
    let future = future.map(|future| future.core().id());
    task.core().scheduler.emit(&FlowEvent::Yield { task: seen, future });
}

#[cold]
fn emit_return(task: &dyn TaskObject, ended: &Result) {
    let name = task.task().title();
    let seen = TaskRef { id: task.core().id(), name: &name };
    let outcome = match ended {
        Ok(()) if task.task().must_cancel.get() => Outcome::Cancelled,
        Ok(()) => Outcome::Result,
        Err(error) if error.is_cancelled() => Outcome::Cancelled,
        Err(_) => Outcome::Exception,
    };
    task.core().scheduler.emit(&FlowEvent::Return { task: seen, outcome });
}
