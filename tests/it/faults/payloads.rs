//! Payloads of panics whose destructors panic as well.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;

use stackio::{
    Error, ErrorKind, FlowEvent, Future, Instrument, Runner, TaskBuilder, VirtualClock, call_soon,
    spawn, task_group, yield_now,
};

/// Panics when it is dropped by somebody who does not panic.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("the payload's destructor");
        }
    }
}

/// Panics with a bomb at the first event that it is waiting for, and counts all later ones.
struct Watcher {
    for_which: fn(&FlowEvent<'_>) -> bool,
    seen: Rc<Cell<u32>>,
}

impl Instrument for Watcher {
    fn event(&self, event: &FlowEvent<'_>) {
        if (self.for_which)(event) && self.seen.replace(self.seen.get() + 1) == 0 {
            panic_any(Bomb);
        }
    }
}

fn watched(for_which: fn(&FlowEvent<'_>) -> bool) -> (Runner, Rc<Cell<u32>>) {
    let seen = Rc::<Cell<u32>>::default();
    let watcher = Rc::new(Watcher { for_which, seen: seen.clone() });
    let builder = Runner::builder().virtual_clock(&VirtualClock::new());
    (builder.instrument(watcher).build().unwrap(), seen)
}

#[test]
fn one_of_a_watcher_tears_no_step_in_two() {
    let (mut runner, seen) = watched(|event| matches!(event, FlowEvent::Yield { .. }));
    runner
        .run(|| {
            yield_now()?;
            spawn(yield_now).join()?;
            yield_now()
        })
        .unwrap();
    assert!(seen.get() >= 4, "it is told of what comes after: {}", seen.get());
}

/// A child that borrows, started while the watcher panics.
fn a_child_of(events: fn(&FlowEvent<'_>) -> bool, builder: TaskBuilder) {
    let (mut runner, seen) = watched(events);
    let read = Rc::new(RefCell::new(Vec::new()));
    let log = read.clone();
    runner
        .run(move || {
            let ground = "borrowed".repeat(3);
            let ended = catch_unwind(AssertUnwindSafe(|| {
                task_group(|g| {
                    g.spawn_built(builder.name("child"), || {
                        let _ = yield_now();
                        log.borrow_mut().push(ground.clone());
                        Ok(())
                    });
                    Ok(())
                })
            }));
            let read = log.take();
            drop(ground);
            assert!(ended.is_err() || read == ["borrowedborrowedborrowed"]);
            Ok(())
        })
        .unwrap();
    assert!(seen.get() > 0);
    runner.close().unwrap();
    assert!(read.borrow().is_empty(), "a child came to life after its scope");
}

#[test]
fn a_child_whose_creation_a_watcher_spoils_does_not_outlive_its_scope() {
    let created = |event: &FlowEvent<'_>| matches!(event, FlowEvent::TaskCreated { task, .. } if task.name == "child");
    a_child_of(created, TaskBuilder::new());
}

#[test]
fn a_child_whose_first_step_a_watcher_spoils_does_not_outlive_its_scope() {
    let yields = |event: &FlowEvent<'_>| matches!(event, FlowEvent::Yield { task, .. } if task.name == "child");
    a_child_of(yields, TaskBuilder::new().eager(true));
}

#[test]
fn one_of_the_exception_handler_stays_there() {
    let mut runner = Runner::builder()
        .virtual_clock(&VirtualClock::new())
        .exception_handler(|_| panic_any(Bomb))
        .build()
        .unwrap();
    runner
        .run(|| {
            // Reported by its destructor, in the middle of this.
            let future: Future<()> = Future::new();
            future.set_exception(Error::from(ErrorKind::Value))?;
            drop(future);
            call_soon(|| -> stackio::Result { Err(Error::from(ErrorKind::Value)) });
            yield_now()
        })
        .unwrap();
}

#[test]
fn one_of_a_callback_is_reported_as_the_callbacks() {
    let texts = Rc::new(RefCell::new(Vec::new()));
    let log = texts.clone();
    let mut runner = Runner::builder()
        .virtual_clock(&VirtualClock::new())
        .exception_handler(move |report| log.borrow_mut().push(report.message.clone()))
        .build()
        .unwrap();
    runner
        .run(|| {
            call_soon(|| -> stackio::Result { panic_any(Bomb) });
            yield_now()?;
            spawn(|| -> stackio::Result { panic_any(Bomb) });
            yield_now()
        })
        .unwrap();
    drop(runner);
    assert_eq!(texts.borrow().len(), 2, "{texts:?}");
    assert!(texts.borrow().iter().all(|text| !text.contains("the event loop")), "{texts:?}");
}
