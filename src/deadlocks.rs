//! Who waits for whom, and whether they wait in a circle.
//!
//! A task waits for one future. Behind that may be other futures, of which a gather
//! or a group has several; some are tasks, and some stand for a lock that a task
//! holds. Following them gives the tasks that a task needs before it can go on.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::rc::Rc;

use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind};
use crate::future_core::AnyFuture;
use crate::instruments::FutureId;
use crate::task_core::{TaskObject, task_core, unfinished};

/// How many tasks the message of a deadlock names.
const TASKS_TOLD: usize = 50;

/// Who holds something though its task is not there any more.
pub(crate) const GONE: &str = "a task that has ended";

/// A future that a task waits for, and what is behind it.
pub(crate) struct Awaited {
    pub(crate) future: Rc<dyn AnyFuture>,
    /// How many futures it is away from the task.
    pub(crate) depth: usize,
}

/// Everything unfinished that the task waits for, outermost first, each once. What
/// is behind another task is left to that one.
pub(crate) fn awaited_by(task: &dyn TaskObject) -> Vec<Awaited> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let first = task.task().waits_for();
    let mut next: Vec<_> = first.into_iter().map(|future| Awaited { future, depth: 0 }).collect();
    while let Some(awaited) = next.pop() {
        if awaited.future.core().is_done() || !seen.insert(awaited.future.core().id()) {
            continue;
        }
        if task_core(&*awaited.future).is_none() {
            let depth = awaited.depth + 1;
            let behind = awaited.future.awaits().into_iter().rev();
            next.extend(behind.map(|future| Awaited { future, depth }));
        }
        found.push(awaited);
    }
    found
}

/// The tasks among them, and those that hold what is waited for.
pub(crate) fn needed_among(awaited: &[Awaited]) -> Vec<FutureId> {
    let mut needed = Vec::new();
    for Awaited { future, .. } in awaited {
        let id = task_core(&**future).map(|_| future.core().id());
        needed.extend(id.or(future.holder()));
    }
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// Circles among those who need each other: at least one of each knot, and each with
/// somebody who is in no other. Each begins with its least number.
pub(crate) fn circles(needs: &HashMap<FutureId, Vec<FutureId>>) -> Vec<Vec<FutureId>> {
    let mut circles = Vec::new();
    let mut left = HashSet::new();
    let mut told = HashSet::new();
    // Enough for each to be in some circles, and no more than is in proportion.
    let mut room = 4 * needs.len();
    let mut starts: Vec<_> = needs.keys().copied().collect();
    starts.sort_unstable();
    for start in starts {
        // The way from the start to here, with how many branches were taken at each.
        let mut way: Vec<(FutureId, usize)> = Vec::new();
        let mut on_way: HashMap<FutureId, usize> = HashMap::new();
        let mut enter = (!left.contains(&start)).then_some(start);
        loop {
            if let Some(id) = enter.take() {
                on_way.insert(id, way.len());
                way.push((id, 0));
            }
            let Some((id, branch)) = way.last_mut() else { break };
            let Some(next) = needs.get(id).and_then(|needs| needs.get(*branch)).copied() else {
                left.insert(*id);
                on_way.remove(id);
                way.pop();
                continue;
            };
            *branch += 1;
            if let Some(&from) = on_way.get(&next) {
                // A knot of many has far more circles than anybody wants to see.
                let known = told.contains(id) && told.contains(&next);
                let length = way.len() - from;
                if !known && length <= room {
                    room -= length;
                    let circle: Vec<_> = way[from..].iter().map(|(id, _)| *id).collect();
                    told.extend(circle.iter().copied());
                    circles.push(from_least(circle));
                }
            } else if needs.contains_key(&next) && !left.contains(&next) {
                enter = Some(next);
            }
        }
    }
    circles.sort();
    circles.dedup();
    circles
}

fn from_least(mut circle: Vec<FutureId>) -> Vec<FutureId> {
    let least = circle.iter().enumerate().min_by_key(|(_, id)| **id).map_or(0, |(at, _)| at);
    circle.rotate_left(least);
    circle
}

/// The error that says who waits for whom, when nobody can ever go on.
pub(crate) fn deadlock(scheduler: &Rc<Scheduler>) -> Error {
    let mut text = String::from("deadlock: nothing is ready and no timer is set");
    let tasks = unfinished(scheduler);
    let names: HashMap<_, _> =
        tasks.iter().map(|task| (task.core().id(), task.task().title())).collect();
    let name = |id: &FutureId| names.get(id).map_or(GONE, String::as_str);
    let needs = |task: &Rc<dyn TaskObject>| needed_among(&awaited_by(&**task));
    let needs = tasks.iter().map(|task| (task.core().id(), needs(task))).collect();
    for circle in circles(&needs) {
        let circle: Vec<_> = circle.iter().chain(circle.first()).map(name).collect();
        // Writing into a string cannot fail.
        let _ = write!(text, "; a circle: {}", circle.join(" -> "));
    }
    for task in tasks.iter().take(TASKS_TOLD) {
        let waits = task.task().waits_for();
        let holder = waits.as_ref().and_then(|future| future.holder());
        let label = waits.map_or_else(|| "nothing".to_owned(), |future| future.label());
        let _ = write!(text, "; {} waits for {label}", task.task().title());
        if let Some(holder) = holder {
            let _ = write!(text, ", held by {},", name(&holder));
        }
        if let Some(place) = task.task().coroutine.suspended_at.get() {
            let _ = write!(text, " at {place}");
        }
    }
    if tasks.len() > TASKS_TOLD {
        let _ = write!(text, "; and {} more tasks", tasks.len() - TASKS_TOLD);
    }
    Error::text(ErrorKind::Deadlock, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(needs: &[(u64, &[u64])]) -> Vec<Vec<u64>> {
        let ids = |ids: &[u64]| ids.iter().map(|id| FutureId(*id)).collect();
        let needs = needs.iter().map(|(id, needs)| (FutureId(*id), ids(needs))).collect();
        let circles = circles(&needs).into_iter();
        circles.map(|circle| circle.into_iter().map(FutureId::get).collect()).collect()
    }

    #[test]
    fn a_chain_and_a_diamond_are_no_circles() {
        assert!(found(&[(1, &[2]), (2, &[3]), (3, &[])]).is_empty());
        assert!(found(&[(1, &[2, 3]), (2, &[4]), (3, &[4]), (4, &[])]).is_empty());
        assert!(found(&[(1, &[9])]).is_empty());
    }

    #[test]
    fn a_circle_is_found_from_wherever_one_comes() {
        assert_eq!(found(&[(1, &[3]), (2, &[3]), (3, &[4]), (4, &[2])]), [[2, 3, 4]]);
        assert_eq!(found(&[(5, &[5])]), [[5]]);
    }

    #[test]
    fn two_circles_are_two() {
        let needs: &[(u64, &[u64])] = &[(1, &[2]), (2, &[1, 3]), (3, &[4]), (4, &[3])];
        assert_eq!(found(needs), [[1, 2], [3, 4]]);
    }

    #[test]
    fn a_knot_is_told_in_proportion_to_its_size() {
        // Each waits for the first one and for the next one.
        let many = 20_000;
        let needs = |n| vec![FutureId(0), FutureId((n + 1) % many)];
        let told = circles(&(0..many).map(|n| (FutureId(n), needs(n))).collect());
        assert!(!told.is_empty());
        assert!(told.iter().map(Vec::len).sum::<usize>() <= 80_000);
    }

    #[test]
    fn a_very_long_circle_needs_no_stack() {
        let needs = (0..100_000).map(|n| (FutureId(n), vec![FutureId((n + 1) % 100_000)]));
        assert_eq!(circles(&needs.collect())[0].len(), 100_000);
    }
}
