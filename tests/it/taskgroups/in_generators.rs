//! Scopes that are left in the middle: inside of a generator that is closed or dropped, by whom and
//! wherever that may be.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::{
    Error, ErrorKind, EventLoop, Generator, Runner, TaskBuilder, TaskGroup, VirtualClock,
    call_soon, current_task, get_running_loop, secs, sleep, spawn, task_group, yield_now,
};

use super::soundness::{Ground, Stands};
use super::{run, value_error};
use crate::children::{is_child, play};
use crate::support::Dropped;

/// A generator that is in the middle of a scope after its first resumption.
fn with_a_scope(looks: &Rc<RefCell<Vec<String>>>, stubborn: bool) -> Generator<(), u32, ()> {
    let told = looks.clone();
    Generator::new(move |co| {
        let ground = Ground::new();
        let _seen = Dropped(|| told.borrow_mut().push(ground.told()));
        task_group(|g| {
            g.spawn(|| {
                let _here = Stands(&ground, "child");
                let mut waited = sleep(secs(60));
                while stubborn && waited.is_err() {
                    let _ = ground.text.len();
                    waited = sleep(secs(60));
                }
                waited
            });
            yield_now()?;
            co.yield_(1)
        })
    })
}

#[test]
fn a_generator_in_a_task_that_is_disposed_of_ends_the_children_of_its_scope() {
    for stubborn in [false, true] {
        let looks = Rc::new(RefCell::new(Vec::new()));
        let told = looks.clone();
        let event_loop = EventLoop::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
        let never_ends = event_loop.spawn(move || {
            let generator = with_a_scope(&told, stubborn);
            generator.next()?;
            // Refuses to end, so that it is unwound with the generator on its stack.
            while generator.suspended_at().is_some() {
                let _refused = sleep(secs(60));
            }
            Ok(())
        });
        let stop = event_loop.clone();
        event_loop.call_later(secs(1), move || stop.stop());
        event_loop.run_forever().unwrap();
        event_loop.close().unwrap();
        assert!(never_ends.done());
        assert_eq!(looks.take(), ["child"]);
    }
}

#[test]
fn a_generator_with_a_scope_can_be_dropped_anywhere() {
    for stubborn in [false, true] {
        let looks: Rc<RefCell<Vec<String>>> = Rc::default();
        let (told, outside) = (looks.clone(), Rc::new(RefCell::new(None)));
        let place = outside.clone();
        run(move || {
            let in_a_callback = with_a_scope(&told, stubborn);
            in_a_callback.next()?;
            call_soon(move || drop(in_a_callback));
            yield_now()?;
            assert_eq!(told.take(), ["child"]);
            let in_a_panic = with_a_scope(&told, stubborn);
            in_a_panic.next()?;
            let caught = catch_unwind(AssertUnwindSafe(move || {
                let _dropped = in_a_panic;
                panic!("with a generator");
            }));
            assert!(caught.is_err());
            assert_eq!(told.take(), ["child"]);
            let in_a_handler = with_a_scope(&told, stubborn);
            in_a_handler.next()?;
            let in_a_handler = Cell::new(Some(in_a_handler));
            get_running_loop()?.set_exception_handler(move |_| drop(in_a_handler.take()));
            call_soon(|| -> stackio::Result { Err(value_error("for the handler")) });
            yield_now()?;
            assert_eq!(told.take(), ["child"]);
            let by_another_task = with_a_scope(&told, false);
            by_another_task.next()?;
            spawn(move || {
                drop(by_another_task);
                Ok(())
            })
            .join()?;
            assert_eq!(told.take(), ["child"]);
            let later = with_a_scope(&told, stubborn);
            later.next()?;
            place.replace(Some(later));
            Ok(())
        })
        .unwrap();
        // Its child has ended with the loop, what the child borrowed has not.
        assert!(looks.borrow().is_empty());
        drop(outside.take());
        assert_eq!(looks.take(), ["child"]);
    }
}

#[test]
fn a_scope_that_is_left_on_another_loop_does_not_wait_for_children_of_the_first() {
    let looks: Rc<RefCell<Vec<String>>> = Rc::default();
    for closed in [true, false] {
        let (told, place) = (looks.clone(), Rc::new(RefCell::new(None)));
        let outside = place.clone();
        let mut first = Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
        first
            .run(move || {
                let generator = with_a_scope(&told, false);
                generator.next()?;
                place.replace(Some(generator));
                Ok(())
            })
            .unwrap();
        if closed {
            first.close().unwrap();
        }
        let error = run(move || outside.take().unwrap().close()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Group, "{error}");
        assert_eq!(looks.take(), ["child"]);
    }
}

#[test]
fn a_yielder_lent_to_a_child_does_not_jump_between_stacks() {
    run(|| {
        let generator: Generator<(), u32, Vec<ErrorKind>> = Generator::new(|co| {
            task_group(|g| {
                let eager = TaskBuilder::new().eager(true);
                let clone = co.clone();
                let refused = g.group().spawn_built(eager, move || Ok(clone.yield_(1)))?;
                let lent = g.spawn(|| Ok(co.yield_(2)));
                let kinds = [refused.join()?, lent.join()?].map(|r| r.unwrap_err().kind());
                co.yield_(3)?;
                Ok(kinds.to_vec())
            })
        });
        assert_eq!(generator.next()?, stackio::Resumed::Yielded(3));
        let ended = generator.next()?;
        assert_eq!(ended, stackio::Resumed::Returned(vec![ErrorKind::Runtime; 2]));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_failure_in_a_scope_that_cannot_wait_is_its_error_and_nobody_elses() {
    run(|| {
        let told = Rc::new(RefCell::new(None));
        let place = told.clone();
        let caught = catch_unwind(AssertUnwindSafe(move || {
            let generator: Generator<(), u32, ()> = Generator::new(move |co| {
                let group = TaskGroup::new();
                let ended = group.scope(|group| {
                    group.spawn(|| -> stackio::Result {
                        let _cancelled = sleep(secs(60));
                        Err(value_error("while it was ended"))
                    })?;
                    yield_now()?;
                    let _closed = co.yield_(1);
                    Ok(())
                });
                place.replace(Some(ended.unwrap_err()));
                Ok(())
            });
            generator.next().unwrap();
            panic!("on the way out");
        }));
        assert!(caught.is_err());
        let error: Error = told.take().unwrap();
        assert_eq!(error.errors().first().and_then(Error::message), Some("while it was ended"));
        for _ in 0..3 {
            yield_now()?; // the scope is over: nothing of it cancels this task
        }
        assert_eq!(current_task().unwrap().cancelling(), 0);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_child_that_is_ended_starts_no_others() {
    run(|| {
        let looks: Rc<RefCell<Vec<String>>> = Rc::default();
        let told = looks.clone();
        let generator: Generator<(), u32, ()> = Generator::new(move |co| {
            let ground = Ground::new();
            let _seen = Dropped(|| told.borrow_mut().push(ground.told()));
            task_group(|g| {
                for _ in 0..2 {
                    g.spawn(|| {
                        let _ended = sleep(secs(60));
                        let late = g.spawn(|| ground.looks("late"));
                        assert!(late.join().is_err());
                        ground.looks("ended")
                    });
                }
                yield_now()?;
                co.yield_(1)
            })
        });
        generator.next()?;
        call_soon(move || drop(generator));
        yield_now()?;
        assert_eq!(looks.take(), ["ended ended"]);
        Ok(())
    })
    .unwrap();
}

/// Has the scenario played, which ends by a child that cannot be ended; false in the scenario.
#[track_caller]
fn ends_its_process() -> bool {
    if is_child() {
        return false;
    }
    let finished = play();
    assert!(!finished.status.success());
    assert!(finished.stderr.contains("task Task-2 cannot be ended"), "{}", finished.stderr);
    true
}

#[test]
fn a_child_that_ends_the_scope_it_runs_in_ends_the_process() {
    if ends_its_process() {
        return;
    }
    let ended = run(|| {
        let shared: Rc<RefCell<Option<Generator<(), u32, ()>>>> = Rc::default();
        let inside = shared.clone();
        let generator = Generator::new(move |co| {
            let ground = Ground::new();
            task_group(|g| {
                g.spawn(|| -> stackio::Result {
                    // The scope may not wait while this unwinds, nor return while this lives.
                    let _ends = Dropped(|| drop(inside.take()));
                    yield_now()?;
                    ground.look("child");
                    panic!("on the way out");
                });
                co.yield_(1)
            })
        });
        generator.next()?;
        shared.replace(Some(generator));
        sleep(secs(1))
    });
    unreachable!("{ended:?}");
}

#[test]
fn a_closure_that_ends_the_scope_it_is_of_ends_the_process() {
    if ends_its_process() {
        return;
    }
    let ended = run(|| {
        let shared: Rc<RefCell<Option<Generator<(), u32, ()>>>> = Rc::default();
        let (inside, child) = (shared.clone(), Rc::new(Cell::new(None)));
        let told = child.clone();
        let generator = Generator::new(move |co| {
            let ground = Ground::new();
            task_group(|g| {
                // Dropped one after the other, if the child never begins.
                let ends = Dropped(|| drop(inside.take()));
                let captured = (ends, Stands(&ground, "closure"));
                let child = g.spawn(move || {
                    let _captured = &captured;
                    Ok(())
                });
                told.set(child.task());
                co.yield_(1)
            })
        });
        generator.next()?;
        shared.replace(Some(generator));
        child.take().map(|child| child.cancel());
        yield_now()
    });
    unreachable!("{ended:?}");
}
