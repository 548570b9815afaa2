//! Loops that end before their processes.

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;

use stackio::subprocess::{Process, Stdio, returncode};
use stackio::{ErrorKind, ExceptionSource, Runner, run, spawn, yield_now};

use super::{endless, exists, ready, until};

/// Starts one that never ends and closes the loop, with the process in the hands of whoever
/// called this.
fn outlived() -> Process {
    run(|| endless().spawn()).expect("it has started")
}

#[test]
fn a_process_that_outlives_its_loop_goes_on_and_is_waited_for() {
    let process = outlived();
    assert_eq!((exists(process.pid()), process.returncode()), (true, None));
    process.kill().expect("it runs");
    until("it has been waited for", || process.returncode() == Some(-9));
    assert!(!exists(process.pid()));
    assert!(process.terminate().is_err());
}

#[test]
fn one_that_ended_when_nobody_looked_is_waited_for_when_the_loop_is_closed() {
    let mut runner = Runner::new().expect("a loop");
    let process = runner.run(|| ready("true")).expect("it has started");
    process.kill().expect("it runs");
    runner.close().expect("it is not running");
    until("it has been waited for", || process.returncode() == Some(-9));
}

#[test]
fn it_cannot_be_waited_for_on_another_loop_until_its_end_is_known() {
    let process = Rc::new(outlived());
    let waiting = process.clone();
    let error = run(move || waiting.wait()).expect_err("nobody would wake it");
    assert_eq!(error.kind(), ErrorKind::Runtime);
    process.kill().expect("it runs");
    until("it has been waited for", || process.returncode().is_some());
    let status = run(move || process.wait()).expect("it is known now");
    assert_eq!(returncode(status), -9);
}

#[test]
fn it_is_killed_with_its_handle_all_the_same() {
    let pid = outlived().pid();
    until("it has been waited for", || !exists(pid));
}

#[test]
fn the_tasks_that_are_ended_with_the_loop_drop_their_processes() {
    let pid = run(|| {
        let process = endless().stdout(Stdio::piped()).spawn()?;
        let pid = process.pid();
        spawn(move || process.communicate(b""));
        yield_now()?;
        Ok(pid)
    })
    .expect("it has started");
    until("it has been waited for", || !exists(pid));
}

#[test]
fn debug_mode_tells_of_what_runs_on() {
    let told = Rc::new(RefCell::new(Vec::new()));
    let hears = told.clone();
    let mut runner = Runner::builder()
        .debug(true)
        .exception_handler(move |report| {
            if report.source == ExceptionSource::Leaked {
                hears.borrow_mut().push(report.message.clone());
            }
        })
        .build()
        .expect("a loop");
    let process = runner.run(|| endless().spawn()).expect("it has started");
    let detached = runner.run(|| Ok(endless().kill_on_drop(false).spawn()?.pid()));
    runner.close().expect("it is not running");
    let expected =
        format!("the process {} was still running when its loop was closed", process.pid());
    assert_eq!(*told.borrow(), [expected]);
    let detached = i32::try_from(detached.expect("it has started")).expect("a process id");
    // SAFETY: it takes two numbers.
    unsafe { libc::kill(detached, libc::SIGKILL) };
}

#[test]
fn a_pipe_can_be_read_on_the_next_loop() {
    let mut runner = Runner::new().expect("a loop");
    let mut process = runner.run(|| ready("true")).expect("it has started");
    drop(runner);
    process.kill().expect("it runs");
    let mut stdout = process.stdout.take().expect("it is piped");
    let rest = run(move || Ok(stdout.read(&mut [0; 8])?)).expect("it can be read");
    assert_eq!(rest, 0);
}
