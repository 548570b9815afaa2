//! Debug mode: what it reports, of whom, with which place in the source; and that a tidy program
//! hears nothing of it.
//!
//! Below: `blocking` is steps that block and the thread that looks on, `locks` is locks that are
//! held for long, `leaks` is errors nobody asked for and what outlives its loop.

mod blocking;
mod leaks;
mod locks;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use stackio::{
    Error, ErrorKind, ExceptionContext, ExceptionSource, Result, Runner, TaskBuilder, VirtualClock,
    call_later, call_soon, gather, get_running_loop, millis, sleep, spawn, yield_now,
};

use crate::children;

/// What a loop's exception handler was told.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<ExceptionContext>>>);

impl Told {
    fn of(&self, source: ExceptionSource) -> Vec<ExceptionContext> {
        self.0.borrow().iter().filter(|told| told.source == source).cloned().collect()
    }

    /// A runner under a virtual clock whose reports come here.
    fn runner(&self, debug: bool) -> Runner {
        let told = self.0.clone();
        Runner::debug(debug)
            .virtual_clock(&VirtualClock::new())
            .exception_handler(move |context| told.borrow_mut().push(context.clone()))
            .build()
            .unwrap()
    }

    /// The same, and every step is a slow one.
    fn runner_without_patience(&self) -> Runner {
        let runner = self.runner(true);
        runner.event_loop().set_slow_callback_duration(Duration::ZERO);
        runner
    }
}

fn here(line: u32) -> String {
    format!("{}:{line}:", file!())
}

#[test]
fn a_slow_step_is_reported_with_the_task_and_both_places() {
    let told = Told::default();
    let mut runner = told.runner_without_patience();
    let lines = runner
        .run(|| {
            let spawned = line!() + 1;
            let task = TaskBuilder::new().name("slow").spawn(|| {
                let first = line!() + 1;
                yield_now()?;
                let second = line!() + 1;
                sleep(millis(1))?;
                Ok((first, second))
            });
            let (first, second) = task.join()?;
            Ok([spawned, first, second])
        })
        .unwrap();
    let steps = told.of(ExceptionSource::SlowStep);
    let steps: Vec<_> = steps
        .iter()
        .filter(|step| step.task.as_deref() == Some("slow"))
        .map(|s| &s.message)
        .collect();
    let [spawned, first, second] = lines.map(here);
    assert_eq!(steps.len(), 3, "{steps:?}");
    assert!(steps.iter().all(|step| step.starts_with("the task `slow` took ")), "{steps:?}");
    assert!(steps[0].contains(&format!("from {spawned}")), "{steps:?}");
    assert!(steps[0].contains(&format!("to {first}")), "{steps:?}");
    assert!(steps[1].contains(&format!("from {first}")), "{steps:?}");
    assert!(steps[1].contains(&format!("to {second}")), "{steps:?}");
    assert!(steps[2].contains(&format!("from {second}")), "{steps:?}");
    assert!(steps[2].ends_with("to its end"), "{steps:?}");
}

#[test]
fn a_slow_callback_is_reported_with_the_place_it_was_scheduled_at() {
    let told = Told::default();
    let lines = told
        .runner_without_patience()
        .run(|| {
            let soon = line!() + 1;
            call_soon(|| {});
            let later = line!() + 1;
            call_later(millis(1), || {});
            let future = stackio::Future::new();
            let added = line!() + 1;
            future.add_done_callback(|_| {});
            future.set_result(())?;
            sleep(millis(2))?;
            Ok([soon, later, added])
        })
        .unwrap();
    for place in lines.map(here) {
        let steps = told.of(ExceptionSource::SlowStep);
        let named = |step: &&ExceptionContext| {
            let Some((took, scheduled)) = step.message.split_once("; it was scheduled at ") else {
                return false;
            };
            took.starts_with("a callback took ") && scheduled.starts_with(&place)
        };
        assert_eq!(steps.iter().filter(named).count(), 1, "{place} in {steps:#?}");
    }
}

#[test]
fn nothing_is_slow_without_debug_mode() {
    let told = Told::default();
    let mut runner = told.runner(false);
    runner.event_loop().set_slow_callback_duration(Duration::ZERO);
    runner.run(yield_now).unwrap();
    assert!(told.0.borrow().is_empty());
}

#[test]
fn debug_mode_is_turned_on_and_off_while_the_loop_runs() {
    let told = Told::default();
    let mut runner = told.runner(false);
    runner.event_loop().set_slow_callback_duration(Duration::ZERO);
    let counted = told.clone();
    runner
        .run(move || {
            let count = || counted.of(ExceptionSource::SlowStep).len();
            let event_loop = get_running_loop()?;
            let mut counts = Vec::new();
            for debug in [true, false, true, false] {
                event_loop.set_debug(debug);
                assert_eq!(event_loop.is_debug(), debug);
                yield_now()?; // from the next iteration on
                let before = count();
                yield_now()?;
                yield_now()?;
                counts.push(count() - before);
            }
            assert_eq!(counts, [2, 0, 2, 0]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_tidy_program_hears_nothing() {
    let told = Told::default();
    let mut runner = told.runner(true);
    // Real time passes in a test; however busy the machine is, not that much.
    runner.event_loop().set_slow_callback_duration(Duration::from_secs(3600));
    runner
        .run(|| {
            let lock = Rc::new(stackio::Lock::new());
            let takes = |lock: Rc<stackio::Lock>| {
                spawn(move || {
                    let _guard = lock.lock()?;
                    sleep(millis(1))
                })
            };
            gather([takes(lock.clone()), takes(lock)]).wait()?;
            let fails = spawn(|| -> Result { Err(ErrorKind::Value.into()) });
            assert_eq!(fails.join().unwrap_err().kind(), ErrorKind::Value);
            let cancelled = spawn(|| sleep(millis(5)));
            yield_now()?;
            cancelled.cancel();
            assert!(cancelled.join().unwrap_err().is_cancelled());
            spawn(|| sleep(millis(50))); // cancelled by the runner, as everybody's is
            Ok(())
        })
        .unwrap();
    runner.close().unwrap();
    drop(runner);
    assert!(told.0.borrow().is_empty(), "{:#?}", told.0.borrow());
}

#[test]
fn a_handler_that_panics_is_reported_by_the_default_one() {
    if children::is_child() {
        let mut runner = Runner::debug(true)
            .virtual_clock(&VirtualClock::new())
            .exception_handler(|_| panic!("the handler is broken"))
            .build()
            .unwrap();
        runner.event_loop().set_slow_callback_duration(Duration::ZERO);
        runner.run(|| TaskBuilder::new().name("slow").spawn(yield_now).join()).unwrap();
        return;
    }
    let finished = children::play();
    children::assert_played_well(&finished);
    let said = finished.stderr;
    assert!(said.contains("stackio: the task `slow` took "), "{said}");
    assert!(said.contains("the exception handler panicked"), "{said}");
    assert!(said.contains("the handler is broken"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn where_standard_error_is_full_a_report_goes_nowhere_and_harms_nobody() {
    if children::is_child() {
        let mut runner = Runner::debug(true).build().unwrap();
        runner.event_loop().set_slow_callback_duration(Duration::ZERO);
        runner.run(yield_now).unwrap();
        return;
    }
    let mut command = children::command_after("exec 2>/dev/full");
    children::assert_played_well(&children::play_in(&mut command));
}

#[test]
fn a_handler_that_is_set_later_is_the_one_that_is_told() {
    let (first, second) = (Told::default(), Told::default());
    let mut runner = first.runner_without_patience();
    runner.run(yield_now).unwrap();
    let told = second.0.clone();
    let event_loop = runner.event_loop();
    event_loop.set_exception_handler(move |context| told.borrow_mut().push(context.clone()));
    let before = first.0.borrow().len();
    assert!(before > 0);
    runner.run(yield_now).unwrap();
    assert_eq!(first.0.borrow().len(), before);
    assert!(!second.0.borrow().is_empty());
}

#[test]
fn what_a_handler_reports_is_reported_to_it_up_to_a_depth() {
    let calls = Rc::new(RefCell::new(0));
    let counted = calls.clone();
    let runner = Runner::debug(true)
        .exception_handler(move |_| {
            *counted.borrow_mut() += 1;
            let event_loop = get_running_loop().unwrap();
            let text = "from within";
            let context = ExceptionContext::new(ExceptionSource::Loop, text);
            event_loop
                .call_exception_handler(&context.with_exception(Error::from(ErrorKind::Value)));
        })
        .build();
    let mut runner = runner.unwrap();
    runner.event_loop().set_slow_callback_duration(Duration::ZERO);
    runner.run(|| get_running_loop().map(|event_loop| event_loop.set_debug(false))).unwrap();
    assert_eq!(*calls.borrow(), 16);
}

#[test]
fn a_hundred_thousand_steps_are_timed() {
    let told = Told::default();
    let mut runner = told.runner(true);
    runner.event_loop().set_slow_callback_duration(Duration::from_secs(3600));
    let steps = runner.run(|| {
        for _ in 0..100_000 {
            yield_now()?;
        }
        Ok(100_000)
    });
    assert_eq!(steps.unwrap(), 100_000);
}

#[test]
fn the_environment_turns_it_on() {
    debug_by("1", true);
}

#[test]
fn zero_in_the_environment_leaves_it_off() {
    debug_by("0", false);
}

#[test]
fn nothing_in_the_environment_leaves_it_off() {
    debug_by("", false);
}

/// Plays the current test's child with that value of the variable.
fn debug_by(value: &str, on: bool) {
    if children::is_child() {
        assert_eq!(Runner::new().unwrap().event_loop().is_debug(), on);
        assert_eq!(stackio::EventLoop::new().unwrap().is_debug(), on);
        // What a program says itself counts more.
        assert!(!Runner::debug(false).build().unwrap().event_loop().is_debug());
        return;
    }
    let finished = children::play_in(children::command().env("STACKIO_DEBUG", value));
    children::assert_played_well(&finished);
}
