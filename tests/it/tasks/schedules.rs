//! Random schedules of futures, tasks and cancellations: nothing is lost, nothing happens twice.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use proptest::prelude::*;
use stackio::{
    FlowEvent, Future, Instrument, Result, Runner, Task, VirtualClock, millis, sleep, spawn,
    timeout, yield_now,
};

use crate::support::Dropped;

const FUTURES: usize = 4;
const TASKS: usize = 5;

/// A step of a task's body.
#[derive(Clone, Copy, Debug)]
enum Step {
    Yield,
    Sleep(u64),
    Wait(usize),
    /// For a task made before this one, so that there are no circles.
    Join(usize),
    WaitFor(usize, u64),
}

/// What is done to them from outside.
#[derive(Clone, Copy, Debug)]
enum Action {
    Yield,
    Sleep(u64),
    Resolve(usize),
    Fail(usize),
    CancelFuture(usize),
    CancelTask(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Yield),
        (0..4_u64).prop_map(Step::Sleep),
        (0..FUTURES).prop_map(Step::Wait),
        (0..TASKS).prop_map(Step::Join),
        (0..FUTURES, 0..4_u64).prop_map(|(future, limit)| Step::WaitFor(future, limit)),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Yield),
        (0..4_u64).prop_map(Action::Sleep),
        (0..FUTURES).prop_map(Action::Resolve),
        (0..FUTURES).prop_map(Action::Fail),
        (0..FUTURES).prop_map(Action::CancelFuture),
        (0..TASKS).prop_map(Action::CancelTask),
    ]
}

/// Counts what happens to each task: resumptions, yields, ends.
#[derive(Default)]
struct Flow(RefCell<HashMap<u64, [u32; 3]>>);

impl Instrument for Flow {
    fn event(&self, event: &FlowEvent<'_>) {
        let (task, what) = match event {
            FlowEvent::Send { task } | FlowEvent::Throw { task, .. } => (task, 0),
            FlowEvent::Yield { task, .. } => (task, 1),
            FlowEvent::Return { task, .. } => (task, 2),
            _ => return,
        };
        let mut counts = self.0.borrow_mut();
        let counts = counts.entry(task.id.get()).or_default();
        counts[what] += 1;
        // A task goes in and out by turns, and nothing follows its end.
        assert_eq!(counts[0], counts[1] + counts[2] + u32::from(what == 0), "{event}");
        assert!(counts[2] == 0 || (what, counts[2]) == (2, 1), "{event}");
    }
}

/// What a run leaves: drops and ends of each task.
#[derive(Clone, Default)]
struct Counts {
    drops: Rc<RefCell<[u32; TASKS]>>,
    ends: Rc<RefCell<[u32; TASKS]>>,
}

#[derive(Clone)]
struct World {
    futures: Vec<Future<usize>>,
    tasks: Rc<RefCell<Vec<Task<usize>>>>,
    counts: Counts,
}

impl World {
    fn take(&self, step: Step, index: usize) -> Result<usize> {
        let check = |future: usize, value: Result<usize>| {
            assert!(value.is_err() || self.futures[future].done(), "woken for nothing");
            value.inspect(|&value| assert_eq!(value, future))
        };
        match step {
            Step::Yield => yield_now().map(|()| 0),
            Step::Sleep(time) => sleep(millis(time)).map(|()| 0),
            Step::Wait(future) => check(future, self.futures[future].wait()),
            Step::WaitFor(future, limit) => {
                let waited = timeout(millis(limit), |_| self.futures[future].wait());
                waited.or_else(|error| if error.is_timeout() { Ok(0) } else { Err(error) })
            }
            Step::Join(other) if other < index => {
                let task = self.tasks.borrow()[other].clone();
                task.wait()
            }
            Step::Join(_) => Ok(0),
        }
    }

    /// A task that takes the steps; it survives as many errors as `lives`.
    fn spawn(&self, index: usize, steps: Vec<Step>, lives: u32) -> Task<usize> {
        let world = self.clone();
        let drops = self.counts.drops.clone();
        let guard = Dropped(move || drops.borrow_mut()[index] += 1);
        let task = spawn(move || {
            let _guard = guard;
            let mut lives = lives;
            for step in steps {
                let taken = world.take(step, index);
                if taken.is_err() && lives == 0 {
                    return taken;
                }
                lives -= u32::from(taken.is_err());
            }
            Ok(index)
        });
        let ends = self.counts.ends.clone();
        task.add_done_callback(move |_| ends.borrow_mut()[index] += 1);
        task
    }

    fn act(&self, action: Action) -> Result {
        let task = |index: usize| self.tasks.borrow().get(index).cloned();
        match action {
            Action::Yield => yield_now(),
            Action::Sleep(time) => sleep(millis(time)),
            Action::Resolve(n) if !self.futures[n].done() => self.futures[n].set_result(n),
            Action::Fail(n) if !self.futures[n].done() => {
                self.futures[n].set_exception(stackio::ErrorKind::Value)
            }
            Action::CancelFuture(n) => {
                self.futures[n].cancel();
                Ok(())
            }
            Action::CancelTask(n) => {
                if let Some(task) = task(n) {
                    task.cancel();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

type Bodies = Vec<(Vec<Step>, u32)>;

fn play(bodies: Bodies, actions: Vec<Action>, counts: Counts) -> Result {
    let futures = (0..FUTURES).map(|_| Future::new()).collect();
    let world = World { futures, tasks: Rc::default(), counts };
    for (index, (steps, lives)) in bodies.into_iter().enumerate() {
        let task = world.spawn(index, steps, lives);
        world.tasks.borrow_mut().push(task);
    }
    for action in actions {
        world.act(action)?;
    }
    // Now nothing is in the way of anyone: a task that does not end has lost a wake-up.
    for n in 0..FUTURES {
        world.act(Action::Resolve(n))?;
    }
    let tasks = world.tasks.take();
    for task in &tasks {
        let _any_end = task.wait();
        assert!(task.done());
    }
    let waited = world.futures.iter().map(|future| future.exception());
    waited.for_each(drop);
    yield_now()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_wake_up_is_lost_or_doubled_and_every_task_ends_once(
        bodies in prop::collection::vec((prop::collection::vec(step(), 0..6), 0..3_u32), TASKS),
        actions in prop::collection::vec(action(), 0..16),
        budget in prop_oneof![Just(1_u32), Just(64)],
        eager in any::<bool>(),
    ) {
        let (flow, counts) = (Rc::new(Flow::default()), Counts::default());
        let mut runner = Runner::builder()
            .virtual_clock(&VirtualClock::new())
            .select_budget(budget)
            .eager(eager)
            .instrument(flow.clone())
            .build()
            .unwrap();
        let theirs = counts.clone();
        runner.run(move || play(bodies, actions, theirs)).unwrap();
        drop(runner);
        prop_assert_eq!(*counts.drops.borrow(), [1; TASKS]);
        prop_assert_eq!(*counts.ends.borrow(), [1; TASKS]);
        let flow = flow.0.borrow();
        // A task that was cancelled before its first step is resumed all the same, by a throw.
        prop_assert!(flow.values().all(|[resumed, yields, ends]| {
            *ends == 1 && *resumed == yields + 1
        }), "{:?}", flow);
    }
}
