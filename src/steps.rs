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

use crate::callback_id::CallbackId;
use crate::context::Variables;
use crate::coroutines::Entered;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::resuming;
use crate::future_core::AnyFuture;
use crate::instruments::{FlowEvent, Outcome, TaskRef};
use crate::task_core::{TaskCore, TaskObject, unregister};

/// Notes that the task's next step is being queued; false if there is none any more.
#[inline(always)]
pub(crate) fn begin_queueing(core: &TaskCore, scheduler: &Scheduler) -> bool {
    // One that is disposed of may still be among the callbacks of what it waited for.
    if core.coroutine.fiber.is_ending() {
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
pub(crate) fn push<T: TaskObject + ?Sized>(task: Rc<T>, scheduler: &Scheduler) {
    if begin_queueing(task.task(), scheduler) {
        scheduler.push(task.object());
    }
}

/// One step: sends into the coroutine, or throws the error in, and deals with
/// what it yields or how it ends.
///
/// The switch confuses the processor's prediction of returns, each of which then
/// costs as much as the switch: from here to it all is inlined.
#[inline(always)]
pub(crate) fn run_pending<T: TaskObject>(task: Rc<T>, scheduler: &Scheduler) {
    let core = task.task();
    if !core.queued.replace(false) {
        return;
    }
    // It was woken by that.
    if let Some(future) = core.coroutine.take_awaited() {
        core.coroutine.thrown.set(future.core().take_error());
    }
    if core.must_cancel.get() {
        be_cancelled(core);
    }
    let resumed = resume(&task, scheduler);
    go_on(task, scheduler, resumed);
}

/// A cancellation takes the place of what would be sent or thrown, unless that is one.
#[cold]
fn be_cancelled(core: &TaskCore) {
    core.must_cancel.set(false);
    let thrown = core.coroutine.thrown.take().filter(Error::is_cancelled);
    core.coroutine.thrown.set(Some(thrown.unwrap_or_else(|| core.cancellation())));
}

/// Runs the first step of an eager task right now, inside whatever is running, which
/// may be something that must not wait itself.
#[cold]
pub(crate) fn step_eagerly(task: Rc<dyn TaskObject>, scheduler: &Scheduler) {
    let resumed = resuming(|| resume(&task, scheduler));
    go_on(task, scheduler, resumed);
}

/// Resumes a task of a loop that is being closed, where its steps do not wait for
/// their turn; what it waited for is forgotten.
pub(crate) fn dispose(task: &Rc<dyn TaskObject>) {
    let core = task.task();
    let awaited = core.coroutine.take_awaited();
    drop(awaited);
    core.queued.set(false);
    core.coroutine.fiber.end();
    core.coroutine.thrown.set(Some(Error::cancelled_with("the event loop is closing")));
    let scheduler = &*core.future.scheduler;
    let resumed = resume(task, scheduler);
    go_on(task.clone(), scheduler, resumed);
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
        end(task);
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
fn resume<T: TaskObject + ?Sized>(task: &Rc<T>, scheduler: &Scheduler) -> Resumed {
    let core = task.task();
    let watched = scheduler.is_watched();
    if watched {
        emit_resume(core);
        if core.future.is_done() {
            return Resumed::Gone;
        }
    }
    let entered = Entered::new(&core.coroutine);
    Variables::swap(&core.context);
    let ended = run_coroutine(task);
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
fn go_on<T: TaskObject + ?Sized>(task: Rc<T>, scheduler: &Scheduler, resumed: Resumed) {
    match resumed {
        Resumed::Yielded => push(task, scheduler),
        Resumed::Awaits(future) => wait_for(task, future),
        Resumed::Ended => {
            end(&task.clone().object());
            task.retire();
        }
        Resumed::Gone => {}
    }
}

/// Starts or resumes the coroutine; true if it has ended.
#[inline(always)]
fn run_coroutine<T: TaskObject + ?Sized>(task: &Rc<T>) -> bool {
    let fiber = &task.task().coroutine.fiber;
    if fiber.is_idle() && !start(task) {
        return true;
    }
    fiber.resume()
}

/// Starts the coroutine; false if it has ended without that.
#[inline(never)]
fn start<T: TaskObject + ?Sized>(task: &Rc<T>) -> bool {
    // Thrown into before it started, a body does not run at all.
    let started = match task.task().coroutine.thrown.take() {
        None => task.clone().start(),
        Some(error) => Err(error),
    };
    if let Err(error) = started {
        task.drop_body();
        task.task().raise(error);
        return false;
    }
    true
}

/// The coroutine has yielded a future.
///
/// Not inlined: inlined, each step of ten thousand tasks in turn takes half as long again
/// (measured; probably the processor then does not see as far as the next task).
#[inline(never)]
fn wait_for<T: TaskObject + ?Sized>(task: Rc<T>, future: Rc<dyn AnyFuture>) {
    let (core, awaited) = (task.task(), future.core());
    if !Rc::ptr_eq(&awaited.scheduler, &core.future.scheduler) || awaited.id() == core.future.id() {
        return refuse(task.object(), &*future);
    }
    core.coroutine.set_awaited(future.clone());
    let id = CallbackId::of(core.future.id());
    let cancelled = core.must_cancel.get().then(|| task.clone());
    awaited.add_callback(|| future.clone(), id, task.object());
    if let Some(task) = cancelled {
        cancel_what_it_waits_for(task.task(), future);
    }
}

#[cold]
fn cancel_what_it_waits_for(core: &TaskCore, future: Rc<dyn AnyFuture>) {
    let message = core.cancel_message();
    if future.cancel_any(message.as_deref()) {
        core.must_cancel.set(false);
    }
}

/// A future that it cannot wait for: it is told so.
#[cold]
fn refuse(task: Rc<dyn TaskObject>, future: &dyn AnyFuture) {
    let core = task.task();
    let text = match future.core().id() == core.future.id() {
        true => format!("the task `{}` cannot await on itself", core.title()),
        false => format!("{} belongs to a different loop", future.label()),
    };
    core.coroutine.thrown.set(Some(Error::text(ErrorKind::Runtime, text)));
    let scheduler = core.future.scheduler.clone();
    push(task, &scheduler);
}

/// The coroutine has ended: the task gets its outcome.
fn end(task: &Rc<dyn TaskObject>) {
    let core = task.task();
    // Nothing wakes it any more.
    core.coroutine.fiber.end();
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
