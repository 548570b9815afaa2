//! Who waits for whom: what is waited for has a name, and cycles are found.
//!
//! Below: `waits` is the name of each thing one can wait for, `stacks` is the calls on the stacks
//! of tasks, and `harmless` shows that looking changes nothing.

mod harmless;
#[cfg(feature = "inspect")]
mod stacks;
mod waits;

use std::cell::RefCell;
use std::rc::Rc;

use stackio::graph::{self, TaskGraph, TaskState};
use stackio::{
    ErrorKind, Future, Lock, Result, Runner, Task, TaskBuilder, VirtualClock, call_soon, gather,
    get_running_loop, millis, sleep, spawn, yield_now,
};

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

#[track_caller]
fn named<T: 'static>(name: &str, body: impl FnOnce() -> Result<T> + 'static) -> Task<T> {
    TaskBuilder::new().name(name).spawn(body)
}

fn names(graph: &TaskGraph, ids: &[stackio::FutureId]) -> Vec<String> {
    ids.iter().map(|id| graph.get(*id).unwrap().name.clone()).collect()
}

#[test]
fn a_task_is_created_running_ready_or_waiting() {
    run(|| {
        spawn(|| sleep(millis(1)));
        spawn(|| yield_now().and_then(|()| yield_now()));
        yield_now()?;
        spawn(yield_now);
        let graph = graph::outline()?;
        let states: Vec<_> = graph.tasks().iter().map(|task| task.state).collect();
        let expected =
            [TaskState::Running, TaskState::Waiting, TaskState::Ready, TaskState::Created];
        assert_eq!(states, expected);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_parent_that_runs_an_eager_child_is_running() {
    run(|| {
        let child = TaskBuilder::new().eager(true).spawn(|| {
            let graph = graph::outline()?;
            assert!(graph.tasks().iter().all(|task| task.state == TaskState::Running));
            Ok(graph.tasks().len())
        });
        assert_eq!(child.join()?, 2);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_graph_can_be_made_in_a_callback_and_between_two_runs() {
    let mut runner = Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
    let left = runner
        .run(|| {
            let left = named("left", || sleep(millis(5)));
            let counted = Future::new();
            let count = counted.clone();
            call_soon(move || count.set_result(graph::capture()?.tasks().len()));
            assert_eq!(counted.wait()?, 2);
            Ok(left)
        })
        .unwrap();
    assert_eq!(graph::capture().unwrap_err().kind(), ErrorKind::Runtime);
    let graph = runner.event_loop().task_graph();
    assert_eq!(graph.tasks().len(), 1);
    assert_eq!(graph.find("left").unwrap().waits_for[0].title, "a timer");
    runner.run(move || left.join()).unwrap();
}

#[test]
fn places_are_known_in_any_build() {
    run(|| {
        let spawned = line!() + 1;
        let task = named("sleeper", || {
            sleep(millis(1)) //
        });
        yield_now()?;
        let graph = graph::capture()?;
        let node = graph.find("sleeper").unwrap();
        assert_eq!((node.created_at.file(), node.created_at.line()), (file!(), spawned));
        assert_eq!(node.suspended_at.map(|place| place.line()), Some(spawned + 1));
        let text = graph.to_string();
        assert!(text.contains("sleeper waits for a timer\n"), "{text}");
        let place = format!("at {}:{}", file!(), spawned + 1);
        assert!(text.contains(&place), "{place} in {text}");
        task.join()
    })
    .unwrap();
}

/// Two who take two locks in two orders, and do not get on.
fn two_locks() -> (Task<()>, Task<()>) {
    let (pen, paper) = (Rc::new(Lock::new()), Rc::new(Lock::new()));
    let takes = |name, first: Rc<Lock>, second: Rc<Lock>| {
        named(name, move || {
            let _first = first.lock()?;
            sleep(millis(1))?;
            let _second = second.lock()?;
            Ok(())
        })
    };
    (takes("ann", pen.clone(), paper.clone()), takes("bob", paper, pen))
}

#[test]
fn two_locks_in_two_orders_are_a_cycle() {
    run(|| {
        let (ann, bob) = two_locks();
        sleep(millis(2))?;
        let graph = graph::capture()?;
        let cycles = graph.cycles();
        assert_eq!(cycles.len(), 1);
        assert_eq!(names(&graph, &cycles[0]), ["ann", "bob"]);
        assert_eq!(graph.find("ann").unwrap().waits_for[0].holder, Some(bob.id()));
        assert_eq!(graph.awaited_by(ann.id()), [bob.id()]);
        let text = graph.to_string();
        assert!(text.ends_with("deadlock: ann -> bob -> ann\n"), "{text}");
        assert!(text.contains(", held by bob\n"), "{text}");
        ann.cancel();
        bob.join()
    })
    .unwrap();
}

#[test]
fn the_error_of_a_deadlock_names_cycle_lock_and_holder() {
    let error = run(|| two_locks().0.join()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    let text = error.to_string();
    assert!(text.contains("; a cycle: ann -> bob -> ann;"), "{text}");
    let waits = text.split("; ").find(|part| part.starts_with("ann waits")).unwrap();
    assert!(waits.starts_with("ann waits for lock #"), "{waits}");
    assert!(waits.contains(&format!(", held by bob, at {}:", file!())), "{waits}");
    assert!(text.contains("; Task-1 waits for task ann at "), "{text}");
}

#[test]
fn two_tasks_that_wait_for_each_other_are_a_cycle() {
    run(|| {
        let first: Rc<RefCell<Option<Task<()>>>> = Rc::default();
        let other = first.clone();
        let b = named("b", move || {
            let a = other.borrow().clone();
            a.map_or(Ok(()), |a| a.wait())
        });
        let waited = b.clone();
        let a = named("a", move || waited.wait());
        *first.borrow_mut() = Some(a.clone());
        yield_now()?;
        let graph = graph::outline()?;
        assert_eq!(names(&graph, &graph.cycles()[0]), ["b", "a"]);
        // A request to cancel would go round; the loop ends them when it is closed.
        drop(a);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_cycle_may_go_through_a_gather_and_a_lock() {
    run(|| {
        let lock = Rc::new(Lock::new());
        let wanted = lock.clone();
        let has = named("has", move || {
            let _guard = lock.lock()?;
            let wants = named("wants", move || wanted.lock().map(drop));
            gather([wants, named("other", || sleep(millis(50)))]).wait().map(drop)
        });
        yield_now()?;
        yield_now()?;
        let graph = graph::outline()?;
        assert_eq!(graph.cycles().len(), 1, "{graph}");
        assert_eq!(names(&graph, &graph.cycles()[0]), ["has", "wants"]);
        has.cancel();
        Ok(())
    })
    .unwrap();
}

#[test]
fn who_takes_a_lock_twice_waits_for_itself() {
    run(|| {
        let lock = Lock::new();
        let twice = named("twice", move || {
            let _once = lock.lock()?;
            lock.lock().map(drop)
        });
        yield_now()?;
        let graph = graph::outline()?;
        assert_eq!(names(&graph, &graph.cycles()[0]), ["twice"]);
        assert!(graph.to_string().contains("deadlock: twice -> twice"), "{graph}");
        twice.cancel();
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_lock_whose_task_has_ended_is_held_by_a_task_that_has_ended() {
    let error = run(|| {
        let lock = Rc::new(Lock::new());
        let kept = lock.clone();
        spawn(move || kept.acquire()).join()?;
        lock.lock().map(drop)
    });
    let text = error.unwrap_err().to_string();
    assert!(text.contains(", held by a task that has ended,"), "{text}");
}

#[test]
fn a_call_graph_goes_up_from_a_future_that_is_no_task() {
    run(|| {
        let made = line!() + 1;
        let future: Future<()> = Future::new();
        let (first, second) = (future.clone(), future.clone());
        let direct = named("direct", move || first.wait());
        let gathers = named("gathers", move || gather([second]).wait().map(drop));
        let waited = gathers.clone();
        let above = named("above", move || waited.wait());
        yield_now()?;
        named("apart", || sleep(millis(1)));
        let calls = graph::capture_call_graph(&future).unwrap();
        assert_eq!((calls.id, calls.created_at.line()), (future.id(), made));
        assert_eq!(calls.title, format!("future {}", future.id()));
        assert_eq!(names(&calls.tasks, calls.tasks.awaited_by(calls.id)), ["direct", "gathers"]);
        assert_eq!(calls.tasks.awaited_by(gathers.id()), [above.id()]);
        assert_eq!(calls.tasks.tasks().len(), 3, "{calls}");
        let lines: Vec<_> = calls.limit(0).to_string().lines().map(str::to_owned).collect();
        let tasks: Vec<_> = lines.iter().filter(|line| line.contains("* ")).collect();
        let first = format!("* future {}", future.id());
        assert_eq!(
            tasks,
            [first.as_str(), "    * task direct", "    * task gathers", "        * task above"]
        );
        assert!(lines[1].starts_with(&format!("  | made at {}:{made}:", file!())), "{lines:?}");
        future.set_result(())?;
        assert!(graph::capture_call_graph(&future).is_none());
        direct.join()?;
        above.join()
    })
    .unwrap();
}

#[test]
fn a_call_graph_of_nothing_is_nothing() {
    assert!(graph::capture_call_graph(None).is_none());
    run(|| {
        let ended = spawn(|| Ok(()));
        ended.wait()?;
        assert!(graph::capture_call_graph(&ended).is_none());
        assert!(graph::capture_call_graph(&ended.erase()).is_none());
        Ok(())
    })
    .unwrap();
}

/// Tasks of which each waits for the one before; the first sleeps.
fn chain(length: usize) -> Vec<Task<()>> {
    let mut tasks = vec![spawn(|| sleep(millis(1)))];
    for _ in 1..length {
        let before = tasks[tasks.len() - 1].clone();
        tasks.push(spawn(move || before.wait()));
    }
    tasks
}

#[test]
fn a_long_chain_is_told_to_its_end() {
    run(|| {
        let tasks = chain(2000);
        yield_now()?;
        let calls = graph::capture_call_graph(&tasks[0]).unwrap();
        assert_eq!(calls.tasks.tasks().len(), 2000);
        let text = calls.to_string();
        assert_eq!(text.lines().filter(|line| line.contains("* task ")).count(), 2000);
        assert!(text.len() < 2000 * 1500, "{}", text.len());
        let text = graph::outline()?.to_string();
        assert_eq!(text.lines().filter(|line| line.contains(" waits for ")).count(), 2000);
        tasks[1999].wait()
    })
    .unwrap();
}

#[test]
fn a_crowd_is_drawn_in_proportion() {
    let length = |count: usize| {
        run(move || {
            let tasks: Vec<_> = (0..count).map(|_| spawn(|| sleep(millis(1)))).collect();
            let all = spawn(move || gather(tasks).wait().map(drop));
            yield_now()?;
            let graph = get_running_loop()?.task_outline();
            assert_eq!(graph.tasks().len(), count + 2);
            assert_eq!(graph.find(&all.name()).unwrap().needs.len(), count);
            assert!(graph.cycles().is_empty());
            all.join()?;
            Ok(graph.to_string().lines().count())
        })
        .unwrap()
    };
    assert_eq!(length(20_000), 2 * 20_000 + 4);
}
