//! How other threads reach a loop: a queue, and a way to wake the selector.
//!
//! The queue is filled first and the selector woken then, and the loop looks into
//! the queue in each iteration: no call can fall in between. A call from the loop's
//! own thread needs neither and takes its place among what is ready.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use mio::Waker;

use crate::context::Variables;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::reports::drop_value;

type RemoteCall = Box<dyn FnOnce() + Send>;

/// What other threads have asked the loop to do.
pub(crate) struct Remote {
    /// None once the loop is closed.
    calls: Mutex<Option<Vec<RemoteCall>>>,
    /// Whether there may be any: looking is cheap.
    some: AtomicBool,
    waker: Arc<Waker>,
    /// The thread that it was made on, which it cannot leave.
    thread: ThreadId,
    /// How many threads that do something for the loop wait for it meanwhile.
    held: AtomicUsize,
}

/// Schedulers, by the address of what other threads have of their loops.
type Homes = Vec<(usize, Weak<Scheduler>)>;

thread_local! {
    /// The loop that waits for what this thread does.
    static SERVED: RefCell<Option<Arc<Remote>>> = const { RefCell::new(None) };
    /// Those of this thread. Without a destructor, so that a loop may be used in
    /// those of others.
    static HERE: ManuallyDrop<RefCell<Homes>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
}

impl Remote {
    pub(crate) fn new(waker: Arc<Waker>, scheduler: &Rc<Scheduler>) -> Arc<Remote> {
        let remote = Arc::new(Remote {
            calls: Mutex::new(Some(Vec::new())),
            some: AtomicBool::new(false),
            waker,
            thread: thread::current().id(),
            held: AtomicUsize::new(0),
        });
        let here = (remote.address(), Rc::downgrade(scheduler));
        HERE.with(|loops| loops.borrow_mut().push(here));
        remote
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Its scheduler, on the thread that it belongs to.
    fn scheduler(&self) -> Option<Rc<Scheduler>> {
        HERE.with(|loops| {
            let loops = loops.borrow();
            loops.iter().find(|(address, _)| *address == self.address())?.1.upgrade()
        })
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

    /// Whether other threads have asked for something.
    #[inline]
    pub(crate) fn has_some(&self) -> bool {
        self.some.load(Ordering::Acquire)
    }

    /// Schedules what other threads have asked for.
    #[inline]
    pub(crate) fn drain(&self, scheduler: &Rc<Scheduler>) {
        if self.has_some() {
            self.drain_some(scheduler);
        }
    }

    #[cold]
    fn drain_some(&self, scheduler: &Rc<Scheduler>) {
        let calls = {
            let mut calls = self.lock();
            self.some.store(false, Ordering::Release);
            calls.as_mut().map(std::mem::take).unwrap_or_default()
        };
        // They come from elsewhere: nobody's variables are theirs.
        let nobodys = Cell::new(Variables::default());
        Variables::swap(&nobodys);
        for call in calls {
            scheduler.call_soon(call);
        }
        Variables::swap(&nobodys);
    }

    pub(crate) fn close(&self) {
        HERE.with(|loops| loops.borrow_mut().retain(|here| here.0 != self.address()));
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
    /// waiting. What one thread asks for is called in that order, and before what
    /// `call_soon` is asked for later; what tasks and futures put into the queue in the
    /// same round may come before it. It does not have the context variables of the thread.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the loop is closed.
    #[track_caller]
    pub fn call_soon_threadsafe(&self, callback: impl FnOnce() + Send + 'static) -> Result {
        if self.is_of_this_thread()
            && let Some(scheduler) = self.0.scheduler()
        {
            self.0.drain(&scheduler);
            scheduler.call_soon(callback);
            return Ok(());
        }
        let call: RemoteCall = Box::new(callback);
        let refused = match &mut *self.0.lock() {
            Some(calls) => {
                calls.push(call);
                self.0.some.store(true, Ordering::Release);
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
