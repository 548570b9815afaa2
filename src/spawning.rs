//! [`spawn`] and [`TaskBuilder`]: how a task is made.

use std::panic::Location;
use std::rc::Rc;

use crate::context::{Context, Variables};
use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::future_core::FutureCore;
use crate::futures::Future;
use crate::instruments::{FlowEvent, TaskRef};
use crate::steps::{push, step_eagerly};
use crate::task_cell::TaskCell;
use crate::task_core::{TaskCore, TaskObject, register};
use crate::tasks::Task;

/// Starts a task that runs `body`, on the loop that is running
/// (`asyncio.create_task`). It takes its first step in the loop's next iteration.
///
/// A body that never returns needs its type said, `-> stackio::Result`, which is
/// easiest in a named function.
///
/// ```
/// use stackio::{millis, sleep, spawn};
///
/// stackio::run(|| {
///     let a = spawn(|| { sleep(millis(1))?; Ok(1) });
///     let b = spawn(|| { sleep(millis(1))?; Ok(2) });
///     assert_eq!(a.join()? + b.join()?, 3);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Panics
///
/// If no loop is running on this thread.
#[track_caller]
#[doc(alias = "create_task")]
pub fn spawn<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> Task<T> {
    TaskBuilder::new().spawn(body)
}

/// How a task is made, where `spawn` is not enough.
///
/// ```
/// use stackio::TaskBuilder;
///
/// stackio::run(|| {
///     let task = TaskBuilder::new().name("parser").stack_size(512 * 1024).spawn(|| Ok(7));
///     assert_eq!(task.name(), "parser");
///     assert_eq!(task.join()?, 7);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it makes a task only by `spawn`"]
pub struct TaskBuilder {
    name: Option<Rc<str>>,
    stack_size: Option<usize>,
    eager: Option<bool>,
    context: Option<Context>,
}

impl TaskBuilder {
    /// A task as `spawn` makes it.
    pub fn new() -> TaskBuilder {
        TaskBuilder::default()
    }

    /// Gives it a name; without one it is called `Task-1`, `Task-2` and so on.
    pub fn name(mut self, name: impl AsRef<str>) -> TaskBuilder {
        self.name = Some(name.as_ref().into());
        self
    }

    /// Gives it a stack of at least that many bytes. They are virtual: memory is
    /// taken only for pages that are touched.
    pub fn stack_size(mut self, bytes: usize) -> TaskBuilder {
        self.stack_size = Some(bytes);
        self
    }

    /// Whether it takes its first step at once, inside `spawn`
    /// (`asyncio.eager_task_factory`); by default as the loop is set. In the destructors
    /// of a panic it does not.
    pub fn eager(mut self, eager: bool) -> TaskBuilder {
        self.eager = Some(eager);
        self
    }

    /// Has it run in this context, which it then shares with whoever else has it;
    /// by default it gets a copy of the present one.
    pub fn context(mut self, context: &Context) -> TaskBuilder {
        self.context = Some(context.clone());
        self
    }

    /// Makes the task on the loop that is running.
    ///
    /// # Panics
    ///
    /// If no loop is running on this thread.
    #[track_caller]
    pub fn spawn<T: 'static>(self, body: impl FnOnce() -> Result<T> + 'static) -> Task<T> {
        match Scheduler::running() {
            Ok(scheduler) => self.spawn_on(scheduler, body),
            Err(error) => panic!("spawn: {error}"),
        }
    }

    #[track_caller]
    pub(crate) fn spawn_on<T, F>(self, scheduler: Rc<Scheduler>, body: F) -> Task<T>
    where
        T: 'static,
        F: FnOnce() -> Result<T> + 'static,
    {
        self.spawn_entered(scheduler, body, |_| ())
    }

    /// The same; `enter` is given the task before anything of it is run or told of.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn spawn_entered<T, F>(
        self,
        scheduler: Rc<Scheduler>,
        body: F,
        enter: impl FnOnce(&Rc<TaskCell<T, F>>),
    ) -> Task<T>
    where
        T: 'static,
        F: FnOnce() -> Result<T> + 'static,
    {
        assert!(!scheduler.is_closed(), "spawn: the event loop is closed");
        let eager = self.eager.unwrap_or(scheduler.eager.get())
            && scheduler.iterating.get()
            // What panics in a step of its own could not be told from who panics around it.
            && !std::thread::panicking();
        let stack_size = self.stack_size.unwrap_or(scheduler.stack_size);
        let context = self.context.map_or_else(Variables::copy, |context| context.variables());
        let created_at = Location::caller();
        let core = || {
            let number = if self.name.is_some() { 0 } else { scheduler.next_task_number() };
            let future = FutureCore::made_at(scheduler, created_at);
            TaskCore::new(future, number, stack_size, context)
        };
        let cell = TaskCell::new(core, body);
        if let Some(name) = self.name {
            cell.task().set_name(name);
        }
        enter(&cell);
        launch(cell.clone(), cell.task(), eager);
        Task(Future(cell))
    }
}

fn launch(task: Rc<dyn TaskObject>, core: &TaskCore, eager: bool) {
    register(task.clone(), core);
    let future = &core.future;
    if future.scheduler.is_watched() {
        let name = core.title();
        let task = TaskRef { id: future.id(), name: &name };
        future.scheduler.emit(&FlowEvent::TaskCreated { task, at: future.created_at });
    }
    if eager {
        step_eagerly(task, &future.scheduler);
    } else {
        push(task, &future.scheduler);
    }
}
