//! [`gather`]: many awaitables, one future.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashSet;
use std::mem;
use std::rc::Rc;

use crate::awaitable::Awaitable;
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

/// What [`gather`] takes: a `Vec` or an array of awaitables of one sort, or a
/// tuple of up to eight of any sorts.
pub trait Gather {
    /// The results together: a `Vec` or a tuple.
    type Output: 'static;

    /// The future of all of them.
    fn gather(self) -> Future<Self::Output>;
}

/// Runs awaitables together; the future gives all their results, in the order of
/// the arguments (`asyncio.gather`).
///
/// Closures become tasks. The first error is the gather's error, at once, while
/// the others go on. Cancelling the gather cancels all of them; one of them being
/// cancelled is an error like any other. The same future given several times
/// counts once.
///
/// ```
/// use stackio::{gather, millis, sleep};
///
/// stackio::run(|| {
///     let (name, number) = gather((
///         || { sleep(millis(2))?; Ok("zwei") },
///         || { sleep(millis(1))?; Ok(1) },
///     )).join()?;
///     assert_eq!((name, number), ("zwei", 1));
///
///     let squares: Vec<_> = (1..4).map(|n| move || Ok(n * n)).collect();
///     assert_eq!(gather(squares).join()?, [1, 4, 9]);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Panics
///
/// If no loop is running; for futures and tasks theirs serves.
#[track_caller]
pub fn gather<G: Gather>(awaitables: G) -> Future<G::Output> {
    awaitables.gather()
}

/// The same, with an error of a child as its result in the list instead of as the
/// error of all (`asyncio.gather(..., return_exceptions=True)`).
///
/// # Panics
///
/// If no loop is running; for futures and tasks theirs serves.
#[track_caller]
#[doc(alias = "return_exceptions")]
pub fn gather_results<A: Awaitable>(awaitables: Vec<A>) -> Future<Vec<Result<A::Output>>> {
    gather_results_with(awaitables, |outcomes| outcomes)
}

/// A future that is done when all of them are, however they end.
pub(crate) fn gather_erased(futures: Vec<Rc<dyn AnyFuture>>) -> Future<()> {
    let mut children = Children::default();
    futures.into_iter().for_each(|future| children.add_erased(future));
    children.gather(true, Box::new(|| Ok(())))
}

/// [`gather`], with the results put together by a function: a future of whatever
/// type one needs, without a task that waits for the list and converts it.
///
/// ```
/// use stackio::gather_with;
///
/// stackio::run(|| {
///     let parts = vec![|| Ok(1), || Ok(2)];
///     let sum = gather_with(parts, |parts: Vec<i32>| parts.into_iter().sum::<i32>());
///     assert_eq!(sum.join()?, 3);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Panics
///
/// If no loop is running; for futures and tasks theirs serves.
#[track_caller]
pub fn gather_with<A: Awaitable, R: 'static>(
    awaitables: Vec<A>,
    assemble: impl FnOnce(Vec<A::Output>) -> R + 'static,
) -> Future<R> {
    let mut children = Children::default();
    let futures: Vec<_> = awaitables.into_iter().map(|a| children.add(a.ensure_future())).collect();
    let results = move || futures.iter().map(A::obtain).collect::<Result<_>>();
    children.gather(false, Box::new(move || results().map(assemble)))
}

/// [`gather_results`], with the outcomes put together by a function.
///
/// # Panics
///
/// If no loop is running; for futures and tasks theirs serves.
#[track_caller]
pub fn gather_results_with<A: Awaitable, R: 'static>(
    awaitables: Vec<A>,
    assemble: impl FnOnce(Vec<Result<A::Output>>) -> R + 'static,
) -> Future<R> {
    let mut children = Children::default();
    let futures: Vec<_> = awaitables.into_iter().map(|a| children.add(a.ensure_future())).collect();
    let assemble = move || Ok(assemble(futures.iter().map(settled::<A>).collect()));
    children.gather(true, Box::new(assemble))
}

/// A finished child's result or error. Its cancellation is left for whoever reads
/// it first elsewhere; here it is a new one, with the message all may see.
fn settled<A: Awaitable>(future: &Future<A::Output>) -> Result<A::Output> {
    if future.cancelled() {
        return Err(match future.core().cancel_message() {
            Some(message) => Error::cancelled_with(message),
            None => Error::cancelled(),
        });
    }
    A::obtain(future)
}

impl<A: Awaitable> Gather for Vec<A> {
    type Output = Vec<A::Output>;

    #[track_caller]
    fn gather(self) -> Future<Vec<A::Output>> {
        gather_with(self, |results| results)
    }
}

impl<A: Awaitable, const N: usize> Gather for [A; N] {
    type Output = Vec<A::Output>;

    #[track_caller]
    fn gather(self) -> Future<Vec<A::Output>> {
        Vec::from(self).gather()
    }
}

macro_rules! gather_tuples {
    ($(($($name:ident $index:tt),+))+) => {$(
        impl<$($name: Awaitable),+> Gather for ($($name,)+) {
            type Output = ($($name::Output,)+);

            #[track_caller]
            fn gather(self) -> Future<Self::Output> {
                let mut children = Children::default();
                let futures = ($(children.add(self.$index.ensure_future()),)+);
                let assemble = move || Ok(($($name::obtain(&futures.$index)?,)+));
                children.gather(false, Box::new(assemble))
            }
        }
    )+};
}

gather_tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

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
struct Children {
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
    fn add<T>(&mut self, future: Future<T>) -> Future<T> {
        self.add_erased(future.erased());
        future
    }

    fn add_erased(&mut self, child: Rc<dyn AnyFuture>) {
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
    fn gather<R: 'static>(self, return_exceptions: bool, assemble: Assemble<R>) -> Future<R> {
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
