//! [`Condition`]: wait, under a lock, until something has changed.

use std::fmt;
use std::rc::Rc;

use super::line::Line;
use super::line::LockStatistics;
use super::lock::{Lock, LockGuard};
use crate::coroutines::can_suspend;
use crate::exceptions::{Error, ErrorKind, Result};

/// Waits, under a [`Lock`], until another task says that something has changed
/// (`asyncio.Condition`).
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use stackio::{Condition, spawn};
///
/// stackio::run(|| {
///     let state = Rc::new((Condition::new(), Cell::new(0)));
///     let shared = state.clone();
///     let waiter = spawn(move || {
///         let (changed, number) = &*shared;
///         let _guard = changed.guard()?;
///         changed.wait_for(|| Ok(number.get() == 7))?;
///         Ok(number.get())
///     });
///     stackio::yield_now()?;
///     let (changed, number) = &*state;
///     {
///         let _guard = changed.guard()?;
///         number.set(7);
///         changed.notify_all()?;
///     }
///     assert_eq!(waiter.join()?, 7);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Condition {
    lock: Rc<Lock>,
    line: Line,
}

impl Default for Condition {
    fn default() -> Condition {
        Condition::with_lock(Rc::default())
    }
}

impl Condition {
    /// A condition with a lock of its own.
    ///
    /// ```
    /// assert!(!stackio::Condition::new().locked());
    /// ```
    pub fn new() -> Condition {
        Condition::default()
    }

    /// A condition on a lock that others use as well.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use stackio::{Condition, Lock};
    ///
    /// let lock = Rc::new(Lock::new());
    /// let (full, empty) = (Condition::with_lock(lock.clone()), Condition::with_lock(lock));
    /// full.acquire()?;
    /// assert!(empty.locked());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn with_lock(lock: Rc<Lock>) -> Condition {
        Condition { lock, line: Line::of("condition") }
    }

    /// One that is the inside of something else.
    pub(super) fn inside_of(kind: &'static str) -> Condition {
        Condition { lock: Rc::default(), line: Line::of(kind) }
    }

    /// Takes its lock, as [`Lock::acquire`] does.
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`].
    ///
    /// ```
    /// let condition = stackio::Condition::new();
    /// condition.acquire()?;
    /// assert!(condition.locked());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> Result {
        self.lock.acquire()
    }

    /// Gives its lock back.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the lock is not taken.
    ///
    /// ```
    /// let condition = stackio::Condition::new();
    /// condition.acquire()?;
    /// condition.release()?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn release(&self) -> Result {
        self.lock.release()
    }

    /// Whether its lock is taken.
    ///
    /// ```
    /// assert!(!stackio::Condition::new().locked());
    /// ```
    pub fn locked(&self) -> bool {
        self.lock.locked()
    }

    /// Takes its lock until the guard is dropped: `async with condition`.
    ///
    /// # Errors
    ///
    /// As [`Lock::acquire`].
    ///
    /// ```
    /// let condition = stackio::Condition::new();
    /// drop(condition.guard()?);
    /// assert!(!condition.locked());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn guard(&self) -> Result<LockGuard<'_>> {
        self.lock.lock()
    }

    /// Gives the lock back, waits to be notified, and takes the lock again.
    ///
    /// It may return without what one waits for: look again, or use
    /// [`wait_for`](Condition::wait_for).
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the lock is not taken, or as for [`Lock::acquire`]. Kind
    /// `Cancelled`: the lock has been taken again then, however often the task was
    /// cancelled meanwhile, and the last cancellation is the one that is given. (Only
    /// a task that is ended together with its loop goes without.)
    ///
    /// ```
    /// use stackio::{Condition, ErrorKind};
    ///
    /// let error = Condition::new().wait().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Runtime);
    /// ```
    #[track_caller]
    pub fn wait(&self) -> Result {
        self.check_locked("wait for")?;
        let waiter = self.line.enter()?;
        if !can_suspend() {
            // It would not get the lock back.
            return waiter.wait();
        }
        self.lock.release()?;
        let waited = waiter.wait();
        drop(waiter);
        let waited = self.reacquire().and(waited);
        if waited.is_err() {
            // Perhaps it was notified before that; then another one shall be.
            self.wake(1);
        }
        waited
    }

    /// Takes the lock again.
    ///
    /// # Errors
    ///
    /// With the lock taken: the last cancellation that came meanwhile. Without:
    /// whatever else kept it from being taken.
    #[track_caller]
    fn reacquire(&self) -> Result {
        let mut cancelled = Ok(());
        loop {
            match self.lock.acquire() {
                Ok(()) => return cancelled,
                Err(error) if error.is_cancelled() && can_suspend() => cancelled = Err(error),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the predicate is true, asking it whenever notified.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condition::wait), and those of the predicate.
    ///
    /// ```
    /// let condition = stackio::Condition::new();
    /// condition.wait_for(|| Ok(true))?; // true at once: nothing to wait for
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn wait_for(&self, mut predicate: impl FnMut() -> Result<bool>) -> Result {
        while !predicate()? {
            self.wait()?;
        }
        Ok(())
    }

    /// Wakes up to `n` of those who wait. They go on once they have the lock.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the lock is not taken.
    ///
    /// ```
    /// use stackio::{Condition, ErrorKind};
    ///
    /// let condition = Condition::new();
    /// assert_eq!(condition.notify(1).unwrap_err().kind(), ErrorKind::Runtime);
    /// ```
    pub fn notify(&self, n: usize) -> Result {
        self.check_locked("notify")?;
        self.wake(n);
        Ok(())
    }

    /// Wakes all who wait. They go on one after the other, as they get the lock.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the lock is not taken.
    ///
    /// ```
    /// let condition = stackio::Condition::new();
    /// let _guard = condition.guard()?;
    /// condition.notify_all()?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn notify_all(&self) -> Result {
        self.notify(usize::MAX)
    }

    fn wake(&self, n: usize) {
        let mut left = n;
        while left > 0 && self.line.wake_next() {
            left -= 1;
        }
    }

    fn check_locked(&self, operation: &str) -> Result {
        if !self.lock.locked() {
            let text = format!("cannot {operation} a condition whose lock is not taken");
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        Ok(())
    }

    /// Who has its lock, and how many wait to be notified.
    ///
    /// ```
    /// assert_eq!(stackio::Condition::new().statistics().waiting, 0);
    /// ```
    pub fn statistics(&self) -> LockStatistics {
        self.line.statistics(self.lock.statistics().holders)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.line.waiting();
        f.debug_struct("Condition").field("lock", &self.lock).field("waiting", &waiting).finish()
    }
}
