//! The one place that waits for a process and sends signals to it, on whatever thread.
//!
//! Until somebody has waited for it, the number of a process is its own, ended or not;
//! after that it may be another's. So both are done under one lock, and whoever may
//! block waits before, in a way that leaves the process to be waited for.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::reports::report_anywhere;
use crate::sys::process::{kill, kill_group, pidfd_send_signal, wait_for_end};

/// What a thread needs that only waits.
const STACK_SIZE: usize = 64 * 1024;

/// The return code of a process that somebody else has waited for; asyncio's.
const UNKNOWN: i32 = 255;

/// A child process, as every thread may have it.
pub(super) struct Reaped {
    pid: u32,
    state: Mutex<State>,
}

struct State {
    child: std::process::Child,
    status: Option<ExitStatus>,
    /// There until the process has been waited for.
    descriptor: Option<OwnedFd>,
}

impl Reaped {
    pub(super) fn new(child: std::process::Child, descriptor: Option<OwnedFd>) -> Reaped {
        let pid = child.id();
        Reaped { pid, state: Mutex::new(State { child, status: None, descriptor }) }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found when it was waited for.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.state().status
    }

    /// Waits for it if it has ended. Its descriptor is closed then.
    pub(super) fn reap(&self) -> Option<ExitStatus> {
        let mut state = self.state();
        if state.status.is_some() {
            return state.status;
        }
        let (status, lost) = match state.child.try_wait() {
            Ok(status) => (status?, None),
            Err(error) => (ExitStatus::from_raw(UNKNOWN << 8), Some(error)),
        };
        state.status = Some(status);
        state.descriptor = None;
        drop(state);
        if let Some(error) = lost {
            let text = format!(
                "somebody else has waited for the child process {}, or SIGCHLD is ignored; its \
                 status is lost and taken to be {UNKNOWN}",
                self.pid
            );
            report_anywhere(&text, Some(error.into()));
        }
        Some(status)
    }

    /// Sends it a signal, unless it has been waited for: false then.
    pub(super) fn send_signal(&self, signal: i32) -> io::Result<bool> {
        self.unless_waited_for(|state| match &state.descriptor {
            Some(descriptor) => pidfd_send_signal(descriptor.as_fd(), signal),
            None => kill(self.pid, signal),
        })
    }

    /// The same to the group that it leads: false as well if it leads none.
    pub(super) fn send_signal_to_group(&self, signal: i32) -> io::Result<bool> {
        // Nobody else gets its number, for a group either, before it is waited for.
        self.unless_waited_for(|_| kill_group(self.pid, signal))
    }

    fn unless_waited_for(&self, send: impl FnOnce(&State) -> io::Result<()>) -> io::Result<bool> {
        let state = self.state();
        if state.status.is_some() {
            return Ok(false);
        }
        match send(&state) {
            // Somebody else has waited for it, or there is no such group.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(false),
            sent => sent.map(|()| true),
        }
    }

    /// Blocks until it has ended, and waits for it.
    pub(super) fn reap_blocking(&self) {
        // An error is what `reap` meets as well.
        let _ = wait_for_end(self.pid);
        self.reap();
    }
}

/// Processes for which no thread could be started.
static LEFT: Mutex<Vec<Arc<Reaped>>> = Mutex::new(Vec::new());

/// Waits for a process that no loop watches any more, on a thread of its own.
pub(super) fn adopt(process: Arc<Reaped>) {
    let mut left = std::mem::take(&mut *LEFT.lock().unwrap_or_else(PoisonError::into_inner));
    left.push(process);
    left.retain(|process| process.reap().is_none());
    left.retain(|process| {
        let reaped = process.clone();
        start_thread(move || reaped.reap_blocking()).is_err()
    });
    LEFT.lock().unwrap_or_else(PoisonError::into_inner).append(&mut left);
}

/// A thread that waits for a process.
pub(super) fn start_thread(body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name("stackio-child".into()).stack_size(STACK_SIZE);
    builder.spawn(body).map(drop)
}
