//! Scenarios that may kill or hang their process: a child plays them, this binary again.
//!
//! A test asks [`is_child`]: the child plays the scenario, the parent has it played.

use std::env;
use std::process::Command;
use std::time::Duration;

use crate::support::{Finished, run};

const PLAYING: &str = "STACKIO_TEST_PLAYING";

/// Far more than any scenario takes, on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// The name of the test that runs on this thread; libtest gives each a thread of its name.
fn test_name() -> String {
    std::thread::current().name().expect("libtest names its threads").to_owned()
}

/// Whether this process was started to play the scenario of the current test.
pub fn is_child() -> bool {
    env::var(PLAYING).is_ok_and(|name| name == test_name())
}

/// Has the current test's scenario played, and waits for its end.
#[track_caller]
pub fn play() -> Finished {
    play_in(&mut command())
}

/// What starts the child for the current test.
pub fn command() -> Command {
    let mut command = Command::new(env::current_exe().expect("a test binary knows where it is"));
    command.args(arguments());
    command.env(PLAYING, test_name());
    command
}

/// The same, by a shell that sets a limit first: `ulimit -v 500000`.
pub fn command_after(shell_command: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell_command} && exec \"$0\" \"$@\"")]);
    command.arg(env::current_exe().expect("a test binary knows where it is"));
    command.args(arguments());
    command.env(PLAYING, test_name());
    command
}

#[track_caller]
pub fn play_in(command: &mut Command) -> Finished {
    // What libtest prints before the scenario shows that there was one.
    let finished = run(command.env("RUST_BACKTRACE", "0"), LIMIT);
    assert!(finished.stdout.contains("running 1 test"), "{finished:?}");
    finished
}

fn arguments() -> [String; 3] {
    [test_name(), "--exact".to_owned(), "--nocapture".to_owned()]
}

/// A child that played to the end of the scenario, with no failure.
#[track_caller]
pub fn assert_played_well(finished: &Finished) {
    assert!(finished.status.success(), "{}\n{}", finished.stdout, finished.stderr);
}
