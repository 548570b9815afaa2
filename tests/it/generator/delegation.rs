//! `yield_from`, as PEP 380 has it.

use std::cell::RefCell;
use std::rc::Rc;

use stackio::{Delegate, Error, ErrorKind, Generator, GeneratorState, Result, Resumed};

use super::{Drops, assert_kind, count, echo, value_error};

type Log = Rc<RefCell<Vec<String>>>;

/// Yields twice; logs what comes in, and lets errors out.
fn inner(log: &Log) -> Generator<u32, u32, &'static str> {
    let log = log.clone();
    Generator::named("inner", move |co| {
        for n in [10, 20] {
            match co.yield_(n) {
                Ok(sent) => log.borrow_mut().push(format!("sent {sent}")),
                Err(error) => {
                    log.borrow_mut().push(format!("thrown {:?}", error.kind()));
                    return Err(error);
                }
            }
        }
        Ok("inner's value")
    })
}

/// Delegates to `inner` and returns what it returned.
fn outer(log: &Log) -> Generator<u32, u32, Option<&'static str>> {
    let inner = inner(log);
    Generator::named("outer", move |co| co.yield_from(&inner))
}

#[test]
fn yields_go_out_sends_go_in_and_the_value_comes_back() {
    let log = Log::default();
    let outer = outer(&log);
    assert_eq!(outer.start().unwrap(), Resumed::Yielded(10));
    assert_eq!(outer.send(1).unwrap(), Resumed::Yielded(20));
    assert_eq!(outer.send(2).unwrap(), Resumed::Returned(Some("inner's value")));
    assert_eq!(*log.borrow(), ["sent 1", "sent 2"]);
}

#[test]
fn an_error_thrown_in_reaches_the_inner_one_first() {
    let log = Log::default();
    let outer = outer(&log);
    outer.start().unwrap();
    let thrown = value_error();
    assert!(outer.throw(thrown.clone()).unwrap_err().ptr_eq(&thrown));
    assert_eq!(*log.borrow(), ["thrown Value"]);
    assert_eq!(outer.state(), GeneratorState::Closed);
}

#[test]
fn an_error_that_the_inner_one_catches_does_not_reach_the_outer() {
    let inner: Generator<(), &str, &str> = Generator::new(|co| {
        let _caught = co.yield_("waiting");
        co.yield_("caught")?;
        Ok("value")
    });
    let outer: Generator<(), &str, Option<&str>> = Generator::new(move |co| co.yield_from(&inner));
    outer.next().unwrap();
    assert_eq!(outer.throw(value_error()).unwrap(), Resumed::Yielded("caught"));
    assert_eq!(outer.next().unwrap(), Resumed::Returned(Some("value")));
}

#[test]
fn an_error_of_the_inner_one_can_be_caught_by_the_outer() {
    let outer: Generator<(), u32, ErrorKind> = Generator::new(|co| {
        let inner: Generator<(), u32, ()> = Generator::new(|_| Err(value_error()));
        let error = co.yield_from(&inner).unwrap_err();
        co.yield_(1)?;
        Ok(error.kind())
    });
    assert_eq!(outer.next().unwrap(), Resumed::Yielded(1));
    assert_eq!(outer.next().unwrap(), Resumed::Returned(ErrorKind::Value));
}

#[test]
fn closing_the_outer_closes_the_inner_first() {
    let log = Log::default();
    let inner = Rc::new(inner(&log));
    let (delegate, after) = (inner.clone(), log.clone());
    let outer: Generator<u32, u32, Option<&str>> = Generator::new(move |co| {
        let delegated = co.yield_from(&delegate);
        let kind = delegated.as_ref().unwrap_err().kind();
        after.borrow_mut().push(format!("outer {kind:?}"));
        delegated
    });
    outer.start().unwrap();
    assert_eq!(outer.close().unwrap(), None);
    assert_eq!(*log.borrow(), ["thrown GeneratorExit", "outer GeneratorExit"]);
    assert_eq!(inner.state(), GeneratorState::Closed);
}

#[test]
fn an_inner_one_that_ignores_the_close_is_an_error_in_the_outer() {
    let inner: Generator<(), u32, ()> = Generator::new(|co| {
        let _exit = co.yield_(1);
        co.yield_(2)
    });
    let inner = Rc::new(inner);
    let delegate = inner.clone();
    let outer: Generator<(), u32, Option<()>> = Generator::new(move |co| co.yield_from(&delegate));
    outer.next().unwrap();
    let error = outer.close().unwrap_err();
    assert_eq!(error.to_string(), "generator ignored GeneratorExit");
    assert_eq!(outer.state(), GeneratorState::Closed);
    assert_eq!(inner.next().unwrap(), Resumed::Returned(()));
}

#[test]
fn a_delegate_that_has_finished_gives_nothing() {
    let inner = count(0);
    inner.next().unwrap();
    let outer: Generator<(), u32, Option<()>> = Generator::new(move |co| co.yield_from(&inner));
    assert_eq!(outer.next().unwrap(), Resumed::Returned(None));
}

#[test]
fn a_delegate_begun_elsewhere_is_taken_over_where_it_stands() {
    let inner = count(3);
    inner.next().unwrap();
    let outer: Generator<(), u32, Option<()>> = Generator::new(move |co| co.yield_from(&inner));
    let rest: Vec<u32> = outer.iter().map(Result::unwrap).collect();
    assert_eq!(rest, [1, 2]);
}

#[test]
fn a_delegate_driven_to_its_end_by_somebody_else_ends_the_delegation() {
    let inner = Rc::new(count(2));
    let delegate = inner.clone();
    let outer: Generator<(), u32, Option<()>> = Generator::new(move |co| co.yield_from(&delegate));
    assert_eq!(outer.next().unwrap(), Resumed::Yielded(0));
    assert_eq!(inner.iter().count(), 1);
    assert_eq!(outer.next().unwrap(), Resumed::Returned(None));
}

#[test]
fn delegating_to_oneself_is_executing_already() {
    type Itself = Rc<Generator<(), u32, Option<Option<()>>>>;
    let slot: Rc<RefCell<Option<Itself>>> = Rc::default();
    let me = slot.clone();
    let generator = Rc::new(Generator::new(move |co| {
        let this = me.borrow().clone().unwrap();
        assert_kind(co.yield_from(&this), ErrorKind::Value);
        co.yield_(1)?;
        Ok(None)
    }));
    *slot.borrow_mut() = Some(generator.clone());
    assert_eq!(generator.next().unwrap(), Resumed::Yielded(1));
    *slot.borrow_mut() = None;
    assert_eq!(generator.close().unwrap(), None);
}

#[test]
fn an_iterator_is_yielded_item_by_item() {
    let generator: Generator<(), u32, &str> = Generator::new(|co| {
        co.yield_from_iter(1..=2)?;
        Ok("done")
    });
    assert_eq!(generator.next().unwrap(), Resumed::Yielded(1));
    assert!(generator.yielding_from().unwrap().is_iterator());
    assert_eq!(generator.next().unwrap(), Resumed::Yielded(2));
    assert_eq!(generator.next().unwrap(), Resumed::Returned("done"));
    assert!(generator.yielding_from().is_none());
}

#[test]
fn an_iterator_has_no_send() {
    let generator: Generator<u32, u32, ()> = Generator::new(|co| co.yield_from_iter(1..=2));
    generator.start().unwrap();
    assert_kind(generator.send(5), ErrorKind::Attribute);
    assert_eq!(generator.state(), GeneratorState::Closed);
}

#[test]
fn an_error_thrown_at_an_iterator_comes_out_of_the_delegation() {
    let drops = Drops::default();
    let guard = drops.guard();
    let generator: Generator<(), u32, ErrorKind> = Generator::new(move |co| {
        let items = [1, 2].into_iter().inspect(move |_| {
            let _owned = &guard;
        });
        Ok(co.yield_from_iter(items).unwrap_err().kind())
    });
    generator.next().unwrap();
    let returned = generator.throw(value_error()).unwrap();
    assert_eq!(returned, Resumed::Returned(ErrorKind::Value));
    assert_eq!(drops.count(), 1, "the iterator is gone");
}

#[test]
fn closing_during_an_iterator_is_generator_exit() {
    let generator: Generator<(), u32, ()> = Generator::new(|co| co.yield_from_iter(1..=2));
    generator.next().unwrap();
    assert_eq!(generator.close().unwrap(), None);
    assert_eq!(generator.state(), GeneratorState::Closed);
}

#[test]
fn a_stop_iteration_thrown_at_an_iterator_ends_the_delegation_only() {
    // As in Python, where `yield from` takes it for the iterator's end.
    let generator: Generator<(), u32, &str> = Generator::new(|co| {
        co.yield_from_iter(1..=5)?;
        Ok("went on")
    });
    generator.next().unwrap();
    let stop = Error::from(ErrorKind::StopIteration);
    assert_eq!(generator.throw(stop).unwrap(), Resumed::Returned("went on"));
}

#[test]
fn a_stop_iteration_thrown_at_a_generator_is_a_runtime_error_there() {
    // PEP 479: the inner body lets it out, and so the outer never sees it.
    let generator: Generator<(), u32, ErrorKind> =
        Generator::new(|co| Ok(co.yield_from(&count(5)).unwrap_err().kind()));
    generator.next().unwrap();
    let stop = Error::from(ErrorKind::StopIteration);
    assert_eq!(generator.throw(stop).unwrap(), Resumed::Returned(ErrorKind::Runtime));
}

#[test]
fn the_place_stays_the_same_while_delegating() {
    let line = line!() + 2;
    let generator: Generator<u32, u32, ()> = Generator::new(|co| {
        co.yield_from(&echo())?;
        Ok(())
    });
    generator.start().unwrap();
    for n in 0..3 {
        let at = generator.suspended_at().unwrap();
        assert_eq!((at.file(), at.line()), (file!(), line));
        assert_eq!(generator.send(n).unwrap(), Resumed::Yielded(n));
    }
}

#[test]
fn the_chain_of_delegates_is_visible() {
    let log = Log::default();
    let middle = outer(&log);
    let top: Generator<u32, u32, ()> = Generator::named("top", move |co| {
        co.yield_from(&middle)?;
        co.yield_(99)?;
        Ok(())
    });
    assert!(top.yielding_from().is_none());
    top.start().unwrap();
    let first = top.yielding_from().unwrap();
    let second = first.yielding_from().unwrap();
    let names = [first.name(), second.name()].map(Option::unwrap);
    assert_eq!(names, ["outer", "inner"]);
    assert!(second.yielding_from().is_none());
    assert!(!second.is_iterator());
    let at = second.suspended_at().unwrap();
    assert_eq!(at.file(), file!());
    assert_ne!(Some(at), top.suspended_at());
    top.send(1).unwrap();
    assert_eq!(top.send(2).unwrap(), Resumed::Yielded(99));
    assert!(top.yielding_from().is_none(), "the delegation is over");
}

#[test]
fn the_chain_is_empty_once_the_outer_has_failed() {
    let log = Log::default();
    let outer = outer(&log);
    outer.start().unwrap();
    outer.throw(value_error()).unwrap_err();
    assert!(outer.yielding_from().is_none());
    assert_eq!(outer.suspended_at(), None);
}

/// A binary tree's nodes in order, each subtree by a generator of its own.
fn tree(low: u32, high: u32) -> Generator<(), u32, u32> {
    Generator::with_stack_size(64 * 1024, move |co| {
        if low == high {
            return Ok(0);
        }
        let middle = low + (high - low) / 2;
        let left = co.yield_from(&tree(low, middle))?;
        co.yield_(middle)?;
        let right = co.yield_from(&tree(middle + 1, high))?;
        Ok(left.unwrap() + 1 + right.unwrap())
    })
}

#[test]
fn a_recursion_of_generators_walks_a_tree() {
    let tree = tree(0, 100);
    for n in 0..100 {
        assert_eq!(tree.next().unwrap(), Resumed::Yielded(n));
    }
    assert_eq!(tree.next().unwrap(), Resumed::Returned(100));
}

/// A chain of delegations of that depth, at whose end one value is yielded.
fn chain(depth: u32, drops: &Drops) -> Generator<(), u32, ()> {
    let (drops, guard) = (drops.clone(), drops.guard());
    Generator::with_stack_size(64 * 1024, move |co| {
        let _guard = guard;
        if depth == 0 {
            co.yield_(7)?;
        } else {
            co.yield_from(&chain(depth - 1, &drops))?;
        }
        Ok(())
    })
}

#[test]
fn a_thousand_delegations_deep_values_still_come_out() {
    let drops = Drops::default();
    let top = chain(1000, &drops);
    assert_eq!(top.next().unwrap(), Resumed::Yielded(7));
    let depth = |top: &Generator<(), u32, ()>| {
        std::iter::successors(top.yielding_from(), Delegate::yielding_from).count()
    };
    assert_eq!(depth(&top), 1000);
    assert_eq!(top.next().unwrap(), Resumed::Returned(()));
    assert_eq!(drops.count(), 1001);

    let top = chain(1000, &drops);
    top.next().unwrap();
    drop(top);
    assert_eq!(drops.count(), 2002, "dropped through all levels");
}
