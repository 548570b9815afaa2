//! What every task has, whatever its types: name, state, requests to cancel.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::context::Variables;
use crate::coroutines::{Coroutine, Current};
use crate::events::{Runnable, Scheduler};
use crate::exceptions::{Error, Result};
use crate::future_core::{AnyFuture, DoneCallback};
use crate::registry::Registry;

/// The name of a task: given, or made from its number when somebody asks.
#[derive(Clone)]
pub(crate) enum Name {
    Number(u64),
    Text(Rc<str>),
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Number(number) => write!(f, "Task-{number}"),
            Name::Text(text) => f.write_str(text),
        }
    }
}

/// The step that waits in the ready queue.
pub(crate) enum Pending {
    None,
    Send,
    Throw(Error),
    Wakeup(Rc<dyn AnyFuture>),
}

/// What a task has beside a future, whatever its types.
pub(crate) struct TaskCore {
    pub(crate) coroutine: Coroutine,
    pub(crate) name: RefCell<Name>,
    pub(crate) stack_size: usize,
    pub(crate) context: Cell<Variables>,
    /// How many requests to cancel have not been taken back.
    pub(crate) cancel_requests: Cell<u32>,
    /// Whether the next step, or the next future, is to be cancelled.
    pub(crate) must_cancel: Cell<bool>,
    /// The message of the last request to cancel that was kept here.
    pub(crate) cancel_message: RefCell<Option<Box<str>>>,
    /// The future that it waits for.
    pub(crate) waiter: RefCell<Option<Rc<dyn AnyFuture>>>,
    pub(crate) pending: Cell<Pending>,
    /// How the body ended, from then until the task is completed.
    pub(crate) ended: Cell<Option<Result>>,
    /// Its place in the registry of unfinished tasks.
    pub(crate) place: Cell<Option<usize>>,
    /// Set while a cancellation walks along a chain of tasks through this one.
    pub(crate) walked: Cell<bool>,
}

/// A task of whatever type.
pub(crate) trait TaskObject: Current + Runnable + DoneCallback {
    fn task(&self) -> &TaskCore;
    /// Takes a stack and sets the body up on it.
    fn start(self: Rc<Self>) -> Result;
    /// Drops a body that will not be run.
    fn drop_body(&self);
    /// Drops a result that will not be given.
    fn drop_result(&self);
}

impl TaskCore {
    pub(crate) fn new(name: Name, stack_size: usize) -> TaskCore {
        TaskCore {
            coroutine: Coroutine::new(),
            name: RefCell::new(name),
            stack_size,
            context: Cell::default(),
            cancel_requests: Cell::new(0),
            must_cancel: Cell::new(false),
            cancel_message: RefCell::new(None),
            waiter: RefCell::new(None),
            pending: Cell::new(Pending::None),
            ended: Cell::new(None),
            place: Cell::new(None),
            walked: Cell::new(false),
        }
    }

    pub(crate) fn title(&self) -> String {
        self.name.borrow().to_string()
    }

    /// The future that the task waits for.
    pub(crate) fn waits_for(&self) -> Option<Rc<dyn AnyFuture>> {
        self.waiter.borrow().clone()
    }

    /// Whether its next step is in the ready queue.
    pub(crate) fn is_ready(&self) -> bool {
        let pending = self.pending.replace(Pending::None);
        let ready = !matches!(pending, Pending::None);
        self.pending.set(pending);
        ready
    }

    /// The error for the last request to cancel it.
    pub(crate) fn cancellation(&self) -> Error {
        match self.cancel_message() {
            Some(message) => Error::cancelled_with(message),
            None => Error::cancelled(),
        }
    }

    pub(crate) fn cancel_message(&self) -> Option<Box<str>> {
        self.cancel_message.borrow().clone()
    }
}

/// An unfinished task by its future.
pub(crate) fn unfinished_task(future: &dyn AnyFuture) -> Option<Rc<dyn TaskObject>> {
    let place = task_core(future)?.place.get()?;
    UNFINISHED.with(|tasks| tasks.borrow().get(place))
}

/// The task part of a future that is a task.
pub(crate) fn task_core(future: &dyn AnyFuture) -> Option<&TaskCore> {
    future.extension()?.downcast_ref()
}

/// Asks a task to end. The request goes to the future that it waits for, and so
/// down a chain of tasks that wait for each other.
pub(crate) fn cancel(task: Rc<dyn AnyFuture>, message: Option<&str>) -> bool {
    if task.core().is_done() {
        task.core().mark_retrieved();
        return false;
    }
    let mut walked: SmallVec<[Rc<dyn AnyFuture>; 4]> = SmallVec::new();
    let mut next = Some(task);
    while let Some(task) = next {
        next = cancel_one(&task, message);
        walked.push(task);
    }
    for task in &walked {
        task_core(&**task).inspect(|core| core.walked.set(false));
    }
    true
}

/// Cancels an unfinished task; the unfinished task that it waits for, if it
/// does, to go on with.
fn cancel_one(task: &Rc<dyn AnyFuture>, message: Option<&str>) -> Option<Rc<dyn AnyFuture>> {
    let core = task_core(&**task)?;
    task.core().mark_retrieved();
    core.cancel_requests.set(core.cancel_requests.get().saturating_add(1));
    core.walked.set(true);
    let waiter = core.waiter.borrow().clone();
    if let Some(future) = waiter {
        // A task is gone on to, unless it is done or closes a circle of tasks that
        // wait for each other.
        match task_core(&*future).map(|other| other.walked.get()) {
            Some(false) if !future.core().is_done() => return Some(future),
            Some(_) => {}
            None if future.cancel_any(message) => return None,
            None => {}
        }
    }
    core.must_cancel.set(true);
    *core.cancel_message.borrow_mut() = message.map(Into::into);
    None
}

thread_local! {
    /// The unfinished tasks of this thread: they are owned until they end. It is
    /// never dropped, for a task must not be dropped while it is suspended; a loop
    /// that is dropped disposes of its tasks.
    static UNFINISHED: ManuallyDrop<RefCell<Registry<dyn TaskObject>>> =
        const { ManuallyDrop::new(RefCell::new(Registry::new())) };
}

/// Takes ownership of an unfinished task.
pub(crate) fn register(task: Rc<dyn TaskObject>) {
    let place = UNFINISHED.with(|tasks| tasks.borrow_mut().insert(task.clone()));
    task.task().place.set(Some(place));
}

pub(crate) fn unregister(core: &TaskCore) {
    if let Some(place) = core.place.take() {
        let task = UNFINISHED.with(|tasks| tasks.borrow_mut().remove(place));
        drop(task);
    }
}

/// The unfinished tasks of a loop, in the order of their creation.
pub(crate) fn unfinished(scheduler: &Rc<Scheduler>) -> Vec<Rc<dyn TaskObject>> {
    let mut tasks = UNFINISHED.with(|tasks| tasks.borrow().all());
    tasks.retain(|task| Rc::ptr_eq(&task.core().scheduler, scheduler));
    tasks.sort_by_key(|task| task.core().id());
    tasks
}
