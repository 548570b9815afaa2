//! Generators inside tasks: their bodies wait as the task that resumes them, and `co` works
//! nowhere but in its own body.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::{
    ErrorKind, Future, Generator, GeneratorState, Result, Resumed, Runner, VirtualClock, Yielder,
    call_soon, current_task, get_running_loop, millis, secs, sleep, spawn, yield_now,
};

use super::{Drops, assert_kind};

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

/// Sleeps a second before each value.
fn ticker(end: u32) -> Generator<(), u32, ()> {
    Generator::new(move |co| {
        for n in 0..end {
            sleep(secs(1))?;
            co.yield_(n)?;
        }
        Ok(())
    })
}

fn now() -> i64 {
    get_running_loop().unwrap().time().as_millis()
}

#[test]
fn a_body_can_sleep_when_a_task_drives_it() {
    let seen = run(|| {
        let ticks = ticker(3);
        ticks.iter().map(|n| Ok((n?, now()))).collect::<Result<Vec<_>>>()
    });
    assert_eq!(seen.unwrap(), [(0, 1000), (1, 2000), (2, 3000)]);
}

#[test]
fn a_body_can_wait_for_a_future_at_any_depth_of_generators() {
    let value = run(|| {
        let future = Future::new();
        let awaited = future.clone();
        let innermost: Generator<(), u32, u32> = Generator::new(move |co| {
            co.yield_(awaited.wait()?)?;
            awaited.wait()
        });
        let outer: Generator<(), u32, Option<u32>> =
            Generator::new(move |co| co.yield_from(&innermost));
        call_soon(move || future.set_result(5));
        assert_eq!(outer.next()?, Resumed::Yielded(5));
        outer.next()
    });
    assert_eq!(value.unwrap(), Resumed::Returned(Some(5)));
}

#[test]
fn a_body_waits_as_whichever_task_resumes_it() {
    let names = run(|| {
        let names = Rc::new(RefCell::new(Vec::new()));
        let log = names.clone();
        let shared: Rc<Generator<(), (), ()>> = Rc::new(Generator::new(move |co| {
            loop {
                let before = current_task().unwrap().name();
                sleep(millis(10))?;
                log.borrow_mut().push((before, current_task().unwrap().name()));
                co.yield_(())?;
            }
        }));
        let drive = |offset| {
            let generator = shared.clone();
            spawn(move || {
                sleep(millis(offset))?;
                for _ in 0..2 {
                    generator.next()?;
                    sleep(millis(20))?;
                }
                Ok(())
            })
        };
        let (a, b) = (drive(0), drive(15));
        a.set_name("a");
        b.set_name("b");
        a.join()?;
        b.join()?;
        Ok(names.take())
    });
    let pair = |name: &str| (name.to_owned(), name.to_owned());
    assert_eq!(names.unwrap(), [pair("a"), pair("b"), pair("a"), pair("b")]);
}

#[test]
fn a_generator_in_which_another_task_waits_is_executing_already() {
    run(|| {
        let shared = Rc::new(ticker(2));
        let first = shared.clone();
        let driver = spawn(move || first.next());
        yield_now()?;
        assert_eq!(shared.state(), GeneratorState::Running);
        for refused in [shared.next(), shared.send(()), shared.start()] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Value);
            assert_eq!(error.to_string(), "generator already executing");
        }
        assert_kind(shared.close(), ErrorKind::Value);
        assert_eq!(driver.join()?, Resumed::Yielded(0), "the first one is not disturbed");
        assert_eq!(shared.next()?, Resumed::Yielded(1));
        Ok(())
    })
    .unwrap();
}

#[test]
fn cancelling_the_driver_cancels_the_wait_inside_the_generator() {
    run(|| {
        let drops = Drops::default();
        let guard = drops.guard();
        let shared: Rc<Generator<(), u32, ()>> = Rc::new(Generator::new(move |co| {
            let _guard = guard;
            let error = sleep(secs(60)).unwrap_err();
            assert!(error.is_cancelled());
            co.yield_(1)?;
            Err(error)
        }));
        let driven = shared.clone();
        let driver = spawn(move || driven.next());
        yield_now()?;
        driver.cancel_with("enough");
        assert_eq!(driver.join()?, Resumed::Yielded(1), "the body dealt with it");
        assert_eq!(drops.count(), 0);
        let error = shared.next().unwrap_err();
        assert_eq!((error.is_cancelled(), error.message()), (true, Some("enough")));
        assert_eq!(drops.count(), 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_body_that_waits_where_nothing_can_wait_gets_an_error() {
    let outside: Generator<(), (), ()> = Generator::new(|_| yield_now());
    assert_kind(outside.next(), ErrorKind::Runtime);
    run(|| {
        let seen = Rc::new(RefCell::new(None));
        let saw = seen.clone();
        call_soon(move || {
            let in_callback: Generator<(), (), ()> = Generator::new(|_| yield_now());
            *saw.borrow_mut() = Some(in_callback.next().unwrap_err().kind());
        });
        yield_now()?;
        yield_now()?;
        assert_eq!(seen.take(), Some(ErrorKind::Runtime));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_generator_begun_in_a_task_goes_on_outside_of_the_loop() {
    let (generator, first) = run(|| {
        let generator: Generator<(), u32, ErrorKind> = Generator::new(|co| {
            sleep(secs(1))?;
            co.yield_(1)?;
            Ok(sleep(secs(1)).unwrap_err().kind())
        });
        let first = generator.next()?;
        Ok((generator, first))
    })
    .unwrap();
    assert_eq!(first, Resumed::Yielded(1));
    assert_eq!(generator.next().unwrap(), Resumed::Returned(ErrorKind::Runtime));
}

type Stolen = Rc<RefCell<Option<Yielder<(), u32>>>>;

/// Leaves a clone of its `co` in `stolen`, then yields twice.
fn careless(stolen: &Stolen) -> Generator<(), u32, ()> {
    let stolen = stolen.clone();
    Generator::named("careless", move |co| {
        *stolen.borrow_mut() = Some(co.clone());
        co.yield_(1)?;
        co.yield_(2)?;
        Ok(())
    })
}

#[track_caller]
fn assert_refused(stolen: &Stolen) {
    let co = stolen.borrow().clone().unwrap();
    let error = co.yield_(99).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert!(error.to_string().contains("`careless`"), "{error}");
    assert_kind(co.yield_from_iter([99]), ErrorKind::Runtime);
    let other: Generator<(), u32, ()> = Generator::new(|co| co.yield_(98));
    assert_kind(co.yield_from(&other), ErrorKind::Runtime);
}

#[test]
fn a_borrowed_co_is_refused_outside_of_its_body() {
    let stolen = Stolen::default();
    let generator = careless(&stolen);
    generator.next().unwrap();
    assert_refused(&stolen);
    assert_eq!(generator.next().unwrap(), Resumed::Yielded(2), "it goes on unharmed");
    generator.next().unwrap();
    assert_refused(&stolen);
    drop(generator);
    assert_refused(&stolen);
}

#[test]
fn a_borrowed_co_is_refused_inside_another_generator() {
    let stolen = Stolen::default();
    let generator = Rc::new(careless(&stolen));
    generator.next().unwrap();
    let theirs = stolen.clone();
    let thief: Generator<(), u32, ()> = Generator::new(move |co| {
        assert_refused(&theirs);
        co.yield_(3)
    });
    assert_eq!(thief.next().unwrap(), Resumed::Yielded(3));
    assert_eq!(generator.next().unwrap(), Resumed::Yielded(2));
}

#[test]
fn the_co_of_an_outer_generator_is_refused_while_an_inner_one_runs() {
    let outer: Generator<(), u32, u32> = Generator::named("careless", |co| {
        let stolen: Stolen = Rc::new(RefCell::new(Some(co.clone())));
        let inner: Generator<(), u32, ()> = Generator::new(move |_| {
            assert_refused(&stolen);
            Ok(())
        });
        inner.next()?;
        co.yield_(1)?;
        Ok(2)
    });
    assert_eq!(outer.next().unwrap(), Resumed::Yielded(1));
    assert_eq!(outer.next().unwrap(), Resumed::Returned(2));
}

#[test]
fn a_borrowed_co_is_refused_in_another_task() {
    run(|| {
        let stolen = Stolen::default();
        let generator = careless(&stolen);
        generator.next()?;
        let theirs = stolen.clone();
        spawn(move || {
            assert_refused(&theirs);
            Ok(())
        })
        .join()?;
        assert_eq!(generator.next()?, Resumed::Yielded(2));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_borrowed_co_is_refused_in_another_task_while_its_body_waits() {
    run(|| {
        let stolen = Stolen::default();
        let slot = stolen.clone();
        let generator: Generator<(), u32, ()> = Generator::named("careless", move |co| {
            *slot.borrow_mut() = Some(co.clone());
            sleep(secs(1))?;
            co.yield_(1)
        });
        let driver = spawn(move || generator.next());
        yield_now()?;
        assert_refused(&stolen);
        assert_eq!(driver.join()?, Resumed::Yielded(1));
        assert_refused(&stolen);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_panic_in_the_body_stays_with_the_driving_task() {
    run(|| {
        let generator: Rc<Generator<(), u32, ()>> = Rc::new(Generator::new(|_| {
            sleep(secs(1))?;
            panic!("boom");
        }));
        let driven = generator.clone();
        let error = spawn(move || driven.next()).join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic);
        assert!(error.to_string().ends_with("boom"), "{error}");
        assert_eq!(generator.state(), GeneratorState::Closed);
        let caught = catch_unwind(AssertUnwindSafe(|| generator.next()));
        assert_kind(caught.unwrap(), ErrorKind::StopIteration);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_task_left_waiting_inside_a_generator_is_ended_with_the_loop() {
    let drops = Drops::default();
    let (inside, outside) = (drops.guard(), drops.guard());
    let generator: Rc<Generator<(), u32, ()>> = Rc::new(Generator::new(move |_| {
        let _guard = inside;
        loop {
            // Refuses to end for as long as it is asked.
            let _refused = Future::<()>::new().wait();
        }
    }));
    let driven = generator.clone();
    let main = move || {
        spawn(move || {
            let _guard = outside;
            driven.next()
        });
        yield_now()
    };
    run(main).unwrap();
    assert_eq!(drops.count(), 2);
    assert_eq!(generator.state(), GeneratorState::Closed);
}
