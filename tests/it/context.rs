//! Contexts: whose values are seen by whom, and which are shared.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::{
    Context, ContextVar, Handle, Runner, TaskBuilder, call_later, call_soon, current_task, millis,
    run, sleep, spawn, yield_now,
};

static VALUE: ContextVar<u32> = ContextVar::new("value");
static OTHER: ContextVar<u32> = ContextVar::new("other");

#[test]
fn a_task_in_a_given_context_shares_it_and_no_other() {
    run(|| {
        VALUE.set(1);
        let context = Context::new();
        let task = TaskBuilder::new().context(&context).spawn(|| {
            assert_eq!(VALUE.get(), None);
            VALUE.set(2);
            yield_now()?;
            Ok(VALUE.get())
        });
        assert_eq!(task.join()?, Some(2));
        assert_eq!(context.get(&VALUE), Some(2));
        assert_eq!(VALUE.get(), Some(1));
        Ok(())
    })
    .unwrap();
}

#[test]
fn two_tasks_in_one_context_see_what_the_other_sets_at_once() {
    run(|| {
        let context = Context::new();
        let setter = TaskBuilder::new().context(&context).spawn(|| {
            for n in 1..4 {
                VALUE.set(n);
                yield_now()?;
            }
            Ok(())
        });
        let reader = TaskBuilder::new().context(&context).spawn(|| {
            let mut seen = Vec::new();
            for _ in 0..3 {
                seen.extend(VALUE.get());
                yield_now()?;
            }
            Ok(seen)
        });
        assert_eq!(reader.join()?, [1, 2, 3]);
        setter.join()
    })
    .unwrap();
}

#[test]
fn children_of_a_shared_context_start_with_a_copy() {
    run(|| {
        let context = Context::new();
        let task = TaskBuilder::new().context(&context).spawn(|| {
            VALUE.set(1);
            spawn(|| {
                assert_eq!(VALUE.get(), Some(1));
                VALUE.set(2);
                Ok(())
            })
            .join()?;
            Ok(VALUE.get())
        });
        assert_eq!(task.join()?, Some(1));
        Ok(())
    })
    .unwrap();
}

#[test]
fn run_enters_a_context_and_leaves_it_by_return_and_by_panic() {
    let context = Context::copy_current();
    assert_eq!(context.run(|| VALUE.set(7).old_value()), None);
    assert_eq!(VALUE.get(), None);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        context.run(|| {
            VALUE.set(8);
            panic!("in the context")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(VALUE.get(), None);
    assert_eq!(context.get(&VALUE), Some(8));
    let copy = context.copy();
    copy.run(|| VALUE.set(9));
    assert_eq!((context.get(&VALUE), copy.get(&VALUE)), (Some(8), Some(9)));
    assert_ne!(context, copy);
}

#[test]
fn a_context_entered_twice_is_one_context() {
    let context = Context::new();
    context.run(|| {
        VALUE.set(1);
        context.run(|| {
            assert_eq!(VALUE.get(), Some(1));
            VALUE.set(2);
        });
        assert_eq!(VALUE.get(), Some(2));
    });
}

#[test]
fn a_task_that_suspends_inside_run_takes_the_context_along() {
    run(|| {
        let context = Context::new();
        let inside = context.clone();
        let task = spawn(move || {
            VALUE.set(1);
            let seen = inside.run(|| {
                VALUE.set(2);
                sleep(millis(1))?;
                Ok::<_, stackio::Error>(VALUE.get())
            })?;
            Ok((seen, VALUE.get()))
        });
        yield_now()?;
        assert_eq!(VALUE.get(), None);
        assert_eq!(context.get(&VALUE), Some(2));
        context.run(|| VALUE.set(3));
        assert_eq!(task.join()?, (Some(3), Some(1)));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_task_cancelled_inside_run_leaves_the_context_by_itself() {
    run(|| {
        let context = Context::new();
        let task = spawn(move || {
            VALUE.set(1);
            let slept = context.run(|| sleep(millis(1)));
            assert!(slept.unwrap_err().is_cancelled());
            Ok(VALUE.get())
        });
        yield_now()?;
        task.cancel();
        assert_eq!(task.join()?, Some(1));
        assert_eq!(VALUE.get(), None);
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_context_of_a_task_can_be_looked_into_from_outside() {
    run(|| {
        let task = spawn(|| {
            VALUE.set(1);
            sleep(millis(1))?;
            Ok(VALUE.get())
        });
        yield_now()?;
        let context = task.erase().context().unwrap();
        assert_eq!(context.get(&VALUE), Some(1));
        context.run(|| VALUE.set(2));
        assert_eq!(task.join()?, Some(2));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_running_task_finds_its_own_context() {
    run(|| {
        let context = current_task().unwrap().context().unwrap();
        VALUE.set(5);
        assert_eq!(context.get(&VALUE), Some(5));
        context.run(|| VALUE.set(6));
        assert_eq!(VALUE.get(), Some(6));
        assert_eq!(current_task().unwrap().context(), Some(context));
        Ok(())
    })
    .unwrap();
}

#[test]
fn inside_spawn_of_an_eager_task_the_spawner_has_no_context_to_give() {
    run(|| {
        let parent = current_task().unwrap();
        let child = TaskBuilder::new().eager(true).spawn(move || Ok(parent.context().is_none()));
        assert!(child.join()?);
        assert!(current_task().unwrap().context().is_some());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_callback_has_a_context_before_and_while_it_runs() {
    run(|| {
        VALUE.set(1);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let noted = seen.clone();
        let handle = call_soon(move || noted.borrow_mut().extend(VALUE.get()));
        VALUE.set(2);
        assert_eq!(handle.context().get(&VALUE), Some(1));
        handle.context().run(|| VALUE.set(3));
        yield_now()?;
        assert_eq!(*seen.borrow(), [3]);

        let timer = call_later(millis(1), || {});
        assert_eq!(timer.context().get(&VALUE), Some(2));
        timer.cancel();
        assert_eq!(timer.context().get(&VALUE), None);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_callback_that_cancels_itself_leaves_the_context_around_it_alone() {
    VALUE.set(1);
    run(|| {
        let own = Rc::new(RefCell::new(None::<Handle>));
        let cancels = own.clone();
        *own.borrow_mut() = Some(call_soon(move || {
            VALUE.set(2);
            cancels.take().unwrap().cancel();
            assert_eq!(VALUE.get(), Some(2));
        }));
        yield_now()
    })
    .unwrap();
    assert_eq!(VALUE.get(), Some(1));
}

#[test]
fn the_main_tasks_of_a_runner_have_one_context() {
    OTHER.set(1);
    let mut runner = Runner::new().unwrap();
    let first = runner.run(|| {
        let inherited = OTHER.get();
        VALUE.set(1);
        Ok(inherited)
    });
    assert_eq!(first.unwrap(), Some(1));
    assert_eq!(runner.run(|| Ok(VALUE.get())).unwrap(), Some(1));
    let context = Context::new();
    assert_eq!(runner.run_in(&context, || Ok(VALUE.get())).unwrap(), None);
    assert_eq!(VALUE.get(), None);
}

#[test]
fn a_destructor_of_a_value_may_use_its_variable() {
    #[derive(Clone)]
    struct Looks(#[expect(dead_code, reason = "it is there to be dropped")] Rc<()>);
    static LOOKS: ContextVar<Looks> = ContextVar::new("looks");
    impl Drop for Looks {
        fn drop(&mut self) {
            VALUE.set(VALUE.get().unwrap_or(0) + 1);
        }
    }
    Context::new().run(|| {
        LOOKS.set(Looks(Rc::new(())));
        drop(LOOKS.set(Looks(Rc::new(()))));
        assert!(VALUE.get().is_some());
    });
}
