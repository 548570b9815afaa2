//! Where the system gives no descriptor of a process, threads wait instead.

use std::fs;
use std::io;

use stackio::subprocess::{Command, Stdio, returncode};
use stackio::{gather, millis, run, spawn, timeout, yield_now};

use super::{endless, exists, play, until};
use crate::net::alone::alone;

const NO_PIDFD: &str = "export STACKIO_PIDFD=none";

/// How many threads wait for processes.
fn waiting_threads() -> usize {
    let threads = fs::read_dir("/proc/self/task").expect("Linux lists them");
    let names = threads.map(|thread| thread.expect("a thread").path().join("comm"));
    names.filter(|name| fs::read_to_string(name).is_ok_and(|n| n == "stackio-child\n")).count()
}

#[test]
fn with_one_there_is_no_thread() {
    if !alone("subprocess::without_pidfd::with_one_there_is_no_thread", "") {
        return;
    }
    play(|| {
        let process = endless().spawn()?;
        assert_eq!(waiting_threads(), 0);
        process.kill()?;
        assert_eq!(returncode(process.wait()?), -9);
        Ok(())
    });
}

#[test]
fn processes_end_and_are_heard_of_as_with_one() {
    let name = "subprocess::without_pidfd::processes_end_and_are_heard_of_as_with_one";
    if !alone(name, NO_PIDFD) {
        return;
    }
    play(|| {
        let process = std::rc::Rc::new(endless().spawn()?);
        until("a thread waits", || waiting_threads() == 1);
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let process = process.clone();
                spawn(move || process.wait())
            })
            .collect();
        yield_now()?;
        assert!(timeout(millis(1), |_| process.wait()).unwrap_err().is_timeout());
        process.terminate()?;
        for status in gather(waiting).join()? {
            assert_eq!(returncode(status), -15);
        }
        assert!(!exists(process.pid()));
        assert_eq!(process.kill().unwrap_err().io_kind(), Some(io::ErrorKind::NotFound));
        for code in 0..100 {
            assert_eq!(Command::shell(format!("exit {code}")).status()?.code(), Some(code));
        }
        let talks = (0..100).map(|n: u32| {
            move || {
                let mut cat = Command::new("cat");
                let cat = cat.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
                yield_now()?;
                let text = n.to_string();
                assert_eq!(cat.communicate(text.as_bytes())?.stdout, text.as_bytes());
                Ok(())
            }
        });
        gather(talks.collect::<Vec<_>>()).join()?;
        let dropped = endless().spawn()?.pid();
        while exists(dropped) {
            yield_now()?;
        }
        until("the threads have ended", || waiting_threads() == 0);
        Ok(())
    });
}

#[test]
fn a_loop_that_is_closed_leaves_no_zombies() {
    let name = "subprocess::without_pidfd::a_loop_that_is_closed_leaves_no_zombies";
    if !alone(name, NO_PIDFD) {
        return;
    }
    let process = run(|| endless().spawn()).expect("it has started");
    assert_eq!((exists(process.pid()), process.returncode()), (true, None));
    process.kill().expect("it runs");
    until("it has been waited for", || process.returncode() == Some(-9));
    // It ends while nobody looks, and what the thread said of it is thrown away.
    let mut runner = stackio::Runner::new().expect("a loop");
    let process = runner.run(|| endless().spawn()).expect("it has started");
    process.kill().expect("it runs");
    until("the thread has told", || waiting_threads() == 0);
    drop(runner);
    until("it has been waited for", || process.returncode() == Some(-9));
    assert!(!exists(process.pid()));
}
