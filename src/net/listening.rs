//! What all listeners have in common: acceptors take turns, and rest when the process
//! has no descriptors left.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::connecting::{is_shortage, report_shortage};
use crate::constants::ACCEPT_RETRY_DELAY;
use crate::events::Scheduler;
use crate::selector_events::Watched;
use crate::selectors::Direction;
use crate::sleeping::sleep;
use crate::waiters::Waiters;

/// A listener of std's that is watched, and the tasks that stand in line for it.
pub(super) struct Listening<S: AsFd> {
    io: Watched<S>,
    line: AcceptLine,
}

impl<S: AsFd> Listening<S> {
    pub(super) fn new(listener: S) -> Listening<S> {
        Listening { io: Watched::new(listener), line: AcceptLine::default() }
    }

    pub(super) fn socket(&self) -> &S {
        self.io.source()
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }

    pub(super) fn into_socket(self) -> S {
        self.io.into_source()
    }

    /// Accepts, when it is the task's turn; goes on after connections that are gone
    /// again, and after a rest for want of descriptors.
    #[track_caller]
    pub(super) fn accept<T>(&self, mut accept: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        let _turn = self.line.take_turn(self.socket().as_fd())?;
        loop {
            match self.io.attempt(Direction::Read, None, &mut accept) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if is_shortage(&error) => {
                    report_shortage(error);
                    sleep(ACCEPT_RETRY_DELAY)?;
                }
                ended => return ended,
            }
        }
    }
}

/// Who accepts, and who is next.
#[derive(Default)]
struct AcceptLine {
    /// Whether somebody is accepting; the others stand in line.
    taken: Cell<bool>,
    waiters: Waiters,
}

/// The right to accept, which goes to the next in line.
struct Turn<'a>(&'a AcceptLine);

impl AcceptLine {
    #[track_caller]
    fn take_turn(&self, listener: BorrowedFd<'_>) -> io::Result<Turn<'_>> {
        if self.taken.replace(true) {
            let what = || format!("a turn at listener {}", listener.as_raw_fd());
            self.waiters.wait(&Scheduler::running()?, what, |woken| {
                // The turn had been passed here already: on to the next.
                if woken {
                    drop(Turn(self));
                }
            })?;
        }
        Ok(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.0.waiters.wake_one() {
            self.0.taken.set(false);
        }
    }
}

/// The connections to a listener; made by its `incoming`.
#[derive(Debug)]
pub struct Incoming<'a, L> {
    pub(super) listener: &'a L,
}
