//! Looking changes nothing: whatever happens, happens in the same order.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;

use proptest::prelude::*;
use stackio::{
    FlowEvent, Generator, Instrument, Lock, Queue, Result, Runner, TaskBuilder, VirtualClock,
    Yielder, gather, graph, millis, shield, sleep, spawn, task_group, timeout, yield_now,
};

/// Writes down every event, and looks at everything at some of them.
#[derive(Default)]
struct Watcher {
    trace: RefCell<Vec<String>>,
    /// The numbers of the events at which it looks.
    looks: Vec<usize>,
    looked: Cell<usize>,
}

impl Instrument for Watcher {
    fn event(&self, event: &FlowEvent<'_>) {
        // The selector is asked more often if an iteration takes long, and looking does.
        if matches!(event, FlowEvent::Select { .. } | FlowEvent::Selected { .. }) {
            return;
        }
        let mut trace = self.trace.borrow_mut();
        trace.push(format!("{event:?}"));
        if !self.looks.contains(&trace.len()) {
            return;
        }
        drop(trace);
        let before = suspended_at();
        if let Ok(graph) = graph::capture() {
            // Told by every way that there is.
            let _ = (graph.to_string(), graph.cycles());
            for task in stackio::all_tasks() {
                drop(graph::capture_call_graph(&task));
            }
            self.looked.set(self.looked.get() + 1);
        }
        assert_eq!(before, suspended_at());
    }
}

fn suspended_at() -> Vec<String> {
    let tasks = stackio::all_tasks();
    tasks.iter().map(|task| format!("{} {:?}", task.name(), task.suspended_at())).collect()
}

/// What one task does.
#[derive(Clone, Copy, Debug)]
enum Op {
    Sleep(u64),
    Yield,
    Lock(u64),
    Put,
    Get,
    Gather(u64),
    Group(u64),
    Shield(u64),
    Generate(u64),
    Timeout(u64),
    CancelNext,
}

fn op() -> impl Strategy<Value = Op> {
    let time = 0..4_u64;
    prop_oneof![
        time.clone().prop_map(Op::Sleep),
        Just(Op::Yield),
        time.clone().prop_map(Op::Lock),
        Just(Op::Put),
        Just(Op::Get),
        time.clone().prop_map(Op::Gather),
        time.clone().prop_map(Op::Group),
        time.clone().prop_map(Op::Shield),
        time.clone().prop_map(Op::Generate),
        time.prop_map(Op::Timeout),
        Just(Op::CancelNext),
    ]
}

/// What the tasks share.
struct Shared {
    lock: Lock,
    queue: Queue<u64>,
    tasks: RefCell<Vec<stackio::AnyTask>>,
}

fn perform(op: Op, place: usize, shared: &Shared) -> Result {
    match op {
        Op::Sleep(n) => sleep(millis(n)),
        Op::Yield => yield_now(),
        Op::Lock(n) => {
            let _guard = shared.lock.lock()?;
            sleep(millis(n))
        }
        Op::Put => shared.queue.put(1),
        Op::Get => timeout(millis(3), |_| shared.queue.get().map(drop)),
        Op::Gather(n) => {
            gather([spawn(move || sleep(millis(n))), spawn(yield_now)]).wait().map(drop)
        }
        Op::Group(n) => task_group(|group| {
            group.spawn(move || sleep(millis(n)));
            group.spawn(yield_now);
            Ok(())
        }),
        Op::Shield(n) => shield(&spawn(move || sleep(millis(n)))).wait(),
        Op::Generate(n) => {
            let numbers = Generator::new(move |co: &Yielder<(), u64>| {
                sleep(millis(n))?;
                co.yield_(n)
            });
            for number in &numbers {
                number?;
            }
            Ok(())
        }
        Op::Timeout(n) => timeout(millis(n), |_| sleep(millis(2))),
        Op::CancelNext => {
            let next = shared.tasks.borrow().get(place + 1).cloned();
            if let Some(next) = next {
                next.cancel();
            }
            Ok(())
        }
    }
}

/// The trace of a program, and how often it was looked at. Each has a thread, on which all
/// numbers begin anew.
fn trace(program: Vec<Vec<Op>>, looks: Vec<usize>) -> (Vec<String>, usize) {
    let played = thread::spawn(move || {
        let watcher = Rc::new(Watcher { looks, ..Watcher::default() });
        let runner = Runner::builder().virtual_clock(&VirtualClock::new());
        let mut runner = runner.instrument(watcher.clone()).build().unwrap();
        let main = move || {
            let (lock, queue, tasks) = (Lock::new(), Queue::new(2), RefCell::default());
            let shared = Rc::new(Shared { lock, queue, tasks });
            let mut all = Vec::new();
            for (place, ops) in program.into_iter().enumerate() {
                let used = shared.clone();
                let task = TaskBuilder::new().eager(place % 3 == 2).spawn(move || {
                    // A cancellation ends the operation, not the task.
                    Ok(ops.iter().map(|op| perform(*op, place, &used).is_ok()).collect::<Vec<_>>())
                });
                shared.tasks.borrow_mut().push(task.erase());
                all.push(task);
            }
            Ok(gather_results(all))
        };
        let ended = runner.run(main);
        watcher.trace.borrow_mut().push(format!("{:?}", ended.map_err(|error| error.kind())));
        drop(runner);
        (watcher.trace.take(), watcher.looked.get())
    });
    played.join().unwrap()
}

fn gather_results(tasks: Vec<stackio::Task<Vec<bool>>>) -> Vec<String> {
    tasks.into_iter().map(|task| format!("{:?}", task.join().map_err(|e| e.kind()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whoever_looks_at_any_moment_changes_nothing(
        program in prop::collection::vec(prop::collection::vec(op(), 1..6), 1..6),
        looks in prop::collection::vec(1..120_usize, 1..5),
    ) {
        let (expected, _) = trace(program.clone(), Vec::new());
        let events = expected.len();
        // Somewhere within what happens.
        let looks = looks.into_iter().map(|look| 1 + look % events).collect();
        let (actual, _) = trace(program, looks);
        let mut both = expected.iter().zip(&actual);
        prop_assert_eq!(both.find(|(left, right)| left != right), None);
        prop_assert_eq!(expected.len(), actual.len());
    }
}

#[test]
fn a_watcher_can_look() {
    let program = vec![vec![Op::Lock(1), Op::Generate(1)]; 3];
    assert!(trace(program, vec![10, 20, 30]).1 == 3);
}
