//! Child processes: how they are started, talked to and end, and that nothing of them is left.

mod closing;
mod descriptors;
mod ends;
mod joint;
mod protocols;
mod raising;
mod settings;
mod talking;
mod without_pidfd;

use std::fs;
use std::io::Read;
use std::time::{Duration, Instant};

use stackio::subprocess::{Command, Process, Stdio};
use stackio::{Result, Runner, secs, timeout};

/// After this a test has failed.
const LIMIT: Duration = secs(50);

/// Runs the body as a loop's main task; one that hangs fails.
#[track_caller]
fn play<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> T {
    let mut runner = Runner::new().expect("a loop");
    match runner.run(move || timeout(LIMIT, |_| body())) {
        Ok(value) => value,
        Err(error) => panic!("the test's main task failed: {error:?}"),
    }
}

/// Runs until it is killed.
fn endless() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000000").kill_on_drop(true);
    command
}

/// Whether there is such a process, also if it has only not been waited for.
fn exists(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).expect("Linux lists them")
}

/// Until other threads and processes have made it so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < LIMIT, "still not: {what}");
        std::thread::yield_now();
    }
}

/// A shell that has said that it is ready, by its standard output.
fn ready(line: &str) -> Result<Process> {
    let mut command = Command::shell(format!("{line}\necho ready\nexec sleep 1000000"));
    let mut process = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let stdout = process.stdout.as_mut().expect("it is piped");
    stdout.read_exact(&mut [0; 6])?;
    Ok(process)
}
