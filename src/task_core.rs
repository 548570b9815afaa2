//! What every task has, whatever its types: name, state, requests to cancel.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::rc::Rc;

use smallvec::SmallVec;

use crate::context::Variables;
use crate::coroutines::Coroutine;
use crate::events::{Runnable, Scheduler};
use crate::exceptions::{Error, Result};
use crate::fiber::is_forced_unwind;
use crate::future_core::{AnyFuture, DoneCallback, FutureCore};
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

/// A task, whatever its types: a future, and what it has beside that.
///
/// In the order in which a step needs it. Ten thousand tasks in turn are each out of
/// the processor's nearer caches when their turn comes, and every line costs.
#[repr(C)]
pub(crate) struct TaskCore {
    /// Whether its next step is in the ready queue.
    pub(crate) queued: Cell<bool>,
    /// Whether the next step, or the next future, is to be cancelled.
    pub(crate) must_cancel: Cell<bool>,
    /// Set while a cancellation walks along a chain of tasks through this one.
    pub(crate) walked: Cell<bool>,
    pub(crate) body_state: Cell<BodyState>,
    /// Its place in the registry of unfinished tasks.
    place: Cell<u32>,
    pub(crate) context: Cell<Variables>,
    pub(crate) coroutine: Coroutine,
    pub(crate) future: FutureCore,
    /// How many requests to cancel have not been taken back.
    pub(crate) cancel_requests: Cell<u16>,
    /// Counts those that have been, round and round.
    pub(crate) taken_back: Cell<u16>,
    stack_size: u32,
    number: u64,
    texts: Cell<Option<Box<Texts>>>,
}

/// What has become of the body of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyState {
    /// It has not run, or not to its end, or has ended with an error.
    Unfinished,
    /// It will not run, and is being dropped.
    Dropping,
    /// It has given a result.
    Returned,
}

/// The place of a task that is not registered.
const NOWHERE: u32 = u32::MAX;

/// What most tasks do not have.
#[derive(Default)]
struct Texts {
    name: Option<Rc<str>>,
    /// The message of the last request to cancel that was kept here.
    cancel_message: Option<Box<str>>,
}

/// A task of whatever type.
pub(crate) trait TaskObject: AnyFuture + Runnable + DoneCallback {
    fn task(&self) -> &TaskCore;
    /// The same, whatever its types.
    fn object(self: Rc<Self>) -> Rc<dyn TaskObject>;
    /// Takes a stack and sets the body up on it.
    fn start(self: Rc<Self>) -> Result;
    /// Drops a body that will not be run.
    fn drop_body(&self);
    /// Drops a result that will not be given.
    fn drop_result(&self);
}

impl TaskCore {
    #[inline(always)]
    pub(crate) fn new(
        future: FutureCore,
        number: u64,
        stack_size: usize,
        context: Variables,
    ) -> TaskCore {
        TaskCore {
            queued: Cell::new(false),
            must_cancel: Cell::new(false),
            walked: Cell::new(false),
            body_state: Cell::new(BodyState::Unfinished),
            place: Cell::new(NOWHERE),
            context: Cell::new(context),
            coroutine: Coroutine::new(),
            future,
            cancel_requests: Cell::new(0),
            taken_back: Cell::new(0),
            stack_size: u32::try_from(stack_size).unwrap_or(u32::MAX),
            number,
            texts: Cell::new(None),
        }
    }

    pub(crate) fn stack_size(&self) -> usize {
        self.stack_size as usize
    }

    /// May be called in a signal handler: it allocates nothing.
    pub(crate) fn name(&self) -> Name {
        let name = self.with_texts(|texts| texts.as_ref()?.name.clone());
        name.map_or(Name::Number(self.number), Name::Text)
    }

    pub(crate) fn set_name(&self, name: Rc<str>) {
        let former = self.with_texts(|texts| texts.get_or_insert_default().name.replace(name));
        drop(former);
    }

    fn with_texts<R>(&self, use_texts: impl FnOnce(&mut Option<Box<Texts>>) -> R) -> R {
        let mut texts = self.texts.take();
        let result = use_texts(&mut texts);
        self.texts.set(texts);
        result
    }

    pub(crate) fn title(&self) -> String {
        self.name().to_string()
    }

    /// The body has ended with an error.
    #[inline(never)]
    pub(crate) fn raise(&self, error: Error) {
        let former = self.coroutine.thrown.replace(Some(error));
        drop(former);
    }

    /// The body has panicked, or has been unwound.
    #[cold]
    pub(crate) fn be_panicked(&self, panic: Box<dyn Any + Send>) {
        self.raise(match is_forced_unwind(&*panic) {
            true => Error::cancelled_with("the event loop has closed"),
            false => Error::panic(&format!("the task `{}`", self.title()), panic),
        });
    }

    /// How the body has ended.
    pub(crate) fn outcome(&self) -> Result {
        match self.body_state.get() {
            BodyState::Returned => Ok(()),
            _ => Err(self.coroutine.thrown.take().unwrap_or_else(Error::cancelled)),
        }
    }

    /// The future that the task waits for.
    pub(crate) fn waits_for(&self) -> Option<Rc<dyn AnyFuture>> {
        self.coroutine.awaited()
    }

    /// Whether its next step is in the ready queue.
    pub(crate) fn is_ready(&self) -> bool {
        self.queued.get()
    }

    /// The error for the last request to cancel it.
    pub(crate) fn cancellation(&self) -> Error {
        match self.cancel_message() {
            Some(message) => Error::cancelled_with(message),
            None => Error::cancelled(),
        }
    }

    pub(crate) fn cancel_message(&self) -> Option<Box<str>> {
        self.with_texts(|texts| texts.as_ref()?.cancel_message.clone())
    }

    fn keep_cancel_message(&self, message: Option<&str>) {
        self.with_texts(|texts| {
            if message.is_some() || texts.is_some() {
                texts.get_or_insert_default().cancel_message = message.map(Into::into);
            }
        });
    }

    /// Has the task hear of a cancellation again, at its next wait; false if it is not to
    /// wait any more.
    #[cfg(feature = "tls")]
    pub(crate) fn put_off(&self, cancellation: &Error) -> bool {
        let waits = !self.coroutine.fiber.is_ending();
        if waits {
            self.must_cancel.set(true);
            self.keep_cancel_message(cancellation.message());
        }
        waits
    }
}

/// An unfinished task by its future.
pub(crate) fn unfinished_task(future: &dyn AnyFuture) -> Option<Rc<dyn TaskObject>> {
    let place = task_core(future)?.place.get();
    UNFINISHED.with(|tasks| tasks.borrow().get(place as usize))
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
    if let Some(future) = core.waits_for() {
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
    core.keep_cancel_message(message);
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
pub(crate) fn register(task: Rc<dyn TaskObject>, core: &TaskCore) {
    let place = UNFINISHED.with(|tasks| tasks.borrow_mut().insert(task));
    core.place.set(u32::try_from(place).expect("memory ends before 4,294,967,296 tasks"));
}

pub(crate) fn unregister(core: &TaskCore) {
    let place = core.place.replace(NOWHERE) as usize;
    let task = UNFINISHED.with(|tasks| tasks.borrow_mut().remove(place));
    drop(task);
}

/// Gives up the room for tasks that were many.
pub(crate) fn shrink_unfinished() {
    UNFINISHED.with(|tasks| tasks.borrow_mut().shrink());
}

/// The unfinished tasks of a loop, in the order of their creation.
pub(crate) fn unfinished(scheduler: &Rc<Scheduler>) -> Vec<Rc<dyn TaskObject>> {
    let mut tasks = UNFINISHED.with(|tasks| tasks.borrow().all());
    tasks.retain(|task| Rc::ptr_eq(&task.core().scheduler, scheduler));
    tasks.sort_by_key(|task| task.core().id());
    tasks
}
