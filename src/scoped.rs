//! [`task_group`]: children that borrow from the block around them.
//!
//! This is `std::thread::scope` with tasks. The closures of the children need not
//! be `'static`, because the scope never returns while a child lives:
//!
//! - it waits for the children, however the block ends, by panic too;
//! - where the parent cannot wait (it is being unwound or disposed of), it ends
//!   them on the spot; if even that cannot be, the process is aborted;
//! - a parent that is forgotten while suspended inside never returns at all, and
//!   what its children borrow stays on its stack for ever.
//!
//! A child's closure is dropped when the child ends, and its result is kept beside
//! the task, in the child's handle, which cannot leave the scope. So the task
//! itself, which others may hold for longer, has nothing borrowed left.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::transmute;
use std::rc::Rc;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::futures::Future;
use crate::spawning::TaskBuilder;
use crate::taskgroups::TaskGroup;
use crate::tasks::AnyTask;

type Body<'a> = Box<dyn FnOnce() -> Result + 'a>;

/// Runs a block whose child tasks may borrow what is around it, and waits for
/// them: structured concurrency, with asyncio's rules ([`TaskGroup`]).
///
/// ```
/// use std::cell::RefCell;
/// use stackio::{Queue, task_group};
///
/// fn worker(todo: &Queue<u32>, done: &RefCell<Vec<u32>>) -> stackio::Result {
///     loop {
///         let n = todo.get()?;
///         done.borrow_mut().push(n * 10);
///         todo.task_done()?;
///     }
/// }
///
/// stackio::run(|| {
///     let (todo, done) = (Queue::new(0), RefCell::new(Vec::new()));
///     for n in 0..4 {
///         todo.put(n)?;
///     }
///     task_group(|g| {
///         let workers: Vec<_> = (0..2).map(|_| g.spawn(|| worker(&todo, &done))).collect();
///         todo.join()?;
///         for worker in &workers {
///             worker.cancel();
///         }
///         Ok(())
///     })?;
///     assert_eq!(done.into_inner(), [0, 10, 20, 30]);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// A child cannot be kept beyond the block:
///
/// ```compile_fail,E0521
/// # use stackio::task_group;
/// let mut kept = None;
/// let _ = task_group(|g| { kept = Some(g.spawn(|| Ok(1))); Ok(()) });
/// ```
///
/// nor borrow what ends inside of it:
///
/// ```compile_fail,E0373
/// # use stackio::task_group;
/// let _ = task_group(|g| { let n = 1; g.spawn(|| Ok(n + 1)); Ok(()) });
/// ```
///
/// # Errors
///
/// As [`TaskGroup::scope`].
///
/// # Panics
///
/// If the block panics; the children have ended then.
#[track_caller]
pub fn task_group<'env, T>(
    block: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> Result<T>,
) -> Result<T> {
    let scope = Scope { group: TaskGroup::new(), scope: PhantomData, environment: PhantomData };
    let group = scope.group.clone();
    group.scope(|_| block(&scope))
}

/// What children are spawned on; made by [`task_group`].
pub struct Scope<'scope, 'env: 'scope> {
    group: TaskGroup,
    /// Both lifetimes are invariant, as in `std::thread::Scope`: neither may be
    /// taken for a shorter one.
    scope: PhantomData<&'scope mut &'scope ()>,
    environment: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a child. In a group that is being cancelled none is started; the
    /// handle's `join` then says so.
    #[track_caller]
    #[doc(alias = "create_task")]
    pub fn spawn<T: 'scope>(
        &'scope self,
        body: impl FnOnce() -> Result<T> + 'scope,
    ) -> ScopedTask<'scope, T> {
        self.spawn_built(TaskBuilder::new(), body)
    }

    /// Starts a child with a name, a stack size, a context and so on.
    ///
    /// ```
    /// use stackio::{Context, ContextVar, TaskBuilder, task_group};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// stackio::run(|| {
    ///     let (users, context) = (["ann", "bob"], Context::new());
    ///     context.run(|| drop(USER.set(users[1])));
    ///     task_group(|g| {
    ///         let named = TaskBuilder::new().name("checker").context(&context);
    ///         let child = g.spawn_built(named, || Ok(USER.get() == Some(users[1])));
    ///         assert_eq!(child.task().map(|task| task.name()).as_deref(), Some("checker"));
    ///         assert!(child.join()?);
    ///         Ok(())
    ///     })
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn spawn_built<T: 'scope>(
        &'scope self,
        builder: TaskBuilder,
        body: impl FnOnce() -> Result<T> + 'scope,
    ) -> ScopedTask<'scope, T> {
        let result = Rc::new(Cell::new(None));
        let place = result.clone();
        let body: Body<'scope> = Box::new(move || {
            place.set(Some(body()?));
            Ok(())
        });
        // SAFETY: only the lifetime changes. The body is run, or dropped, before
        // `TaskGroup::scope` returns, for it returns only when no child is left; and
        // `'scope` lasts until then. What outlives the scope is the task without
        // its body, whose result is `()` and whose error is `'static`.
        let body = unsafe { transmute::<Body<'scope>, Body<'static>>(body) };
        let future = match self.group.spawn_built(builder, body) {
            Ok(task) => Ok(task.future()),
            Err(error) => Err(error),
        };
        ScopedTask { future, result, scope: PhantomData }
    }

    /// The group itself, for children that borrow nothing.
    pub fn group(&self) -> &TaskGroup {
        &self.group
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("group", &self.group).finish()
    }
}

/// A child of a [`Scope`]. Dropping it leaves the child running.
pub struct ScopedTask<'scope, T> {
    future: Result<Future<()>>,
    result: Rc<Cell<Option<T>>>,
    scope: PhantomData<&'scope mut &'scope ()>,
}

impl<T> ScopedTask<'_, T> {
    /// Suspends until the child has ended; gives its result.
    ///
    /// # Errors
    ///
    /// The child's error, which its group gets as well; kind `Cancelled`.
    #[track_caller]
    pub fn join(self) -> Result<T> {
        self.future.as_ref().map_err(Error::clone)?.wait()?;
        self.result
            .take()
            .ok_or_else(|| Error::text(ErrorKind::InvalidState, "the child ended without a result"))
    }

    /// Asks the child to end. False if it has ended already.
    pub fn cancel(&self) -> bool {
        self.future.as_ref().is_ok_and(Future::cancel)
    }

    /// The same, with a message for whoever asks why.
    pub fn cancel_with(&self, message: impl AsRef<str>) -> bool {
        self.future.as_ref().is_ok_and(|future| future.cancel_with(message))
    }

    /// Its end as a future, for [`wait`](crate::wait), [`gather`](crate::gather) and
    /// [`as_completed`](crate::as_completed); the result stays here, for
    /// [`join`](ScopedTask::join).
    ///
    /// ```
    /// use stackio::{ReturnWhen, millis, sleep, task_group, wait};
    ///
    /// stackio::run(|| {
    ///     let naps = [30, 10, 20];
    ///     task_group(|g| {
    ///         let nap = |n: &u64| { let n = *n; g.spawn(move || { sleep(millis(n))?; Ok(n) }) };
    ///         let racers: Vec<_> = naps.iter().map(nap).collect();
    ///         let ends = racers.iter().map(|racer| racer.future()).collect::<Result<Vec<_>, _>>()?;
    ///         wait(&ends, None, ReturnWhen::FirstCompleted)?;
    ///         for racer in racers {
    ///             match racer.done() {
    ///                 true => assert_eq!(racer.join()?, 10),
    ///                 false => drop(racer.cancel()),
    ///             }
    ///         }
    ///         Ok(())
    ///     })
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the child was not started.
    pub fn future(&self) -> Result<Future<()>> {
        self.future.clone()
    }

    /// Whether it has ended.
    pub fn done(&self) -> bool {
        self.future.as_ref().map_or(true, Future::done)
    }

    /// Whether it ended by cancellation.
    pub fn cancelled(&self) -> bool {
        self.future.as_ref().is_ok_and(Future::cancelled)
    }

    /// The child as a task, for its name and so on; `None` if it was not started.
    pub fn task(&self) -> Option<AnyTask> {
        self.future.as_ref().ok().map(|future| AnyTask(future.erased()))
    }
}

impl<T> fmt::Debug for ScopedTask<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopedTask").field(&self.future).finish()
    }
}
