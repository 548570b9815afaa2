//! What is ended, or begun, by destructors in the middle of a panic.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;
use std::sync::Mutex;

use stackio::{
    EventLoop, Generator, Result, TaskBuilder, Yielder, millis, run, sleep, spawn, yield_now,
};

use crate::support::Dropped;

#[test]
fn a_generator_that_panics_then_as_well_ends_with_its_payload() {
    let caught = catch_unwind(|| {
        let generator: Generator<(), u32, ()> = Generator::new(|co| {
            let _closed = co.yield_(1);
            panic_any(Dropped(|| panic!("a payload")))
        });
        generator.start().unwrap();
        panic!("around it");
    });
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"around it"));
}

#[test]
fn the_destructors_of_a_generator_that_refuses_to_end_cannot_yield() {
    let told: Rc<RefCell<Vec<bool>>> = Rc::default();
    let tell = told.clone();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let generator = Generator::new(move |co: &Yielder<(), u32>| -> Result {
            let _yields = Dropped(|| tell.borrow_mut().push(co.yield_(9).is_err()));
            loop {
                let _refused = co.yield_(1);
            }
        });
        generator.start().unwrap();
        panic!("around it");
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"around it"));
    assert_eq!(told.take(), [true]);
}

#[test]
fn the_destructors_of_a_task_that_refuses_to_end_cannot_wait() {
    let told: Rc<RefCell<Vec<bool>>> = Rc::default();
    let tell = told.clone();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let event_loop = EventLoop::new().unwrap();
        event_loop.spawn(move || -> Result {
            let _waits = Dropped(|| tell.borrow_mut().push(sleep(millis(1)).is_err()));
            loop {
                let _refused = yield_now();
            }
        });
        event_loop.run_until_complete(yield_now).unwrap();
        panic!("around it");
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"around it"));
    assert_eq!(told.take(), [true]);
}

#[test]
fn an_eager_task_waits_for_its_turn_and_its_panic_is_its_own() {
    let ended = run(|| {
        let mutex = Mutex::new(());
        let guard = mutex.lock();
        let caught = catch_unwind(|| {
            let _spawns = Dropped(|| {
                TaskBuilder::new().eager(true).spawn(|| -> Result {
                    let _waits = Dropped(|| drop(sleep(millis(5))));
                    panic!("the task");
                });
            });
            panic!("around it");
        });
        assert!(caught.is_err() && !std::thread::panicking());
        spawn(|| sleep(millis(1))).join()?;
        drop(guard);
        Ok(mutex.is_poisoned())
    });
    assert!(!ended.unwrap());
}
