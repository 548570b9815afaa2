//! Tasks that serve the connections of a server, and may have work to do when those are gone.

use std::cell::RefCell;
use std::rc::Rc;

use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::registry::Registry;
use crate::waiters::Waiters;

/// What a handler serves.
pub(crate) trait Served {
    /// Whether its connection is still there.
    fn is_connected(&self) -> bool;
}

/// The handlers of a server that have not ended.
pub(crate) struct Handlers {
    running: RefCell<Registry<dyn Served>>,
    /// Who waits until there are none.
    waiters: Waiters,
}

impl Default for Handlers {
    fn default() -> Handlers {
        Handlers { running: RefCell::new(Registry::new()), waiters: Waiters::default() }
    }
}

impl Handlers {
    /// One begins; the place to tell its end by.
    pub(crate) fn begin(&self, serves: Rc<dyn Served>) -> usize {
        self.running.borrow_mut().insert(serves)
    }

    pub(crate) fn end(&self, place: usize) {
        let ended = self.running.borrow_mut().remove(place);
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
        self.running.borrow().all().iter().filter(|served| !served.is_connected()).count()
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
