//! Cancellation: requests, messages, where they arrive, and that everything is dropped once.

use std::cell::Cell;
use std::rc::Rc;

use stackio::{
    Error, ErrorKind, Future, Queue, Result, Task, TaskBuilder, all_tasks, call_soon, current_task,
    gather, secs, shield, sleep, spawn, timeout, wait_for, yield_now,
};

use super::run;
use crate::children::{assert_played_well, is_child, play};
use crate::support::{Dropped, crowd};

fn counted(drops: &Rc<Cell<u32>>) -> Dropped<impl FnMut() + use<>> {
    let drops = drops.clone();
    Dropped(move || drops.set(drops.get() + 1))
}

#[test]
fn a_cancel_arrives_at_the_wait_with_its_message() {
    run(|| {
        let task = spawn(|| {
            let error = sleep(secs(60)).unwrap_err();
            assert_eq!(error.message(), Some("enough"));
            Err::<(), _>(error)
        });
        yield_now()?;
        assert!(task.cancel_with("enough"));
        let error = task.wait().unwrap_err();
        assert_eq!((error.is_cancelled(), error.message()), (true, Some("enough")));
        assert!(task.cancelled());
        assert!(!task.cancel(), "it has ended");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_task_cancelled_before_its_first_step_never_runs() {
    run(|| {
        let drops = Rc::new(Cell::new(0));
        let guard = counted(&drops);
        let task = spawn(move || -> Result {
            drop(guard);
            panic!("it does not run");
        });
        assert!(task.cancel_with("no"));
        assert_eq!(task.wait().unwrap_err().message(), Some("no"));
        assert_eq!(drops.get(), 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_a_task_that_never_ran_had_is_dropped_in_it() {
    run(|| {
        let seen = Rc::new(Cell::new(None));
        let sees = seen.clone();
        let guard = Dropped(move || sees.set(current_task().map(|task| task.name())));
        let task = TaskBuilder::new().name("victim").spawn(move || -> Result {
            drop(guard);
            Ok(())
        });
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
        assert_eq!(seen.take().as_deref(), Some("victim"));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_task_that_deals_with_its_cancellation_ends_well() {
    run(|| {
        let task = spawn(|| {
            assert!(sleep(secs(60)).unwrap_err().is_cancelled());
            sleep(secs(1))?;
            Ok(5)
        });
        yield_now()?;
        task.cancel();
        assert_eq!(task.wait()?, 5);
        assert!(!task.cancelled());
        Ok(())
    })
    .unwrap();
}

#[test]
fn requests_are_counted_and_taken_back() {
    run(|| {
        let task = spawn(|| sleep(secs(60)));
        assert_eq!((task.cancelling(), task.uncancel()), (0, 0));
        task.cancel();
        task.cancel();
        assert_eq!(task.cancelling(), 2);
        assert_eq!((task.uncancel(), task.uncancel(), task.uncancel()), (1, 0, 0));
        sleep(secs(1))?;
        assert!(!task.done(), "taken back before it was delivered");
        Ok(())
    })
    .unwrap();
}

#[test]
fn cancelling_a_waiter_cancels_the_future_it_waits_for() {
    run(|| {
        let future = Future::<()>::new();
        let waited = future.clone();
        let (first, other) = (spawn(move || waited.wait()), future.clone());
        let other = spawn(move || other.wait());
        yield_now()?;
        first.cancel();
        assert!(future.cancelled());
        assert!(first.join().unwrap_err().is_cancelled());
        assert!(other.join().unwrap_err().is_cancelled(), "all who wait for it are told");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_task_that_cancels_itself_meets_it_at_the_next_wait() {
    run(|| {
        let task = spawn(|| {
            current_task().unwrap().cancel_with("myself");
            let error = sleep(secs(1)).unwrap_err();
            assert_eq!(error.message(), Some("myself"));
            Ok(1)
        });
        assert_eq!(task.join()?, 1);
        let never_waits = spawn(|| {
            current_task().unwrap().cancel();
            Ok(1)
        });
        assert!(never_waits.wait().unwrap_err().is_cancelled(), "as in asyncio");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_cancel_that_comes_with_the_result_wins_and_the_result_is_dropped() {
    run(|| {
        let future = Future::new();
        let waited = future.clone();
        let task = spawn(move || waited.wait());
        yield_now()?;
        future.set_result(())?;
        assert!(task.cancel());
        assert!(task.join().unwrap_err().is_cancelled());
        assert!(!future.cancelled());
        Ok(())
    })
    .unwrap();
}

/// Two tasks, each of which waits for the other.
fn circle(drops: &Rc<Cell<u32>>) -> Result<[Task<()>; 2]> {
    let handover = Future::<Task<()>>::new();
    let (guards, first) = ([counted(drops), counted(drops)], handover.clone());
    let [one, two] = guards;
    let a = spawn(move || {
        let _guard = one;
        first.join()?.join()
    });
    let waited = a.clone();
    let b = spawn(move || {
        let _guard = two;
        waited.join()
    });
    handover.set_result(b.clone())?;
    for _ in 0..3 {
        yield_now()?;
    }
    Ok([a, b])
}

#[test]
fn cancelling_a_circle_of_tasks_does_not_hang() {
    if !is_child() {
        return assert_played_well(&play());
    }
    let drops = Rc::new(Cell::new(0));
    let dropped = drops.clone();
    run(move || {
        let [a, b] = circle(&dropped)?;
        assert!(a.cancel());
        assert!(b.cancel());
        Ok(())
    })
    .unwrap();
    assert_eq!(drops.get(), 2, "the end of the loop ends them");
}

/// A chain of that many tasks, each of which waits for the one before; the last of it.
fn chain(length: usize) -> Task<()> {
    let small = || TaskBuilder::new().stack_size(32 * 1024);
    let first = small().spawn(|| Future::<()>::new().wait());
    (1..length).fold(first, |task, _| small().spawn(move || task.join()))
}

#[test]
fn a_chain_of_very_many_tasks_is_cancelled_from_its_end() {
    run(|| {
        let last = chain(crowd());
        yield_now()?;
        assert!(last.cancel_with("all"));
        assert_eq!(last.join().unwrap_err().message(), Some("all"));
        assert_eq!(all_tasks().len(), 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_chain_of_tasks_can_be_left_to_the_end_of_the_loop() {
    run(|| {
        let _last = chain(2_000);
        yield_now()
    })
    .unwrap();
    assert_eq!(stackio::stack_statistics().in_use, 0);
}

#[test]
fn a_chain_of_very_many_tasks_is_dropped_before_it_starts() {
    run(|| {
        let last = chain(crowd());
        last.cancel();
        for task in all_tasks().into_iter().skip(1) {
            task.cancel();
        }
        assert!(last.join().unwrap_err().is_cancelled());
        Ok(())
    })
    .unwrap();
}

type Body = fn() -> Result;

/// Bodies with many places to wait at; each guards every stretch of its way.
const BODIES: [(&str, Body); 6] = [
    ("yields", || (0..4).try_for_each(|_| yield_now())),
    ("sleeps", || (0..4).try_for_each(|_| sleep(secs(1)))),
    ("timeouts", || timeout(secs(9), |_| sleep(secs(1)).and_then(|()| yield_now()))),
    ("gathers", || gather(vec![|| sleep(secs(1)), || sleep(secs(2))]).join().map(drop)),
    ("waits", || wait_for(shield(|| sleep(secs(1))), Some(secs(9)))),
    ("queues", || {
        let queue = Rc::new(Queue::new(1));
        let theirs = queue.clone();
        let producer = spawn(move || (0..3).try_for_each(|n| theirs.put(n)));
        for _ in 0..3 {
            queue.get()?;
        }
        producer.join()
    }),
];

/// Lets the body take `steps` steps, cancels it, and looks whether all is dropped once. True if
/// the body had ended before.
fn cancelled_after(steps: usize, body: Body) -> bool {
    let drops = Rc::new(Cell::new(0));
    let dropped = drops.clone();
    let ended = run(move || {
        let (captured, local) = (counted(&dropped), counted(&dropped));
        let task = spawn(move || {
            let _captured = captured;
            let ended = body();
            drop(local);
            ended
        });
        let ends = Rc::new(Cell::new(0));
        let count = ends.clone();
        task.add_done_callback(move |_| count.set(count.get() + 1));
        for _ in 0..steps {
            sleep(stackio::millis(250))?;
        }
        let ended = !task.cancel();
        assert_eq!(task.wait().is_err(), !ended);
        yield_now()?;
        assert_eq!((dropped.get(), ends.get()), (2, 1));
        Ok(ended)
    });
    assert_eq!(drops.get(), 2, "and not once more at the end of the loop");
    ended.unwrap()
}

#[test]
fn a_task_cancelled_after_any_number_of_steps_drops_everything_once() {
    for (name, body) in BODIES {
        let after = (0..100).find(|&steps| cancelled_after(steps, body));
        assert!(after.is_some_and(|steps| steps > 0), "{name}: ended after {after:?}");
    }
}

#[test]
fn a_queued_step_is_dropped_with_a_cancel_in_the_same_iteration() {
    // Cancelled by a callback between the wake-up and the step that it queued.
    run(|| {
        let future = Future::new();
        let (waited, steps) = (future.clone(), Rc::new(Cell::new(0)));
        let count = steps.clone();
        let task = spawn(move || {
            let error = waited.wait().unwrap_err();
            count.set(count.get() + 1);
            assert!(error.is_cancelled());
            yield_now()?;
            Err::<(), Error>(ErrorKind::Value.into())
        });
        yield_now()?;
        let (cancel, set) = (task.clone(), future.clone());
        call_soon(move || set.set_result(()));
        call_soon(move || assert!(cancel.cancel()));
        assert_eq!(task.join().unwrap_err().kind(), ErrorKind::Value);
        assert_eq!(steps.get(), 1);
        Ok(())
    })
    .unwrap();
}

/// Panics when dropped, but not twice at a time.
struct Explosive;

impl Drop for Explosive {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

#[test]
fn a_capture_whose_destructor_panics_does_not_take_the_loop_down() {
    // The task is cancelled before its first step, and so the loop drops the body.
    let explosive = Explosive;
    let ended = run(|| {
        let task = spawn(move || {
            let _explosive = explosive;
            Ok(())
        });
        task.cancel();
        assert!(task.wait().is_err());
        yield_now()?;
        Ok(current_task().unwrap().name())
    });
    assert_eq!(ended.unwrap(), "Task-1");
}

#[test]
fn a_result_whose_destructor_panics_does_not_take_the_loop_down() {
    // Nobody holds the task: the loop drops its result.
    let ended = run(|| {
        drop(spawn(|| Ok(Explosive)));
        sleep(secs(1))?;
        Ok(5)
    });
    assert_eq!(ended.unwrap(), 5);
}

#[test]
fn a_chain_of_gathers_is_cancelled_however_long_it_is() {
    let cancelled = run(|| {
        let last: Future<u32> = Future::new();
        let mut chain = spawn({
            let last = last.clone();
            move || last.wait()
        });
        for _ in 0..2_000 {
            let next = chain;
            chain = spawn(move || Ok(gather(vec![next]).join()?[0]));
        }
        yield_now()?;
        chain.cancel();
        assert!(chain.wait().unwrap_err().is_cancelled());
        Ok(last.cancelled())
    });
    assert!(cancelled.unwrap());
}
