//! [`Instrument`]: how watchers see the flow.
//!
//! Every step of the basic flow is a [`FlowEvent`]: a task sends into its coroutine,
//! the coroutine yields a future, the task adds itself as a done callback, the
//! loop selects, the future gets its result, the callback is scheduled, the task
//! sends again. Events carry ids and names, never a task: a watcher watches. With
//! no instrument installed nothing is computed for them.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::clock::Instant;

/// The number of a future or task, unique in its loop's thread.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FutureId(pub(crate) u64);

impl FutureId {
    /// The number itself; they are given out in order of creation.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FutureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

impl fmt::Debug for FutureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FutureId({})", self.0)
    }
}

/// A task as watchers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskRef<'a> {
    /// Its number; a task is a future.
    pub id: FutureId,
    /// Its name at the moment.
    pub name: &'a str,
}

impl fmt::Display for TaskRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// How a future or task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a result.
    Result,
    /// With an error.
    Exception,
    /// By cancellation.
    Cancelled,
}

/// Something that happened in a loop. The `Display` form tells it in words.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum FlowEvent<'a> {
    /// A task was made around a coroutine, at that place in the source.
    TaskCreated {
        /// The new task.
        task: TaskRef<'a>,
        /// Where `spawn` was called.
        at: &'static Location<'static>,
    },
    /// A task resumes its coroutine.
    Send {
        /// The task.
        task: TaskRef<'a>,
    },
    /// A task resumes its coroutine with an error.
    Throw {
        /// The task.
        task: TaskRef<'a>,
        /// The error thrown in.
        error: &'a crate::exceptions::Error,
    },
    /// The coroutine suspends itself and yields a future to its task.
    Yield {
        /// The task.
        task: TaskRef<'a>,
        /// The future it waits for; `None` is a bare yield, which only gives way.
        future: Option<FutureId>,
    },
    /// The coroutine ended, and with it the task.
    Return {
        /// The task.
        task: TaskRef<'a>,
        /// How it ended.
        outcome: Outcome,
    },
    /// A callback was added to a future.
    AddDoneCallback {
        /// The future.
        future: FutureId,
        /// The task that will be woken; `None` for an ordinary function.
        wakes: Option<TaskRef<'a>>,
    },
    /// A future was completed: `set_result`, `set_exception` or `cancel`.
    FutureDone {
        /// The future.
        future: FutureId,
        /// How it was completed.
        outcome: Outcome,
    },
    /// Something was put into the queue of what is ready to run.
    CallSoon {
        /// The task that will take a step; `None` for an ordinary callback.
        task: Option<TaskRef<'a>>,
    },
    /// A timer was set.
    CallAt {
        /// When it is due.
        when: Instant,
    },
    /// A timer was due and its callback was put into the queue.
    TimerDue {
        /// When it was due.
        when: Instant,
    },
    /// The loop asks the selector, for at most that long; `None` is for ever.
    Select {
        /// The longest it may block.
        timeout: Option<Duration>,
    },
    /// The selector answered, with that many events.
    Selected {
        /// Descriptors that became ready.
        events: usize,
    },
    /// A descriptor became ready for somebody who waits for it.
    Ready {
        /// Readable, or at its end.
        readable: bool,
        /// Writable, or broken.
        writable: bool,
    },
}

impl fmt::Display for FlowEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FlowEvent::TaskCreated { task, .. } => write!(f, "{task} created"),
            FlowEvent::Send { task } => write!(f, "send into {task}"),
            FlowEvent::Throw { task, error } => write!(f, "throw into {task}: {error}"),
            FlowEvent::Yield { task, future: Some(id) } => write!(f, "{task} yields future {id}"),
            FlowEvent::Yield { task, future: None } => write!(f, "{task} yields"),
            FlowEvent::Return { task, outcome } => write!(f, "{task} ends: {outcome}"),
            FlowEvent::AddDoneCallback { future, wakes: Some(task) } => {
                write!(f, "add_done_callback on future {future}: wake {task}")
            }
            FlowEvent::AddDoneCallback { future, wakes: None } => {
                write!(f, "add_done_callback on future {future}")
            }
            FlowEvent::FutureDone { future, outcome } => write!(f, "future {future} has {outcome}"),
            FlowEvent::CallSoon { task: Some(task) } => write!(f, "call_soon: a step of {task}"),
            FlowEvent::CallSoon { task: None } => f.write_str("call_soon: a callback"),
            FlowEvent::CallAt { when } => write!(f, "call_at {when:?}"),
            FlowEvent::TimerDue { when } => write!(f, "the timer of {when:?} is due"),
            FlowEvent::Select { timeout: Some(timeout) } => write!(f, "select for {timeout:?}"),
            FlowEvent::Select { timeout: None } => f.write_str("select"),
            FlowEvent::Selected { events } => write!(f, "selected: {events} ready"),
            FlowEvent::Ready { readable, writable } => {
                write!(f, "ready: readable {readable}, writable {writable}")
            }
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Result => "a result",
            Outcome::Exception => "an exception",
            Outcome::Cancelled => "been cancelled",
        })
    }
}

/// A watcher of a loop: is told every [`FlowEvent`] as it happens, on the loop's
/// thread. It cannot suspend, and should not take long.
///
/// ```
/// use std::cell::RefCell;
/// use std::rc::Rc;
/// use stackio::{FlowEvent, Instrument, Runner};
///
/// #[derive(Default)]
/// struct Recorder(RefCell<Vec<String>>);
///
/// impl Instrument for Recorder {
///     fn event(&self, event: &FlowEvent<'_>) {
///         self.0.borrow_mut().push(event.to_string());
///     }
/// }
///
/// let recorder = Rc::new(Recorder::default());
/// let mut runner = Runner::builder().instrument(recorder.clone()).build()?;
/// runner.run(|| stackio::yield_now())?;
/// assert!(recorder.0.borrow().contains(&"send into Task-1".to_string()));
/// # Ok::<(), stackio::Error>(())
/// ```
pub trait Instrument {
    /// Called for each event, in order.
    fn event(&self, event: &FlowEvent<'_>);
}
