//! Who waits for whom, and where: for people who look into a program that runs, or
//! that does not go on.
//!
//! ```
//! use stackio::{graph, millis, sleep, spawn, yield_now};
//!
//! fn fetch() -> stackio::Result {
//!     sleep(millis(1))
//! }
//!
//! stackio::run(|| {
//!     let page = spawn(fetch);
//!     page.set_name("page");
//!     let reader = { let page = page.clone(); spawn(move || page.wait()) };
//!     reader.set_name("reader");
//!     yield_now()?;
//!
//!     let tasks = graph::capture()?;
//!     println!("{tasks}"); // a tree, with the calls on each task's stack
//!     let page = tasks.find("page").unwrap();
//!     assert_eq!(page.waits_for[0].title, "a timer");
//!     assert_eq!(tasks.awaited_by(page.id), [tasks.find("reader").unwrap().id]);
//!     assert!(tasks.cycles().is_empty());
//!     reader.join()
//! })?;
//! # Ok::<(), stackio::Error>(())
//! ```
//!
//! [`capture`] looks downwards from all tasks, [`capture_call_graph`] upwards from one
//! future: its names are those of `asyncio.graph`. Looking changes nothing: not the
//! order of steps, not what a task is told of. It may be done anywhere on the loop's
//! thread: in a task, in a callback, in an [`Instrument`](crate::Instrument), and
//! from outside between two runs.

mod call_graph;

pub use call_graph::{CallGraph, Target, capture_call_graph, print_call_graph};

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::base_events::{EventLoop, get_running_loop};
use crate::deadlocks::{Awaited, GONE, cycles, needed_among, waits_of};
use crate::exceptions::Result;
use crate::instruments::FutureId;
use crate::notices::say;
use crate::signals::Signal;
use crate::task_core::{TaskObject, unfinished};
use crate::traces::{Names, StackFrame};

/// What a task is doing.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It has not taken its first step.
    Created,
    /// It is in the middle of a step.
    Running,
    /// It waits only for its turn.
    Ready,
    /// It waits for a future.
    Waiting,
}

/// A future that a task waits for, itself or through another one.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Wait {
    /// The number of the future.
    pub id: FutureId,
    /// What it is, as it reads after "waits for": `task reader`, `a timer`, `lock #7`,
    /// `an item of queue #8`, `descriptor 5 to become readable`, `future #12`.
    pub title: String,
    /// How many futures are between the task and this one: 1 for the children of a
    /// gather that the task waits for.
    pub depth: usize,
    /// The task that has what is waited for, as far as that is known: a lock's.
    pub holder: Option<FutureId>,
}

/// A task, as it was when the graph was made.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct TaskNode {
    /// Its number.
    pub id: FutureId,
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: TaskState,
    /// Where it was spawned.
    pub created_at: &'static Location<'static>,
    /// Where it was suspended last.
    pub suspended_at: Option<&'static Location<'static>>,
    /// What it waits for: first the future itself, then what is behind that.
    pub waits_for: Vec<Wait>,
    /// The unfinished tasks that it needs: those that it waits for, and those that
    /// hold what it waits for.
    pub needs: Vec<FutureId>,
    /// The calls on its stack, as [`AnyTask::stack`](crate::AnyTask::stack). Empty in
    /// an outline.
    pub stack: Vec<StackFrame>,
}

impl TaskNode {
    fn of(task: &Rc<dyn TaskObject>, names: Option<&mut Names>) -> TaskNode {
        let core = task.task();
        let state = match core.coroutine.fiber.is_running() {
            true => TaskState::Running,
            false if core.coroutine.fiber.is_idle() => TaskState::Created,
            false if core.is_ready() => TaskState::Ready,
            false => TaskState::Waiting,
        };
        let awaited = waits_of(&**task);
        let needs = needed_among(&awaited);
        let waits_for = awaited.into_iter().map(|Awaited { future, depth }| Wait {
            id: future.core().id(),
            title: future.title(),
            depth,
            holder: future.holder(),
        });
        TaskNode {
            id: task.core().id(),
            name: core.title(),
            state,
            created_at: task.core().created_at,
            suspended_at: core.coroutine.suspended_at.get(),
            waits_for: waits_for.collect(),
            needs,
            stack: names.map_or_else(Vec::new, |names| names.resolve(&core.coroutine.inspect())),
        }
    }
}

/// The unfinished tasks of a loop, and who needs whom. `Display` draws it as a tree,
/// each task below the one that waits for it, and names the cycles.
#[derive(Clone, Debug)]
pub struct TaskGraph {
    tasks: Vec<TaskNode>,
    places: HashMap<FutureId, usize>,
    /// The tasks that need a task, or wait for another future.
    awaited_by: HashMap<FutureId, Vec<FutureId>>,
}

/// The tasks of the loop that is running.
///
/// # Errors
///
/// Kind `Runtime` if none is.
pub fn capture() -> Result<TaskGraph> {
    Ok(get_running_loop()?.task_graph())
}

/// The same without stacks, which is quick enough to be looked at many times a second.
///
/// # Errors
///
/// Kind `Runtime` if no loop is running.
///
/// ```
/// use stackio::graph::{self, TaskState};
///
/// stackio::run(|| {
///     let graph = graph::outline()?;
///     let main = &graph.tasks()[0];
///     assert_eq!((main.name.as_str(), main.state), ("Task-1", TaskState::Running));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub fn outline() -> Result<TaskGraph> {
    Ok(get_running_loop()?.task_outline())
}

impl EventLoop {
    /// Its unfinished tasks, who waits for whom, and where. Each suspended task walks
    /// its stack for this, which takes some microseconds; looking up a function takes
    /// longer, and is done once for all tasks.
    pub fn task_graph(&self) -> TaskGraph {
        let mut names = Names::new();
        TaskGraph::of(&unfinished(self.scheduler()), Some(&mut names))
    }

    /// The same without stacks.
    pub fn task_outline(&self) -> TaskGraph {
        TaskGraph::of(&unfinished(self.scheduler()), None)
    }
}

impl EventLoop {
    /// Has the graph of the loop's tasks printed on standard error each time the
    /// signal comes; SIGUSR1 is the usual one. It replaces this loop's handler of the
    /// signal.
    ///
    /// A step that blocks the loop also blocks this: see debug mode for that.
    ///
    /// ```
    /// use stackio::signals::Signal;
    ///
    /// stackio::run(|| {
    ///     stackio::get_running_loop()?.dump_tasks_on(Signal::USR1)?;
    ///     Ok(()) // and now `kill -USR1`
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`EventLoop::add_signal_handler`].
    pub fn dump_tasks_on(&self, signal: Signal) -> Result {
        // A strong handle would have the loop own itself.
        let scheduler = Rc::downgrade(self.scheduler());
        self.add_signal_handler(signal, move || {
            if let Some(scheduler) = scheduler.upgrade() {
                let graph = TaskGraph::of(&unfinished(&scheduler), Some(&mut Names::new()));
                say(&graph.to_string());
            }
        })
    }
}

impl TaskGraph {
    fn of(tasks: &[Rc<dyn TaskObject>], mut names: Option<&mut Names>) -> TaskGraph {
        let tasks: Vec<_> =
            tasks.iter().map(|task| TaskNode::of(task, names.as_deref_mut())).collect();
        let places = tasks.iter().enumerate().map(|(place, task)| (task.id, place)).collect();
        let mut awaited_by: HashMap<_, Vec<_>> = HashMap::new();
        for task in &tasks {
            let waits = task.waits_for.iter().map(|wait| wait.id);
            let mut all: Vec<_> = waits.chain(task.needs.iter().copied()).collect();
            all.sort_unstable();
            all.dedup();
            all.into_iter().for_each(|id| awaited_by.entry(id).or_default().push(task.id));
        }
        TaskGraph { tasks, places, awaited_by }
    }

    /// The tasks, in the order of their creation.
    pub fn tasks(&self) -> &[TaskNode] {
        &self.tasks
    }

    /// A task by its number.
    pub fn get(&self, id: FutureId) -> Option<&TaskNode> {
        self.places.get(&id).map(|place| &self.tasks[*place])
    }

    /// The first task of that name.
    pub fn find(&self, name: &str) -> Option<&TaskNode> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// The tasks that wait for a future or a task, in the order of their creation: for
    /// the thing itself, for what is made of it (a gather, a shield), or for what a
    /// task holds.
    pub fn awaited_by(&self, id: FutureId) -> &[FutureId] {
        self.awaited_by.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Cycles of tasks that wait for each other, by task or by lock: at least one of
    /// each knot, beginning with its oldest task. Unless one of them waits for the
    /// first of several or has a timeout, or somebody outside cancels one, none of
    /// them will ever go on.
    pub fn cycles(&self) -> Vec<Vec<FutureId>> {
        cycles(&self.tasks.iter().map(|task| (task.id, task.needs.clone())).collect())
    }

    fn name(&self, id: FutureId) -> &str {
        self.get(id).map_or(GONE, |task| &task.name)
    }

    /// Whether only itself needs it, if anybody does.
    fn is_root(&self, id: FutureId) -> bool {
        self.awaited_by(id).iter().all(|by| *by == id)
    }

    /// Those that nobody needs, and then everybody: the order in which trees begin.
    fn roots(&self) -> Vec<FutureId> {
        let all = || self.tasks.iter().map(|task| task.id);
        all().filter(|id| self.is_root(*id)).chain(all()).collect()
    }
}

/// How deep a tree is indented: a chain of thousands is still readable, and is not
/// drawn in a million columns.
const INDENTED: usize = 24;

fn indent(depth: usize) -> usize {
    depth.min(INDENTED) * 4
}

impl fmt::Display for TaskGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = HashSet::new();
        for root in self.roots() {
            let mut next = vec![(root, 0)];
            while let Some((id, depth)) = next.pop() {
                let Some(task) = self.get(id) else { continue };
                if told.insert(id) {
                    self.tell(f, task, indent(depth))?;
                    next.extend(task.needs.iter().rev().map(|needed| (*needed, depth + 1)));
                } else if depth > 0 {
                    writeln!(f, "{:1$}{2} (see above)", "", indent(depth), task.name)?;
                }
            }
        }
        for cycle in self.cycles() {
            let names: Vec<_> =
                cycle.iter().chain(cycle.first()).map(|id| self.name(*id)).collect();
            writeln!(f, "deadlock: {}", names.join(" -> "))?;
        }
        Ok(())
    }
}

impl TaskGraph {
    fn tell(&self, f: &mut fmt::Formatter<'_>, task: &TaskNode, indent: usize) -> fmt::Result {
        write!(f, "{:indent$}{} ", "", task.name)?;
        match (task.state, task.waits_for.first()) {
            (TaskState::Created, _) => write!(f, "has not begun")?,
            (TaskState::Running, _) => write!(f, "is running")?,
            (TaskState::Ready, _) => write!(f, "is about to go on")?,
            (TaskState::Waiting, Some(wait)) => {
                write!(f, "waits for {}", wait.title)?;
                if let Some(holder) = wait.holder {
                    write!(f, ", held by {}", self.name(holder))?;
                }
            }
            (TaskState::Waiting, None) => write!(f, "waits")?,
        }
        writeln!(f)?;
        write_stack(f, task, indent)
    }
}

fn write_stack(f: &mut fmt::Formatter<'_>, task: &TaskNode, indent: usize) -> fmt::Result {
    for frame in &task.stack {
        writeln!(f, "{:indent$}  | {frame}", "")?;
    }
    match (task.stack.is_empty(), task.suspended_at) {
        (true, Some(place)) => writeln!(f, "{:indent$}  | at {place}", ""),
        (true, None) => writeln!(f, "{:indent$}  | spawned at {}", "", task.created_at),
        _ => Ok(()),
    }
}
