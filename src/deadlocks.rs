//! Who waits for whom, and whether they wait in a cycle.
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
pub(crate) fn waits_of(task: &dyn TaskObject) -> Vec<Awaited> {
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

/// Cycles among those who need each other: at least one of each knot, and no two of
/// the same members. Each begins with its least number.
pub(crate) fn cycles(needs: &HashMap<FutureId, Vec<FutureId>>) -> Vec<Vec<FutureId>> {
    let (left, told, found) = (HashSet::new(), HashSet::new(), Vec::new());
    let mut search = Search { needs, left, told, room: 4 * needs.len(), found };
    let mut starts: Vec<_> = needs.keys().copied().collect();
    starts.sort_unstable();
    for start in starts {
        search.from(start);
    }
    search.found.sort();
    search.found.dedup();
    search.found
}

struct Search<'a> {
    needs: &'a HashMap<FutureId, Vec<FutureId>>,
    /// Those from whom every way has been gone.
    left: HashSet<FutureId>,
    /// Those who are in a cycle that was found.
    told: HashSet<FutureId>,
    /// A knot of many has far more cycles than anybody wants to see: for those that
    /// share members with others, so many places are left.
    room: usize,
    found: Vec<Vec<FutureId>>,
}

/// One on the way from the start to here.
struct Step {
    id: FutureId,
    /// How many branches were taken.
    branches: usize,
    /// How many from the start to here are told.
    told: usize,
}

impl Search<'_> {
    fn from(&mut self, start: FutureId) {
        let mut way: Vec<Step> = Vec::new();
        let mut on_way: HashMap<FutureId, usize> = HashMap::new();
        let mut enter = (!self.left.contains(&start)).then_some(start);
        loop {
            if let Some(id) = enter.take() {
                on_way.insert(id, way.len());
                let told = way.last().map_or(0, |before| before.told);
                way.push(Step {
                    id,
                    branches: 0,
                    told: told + usize::from(self.told.contains(&id)),
                });
            }
            let Some(step) = way.last_mut() else { break };
            let next = self.needs.get(&step.id).and_then(|needs| needs.get(step.branches)).copied();
            let Some(next) = next else {
                self.left.insert(step.id);
                on_way.remove(&step.id);
                way.pop();
                continue;
            };
            step.branches += 1;
            if let Some(&from) = on_way.get(&next) {
                self.tell(&mut way, from);
            } else if self.needs.contains_key(&next) && !self.left.contains(&next) {
                enter = Some(next);
            }
        }
    }

    /// The way from there to its end is a cycle. One without anybody who was told of
    /// is always told: it may be the only one of its knot.
    fn tell(&mut self, way: &mut [Step], from: usize) {
        let told_before = from.checked_sub(1).map_or(0, |before| way[before].told);
        let cycle = &mut way[from..];
        let (first, last) = (&cycle[0], &cycle[cycle.len() - 1]);
        let is_new = last.told == told_before;
        let is_known = self.told.contains(&first.id) && self.told.contains(&last.id);
        if !is_new && (is_known || cycle.len() > self.room) {
            return;
        }
        if !is_new {
            self.room -= cycle.len();
        }
        for (step, told) in cycle.iter_mut().zip(told_before + 1..) {
            step.told = told;
            self.told.insert(step.id);
        }
        self.found.push(from_least(cycle.iter().map(|step| step.id).collect()));
    }
}

fn from_least(mut cycle: Vec<FutureId>) -> Vec<FutureId> {
    let least = cycle.iter().enumerate().min_by_key(|(_, id)| **id).map_or(0, |(at, _)| at);
    cycle.rotate_left(least);
    cycle
}

/// The error that says who waits for whom, when nobody can ever go on.
pub(crate) fn deadlock(scheduler: &Rc<Scheduler>) -> Error {
    let mut text = String::from("deadlock: nothing is ready and no timer is set");
    let tasks = unfinished(scheduler);
    let names: HashMap<_, _> =
        tasks.iter().map(|task| (task.core().id(), task.task().title())).collect();
    let name = |id: &FutureId| names.get(id).map_or(GONE, String::as_str);
    let needs = |task: &Rc<dyn TaskObject>| needed_among(&waits_of(&**task));
    let needs = tasks.iter().map(|task| (task.core().id(), needs(task))).collect();
    for cycle in cycles(&needs) {
        let cycle: Vec<_> = cycle.iter().chain(cycle.first()).map(name).collect();
        // Writing into a string cannot fail.
        let _ = write!(text, "; a cycle: {}", cycle.join(" -> "));
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
        let cycles = cycles(&needs).into_iter();
        cycles.map(|cycle| cycle.into_iter().map(FutureId::get).collect()).collect()
    }

    #[test]
    fn a_chain_and_a_diamond_are_no_cycles() {
        assert!(found(&[(1, &[2]), (2, &[3]), (3, &[])]).is_empty());
        assert!(found(&[(1, &[2, 3]), (2, &[4]), (3, &[4]), (4, &[])]).is_empty());
        assert!(found(&[(1, &[9])]).is_empty());
    }

    #[test]
    fn a_cycle_is_found_from_wherever_one_comes() {
        assert_eq!(found(&[(1, &[3]), (2, &[3]), (3, &[4]), (4, &[2])]), [[2, 3, 4]]);
        assert_eq!(found(&[(5, &[5])]), [[5]]);
    }

    #[test]
    fn two_cycles_are_two() {
        let needs: &[(u64, &[u64])] = &[(1, &[2]), (2, &[1, 3]), (3, &[4]), (4, &[3])];
        assert_eq!(found(needs), [[1, 2], [3, 4]]);
    }

    #[test]
    fn a_knot_is_told_in_proportion_to_its_size() {
        // Each waits for the first one and for the next one.
        let many = 20_000;
        let needs = |n| vec![FutureId(0), FutureId((n + 1) % many)];
        let told = cycles(&(0..many).map(|n| (FutureId(n), needs(n))).collect());
        assert!(!told.is_empty());
        assert!(told.iter().map(Vec::len).sum::<usize>() <= 80_000);
    }

    #[test]
    fn a_knot_that_takes_all_the_room_leaves_the_next_one_its_cycle() {
        let many = 1_000;
        let mut needs: HashMap<_, _> =
            (0..many).map(|n| (FutureId(n), vec![FutureId(0), FutureId((n + 1) % many)])).collect();
        let (a, b) = (FutureId(many), FutureId(many + 1));
        needs.insert(a, vec![b]);
        needs.insert(b, vec![a]);
        assert!(cycles(&needs).contains(&vec![a, b]));
    }

    #[test]
    fn a_very_long_cycle_needs_no_stack() {
        let needs = (0..100_000).map(|n| (FutureId(n), vec![FutureId((n + 1) % 100_000)]));
        assert_eq!(cycles(&needs.collect())[0].len(), 100_000);
    }
}
