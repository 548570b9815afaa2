//! Locks, events, conditions, semaphores and barriers: whose turn it is, and cancellation.
//!
//! The order of steps is compared with asyncio's in `conformance`; here is what no program of
//! that language can say. Below: `misuse` is where they cannot be used, `crowds` is many waiters.

mod crowds;
mod misuse;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::Event;
use stackio::{
    Barrier, Condition, ErrorKind, Lock, Result, Runner, Semaphore, Task, TaskBuilder,
    VirtualClock, millis, sleep, spawn, timeout, yield_now,
};

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

/// A task that takes the lock, logs `n` and gives it back.
fn takes(lock: &Rc<Lock>, log: &Rc<RefCell<Vec<u32>>>, n: u32) -> Task<()> {
    let (lock, log) = (lock.clone(), log.clone());
    spawn(move || {
        let _guard = lock.lock()?;
        log.borrow_mut().push(n);
        Ok(())
    })
}

#[test]
fn a_guard_gives_the_lock_back_however_the_block_ends() {
    run(|| {
        let lock = Rc::new(Lock::new());
        let fails = || -> Result {
            let _guard = lock.lock()?;
            Err(ErrorKind::Value.into())
        };
        assert_eq!(fails().unwrap_err().kind(), ErrorKind::Value);
        assert!(!lock.locked());

        let held = lock.clone();
        let panics = spawn(move || -> Result {
            let _guard = held.lock()?;
            yield_now()?;
            panic!("with the lock taken")
        });
        yield_now()?;
        assert!(lock.locked());
        let guard = lock.lock()?; // waits for the task that panics
        assert_eq!(panics.join().unwrap_err().kind(), ErrorKind::Panic);
        drop(guard);
        assert!(!lock.locked());

        let early = lock.lock()?;
        lock.release()?;
        drop(early); // it has nothing left to give back
        assert!(!lock.locked());
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_lock_goes_to_those_who_wait_in_the_order_they_came() {
    run(|| {
        let (lock, log) = (Rc::new(Lock::new()), Rc::default());
        let guard = lock.lock()?;
        let tasks: Vec<_> = (0..5).map(|n| takes(&lock, &log, n)).collect();
        yield_now()?;
        assert_eq!(lock.statistics().waiting, 5);
        assert_eq!(lock.statistics().waiters.len(), 5);
        tasks[1].cancel();
        drop(guard);
        drop(lock.lock()?); // free, but others are first
        assert_eq!(*log.borrow(), [0, 2, 3, 4]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn cancelled_waiter_passes_the_lock_on() {
    run(|| {
        let (lock, log) = (Rc::new(Lock::new()), Rc::default());
        let guard = lock.lock()?;
        let (first, second) = (takes(&lock, &log, 1), takes(&lock, &log, 2));
        yield_now()?;
        drop(guard); // wakes the first
        first.cancel();
        second.join()?;
        assert!(first.join().unwrap_err().is_cancelled());
        assert_eq!(*log.borrow(), [2]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_free_lock_is_taken_at_once_if_everyone_in_line_was_cancelled() {
    run(|| {
        let (lock, log) = (Rc::new(Lock::new()), Rc::default());
        let guard = lock.lock()?;
        let waiter = takes(&lock, &log, 1);
        yield_now()?;
        waiter.cancel();
        drop(guard);
        lock.acquire()?;
        assert!(!waiter.done(), "nothing else has run meanwhile");
        lock.release()
    })
    .unwrap();
}

#[test]
fn what_has_been_given_up_in_time_can_be_taken_by_others() {
    run(|| {
        let lock = Rc::new(Lock::new());
        let guard = lock.lock()?;
        let late = timeout(millis(5), |_| lock.acquire()).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::Timeout);
        assert_eq!(lock.statistics().waiting, 0);
        drop(guard);
        lock.acquire()
    })
    .unwrap();
}

#[test]
fn statistics_name_the_holder_and_count_those_who_wait() {
    run(|| {
        let lock = Rc::new(Lock::new());
        let condition = Rc::new(Condition::with_lock(lock.clone()));
        let held = condition.clone();
        let waits = TaskBuilder::new().name("consumer").spawn(move || {
            let _guard = held.guard()?;
            held.wait()?;
            sleep(millis(1))
        });
        yield_now()?;
        assert!(lock.statistics().holders.is_empty());
        assert_eq!(condition.statistics().waiting, 1);
        {
            let _guard = condition.guard()?;
            assert_eq!(condition.statistics().holders, ["Task-1"]);
            condition.notify(1)?;
            assert_eq!(condition.statistics().waiting, 0);
        }
        yield_now()?;
        yield_now()?;
        let seen = lock.statistics();
        assert_eq!(seen.holders, ["consumer"]);
        assert_eq!(seen.waiting, 0);
        waits.join()?;
        lock.acquire()?;
        let shown = format!("{lock:?}");
        assert!(shown.contains("Task-1"), "{shown}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_event_that_is_cleared_again_has_woken_those_who_waited() {
    run(|| {
        let event = Rc::new(Event::new());
        let waits = || {
            let event = event.clone();
            spawn(move || event.wait())
        };
        let early = [waits(), waits()];
        yield_now()?;
        assert_eq!(event.statistics().waiting, 2);
        event.set();
        event.clear();
        let late = waits();
        for task in early {
            task.join()?;
        }
        yield_now()?;
        assert!(!late.done());
        assert_eq!(event.statistics().waiting, 1);
        late.cancel();
        assert!(late.join().unwrap_err().is_cancelled());
        assert_eq!(event.statistics().waiting, 0);
        Ok(())
    })
    .unwrap();
}

/// A task that waits for the condition, and whether it had the lock when it went on.
fn waits_for(condition: &Rc<Condition>) -> Task<(Result, bool)> {
    let condition = condition.clone();
    spawn(move || {
        let _guard = condition.guard()?;
        Ok((condition.wait(), condition.locked()))
    })
}

#[test]
fn a_cancelled_wait_has_the_lock_and_the_last_cancellation() {
    run(|| {
        let condition = Rc::new(Condition::new());
        let waiter = waits_for(&condition);
        yield_now()?;
        let guard = condition.guard()?;
        for message in ["first", "second", "third"] {
            waiter.cancel_with(message);
            yield_now()?;
            yield_now()?;
            assert!(!waiter.done(), "it takes the lock before it ends");
        }
        drop(guard);
        let (waited, locked) = waiter.join()?;
        assert_eq!(waited.unwrap_err().message(), Some("third"));
        assert!(locked);
        Ok(())
    })
    .unwrap();
}

#[test]
fn cancelled_waiter_passes_the_notification_on() {
    run(|| {
        let condition = Rc::new(Condition::new());
        let (first, second) = (waits_for(&condition), waits_for(&condition));
        yield_now()?;
        {
            let _guard = condition.guard()?;
            condition.notify(1)?;
            first.cancel();
        }
        assert!(first.join()?.0.unwrap_err().is_cancelled());
        second.join()?.0
    })
    .unwrap();
}

#[test]
fn the_error_of_a_predicate_ends_the_waiting() {
    let condition = Condition::new();
    let _guard = condition.guard().unwrap();
    let failed = condition.wait_for(|| Err(ErrorKind::Value.into()));
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Value);
    assert!(condition.locked());
}

#[test]
fn a_semaphore_lets_in_as_many_as_it_was_made_for() {
    run(|| {
        let (semaphore, most) = (Rc::new(Semaphore::new(3)), Rc::new(Cell::new((0, 0))));
        let enters = |_| {
            let (semaphore, most) = (semaphore.clone(), most.clone());
            spawn(move || {
                let _guard = semaphore.guard()?;
                let (inside, highest) = most.get();
                most.set((inside + 1, highest.max(inside + 1)));
                sleep(millis(1))?;
                most.set((most.get().0 - 1, most.get().1));
                Ok(())
            })
        };
        let tasks: Vec<_> = (0..10).map(enters).collect();
        yield_now()?;
        assert!(semaphore.locked());
        assert_eq!(semaphore.statistics().waiting, 7);
        tasks[4].cancel();
        let cancelled = tasks.into_iter().filter_map(|task| task.join().err()).count();
        assert_eq!((cancelled, most.get()), (1, (0, 3)));
        assert!(!semaphore.locked());
        Ok(())
    })
    .unwrap();
}

#[test]
fn tasks_pass_a_barrier_together_round_after_round() {
    run(|| {
        let (barrier, arrived) = (Rc::new(Barrier::new(3)?), Rc::new(Cell::new(0)));
        let rounds = |_| {
            let (barrier, arrived) = (barrier.clone(), arrived.clone());
            spawn(move || {
                for round in 1..=4 {
                    arrived.set(arrived.get() + 1);
                    barrier.wait()?;
                    assert!(arrived.get() >= 3 * round, "nobody passes before all are there");
                }
                Ok(())
            })
        };
        let tasks: Vec<_> = (0..3).map(rounds).collect();
        tasks.into_iter().try_for_each(Task::join)?;
        assert_eq!((arrived.get(), barrier.n_waiting()), (12, 0));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_barrier_that_is_reset_or_aborted_lets_those_who_wait_go_with_an_error() {
    run(|| {
        let barrier = Rc::new(Barrier::new(2)?);
        let waits = || {
            let barrier = barrier.clone();
            spawn(move || barrier.wait())
        };
        let broken = |task: Task<usize>| {
            assert_eq!(task.join().unwrap_err().kind(), ErrorKind::BrokenBarrier);
        };
        let first = waits();
        yield_now()?;
        assert_eq!(barrier.n_waiting(), 1);
        barrier.reset()?;
        broken(first);
        let second = waits();
        yield_now()?;
        barrier.abort()?;
        assert!(barrier.broken());
        broken(second);
        broken(waits());
        barrier.reset()?;
        let (left, right) = (waits(), waits());
        assert_eq!(left.join()? + right.join()?, 1);

        let gives_up = waits();
        yield_now()?;
        gives_up.cancel();
        assert!(gives_up.join().unwrap_err().is_cancelled());
        assert_eq!(barrier.n_waiting(), 0, "who is cancelled has left");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_semaphore_names_who_is_in_and_who_waits() {
    run(|| {
        let semaphore = Rc::new(Semaphore::new(2));
        let named = |name: &str| {
            let semaphore = semaphore.clone();
            TaskBuilder::new().name(name).spawn(move || {
                let _guard = semaphore.guard()?;
                sleep(millis(1))
            })
        };
        let tasks = ["one", "two", "three"].map(named);
        yield_now()?;
        let seen = semaphore.statistics();
        assert_eq!(seen.holders, ["one", "two"]);
        assert_eq!(seen.waiters, ["three"]);
        for task in tasks {
            task.join()?;
        }
        assert!(semaphore.statistics().holders.is_empty());

        // Twice by one task, and once given back for it by somebody else.
        semaphore.acquire()?;
        semaphore.acquire()?;
        let other = semaphore.clone();
        spawn(move || other.release()).join()?;
        assert_eq!(semaphore.statistics().holders, ["Task-1"]);
        semaphore.release()?;
        assert!(semaphore.statistics().holders.is_empty());
        Ok(())
    })
    .unwrap();
}
