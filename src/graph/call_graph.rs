//! The calls that led to a future, across the tasks that wait for it.

use std::collections::HashSet;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use super::{TaskGraph, indent, write_stack};
use crate::future_core::AnyFuture;
use crate::futures::Future;
use crate::instruments::FutureId;
use crate::task_core::unfinished;
use crate::tasks::{AnyTask, Task, current_task};
use crate::traces::Names;

/// A future or task, and the calls of the tasks that wait for it
/// (`asyncio.FutureCallGraph`). `Display` is `asyncio.format_call_graph`; to write it
/// elsewhere than `print_call_graph` does is `write!(file, "{graph}")`.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct CallGraph {
    /// The number of the future or task.
    pub id: FutureId,
    /// What it is: `task reader`, `future #12`, `gather #14`.
    pub title: String,
    /// Where it was made.
    pub created_at: &'static Location<'static>,
    /// The task, if it is one, and all that wait for it, directly or through others:
    /// [`tasks.awaited_by(id)`](TaskGraph::awaited_by) are the next ones up.
    pub tasks: TaskGraph,
}

/// What a call graph is made of: a reference to a [`Future`], a [`Task`] or an
/// [`AnyTask`]. `None` is the task that is running.
pub struct Target(Option<Rc<dyn AnyFuture>>);

impl From<Option<AnyTask>> for Target {
    fn from(task: Option<AnyTask>) -> Target {
        Target(task.or_else(current_task).map(|task| task.0))
    }
}

impl From<&AnyTask> for Target {
    fn from(task: &AnyTask) -> Target {
        Target(Some(task.0.clone()))
    }
}

impl<T> From<&Task<T>> for Target {
    fn from(task: &Task<T>) -> Target {
        Target(Some(task.erased()))
    }
}

impl<T> From<&Future<T>> for Target {
    fn from(future: &Future<T>) -> Target {
        Target(Some(future.erased()))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.0.as_ref().map(|future| future.title())).finish()
    }
}

/// The calls that led to where a task is, or to a future, across the tasks that wait
/// for it (`asyncio.capture_call_graph`). `None` if it is done, and for the current
/// task if there is none.
///
/// ```
/// use stackio::{graph, spawn};
///
/// fn inner() -> stackio::Result<String> {
///     Ok(graph::capture_call_graph(None).unwrap().to_string())
/// }
///
/// stackio::run(|| {
///     let text = spawn(|| spawn(inner).join()).join()?;
///     assert!(text.starts_with("* task Task-3"));
///     assert!(text.contains("* task Task-2"));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[doc(alias = "format_call_graph")]
pub fn capture_call_graph(future: impl Into<Target>) -> Option<CallGraph> {
    let future = future.into().0.filter(|future| !future.core().is_done())?;
    let tasks = unfinished(&future.core().scheduler);
    let outline = TaskGraph::of(&tasks, None);
    let id = future.core().id();
    let mut led_here = HashSet::from([id]);
    let mut next = vec![id];
    while let Some(id) = next.pop() {
        next.extend(outline.awaited_by(id).iter().filter(|above| led_here.insert(**above)));
    }
    let tasks: Vec<_> =
        tasks.into_iter().filter(|task| led_here.contains(&task.core().id())).collect();
    Some(CallGraph {
        id,
        title: future.title(),
        created_at: future.core().created_at,
        tasks: TaskGraph::of(&tasks, Some(&mut Names::new())),
    })
}

/// Prints the calls that led to a future or task, `None` being the one that is running,
/// on standard output (`asyncio.print_call_graph`). Nothing is printed if it is done.
///
/// ```
/// stackio::run(|| {
///     stackio::graph::print_call_graph(None);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub fn print_call_graph(future: impl Into<Target>) {
    if let Some(graph) = capture_call_graph(future) {
        print!("{graph}");
    }
}

impl CallGraph {
    /// The same with at most that many calls of each task, the innermost ones (the
    /// argument `limit` of `asyncio.capture_call_graph`).
    ///
    /// ```
    /// stackio::run(|| {
    ///     let graph = stackio::graph::capture_call_graph(None).unwrap().limit(0);
    ///     assert!(graph.tasks.tasks()[0].stack.is_empty());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[must_use]
    pub fn limit(mut self, calls: usize) -> CallGraph {
        self.tasks.tasks.iter_mut().for_each(|task| task.stack.truncate(calls));
        self
    }
}

impl fmt::Display for CallGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = HashSet::new();
        let mut next = vec![(self.id, 0)];
        while let Some((id, depth)) = next.pop() {
            let above = self.tasks.awaited_by(id);
            let task = self.tasks.get(id);
            let indent = indent(depth);
            match task {
                Some(task) => write!(f, "{:indent$}* task {}", "", task.name)?,
                None => write!(f, "{:indent$}* {}", "", self.title)?,
            }
            if !told.insert(id) {
                writeln!(f, " (see above)")?;
                continue;
            }
            writeln!(f)?;
            match task {
                Some(task) => write_stack(f, task, indent)?,
                None => writeln!(f, "{:indent$}  | made at {}", "", self.created_at)?,
            }
            if !above.is_empty() {
                writeln!(f, "{:indent$}  + awaited by:", "")?;
            }
            next.extend(above.iter().rev().map(|above| (*above, depth + 1)));
        }
        Ok(())
    }
}
