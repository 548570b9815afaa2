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
//!     assert!(tasks.circles().is_empty());
//!     reader.join()
//! })?;
//! # Ok::<(), stackio::Error>(())
//! ```

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::base_events::{EventLoop, get_running_loop};
use crate::deadlocks::{Awaited, awaited_by, circles, needed_by};
use crate::exceptions::Result;
use crate::instruments::FutureId;
use crate::signals::Signal;
use crate::task_core::{TaskObject, unfinished};
use crate::tasks::{AnyTask, current_task};
use crate::traces::StackFrame;

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// What it is: `task reader`, `a timer`, `lock #7`, `future #12`.
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
    /// The calls on its stack, as [`AnyTask::stack`].
    pub stack: Vec<StackFrame>,
}

impl TaskNode {
    fn of(task: &Rc<dyn TaskObject>, with_stack: bool) -> TaskNode {
        let core = task.task();
        let id = task.core().id();
        let state = match core.coroutine.fiber.is_running() {
            true => TaskState::Running,
            false if core.coroutine.fiber.is_idle() => TaskState::Created,
            false if core.is_ready() => TaskState::Ready,
            false => TaskState::Waiting,
        };
        let waits_for = awaited_by(&**task).into_iter().map(|Awaited { future, depth }| Wait {
            id: future.core().id(),
            title: future.title(),
            depth,
            holder: future.holder(),
        });
        TaskNode {
            id,
            name: core.title(),
            state,
            created_at: task.core().created_at,
            suspended_at: core.coroutine.suspended_at.get(),
            waits_for: waits_for.collect(),
            needs: needed_by(&**task),
            stack: if with_stack { core.coroutine.inspect().resolve() } else { Vec::new() },
        }
    }
}

/// The unfinished tasks of a loop, and who needs whom. `Display` draws it as a tree,
/// each task below the one that waits for it, and names the circles.
#[derive(Clone, Debug)]
pub struct TaskGraph {
    tasks: Vec<TaskNode>,
    places: HashMap<FutureId, usize>,
    /// Who needs a task.
    needed_by: HashMap<FutureId, Vec<FutureId>>,
}

/// The tasks of the loop that is running.
///
/// # Errors
///
/// Kind `Runtime` if none is.
pub fn capture() -> Result<TaskGraph> {
    Ok(get_running_loop()?.task_graph())
}

impl EventLoop {
    /// Its unfinished tasks, and who waits for whom. Each suspended task walks its
    /// stack for this, which takes some microseconds, and looking up the names much
    /// longer.
    pub fn task_graph(&self) -> TaskGraph {
        TaskGraph::of(&unfinished(self.scheduler()), true)
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
                eprint!("{}", TaskGraph::of(&unfinished(&scheduler), true));
            }
        })
    }
}

impl TaskGraph {
    fn of(tasks: &[Rc<dyn TaskObject>], with_stacks: bool) -> TaskGraph {
        let tasks: Vec<_> = tasks.iter().map(|task| TaskNode::of(task, with_stacks)).collect();
        let places = tasks.iter().enumerate().map(|(place, task)| (task.id, place)).collect();
        let mut needed_by: HashMap<_, Vec<_>> = HashMap::new();
        for task in &tasks {
            task.needs.iter().for_each(|id| needed_by.entry(*id).or_default().push(task.id));
        }
        TaskGraph { tasks, places, needed_by }
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

    /// The tasks that need this one.
    pub fn awaited_by(&self, id: FutureId) -> Vec<FutureId> {
        self.needed_by.get(&id).cloned().unwrap_or_default()
    }

    /// Circles of tasks that wait for each other: at least one of each knot. Unless
    /// one of them waits for any of several, or somebody outside cancels one, none
    /// of them will ever go on.
    pub fn circles(&self) -> Vec<Vec<FutureId>> {
        circles(&self.tasks.iter().map(|task| (task.id, task.needs.clone())).collect())
    }

    fn name(&self, id: FutureId) -> String {
        self.get(id).map_or_else(|| id.to_string(), |task| task.name.clone())
    }

    /// Those that nobody needs, and then everybody: the order in which trees begin.
    fn roots(&self) -> Vec<FutureId> {
        let all = || self.tasks.iter().map(|task| task.id);
        all().filter(|id| !self.needed_by.contains_key(id)).chain(all()).collect()
    }
}

/// How deep the tree of tasks is drawn; what is below begins a tree of its own.
const DEEPEST: usize = 24;

impl fmt::Display for TaskGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = HashSet::new();
        for root in self.roots() {
            let mut next = vec![(root, 0)];
            while let Some((id, depth)) = next.pop() {
                let Some(task) = self.get(id) else { continue };
                if depth > 0 && told.contains(&id) {
                    writeln!(f, "{:1$}{2} (see above)", "", depth * 4, task.name)?;
                }
                if depth > DEEPEST || !told.insert(id) {
                    continue;
                }
                self.tell(f, task, depth * 4)?;
                next.extend(task.needs.iter().rev().map(|needed| (*needed, depth + 1)));
            }
        }
        for circle in self.circles() {
            let names: Vec<_> =
                circle.iter().chain(circle.first()).map(|id| self.name(*id)).collect();
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
                    write!(f, ", which {} has", self.name(holder))?;
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

/// A task, the calls on its stack, and the tasks that wait for it, with theirs
/// (`asyncio.FutureCallGraph`). `Display` is `asyncio.format_call_graph`.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct CallGraph {
    /// The task.
    pub task: TaskNode,
    /// Who needs it. A task that was told of already is left out.
    pub awaited_by: Vec<CallGraph>,
}

/// The calls that led to where a task is, across the tasks that wait for it
/// (`asyncio.capture_call_graph`); `None` if it has ended.
///
/// ```
/// use stackio::{graph, spawn};
///
/// fn inner() -> stackio::Result<String> {
///     let here = stackio::current_task().unwrap();
///     Ok(graph::capture_call_graph(&here).unwrap().to_string())
/// }
///
/// stackio::run(|| {
///     let text = spawn(|| spawn(inner).join()).join()?;
///     assert!(text.starts_with("* Task-3"));
///     assert!(text.contains("* Task-2"));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[doc(alias = "format_call_graph")]
pub fn capture_call_graph(task: &AnyTask) -> Option<CallGraph> {
    let tasks = unfinished(&task.0.core().scheduler);
    let outline = TaskGraph::of(&tasks, false);
    let place = *outline.places.get(&task.id())?;
    let mut told = HashSet::from([place]);
    Some(outline.upwards(&tasks, place, &mut told, DEEPEST))
}

/// Prints the calls that led to the current task, or to another one, on standard
/// output (`asyncio.print_call_graph`). Nothing is printed if there is no such task.
///
/// ```
/// stackio::run(|| {
///     stackio::graph::print_call_graph(None);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub fn print_call_graph<'a>(task: impl Into<Option<&'a AnyTask>>) {
    let task = task.into().cloned().or_else(current_task);
    if let Some(graph) = task.and_then(|task| capture_call_graph(&task)) {
        print!("{graph}");
    }
}

impl TaskGraph {
    fn upwards(
        &self,
        tasks: &[Rc<dyn TaskObject>],
        place: usize,
        told: &mut HashSet<usize>,
        left: usize,
    ) -> CallGraph {
        let task = TaskNode::of(&tasks[place], true);
        let mut awaited_by = Vec::new();
        for above in self.awaited_by(task.id) {
            let place = self.places[&above];
            if left > 0 && told.insert(place) {
                awaited_by.push(self.upwards(tasks, place, told, left - 1));
            }
        }
        CallGraph { task, awaited_by }
    }
}

impl CallGraph {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
        writeln!(f, "{:indent$}* {}", "", self.task.name)?;
        write_stack(f, &self.task, indent)?;
        if !self.awaited_by.is_empty() {
            writeln!(f, "{:indent$}  + awaited by:", "")?;
        }
        self.awaited_by.iter().try_for_each(|above| above.write(f, indent + 4))
    }
}

impl fmt::Display for CallGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}
