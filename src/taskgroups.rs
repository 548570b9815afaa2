//! [`TaskGroup`]: tasks that end together.
//!
//! ```text
//!   scope(|group| {          a child fails  -> the others and the body are cancelled
//!       group.spawn(a)?;     the body fails -> the children are cancelled
//!       group.spawn(b)?;     cancelled from outside -> the same
//!       ...
//!   })                       returns when no child is left; errors come as a group
//! ```

mod guards;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::{Rc, Weak};

use self::guards::{AbortOnUnwind, NoChildLeft, Starting};
use crate::closing::end_now;
use crate::coroutines::{can_suspend, check_suspendable};
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::future_core::AnyFuture;
use crate::futures::Future;
use crate::reports::{ExceptionContext, ExceptionSource, drop_value};
use crate::spawning::TaskBuilder;
use crate::subjects::Subject;
use crate::tasks::{AnyTask, Task, current_task};

/// Several tasks as one (`asyncio.TaskGroup`): none outlives the block of code it
/// was made for, and when one fails, all are cancelled.
///
/// A handle; clones are the same group. [`task_group`](crate::task_group) makes one
/// whose children may borrow from the block around it; here they are `'static`, and
/// the group can be handed to others who spawn into it.
///
/// ```
/// use stackio::{TaskGroup, millis, sleep};
///
/// stackio::run(|| {
///     let sum = TaskGroup::new().scope(|group| {
///         let a = group.spawn(|| { sleep(millis(2))?; Ok(1) })?;
///         let b = group.spawn(|| Ok(2))?;
///         Ok(a.join()? + b.join()?)
///     })?;
///     assert_eq!(sum, 3);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct TaskGroup(Rc<Inner>);

#[derive(Default)]
struct Inner {
    parent: RefCell<Option<AnyTask>>,
    /// Set once the block has been left; children may still be running.
    exiting: Cell<bool>,
    /// Set once the children have been told to stop.
    aborting: Cell<bool>,
    parent_cancelled: Cell<bool>,
    /// Unfinished children, in the order in which they joined: an eager one joins
    /// after those that its own first step spawned.
    children: RefCell<BTreeMap<u64, Rc<dyn AnyFuture>>>,
    joined: Cell<u64>,
    errors: RefCell<Vec<Error>>,
    /// An interrupt, which is passed on by itself.
    interrupt: RefCell<Option<Error>>,
    /// Whether a child was ended because nobody could wait for it.
    killed: Cell<bool>,
    completed: RefCell<Option<Future<()>>>,
}

impl TaskGroup {
    /// A group that has not been entered.
    pub fn new() -> TaskGroup {
        TaskGroup::default()
    }

    /// Runs the block, waits until no child is left, and gives the block's result.
    ///
    /// # Errors
    ///
    /// Kind `Group` with the errors of the children, in the order in which they
    /// failed, and that of the block last. Kind `Cancelled` if the task was
    /// cancelled from outside and nobody failed. Kind `Runtime` outside of a task,
    /// or if the group was entered before.
    ///
    /// # Panics
    ///
    /// If the block panics; the children have ended then.
    #[track_caller]
    pub fn scope<T>(&self, block: impl FnOnce(&TaskGroup) -> Result<T>) -> Result<T> {
        self.enter()?;
        let _guard = NoChildLeft(&self.0);
        match catch_unwind(AssertUnwindSafe(|| block(self))) {
            Ok(ended) => self.exit(ended),
            Err(panic) => {
                self.0.exiting.set(true);
                self.0.abort();
                let _cancelled = self.0.wait_for_children();
                self.0.take_back_cancellation();
                resume_unwind(panic)
            }
        }
    }

    /// Starts a child.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the group has not been entered, is being cancelled, or is
    /// finished.
    #[track_caller]
    #[doc(alias = "create_task")]
    pub fn spawn<T: 'static>(&self, body: impl FnOnce() -> Result<T> + 'static) -> Result<Task<T>> {
        self.spawn_built(TaskBuilder::new(), body)
    }

    /// Starts a child with a name, a stack size and so on.
    ///
    /// # Errors
    ///
    /// As [`spawn`](TaskGroup::spawn).
    #[track_caller]
    pub fn spawn_built<T: 'static>(
        &self,
        builder: TaskBuilder,
        body: impl FnOnce() -> Result<T> + 'static,
    ) -> Result<Task<T>> {
        let refusal = match &*self.0.parent.borrow() {
            None => Some("the task group has not been entered"),
            Some(_) if self.0.exiting.get() && self.0.children.borrow().is_empty() => {
                Some("the task group is finished")
            }
            Some(_) if self.0.aborting.get() => Some("the task group is shutting down"),
            Some(_) => None,
        };
        if let Some(text) = refusal {
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        let mut starting = Starting { group: &self.0, child: None };
        let task = builder.spawn_entered(Scheduler::running()?, body, |child| {
            starting.child = Some(child.clone());
        });
        starting.child = None;
        if task.done() {
            self.0.child_ended(&task.erase());
        } else {
            let place = self.0.enter(task.erase().0);
            let group = self.0.clone();
            task.add_done_callback(move |future| {
                // One that is not there any more was ended on the spot, and counted then.
                let child = group.children.borrow_mut().remove(&place);
                if child.is_some() {
                    group.child_ended(&AnyTask(future.erased()));
                }
            });
        }
        Ok(task)
    }

    fn enter(&self) -> Result {
        if self.0.parent.borrow().is_some() {
            let text = "the task group has already been entered";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        let parent = current_task().ok_or_else(|| {
            Error::text(ErrorKind::Runtime, "a task group works only inside a task")
        })?;
        *self.0.parent.borrow_mut() = Some(parent);
        Ok(())
    }

    fn exit<T>(&self, ended: Result<T>) -> Result<T> {
        let group = &self.0;
        group.exiting.set(true);
        let mut cancelled = None;
        if let Err(error) = &ended {
            if error.is_interrupt() {
                group.interrupt.borrow_mut().get_or_insert(error.clone());
            }
            cancelled = Some(error.clone()).filter(Error::is_cancelled);
            if !group.aborting.get() {
                group.abort();
            }
        }
        cancelled = group.wait_for_children().or(cancelled);
        if let Some(interrupt) = group.interrupt.take() {
            return Err(interrupt);
        }
        if group.take_back_cancellation() == Some(0) {
            cancelled = None;
        }
        let mut errors = group.errors.take();
        if let Some(cancelled) = cancelled.filter(|_| errors.is_empty()) {
            return Err(cancelled);
        }
        let value = match ended {
            Ok(value) => Some(value),
            Err(error) if error.is_cancelled() => None,
            Err(error) => {
                errors.push(error);
                None
            }
        };
        match value {
            Some(_) if errors.is_empty() && group.killed.get() => Err(children_were_ended()),
            Some(value) if errors.is_empty() => Ok(value),
            _ => Err(group.grouped(errors)),
        }
    }
}

/// For a block that ended well while its children could not: what waiting for them
/// would have given where the loop is closing.
fn children_were_ended() -> Error {
    if let Err(closing) = check_suspendable()
        && closing.is_cancelled()
    {
        return closing;
    }
    let text = "the children of the task group were ended: nothing can be waited for here";
    Error::text(ErrorKind::Runtime, text)
}

impl Subject for Weak<Inner> {
    fn title(&self) -> Option<String> {
        Some("the children of a task group".to_owned())
    }

    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        let group = self.upgrade();
        group.map_or_else(Vec::new, |group| group.children.borrow().values().cloned().collect())
    }
}

impl Inner {
    fn parent(&self) -> Option<AnyTask> {
        self.parent.borrow().clone()
    }

    /// The errors as one. A cancellation from outside that they win over is asked
    /// for again.
    fn grouped(&self, errors: Vec<Error>) -> Error {
        if let Some(parent) = self.parent().filter(|parent| parent.cancelling() > 0) {
            parent.uncancel();
            parent.cancel();
        }
        Error::group("unhandled errors in a task group", errors)
    }

    fn abort(&self) {
        self.aborting.set(true);
        let children: Vec<_> = self.children.borrow().values().cloned().collect();
        for child in children {
            if !child.core().is_done() {
                child.cancel_any(None);
            }
        }
    }

    /// Takes the group's own request to cancel the parent back; how many are left,
    /// if there was one.
    fn take_back_cancellation(&self) -> Option<u32> {
        let parent = self.parent().filter(|_| self.parent_cancelled.get())?;
        Some(parent.uncancel())
    }

    /// Counts a child in; its place.
    fn enter(&self, child: Rc<dyn AnyFuture>) -> u64 {
        let place = self.joined.replace(self.joined.get() + 1);
        self.children.borrow_mut().insert(place, child);
        place
    }

    /// Waits until no child is left; a cancellation that came first, if one did.
    ///
    /// It does not return before, in whatever state the parent is: one that cannot
    /// wait any more ends its children itself.
    fn wait_for_children(self: &Rc<Self>) -> Option<Error> {
        let mut cancelled = None;
        while !self.children.borrow().is_empty() {
            if !can_suspend() {
                self.end_children();
                continue;
            }
            let here = Scheduler::running().ok().filter(|here| self.children_run_on(here));
            let Some(scheduler) = here else {
                self.end_children();
                continue;
            };
            let completed = Future::about(Rc::downgrade(self), scheduler);
            *self.completed.borrow_mut() = Some(completed.clone());
            if let Err(error) = completed.settle()
                && !self.aborting.get()
            {
                cancelled = Some(error);
                self.abort();
            }
            drop(self.completed.take());
        }
        cancelled
    }

    /// Whether all children do. A generator may be left on another loop than the one
    /// it was entered on, which will not run before this one has ended.
    fn children_run_on(&self, scheduler: &Rc<Scheduler>) -> bool {
        let children = self.children.borrow();
        children.values().all(|child| Rc::ptr_eq(&child.core().scheduler, scheduler))
    }

    /// Ends the children on the spot, or the process: none may live when this
    /// returns, or unwinds.
    fn end_children(&self) {
        let guard = AbortOnUnwind;
        let children = std::mem::take(&mut *self.children.borrow_mut());
        self.aborting.set(true);
        for child in children.into_values() {
            if !child.core().is_done() {
                self.killed.set(true);
                if !end_now(&child) {
                    let label = child.label();
                    let _ = writeln!(io::stderr(), "stackio: {label} cannot be ended");
                    std::process::abort();
                }
            }
            self.child_ended(&AnyTask(child.clone()));
            drop_value(child);
        }
        std::mem::forget(guard);
    }

    fn child_ended(&self, child: &AnyTask) {
        let completed = self.completed.borrow().clone();
        if let Some(completed) = completed.filter(|_| self.children.borrow().is_empty())
            && !completed.done()
        {
            // It is pending, so this cannot fail.
            let _ = completed.set_result(());
        }
        if child.cancelled() {
            return;
        }
        let Ok(Some(error)) = child.exception() else { return };
        self.child_failed(child, error);
    }

    fn child_failed(&self, child: &AnyTask, error: Error) {
        self.errors.borrow_mut().push(error.clone());
        if error.is_interrupt() {
            self.interrupt.borrow_mut().get_or_insert(error.clone());
        }
        let Some(parent) = self.parent() else { return };
        if parent.done() {
            let core = parent.0.core();
            let text = "a task has errored out but the parent task of its group is done";
            let mut context = ExceptionContext::new(ExceptionSource::Group, text);
            context.exception = Some(error);
            context.task = Some(child.name());
            context.created_at = child.spawned_at();
            return core.scheduler.reports().report(&context);
        }
        if !self.aborting.get() && !self.parent_cancelled.get() {
            self.abort();
            self.parent_cancelled.set(true);
            parent.cancel();
        }
    }
}

impl fmt::Debug for TaskGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("tasks", &self.0.children.borrow().len())
            .field("errors", &self.0.errors.borrow().len())
            .field("aborting", &self.0.aborting.get())
            .finish()
    }
}
