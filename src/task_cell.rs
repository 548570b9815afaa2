//! A task with its types: the body that runs, the result that it gives.

#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::context::Variables;
use crate::events::{Runnable, Scheduler, Standing};
use crate::exceptions::{Error, Result};
use crate::fiber::Owner;
use crate::future_core::{AnyFuture, DoneCallback, FutureCore, Promise};
use crate::futures::Future;
use crate::instruments::FutureId;
use crate::reports::drop_value;
use crate::slot::Slot;
use crate::steps::{begin_queueing, run_pending};
use crate::sys::fetch::{LINE, fetch};
use crate::sys::spares;
use crate::task_core::{BodyState, TaskCore, TaskObject, cancel};

/// A task: a future, and the coroutine that gives its result.
#[repr(C)]
pub(crate) struct TaskCell<T, F> {
    task: TaskCore,
    slot: Slot<T>,
    body: Cell<Option<F>>,
}

impl<T: 'static, F: FnOnce() -> Result<T> + 'static> TaskCell<T, F> {
    #[inline(always)]
    pub(crate) fn new(task: impl FnOnce() -> TaskCore, body: F) -> Rc<TaskCell<T, F>> {
        let cell = spares::make(|| TaskCell {
            task: task(),
            slot: Slot::empty(),
            body: Cell::new(Some(body)),
        });
        // SAFETY: the coroutine is the cell's.
        unsafe { cell.task.coroutine.belong_to(Rc::as_ptr(&cell) as *const dyn AnyFuture) };
        cell
    }
}

impl<T, F> Drop for TaskCell<T, F> {
    fn drop(&mut self) {
        if self.task.future.is_unretrieved() {
            // The exception handler runs in the task's context.
            Variables::swap(&self.task.context);
            self.task.future.report_unretrieved(|| Some(self.task.title()));
            Variables::swap(&self.task.context);
        }
    }
}

impl<T: 'static, F: FnOnce() -> Result<T> + 'static> TaskCell<T, F> {
    /// What runs on the task's stack. What seldom happens is apart: its room would lie
    /// between all that tasks have on their stacks, which is to be in few cache lines.
    #[inline(always)]
    fn run_body(&self) {
        let run = || {
            let Some(body) = self.body.take() else { return Err(Error::cancelled()) };
            self.slot.put(body()?);
            Ok(())
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => self.task.body_state.set(BodyState::Returned),
            Ok(Err(error)) => self.task.raise(error),
            Err(panic) => self.task.be_panicked(panic),
        }
    }
}

impl<T: 'static, F: FnOnce() -> Result<T> + 'static> AnyFuture for TaskCell<T, F> {
    fn core(&self) -> &FutureCore {
        &self.task.future
    }

    fn cancel_any(self: Rc<Self>, message: Option<&str>) -> bool {
        cancel(self, message)
    }

    fn typed(self: Rc<Self>) -> Box<dyn Any> {
        Box::new(Future(self as Rc<dyn Promise<T>>))
    }

    fn retire(self: Rc<Self>) {
        spares::give_back(self);
    }

    fn extension(&self) -> Option<&dyn Any> {
        Some(&self.task)
    }

    fn title(&self) -> String {
        format!("task {}", self.task.title())
    }
}

impl<T: 'static, F: FnOnce() -> Result<T> + 'static> Promise<T> for TaskCell<T, F> {
    fn slot(&self) -> &Slot<T> {
        &self.slot
    }
}

impl<T, F> Owner for TaskCell<T, F> {
    fn describe(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "the task `{}`, spawned at {}", self.task.name(), self.task.future.created_at)
    }
}

impl<T: 'static, F: FnOnce() -> Result<T> + 'static> Runnable for TaskCell<T, F> {
    #[inline]
    fn run(self: Rc<Self>, scheduler: &Scheduler) {
        run_pending(self, scheduler);
    }

    #[inline]
    fn fetch_stack(&self) {
        let resumed_at = self.task.coroutine.fiber.rests_at();
        // What is called at once lies below, what it returns to above.
        fetch(resumed_at.wrapping_sub(2 * LINE), 6);
    }

    fn describe(&self) -> Standing {
        let suspended = self.task.coroutine.suspended_at.get();
        Standing {
            task: Some(self.task.title()),
            place: Some(suspended.unwrap_or(self.task.future.created_at)),
            begun: suspended.is_some(),
            ended: self.task.future.is_done(),
        }
    }
}

impl<T: 'static, F: FnOnce() -> Result<T> + 'static> DoneCallback for TaskCell<T, F> {
    /// A task waits only for futures of its own loop.
    fn schedule(self: Rc<Self>, _: &Rc<dyn AnyFuture>, scheduler: &Scheduler) {
        if begin_queueing(&self.task, scheduler) {
            scheduler.push(self);
        }
    }

    fn wakes(&self) -> Option<(FutureId, String)> {
        Some((self.task.future.id(), self.task.title()))
    }
}

impl<T: 'static, F: FnOnce() -> Result<T> + 'static> TaskObject for TaskCell<T, F> {
    fn task(&self) -> &TaskCore {
        &self.task
    }

    fn object(self: Rc<Self>) -> Rc<dyn TaskObject> {
        self
    }

    fn start(self: Rc<Self>) -> Result {
        let cell = self.clone();
        let entry = move || cell.run_body();
        // SAFETY: the cell is in an `Rc` that `entry` holds until the body has ended, so
        // neither the fiber nor its owner moves before.
        unsafe { self.task.coroutine.fiber.start(self.task.stack_size(), &*self, entry) }?;
        Ok(())
    }

    fn drop_body(&self) {
        // Others may live as long as the body does, and it runs their code to its last.
        self.task.body_state.set(BodyState::Dropping);
        drop_value(self.body.take());
        self.task.body_state.set(BodyState::Unfinished);
    }

    fn drop_result(&self) {
        drop_value(self.slot.take());
    }
}
