//! [`Task`]: a future whose result a coroutine gives.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::rc::Rc;

use crate::context::{Context, Variables};
use crate::coroutines::current;
use crate::events::Scheduler;
use crate::exceptions::{Error, Result};
use crate::future_core::AnyFuture;
use crate::futures::Future;
use crate::instruments::FutureId;
use crate::task_core::{TaskCore, task_core, unfinished};
use crate::traces::{Names, StackFrame};

/// A coroutine that the loop runs (`asyncio.Task`): it is also the future of the
/// coroutine's result.
///
/// A handle, cheap to clone. Dropping it does not end the task: the loop owns a
/// task until it has ended.
pub struct Task<T: 'static>(pub(crate) Future<T>);

impl<T: 'static> Task<T> {
    fn task(&self) -> Option<&TaskCore> {
        task_core(&*self.0.0)
    }

    /// The future that it is.
    pub fn future(&self) -> Future<T> {
        self.0.clone()
    }

    /// Suspends until the task has ended; moves its result out. Later readers get
    /// an error of kind `InvalidState`.
    ///
    /// # Errors
    ///
    /// As [`Future::wait`].
    #[inline(always)]
    #[track_caller]
    pub fn join(self) -> Result<T> {
        self.0.join()
    }

    /// The same task without the type of its result.
    pub fn erase(&self) -> AnyTask {
        AnyTask(self.0.erased())
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.task().map(TaskCore::title).unwrap_or_default()
    }

    /// Gives it another name.
    pub fn set_name(&self, name: impl AsRef<str>) {
        self.erase().set_name(name);
    }

    /// How many requests to cancel it have not been taken back.
    pub fn cancelling(&self) -> u32 {
        self.erase().cancelling()
    }

    /// Takes a request to cancel back; how many are left. Once none is left, a
    /// cancellation that has not been delivered yet is dropped.
    pub fn uncancel(&self) -> u32 {
        self.erase().uncancel()
    }
}

impl<T> Clone for Task<T> {
    fn clone(&self) -> Task<T> {
        Task(self.0.clone())
    }
}

impl<T> Deref for Task<T> {
    type Target = Future<T>;

    fn deref(&self) -> &Future<T> {
        &self.0
    }
}

impl<T> Borrow<Future<T>> for Task<T> {
    fn borrow(&self) -> &Future<T> {
        &self.0
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl<T: 'static> Future<T> {
    /// The task that this future is, if it is one.
    pub fn as_task(&self) -> Option<Task<T>> {
        task_core(&*self.0).map(|_| Task(self.clone()))
    }
}

/// A task of whatever type: what [`current_task`] and [`all_tasks`] give.
#[derive(Clone)]
pub struct AnyTask(pub(crate) Rc<dyn AnyFuture>);

impl AnyTask {
    fn task(&self) -> Option<&TaskCore> {
        task_core(&*self.0)
    }

    /// Its number.
    pub fn id(&self) -> FutureId {
        self.0.core().id()
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.task().map(TaskCore::title).unwrap_or_default()
    }

    /// Gives it another name.
    pub fn set_name(&self, name: impl AsRef<str>) {
        if let Some(task) = self.task() {
            task.set_name(name.as_ref().into());
        }
    }

    /// Whether it has ended.
    pub fn done(&self) -> bool {
        self.0.core().is_done()
    }

    /// Whether it ended by cancellation.
    pub fn cancelled(&self) -> bool {
        self.0.core().is_cancelled()
    }

    /// Asks it to end: at its suspension point it gets an error of kind
    /// `Cancelled`. False if it has ended already.
    pub fn cancel(&self) -> bool {
        self.0.clone().cancel_any(None)
    }

    /// The same, with a message.
    pub fn cancel_with(&self, message: impl AsRef<str>) -> bool {
        self.0.clone().cancel_any(Some(message.as_ref()))
    }

    /// How many requests to cancel it have not been taken back; 65,535 is that many or more.
    pub fn cancelling(&self) -> u32 {
        self.task().map_or(0, |task| task.cancel_requests.get().into())
    }

    /// Takes a request to cancel back; how many are left. Once none is left, a
    /// cancellation that has not been delivered yet is dropped.
    pub fn uncancel(&self) -> u32 {
        let Some(task) = self.task() else { return 0 };
        let requests = task.cancel_requests.get();
        if requests > 0 {
            task.cancel_requests.set(requests - 1);
            task.taken_back.set(task.taken_back.get().wrapping_add(1));
            if requests == 1 {
                task.must_cancel.set(false);
            }
        }
        task.cancel_requests.get().into()
    }

    /// Its exception, `None` if it has a result.
    ///
    /// # Errors
    ///
    /// The cancellation if it was cancelled; kind `InvalidState` if it is not done.
    pub fn exception(&self) -> Result<Option<Error>> {
        self.0.core().exception()
    }

    /// The context that it runs in, which from now on it shares with whoever has
    /// this one (`Task.get_context`). `None` while it is inside the `spawn` of an
    /// eager task, whose context is the current one then.
    #[doc(alias = "get_context")]
    pub fn context(&self) -> Option<Context> {
        let task = self.task()?;
        if current().is_some_and(|current| current.core().id() == self.id()) {
            return Some(Variables::share_current());
        }
        (!task.coroutine.fiber.is_running()).then(|| Variables::share(&task.context))
    }

    /// Where it was spawned.
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.task().map(|_| self.0.core().created_at)
    }

    /// The place in the source at which it last suspended itself.
    pub fn suspended_at(&self) -> Option<&'static Location<'static>> {
        self.task().and_then(|task| task.coroutine.suspended_at.get())
    }

    /// The calls on its stack, the innermost first: where it is suspended, and what
    /// called that (`Task.get_stack`, which in Python shows one frame).
    ///
    /// Of a recursion it has about the innermost 1,000 calls. Empty for a task that has
    /// not begun or has ended, in a build without the feature `inspect`, and if less
    /// than 4 KiB of its stack are left; for another task also while the thread is
    /// panicking. A program without debug information has no files and lines.
    ///
    /// ```
    /// use stackio::{millis, sleep, spawn, yield_now};
    ///
    /// fn fetch() -> stackio::Result {
    ///     sleep(millis(1))
    /// }
    ///
    /// stackio::run(|| {
    ///     let task = spawn(fetch);
    ///     yield_now()?;
    ///     let stack = task.erase().stack();
    ///     let fetching = stack.iter().any(|frame| frame.name() == "fetch");
    ///     assert_eq!(fetching, cfg!(feature = "inspect"));
    ///     task.join()
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[doc(alias = "get_stack")]
    pub fn stack(&self) -> Vec<StackFrame> {
        let Some(task) = self.task().filter(|_| !self.done()) else { return Vec::new() };
        Names::new().resolve(&task.coroutine.inspect())
    }

    /// The task with its type back, if its results are of type `T`.
    pub fn downcast<T: 'static>(&self) -> Option<Task<T>> {
        let future = self.0.clone().typed().downcast::<Future<T>>().ok()?;
        Some(Task(*future))
    }
}

impl PartialEq for AnyTask {
    fn eq(&self, other: &AnyTask) -> bool {
        self.id() == other.id()
    }
}

impl Eq for AnyTask {}

impl fmt::Debug for AnyTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} {:?}>", self.0.label(), self.0.core().state())
    }
}

/// The task that is running now, `None` in a callback and outside of a loop.
pub fn current_task() -> Option<AnyTask> {
    current().map(AnyTask)
}

/// The unfinished tasks of the loop that is running, in the order of their
/// creation; none if no loop is.
pub fn all_tasks() -> Vec<AnyTask> {
    Scheduler::try_running().map(|scheduler| tasks_of(&scheduler)).unwrap_or_default()
}

/// The unfinished tasks of a loop, in the order of their creation.
pub(crate) fn tasks_of(scheduler: &Rc<Scheduler>) -> Vec<AnyTask> {
    unfinished(scheduler).into_iter().map(|task| AnyTask(task)).collect()
}
