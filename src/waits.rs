//! Waiting for futures in other ways: [`wait`], [`wait_for`], [`shield`],
//! [`as_completed`].

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use crate::awaitable::Awaitable;
use crate::callback_id::CallbackId;
use crate::callbacks::Function;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::future_core::AnyFuture;
use crate::futures::Future;
use crate::handles::TimerHandle;
use crate::reports::catch_panic;
use crate::timeouts::Timeout;

/// When [`wait`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// When all futures are done.
    AllCompleted,
    /// When one is.
    FirstCompleted,
    /// When one has failed, or all are done.
    FirstException,
}

impl ReturnWhen {
    fn title(self) -> &'static str {
        match self {
            ReturnWhen::AllCompleted => "all of several",
            ReturnWhen::FirstCompleted => "the first of several",
            ReturnWhen::FirstException => "all of several, or an error",
        }
    }
}

/// What [`wait`] found, each in the order of the arguments.
#[derive(Debug)]
pub struct Waited<T: 'static> {
    /// The futures that are done.
    pub done: Vec<Future<T>>,
    /// The others.
    pub pending: Vec<Future<T>>,
}

/// Waits for futures or tasks (`asyncio.wait`). It never fails because of them
/// and cancels none; a timeout only ends the waiting.
///
/// ```
/// use stackio::{ReturnWhen, millis, secs, sleep, spawn, wait};
///
/// stackio::run(|| {
///     let tasks = [spawn(|| sleep(millis(1))), spawn(|| sleep(secs(60)))];
///     let waited = wait(&tasks, None, ReturnWhen::FirstCompleted)?;
///     assert_eq!((waited.done.len(), waited.pending.len()), (1, 1));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// Kind `Value` if there is nothing to wait for; kind `Cancelled` if the waiting
/// task is cancelled; kind `Runtime` outside of a task.
#[track_caller]
pub fn wait<T: 'static, I>(
    futures: I,
    timeout: Option<Duration>,
    return_when: ReturnWhen,
) -> Result<Waited<T>>
where
    I: IntoIterator,
    I::Item: AwaitedFuture<T>,
{
    let mut seen = HashSet::new();
    let futures: Vec<Future<T>> =
        futures.into_iter().map(|item| item.future()).filter(|f| seen.insert(f.id())).collect();
    if futures.is_empty() {
        return Err(Error::text(ErrorKind::Value, "there is nothing to wait for"));
    }
    wait_until(&futures, timeout, return_when)?;
    let (done, pending) = futures.into_iter().partition(Future::done);
    Ok(Waited { done, pending })
}

/// What [`wait`] takes: a future or task, or a reference to one.
pub trait AwaitedFuture<T: 'static> {
    /// The future.
    fn future(&self) -> Future<T>;
}

impl<T: 'static, F: Borrow<Future<T>>> AwaitedFuture<T> for &F {
    fn future(&self) -> Future<T> {
        (*self).borrow().clone()
    }
}

impl<T: 'static> AwaitedFuture<T> for Future<T> {
    fn future(&self) -> Future<T> {
        self.clone()
    }
}

impl<T: 'static> AwaitedFuture<T> for crate::tasks::Task<T> {
    fn future(&self) -> Future<T> {
        crate::tasks::Task::future(self)
    }
}

#[track_caller]
fn wait_until<T: 'static>(
    futures: &[Future<T>],
    timeout: Option<Duration>,
    return_when: ReturnWhen,
) -> Result {
    let scheduler = Scheduler::running()?;
    let all: Rc<[_]> = futures.iter().map(Future::erased).collect();
    let waiter: Future<()> = Future::about((return_when.title(), all), scheduler.clone());
    let timer = timeout.map(|delay| release_later(&scheduler, delay, waiter.clone()));
    let left = Rc::new(Cell::new(futures.len()));
    let mut added = Vec::with_capacity(futures.len());
    for future in futures {
        let (waiter, left, timer) = (waiter.clone(), left.clone(), timer.clone());
        let completed = Function::new(move |future: &Rc<dyn AnyFuture>| {
            left.set(left.get() - 1);
            let enough = match return_when {
                _ if left.get() == 0 => true,
                ReturnWhen::FirstCompleted => true,
                ReturnWhen::AllCompleted => false,
                ReturnWhen::FirstException => {
                    !future.core().is_cancelled() && future.core().take_error().is_some()
                }
            };
            if enough {
                timer.as_ref().inspect(|timer| timer.cancel());
                release(&waiter);
            }
        });
        added.push(completed.clone());
        future.core().add_callback(|| future.erased(), CallbackId::NONE, completed);
    }
    let waited = waiter.settle();
    timer.inspect(TimerHandle::cancel);
    for (future, completed) in futures.iter().zip(added).filter(|(future, _)| !future.done()) {
        completed.withdraw(future.core());
    }
    waited
}

fn release_later(scheduler: &Rc<Scheduler>, delay: Duration, waiter: Future<()>) -> TimerHandle {
    scheduler.call_later(delay, move || release(&waiter))
}

fn release(waiter: &Future<()>) {
    if !waiter.done() {
        // It is pending, so this cannot fail.
        let _ = waiter.set_result(());
    }
}

/// Awaits one thing for at most that long; cancels it when the time is up
/// (`asyncio.wait_for`). Without a limit it only awaits.
///
/// A closure runs in the current task, and has to own what it uses; a block of code
/// that borrows goes into [`timeout`](crate::timeout).
///
/// # Errors
///
/// Kind `Timeout` if the time was up; otherwise as the awaitable ends. Kind
/// `Runtime` outside of a task.
///
/// ```
/// use stackio::{Future, millis, wait_for};
///
/// stackio::run(|| {
///     let never: Future<()> = Future::new();
///     let error = wait_for(&never, Some(millis(5))).unwrap_err();
///     assert!(error.is_timeout());
///     assert!(never.cancelled());
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[track_caller]
pub fn wait_for<A: Awaitable>(awaitable: A, limit: Option<Duration>) -> Result<A::Output> {
    match limit {
        None => awaitable.await_here(),
        Some(limit) if !limit.is_zero() => {
            let entered = Timeout::begin(limit)?;
            entered.exit(awaitable.await_here())
        }
        Some(_) => {
            let future = awaitable.ensure_future();
            if future.done() {
                return A::obtain(&future);
            }
            cancel_and_wait(&future.erased())?;
            A::obtain(&future).map_err(|error| {
                if error.is_cancelled() { Error::from(ErrorKind::Timeout) } else { error }
            })
        }
    }
}

/// Cancels a future and waits until it is done. Being cancelled oneself ends the
/// waiting, whatever the future does.
#[track_caller]
fn cancel_and_wait(future: &Rc<dyn AnyFuture>) -> Result {
    let subject = ("the end of what is cancelled", Rc::downgrade(future));
    let waiter: Future<()> = Future::about(subject, Scheduler::running()?);
    let id = CallbackId::new();
    let released = waiter.clone();
    let callback = Function::new(move |_: &Rc<dyn AnyFuture>| release(&released));
    future.core().add_callback(|| future.clone(), id, callback);
    future.clone().cancel_any(None);
    let waited = waiter.settle();
    future.core().remove_callback(id);
    waited
}

/// A future with the outcome of the awaitable, whose cancellation does not reach
/// it (`asyncio.shield`). A closure becomes a task.
///
/// ```
/// use stackio::{millis, shield, sleep, spawn};
///
/// stackio::run(|| {
///     let save = spawn(|| { sleep(millis(2))?; Ok("saved") });
///     let shielded = shield(&save);
///     shielded.cancel();
///     assert!(shielded.wait().unwrap_err().is_cancelled());
///     assert_eq!(save.join()?, "saved");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Panics
///
/// For a closure, if no loop is running.
#[track_caller]
pub fn shield<A: Awaitable>(awaitable: A) -> Future<A::Output> {
    let inner = awaitable.ensure_future();
    if inner.done() {
        return inner;
    }
    // Not a strong handle: it has one to the outer future among its callbacks.
    let subject = ("a shield", Rc::downgrade(&inner.erased()));
    let outer: Future<A::Output> = Future::about(subject, inner.core().scheduler.clone());
    let shielded = outer.clone();
    // A strong handle here would be a circle: future, callback, future.
    let weak = Rc::downgrade(&inner.0);
    let on_inner = Function::new(move |_: &Rc<dyn AnyFuture>| {
        let Some(inner) = weak.upgrade().map(Future) else { return Ok(()) };
        if shielded.cancelled() {
            inner.core().mark_retrieved();
            Ok(())
        } else if inner.cancelled() {
            shielded.cancel();
            Ok(())
        } else if let Some(error) = inner.exception()? {
            shielded.set_exception(error)
        } else {
            match catch_panic("giving the result on", || A::obtain(&inner)) {
                Ok(result) => shielded.set_result(result),
                Err(error) => shielded.set_exception(error),
            }
        }
    });
    inner.core().add_callback(|| inner.erased(), CallbackId::NONE, on_inner.clone());
    // And so it would be here: the callback of the inner future has the outer one.
    let (inner, on_inner) = (Rc::downgrade(&inner.0), Rc::downgrade(&on_inner));
    outer.add_done_callback(move |_| {
        let inner = inner.upgrade().filter(|inner| !inner.core().is_done());
        if let (Some(inner), Some(on_inner)) = (inner, on_inner.upgrade()) {
            on_inner.withdraw(inner.core());
        }
    });
    outer
}
