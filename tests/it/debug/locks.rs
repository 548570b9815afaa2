//! Locks that are held for long.

use std::rc::Rc;
use std::time::Duration;

use stackio::{
    ExceptionSource, Lock, Result, Runner, TaskBuilder, get_running_loop, millis, secs, sleep,
    spawn, timeout, yield_now,
};

use super::Told;

/// A task `holder` that has the lock for so long; the line at which it takes it.
fn holds(lock: &Rc<Lock>, time: Duration) -> (stackio::Task<()>, u32) {
    let lock = lock.clone();
    let line = line!() + 2;
    let task = TaskBuilder::new().name("holder").spawn(move || {
        let _guard = lock.lock()?;
        sleep(time)
    });
    (task, line)
}

#[test]
fn it_is_reported_at_release_with_holder_and_place() {
    let told = Told::default();
    let line = told
        .runner(true)
        .run(|| {
            let (holder, line) = holds(&Rc::default(), millis(1500));
            holder.join()?;
            Ok(line)
        })
        .unwrap();
    let reports = told.of(ExceptionSource::HeldLock);
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].task.as_deref(), Some("holder"));
    let text = &reports[0].message;
    // Virtual time is exact.
    assert!(text.starts_with("a lock was held for 1.5s by the task `holder`"), "{text}");
    assert!(text.contains(&format!("took it at {}:{line}:", file!())), "{text}");
    assert!(text.ends_with("; 0 wait for it"), "{text}");
}

#[test]
fn it_is_reported_when_somebody_else_wants_it_and_only_once() {
    let told = Told::default();
    let seen = told.clone();
    told.runner(true)
        .run(move || {
            let lock = Rc::new(Lock::new());
            let (holder, _) = holds(&lock, secs(10));
            sleep(millis(999))?;
            let early = timeout(millis(1), |_| lock.lock().map(drop));
            assert!(early.unwrap_err().is_timeout());
            assert!(seen.of(ExceptionSource::HeldLock).is_empty(), "it is not yet a second");
            let waiting = lock.clone();
            let waiter = spawn(move || waiting.lock().map(drop));
            yield_now()?;
            let reports = seen.of(ExceptionSource::HeldLock);
            assert_eq!(reports.len(), 1);
            let text = &reports[0].message;
            assert!(text.starts_with("a lock has been held for 1s by the task `holder`"), "{text}");
            holder.join()?;
            waiter.join()
        })
        .unwrap();
    assert_eq!(told.of(ExceptionSource::HeldLock).len(), 1);
}

#[test]
fn the_limit_can_be_set() {
    let told = Told::default();
    let mut runner = told.runner(true);
    runner.event_loop().set_slow_lock_duration(secs(60));
    runner.run(|| holds(&Rc::default(), secs(59)).0.join()).unwrap();
    assert!(told.of(ExceptionSource::HeldLock).is_empty());
    assert_eq!(runner.event_loop().slow_lock_duration(), secs(60));
    runner.run(|| holds(&Rc::default(), secs(60)).0.join()).unwrap();
    assert_eq!(told.of(ExceptionSource::HeldLock).len(), 1);
}

#[test]
fn nothing_is_said_without_debug_mode() {
    let told = Told::default();
    let mut runner = told.runner(false);
    runner.run(|| holds(&Rc::default(), secs(60)).0.join()).unwrap();
    // A lock that was taken before debug mode was turned on has no beginning.
    runner
        .run(|| {
            let lock = Lock::new();
            let guard = lock.lock()?;
            get_running_loop()?.set_debug(true);
            sleep(secs(60))?;
            drop(guard);
            Ok(())
        })
        .unwrap();
    assert!(told.of(ExceptionSource::HeldLock).is_empty());
}

#[test]
fn a_lock_may_be_given_back_outside_of_a_loop() {
    let told = Told::default();
    let lock = Rc::new(Lock::new());
    let held = lock.clone();
    let mut runner = told.runner(true);
    runner
        .run(move || {
            held.acquire()?;
            sleep(secs(60))
        })
        .unwrap();
    lock.release().unwrap();
    assert!(!lock.locked());
    assert!(told.of(ExceptionSource::HeldLock).is_empty());
}

#[test]
fn a_handler_may_use_the_lock_that_it_is_told_of() {
    let lock = Rc::new(Lock::new());
    let (told, used) = (Rc::new(std::cell::Cell::new(0)), lock.clone());
    let count = told.clone();
    let mut runner = Runner::debug(true)
        .virtual_clock(&stackio::VirtualClock::new())
        .exception_handler(move |context| {
            if context.source == ExceptionSource::HeldLock {
                count.set(count.get() + 1);
                // While it is held this gives it back; after that it is an error.
                let _ = used.release();
            }
        })
        .build()
        .unwrap();
    runner.event_loop().set_slow_callback_duration(secs(3600));
    runner
        .run(move || {
            let held = lock.clone();
            let holder = spawn(move || -> Result {
                let _guard = held.lock()?;
                sleep(secs(10))
            });
            sleep(secs(2))?;
            // The handler gives the lock back, so that there is nothing to wait for.
            timeout(millis(1), |_| lock.lock().map(drop))?;
            holder.join()
        })
        .unwrap();
    assert_eq!(told.get(), 1);
}
