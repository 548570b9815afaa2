//! Locks where they cannot be used: errors, callbacks, other loops, loops that end.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::Event;
use stackio::{
    Barrier, BoundedSemaphore, Condition, Error, ErrorKind, EventLoop, Future, Lock, Result,
    Semaphore, VirtualClock, call_soon, millis, secs, sleep, timeout, yield_now,
};

use super::run;

fn kind<T>(outcome: Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error: Error| error.kind())
}

#[test]
fn misuse_is_an_error() {
    let runtime = Some(ErrorKind::Runtime);
    assert_eq!(kind(Lock::new().release()), runtime);
    let condition = Condition::new();
    for misuse in [condition.release(), condition.wait(), condition.notify(1)] {
        assert_eq!(kind(misuse), runtime);
    }
    assert_eq!(kind(condition.notify_all()), runtime);
    assert_eq!(kind(Barrier::new(0)), Some(ErrorKind::Value));

    let semaphore = BoundedSemaphore::new(2);
    assert_eq!(kind(semaphore.release()), Some(ErrorKind::Value));
    let guard = semaphore.guard().unwrap();
    semaphore.release().unwrap();
    drop(guard); // left already: the bound holds
    semaphore.acquire().unwrap();
    semaphore.acquire().unwrap();
    assert!(semaphore.locked());
}

#[test]
fn where_nothing_can_wait_nobody_is_left_in_line() {
    let runtime = Some(ErrorKind::Runtime);
    let (lock, event, semaphore) = (Lock::new(), Event::new(), Semaphore::new(0));
    let condition = Condition::new();
    lock.acquire().unwrap();
    condition.acquire().unwrap();
    assert_eq!(kind(lock.acquire()), runtime, "outside of a loop");
    run(move || {
        let done = Future::new();
        let seen = done.clone();
        call_soon(move || {
            for waited in [lock.acquire(), event.wait(), semaphore.acquire(), condition.wait()] {
                assert_eq!(kind(waited), runtime, "in a callback");
            }
            assert!(condition.locked(), "it could not have taken it again");
            let lines = [&lock.statistics(), &event.statistics(), &condition.statistics()];
            assert!(lines.iter().all(|line| line.waiting == 0));
            assert_eq!(semaphore.statistics().waiting, 0);
            seen.set_result(())
        });
        done.wait()
    })
    .unwrap();
}

#[test]
fn a_lock_that_was_waited_for_belongs_to_that_loop() {
    let lock = Rc::new(Lock::new());
    for expected in [ErrorKind::Timeout, ErrorKind::Runtime] {
        let lock = lock.clone();
        let ended = run(move || {
            if !lock.locked() {
                lock.acquire()?; // taking a free lock binds it to no loop
            }
            timeout(millis(1), |_| lock.acquire())
        });
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), expected);
        if expected == ErrorKind::Runtime {
            assert!(error.to_string().contains("lock or queue of a different event loop"));
        }
    }
}

#[test]
fn a_panic_in_a_predicate_leaves_the_condition_as_it_was() {
    let condition = Condition::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = condition.guard()?;
        condition.wait_for(|| panic!("in the predicate"))
    }));
    assert!(panicked.is_err());
    assert!(!condition.locked());
    condition.acquire().unwrap();
}

#[test]
fn a_loop_that_closes_ends_a_wait_that_cannot_have_its_lock() {
    let events = EventLoop::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
    let lock = Rc::new(Lock::new());
    let condition = Rc::new(Condition::with_lock(lock.clone()));
    let (waited, seen) = (Rc::new(RefCell::new(None)), Rc::clone(&condition));
    let outcome = waited.clone();
    let _waits = events.spawn(move || {
        seen.acquire()?;
        *outcome.borrow_mut() = Some(seen.wait());
        Ok(())
    });
    let _holds = events.spawn(move || {
        let _guard = lock.lock()?;
        Future::<()>::new().wait()
    });
    events.run_until_complete(&events.spawn(yield_now)).unwrap();
    events.close().unwrap();
    let waited = waited.take().expect("the wait has ended");
    assert!(waited.unwrap_err().is_cancelled());
}

#[test]
fn a_wait_that_ends_without_the_lock_does_not_give_back_that_of_another_task() {
    let event_loop = EventLoop::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
    let condition = Rc::new(Condition::new());
    let waits = condition.clone();
    event_loop.spawn(move || {
        let _guard = waits.guard()?;
        waits.wait()
    });
    let (looks, seen) = (condition.clone(), Rc::new(Cell::new(None)));
    let saw = seen.clone();
    event_loop.spawn(move || {
        let closing = sleep(secs(60));
        saw.set(Some(looks.locked()));
        closing
    });
    let holds = condition.clone();
    event_loop.spawn(move || {
        let _guard = holds.guard()?;
        sleep(secs(60))
    });
    event_loop.run_until_complete(yield_now).unwrap();
    event_loop.close().unwrap();
    assert_eq!(seen.get(), Some(true), "its holder had not ended then");
    assert!(!condition.locked());
}
