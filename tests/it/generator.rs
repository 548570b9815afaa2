//! Generators as PEP 342 has them: start, next, send, throw, close, states, places, iteration.
//!
//! Below: `delegation` is PEP 380, `ambient` is generators inside tasks, `endings` is how they
//! are dropped, closed and unwound.

mod ambient;
mod delegation;
mod endings;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::{Error, ErrorKind, Generator, GeneratorState, Result, Resumed};

/// Yields 0, 1, 2 and so on below `end`; is sent and returns nothing.
fn count(end: u32) -> Generator<(), u32, ()> {
    Generator::new(move |co| {
        for n in 0..end {
            co.yield_(n)?;
        }
        Ok(())
    })
}

/// Yields what it was sent last, for ever; starts with 0.
fn echo() -> Generator<u32, u32, ()> {
    Generator::new(|co| {
        let mut last = 0;
        loop {
            last = co.yield_(last)?;
        }
    })
}

fn value_error() -> Error {
    Error::new(ErrorKind::Value, "thrown in")
}

#[track_caller]
fn assert_kind<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) {
    assert_eq!(result.map_err(|error| error.kind()).unwrap_err(), kind);
}

/// Counts drops.
#[derive(Clone, Default)]
struct Drops(Rc<Cell<u32>>);

impl Drops {
    fn count(&self) -> u32 {
        self.0.get()
    }

    fn guard(&self) -> Dropped {
        Dropped(self.0.clone())
    }
}

struct Dropped(Rc<Cell<u32>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn next_runs_to_the_next_yield_and_then_to_the_end() {
    let counter = count(2);
    assert_eq!(counter.next().unwrap(), Resumed::Yielded(0));
    assert_eq!(counter.next().unwrap(), Resumed::Yielded(1));
    assert_eq!(counter.next().unwrap(), Resumed::Returned(()));
}

#[test]
fn what_is_sent_comes_out_of_the_yield() {
    let echo = echo();
    assert_eq!(echo.start().unwrap(), Resumed::Yielded(0));
    assert_eq!(echo.send(7).unwrap(), Resumed::Yielded(7));
    assert_eq!(echo.send(8).unwrap(), Resumed::Yielded(8));
    assert_eq!(echo.next().unwrap(), Resumed::Yielded(0), "next sends the default");
}

#[test]
fn nothing_runs_before_the_start() {
    let ran = Rc::new(Cell::new(false));
    let running = ran.clone();
    let generator: Generator<(), (), ()> = Generator::new(move |_| {
        running.set(true);
        Ok(())
    });
    assert_eq!(generator.state(), GeneratorState::Created);
    assert!(!ran.get());
    assert_eq!(generator.start().unwrap(), Resumed::Returned(()));
    assert!(ran.get());
}

#[test]
fn sending_into_a_just_started_generator_is_a_type_error() {
    let echo = echo();
    let error = echo.send(1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Type);
    assert!(error.to_string().contains("just-started"), "{error}");
    assert_eq!(echo.start().unwrap(), Resumed::Yielded(0), "it can still be started");
}

#[test]
fn starting_twice_is_an_error_and_changes_nothing() {
    let echo = echo();
    echo.start().unwrap();
    assert_kind(echo.start(), ErrorKind::Runtime);
    assert_eq!(echo.send(3).unwrap(), Resumed::Yielded(3));
}

#[test]
fn a_finished_generator_gives_stop_iteration_again_and_again() {
    let counter = count(0);
    counter.next().unwrap();
    for _ in 0..2 {
        assert_kind(counter.next(), ErrorKind::StopIteration);
        assert_kind(counter.start(), ErrorKind::StopIteration);
        assert_kind(counter.send(()), ErrorKind::StopIteration);
    }
}

#[test]
fn an_error_of_the_body_reaches_the_caller_and_closes_it() {
    let generator: Generator<(), (), ()> = Generator::new(|_| Err(value_error()));
    assert_kind(generator.next(), ErrorKind::Value);
    assert_eq!(generator.state(), GeneratorState::Closed);
    assert_kind(generator.next(), ErrorKind::StopIteration);
}

#[test]
fn a_thrown_error_comes_out_of_the_yield_and_can_be_caught() {
    let generator: Generator<(), &str, &str> = Generator::new(|co| {
        let error = co.yield_("first").unwrap_err();
        assert_eq!(error.message(), None);
        assert_eq!(error.to_string(), "thrown in");
        co.yield_("caught")?;
        Ok("end")
    });
    generator.start().unwrap();
    assert_eq!(generator.throw(value_error()).unwrap(), Resumed::Yielded("caught"));
    assert_eq!(generator.next().unwrap(), Resumed::Returned("end"));
}

#[test]
fn a_thrown_error_that_nobody_catches_is_the_very_same_outside() {
    let counter = count(9);
    counter.next().unwrap();
    let thrown = value_error();
    assert!(counter.throw(thrown.clone()).unwrap_err().ptr_eq(&thrown));
    assert_eq!(counter.state(), GeneratorState::Closed);
}

#[test]
fn throwing_before_the_start_or_after_the_end_gives_the_error_back() {
    let drops = Drops::default();
    let guard = drops.guard();
    let fresh: Generator<(), (), ()> = Generator::new(move |_| {
        drop(guard);
        panic!("the body does not run");
    });
    for _ in 0..2 {
        let thrown = value_error();
        assert!(fresh.throw(thrown.clone()).unwrap_err().ptr_eq(&thrown));
        assert_eq!(fresh.state(), GeneratorState::Closed);
        assert_eq!(drops.count(), 1, "what the body owned is gone");
    }
    assert_kind(fresh.next(), ErrorKind::StopIteration);
}

#[test]
fn close_raises_generator_exit_at_the_yield() {
    let seen = Rc::new(RefCell::new(None));
    let saw = seen.clone();
    let generator: Generator<(), (), ()> = Generator::new(move |co| {
        let error = co.yield_(()).unwrap_err();
        *saw.borrow_mut() = Some(error.kind());
        Err(error)
    });
    generator.next().unwrap();
    assert_eq!(generator.close().unwrap(), None);
    assert_eq!(*seen.borrow(), Some(ErrorKind::GeneratorExit));
    assert_eq!(generator.close().unwrap(), None, "closing twice is fine");
}

#[test]
fn close_gives_what_the_body_returns_in_reaction() {
    // Python 3.13: close() returns the value of the StopIteration.
    let generator: Generator<(), (), u32> = Generator::new(|co| match co.yield_(()) {
        Err(error) if error.kind() == ErrorKind::GeneratorExit => Ok(5),
        other => other.map(|()| 0),
    });
    generator.next().unwrap();
    assert_eq!(generator.close().unwrap(), Some(5));
    assert_eq!(generator.close().unwrap(), None, "the value is given once");
}

#[test]
fn close_before_the_start_runs_nothing() {
    let generator: Generator<(), (), ()> = Generator::new(|_| panic!("the body does not run"));
    assert_eq!(generator.close().unwrap(), None);
    assert_eq!(generator.state(), GeneratorState::Closed);
    assert_kind(generator.next(), ErrorKind::StopIteration);
}

#[test]
fn close_passes_another_error_of_the_body_on() {
    let generator: Generator<(), (), ()> = Generator::new(|co| {
        let _exit = co.yield_(());
        Err(value_error())
    });
    generator.next().unwrap();
    assert_kind(generator.close(), ErrorKind::Value);
    assert_eq!(generator.state(), GeneratorState::Closed);
}

#[test]
fn yielding_in_reaction_to_close_is_an_error_and_the_generator_goes_on() {
    let generator: Generator<(), u32, &str> = Generator::new(|co| {
        let _exit = co.yield_(1);
        co.yield_(2)?;
        Ok("end")
    });
    generator.next().unwrap();
    let error = generator.close().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert_eq!(error.to_string(), "generator ignored GeneratorExit");
    assert_eq!(generator.state(), GeneratorState::Suspended);
    assert_eq!(generator.next().unwrap(), Resumed::Returned("end"));
}

#[test]
fn stop_iteration_that_leaves_a_body_becomes_a_runtime_error() {
    // PEP 479: else it would end the caller's loop in silence.
    let generator: Generator<(), (), ()> = Generator::new(|_| {
        count(0).next()?;
        Err(Error::from(ErrorKind::StopIteration))
    });
    let error = generator.next().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert_eq!(error.to_string(), "generator raised StopIteration");
}

type Shared = Rc<RefCell<Option<Rc<Generator<(), u32, ()>>>>>;

#[test]
fn a_generator_that_resumes_itself_is_executing_already() {
    let myself = Shared::default();
    let me = myself.clone();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let saw = seen.clone();
    let generator = Rc::new(Generator::new(move |co| {
        let this = me.borrow().clone().unwrap();
        assert_eq!(this.state(), GeneratorState::Running);
        for refused in [this.next(), this.start(), this.send(()), this.throw(value_error())] {
            let error = refused.unwrap_err();
            saw.borrow_mut().push((error.kind(), error.to_string()));
        }
        assert_kind(this.close(), ErrorKind::Value);
        co.yield_(1)?;
        Ok(())
    }));
    *myself.borrow_mut() = Some(generator.clone());
    assert_eq!(generator.next().unwrap(), Resumed::Yielded(1), "it goes on unharmed");
    let refusal = (ErrorKind::Value, "generator already executing".to_owned());
    assert_eq!(*seen.borrow(), vec![refusal; 4]);
    assert_eq!(generator.next().unwrap(), Resumed::Returned(()));
    *myself.borrow_mut() = None;
}

#[test]
fn states_are_those_of_python() {
    let generator = count(1);
    assert_eq!(generator.state(), GeneratorState::Created);
    generator.next().unwrap();
    assert_eq!(generator.state(), GeneratorState::Suspended);
    generator.next().unwrap();
    assert_eq!(generator.state(), GeneratorState::Closed);
}

#[test]
fn the_place_of_the_suspended_yield_is_known() {
    let generator: Generator<(), u32, ()> = Generator::new(|co| {
        co.yield_(line!())?;
        co.yield_(line!())?;
        Ok(())
    });
    assert_eq!(generator.suspended_at(), None);
    for _ in 0..2 {
        let Resumed::Yielded(line) = generator.next().unwrap() else { panic!("it yields twice") };
        let at = generator.suspended_at().unwrap();
        assert_eq!((at.file(), at.line()), (file!(), line));
    }
    generator.next().unwrap();
    assert_eq!(generator.suspended_at(), None);
}

#[test]
fn a_for_loop_by_reference_leaves_the_rest() {
    let counter = count(5);
    let mut seen = Vec::new();
    for n in &counter {
        seen.push(n.unwrap());
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen, [0, 1]);
    assert_eq!(counter.next().unwrap(), Resumed::Yielded(2));
    assert_eq!(counter.iter().map(Result::unwrap).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(counter.iter().count(), 0, "an ended one yields nothing");
}

#[test]
fn a_for_loop_by_value_ends_the_generator_when_left() {
    let drops = Drops::default();
    let guard = drops.guard();
    let generator: Generator<(), u32, ()> = Generator::new(move |co| {
        let _guard = guard;
        co.yield_(1)?;
        co.yield_(2)?;
        Ok(())
    });
    for n in generator {
        assert_eq!(drops.count(), 0);
        if n.unwrap() == 1 {
            break;
        }
    }
    assert_eq!(drops.count(), 1);
}

#[test]
fn an_error_is_the_last_item_of_an_iteration() {
    let generator: Generator<(), u32, ()> = Generator::new(|co| {
        co.yield_(1)?;
        Err(value_error())
    });
    let items: Vec<_> = generator.into_iter().map(|item| item.map_err(|e| e.kind())).collect();
    assert_eq!(items, [Ok(1), Err(ErrorKind::Value)]);
}

#[test]
fn a_yield_works_at_any_depth_of_calls() {
    fn walk(depth: u32, co: &stackio::Yielder<(), u32>) -> Result {
        if depth > 0 {
            walk(depth - 1, co)?;
            co.yield_(depth)?;
            walk(depth - 1, co)?;
        }
        Ok(())
    }
    let generator = Generator::new(|co| walk(4, co));
    let walked: Vec<u32> = generator.iter().map(Result::unwrap).collect();
    assert_eq!(walked, [1, 2, 1, 3, 1, 2, 1, 4, 1, 2, 1, 3, 1, 2, 1]);
}
