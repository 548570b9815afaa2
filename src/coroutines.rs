//! The one door: how code inside a task suspends.
//!
//! Awaiting is a function call here. Deep inside a task, `future.wait()` looks up
//! the current task, leaves the future with it, and switches to whoever resumed
//! the task's coroutine. Nothing else in this crate waits.
//!
//! ```text
//!   read() -> wait() -> suspend(future) ==switch==> steps::run_pending
//!                                                     future.add_done_callback(wakeup)
//!                        ... later: the future is done, wakeup, step ...
//!   read() <- wait() <- suspend(future) <==switch== steps::run_pending
//! ```
//!
//! The current task is looked up at each call and never remembered across a
//! suspension, for a generator may be resumed by another task the next time.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::{Fiber, Refusal};
use crate::future_core::AnyFuture;
use crate::futures::Future;
use crate::sys::cells;
use crate::traces::{Begin, Trace};

/// How many operations that need not wait a task may do in one step before it is
/// made to give way to the others.
const OPERATIONS_PER_STEP: u32 = 128;

/// The coroutine of a task: its fiber, and what passes through the door.
///
/// All of it is needed at each step, so it lies together.
#[repr(C)]
pub(crate) struct Coroutine {
    /// Out: the future that it waits for, until it goes on; none is a bare yield.
    awaited: Cell<Option<Rc<dyn AnyFuture>>>,
    /// In: the error to raise at the suspension point. In the end: the error of the body.
    pub(crate) thrown: Cell<Option<Error>>,
    pub(crate) suspended_at: Cell<Option<&'static Location<'static>>>,
    pub(crate) fiber: Fiber,
    /// The task that it belongs to.
    task: Cell<Option<NonNull<dyn AnyFuture>>>,
}

impl cells::Handle for Option<Error> {
    #[inline(always)]
    fn is_none(&self) -> bool {
        self.is_none()
    }
}

thread_local! {
    /// The coroutine of the task that runs now on this thread; null if none does.
    static CURRENT: Cell<*const Coroutine> = const { Cell::new(ptr::null()) };
    static OPERATIONS: Cell<u32> = const { Cell::new(0) };
    /// What an inspected coroutine found on its stack.
    static TRACE: ManuallyDrop<Cell<Trace>> =
        const { ManuallyDrop::new(Cell::new(Trace::nothing())) };
}

/// The coroutine of the task that runs now on this thread.
#[inline(always)]
fn running() -> Option<&'static Coroutine> {
    // SAFETY: `Entered` borrows it, and puts the former one back when it is dropped. It
    // is not 'static: nobody here keeps it longer than the task runs.
    unsafe { CURRENT.get().as_ref() }
}

/// The task that runs now on this thread.
pub(crate) fn current() -> Option<Rc<dyn AnyFuture>> {
    let task = running()?.task.get()?.as_ptr();
    // SAFETY: `belong_to` was given it by a task that owns the coroutine, and the coroutine
    // is alive; so it is what `Rc::into_raw` gives for that task, with a count of 1 or more.
    unsafe {
        Rc::increment_strong_count(task);
        Some(Rc::from_raw(task))
    }
}

/// As long as it lives, which is until it is dropped, the task is the current one.
pub(crate) struct Entered<'a> {
    former: *const Coroutine,
    coroutine: PhantomData<&'a Coroutine>,
}

impl<'a> Entered<'a> {
    #[inline(always)]
    pub(crate) fn new(coroutine: &'a Coroutine) -> Entered<'a> {
        OPERATIONS.set(OPERATIONS_PER_STEP);
        Entered { former: CURRENT.replace(coroutine), coroutine: PhantomData }
    }
}

impl Drop for Entered<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        CURRENT.set(self.former);
    }
}

impl Coroutine {
    #[inline(always)]
    pub(crate) fn new() -> Coroutine {
        Coroutine {
            awaited: Cell::new(None),
            thrown: Cell::new(None),
            suspended_at: Cell::new(None),
            fiber: Fiber::new(),
            task: Cell::new(None),
        }
    }

    /// Tells it which task it belongs to.
    ///
    /// # Safety
    ///
    /// It is a part of that task, and the pointer is that of the task's `Rc`.
    #[inline(always)]
    pub(crate) unsafe fn belong_to(&self, task: *const dyn AnyFuture) {
        self.task.set(NonNull::new(task.cast_mut()));
    }

    /// The future that it waits for.
    pub(crate) fn awaited(&self) -> Option<Rc<dyn AnyFuture>> {
        cells::share(&self.awaited)
    }

    pub(crate) fn set_awaited(&self, future: Rc<dyn AnyFuture>) {
        self.awaited.set(Some(future));
    }

    /// The future that it waits for, which it does no more.
    #[inline(always)]
    pub(crate) fn take_awaited(&self) -> Option<Rc<dyn AnyFuture>> {
        cells::take(&self.awaited)
    }

    #[inline(always)]
    fn may_suspend(&self) -> Result {
        match self.fiber.refusal() {
            None => Ok(()),
            Some(Refusal::Forbidden) => Err(outside()),
            Some(Refusal::Unwinding) => Err(unwinding()),
            Some(Refusal::Ending) => Err(Error::cancelled_with("the event loop is closing")),
        }
    }
}

#[cold]
fn unwinding() -> Error {
    let text = "cannot suspend while the thread is unwinding from a panic";
    Error::text(ErrorKind::Runtime, text)
}

#[cold]
fn outside() -> Error {
    let text = "cannot suspend here: waiting works only inside a task, not in a callback, a \
                watcher or outside of an event loop";
    Error::text(ErrorKind::Runtime, text)
}

/// Suspends the current task until the future is done, or, without a future, for
/// one iteration of the loop.
///
/// # Errors
///
/// The error thrown in. Kind `Runtime` where there is nothing to suspend.
#[inline(always)]
#[track_caller]
pub(crate) fn suspend(awaited: Option<Rc<dyn AnyFuture>>) -> Result {
    let coroutine = running().ok_or_else(outside)?;
    coroutine.may_suspend()?;
    if awaited.is_some() {
        coroutine.awaited.set(awaited);
    }
    coroutine.suspended_at.set(Some(Location::caller()));
    // SAFETY: the current task's fiber is on the chain of running fibers: `resume`
    // makes a task current only while it resumes that fiber, on this thread.
    let usual = unsafe { coroutine.fiber.suspend() };
    if !usual {
        coroutine.answer_inspections();
    }
    cells::take(&coroutine.thrown).map_or(Ok(()), Err)
}

impl Coroutine {
    /// Tells what is on its stack, until it is resumed to go on.
    #[cold]
    fn answer_inspections(&self) {
        while self.fiber.is_inspected() {
            let trace = Trace::capture(self.fiber.base(), Begin::Here);
            TRACE.with(|found| found.set(trace));
            // SAFETY: `inspect` has just resumed the fiber.
            unsafe { self.fiber.suspend() };
        }
    }

    /// What is on its stack. Nothing before it begins and after it has ended, and in
    /// the middle of a panic unless it runs. Of one that runs an eager task just now,
    /// without the generators that it is in.
    pub(crate) fn inspect(&self) -> Trace {
        if self.fiber.is_running() {
            let is_current = ptr::eq(CURRENT.get(), self);
            let begin = if is_current { Begin::Here } else { Begin::OnOwnStack };
            return Trace::capture(self.fiber.base(), begin);
        }
        if !self.fiber.is_suspended() || self.fiber.base() == 0 || std::thread::panicking() {
            return Trace::nothing();
        }
        self.fiber.inspect();
        TRACE.with(|found| found.replace(Trace::nothing()))
    }
}

/// Fails as suspending would, before something is begun that ends in it.
pub(crate) fn check_suspendable() -> Result {
    running().ok_or_else(outside)?.may_suspend()
}

/// Whether the current task could be suspended now.
pub(crate) fn can_suspend() -> bool {
    running().is_some_and(|coroutine| !coroutine.fiber.would_refuse())
}

/// Counts an operation that did not have to wait; every so often it makes the
/// task give way, so that a peer who is always ready starves nobody. It is called
/// before the operation, so that a cancellation that arrives here loses nothing.
#[inline(always)]
#[track_caller]
pub(crate) fn spend_operation() -> Result {
    let left = OPERATIONS.get();
    if left > 0 {
        OPERATIONS.set(left - 1);
        return Ok(());
    }
    give_way()
}

#[cold]
#[track_caller]
fn give_way() -> Result {
    // Outside of a task there is nobody to give way to.
    if CURRENT.get().is_null() { Ok(()) } else { suspend(None) }
}

/// Gives way to everything else that is ready, for one iteration of the loop.
///
/// # Errors
///
/// Kind `Cancelled` if the task is cancelled; kind `Runtime` outside of a task.
#[inline(always)]
#[track_caller]
pub fn yield_now() -> Result {
    suspend(None)
}

impl<T> Future<T> {
    /// Suspends the current task until the future is done; gives its result. It
    /// can be asked as often as one likes. This is Python's `await future`.
    ///
    /// # Errors
    ///
    /// The exception or cancellation of the future. Kind `Cancelled` if the
    /// waiting task is cancelled, which cancels the future as well. Kind `Runtime`
    /// where nothing can be suspended: outside of a task, in a callback, or while
    /// the thread is unwinding.
    #[inline(always)]
    #[track_caller]
    #[doc(alias = "await")]
    pub fn wait(&self) -> Result<T>
    where
        T: Clone,
    {
        self.settle()?;
        self.result()
    }

    /// The same, and moves the result out, which then need not be `Clone`. Later
    /// readers get an error of kind `InvalidState`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Future::wait).
    #[inline(always)]
    #[track_caller]
    pub fn join(self) -> Result<T> {
        self.settle()?;
        let result = self.take_result();
        if Rc::strong_count(&self.0) == 1 {
            self.0.retire();
        }
        result
    }

    /// Suspends until it is done, however it ends.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn settle(&self) -> Result {
        let core = self.core();
        if core.is_done() {
            return Ok(());
        }
        suspend(Some(self.erased()))?;
        if !core.is_done() {
            let text = format!("the task was resumed, but {:?} is not done", self);
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        Ok(())
    }
}
