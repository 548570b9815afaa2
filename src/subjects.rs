//! What a future stands for, for people who ask why a task does not go on.
//!
//! A task waits for a future and nothing else. Some of these futures are inside of
//! something that has a name: a timer, a lock, a group of tasks. A [`Subject`] is
//! how the future knows, so that a report says `Lock #7` and who has it, and not
//! only `future #12`.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use crate::events::next_id;
use crate::future_core::AnyFuture;
use crate::instruments::FutureId;

/// What is behind a future.
pub(crate) trait Subject: 'static {
    /// Its name for people; `None` if there is nothing behind the future.
    fn title(&self) -> Option<String>;

    /// The task that has what is waited for, as far as that is known.
    fn holder(&self) -> Option<FutureId> {
        None
    }

    /// The futures that all or some of have to be done first.
    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        Vec::new()
    }
}

/// Nothing: somebody has the future and will complete it.
impl Subject for () {
    fn title(&self) -> Option<String> {
        None
    }
}

/// Something of which there is only one sort.
impl Subject for &'static str {
    fn title(&self) -> Option<String> {
        Some((*self).to_owned())
    }
}

/// Another future, that this one follows.
impl Subject for (&'static str, Weak<dyn AnyFuture>) {
    fn title(&self) -> Option<String> {
        Some(self.0.to_owned())
    }

    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        self.1.upgrade().into_iter().collect()
    }
}

/// Several others.
impl Subject for (&'static str, Rc<[Rc<dyn AnyFuture>]>) {
    fn title(&self) -> Option<String> {
        Some(self.0.to_owned())
    }

    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        self.1.to_vec()
    }
}

/// A lock, a queue or the like: it gets a number when somebody has to wait for it.
pub(crate) struct Primitive {
    kind: &'static str,
    number: FutureId,
    /// The task that has it.
    pub(crate) holder: Cell<Option<FutureId>>,
}

impl Primitive {
    pub(crate) fn new(kind: &'static str) -> Rc<Primitive> {
        Rc::new(Primitive { kind, number: next_id(), holder: Cell::new(None) })
    }
}

impl Subject for Rc<Primitive> {
    fn title(&self) -> Option<String> {
        Some(format!("{} {}", self.kind, self.number))
    }

    fn holder(&self) -> Option<FutureId> {
        self.holder.get()
    }
}
