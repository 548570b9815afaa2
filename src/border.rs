//! [`wrap_future`] and [`run_coroutine_threadsafe`]: results and cancellations on
//! their way between a loop and other threads.
//!
//! ```text
//!     loop's thread           |   any thread
//!                             |
//!     wrapped Future  <---------  ConcurrentFuture     wrap_future
//!                     cancel ->
//!     Task            --------->  ConcurrentFuture     run_coroutine_threadsafe
//!                     <- cancel
//! ```
//!
//! Nothing of a loop can leave its thread, so what stands on its side is kept with
//! it, under its number, and only the number crosses.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use crate::awaitable::Awaitable;
use crate::base_events::{EventLoop, Outstanding, get_running_loop};
use crate::concurrent::{Completer, ConcurrentFuture, promise};
use crate::exceptions::Result;
use crate::future_core::AnyFuture;
use crate::futures::Future;
use crate::instruments::FutureId;
use crate::remote::LoopHandle;
use crate::reports::catch_panic;
use crate::subjects::Subject;

/// What stands on a loop's side.
#[derive(Default)]
struct Border(RefCell<BTreeMap<FutureId, Counterpart>>);

struct Counterpart {
    future: Rc<dyn AnyFuture>,
    tie: Tie,
}

/// Who waits for whom.
enum Tie {
    /// The loop for a thread, unless it is for itself that it waits.
    Awaits { _thread: Option<Outstanding> },
    /// A thread for the loop: the `Completer`. It is kept here and not by the task, so
    /// that the thread is told even if the task is one that cannot be ended.
    Owes(Box<dyn Any>),
}

impl Border {
    fn insert(&self, future: Rc<dyn AnyFuture>, tie: Tie) -> FutureId {
        let id = future.core().id();
        self.0.borrow_mut().insert(id, Counterpart { future, tie });
        id
    }

    fn remove(&self, id: FutureId) -> Option<Counterpart> {
        self.0.borrow_mut().remove(&id)
    }

    fn find(&self, id: FutureId) -> Option<Rc<dyn AnyFuture>> {
        self.0.borrow().get(&id).map(|counterpart| counterpart.future.clone())
    }
}

/// The border of the loop that is running: what a call from another thread asks for.
fn border() -> Option<Rc<Border>> {
    get_running_loop().ok()?.find_service()
}

// -- from a thread to the loop -----------------------------------------------------

/// A future of the running loop for what goes on elsewhere (`asyncio.wrap_future`):
/// a task can wait for it without blocking the loop.
///
/// Cancelling either of them cancels the other; a job that a thread has begun goes on
/// though, and its result is dropped. The result is cloned. To have it moved instead,
/// give the `ConcurrentFuture` itself to whatever takes an [`Awaitable`], as
/// [`ensure_future`](crate::ensure_future) does.
///
/// ```
/// use stackio::{ThreadPoolExecutor, wrap_future};
///
/// stackio::run(|| {
///     let executor = ThreadPoolExecutor::new(2)?;
///     let job = executor.submit(|| 6 * 7)?;
///     assert_eq!(wrap_future(&job).wait()?, 42);
///     assert_eq!(job.result(None)?, 42);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Panics
///
/// If no loop is running on this thread.
#[track_caller]
pub fn wrap_future<T: Clone + Send + 'static>(future: &ConcurrentFuture<T>) -> Future<T> {
    match get_running_loop() {
        Ok(event_loop) => bring(ELSEWHERE, &event_loop, future, ConcurrentFuture::peek),
        Err(error) => panic!("wrap_future: {error}"),
    }
}

/// What a task is said to wait for, if nobody knows better.
const ELSEWHERE: &str = "what goes on elsewhere";

/// A future of a loop that gets what `read` finds when the other one is done. `what`
/// is said of it to people.
#[track_caller]
pub(crate) fn bring<T: Send + 'static>(
    what: impl Subject,
    event_loop: &EventLoop,
    source: &ConcurrentFuture<T>,
    read: fn(&ConcurrentFuture<T>) -> Result<T>,
) -> Future<T> {
    let future = Future::about(what, event_loop.scheduler().clone());
    let border = event_loop.service(Border::default);
    let handle = event_loop.handle();
    let thread = (!source.comes_from(&handle)).then(|| event_loop.outstanding());
    let id = border.insert(future.erased(), Tie::Awaits { _thread: thread });
    let cancelled = source.clone();
    future.add_done_callback(move |future| {
        if future.cancelled() {
            cancelled.cancel();
        }
    });
    source.add_done_callback(move |source| {
        let source = source.clone();
        // A loop that is closed has nobody waiting.
        let _ = handle.call_soon_threadsafe(move || arrive(id, &source, read));
    });
    future
}

/// What the loop waits for is done.
fn arrive<T: Send + 'static>(
    id: FutureId,
    source: &ConcurrentFuture<T>,
    read: fn(&ConcurrentFuture<T>) -> Result<T>,
) {
    let Some(counterpart) = border().and_then(|border| border.remove(id)) else { return };
    let future = counterpart.future.typed().downcast::<Future<T>>().ok();
    let Some(future) = future.filter(|future| !future.done()) else { return };
    // It may clone the value, which is the user's doing.
    let outcome = catch_panic("cloning the result of another thread", || read(source));
    // It is pending unless that clone has completed it.
    let _ = match outcome {
        Ok(value) => future.set_result(value),
        Err(error) if error.is_cancelled() => {
            future.core().cancel(future.erased(), error.message());
            Ok(())
        }
        Err(error) => future.set_exception(error),
    };
}

/// By value the result is moved out of it.
impl<T: Send + 'static> Awaitable for ConcurrentFuture<T> {
    type Output = T;

    #[track_caller]
    fn ensure_future(self) -> Future<T> {
        match get_running_loop() {
            Ok(event_loop) => bring(ELSEWHERE, &event_loop, &self, ConcurrentFuture::take),
            Err(error) => panic!("ensure_future: {error}"),
        }
    }

    #[track_caller]
    fn await_here(self) -> Result<T> {
        self.ensure_future().join()
    }

    fn obtain(future: &Future<T>) -> Result<T> {
        future.take_result()
    }
}

/// By reference it is cloned.
impl<T: Clone + Send + 'static> Awaitable for &ConcurrentFuture<T> {
    type Output = T;

    #[track_caller]
    fn ensure_future(self) -> Future<T> {
        wrap_future(self)
    }

    #[track_caller]
    fn await_here(self) -> Result<T> {
        wrap_future(self).join()
    }

    fn obtain(future: &Future<T>) -> Result<T> {
        future.take_result()
    }
}

// -- from the loop to a thread -----------------------------------------------------

/// Starts a task on a loop from whatever thread, and gives that thread the future of
/// its result (`asyncio.run_coroutine_threadsafe`).
///
/// [`cancel`](ConcurrentFuture::cancel) on it cancels the task, at any time before
/// the task has ended; one that has not been started yet then never runs. However the
/// task ends, with a result, an error, a cancellation or a panic, the future does as
/// well. It also does if the loop is closed first: kind `Cancelled`.
///
/// The task starts with the loop's context variables and not with the caller's, whose
/// values cannot leave their thread.
///
/// ```
/// use stackio::{get_running_loop, millis, run_coroutine_threadsafe, secs, sleep, to_thread};
///
/// stackio::run(|| {
///     let event_loop = get_running_loop()?.handle();
///     let thread = std::thread::spawn(move || {
///         let coroutine = || {
///             sleep(millis(1))?; // on the loop's thread, in a task
///             Ok(6 * 7)
///         };
///         run_coroutine_threadsafe(coroutine, &event_loop)?.result(secs(5))
///     });
///     // The loop has to go on meanwhile, so joining is a matter for a thread, too.
///     let answer = to_thread(move || thread.join())?.expect("it does not panic")?;
///     assert_eq!(answer, 42);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// Kind `Runtime` if the loop is closed.
pub fn run_coroutine_threadsafe<T: Send + 'static>(
    body: impl FnOnce() -> Result<T> + Send + 'static,
    event_loop: &LoopHandle,
) -> Result<ConcurrentFuture<T>> {
    let (completer, future) =
        promise(Some(event_loop.clone()), "the event loop was closed before the coroutine ended");
    event_loop.call_soon_threadsafe(move || start(completer, body))?;
    Ok(future)
}

/// Runs on the loop's thread.
fn start<T: Send + 'static>(
    completer: Completer<T>,
    body: impl FnOnce() -> Result<T> + Send + 'static,
) {
    let Ok(event_loop) = get_running_loop() else { return };
    if completer.future().cancelled() {
        return;
    }
    let task = event_loop.spawn(body);
    let (border, future) = (event_loop.service(Border::default), completer.future().clone());
    let id = border.insert(task.erased(), Tie::Owes(Box::new(completer)));
    let handle = event_loop.handle();
    future.add_done_callback(move |future| {
        if future.cancelled() {
            // A loop that is closed has ended the task already.
            let _ = handle.call_soon_threadsafe(move || cancel(id));
        }
    });
    let debt = Debt { border: Rc::downgrade(&border), id };
    task.add_done_callback(move |task| debt.pay(task));
}

/// What a task owes a thread. It belongs to the task's callback, which a loop that is
/// closed drops without calling it.
struct Debt {
    border: Weak<Border>,
    id: FutureId,
}

impl Debt {
    /// The task has ended: the thread gets its outcome.
    fn pay<T: Send + 'static>(&self, task: &Future<T>) {
        let counterpart = self.border.upgrade().and_then(|border| border.remove(self.id));
        let Some(Counterpart { tie: Tie::Owes(completer), .. }) = counterpart else { return };
        // Whoever cancelled it has been told; an error stays with the task, to be
        // reported as one that nobody saw.
        match completer.downcast::<Completer<T>>() {
            Ok(completer) if !completer.future().cancelled() => {
                completer.complete(task.take_result());
            }
            _ => {}
        }
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        let counterpart = self.border.upgrade().and_then(|border| border.remove(self.id));
        drop(counterpart);
    }
}

/// The other end has been cancelled.
fn cancel(id: FutureId) {
    // It is gone if the task has ended meanwhile.
    if let Some(task) = border().and_then(|border| border.find(id)) {
        task.cancel_any(None);
    }
}
