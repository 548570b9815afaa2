//! What a future stands for, for people who ask why a task does not go on.
//!
//! A task waits for a future and nothing else. Some of these futures are inside of
//! something that has a name: a timer, a lock, a group of tasks. A [`Subject`] is
//! how the future knows, so that a report says `Lock #7` and who has it, and not
//! only `future #12`.

use std::cell::{Cell, OnceCell};
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

/// Something that is described when it is made.
impl Subject for String {
    fn title(&self) -> Option<String> {
        Some(self.clone())
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
    /// What makes it go on.
    behind: OnceCell<Weak<dyn Behind>>,
}

/// What is behind a primitive that only stands for other futures.
pub(crate) trait Behind {
    /// The futures that all or some of have to be done first.
    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>>;
}

impl Primitive {
    pub(crate) fn new(kind: &'static str) -> Rc<Primitive> {
        Primitive::numbered(kind, next_id())
    }

    pub(crate) fn numbered(kind: &'static str, number: FutureId) -> Rc<Primitive> {
        let (holder, behind) = (Cell::new(None), OnceCell::new());
        Rc::new(Primitive { kind, number, holder, behind })
    }

    pub(crate) fn stand_for(&self, behind: Weak<dyn Behind>) {
        // It is said once, by whoever made it.
        let _ = self.behind.set(behind);
    }
}

impl Subject for Rc<Primitive> {
    fn title(&self) -> Option<String> {
        Some(format!("{} {}", self.kind, self.number))
    }

    fn holder(&self) -> Option<FutureId> {
        self.holder.get()
    }

    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        let behind = self.behind.get().and_then(Weak::upgrade);
        behind.map_or_else(Vec::new, |behind| behind.awaits())
    }
}
