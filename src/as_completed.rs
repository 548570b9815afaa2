//! [`as_completed`]: results in the order in which they come.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::awaitable::Awaitable;
use crate::callback_id::CallbackId;
use crate::events::{Scheduler, next_id};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::future_core::AnyFuture;
use crate::futures::Future;
use crate::handles::TimerHandle;
use crate::instruments::FutureId;
use crate::queues::Queue;
use crate::subjects::Subject;

/// The results of awaitables in the order in which they are completed
/// (`asyncio.as_completed`).
///
/// Closures become tasks here. Iterating suspends the current task at each step;
/// once `limit` has passed, every further step is an error of kind `Timeout`.
///
/// ```
/// use stackio::{as_completed, millis, sleep};
///
/// stackio::run(|| {
///     let naps: Vec<_> = [3, 1, 2].map(|n| move || { sleep(millis(n))?; Ok(n) }).into();
///     let mut order = Vec::new();
///     for nap in as_completed(naps, None) {
///         order.push(nap?);
///     }
///     assert_eq!(order, [1, 2, 3]);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Panics
///
/// If no loop is running.
#[track_caller]
pub fn as_completed<A: Awaitable>(
    awaitables: Vec<A>,
    limit: Option<Duration>,
) -> AsCompleted<A::Output> {
    let mut seen = HashSet::new();
    let futures: Vec<_> = awaitables
        .into_iter()
        .map(A::ensure_future)
        .filter(|future| seen.insert(future.id()))
        .collect();
    let scheduler = match Scheduler::running() {
        Ok(scheduler) => scheduler,
        Err(error) => panic!("as_completed: {error}"),
    };
    let shared = Rc::new(Completion {
        number: next_id(),
        done: Queue::new(0),
        todo: RefCell::new(futures.iter().map(|future| (future.id(), future.clone())).collect()),
        timer: RefCell::new(None),
        callback: CallbackId::new(),
    });
    for future in &futures {
        let shared = shared.clone();
        future.add_done_callback_with(shared.callback, move |future| shared.completed(future));
    }
    if let Some(limit) = limit.filter(|_| !futures.is_empty()) {
        let expired = shared.clone();
        let timer = scheduler.call_later(limit, move || expired.expire());
        *shared.timer.borrow_mut() = Some(timer);
    }
    AsCompleted { shared, left: Cell::new(futures.len()), obtain: A::obtain }
}

struct Completion<T: 'static> {
    number: FutureId,
    /// Finished futures; `None` for each that the time limit overtook.
    done: Queue<Option<Future<T>>>,
    todo: RefCell<HashMap<FutureId, Future<T>>>,
    timer: RefCell<Option<TimerHandle>>,
    callback: CallbackId,
}

impl<T: 'static> Completion<T> {
    fn completed(&self, future: &Future<T>) -> Result {
        if self.todo.borrow_mut().remove(&future.id()).is_none() {
            return Ok(());
        }
        self.done.put_nowait(Some(future.clone()))?;
        if self.todo.borrow().is_empty() {
            self.timer.borrow().as_ref().inspect(|timer| timer.cancel());
        }
        Ok(())
    }

    fn expire(&self) -> Result {
        let todo = self.todo.take();
        for future in todo.values() {
            future.remove_done_callback(self.callback);
            self.done.put_nowait(None)?;
        }
        Ok(())
    }
}

/// What the iterating task waits for.
struct Next<T: 'static>(Weak<Completion<T>>, FutureId);

impl<T: 'static> Subject for Next<T> {
    fn title(&self) -> Option<String> {
        Some(format!("the next of as_completed {}", self.1))
    }

    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        let Some(shared) = self.0.upgrade() else { return Vec::new() };
        let mut todo: Vec<_> = shared.todo.borrow().values().map(Future::erased).collect();
        todo.sort_unstable_by_key(|future| future.core().id());
        todo
    }
}

/// The iterator made by [`as_completed`].
pub struct AsCompleted<T: 'static> {
    shared: Rc<Completion<T>>,
    /// Steps not begun yet.
    left: Cell<usize>,
    obtain: fn(&Future<T>) -> Result<T>,
}

impl<T: 'static> AsCompleted<T> {
    /// Waits for the next future to be done and gives the future itself; `None`
    /// when no step is left.
    #[track_caller]
    pub fn next_future(&self) -> Option<Result<Future<T>>> {
        self.left.set(self.left.get().checked_sub(1)?);
        let shared = &self.shared;
        let next = shared.done.get_from(|_| Next(Rc::downgrade(shared), shared.number));
        Some(next.and_then(|next| next.ok_or_else(|| Error::from(ErrorKind::Timeout))))
    }

    #[track_caller]
    fn next_result(&self) -> Option<Result<T>> {
        self.next_future().map(|next| (self.obtain)(&next?))
    }
}

impl<T: 'static> Drop for AsCompleted<T> {
    /// What nobody waits for is not heard of: futures that are never done would keep it.
    fn drop(&mut self) {
        let todo = self.shared.todo.take();
        for future in todo.values() {
            future.remove_done_callback(self.shared.callback);
        }
        self.shared.timer.borrow().as_ref().inspect(|timer| timer.cancel());
    }
}

impl<T: 'static> Iterator for AsCompleted<T> {
    type Item = Result<T>;

    #[track_caller]
    fn next(&mut self) -> Option<Result<T>> {
        self.next_result()
    }
}

impl<T: 'static> Iterator for &AsCompleted<T> {
    type Item = Result<T>;

    #[track_caller]
    fn next(&mut self) -> Option<Result<T>> {
        self.next_result()
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.left.get()).finish_non_exhaustive()
    }
}
