//! How other threads reach a loop: a queue, and a way to wake the selector.
//!
//! The queue is filled first and the selector woken then, and the loop looks into
//! the queue after every select: no call can fall in between.

use std::fmt;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;

use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};

type RemoteCall = Box<dyn FnOnce() + Send>;

/// What other threads have asked the loop to do.
pub(crate) struct Remote {
    /// None once the loop is closed.
    calls: Mutex<Option<Vec<RemoteCall>>>,
    waker: Arc<Waker>,
}

impl Remote {
    pub(crate) fn new(waker: Arc<Waker>) -> Remote {
        Remote { calls: Mutex::new(Some(Vec::new())), waker }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<RemoteCall>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has_work(&self) -> bool {
        self.lock().as_ref().is_some_and(|calls| !calls.is_empty())
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
        drop(calls);
    }
}

/// A loop as other threads see it: the only part of one that can be sent.
#[derive(Clone)]
pub struct LoopHandle(pub(crate) Arc<Remote>);

impl LoopHandle {
    /// Has `callback` called on the loop's thread, and wakes the loop if it is
    /// waiting.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the loop is closed.
    pub fn call_soon_threadsafe(&self, callback: impl FnOnce() + Send + 'static) -> Result {
        match &mut *self.0.lock() {
            Some(calls) => calls.push(Box::new(callback)),
            None => return Err(Error::text(ErrorKind::Runtime, "the event loop is closed")),
        }
        self.0.waker.wake()?;
        Ok(())
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}
