//! [`Event`]: a flag to wait for.

use std::cell::Cell;
use std::fmt;

use super::line::Line;
use super::line::LockStatistics;
use crate::exceptions::Result;

/// A flag that tasks can wait for (`asyncio.Event`).
///
/// ```
/// use std::rc::Rc;
/// use stackio::{Event, spawn};
///
/// stackio::run(|| {
///     let ready = Rc::new(Event::new());
///     let seen = ready.clone();
///     let waiter = spawn(move || seen.wait());
///     ready.set();
///     waiter.join()
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Event {
    set: Cell<bool>,
    line: Line,
}

impl Default for Event {
    fn default() -> Event {
        Event { set: Cell::new(false), line: Line::of("event") }
    }
}

impl Event {
    /// An event that is not set.
    ///
    /// ```
    /// assert!(!stackio::Event::new().is_set());
    /// ```
    pub fn new() -> Event {
        Event::default()
    }

    /// Whether it is set.
    ///
    /// ```
    /// assert!(!stackio::Event::new().is_set());
    /// ```
    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Sets it and wakes everybody who waits.
    ///
    /// ```
    /// let event = stackio::Event::new();
    /// event.set();
    /// assert!(event.is_set());
    /// ```
    pub fn set(&self) {
        if !self.set.replace(true) {
            while self.line.wake_next() {}
        }
    }

    /// Unsets it. Who has been woken before goes on all the same.
    ///
    /// ```
    /// let event = stackio::Event::new();
    /// event.set();
    /// event.clear();
    /// assert!(!event.is_set());
    /// ```
    pub fn clear(&self) {
        self.set.set(false);
    }

    /// Waits until it is set; does not suspend if it is.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` if it has to wait where nothing can, or in
    /// another loop than those who had to wait before.
    ///
    /// ```
    /// let event = stackio::Event::new();
    /// event.set();
    /// event.wait()?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn wait(&self) -> Result {
        if self.set.get() { Ok(()) } else { self.line.enter()?.wait() }
    }

    /// How many wait for it.
    ///
    /// ```
    /// assert_eq!(stackio::Event::new().statistics().waiting, 0);
    /// ```
    pub fn statistics(&self) -> LockStatistics {
        self.line.statistics(Vec::new())
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (set, waiting) = (self.is_set(), self.line.waiting());
        f.debug_struct("Event").field("set", &set).field("waiting", &waiting).finish()
    }
}
