//! What a future stands for, for people who ask why a task does not go on.
//!
//! A task waits for a future and nothing else. Some of these futures are inside of
//! something that has a name: a timer, a lock, a group of tasks. A [`Subject`] is
//! how the future knows, so that a report says `lock #7` and who has it, and not
//! only `future #12`.

use std::cell::{Cell, OnceCell};
use std::ptr;
use std::rc::{Rc, Weak};

use crate::events::{Scheduler, next_id};
use crate::exceptions::{Error, ErrorKind, Result};
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

/// A lock, a queue or the like, once somebody has had to wait for it.
pub(crate) struct Primitive {
    number: FutureId,
    /// The loop of the first who had to wait, which is everybody's.
    home: Weak<Scheduler>,
    /// The task that has it.
    pub(crate) holder: Cell<Option<FutureId>>,
}

/// The primitive that something is, made when the first has to wait.
#[derive(Default)]
pub(crate) struct Lazy(OnceCell<Rc<Primitive>>);

impl Lazy {
    /// For somebody on that loop who has to wait.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` in another loop than those before.
    pub(crate) fn enter(&self, scheduler: &Rc<Scheduler>) -> Result<&Rc<Primitive>> {
        let primitive = self.0.get_or_init(|| {
            let (number, home) = (next_id(), Rc::downgrade(scheduler));
            Rc::new(Primitive { number, home, holder: Cell::new(None) })
        });
        // The weak handle keeps the address from being used again.
        if !ptr::eq(primitive.home.as_ptr(), Rc::as_ptr(scheduler)) {
            let text = "cannot wait here for a lock or queue of a different event loop: it belongs \
                        to the one in which a task first had to wait for it";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        Ok(primitive)
    }

    /// Notes which task has it, for those who wait.
    pub(crate) fn set_holder(&self, holder: Option<FutureId>) {
        if let Some(primitive) = self.0.get() {
            primitive.holder.set(holder);
        }
    }
}

/// Something about it that is waited for: `an item of queue`.
impl Subject for (&'static str, Rc<Primitive>) {
    fn title(&self) -> Option<String> {
        Some(format!("{} {}", self.0, self.1.number))
    }

    fn holder(&self) -> Option<FutureId> {
        self.1.holder.get()
    }
}
