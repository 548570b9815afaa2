//! Tests that need a process to themselves: they count or use up its descriptors.

use std::env;
use std::fs;
use std::process::Command;

use stackio::secs;

use crate::support::run;

const VARIABLE: &str = "STACKIO_TEST_ALONE";

/// Plays the test of that name again in a process of its own, after the shell commands in `setup`.
/// True in that process; in the first one it is false once the second has passed.
#[track_caller]
pub fn alone(name: &str, setup: &str) -> bool {
    if env::var(VARIABLE).is_ok_and(|chosen| chosen == name) {
        return true;
    }
    let binary = env::current_exe().expect("a test binary knows where it is");
    let script = format!("{setup}\nexec \"$0\" --exact \"$1\" --nocapture --test-threads=1");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(binary).arg(name).env(VARIABLE, name);
    let finished = run(&mut shell, secs(60));
    let passed = finished.status.success() && finished.stdout.contains("1 passed");
    assert!(
        passed,
        "`{name}` failed by itself: {}\n{}\n{}",
        finished.status, finished.stdout, finished.stderr
    );
    false
}

/// As many descriptors as a thousand connections take, where the limit allows it.
pub const MANY_DESCRIPTORS: &str = "ulimit -n 4096";

/// How many descriptors the process has open.
pub fn open_descriptors() -> usize {
    let listed = fs::read_dir("/proc/self/fd").expect("Linux lists them").count();
    // The listing needed one itself.
    listed - 1
}
