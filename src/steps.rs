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
//! `queued`, so there is never more than one.

use std::rc::Rc;

use crate::context::Variables;
use crate::coroutines::Entered;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::resuming;
use crate::future_core::{AnyFuture, CallbackId};
use crate::instruments::{FlowEvent, Outcome, TaskRef};
use crate::task_core::{TaskCore, TaskObject, unregister};

/// Notes that the task's next step is being queued; false if there is none any more.
#[inline(always)]
pub(crate) fn begin_queueing(core: &TaskCore, scheduler: &Scheduler) -> bool {
    // One that is disposed of may still be among the callbacks of what it waited for.
    if core.coroutine.fiber.ending.get() {
        return false;
    }
    core.queued.set(true);
    if scheduler.is_watched() {
        emit_call_soon(core);
    }
    true
}

/// Puts the task's next step into the ready queue.
#[inline(always)]
pub(crate) fn push(task: Rc<dyn TaskObject>, core: &TaskCore, scheduler: &Scheduler) {
    if begin_queueing(core, scheduler) {
        scheduler.push(task);
    }
}

/// One step: sends into the coroutine, or throws the error in, and deals with
/// what it yields or how it ends. `core` is the task's, borrowed by whoever keeps it.
///
/// The switch confuses the processor's prediction of returns, each of which then
/// costs as much as the switch: from here to it all is inlined.
pub(crate) fn run_pending(task: Rc<dyn TaskObject>, core: &TaskCore, scheduler: &Scheduler) {
    if !core.queued.replace(false) {
        return;
    }
    // It was woken by that.
    if let Some(future) = core.coroutine.take_awaited() {
        core.coroutine.thrown.set(future.core().take_error());
    }
    if core.must_cancel.replace(false) {
        be_cancelled(core);
    }
    let resumed = resume(&task, core, scheduler);
    go_on(task, core, scheduler, resumed);
}

/// A cancellation takes the place of what would be sent or thrown, unless that is one.
#[cold]
fn be_cancelled(core: &TaskCore) {
    let thrown = core.coroutine.thrown.take().filter(Error::is_cancelled);
    core.coroutine.thrown.set(Some(thrown.unwrap_or_else(|| core.cancellation())));
}

/// Runs the first step of an eager task right now, inside whatever is running, which
/// may be something that must not wait itself.
pub(crate) fn step_eagerly(task: Rc<dyn TaskObject>, core: &TaskCore) {
    let scheduler = &*core.future.scheduler;
    let resumed = resuming(|| resume(&task, core, scheduler));
    go_on(task, core, scheduler, resumed);
}

/// Resumes a task of a loop that is being closed, where its steps do not wait for
/// their turn; what it waited for is forgotten.
pub(crate) fn dispose(task: &Rc<dyn TaskObject>) {
    let core = task.task();
    let awaited = core.coroutine.take_awaited();
    drop(awaited);
    core.queued.set(false);
    core.coroutine.fiber.ending.set(true);
    core.coroutine.thrown.set(Some(Error::cancelled_with("the event loop is closing")));
    let scheduler = &*core.future.scheduler;
    let resumed = resume(task, core, scheduler);
    go_on(task.clone(), core, scheduler, resumed);
}

/// Unwinds a task that refuses to end; false if even that cannot be, and the task
/// is given up.
pub(crate) fn force_end(task: &Rc<dyn TaskObject>) -> bool {
    let core = task.task();
    // Current all the while: a body that swallows the unwinding and goes on to
    // wait has to come to the door, where the next one begins.
    let entered = Entered::new(&core.coroutine);
    Variables::swap(&core.context);
    let unwound = core.coroutine.fiber.unwind();
    Variables::swap(&core.context);
    drop(entered);
    if unwound {
        end(task.clone(), core);
        return true;
    }
    unregister(core);
    false
}

/// How a coroutine has come back.
enum Resumed {
    Yielded,
    Awaits(Rc<dyn AnyFuture>),
    Ended,
    /// It was not resumed: a watcher had the task ended.
    Gone,
}

#[inline(always)]
fn resume(task: &Rc<dyn TaskObject>, core: &TaskCore, scheduler: &Scheduler) -> Resumed {
    let watched = scheduler.is_watched();
    if watched {
        emit_resume(core);
        if core.future.is_done() {
            return Resumed::Gone;
        }
    }
    let entered = Entered::new(&core.coroutine);
    Variables::swap(&core.context);
    let ended = run_coroutine(task, core);
    Variables::swap(&core.context);
    drop(entered);
    if ended {
        return Resumed::Ended;
    }
    let awaited = core.coroutine.take_awaited();
    if watched {
        emit_yield(core, awaited.as_deref());
    }
    awaited.map_or(Resumed::Yielded, Resumed::Awaits)
}

#[inline(always)]
fn go_on(task: Rc<dyn TaskObject>, core: &TaskCore, scheduler: &Scheduler, resumed: Resumed) {
    match resumed {
        Resumed::Yielded => push(task, core, scheduler),
        Resumed::Awaits(future) => wait_for(task, core, future),
        Resumed::Ended => end(task, core),
        Resumed::Gone => {}
    }
}

/// Starts or resumes the coroutine; true if it has ended.
#[inline(always)]
fn run_coroutine(task: &Rc<dyn TaskObject>, core: &TaskCore) -> bool {
    if core.coroutine.fiber.is_idle() {
        // Thrown into before it started, a body does not run at all.
        let started = match core.coroutine.thrown.take() {
            None => task.clone().start(),
            Some(error) => Err(error),
        };
        if let Err(error) = started {
            task.drop_body();
            core.raise(error);
            return true;
        }
    }
    core.coroutine.fiber.resume()
}

/// The coroutine has yielded a future.
///
/// Not inlined: inlined, each step of ten thousand tasks in turn takes half as long again
/// (measured; probably the processor then does not see as far as the next task).
#[inline(never)]
fn wait_for(task: Rc<dyn TaskObject>, core: &TaskCore, future: Rc<dyn AnyFuture>) {
    let awaited = future.core();
    if !Rc::ptr_eq(&awaited.scheduler, &core.future.scheduler) || awaited.id() == core.future.id() {
        return refuse(task, core, &*future);
    }
    core.coroutine.set_awaited(future.clone());
    let id = CallbackId::of(core.future.id());
    awaited.add_callback(|| future.clone(), id, task);
    if core.must_cancel.get() {
        let message = core.cancel_message();
        if future.clone().cancel_any(message.as_deref()) {
            core.must_cancel.set(false);
        }
    }
}

/// A future that it cannot wait for: it is told so.
#[cold]
fn refuse(task: Rc<dyn TaskObject>, core: &TaskCore, future: &dyn AnyFuture) {
    let text = match future.core().id() == core.future.id() {
        true => format!("the task `{}` cannot await on itself", core.title()),
        false => format!("{} belongs to a different loop", future.label()),
    };
    core.coroutine.thrown.set(Some(Error::text(ErrorKind::Runtime, text)));
    push(task, core, &core.future.scheduler);
}

/// The coroutine has ended: the task gets its outcome.
fn end(task: Rc<dyn TaskObject>, core: &TaskCore) {
    // Nothing wakes it any more.
    core.coroutine.fiber.ending.set(true);
    let ended = core.outcome();
    if core.future.scheduler.is_watched() {
        emit_return(core, &ended);
    }
    unregister(core);
    match ended {
        Ok(()) if core.must_cancel.replace(false) => {
            task.drop_result();
            let message = core.cancel_message();
            core.future.cancel(task.clone(), message.as_deref());
        }
        Ok(()) => core.future.finish(task.clone()),
        Err(error) if error.is_cancelled() => {
            core.future.cancel_for_first_reader(task.clone(), error);
        }
        Err(error) => {
            if error.is_interrupt() {
                core.future.scheduler.reports().interrupt(error.clone());
            }
            core.future.fail(task.clone(), error);
        }
    }
}

// -- what watchers are told ----------------------------------------------------

fn seen<'a>(core: &TaskCore, name: &'a str) -> TaskRef<'a> {
    TaskRef { id: core.future.id(), name }
}

#[cold]
fn emit_call_soon(core: &TaskCore) {
    let name = core.title();
    core.future.scheduler.emit(&FlowEvent::CallSoon { task: Some(seen(core, &name)) });
}

#[cold]
fn emit_resume(core: &TaskCore) {
    let (name, error) = (core.title(), core.coroutine.thrown.take());
    let task = seen(core, &name);
    core.future.scheduler.emit(&match &error {
        None => FlowEvent::Send { task },
        Some(error) => FlowEvent::Throw { task, error },
    });
    core.coroutine.thrown.set(error);
}

#[cold]
fn emit_yield(core: &TaskCore, future: Option<&dyn AnyFuture>) {
    let name = core.title();
    let future = future.map(|future| future.core().id());
    core.future.scheduler.emit(&FlowEvent::Yield { task: seen(core, &name), future });
}

#[cold]
fn emit_return(core: &TaskCore, ended: &Result) {
    let name = core.title();
    let outcome = match ended {
        Ok(()) if core.must_cancel.get() => Outcome::Cancelled,
        Ok(()) => Outcome::Result,
        Err(error) if error.is_cancelled() => Outcome::Cancelled,
        Err(_) => Outcome::Exception,
    };
    core.future.scheduler.emit(&FlowEvent::Return { task: seen(core, &name), outcome });
}
