//! [`Barrier`]: so many tasks at the same point.
//!
//! ```text
//!             the last one comes             the last one has left
//!   Filling --------------------> Draining ------------------------> Filling
//!      |  \-- reset, some wait -> Resetting ------------------------> Filling
//!      \-- abort ---------------> Broken -- reset, nobody is in it -> Filling
//! ```

use std::cell::Cell;
use std::fmt;

use super::condition::Condition;
use super::line::LockStatistics;
use crate::exceptions::{Error, ErrorKind, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not all have come.
    Filling,
    /// All had come, and not all have left: who comes now is of the next round.
    Draining,
    /// Those who wait are to leave with an error.
    Resetting,
    /// Everybody leaves with an error.
    Broken,
}

/// A point that a number of tasks pass together (`asyncio.Barrier`).
///
/// ```
/// use std::rc::Rc;
/// use stackio::{Barrier, gather, spawn};
///
/// stackio::run(|| {
///     let barrier = Rc::new(Barrier::new(3)?);
///     let tasks = (0..3).map(|_| {
///         let barrier = barrier.clone();
///         spawn(move || barrier.wait())
///     });
///     let mut order = gather(tasks.collect::<Vec<_>>()).wait()?;
///     order.sort();
///     assert_eq!(order, [0, 1, 2]);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Barrier {
    changed: Condition,
    parties: usize,
    state: Cell<State>,
    /// How many are in it.
    count: Cell<usize>,
}

impl Barrier {
    /// A barrier that `parties` tasks pass together.
    ///
    /// # Errors
    ///
    /// Kind `Value` if `parties` is 0.
    ///
    /// ```
    /// use stackio::{Barrier, ErrorKind};
    /// assert_eq!(Barrier::new(0).unwrap_err().kind(), ErrorKind::Value);
    /// ```
    pub fn new(parties: usize) -> Result<Barrier> {
        if parties == 0 {
            return Err(Error::text(ErrorKind::Value, "a barrier is for one task at least"));
        }
        let (state, count) = (Cell::new(State::Filling), Cell::new(0));
        Ok(Barrier { changed: Condition::inside_of("barrier"), parties, state, count })
    }

    /// Waits until all are there; gives the place of this one, 0 for the first.
    ///
    /// While those of the last round are leaving, it waits for that first.
    ///
    /// # Errors
    ///
    /// Kind `BrokenBarrier` if the barrier is aborted, or is reset while it waits;
    /// kind `Cancelled`; kind `Runtime` if it has to wait where nothing can.
    ///
    /// ```
    /// let alone = stackio::Barrier::new(1)?;
    /// assert_eq!(alone.wait()?, 0);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn wait(&self) -> Result<usize> {
        let _guard = self.changed.guard()?;
        let open = || Ok(!matches!(self.state.get(), State::Draining | State::Resetting));
        self.changed.wait_for(open)?;
        if self.broken() {
            return Err(broken("the barrier has been aborted"));
        }
        let index = self.count.get();
        self.count.set(index + 1);
        let _inside = Inside(self);
        if index + 1 == self.parties {
            self.state.set(State::Draining);
            self.changed.notify_all()?;
        } else {
            self.wait_for_others()?;
        }
        Ok(index)
    }

    #[track_caller]
    fn wait_for_others(&self) -> Result {
        self.changed.wait_for(|| Ok(self.state.get() != State::Filling))?;
        match self.state.get() {
            State::Broken | State::Resetting => {
                Err(broken("the barrier has been aborted or reset"))
            }
            State::Filling | State::Draining => Ok(()),
        }
    }

    /// Empties it: those who wait get an error of kind `BrokenBarrier`. It may wait
    /// for its turn among them.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` if it has to wait where nothing can.
    ///
    /// ```
    /// let barrier = stackio::Barrier::new(2)?;
    /// barrier.abort()?;
    /// barrier.reset()?;
    /// assert!(!barrier.broken());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn reset(&self) -> Result {
        let empty = || self.count.get() == 0;
        self.enter_state(|| if empty() { State::Filling } else { State::Resetting })
    }

    /// Breaks it: those who wait, and who come until it is reset, get an error of
    /// kind `BrokenBarrier`. It may wait for its turn among them.
    ///
    /// # Errors
    ///
    /// As [`reset`](Barrier::reset).
    ///
    /// ```
    /// use stackio::{Barrier, ErrorKind};
    ///
    /// let barrier = Barrier::new(2)?;
    /// barrier.abort()?;
    /// assert_eq!(barrier.wait().unwrap_err().kind(), ErrorKind::BrokenBarrier);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn abort(&self) -> Result {
        self.enter_state(|| State::Broken)
    }

    #[track_caller]
    fn enter_state(&self, next: impl FnOnce() -> State) -> Result {
        let _guard = self.changed.guard()?;
        self.state.set(next());
        self.changed.notify_all()
    }

    /// How many pass together.
    ///
    /// ```
    /// assert_eq!(stackio::Barrier::new(2)?.parties(), 2);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many wait for the others to come.
    ///
    /// ```
    /// assert_eq!(stackio::Barrier::new(2)?.n_waiting(), 0);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn n_waiting(&self) -> usize {
        if self.state.get() == State::Filling { self.count.get() } else { 0 }
    }

    /// Whether it has been aborted.
    ///
    /// ```
    /// assert!(!stackio::Barrier::new(2)?.broken());
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn broken(&self) -> bool {
        self.state.get() == State::Broken
    }

    /// How many wait: for the others, or for those of the last round to leave.
    ///
    /// ```
    /// assert_eq!(stackio::Barrier::new(2)?.statistics().waiting, 0);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn statistics(&self) -> LockStatistics {
        LockStatistics { holders: Vec::new(), ..self.changed.statistics() }
    }
}

fn broken(text: &str) -> Error {
    Error::text(ErrorKind::BrokenBarrier, text)
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Barrier");
        shown.field("state", &self.state.get()).field("parties", &self.parties);
        shown.field("count", &self.count.get()).finish()
    }
}

/// A task in a barrier, which it leaves however its waiting ends. The last to
/// leave lets the next round in.
struct Inside<'a>(&'a Barrier);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let barrier = self.0;
        barrier.count.set(barrier.count.get() - 1);
        if barrier.count.get() > 0 {
            return;
        }
        if matches!(barrier.state.get(), State::Resetting | State::Draining) {
            barrier.state.set(State::Filling);
        }
        // An error says that the lock is not taken: its loop is ending, with all
        // who could be notified.
        let _ = barrier.changed.notify_all();
    }
}
