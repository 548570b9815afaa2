//! How a loop hears that a child process has ended.
//!
//! ```text
//!   with a process descriptor                       without
//!
//!   selector: it is readable                        thread: waitid, which leaves it waiting
//!        |                                               |  call_soon_threadsafe
//!        v                                               v
//!      Watch --> Child::ended: waits for it, wakes who waits <-- Notice
//!        |                                               |
//!   the loop is closed before: a thread of its own    the loop is closed: the thread itself
//! ```
//!
//! So a process is waited for whatever becomes of its handles and of the loop.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitStatus;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::reaper::{Reaped, adopt, start_thread};
use crate::base_events::{EventLoop, Outstanding, get_running_loop};
use crate::coroutines::check_suspendable;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::remote::LoopHandle;
use crate::reports::{ExceptionContext, ExceptionSource};
use crate::selectors::{Listener, Ready, Registration};
use crate::signals::Signal;
use crate::sys::process::{pidfd_open, wait_for_end};
use crate::waiters::Waiters;

/// Whoever is told of the end of a process, once.
pub(super) trait Watcher {
    /// It has ended.
    fn ended(self: Rc<Self>);
    /// The loop is closed, and nobody will be told.
    fn abandoned(self: Rc<Self>);
}

/// A child process on the side of its loop.
pub(super) struct Child {
    process: Arc<Reaped>,
    scheduler: Weak<Scheduler>,
    status: Cell<Option<ExitStatus>>,
    waiters: Waiters,
    watcher: RefCell<Option<Rc<dyn Watcher>>>,
    /// While it runs and anybody has it.
    outstanding: RefCell<Option<Outstanding>>,
}

impl Child {
    /// Begins to watch a process for the loop. One that cannot be watched is killed.
    pub(super) fn watch(event_loop: &EventLoop, child: std::process::Child) -> Result<Rc<Child>> {
        let descriptor = pidfd_open(child.id()).ok();
        let registered = descriptor.and_then(|descriptor| {
            let registration = event_loop.driver().register(descriptor.as_raw_fd()).ok()?;
            Some((descriptor, registration))
        });
        let (descriptor, registration) = registered.unzip();
        let child = Child::new(event_loop, child, descriptor);
        match registration {
            Some(registration) => child.watch_descriptor(registration),
            None => {
                if let Err(error) = child.watch_by_thread(event_loop) {
                    let _ = child.process.send_signal(libc::SIGKILL);
                    child.process.reap_blocking();
                    return Err(error.into());
                }
            }
        }
        Ok(child)
    }

    fn new(
        event_loop: &EventLoop,
        child: std::process::Child,
        descriptor: Option<OwnedFd>,
    ) -> Rc<Child> {
        Rc::new(Child {
            process: Arc::new(Reaped::new(child, descriptor)),
            scheduler: Rc::downgrade(event_loop.scheduler()),
            status: Cell::new(None),
            waiters: Waiters::default(),
            watcher: RefCell::new(None),
            outstanding: RefCell::new(Some(event_loop.outstanding())),
        })
    }

    fn watch_descriptor(self: &Rc<Self>, registration: Rc<Registration>) {
        let (child, watched) = (self.clone(), registration.clone());
        let watch = Watch { child, registration: watched, done: Cell::new(false) };
        registration.set_listener(Rc::new(watch));
    }

    fn watch_by_thread(self: &Rc<Self>, event_loop: &EventLoop) -> io::Result<()> {
        let number = event_loop.service(ByThread::default).insert(self.clone());
        let notice = Notice { number, process: self.process.clone() };
        let handle = event_loop.handle();
        let started = start_thread(move || notice.wait(&handle));
        if started.is_err() {
            event_loop.service(ByThread::default).remove(number);
        }
        started
    }

    pub(super) fn process(&self) -> &Reaped {
        &self.process
    }

    /// What the loop has heard; what the reaper has found once there is no loop.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.status.get().or_else(|| match self.scheduler.upgrade() {
            Some(scheduler) if !scheduler.is_closed() => None,
            _ => self.process.status(),
        })
    }

    /// Nobody has it any more: virtual time need not stand still for it.
    pub(super) fn detach(&self) {
        let outstanding = self.outstanding.take();
        drop(outstanding);
    }

    /// Waits for it, and wakes who waits; false if it has not ended.
    fn ended(&self) -> bool {
        let Some(status) = self.process.reap() else { return false };
        self.status.set(Some(status));
        self.detach();
        self.waiters.wake_all();
        let watcher = self.watcher.take();
        if let Some(watcher) = watcher {
            watcher.ended();
        }
        true
    }

    /// The loop is closed. Whoever watches owns the child, which is a circle.
    fn abandon(&self) {
        let watcher = self.watcher.take();
        if let Some(watcher) = watcher {
            watcher.abandoned();
        }
    }

    /// Has somebody told of its end, which nobody can have heard of yet.
    pub(super) fn set_watcher(&self, watcher: Rc<dyn Watcher>) {
        *self.watcher.borrow_mut() = Some(watcher);
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// Those of the system; I/O kind `NotFound` if it has been waited for.
    pub(super) fn send_signal(&self, signal: Signal) -> Result {
        if self.process.send_signal(signal.as_raw())? {
            return Ok(());
        }
        let pid = self.process.pid();
        let text = format!("cannot send {signal} to process {pid}: it has ended");
        Err(io::Error::new(io::ErrorKind::NotFound, text).into())
    }

    /// The same to the group that it leads.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Child::send_signal); the same if it leads none.
    pub(super) fn send_signal_to_group(&self, signal: Signal) -> Result {
        if self.process.send_signal_to_group(signal.as_raw())? {
            return Ok(());
        }
        let pid = self.process.pid();
        let text = format!(
            "cannot send {signal} to the group of process {pid}: it leads none, or has ended"
        );
        Err(io::Error::new(io::ErrorKind::NotFound, text).into())
    }

    /// Suspends the task until it has ended.
    #[track_caller]
    pub(super) fn wait(&self) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.status() {
                return Ok(status);
            }
            check_suspendable()?;
            let running = Scheduler::running()?;
            if !self.scheduler.upgrade().is_some_and(|own| Rc::ptr_eq(&own, &running)) {
                let text = "cannot wait for a process here: it belongs to another event loop";
                return Err(Error::text(ErrorKind::Runtime, text));
            }
            let process = || format!("process {}", self.process.pid());
            self.waiters.wait(&running, process, |_| {})?;
        }
    }
}

/// The listener of a process descriptor, which ends with the loop.
struct Watch {
    child: Rc<Child>,
    registration: Rc<Registration>,
    /// Whether it has ended, or somebody else watches.
    done: Cell<bool>,
}

impl Listener for Watch {
    fn ready(self: Rc<Self>, _: Ready) {
        if let Some(scheduler) = self.child.scheduler.upgrade() {
            scheduler.call_soon(move || self.look());
        }
    }
}

impl Watch {
    fn look(&self) {
        if self.done.replace(true) {
            return;
        }
        // Before the descriptor is closed.
        self.registration.deregister();
        if self.child.ended() {
            return;
        }
        // A debugger has it, and keeps its end back. There will be no other event.
        if let Ok(event_loop) = get_running_loop()
            && self.child.watch_by_thread(&event_loop).is_err()
        {
            adopt(self.child.process.clone());
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.registration.deregister();
        if self.done.get() {
            return;
        }
        if let Some(scheduler) = self.child.scheduler.upgrade()
            && scheduler.reports().is_debug()
            && self.child.outstanding.borrow().is_some()
        {
            let pid = self.child.process.pid();
            let text = format!("the process {pid} was still running when its loop was closed");
            scheduler.reports().report(&ExceptionContext::new(ExceptionSource::Leaked, text));
        }
        adopt(self.child.process.clone());
        self.child.abandon();
    }
}

/// The processes of a loop for which threads wait, by their number.
#[derive(Default)]
struct ByThread {
    children: RefCell<BTreeMap<u64, Rc<Child>>>,
    last: Cell<u64>,
}

impl ByThread {
    fn insert(&self, child: Rc<Child>) -> u64 {
        let number = self.last.get() + 1;
        self.last.set(number);
        self.children.borrow_mut().insert(number, child);
        number
    }

    fn remove(&self, number: u64) -> Option<Rc<Child>> {
        self.children.borrow_mut().remove(&number)
    }
}

impl Drop for ByThread {
    fn drop(&mut self) {
        for child in self.children.take().into_values() {
            child.abandon();
        }
    }
}

/// What a thread tells the loop. Wherever it ends, also if there is no loop to tell, the
/// process is waited for.
struct Notice {
    number: u64,
    process: Arc<Reaped>,
}

impl Notice {
    fn wait(self, handle: &LoopHandle) {
        let _ = wait_for_end(self.process.pid());
        let _closed = handle.call_soon_threadsafe(move || self.arrive());
    }

    fn arrive(self) {
        let watched = get_running_loop().ok().and_then(|event_loop| event_loop.find_service());
        let child = watched.and_then(|watched: Rc<ByThread>| watched.remove(self.number));
        if let Some(child) = child {
            child.ended();
        }
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.process.reap();
    }
}
