//! [`Awaitable`]: what can be awaited - a future, a task, or a closure.
//!
//! A closure stands for Python's coroutine object: nothing runs until somebody
//! awaits it, in the current task or as a task of its own.

use std::rc::Rc;

use crate::base_events::EventLoop;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::futures::Future;
use crate::spawning::spawn;
use crate::tasks::Task;

/// Something that can be awaited.
///
/// Futures and tasks by value give their result away, as
/// [`join`](Future::join) does; by reference they give a clone of it, as
/// [`wait`](Future::wait) does. A closure is the body of a coroutine.
pub trait Awaitable: Sized {
    /// What awaiting it gives.
    type Output: 'static;

    /// As a future; a closure becomes a task.
    fn ensure_future(self) -> Future<Self::Output>;

    /// Awaits it in the current task; a closure is called right here.
    ///
    /// # Errors
    ///
    /// Its error, and those of [`Future::wait`].
    #[track_caller]
    fn await_here(self) -> Result<Self::Output>;

    /// The result of a finished future that `ensure_future` gave.
    ///
    /// # Errors
    ///
    /// The future's exception or cancellation, or kind `InvalidState`.
    fn obtain(future: &Future<Self::Output>) -> Result<Self::Output>;
}

impl<T: 'static> Awaitable for Future<T> {
    type Output = T;

    fn ensure_future(self) -> Future<T> {
        self
    }

    #[track_caller]
    fn await_here(self) -> Result<T> {
        self.join()
    }

    fn obtain(future: &Future<T>) -> Result<T> {
        future.take_result()
    }
}

impl<T: Clone + 'static> Awaitable for &Future<T> {
    type Output = T;

    fn ensure_future(self) -> Future<T> {
        self.clone()
    }

    #[track_caller]
    fn await_here(self) -> Result<T> {
        self.wait()
    }

    fn obtain(future: &Future<T>) -> Result<T> {
        future.result()
    }
}

impl<T: 'static> Awaitable for Task<T> {
    type Output = T;

    fn ensure_future(self) -> Future<T> {
        self.future()
    }

    #[track_caller]
    fn await_here(self) -> Result<T> {
        self.join()
    }

    fn obtain(future: &Future<T>) -> Result<T> {
        future.take_result()
    }
}

impl<T: Clone + 'static> Awaitable for &Task<T> {
    type Output = T;

    fn ensure_future(self) -> Future<T> {
        self.future()
    }

    #[track_caller]
    fn await_here(self) -> Result<T> {
        self.wait()
    }

    fn obtain(future: &Future<T>) -> Result<T> {
        future.result()
    }
}

impl<T: 'static, F: FnOnce() -> Result<T> + 'static> Awaitable for F {
    type Output = T;

    #[track_caller]
    fn ensure_future(self) -> Future<T> {
        spawn(self).future()
    }

    #[track_caller]
    fn await_here(self) -> Result<T> {
        self()
    }

    fn obtain(future: &Future<T>) -> Result<T> {
        future.take_result()
    }
}

/// As a future: a future or task itself, a closure as a new task.
///
/// # Panics
///
/// For a closure, if no loop is running.
#[track_caller]
pub fn ensure_future<A: Awaitable>(awaitable: A) -> Future<A::Output> {
    awaitable.ensure_future()
}

impl EventLoop {
    /// Runs until the future, task or closure is done; gives its result.
    ///
    /// # Errors
    ///
    /// Its error; kind `Deadlock` under a virtual clock if it can never be done;
    /// kind `Runtime` if a loop is running on this thread already; kind `Value` if the
    /// future belongs to another loop.
    #[track_caller]
    pub fn run_until_complete<A: Awaitable>(&self, awaitable: A) -> Result<A::Output> {
        let _entered = self.enter()?;
        let future = awaitable.ensure_future();
        if !Rc::ptr_eq(&future.core().scheduler, self.scheduler()) {
            let text = format!("run_until_complete: {future:?} belongs to a different loop");
            return Err(Error::text(ErrorKind::Value, text));
        }
        self.iterate_until(&future.erased())?;
        A::obtain(&future)
    }
}
