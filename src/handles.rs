//! [`Handle`]: a callback that is scheduled, until it has run or is cancelled.
//!
//! `call_soon` puts one into the queue of what is ready, `call_at` sets a timer,
//! which puts it there when it is due.

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Instant;
use crate::context::{Context, Variables};
use crate::events::{Runnable, Scheduler, Standing, Timer};
use crate::instruments::FlowEvent;
use crate::reports::{CallbackOutput, run_callback};
use crate::timers::{Alarm, Timed};

impl Scheduler {
    #[track_caller]
    pub(crate) fn call_soon<R, F>(self: &Rc<Self>, callback: F) -> Handle
    where
        R: CallbackOutput,
        F: FnOnce() -> R + 'static,
    {
        let (handle, inner) = self.handle((), callback);
        if self.is_watched() {
            self.emit(&FlowEvent::CallSoon { task: None });
        }
        self.push(inner);
        handle
    }

    #[track_caller]
    pub(crate) fn call_at<R, F>(self: &Rc<Self>, when: Instant, callback: F) -> TimerHandle
    where
        R: CallbackOutput,
        F: FnOnce() -> R + 'static,
    {
        let (handle, inner) = self.handle(Alarm::default(), callback);
        self.set_timer(when, &inner);
        TimerHandle { handle, when }
    }

    #[track_caller]
    pub(crate) fn call_later<R, F>(self: &Rc<Self>, delay: Duration, callback: F) -> TimerHandle
    where
        R: CallbackOutput,
        F: FnOnce() -> R + 'static,
    {
        self.call_at(self.now() + delay, callback)
    }

    #[track_caller]
    fn handle<A, R, F>(self: &Rc<Self>, alarm: A, f: F) -> (Handle, Rc<HandleInner<A, F>>)
    where
        A: Delay,
        R: CallbackOutput,
        F: FnOnce() -> R + 'static,
    {
        let inner = Rc::new(HandleInner {
            scheduler: self.clone(),
            cancelled: Cell::new(false),
            scheduled_at: Location::caller(),
            alarm,
            context: Cell::new(Variables::copy()),
            entered: Cell::new(false),
            callback: Cell::new(Some(f)),
        });
        (Handle(inner.clone()), inner)
    }
}

/// What keeps a callback from being ready at once: an alarm, or nothing.
trait Delay: 'static {
    fn end(&self, scheduler: &Scheduler);
}

impl Delay for () {
    fn end(&self, _: &Scheduler) {}
}

impl Delay for Alarm {
    fn end(&self, scheduler: &Scheduler) {
        scheduler.cancel_timer(self);
    }
}

struct HandleInner<A, F> {
    scheduler: Rc<Scheduler>,
    cancelled: Cell<bool>,
    scheduled_at: &'static Location<'static>,
    alarm: A,
    context: Cell<Variables>,
    /// Whether its context is the current one.
    entered: Cell<bool>,
    callback: Cell<Option<F>>,
}

impl<A, F, R> Runnable for HandleInner<A, F>
where
    R: CallbackOutput,
    F: FnOnce() -> R,
{
    fn run(self: Rc<Self>, _: &Scheduler) {
        if let Some(callback) = self.callback.take() {
            self.entered.set(true);
            Variables::swap(&self.context);
            run_callback(self.scheduler.reports(), self.scheduled_at, callback);
            Variables::swap(&self.context);
            self.entered.set(false);
        }
    }

    fn describe(&self) -> Standing {
        Standing { place: Some(self.scheduled_at), ..Standing::default() }
    }
}

impl<F> Timed for HandleInner<Alarm, F> {
    fn alarm(&self) -> &Alarm {
        &self.alarm
    }
}

impl<F, R> Timer for HandleInner<Alarm, F>
where
    R: CallbackOutput,
    F: FnOnce() -> R + 'static,
{
}

trait Scheduled {
    fn cancel(&self);
    fn cancelled(&self) -> bool;
    fn context(&self) -> Context;
}

impl<A: Delay, F: 'static> Scheduled for HandleInner<A, F> {
    fn cancel(&self) {
        if !self.cancelled.replace(true) {
            self.alarm.end(&self.scheduler);
            drop(self.callback.take());
            // While it runs its place has the context that is to be current again.
            if !self.entered.get() {
                drop(self.context.take());
            }
        }
    }

    fn cancelled(&self) -> bool {
        self.cancelled.get()
    }

    fn context(&self) -> Context {
        match self.entered.get() {
            true => Variables::share_current(),
            false => Variables::share(&self.context),
        }
    }
}

/// A callback that was scheduled by `call_soon` (`asyncio.Handle`).
#[derive(Clone)]
pub struct Handle(Rc<dyn Scheduled>);

impl Handle {
    /// Takes the callback back. One that has run, or was cancelled, stays as it is.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.0.cancelled()
    }

    /// The context that it is to run in, which from now on it shares with whoever
    /// has this one; an empty one if it was cancelled.
    #[doc(alias = "get_context")]
    pub fn context(&self) -> Context {
        self.0.context()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("cancelled", &self.cancelled()).finish()
    }
}

/// A callback that was scheduled by `call_later` or `call_at`
/// (`asyncio.TimerHandle`).
#[derive(Clone, Debug)]
pub struct TimerHandle {
    handle: Handle,
    when: Instant,
}

impl TimerHandle {
    /// Takes the callback back, as [`Handle::cancel`].
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Whether it was cancelled.
    pub fn cancelled(&self) -> bool {
        self.handle.cancelled()
    }

    /// The context that it is to run in, as [`Handle::context`].
    #[doc(alias = "get_context")]
    pub fn context(&self) -> Context {
        self.handle.context()
    }

    /// The deadline, in the loop's time.
    pub fn when(&self) -> Instant {
        self.when
    }
}
