//! The future of a gather: it hears of its children, and puts their results together.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::mem;
use std::rc::Rc;

use crate::callback_id::CallbackId;
use crate::callbacks::Function;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::nested;
use crate::future_core::{AnyFuture, FutureCore, Promise};
use crate::futures::Future;
use crate::instruments::FutureId;
use crate::reports::{catch_panic, drop_value};
use crate::slot::Slot;
use crate::task_core::{TaskCore, task_core};

/// How many children a gather names when it is asked what it waits for.
const CHILDREN_TOLD: usize = 8;

/// How the results of the finished children become the result of all.
type Assemble<R> = Box<dyn FnOnce() -> Result<R>>;

/// The future of several: it is done when its children are, and cancels them
/// instead of itself.
struct Gathering<R> {
    core: FutureCore,
    slot: Slot<R>,
    /// The children, as often as they were given.
    children: Vec<Rc<dyn AnyFuture>>,
    /// Different children that have not been counted as finished.
    unfinished: Cell<usize>,
    cancel_requested: Cell<bool>,
    /// Set while the children are being cancelled.
    cancelling: Cell<bool>,
    return_exceptions: bool,
    assemble: Cell<Option<Assemble<R>>>,
}

impl<R: 'static> AnyFuture for Gathering<R> {
    fn core(&self) -> &FutureCore {
        &self.core
    }

    fn cancel_any(self: Rc<Self>, message: Option<&str>) -> bool {
        if self.core.is_done() {
            return false;
        }
        if self.cancelling.replace(true) {
            // One of the children waits for this: it has come round.
            return false;
        }
        let mut accepted = false;
        for child in &self.children {
            accepted |= nested(|| child.clone().cancel_any(message));
        }
        self.cancelling.set(false);
        if accepted {
            self.cancel_requested.set(true);
        }
        accepted
    }

    fn typed(self: Rc<Self>) -> Box<dyn Any> {
        Box::new(Future(self as Rc<dyn Promise<R>>))
    }

    fn title(&self) -> String {
        format!("gather {}", self.core.id())
    }

    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        self.children.clone()
    }

    fn label(&self) -> String {
        let mut seen = HashSet::new();
        let waits = self.children.iter().filter(|child| !child.core().is_done());
        let waits = waits.filter(|child| seen.insert(child.core().id())).take(CHILDREN_TOLD + 1);
        let mut waits: Vec<_> = waits.map(|child| child.title()).collect();
        if waits.len() > CHILDREN_TOLD {
            waits[CHILDREN_TOLD] = "...".to_owned();
        }
        format!("{} of [{}]", self.title(), waits.join(", "))
    }
}

impl<R> Drop for Gathering<R> {
    fn drop(&mut self) {
        // The children may be gathers as well, and so on.
        let (children, assemble) = (mem::take(&mut self.children), self.assemble.take());
        nested(|| drop((children, assemble)));
    }
}

impl<R: 'static> Promise<R> for Gathering<R> {
    fn slot(&self) -> &Slot<R> {
        &self.slot
    }
}

/// The children of a gather that is being made.
///
/// Each gets its callback before the next one is made into a future: an eager task
/// may add callbacks of its own to the futures before it.
#[derive(Default)]
pub(super) struct Children {
    all: Vec<Rc<dyn AnyFuture>>,
    seen: HashSet<FutureId>,
    outer: Rc<Outer>,
}

/// The future of the gather, once there is one.
#[derive(Default)]
struct Outer {
    future: OnceCell<Rc<dyn Parent>>,
    /// Children that were done before it was there.
    early: RefCell<Vec<Rc<dyn AnyFuture>>>,
}

impl Outer {
    fn child_done(&self, child: &Rc<dyn AnyFuture>) {
        match self.future.get() {
            Some(future) => future.clone().child_done(child),
            None => self.early.borrow_mut().push(child.clone()),
        }
    }
}

impl Children {
    pub(super) fn add<T>(&mut self, future: Future<T>) -> Future<T> {
        self.add_erased(future.erased());
        future
    }

    pub(super) fn add_erased(&mut self, child: Rc<dyn AnyFuture>) {
        if self.seen.insert(child.core().id()) {
            if child.core().is_done() {
                self.outer.child_done(&child);
            } else {
                let outer = self.outer.clone();
                let finished =
                    Function::new(move |child: &Rc<dyn AnyFuture>| outer.child_done(child));
                child.core().add_callback(|| child.clone(), CallbackId::NONE, finished);
            }
        }
        self.all.push(child);
    }

    #[track_caller]
    pub(super) fn gather<R: 'static>(
        self,
        return_exceptions: bool,
        assemble: Assemble<R>,
    ) -> Future<R> {
        let scheduler = match (self.all.first(), Scheduler::running()) {
            (Some(child), _) => child.core().scheduler.clone(),
            (None, Ok(scheduler)) => scheduler,
            (None, Err(error)) => panic!("gather: {error}"),
        };
        let gathering = Rc::new(Gathering {
            core: FutureCore::new(scheduler),
            slot: Slot::empty(),
            children: self.all,
            unfinished: Cell::new(self.seen.len()),
            cancel_requested: Cell::new(false),
            cancelling: Cell::new(false),
            return_exceptions,
            assemble: Cell::new(Some(assemble)),
        });
        let home = &gathering.core.scheduler;
        let here = |child: &Rc<dyn AnyFuture>| Rc::ptr_eq(&child.core().scheduler, home);
        if !gathering.children.iter().all(here) {
            let text = "gather: the futures belong to different loops";
            gathering.fail(Error::text(ErrorKind::Value, text));
        } else if self.seen.is_empty() {
            gathering.complete();
        }
        // The cell is new, so this sets it.
        let _ = self.outer.future.set(gathering.clone());
        for child in self.outer.early.take() {
            gathering.clone().child_done(&child);
        }
        Future(gathering)
    }
}

/// What is told that a child is done.
trait Parent {
    fn child_done(self: Rc<Self>, child: &Rc<dyn AnyFuture>);
}

/// The cancellation of a gather that was asked to end, by the last of its
/// children: that child's own, or, if it ended otherwise, one with the message it
/// was last asked to end with.
fn cancellation(child: &dyn AnyFuture) -> Error {
    if child.core().is_cancelled() {
        return child.core().take_error().unwrap_or_else(Error::cancelled);
    }
    task_core(child).map_or_else(Error::cancelled, TaskCore::cancellation)
}

impl<R: 'static> Parent for Gathering<R> {
    fn child_done(self: Rc<Self>, child: &Rc<dyn AnyFuture>) {
        self.unfinished.set(self.unfinished.get() - 1);
        if self.core.is_done() {
            child.core().mark_retrieved();
            return;
        }
        if !self.return_exceptions
            && let Some(error) = child.core().take_error()
        {
            self.fail(error);
            return;
        }
        if self.unfinished.get() == 0 {
            if self.cancel_requested.get() {
                // Python's loop variable has come to the last child by here.
                let last = self.children.last().unwrap_or(child);
                self.fail(cancellation(&**last));
            } else {
                self.complete();
            }
        }
    }
}

impl<R: 'static> Gathering<R> {
    fn fail(self: &Rc<Self>, error: Error) {
        let assemble = self.assemble.take();
        self.core.fail(self.clone(), error);
        drop_value(assemble);
    }

    fn complete(self: &Rc<Self>) {
        let Some(assemble) = self.assemble.take() else { return };
        match catch_panic("putting the results together", assemble) {
            Ok(results) => {
                self.slot.put(results);
                self.core.finish(self.clone());
            }
            Err(error) => self.core.fail(self.clone(), error),
        }
    }
}
