//! What a writer has to know of its connection, and who waits for that.

use std::cell::{Cell, RefCell};
use std::io;

use crate::events::Scheduler;
use crate::exceptions::{Error, Result};
use crate::waiters::Waiters;

/// Told by the protocol, asked by writers (`asyncio.streams.FlowControlMixin`).
#[derive(Default)]
pub(crate) struct Outlet {
    paused: Cell<bool>,
    lost: Cell<bool>,
    /// Why the connection was lost.
    error: RefCell<Option<Error>>,
    /// Who waits until writing goes on.
    drainers: Waiters,
    /// Who waits for the end of the connection.
    closers: Waiters,
}

impl Outlet {
    pub(crate) fn pause(&self) {
        self.paused.set(true);
    }

    pub(crate) fn resume(&self) {
        self.paused.set(false);
        self.drainers.wake_all();
    }

    pub(crate) fn connection_lost(&self, error: Option<Error>) {
        *self.error.borrow_mut() = error;
        self.lost.set(true);
        self.closers.wake_all();
        self.drainers.wake_all();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.get()
    }

    /// The error that ended the connection, if one did.
    fn outcome(&self) -> Result {
        self.error.borrow().clone().map_or(Ok(()), Err)
    }

    /// Waits while writing is paused.
    ///
    /// # Errors
    ///
    /// That of the connection; `ConnectionReset` if it was lost before without one; kind
    /// `Cancelled`.
    #[track_caller]
    pub(crate) fn drain(&self) -> Result {
        if self.lost.get() {
            self.outcome()?;
            let text = "the connection is lost";
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, text).into());
        }
        if !self.paused.get() {
            return Ok(());
        }
        self.drainers.wait(&Scheduler::running()?, || "a stream to be drained", |_| {})?;
        self.outcome()
    }

    /// Waits until the connection has ended.
    ///
    /// # Errors
    ///
    /// That of the connection; kind `Cancelled`.
    #[track_caller]
    pub(crate) fn wait_closed(&self) -> Result {
        if !self.lost.get() {
            self.closers.wait(&Scheduler::running()?, || "a stream to be closed", |_| {})?;
        }
        self.outcome()
    }
}
