//! How generators end that are not run to their end: dropped, unwound, refused.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::{Error, ErrorKind, Generator, GeneratorState, Resumed, Yielder, stack_statistics};

use super::{Drops, assert_kind};
use crate::children::{assert_played_well, is_child, play};

/// Yields once and keeps a guard on its stack.
fn guarded(drops: &Drops) -> Generator<(), u32, ()> {
    let guard = drops.guard();
    Generator::new(move |co| {
        let _guard = guard;
        co.yield_(1)
    })
}

#[test]
fn dropping_a_suspended_generator_runs_its_destructors() {
    let drops = Drops::default();
    let generator = guarded(&drops);
    generator.next().unwrap();
    assert_eq!(drops.count(), 0);
    drop(generator);
    assert_eq!(drops.count(), 1);
    assert_eq!(stack_statistics().in_use, 0);
}

#[test]
fn dropping_one_that_was_never_started_drops_its_body() {
    let drops = Drops::default();
    drop(guarded(&drops));
    assert_eq!(drops.count(), 1);
    assert_eq!(stack_statistics().mapped, 0, "it never had a stack");
}

#[test]
fn a_dropped_body_sees_generator_exit() {
    let seen = Rc::new(Cell::new(None));
    let saw = seen.clone();
    let generator: Generator<(), (), ()> = Generator::new(move |co| {
        let error = co.yield_(()).unwrap_err();
        saw.set(Some(error.kind()));
        Err(error)
    });
    generator.next().unwrap();
    drop(generator);
    assert_eq!(seen.get(), Some(ErrorKind::GeneratorExit));
}

#[test]
fn nested_generators_are_dropped_inner_first() {
    let order = Rc::new(RefCell::new(Vec::new()));
    struct Named(&'static str, Rc<RefCell<Vec<&'static str>>>);
    impl Drop for Named {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }
    let (inside, outside) = (Named("inner", order.clone()), Named("outer", order.clone()));
    let outer: Generator<(), u32, ()> = Generator::new(move |co| {
        let _outside = outside;
        let inner: Generator<(), u32, ()> = Generator::new(move |co| {
            let _inside = inside;
            co.yield_(1)
        });
        co.yield_from(&inner)?;
        Ok(())
    });
    outer.next().unwrap();
    drop(outer);
    assert_eq!(*order.borrow(), ["inner", "outer"]);
}

#[test]
fn a_generator_suspended_on_the_stack_of_another_is_dropped_with_it() {
    // Not delegated to: the inner one is only a local of the outer one.
    let drops = Drops::default();
    let inner = guarded(&drops);
    let outer: Generator<(), u32, ()> = Generator::new(move |co| {
        inner.next()?;
        co.yield_(2)
    });
    outer.next().unwrap();
    drop(outer);
    assert_eq!(drops.count(), 1);
    assert_eq!(stack_statistics().in_use, 0);
}

/// A body that answers every close by another yield.
fn stubborn(drops: &Drops) -> Generator<(), u32, ()> {
    let guard = drops.guard();
    Generator::new(move |co| {
        let _guard = guard;
        loop {
            let _ignored = co.yield_(1);
        }
    })
}

#[test]
fn one_that_ignores_generator_exit_is_unwound() {
    let drops = Drops::default();
    let generator = stubborn(&drops);
    generator.next().unwrap();
    assert_kind(generator.close(), ErrorKind::Runtime);
    assert_eq!(drops.count(), 0);
    drop(generator);
    assert_eq!(drops.count(), 1);
    assert_eq!(stack_statistics().in_use, 0);
}

#[test]
fn a_delegate_that_ignores_generator_exit_is_unwound_too() {
    // The inner one is dropped while the outer one is being unwound.
    if !is_child() {
        return assert_played_well(&play());
    }
    let drops = Drops::default();
    let (inner, guard) = (stubborn(&drops), drops.guard());
    let outer: Generator<(), u32, ()> = Generator::new(move |co| {
        let _guard = guard;
        loop {
            let _ignored = co.yield_from(&inner);
        }
    });
    outer.next().unwrap();
    drop(outer);
    assert_eq!(drops.count(), 2);
    assert_eq!(stack_statistics().in_use, 0);
}

#[test]
fn one_that_ignores_generator_exit_is_ended_while_a_panic_unwinds() {
    if !is_child() {
        return assert_played_well(&play());
    }
    let drops = Drops::default();
    let made = drops.clone();
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let stubborn = stubborn(&made);
        stubborn.next().unwrap();
        panic!("on the way out");
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"on the way out"));
    assert_eq!(drops.count(), 1);
    assert!(!std::thread::panicking());
}

#[test]
fn a_body_that_catches_panics_is_still_ended_by_the_drop() {
    let drops = Drops::default();
    let guard = drops.guard();
    let generator: Generator<(), u32, ()> = Generator::new(move |co| {
        let _guard = guard;
        let mut caught = 0;
        while caught < 3 {
            let waited = catch_unwind(AssertUnwindSafe(|| {
                loop {
                    let _ignored = co.yield_(1);
                }
            }));
            caught += u32::from(waited.is_err());
        }
        Ok(())
    });
    generator.next().unwrap();
    drop(generator);
    assert_eq!(drops.count(), 1);
    assert_eq!(stack_statistics().in_use, 0);
}

#[test]
fn a_body_that_catches_everything_for_ever_is_leaked_not_looped_on() {
    let drops = Drops::default();
    let guard = drops.guard();
    let generator: Generator<(), u32, ()> = Generator::new(move |co| {
        let _guard = guard;
        loop {
            let _caught = catch_unwind(AssertUnwindSafe(|| co.yield_(1)));
        }
    });
    generator.next().unwrap();
    drop(generator);
    assert_eq!(drops.count(), 0, "its frames are still there");
    assert_eq!(stack_statistics().in_use, 1, "and so is the stack below them");
}

#[test]
fn one_dropped_while_a_panic_unwinds_still_runs_its_destructors() {
    let drops = Drops::default();
    let made = drops.clone();
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let generator = guarded(&made);
        generator.next().unwrap();
        panic!("on the way out");
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"on the way out"));
    assert_eq!(drops.count(), 1);
    assert_eq!(stack_statistics().in_use, 0);
    assert!(!std::thread::panicking());
    let after = guarded(&drops);
    assert_eq!(after.next().unwrap(), Resumed::Yielded(1), "generators work as before");
}

#[test]
fn a_body_that_panics_when_it_is_closed_panics_out_of_the_close() {
    let generator: Generator<(), u32, ()> = Generator::new(|co| {
        let _exit = co.yield_(1);
        panic!("not like this");
    });
    generator.next().unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| generator.close()));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"not like this"));
    assert_eq!(generator.state(), GeneratorState::Closed);
}

#[test]
fn one_that_panics_when_dropped_during_a_panic_does_not_abort() {
    let drops = Drops::default();
    let guard = drops.guard();
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let generator: Generator<(), u32, ()> = Generator::new(move |co| {
            let _guard = guard;
            let _exit = co.yield_(1);
            panic!("the second");
        });
        generator.next().unwrap();
        panic!("the first");
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"the first"));
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_panic_in_the_body_reaches_the_caller_and_closes_the_generator() {
    let drops = Drops::default();
    let guard = drops.guard();
    let generator: Generator<(), u32, ()> = Generator::new(move |co| {
        let _guard = guard;
        co.yield_(1)?;
        panic!("boom");
    });
    generator.next().unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| generator.next()));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"boom"));
    assert_eq!(drops.count(), 1);
    assert_eq!(generator.state(), GeneratorState::Closed);
    assert_kind(generator.next(), ErrorKind::StopIteration);
    assert_eq!(stack_statistics().in_use, 0);
}

#[test]
fn a_panic_passes_through_a_delegation() {
    let inner: Rc<Generator<(), u32, ()>> = Rc::new(Generator::new(|co| {
        co.yield_(1)?;
        panic!("inner");
    }));
    let delegate = inner.clone();
    let outer: Generator<(), u32, ()> = Generator::new(move |co| {
        co.yield_from(&delegate)?;
        Ok(())
    });
    outer.next().unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| outer.next()));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"inner"));
    let closed = GeneratorState::Closed;
    assert_eq!((outer.state(), inner.state()), (closed, closed));
}

/// Yields in its destructor, and notes what came of it.
struct YieldsInDrop {
    co: Yielder<(), u32>,
    refusal: Rc<RefCell<Option<String>>>,
}

impl Drop for YieldsInDrop {
    fn drop(&mut self) {
        let refused = self.co.yield_(99).err();
        *self.refusal.borrow_mut() = refused.map(|error| format!("{:?}", error.kind()));
    }
}

#[test]
fn a_yield_in_a_destructor_is_refused_while_a_panic_unwinds() {
    let refusal = Rc::new(RefCell::new(None));
    let note = refusal.clone();
    let generator: Generator<(), u32, ()> = Generator::new(move |co| {
        let _yields = YieldsInDrop { co: co.clone(), refusal: note };
        panic!("boom");
    });
    let caught = catch_unwind(AssertUnwindSafe(|| generator.next()));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"boom"));
    assert_eq!(refusal.take().as_deref(), Some("Runtime"));
}

#[test]
fn a_yield_in_a_destructor_is_refused_while_the_generator_is_unwound() {
    let refusal = Rc::new(RefCell::new(None));
    let note = refusal.clone();
    let generator: Generator<(), u32, ()> = Generator::new(move |co| {
        let _yields = YieldsInDrop { co: co.clone(), refusal: note };
        loop {
            let _ignored = co.yield_(1);
        }
    });
    generator.next().unwrap();
    drop(generator);
    assert_eq!(refusal.take().as_deref(), Some("Runtime"));
    assert_eq!(stack_statistics().in_use, 0);
}

#[test]
fn a_yield_in_a_destructor_works_in_normal_life() {
    let refusal = Rc::new(RefCell::new(None));
    let note = refusal.clone();
    let generator: Generator<(), u32, ()> = Generator::new(move |co| {
        drop(YieldsInDrop { co: co.clone(), refusal: note });
        Ok(())
    });
    assert_eq!(generator.next().unwrap(), Resumed::Yielded(99));
    assert_eq!(generator.next().unwrap(), Resumed::Returned(()));
    assert_eq!(refusal.take(), None);
}

#[test]
fn generators_can_be_made_and_dropped_while_a_generator_is_dropped() {
    let drops = Drops::default();
    let made = drops.clone();
    let outer: Generator<(), u32, ()> = Generator::new(move |co| {
        let exit = co.yield_(1);
        let another = guarded(&made);
        another.next()?;
        drop(another);
        exit
    });
    outer.next().unwrap();
    drop(outer);
    assert_eq!(drops.count(), 1);
}

#[test]
fn an_error_of_one_that_is_dropped_is_told() {
    if !is_child() {
        let finished = play();
        assert_played_well(&finished);
        let told: Vec<_> = finished.stderr.lines().collect();
        let expected = "stackio: the generator `careless` failed as it was dropped: no space left";
        assert_eq!(told, [expected]);
        return;
    }
    let careless: Generator<(), u32, ()> = Generator::named("careless", |co| {
        let closed = co.yield_(1).unwrap_err();
        assert_eq!(closed.kind(), ErrorKind::GeneratorExit);
        Err(Error::with_message(ErrorKind::Value, "no space left"))
    });
    careless.next().unwrap();
}
