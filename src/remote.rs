//! How other threads reach a loop: a queue, and a way to wake the selector.
//!
//! The queue is filled first and the selector woken then, and the loop looks into
//! the queue after every select: no call can fall in between.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use mio::Waker;

use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::reports::drop_value;

type RemoteCall = Box<dyn FnOnce() + Send>;

/// What other threads have asked the loop to do.
pub(crate) struct Remote {
    /// None once the loop is closed.
    calls: Mutex<Option<Vec<RemoteCall>>>,
    waker: Arc<Waker>,
    /// The thread that it was made on, which it cannot leave.
    thread: ThreadId,
    /// How many threads that do something for the loop wait for it meanwhile.
    held: AtomicUsize,
}

thread_local! {
    /// The loop that waits for what this thread does.
    static SERVED: RefCell<Option<Arc<Remote>>> = const { RefCell::new(None) };
}

impl Remote {
    pub(crate) fn new(waker: Arc<Waker>) -> Remote {
        Remote {
            calls: Mutex::new(Some(Vec::new())),
            waker,
            thread: thread::current().id(),
            held: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<RemoteCall>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_work(&self) -> bool {
        self.lock().as_ref().is_some_and(|calls| !calls.is_empty())
    }

    /// How many of the things that the loop waits for wait for the loop themselves.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    pub(crate) fn drain(&self, scheduler: &Rc<Scheduler>) {
        let calls = match &mut *self.lock() {
            Some(calls) if !calls.is_empty() => std::mem::take(calls),
            _ => return,
        };
        for call in calls {
            scheduler.call_soon(call);
        }
    }

    pub(crate) fn close(&self) {
        let calls = self.lock().take();
        for call in calls.into_iter().flatten() {
            drop_value(call);
        }
    }
}

/// A loop as other threads see it: the only part of one that can be sent.
///
/// ```
/// use stackio::{get_running_loop, to_thread};
///
/// stackio::run(|| {
///     let handle = get_running_loop()?.handle();
///     to_thread(move || {
///         handle.call_soon_threadsafe(|| println!("on the loop's thread")).is_ok()
///     })?;
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone)]
pub struct LoopHandle(pub(crate) Arc<Remote>);

impl LoopHandle {
    /// Has `callback` called on the loop's thread, and wakes the loop if it is
    /// waiting. What one thread asks for is called in that order.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the loop is closed.
    pub fn call_soon_threadsafe(&self, callback: impl FnOnce() + Send + 'static) -> Result {
        let call: RemoteCall = Box::new(callback);
        let refused = match &mut *self.0.lock() {
            Some(calls) => {
                calls.push(call);
                None
            }
            None => Some(call),
        };
        if refused.is_some() {
            return Err(Error::text(ErrorKind::Runtime, "the event loop is closed"));
        }
        self.0.waker.wake()?;
        Ok(())
    }

    /// Whether the loop is closed, so that nothing can be asked of it any more.
    pub fn is_closed(&self) -> bool {
        self.0.lock().is_none()
    }

    /// Whether both are the same loop.
    pub(crate) fn is_same(&self, other: &LoopHandle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether this is the thread that the loop runs on.
    pub(crate) fn is_of_this_thread(&self) -> bool {
        thread::current().id() == self.0.thread
    }

    /// Calls something that the loop waits for.
    pub(crate) fn serve<R>(&self, call: impl FnOnce() -> R) -> R {
        struct Former(Option<Arc<Remote>>);
        impl Drop for Former {
            fn drop(&mut self) {
                SERVED.set(self.0.take());
            }
        }
        let _former = Former(SERVED.replace(Some(self.0.clone())));
        call()
    }

    /// This thread is about to wait for the loop. If the loop waits for this thread,
    /// that is counted until it is released, so that virtual time goes on.
    pub(crate) fn hold(&self) -> bool {
        let ours = |served: &RefCell<Option<Arc<Remote>>>| {
            served.borrow().as_ref().is_some_and(|served| Arc::ptr_eq(served, &self.0))
        };
        // A thread that is ending serves nobody.
        let held = SERVED.try_with(ours).unwrap_or(false);
        if held {
            self.0.held.fetch_add(1, Ordering::SeqCst);
            // A loop that cannot be woken has ended, and there is no time to pass.
            let _ = self.0.waker.wake();
        }
        held
    }

    /// So many threads do not wait any more.
    pub(crate) fn release(&self, threads: usize) {
        self.0.held.fetch_sub(threads, Ordering::SeqCst);
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}
