//! Operations that are tried first and wait only if they would block.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use crate::base_events::get_running_loop;
use crate::coroutines::{check_suspendable, spend_operation};
use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::selectors::{Direction, Registration};

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
#[derive(Default)]
struct Registered(RefCell<Option<Rc<Registration>>>);

impl Registered {
    fn with(&self, then: impl FnOnce(&Registration)) {
        if let Some(registration) = &*self.0.borrow() {
            then(registration);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(registration) = self.0.get_mut() {
            registration.deregister();
        }
    }
}

impl<S: AsFd> Watched<S> {
    pub(crate) fn new(source: S) -> Watched<S> {
        Watched { registered: Registered::default(), source }
    }

    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// The descriptor, which the loop watches no more.
    pub(crate) fn into_source(self) -> S {
        self.source
    }

    /// The same descriptor under another type, with what the loop knows of it.
    pub(crate) fn retyped<T: AsFd + From<S>>(self) -> Watched<T> {
        Watched { registered: self.registered, source: self.source.into() }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// Tries `operation`, and each time that it would block waits until the
    /// descriptor is ready, for at most `limit` each time.
    ///
    /// # Errors
    ///
    /// Those of the operation; `TimedOut`; `ResourceBusy` if another task is
    /// waiting for the same; a cancellation of the task.
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
        match &*self.registered.0.borrow() {
            Some(registration) => registration.may_be_ready(direction),
            None => true,
        }
    }

    /// Suspends the task until the descriptor may be ready.
    #[track_caller]
    pub(crate) fn wait_ready(
        &self,
        direction: Direction,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        check_suspendable()?;
        let registration = self.register()?;
        let Some(waiter) = registration.waiter(direction) else {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, busy(direction)));
        };
        let timer = match limit {
            None => None,
            Some(limit) => {
                let late = waiter.clone();
                let expire = move || -> Result {
                    if late.done() {
                        return Ok(());
                    }
                    late.set_exception(io::Error::from(io::ErrorKind::TimedOut))
                };
                Some(Scheduler::running()?.call_later(limit, expire))
            }
        };
        let waited = waiter.settle();
        if let Some(timer) = timer {
            timer.cancel();
        }
        if waited.is_err() {
            registration.forget_waiter(direction, &waiter);
        }
        Ok(waited?)
    }

    /// Its registration with the running loop. What came before it was made is
    /// reported by the next select.
    #[track_caller]
    fn register(&self) -> io::Result<Rc<Registration>> {
        let event_loop = get_running_loop()?;
        let driver = event_loop.driver();
        let former = self.registered.0.borrow().clone();
        if let Some(former) = former {
            if former.is_watched_by(driver) {
                return Ok(former);
            }
            former.deregister();
        }
        let registration = driver.register(self.source.as_fd().as_raw_fd())?;
        *self.registered.0.borrow_mut() = Some(registration.clone());
        Ok(registration)
    }
}

fn busy(direction: Direction) -> &'static str {
    match direction {
        Direction::Read => "another task is already waiting to read from this socket",
        Direction::Write => "another task is already waiting to write to this socket",
    }
}
