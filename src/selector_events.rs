//! Operations that are tried first and wait only if they would block.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use crate::base_events::get_running_loop;
use crate::coroutines::{check_suspendable, current, spend_operation};
use crate::events::Scheduler;
use crate::exceptions::{Error, Result};
use crate::futures::Future;
use crate::instruments::FutureId;
use crate::selectors::{Direction, Registration};
use crate::task_core::task_core;

/// A descriptor in non-blocking mode, with what the loop knows of it.
///
/// It is registered when something has to wait for the first time, and with the
/// loop that runs then.
pub(crate) struct Watched<S: AsFd> {
    // Before the source, which closes the descriptor when it is dropped.
    registered: Registered,
    source: S,
}

/// The registration of a descriptor; it ends before the descriptor is closed.
struct Registered {
    registration: RefCell<Option<Rc<Registration>>>,
    /// Whether somebody may have a copy of the descriptor, by which it goes on.
    shared: Cell<bool>,
    gave_up: Cell<Option<GaveUp>>,
}

/// A task that was cancelled while it waited to write.
#[derive(Clone, Copy)]
struct GaveUp {
    task: FutureId,
    /// The task's count of cancellations taken back, at that time.
    taken_back: u16,
    /// How often it was refused to wait again.
    refused: u32,
}

/// How often a cancelled writer is refused to wait again; one that goes on even so is to
/// hold up itself, and not the loop.
const REFUSALS: u32 = 100;

impl Registered {
    fn new(shared: bool) -> Registered {
        let registration = RefCell::new(None);
        Registered { registration, shared: Cell::new(shared), gave_up: Cell::new(None) }
    }

    /// Notes how waiting to write has ended.
    #[cold]
    fn note_failure(&self, error: &Error) {
        let task = current().filter(|_| error.is_cancelled());
        self.gave_up.set(task.as_deref().and_then(task_core).map(|core| GaveUp {
            task: core.future.id(),
            taken_back: core.taken_back.get(),
            refused: 0,
        }));
    }

    /// A task that was cancelled while it waited to write does not wait for the same again,
    /// unless the cancellation was taken back: what would wait is often the destructor of a
    /// buffer, which nobody could end any more.
    #[cold]
    fn refuse_to_wait(&self, gave_up: GaveUp) -> Result {
        let GaveUp { task, taken_back, refused } = gave_up;
        let current = current().filter(|current| current.core().id() == task);
        let core = current.as_deref().and_then(task_core).filter(|core| {
            let is_cancelled = core.cancel_requests.get() > 0;
            is_cancelled && core.taken_back.get() == taken_back && refused < REFUSALS
        });
        match core {
            Some(core) => {
                self.gave_up.set(Some(GaveUp { refused: refused + 1, ..gave_up }));
                // If it was still to be told so, it is by this.
                core.must_cancel.set(false);
                Err(core.cancellation())
            }
            None => {
                self.gave_up.set(None);
                Ok(())
            }
        }
    }

    fn with(&self, then: impl FnOnce(&Registration)) {
        if let Some(registration) = &*self.registration.borrow() {
            then(registration);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        match self.registration.get_mut() {
            Some(registration) if self.shared.get() => registration.deregister(),
            Some(registration) => registration.forget(),
            None => {}
        }
    }
}

impl<S: AsFd> Watched<S> {
    pub(crate) fn new(source: S) -> Watched<S> {
        Watched { registered: Registered::new(true), source }
    }

    /// The same of a descriptor that was just made and nobody else has seen.
    pub(crate) fn own(source: S) -> Watched<S> {
        Watched { registered: Registered::new(false), source }
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// The descriptor, which the loop watches no more.
    pub(crate) fn into_source(self) -> S {
        self.share();
        self.source
    }

    /// The same descriptor under another type, with what the loop knows of it.
    pub(crate) fn retyped<T: AsFd + From<S>>(self) -> Watched<T> {
        Watched { registered: self.registered, source: self.source.into() }
    }

    /// The descriptor, for whoever may copy it.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.share();
        self.source.as_fd()
    }

    /// Somebody may have a copy of the descriptor from now on.
    pub(crate) fn share(&self) {
        self.registered.shared.set(true);
    }

    /// Tries `operation`, and each time that it would block waits until the
    /// descriptor is ready, for at most `limit` each time.
    ///
    /// # Errors
    ///
    /// Those of the operation; `TimedOut`; `ResourceBusy` if another task is
    /// waiting for the same; a cancellation of the task.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn attempt<T>(
        &self,
        direction: Direction,
        limit: Option<Duration>,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        spend_operation()?;
        loop {
            if self.may_be_ready(direction) {
                match operation(&self.source) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.registered.with(|registration| registration.clear(direction));
                    }
                    ended => return ended,
                }
            }
            self.wait_ready(direction, limit)?;
        }
    }

    /// A read or write did less than it was asked to: the system has no more.
    pub(crate) fn drained(&self, direction: Direction) {
        self.registered.with(|registration| registration.drained(direction));
    }

    fn may_be_ready(&self, direction: Direction) -> bool {
        match &*self.registered.registration.borrow() {
            Some(registration) => registration.may_be_ready(direction),
            None => true,
        }
    }

    /// Suspends the task until the descriptor may be ready.
    #[track_caller]
    #[inline(always)]
    pub(crate) fn wait_ready(
        &self,
        direction: Direction,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        if direction == Direction::Write
            && let Some(gave_up) = self.registered.gave_up.get()
        {
            self.registered.refuse_to_wait(gave_up)?;
        }
        let registration = self.registration()?;
        let Some(waiter) = registration.waiter(direction) else {
            check_suspendable()?;
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, busy(direction)));
        };
        let waited = match limit {
            None => waiter.settle(),
            Some(limit) => settle_within(limit, &waiter),
        };
        if let Err(error) = waited {
            registration.forget_waiter(direction, &waiter);
            if direction == Direction::Write {
                self.registered.note_failure(&error);
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// Its registration with the running loop.
    #[track_caller]
    #[inline(always)]
    fn registration(&self) -> io::Result<Rc<Registration>> {
        match &*self.registered.registration.borrow() {
            Some(known) if known.is_watched_now() => return Ok(known.clone()),
            _ => {}
        }
        self.register()
    }

    /// The same, made if there is none. What came before is reported by the next select.
    #[track_caller]
    #[cold]
    fn register(&self) -> io::Result<Rc<Registration>> {
        check_suspendable()?;
        let event_loop = get_running_loop()?;
        let driver = event_loop.driver();
        let former = self.registered.registration.borrow().clone();
        if let Some(former) = former {
            if former.is_watched_by(driver) {
                return Ok(former);
            }
            former.deregister();
        }
        let registration = driver.register(self.source.as_fd().as_raw_fd())?;
        *self.registered.registration.borrow_mut() = Some(registration.clone());
        Ok(registration)
    }
}

/// Suspends the task until it is done, or late.
#[track_caller]
fn settle_within(limit: Duration, waiter: &Future<()>) -> Result {
    let late = waiter.clone();
    let expire = move || -> Result {
        if late.done() {
            return Ok(());
        }
        late.set_exception(io::Error::from(io::ErrorKind::TimedOut))
    };
    let timer = Scheduler::running()?.call_later(limit, expire);
    let waited = waiter.settle();
    timer.cancel();
    waited
}

fn busy(direction: Direction) -> &'static str {
    match direction {
        Direction::Read => "another task is already waiting to read from this socket",
        Direction::Write => "another task is already waiting to write to this socket",
    }
}
