//! The loop: callbacks and timers, clocks, runs; what it shows to watchers.
//!
//! Below: `shutdown` is how it ends, `interrupts` is Ctrl-C, `fairness` is who gets a turn,
//! `threads` is how others reach it.

mod exactly;
mod fairness;
mod interrupts;
mod readers;
mod shutdown;
mod threads;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::{
    Error, ErrorKind, ExceptionContext, ExceptionSource, FlowEvent, Future, Instrument, Result,
    Runner, TaskBuilder, VirtualClock, call_later, call_soon, get_running_loop, millis, secs,
    sleep, spawn, yield_now,
};

use crate::children::{assert_played_well, is_child, play};

type Log<T> = Rc<RefCell<Vec<T>>>;

fn virtual_runner() -> (Runner, VirtualClock) {
    let clock = VirtualClock::new();
    (Runner::builder().virtual_clock(&clock).build().unwrap(), clock)
}

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    virtual_runner().0.run(main)
}

/// A callback that logs `n`.
fn logs<T: 'static>(log: &Log<T>, n: T) -> impl FnOnce() + use<T> {
    let log = log.clone();
    move || log.borrow_mut().push(n)
}

#[test]
fn callbacks_run_in_order_and_what_they_add_runs_an_iteration_later() {
    let log = run(|| {
        let log = Log::default();
        call_soon(logs(&log, 1));
        let nested = log.clone();
        call_soon(move || {
            call_soon(logs(&nested, 4));
            nested.borrow_mut().push(2);
        });
        call_soon(logs(&log, 3));
        assert!(log.borrow().is_empty());
        yield_now()?;
        assert_eq!(*log.borrow(), [1, 2, 3]);
        yield_now()?;
        Ok(log.take())
    });
    assert_eq!(log.unwrap(), [1, 2, 3, 4]);
}

#[test]
fn timers_run_by_deadline_and_then_in_the_order_they_were_set() {
    let (log, end) = run(|| {
        let (log, event_loop) = (Log::default(), get_running_loop()?);
        for (n, delay) in [(5, 30), (1, 10), (3, 20), (2, 10), (4, 20)] {
            call_later(millis(delay), logs(&log, n));
        }
        let at = event_loop.time() + millis(5);
        assert_eq!(event_loop.call_at(at, logs(&log, 0)).when(), at);
        sleep(millis(30))?;
        Ok((log.take(), event_loop.time().as_millis()))
    })
    .unwrap();
    assert_eq!((log, end), (vec![0, 1, 2, 3, 4, 5], 30));
}

#[test]
fn cancelled_handles_never_run_and_let_go_at_once() {
    run(|| {
        let kept = Rc::new(());
        let keep = || {
            let kept = kept.clone();
            move || unreachable!("cancelled, but {kept:?} is used")
        };
        let (soon, later) = (call_soon::<()>(keep()), call_later::<()>(secs(1), keep()));
        assert!(!soon.cancelled() && !later.cancelled());
        assert_eq!(Rc::strong_count(&kept), 3);
        soon.cancel();
        later.cancel();
        later.cancel();
        assert!(soon.cancelled() && later.cancelled());
        assert_eq!(Rc::strong_count(&kept), 1);
        sleep(secs(2))
    })
    .unwrap();
}

#[test]
fn thousands_of_cancelled_timers_leave_the_others_in_order() {
    run(|| {
        let log = Log::default();
        let handles: Vec<_> =
            (0..3000_u64).map(|n| call_later(millis(3000 - n), logs(&log, n))).collect();
        handles.iter().enumerate().filter(|(n, _)| n % 100 != 7).for_each(|(_, h)| h.cancel());
        sleep(secs(4))?;
        let expected: Vec<u64> = (0..30).rev().map(|n| n * 100 + 7).collect();
        assert_eq!(*log.borrow(), expected);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_callback_that_fails_or_panics_is_reported_and_the_next_one_runs() {
    let reports = Log::default();
    let told = reports.clone();
    let builder = Runner::builder().virtual_clock(&VirtualClock::new());
    let handler = move |report: &stackio::ExceptionContext| {
        assert!(report.created_at.is_some_and(|place| place.file() == file!()));
        told.borrow_mut().push((report.source, report.exception.as_ref().unwrap().kind()));
    };
    let mut runner = builder.exception_handler(handler).build().unwrap();
    let log = runner.run(|| {
        let log = Log::default();
        call_soon(|| -> Result { Err(ErrorKind::Value.into()) });
        call_soon(|| -> Result { panic!("boom") });
        call_soon(logs(&log, 1));
        yield_now()?;
        Ok(log.take())
    });
    assert_eq!(log.unwrap(), [1]);
    let callback = ExceptionSource::Callback;
    assert_eq!(*reports.borrow(), [(callback, ErrorKind::Value), (callback, ErrorKind::Panic)]);
}

#[test]
fn an_exception_handler_that_panics_is_survived() {
    let mut runner = Runner::builder()
        .virtual_clock(&VirtualClock::new())
        .exception_handler(|_| panic!("the handler"))
        .build()
        .unwrap();
    let ended = runner.run(|| {
        call_soon(|| -> Result { panic!("boom") });
        sleep(secs(1))?;
        Ok(5)
    });
    assert_eq!(ended.unwrap(), 5);
}

#[test]
fn timers_are_never_early_on_the_real_clock() {
    stackio::run(|| {
        for micros in [1, 300, 999, 1000, 1001, 1700, 2500] {
            let (delay, start) =
                (std::time::Duration::from_micros(micros), std::time::Instant::now());
            sleep(delay)?;
            assert!(start.elapsed() >= delay, "{delay:?}: after {:?}", start.elapsed());
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn running_inside_a_run_is_an_error() {
    let (mut runner, _) = virtual_runner();
    let event_loop = runner.event_loop();
    let refused = runner.run(move || {
        let nested = stackio::run(|| Ok(())).unwrap_err();
        let again = event_loop.run_forever().unwrap_err();
        let closed = event_loop.close().unwrap_err();
        yield_now()?;
        assert!(event_loop.is_running());
        Ok([nested, again, closed].map(|error| error.kind()))
    });
    assert_eq!(refused.unwrap(), [ErrorKind::Runtime; 3]);
    assert!(get_running_loop().is_err());
}

#[test]
fn a_closed_loop_says_so() {
    let (mut runner, _) = virtual_runner();
    let event_loop = runner.event_loop();
    let handle = event_loop.handle();
    runner.close().unwrap();
    runner.close().unwrap();
    assert!(event_loop.is_closed());
    let errors = [
        runner.run(|| Ok(())).unwrap_err(),
        event_loop.run_forever().unwrap_err(),
        handle.call_soon_threadsafe(|| ()).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Runtime);
        assert_eq!(error.to_string(), "the event loop is closed");
    }
    let panics: [&dyn Fn(); 3] =
        [&|| drop(event_loop.spawn(|| Ok(()))), &|| drop(event_loop.call_soon(|| ())), &|| {
            drop(event_loop.call_later(secs(1), || ()))
        }];
    for call in panics {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap();
        assert!(text.contains("the event loop is closed"), "{text}");
    }
}

#[test]
fn stop_ends_the_run_after_the_iteration() {
    let (runner, _) = virtual_runner();
    let (event_loop, log) = (runner.event_loop(), Log::default());
    let (stop, nested) = (event_loop.clone(), log.clone());
    event_loop.call_soon(move || {
        stop.stop();
        call_soon(logs(&nested, 3));
    });
    event_loop.call_soon(logs(&log, 1));
    event_loop.run_forever().unwrap();
    assert_eq!(*log.borrow(), [1], "the rest of the iteration, and no more");
    event_loop.stop();
    event_loop.run_forever().unwrap();
    assert_eq!(*log.borrow(), [1, 3], "stopped before it began: one iteration");
    let never = event_loop.create_future::<()>();
    let stop = event_loop.clone();
    event_loop.call_soon(move || stop.stop());
    let error = event_loop.run_until_complete(never).unwrap_err();
    assert!(error.to_string().contains("stopped before"), "{error}");
}

#[test]
fn a_virtual_clock_jumps_when_idle_and_stands_still_otherwise() {
    let (mut runner, clock) = virtual_runner();
    let moved = clock.clone();
    let times = runner.run(move || {
        let now = || get_running_loop().unwrap().time().as_millis();
        let mut times = vec![now()];
        yield_now()?;
        times.push(now());
        sleep(secs(1))?;
        times.push(now());
        let late = call_later(secs(2), || ());
        moved.advance(secs(5));
        times.push(now());
        sleep(millis(1))?;
        times.push(now());
        late.cancel();
        Ok(times)
    });
    assert_eq!(times.unwrap(), [0, 0, 1000, 6000, 6001]);
    assert_eq!(clock.now().as_millis(), 6001);
}

#[test]
fn a_deadlock_says_who_waits_for_whom_and_where() {
    let (lines, waits) = (Rc::new(Cell::new((0, 0))), Log::default());
    let (noted, log) = (lines.clone(), waits.clone());
    let error = run(move || {
        let never = Future::<()>::new();
        log.borrow_mut().push(format!("future {}", never.id()));
        let child = TaskBuilder::new().name("child").spawn(move || never.wait());
        noted.set((line!() - 1, line!() + 1));
        child.join()
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    let ((child, main), text) = (lines.get(), error.to_string());
    let expected = [
        format!("child waits for {} at {}:{child}:", waits.borrow()[0], file!()),
        format!("Task-1 waits for task child at {}:{main}:", file!()),
    ];
    for words in expected {
        assert!(text.contains(&words), "no {words:?} in {text}");
    }
}

#[test]
fn a_runner_runs_several_mains_on_one_loop() {
    let (mut runner, clock) = virtual_runner();
    let child = runner
        .run(|| {
            Ok(spawn(|| {
                sleep(secs(10))?;
                Ok(5)
            }))
        })
        .unwrap();
    assert!(!child.done(), "it goes on at the next run");
    assert_eq!(
        runner.run(|| Err::<(), _>(ErrorKind::Value.into())).unwrap_err().kind(),
        ErrorKind::Value
    );
    assert_eq!(runner.run(move || child.join()).unwrap(), 5);
    assert_eq!(clock.now().as_millis(), 10_000);
}

#[derive(Default)]
struct Recorder(RefCell<Vec<String>>);

impl Instrument for Recorder {
    fn event(&self, event: &FlowEvent<'_>) {
        self.0.borrow_mut().push(event.to_string());
    }
}

#[test]
fn a_watcher_sees_the_seven_steps_in_order() {
    let recorder = Rc::new(Recorder::default());
    let watched = Runner::builder().virtual_clock(&VirtualClock::new());
    let mut runner = watched.instrument(recorder.clone()).build().unwrap();
    let id = runner
        .run(|| {
            let future = Future::<()>::new();
            let set = future.clone();
            call_later(secs(1), move || set.set_result(()));
            future.wait()?;
            Ok(future.id())
        })
        .unwrap();
    let steps = [
        "send into Task-1".to_owned(),
        format!("Task-1 yields future {id}"),
        format!("add_done_callback on future {id}: wake Task-1"),
        "select for 0ns".to_owned(),
        format!("future {id} has a result"),
        "call_soon: a step of Task-1".to_owned(),
        "send into Task-1".to_owned(),
        "Task-1 ends: a result".to_owned(),
    ];
    let events = recorder.0.borrow();
    let mut seen = events.iter();
    for step in &steps {
        assert!(seen.any(|event| event == step), "no {step:?} in its place in {events:#?}");
    }
}

#[test]
fn a_loop_that_is_eager_runs_the_first_step_inside_of_spawn() {
    let seen = run(|| {
        let log: Log<&str> = Rc::default();
        let event_loop = get_running_loop()?;
        for (eager, text) in [(true, "at once"), (false, "later")] {
            event_loop.set_eager(eager);
            let inside = log.clone();
            spawn(move || {
                inside.borrow_mut().push(text);
                Ok(())
            });
            log.borrow_mut().push("spawned");
        }
        yield_now()?;
        Ok(log.take())
    });
    assert_eq!(seen.unwrap(), ["at once", "spawned", "spawned", "later"]);
}

#[test]
fn without_a_handler_a_report_is_a_line_on_standard_error() {
    if !is_child() {
        let finished = play();
        assert_played_well(&finished);
        let lines: Vec<_> = finished.stderr.lines().collect();
        assert_eq!(lines, ["stackio: a file is missing: invalid value"; 2]);
        return;
    }
    run(|| {
        let event_loop = get_running_loop()?;
        let context = ExceptionContext::new(ExceptionSource::Loop, "a file is missing")
            .with_exception(Error::from(ErrorKind::Value));
        event_loop.default_exception_handler(&context);
        event_loop.call_exception_handler(&context);
        event_loop.set_exception_handler(|_: &ExceptionContext| ());
        event_loop.call_exception_handler(&context);
        Ok(())
    })
    .unwrap();
}
