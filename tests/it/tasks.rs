//! Tasks: names, results, errors, contexts, order.
//!
//! Below: `cancelling` is how they are asked to end, `schedules` is random schedules of both,
//! `timeouts` is timeouts that are left and begun again.

mod cancelling;
mod schedules;
mod timeouts;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::{
    ContextVar, ErrorKind, ExceptionContext, ExceptionSource, Future, Result, Runner, TaskBuilder,
    VirtualClock, all_tasks, call_soon, current_task, secs, sleep, spawn, yield_now,
};

use crate::support::Dropped;

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

type Reports = Rc<RefCell<Vec<ExceptionContext>>>;

/// Runs with an exception handler that keeps what it is told, until the loop is closed.
fn run_reported<T: 'static>(
    main: impl FnOnce(Reports) -> Result<T> + 'static,
) -> (Result<T>, Vec<ExceptionContext>) {
    let reports = Reports::default();
    let (log, seen) = (reports.clone(), reports.clone());
    let mut runner = Runner::builder()
        .virtual_clock(&VirtualClock::new())
        .exception_handler(move |report| log.borrow_mut().push(report.clone()))
        .build()
        .unwrap();
    let ended = runner.run(move || main(seen));
    drop(runner);
    (ended, reports.take())
}

type Log<T> = Rc<RefCell<Vec<T>>>;

#[test]
fn tasks_are_numbered_and_can_be_named() {
    run(|| {
        assert_eq!(current_task().unwrap().name(), "Task-1");
        let (second, named) = (spawn(|| Ok(())), TaskBuilder::new().name("n").spawn(|| Ok(())));
        let third = spawn(|| Ok(()));
        assert_eq!([second.name(), named.name(), third.name()], ["Task-2", "n", "Task-3"]);
        third.set_name("other");
        assert_eq!(third.erase().name(), "other");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_panic_is_the_tasks_error_and_the_rest_goes_on() {
    run(|| {
        let other = spawn(|| {
            sleep(secs(1))?;
            Ok(5)
        });
        let bad = TaskBuilder::new()
            .name("bad")
            .spawn(|| -> Result { panic!("boom {}", current_task().unwrap().name()) });
        let error = bad.wait().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic);
        assert_eq!(error.to_string(), "the task `bad` panicked: boom bad");
        let payload = error.take_panic().unwrap();
        assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some("boom bad"));
        assert!(error.take_panic().is_none(), "the payload is given once");
        assert_eq!(other.join()?, 5);
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_error_that_nobody_looks_at_is_reported_with_the_name_of_its_task() {
    let (_, reports) = run_reported(|reports| {
        let failing = TaskBuilder::new().name("lost").spawn(|| -> Result { panic!("boom") });
        sleep(secs(1))?;
        assert_eq!(reports.borrow().len(), 0, "somebody may still look");
        drop(failing);
        Ok(())
    });
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].source, ExceptionSource::NeverRetrieved);
    assert_eq!(reports[0].exception.as_ref().unwrap().kind(), ErrorKind::Panic);
    assert_eq!(reports[0].task.as_deref(), Some("lost"));
}

#[test]
fn an_error_that_somebody_looked_at_is_not_reported() {
    let (_, reports) = run_reported(|_| {
        let failing = || spawn(|| -> Result { Err(ErrorKind::Value.into()) });
        let (waited, asked, tried) = (failing(), failing(), failing());
        waited.join().unwrap_err();
        yield_now()?;
        asked.exception()?.unwrap();
        tried.result().unwrap_err();
        let set = Future::<()>::new();
        set.set_exception(ErrorKind::Value)?;
        set.cancel();
        Ok(())
    });
    assert_eq!(reports.len(), 0, "{reports:?}");
}

#[test]
fn a_callback_that_suspends_gets_an_error_and_the_rest_goes_on() {
    let (ended, reports) = run_reported(|_| {
        call_soon(yield_now);
        call_soon(|| sleep(secs(1)));
        call_soon(|| Future::<()>::new().wait());
        let done = Future::new();
        done.add_done_callback(|_| yield_now());
        done.set_result(1)?;
        sleep(secs(1))
    });
    ended.unwrap();
    assert_eq!(reports.len(), 4);
    for report in &reports {
        let error = report.exception.as_ref().unwrap();
        assert_eq!((report.source, error.kind()), (ExceptionSource::Callback, ErrorKind::Runtime));
        assert!(error.to_string().contains("only inside a task"), "{error}");
    }
}

#[test]
fn outside_of_a_loop_waiting_is_an_error_and_spawning_a_panic() {
    assert_eq!(yield_now().unwrap_err().kind(), ErrorKind::Runtime);
    assert_eq!(sleep(secs(1)).unwrap_err().kind(), ErrorKind::Runtime);
    let pending = Runner::new().unwrap().event_loop().create_future::<()>();
    assert_eq!(pending.wait().unwrap_err().kind(), ErrorKind::Runtime);
    let spawned = std::panic::catch_unwind(|| drop(spawn(|| Ok(()))));
    let message = *spawned.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("no running event loop"), "{message}");
    assert!(current_task().is_none() && all_tasks().is_empty());
}

#[test]
fn suspending_while_a_panic_unwinds_is_refused_and_the_rest_goes_on() {
    run(|| {
        let refusals = Rc::new(RefCell::new(Vec::new()));
        let log = refusals.clone();
        let other = spawn(|| {
            for _ in 0..3 {
                assert!(!std::thread::panicking());
                yield_now()?;
            }
            Ok(())
        });
        let bad = spawn(move || -> Result {
            let _waits = Dropped(move || {
                let refused = [yield_now(), sleep(secs(1)), Future::<()>::new().wait()];
                log.borrow_mut().extend(refused.map(|refused| refused.unwrap_err().kind()));
            });
            panic!("boom");
        });
        assert_eq!(bad.join().unwrap_err().kind(), ErrorKind::Panic);
        assert_eq!(*refusals.borrow(), [ErrorKind::Runtime; 3]);
        other.join()
    })
    .unwrap();
}

static NUMBER: ContextVar<u32> = ContextVar::new("number");

#[test]
fn a_task_inherits_the_context_by_copy() {
    run(|| {
        NUMBER.set(1);
        let child = spawn(|| {
            let inherited = NUMBER.get();
            NUMBER.set(2);
            yield_now()?;
            Ok((inherited, NUMBER.get()))
        });
        NUMBER.set(3);
        let seen = Rc::new(Cell::new(None));
        let saw = seen.clone();
        call_soon(move || saw.set(NUMBER.set(9).old_value()));
        NUMBER.set(4);
        assert_eq!(child.join()?, (Some(1), Some(2)), "as it was when it was spawned");
        assert_eq!(seen.get(), Some(3), "as it was when it was scheduled");
        assert_eq!(NUMBER.get(), Some(4));
        Ok(())
    })
    .unwrap();
    assert_eq!(NUMBER.get(), None, "nothing leaves the run");
}

#[test]
fn a_variable_is_reset_by_the_token_of_its_set() {
    static OTHER: ContextVar<u32> = ContextVar::new("other");
    run(|| {
        let token = NUMBER.set(1);
        let inner = NUMBER.set(2);
        assert_eq!(OTHER.reset(inner).unwrap_err().kind(), ErrorKind::Value);
        NUMBER.reset(token)?;
        assert_eq!(NUMBER.get(), None);
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_eager_task_runs_to_its_first_wait_inside_spawn() {
    run(|| {
        let log = Log::<&str>::default();
        let theirs = log.clone();
        let task = TaskBuilder::new().name("eager").eager(true).spawn(move || {
            theirs.borrow_mut().push("first step");
            assert_eq!(current_task().unwrap().name(), "eager");
            yield_now()?;
            theirs.borrow_mut().push("second step");
            Ok(7)
        });
        log.borrow_mut().push("spawned");
        assert_eq!(current_task().unwrap().name(), "Task-1");
        assert_eq!(task.join()?, 7);
        assert_eq!(*log.borrow(), ["first step", "spawned", "second step"]);
        let at_once = TaskBuilder::new().eager(true).spawn(|| Ok(8));
        assert!(at_once.done());
        assert_eq!(at_once.join()?, 8);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_bare_yield_and_a_sleep_of_nothing_take_one_iteration() {
    for pause in [yield_now, || sleep(secs(0))] {
        let log = run(move || {
            let log = Log::<u32>::default();
            let step = |n: u32| {
                let log = log.clone();
                move || {
                    log.borrow_mut().push(n);
                    pause()?;
                    log.borrow_mut().push(n + 10);
                    Ok(())
                }
            };
            let tasks = [spawn(step(1)), spawn(step(2))];
            pause()?;
            log.borrow_mut().push(0);
            pause()?;
            assert!(tasks.iter().all(|task| task.done()));
            Ok(log.take())
        });
        assert_eq!(log.unwrap(), [1, 2, 0, 11, 12]);
    }
}

#[test]
fn dropping_every_handle_does_not_end_a_task() {
    run(|| {
        let done = Rc::new(Cell::new(false));
        let finish = done.clone();
        drop(spawn(move || {
            // Not even the future that it waits for is known to anyone else.
            sleep(secs(1))?;
            finish.set(true);
            Ok(())
        }));
        sleep(secs(2))?;
        assert!(done.get());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_task_cannot_await_itself() {
    run(|| {
        let slot: Rc<RefCell<Option<stackio::Task<ErrorKind>>>> = Rc::default();
        let me = slot.clone();
        let task = spawn(move || {
            let this = me.borrow().clone().unwrap();
            let error = this.wait().unwrap_err();
            assert!(error.to_string().contains("cannot await on itself"), "{error}");
            Ok(error.kind())
        });
        *slot.borrow_mut() = Some(task.clone());
        assert_eq!(task.join()?, ErrorKind::Runtime);
        slot.take();
        Ok(())
    })
    .unwrap();
}

#[test]
fn all_tasks_are_the_unfinished_ones_in_the_order_of_their_making() {
    run(|| {
        let waiting = Future::<()>::new();
        let spawn_one = |n: u32| {
            let waiting = waiting.clone();
            TaskBuilder::new()
                .name(n.to_string())
                .spawn(move || if n == 1 { Ok(()) } else { waiting.wait() })
        };
        let tasks: Vec<_> = (0..4).map(spawn_one).collect();
        yield_now()?;
        let late = spawn_one(4);
        let names = || all_tasks().iter().map(|task| task.name()).collect::<Vec<_>>().join(" ");
        assert_eq!(names(), "Task-1 0 2 3 4");
        assert_eq!(late.erase(), all_tasks()[4]);
        waiting.set_result(())?;
        tasks.into_iter().try_for_each(|task| task.join())?;
        late.join()?;
        assert_eq!(names(), "Task-1");
        Ok(())
    })
    .unwrap();
}
