//! Waiting for signals: [`Signals`], and [`wait`] and [`wait_any`] for just one.

use std::fmt;
use std::rc::{Rc, Weak};

use crate::base_events::get_running_loop;
use crate::coroutines::check_suspendable;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::signals::listening::Listening;
use crate::signals::receivers::Inbox;
use crate::signals::signal::Signal;

/// Suspends the current task until that signal arrives.
///
/// When the wait has ended, one way or another, the signal does again what it did
/// before: a second SIGTERM ends the process. To wait again and again, make a
/// [`Signals`], which misses none in between.
///
/// # Errors
///
/// As [`Signals::new`] and [`Signals::wait`].
///
/// ```no_run
/// use stackio::signals::{self, Signal};
/// stackio::run(|| signals::wait(Signal::TERM))?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[track_caller]
pub fn wait(signal: Signal) -> Result {
    wait_any([signal]).map(drop)
}

/// Suspends the current task until one of those signals arrives, and tells which.
/// Otherwise as [`wait`].
///
/// # Errors
///
/// As [`Signals::new`] and [`Signals::wait`].
#[track_caller]
pub fn wait_any(signals: impl IntoIterator<Item = Signal>) -> Result<Signal> {
    check_suspendable()?;
    Signals::new(signals)?.wait()
}

/// Listens for signals as long as it lives, on the loop that ran when it was made.
///
/// A signal that arrives while nobody waits is kept for the next
/// [`wait`](Signals::wait). Several of the same number may become one, as they do in
/// the system itself. Each `Signals` gets the signal; of several tasks that wait on
/// one, a single one does.
///
/// ```
/// use std::process::Command;
/// use stackio::signals::{Signal, Signals};
///
/// stackio::run(|| {
///     let signals = Signals::new([Signal::HUP, Signal::USR1])?;
///     Command::new("sh").args(["-c", "kill -HUP $PPID"]).status()?;
///     assert_eq!(signals.wait()?, Signal::HUP);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[must_use = "it listens only while it lives"]
pub struct Signals {
    listening: Weak<Listening>,
    inbox: Rc<Inbox>,
    signals: Vec<Signal>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    ///
    /// Kind `Value` for a signal that cannot be listened for
    /// ([which](crate::signals#which-signals)), or if none is given; kind `Runtime` if no loop
    /// is running; kind `Io` if the system has no descriptors left.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> Result<Signals> {
        let listening = Listening::of(&get_running_loop()?)?;
        let mut made = Signals {
            listening: Rc::downgrade(&listening),
            inbox: Rc::default(),
            signals: Vec::new(),
        };
        for signal in signals {
            if !made.signals.contains(&signal) {
                listening.add_inbox(signal, made.inbox.clone())?;
                made.signals.push(signal);
            }
        }
        if made.signals.is_empty() {
            return Err(Error::text(ErrorKind::Value, "there are no signals to listen for"));
        }
        Ok(made)
    }

    /// Suspends the current task until one of the signals arrives, or gives one that
    /// has arrived since the last call.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled` if the task is cancelled, which loses no signal; kind
    /// `Runtime` outside of a task, or on another loop than it was made on.
    #[track_caller]
    pub fn wait(&self) -> Result<Signal> {
        loop {
            if let Some(signal) = self.inbox.take() {
                return Ok(signal);
            }
            check_suspendable()?;
            let event_loop = get_running_loop()?;
            let scheduler = event_loop.scheduler().clone();
            let listening = self.listening.upgrade();
            if !listening.is_some_and(|l| Rc::ptr_eq(l.scheduler(), &scheduler)) {
                let text = "cannot wait for signals here: they are listened for on another loop";
                return Err(Error::text(ErrorKind::Runtime, text));
            }
            let _outstanding = event_loop.outstanding();
            drop(event_loop);
            self.inbox.wait(scheduler)?;
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.upgrade() {
            for signal in &self.signals {
                listening.remove_inbox(*signal, &self.inbox);
            }
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signals").field(&self.signals).finish()
    }
}
