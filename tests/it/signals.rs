//! Signals in the loop. They are the process's, so a child plays each scenario.
//!
//! A thread that raises a signal has its handler run before `raise` returns: nothing here depends
//! on time.

mod closing;
mod handlers;
mod shutdown;
mod waiting;

use std::os::unix::process::ExitStatusExt;

use stackio::signals::Signal;

use crate::children::{assert_played_well, is_child, play};

fn raise(signal: Signal) {
    // SAFETY: raises a signal in this process, which the scenarios expect.
    unsafe { libc::raise(signal.as_raw()) };
}

/// What the process does about a signal: `SIG_DFL`, `SIG_IGN` or a handler.
fn disposition(signal: Signal) -> usize {
    // SAFETY: only asks; the struct is ours.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        assert_eq!(libc::sigaction(signal.as_raw(), std::ptr::null(), &raw mut present), 0);
        present.sa_sigaction
    }
}

#[track_caller]
fn assert_plays_well(scenario: fn()) {
    if is_child() { scenario() } else { assert_played_well(&play()) }
}

/// The scenario must not come to its end.
#[track_caller]
fn assert_dies_of(signal: Signal, scenario: fn()) {
    if is_child() {
        return scenario();
    }
    let finished = play();
    assert_eq!(finished.status.signal(), Some(signal.as_raw()), "{finished:?}");
}

#[test]
fn a_signal_prints_by_its_name() {
    assert_eq!(format!("{} {:?}", Signal::TERM, Signal::USR1), "SIGTERM SIGUSR1");
    assert_eq!(Signal::from_raw(libc::SIGINT), Signal::INT);
    assert_eq!(Signal::from_raw(100).to_string(), "signal 100");
    assert_eq!(format!("[{:>8}]", Signal::HUP), "[  SIGHUP]");
}
