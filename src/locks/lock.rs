//! [`Lock`]: one task at a time.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use super::line::{Line, LockStatistics};
use crate::clock::Instant;
use crate::coroutines::{can_suspend, current};
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::instruments::FutureId;
use crate::reports::{ExceptionContext, ExceptionSource};
use crate::task_core::{Name, task_core};

/// Lets one task in at a time, in the order in which they came (`asyncio.Lock`).
///
/// It belongs to nobody: any task, and any callback, may release it.
///
/// ```
/// use std::rc::Rc;
/// use stackio::{Lock, sleep, millis, spawn};
///
/// stackio::run(|| {
///     let lock = Rc::new(Lock::new());
///     let shared = lock.clone();
///     let other = spawn(move || {
///         let _guard = shared.lock()?; // waits for the first task
///         Ok(())
///     });
///     {
///         let _guard = lock.lock()?;
///         sleep(millis(1))?; // nobody else comes in meanwhile
///         assert_eq!(lock.statistics().waiting, 1);
///     }
///     other.join()
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Lock {
    locked: Cell<bool>,
    /// The task that took it.
    holder: RefCell<Option<Holder>>,
    line: Line,
}

/// What is remembered of the task that took a lock. Not the task: that may own the
/// lock.
struct Holder {
    id: FutureId,
    /// Its name at that time.
    name: Name,
    /// In debug mode: when, and where in the source.
    since: Cell<Option<(Instant, &'static Location<'static>)>>,
}

impl Default for Lock {
    fn default() -> Lock {
        let holder = RefCell::new(None);
        Lock { locked: Cell::new(false), holder, line: Line::of("lock") }
    }
}

impl Lock {
    /// A lock that is free.
    ///
    /// ```
    /// assert!(!stackio::Lock::new().locked());
    /// ```
    pub fn new() -> Lock {
        Lock::default()
    }

    /// Takes the lock; waits while it is taken or others are first. There is no
    /// guard, so [`release`](Lock::release) must follow;
    /// [`lock`](Lock::lock) does the same and gives it back by itself.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` if it has to wait where nothing can, or in
    /// another loop than those who had to wait before.
    ///
    /// ```
    /// use stackio::Lock;
    ///
    /// let lock = Lock::new();
    /// lock.acquire()?; // it is free: this needs no loop
    /// assert!(lock.locked());
    /// lock.release()?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> Result {
        if self.locked.get()
            && let Some(report) = self.held_long("has been held")
        {
            report.send();
        }
        if self.locked.get() || self.line.has_claims() {
            let waiter = self.line.enter()?;
            self.line.primitive.set_holder(self.held_by());
            let waited = waiter.wait();
            drop(waiter);
            if let Err(error) = waited {
                // Perhaps it was this one's turn; then it is the next one's.
                if !self.locked.get() {
                    self.line.wake_head();
                }
                return Err(error);
            }
        }
        self.locked.set(true);
        self.set_holder(Holder::current(Location::caller()));
        Ok(())
    }

    fn set_holder(&self, holder: Option<Holder>) {
        self.line.primitive.set_holder(holder.as_ref().map(|holder| holder.id));
        *self.holder.borrow_mut() = holder;
    }

    /// The task that took it.
    fn held_by(&self) -> Option<FutureId> {
        self.holder.borrow().as_ref().map(|holder| holder.id)
    }

    /// In debug mode, and once: what to say if it has been held for long. Whoever is
    /// told may use the lock, so nothing may be half done then.
    #[must_use]
    fn held_long(&self, how: &str) -> Option<Report> {
        let holder = self.holder.borrow();
        let Holder { name, since, .. } = holder.as_ref()?;
        let (begin, place) = since.get()?;
        let scheduler = Scheduler::try_running()?;
        let held = scheduler.now() - begin;
        if held < scheduler.reports().slow_lock.get() {
            return None;
        }
        since.set(None);
        let waiting = self.line.waiting();
        let text = format!(
            "a lock {how} for {held:?} by the task `{name}`, which took it at {place}; {waiting} \
             wait for it"
        );
        let mut context = ExceptionContext::new(ExceptionSource::HeldLock, text);
        context.task = Some(name.to_string());
        Some(Report { scheduler, context })
    }

    /// Gives the lock back and wakes the first who waits.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if it is not taken.
    ///
    /// ```
    /// use stackio::{ErrorKind, Lock};
    ///
    /// let lock = Lock::new();
    /// assert_eq!(lock.release().unwrap_err().kind(), ErrorKind::Runtime);
    /// ```
    pub fn release(&self) -> Result {
        if !self.locked.replace(false) {
            return Err(Error::text(ErrorKind::Runtime, "cannot release a lock that is not taken"));
        }
        let report = self.held_long("was held");
        self.set_holder(None);
        self.line.wake_head();
        if let Some(report) = report {
            report.send();
        }
        Ok(())
    }

    /// Whether it is taken.
    ///
    /// ```
    /// assert!(!stackio::Lock::new().locked());
    /// ```
    pub fn locked(&self) -> bool {
        self.locked.get()
    }

    /// Takes the lock until the guard is dropped: `async with lock`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Lock::acquire).
    ///
    /// ```
    /// use stackio::Lock;
    ///
    /// let lock = Lock::new();
    /// let guard = lock.lock()?;
    /// assert!(lock.locked());
    /// drop(guard);
    /// assert!(!lock.locked());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[doc(alias = "guard")]
    #[track_caller]
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        self.acquire()?;
        Ok(LockGuard { lock: self, taken_by: self.held_by() })
    }

    /// Who has it and how many wait for it.
    ///
    /// ```
    /// use stackio::Lock;
    ///
    /// stackio::run(|| {
    ///     let lock = Lock::new();
    ///     let _guard = lock.lock()?;
    ///     assert_eq!(lock.statistics().holders, ["Task-1"]);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn statistics(&self) -> LockStatistics {
        let holder = self.holder.borrow();
        self.line.statistics(holder.iter().map(|holder| holder.name.to_string()).collect())
    }
}

/// What debug mode has to say of a lock.
struct Report {
    scheduler: Rc<Scheduler>,
    context: ExceptionContext,
}

impl Report {
    #[cold]
    fn send(self) {
        self.scheduler.reports().report(&self.context);
    }
}

impl Holder {
    /// The task that is running, without an allocation.
    fn current(place: &'static Location<'static>) -> Option<Holder> {
        let task = current()?;
        let name = task_core(&*task)?.name();
        let scheduler = &task.core().scheduler;
        let since = scheduler.reports().is_debug().then(|| (scheduler.now(), place));
        Some(Holder { id: task.core().id(), name, since: Cell::new(since) })
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LockStatistics { holders, waiting, .. } = self.statistics();
        let mut shown = f.debug_struct("Lock");
        shown.field("locked", &self.locked()).field("holder", &holders.first());
        shown.field("waiting", &waiting).finish()
    }
}

/// Has a [`Lock`], and gives it back when it is dropped.
///
/// ```
/// let lock = stackio::Lock::new();
/// {
///     let _guard = lock.lock()?;
///     assert!(lock.locked());
/// }
/// assert!(!lock.locked());
/// # Ok::<(), stackio::Error>(())
/// ```
#[must_use = "the lock is given back as soon as the guard is dropped"]
#[derive(Debug)]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    taken_by: Option<FutureId>,
}

impl Drop for LockGuard<'_> {
    fn drop(&mut self) {
        // Where the loop is closing, waiting for a condition ends without the lock, which
        // may be somebody else's by then.
        if self.lock.held_by() != self.taken_by && !can_suspend() {
            return;
        }
        // An error says that the block has given it back itself, and nobody has it since.
        let _ = self.lock.release();
    }
}
