//! [`Semaphore`] and [`BoundedSemaphore`]: so many tasks at a time.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

use super::holders::Holders;
use super::line::{Line, LockStatistics};
use crate::coroutines::current;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::instruments::FutureId;

/// Lets so many tasks in at a time, in the order in which they came
/// (`asyncio.Semaphore`).
///
/// ```
/// use std::rc::Rc;
/// use stackio::{Semaphore, gather, millis, sleep, spawn};
///
/// stackio::run(|| {
///     let two = Rc::new(Semaphore::new(2));
///     let tasks = (0..6).map(|_| {
///         let two = two.clone();
///         spawn(move || {
///             let _guard = two.guard()?; // two tasks at a time get past this
///             sleep(millis(1))
///         })
///     });
///     gather(tasks.collect::<Vec<_>>()).wait()?;
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Semaphore {
    /// How many more may come in.
    value: Cell<usize>,
    /// The value that a release may not go beyond.
    bound: usize,
    line: Line,
    holders: Holders,
}

impl Semaphore {
    /// A semaphore that lets `value` tasks in.
    ///
    /// ```
    /// assert!(!stackio::Semaphore::new(1).locked());
    /// ```
    pub fn new(value: usize) -> Semaphore {
        Semaphore::bounded(value, usize::MAX)
    }

    fn bounded(value: usize, bound: usize) -> Semaphore {
        let (value, line) = (Cell::new(value), Line::of("semaphore"));
        Semaphore { value, bound, line, holders: Holders::new() }
    }

    /// Comes in, until [`release`](Semaphore::release); waits while it is full or others
    /// are first. What it returns is no guard: [`guard`](Semaphore::guard) is the one that
    /// leaves by itself.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` if it has to wait where nothing can, or in
    /// another loop than those who had to wait before.
    ///
    /// ```
    /// let semaphore = stackio::Semaphore::new(1);
    /// semaphore.acquire()?; // there is room: this needs no loop
    /// assert!(semaphore.locked());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> Result {
        self.come_in().map(drop)
    }

    /// The number of the task that came in.
    #[track_caller]
    fn come_in(&self) -> Result<Option<FutureId>> {
        if !self.locked() {
            self.value.set(self.value.get() - 1);
            return Ok(self.holders.enter());
        }
        let waiter = self.line.enter()?;
        let waited = waiter.wait();
        if waited.is_err() && waiter.woken() {
            // Let in, but not there to come.
            self.value.set(self.value.get() + 1);
        }
        drop(waiter);
        // Those who came meanwhile had to stand in line, even if there was room.
        while self.value.get() > 0 && self.let_in() {}
        waited.map(|()| self.holders.enter())
    }

    /// Leaves, or makes room for one more: the first who waits comes in.
    ///
    /// # Errors
    ///
    /// Kind `Value` if a [`BoundedSemaphore`] would let more in than it was made
    /// for.
    ///
    /// ```
    /// let semaphore = stackio::Semaphore::new(0);
    /// semaphore.release()?;
    /// assert!(!semaphore.locked());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn release(&self) -> Result {
        self.leave(current().map(|task| task.core().id()))
    }

    fn leave(&self, task: Option<FutureId>) -> Result {
        if self.value.get() >= self.bound {
            let text = "the semaphore has been released more often than acquired";
            return Err(Error::text(ErrorKind::Value, text));
        }
        self.holders.leave(task);
        self.value.set(self.value.get() + 1);
        self.let_in();
        Ok(())
    }

    /// Lets the first in who waits; whether there was one.
    fn let_in(&self) -> bool {
        // Counted first: being woken is seen by instruments.
        self.value.set(self.value.get() - 1);
        let woken = self.line.wake_next();
        if !woken {
            self.value.set(self.value.get() + 1);
        }
        woken
    }

    /// Whether [`acquire`](Semaphore::acquire) would wait: it is full, or others are
    /// first.
    ///
    /// ```
    /// assert!(stackio::Semaphore::new(0).locked());
    /// ```
    pub fn locked(&self) -> bool {
        self.value.get() == 0 || self.line.has_claims()
    }

    /// Comes in until the guard is dropped: `async with semaphore`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Semaphore::acquire).
    ///
    /// ```
    /// let semaphore = stackio::Semaphore::new(1);
    /// let guard = semaphore.guard()?;
    /// assert!(semaphore.locked());
    /// drop(guard);
    /// assert!(!semaphore.locked());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn guard(&self) -> Result<SemaphoreGuard<'_>> {
        Ok(SemaphoreGuard { semaphore: self, task: self.come_in()? })
    }

    /// Which tasks are in, and which wait. A task counts as in until it leaves, or
    /// somebody who is not in leaves in its place.
    ///
    /// ```
    /// use stackio::Semaphore;
    ///
    /// stackio::run(|| {
    ///     let semaphore = Semaphore::new(2);
    ///     let _guard = semaphore.guard()?;
    ///     assert_eq!(semaphore.statistics().holders, ["Task-1"]);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn statistics(&self) -> LockStatistics {
        self.line.statistics(self.holders.names())
    }
}

impl Default for Semaphore {
    /// One at a time, as in asyncio.
    fn default() -> Semaphore {
        Semaphore::new(1)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, waiting) = (self.value.get(), self.line.waiting());
        f.debug_struct("Semaphore").field("value", &value).field("waiting", &waiting).finish()
    }
}

/// Is in a [`Semaphore`], and leaves when it is dropped.
///
/// ```
/// let semaphore = stackio::Semaphore::new(2);
/// let (_first, _second) = (semaphore.guard()?, semaphore.guard()?);
/// assert!(semaphore.locked());
/// # Ok::<(), stackio::Error>(())
/// ```
#[must_use = "the semaphore is left as soon as the guard is dropped"]
#[derive(Debug)]
pub struct SemaphoreGuard<'a> {
    semaphore: &'a Semaphore,
    task: Option<FutureId>,
}

impl Drop for SemaphoreGuard<'_> {
    fn drop(&mut self) {
        // An error says that the block has left by itself.
        let _ = self.semaphore.leave(self.task);
    }
}

/// A semaphore that cannot be released more often than acquired
/// (`asyncio.BoundedSemaphore`).
///
/// ```
/// use stackio::{BoundedSemaphore, ErrorKind};
///
/// let semaphore = BoundedSemaphore::new(1);
/// semaphore.acquire()?;
/// semaphore.release()?;
/// assert_eq!(semaphore.release().unwrap_err().kind(), ErrorKind::Value);
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Debug)]
pub struct BoundedSemaphore(Semaphore);

impl BoundedSemaphore {
    /// A semaphore that lets `value` tasks in, and never more.
    ///
    /// ```
    /// assert!(!stackio::BoundedSemaphore::new(1).locked());
    /// ```
    pub fn new(value: usize) -> BoundedSemaphore {
        BoundedSemaphore(Semaphore::bounded(value, value))
    }
}

impl Default for BoundedSemaphore {
    /// One at a time, as in asyncio.
    fn default() -> BoundedSemaphore {
        BoundedSemaphore::new(1)
    }
}

impl Deref for BoundedSemaphore {
    type Target = Semaphore;

    fn deref(&self) -> &Semaphore {
        &self.0
    }
}
