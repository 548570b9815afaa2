//! The end of a loop: what is left is cancelled, run out, reported, and at last made to end.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::{
    ContextVar, Error, ErrorKind, EventLoop, ExceptionContext, ExceptionSource, Future, Result,
    Runner, TaskBuilder, VirtualClock, call_later, call_soon, get_running_loop, run,
    run_coroutine_threadsafe, secs, sleep, spawn, stack_statistics, task_group, yield_now,
};

use crate::children::{assert_played_well, is_child, play};

type Reports = Rc<RefCell<Vec<ExceptionContext>>>;

fn reported_runner() -> (Runner, Reports) {
    let reports = Reports::default();
    let log = reports.clone();
    let builder = Runner::builder().virtual_clock(&VirtualClock::new());
    let handler = move |report: &ExceptionContext| log.borrow_mut().push(report.clone());
    (builder.exception_handler(handler).build().unwrap(), reports)
}

/// Counts its drop.
struct Guard(Rc<Cell<u32>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn tasks_left_over_are_cancelled_and_run_to_their_end() {
    let (mut runner, reports) = reported_runner();
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(drops.clone());
    let task = runner
        .run(move || {
            let task = spawn(move || {
                let _guard = guard;
                let error = sleep(secs(60)).unwrap_err();
                sleep(secs(1))?; // cleaning up may wait
                Err::<(), _>(error)
            });
            yield_now()?;
            Ok(task)
        })
        .unwrap();
    assert_eq!(drops.get(), 0);
    runner.close().unwrap();
    assert_eq!(drops.get(), 1);
    assert!(task.cancelled());
    assert!(reports.borrow().is_empty());
}

#[test]
fn a_task_that_fails_during_the_shutdown_is_reported_by_name_and_in_its_context() {
    static WHO: ContextVar<&str> = ContextVar::new("who");
    let (mut runner, reports) = reported_runner();
    let (log, seen) = (reports.clone(), Rc::new(Cell::new(None)));
    let sees = seen.clone();
    runner.event_loop().set_exception_handler(move |report: &ExceptionContext| {
        log.borrow_mut().push(report.clone());
        sees.set(WHO.get());
    });
    let main = || {
        TaskBuilder::new().name("clumsy").spawn(|| {
            WHO.set("it");
            let _cancelled = sleep(secs(60));
            Err::<(), _>(ErrorKind::Value.into())
        });
        yield_now()
    };
    runner.run(main).unwrap();
    runner.close().unwrap();
    let reports = reports.borrow();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0].source, ExceptionSource::Shutdown);
    assert_eq!(reports[0].task.as_deref(), Some("clumsy"));
    assert_eq!(reports[0].exception.as_ref().unwrap().kind(), ErrorKind::Value);
    assert_eq!(seen.get(), Some("it"));
}

/// Waits for ever, whatever anyone says.
fn refuse() -> Result {
    loop {
        let _refused = Future::<()>::new().wait();
    }
}

fn left_over(body: impl FnOnce() -> Result + 'static) -> (u32, Vec<ExceptionContext>, Result) {
    let (mut runner, reports) = reported_runner();
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(drops.clone());
    let main = move || {
        TaskBuilder::new().name("stubborn").spawn(move || {
            let _guard = guard;
            body()
        });
        yield_now()
    };
    runner.run(main).unwrap();
    let closed = runner.close();
    drop(runner);
    (drops.get(), reports.take(), closed)
}

#[test]
fn a_task_that_refuses_to_end_is_disposed_of() {
    let (drops, reports, closed) = left_over(refuse);
    assert_eq!((drops, reports.len()), (1, 0));
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::Deadlock);
    assert_eq!(stack_statistics().in_use, 0);
}

#[test]
fn a_task_that_catches_a_few_unwindings_is_disposed_of() {
    if !is_child() {
        return assert_played_well(&play());
    }
    let (drops, reports, _) = left_over(|| {
        (0..5).for_each(|_| drop(catch_unwind(AssertUnwindSafe(refuse))));
        Ok(())
    });
    assert_eq!((drops, reports.len()), (1, 0));
    assert_eq!(stack_statistics().in_use, 0);
}

#[test]
fn a_task_that_catches_every_unwinding_is_leaked_and_reported() {
    if !is_child() {
        return assert_played_well(&play());
    }
    let (drops, reports, _) = left_over(|| {
        loop {
            let _caught = catch_unwind(AssertUnwindSafe(refuse));
        }
    });
    assert_eq!((drops, reports.len()), (0, 1));
    assert_eq!(reports[0].source, ExceptionSource::Leaked);
    assert_eq!(reports[0].task.as_deref(), Some("stubborn"));
    assert_eq!(stack_statistics().in_use, 1);
}

#[test]
fn a_destructor_that_waits_while_its_task_is_disposed_of_is_refused() {
    struct Waits(Rc<RefCell<Vec<ErrorKind>>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.borrow_mut().push(yield_now().unwrap_err().kind());
        }
    }
    let seen: Rc<RefCell<Vec<ErrorKind>>> = Rc::default();
    let waits = Waits(seen.clone());
    let (drops, _, _) = left_over(move || {
        let _waits = waits;
        refuse()
    });
    assert_eq!(drops, 1);
    assert_eq!(*seen.borrow(), [ErrorKind::Runtime]);
}

#[test]
fn a_task_spawned_during_the_shutdown_is_disposed_of_too() {
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(drops.clone());
    let (_, _, closed) = left_over(move || {
        let _cancelled = sleep(secs(60));
        spawn(move || {
            let _guard = guard;
            sleep(secs(60))
        });
        Ok(())
    });
    closed.unwrap();
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_runner_dropped_by_a_panic_ends_its_tasks() {
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(drops.clone());
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let (mut runner, _) = reported_runner();
        let main = move || {
            spawn(move || {
                let _guard = guard;
                sleep(secs(60))
            });
            yield_now()
        };
        runner.run(main).unwrap();
        panic!("on the way out");
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"on the way out"));
    assert_eq!(drops.get(), 1);
    assert!(!std::thread::panicking());
}

#[test]
fn a_runner_dropped_by_a_panic_ends_a_task_that_refuses() {
    if !is_child() {
        return assert_played_well(&play());
    }
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(drops.clone());
    let caught = catch_unwind(AssertUnwindSafe(move || {
        let (mut runner, _) = reported_runner();
        let main = move || {
            spawn(move || {
                let _guard = guard;
                refuse()
            });
            yield_now()
        };
        runner.run(main).unwrap();
        panic!("on the way out");
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"on the way out"));
    assert!(!std::thread::panicking());
    // Whether it could be unwound or had to be leaked, the thread goes on.
    assert!(stackio::run(move || Ok(drops.get() <= 1)).unwrap());
}

#[test]
fn timers_and_callbacks_that_were_never_due_are_dropped() {
    let (mut runner, _) = reported_runner();
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(drops.clone());
    runner
        .run(move || {
            call_later(secs(60), move || drop(guard));
            Ok(())
        })
        .unwrap();
    assert_eq!(drops.get(), 0);
    runner.close().unwrap();
    assert_eq!(drops.get(), 1);
}

#[test]
fn an_error_of_main_still_shuts_down_cleanly() {
    let (mut runner, _) = reported_runner();
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(drops.clone());
    let error = runner.run(move || -> Result {
        spawn(move || {
            let _guard = guard;
            sleep(secs(60))
        });
        yield_now()?;
        panic!("main");
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Panic);
    drop(runner);
    assert_eq!(drops.get(), 1);
}

#[test]
fn what_a_closing_loop_ends_may_still_ask_for_a_callback() {
    struct Asks(Rc<Cell<u32>>);
    impl Drop for Asks {
        fn drop(&mut self) {
            call_soon(|| ());
            call_later(secs(1), || ());
            self.0.set(self.0.get() + 1);
        }
    }
    let asked = Rc::new(Cell::new(0));
    let event_loop = EventLoop::new().unwrap();
    let (once, again) = (Asks(asked.clone()), Asks(asked.clone()));
    event_loop.spawn(move || {
        let _asks = once;
        sleep(secs(1))
    });
    event_loop.spawn(move || -> Result {
        let _asks = again;
        loop {
            let _refused = sleep(secs(1));
        }
    });
    event_loop.run_until_complete(yield_now).unwrap();
    event_loop.close().unwrap();
    assert_eq!(asked.get(), 2);
}

#[test]
fn tasks_clean_up_when_a_panic_drops_their_runner() {
    let slept = Rc::new(Cell::new(false));
    let cleaned = slept.clone();
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let (mut runner, _) = reported_runner();
        let main = move || {
            spawn(move || {
                let cancelled = sleep(secs(60));
                sleep(secs(1))?;
                task_group(|g| {
                    g.spawn(|| sleep(secs(1)));
                    Ok(())
                })?;
                cleaned.set(true);
                cancelled
            });
            yield_now()
        };
        runner.run(main).unwrap();
        panic!("a failing assertion");
    }));
    assert!(panicked.is_err());
    assert!(slept.get());
}

#[test]
fn after_the_last_task_the_loop_runs_a_few_more_iterations() {
    let log: Rc<RefCell<Vec<u32>>> = Rc::default();
    fn follow(log: &Rc<RefCell<Vec<u32>>>, n: u32) {
        let next = log.clone();
        call_soon(move || {
            next.borrow_mut().push(n);
            follow(&next, n + 1);
        });
    }
    let told = log.clone();
    run(move || {
        follow(&told, 1);
        Ok(())
    })
    .unwrap();
    // As asyncio's: one to end in, and two each for the generators and the executor.
    assert_eq!(log.take(), [1, 2, 3, 4, 5]);
}

#[test]
fn what_a_thread_asked_for_and_ended_with_main_is_given_to_it() {
    thread_local! {
        static OPENS: RefCell<Option<Future<u32>>> = const { RefCell::new(None) };
    }
    let asked = run(|| {
        let opens = Future::new();
        OPENS.set(Some(opens.clone()));
        let handle = get_running_loop()?.handle();
        let waits = || OPENS.take().expect("it is this thread's").wait();
        let asks = std::thread::spawn(move || run_coroutine_threadsafe(waits, &handle));
        let asked = asks.join().unwrap()?;
        while OPENS.with_borrow(Option::is_some) {
            yield_now()?;
        }
        opens.set_result(5)?;
        Ok(asked)
    });
    assert_eq!(asked.unwrap().result(None).unwrap(), 5);
}

#[test]
fn a_leftover_that_stops_the_loop_or_is_interrupted_is_told_by_run() {
    let ended = run(|| {
        spawn(|| {
            let cancelled = sleep(secs(60));
            get_running_loop()?.stop();
            sleep(secs(1))?;
            cancelled
        });
        yield_now()
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Runtime);
    let ended = run(|| {
        spawn(|| -> Result {
            let _cancelled = sleep(secs(60));
            Err(Error::from(ErrorKind::KeyboardInterrupt))
        });
        yield_now()
    });
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
}
