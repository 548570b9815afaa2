//! Tasks that serve the connections of a server, and may have work to do when those are gone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::waiters::Waiters;

/// What a handler serves.
pub(crate) trait Served {
    /// Whether its connection is still there.
    fn is_connected(&self) -> bool;
}

/// The handlers of a server that have not ended.
#[derive(Default)]
pub(crate) struct Handlers {
    running: RefCell<BTreeMap<u64, Rc<dyn Served>>>,
    next: Cell<u64>,
    /// Who waits until there are none.
    waiters: Waiters,
}

impl Handlers {
    /// One begins; the number to tell its end by.
    pub(crate) fn begin(&self, serves: Rc<dyn Served>) -> u64 {
        let number = self.next.replace(self.next.get() + 1);
        self.running.borrow_mut().insert(number, serves);
        number
    }

    pub(crate) fn end(&self, number: u64) {
        let ended = self.running.borrow_mut().remove(&number);
        drop(ended);
        self.wake_if_none();
    }

    fn wake_if_none(&self) {
        if self.running.borrow().is_empty() {
            self.waiters.wake_all();
        }
    }

    /// How many work for nobody any more.
    pub(super) fn left_alone(&self) -> usize {
        self.running.borrow().values().filter(|served| !served.is_connected()).count()
    }

    /// Waits until all have ended.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` outside of a task.
    #[track_caller]
    pub(super) fn wait(&self, scheduler: &Rc<Scheduler>) -> Result {
        if self.running.borrow().is_empty() {
            return Ok(());
        }
        self.waiters.wait(
            scheduler,
            || "the handlers of a server to end",
            |woken| {
                if woken {
                    self.wake_if_none();
                }
            },
        )
    }
}
