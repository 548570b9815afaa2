//! The part of a future that does not know the type of its result.
//!
//! State, error and done callbacks live in a [`FutureCore`]; the traits are what tasks and
//! combinators see of a future: a plain one, a task, a gather. They are cancelled each its way.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::Location;
use std::rc::Rc;

use crate::callback_id::CallbackId;
use crate::events::{Scheduler, next_id};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::few::Few;
use crate::fiber::nested;
use crate::instruments::{FlowEvent, FutureId, Outcome, TaskRef};
use crate::reports::{ExceptionContext, ExceptionSource};
use crate::slot::Slot;
use crate::sys::cells;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Finished,
    Failed,
    Cancelled,
}

/// The part of a future that does not depend on the type of its result.
///
/// In the order in which a task's step needs it: what is in front shares a line of the
/// processor's cache with the end of what the task has beside it.
#[repr(C)]
pub(crate) struct FutureCore {
    pub(crate) scheduler: Rc<Scheduler>,
    state: Cell<State>,
    /// Whether `error` is a cancellation that only the first who asks is given:
    /// the one that a task ended with. Later ones get a plain one.
    first_reader_only: Cell<bool>,
    /// Whether an exception was set and nobody has looked at it yet.
    unretrieved: Cell<bool>,
    /// How many callbacks are withdrawn, and only wait to be swept out.
    withdrawn: Cell<u32>,
    callbacks: RefCell<Few<(CallbackId, Rc<dyn DoneCallback>)>>,
    /// The exception, or the cancellation to give to whoever asks.
    error: Cell<Option<Error>>,
    id: FutureId,
    pub(crate) created_at: &'static Location<'static>,
}

/// Below so many callbacks that were withdrawn nobody bothers to sweep.
const FEW: u32 = 32;

/// Something that wants to run when a future is done.
pub(crate) trait DoneCallback {
    /// Puts itself into the ready queue of the future's loop, holding the future until it
    /// has run.
    fn schedule(self: Rc<Self>, future: &Rc<dyn AnyFuture>, scheduler: &Scheduler);
    /// The task that it wakes, if that is what it does.
    fn wakes(&self) -> Option<(FutureId, String)> {
        None
    }
    /// Whether it does not want to run any more.
    fn is_withdrawn(&self) -> bool {
        false
    }
}

/// A future of whatever type: what tasks wait for and what `cancel` travels along.
pub(crate) trait AnyFuture: 'static {
    fn core(&self) -> &FutureCore;

    /// `cancel`, as this sort of future does it.
    fn cancel_any(self: Rc<Self>, message: Option<&str>) -> bool;

    /// The `Future<T>` inside a box.
    fn typed(self: Rc<Self>) -> Box<dyn Any>;

    /// Makes it another future, which is pending; false for a sort that cannot be used
    /// twice.
    fn renew(&mut self, _created_at: &'static Location<'static>) -> bool {
        false
    }

    /// Drops it; its memory may be for another, if nobody else has it.
    fn retire(self: Rc<Self>) {}

    /// What a task has beside a future.
    fn extension(&self) -> Option<&dyn Any> {
        None
    }

    /// The task that has what this future waits for, if it is known.
    fn holder(&self) -> Option<FutureId> {
        None
    }

    /// The futures that this one waits for itself.
    fn awaits(&self) -> Vec<Rc<dyn AnyFuture>> {
        Vec::new()
    }

    /// What it is, for people: `future #7`, `task Task-2`.
    fn title(&self) -> String {
        format!("future {}", self.core().id())
    }

    /// The same, with what it waits for itself.
    fn label(&self) -> String {
        self.title()
    }
}

/// A future with a place for a `T`.
pub(crate) trait Promise<T>: AnyFuture {
    fn slot(&self) -> &Slot<T>;
}

impl FutureCore {
    #[inline(always)]
    #[track_caller]
    pub(crate) fn new(scheduler: Rc<Scheduler>) -> FutureCore {
        FutureCore::made_at(scheduler, Location::caller())
    }

    #[inline(always)]
    pub(crate) fn made_at(
        scheduler: Rc<Scheduler>,
        created_at: &'static Location<'static>,
    ) -> FutureCore {
        FutureCore {
            scheduler,
            state: Cell::new(State::Pending),
            first_reader_only: Cell::new(false),
            unretrieved: Cell::new(false),
            withdrawn: Cell::new(0),
            callbacks: RefCell::new(Few::None),
            error: Cell::new(None),
            id: next_id(),
            created_at,
        }
    }

    /// As [`new`](FutureCore::new), in place of one that nobody has any more.
    #[inline]
    pub(crate) fn renew(&mut self, created_at: &'static Location<'static>) {
        self.report_unretrieved(|| None);
        self.state.set(State::Pending);
        self.first_reader_only.set(false);
        self.withdrawn.set(0);
        *self.callbacks.get_mut() = Few::None;
        *self.error.get_mut() = None;
        self.id = next_id();
        self.created_at = created_at;
    }

    pub(crate) fn id(&self) -> FutureId {
        self.id
    }

    pub(crate) fn state(&self) -> State {
        self.state.get()
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.state.get() != State::Pending
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.state.get() == State::Cancelled
    }

    /// The error that reading the outcome gives; none for a result.
    ///
    /// A cancellation that belongs to the first reader is gone after this.
    pub(crate) fn take_error(&self) -> Option<Error> {
        match self.state.get() {
            State::Finished => None,
            State::Pending => Some(Error::text(ErrorKind::InvalidState, "Result is not set.")),
            State::Failed => {
                self.unretrieved.set(false);
                self.error()
            }
            State::Cancelled if self.first_reader_only.get() => {
                Some(self.error.take().unwrap_or_else(Error::cancelled))
            }
            State::Cancelled => Some(self.error().unwrap_or_else(Error::cancelled)),
        }
    }

    fn error(&self) -> Option<Error> {
        cells::share(&self.error)
    }

    /// The exception, marked as retrieved.
    ///
    /// # Errors
    ///
    /// The cancellation, if it was cancelled; `InvalidState` if it is pending.
    pub(crate) fn exception(&self) -> Result<Option<Error>> {
        match self.state.get() {
            State::Finished => Ok(None),
            State::Failed => Ok(self.take_error()),
            State::Pending => Err(Error::text(ErrorKind::InvalidState, "Exception is not set.")),
            State::Cancelled => Err(self.take_error().unwrap_or_else(Error::cancelled)),
        }
    }

    /// The message it was cancelled with, as far as everybody may see it.
    pub(crate) fn cancel_message(&self) -> Option<String> {
        if self.first_reader_only.get() {
            return None;
        }
        self.error()?.message().map(str::to_owned)
    }

    /// Whether its exception has ended a run of the loop.
    pub(crate) fn failed_by_interrupt(&self) -> bool {
        self.error().as_ref().is_some_and(Error::is_interrupt)
    }

    #[inline]
    pub(crate) fn is_unretrieved(&self) -> bool {
        self.unretrieved.get()
    }

    pub(crate) fn mark_retrieved(&self) {
        self.unretrieved.set(false);
    }

    pub(crate) fn check_pending(&self) -> Result {
        if self.is_done() {
            let text = format!("future {} is already done: {:?}", self.id, self.state.get());
            return Err(Error::text(ErrorKind::InvalidState, text));
        }
        Ok(())
    }

    /// Becomes finished; the value has been put into its slot.
    pub(crate) fn finish(&self, this: Rc<dyn AnyFuture>) {
        self.complete(this, State::Finished, None);
    }

    pub(crate) fn fail(&self, this: Rc<dyn AnyFuture>, error: Error) {
        let error = if error.kind() == ErrorKind::StopIteration {
            let text = "StopIteration interacts badly with generators and cannot be raised into \
                        a Future";
            Error::text(ErrorKind::Runtime, text)
        } else {
            error
        };
        self.unretrieved.set(true);
        self.complete(this, State::Failed, Some(error));
    }

    /// Becomes cancelled; false if it is done already.
    pub(crate) fn cancel(&self, this: Rc<dyn AnyFuture>, message: Option<&str>) -> bool {
        self.unretrieved.set(false);
        if self.is_done() {
            return false;
        }
        let error = message.map(Error::cancelled_with);
        self.complete(this, State::Cancelled, error);
        true
    }

    /// Becomes cancelled by an error that the first reader is to be given.
    pub(crate) fn cancel_for_first_reader(&self, this: Rc<dyn AnyFuture>, error: Error) {
        self.first_reader_only.set(true);
        self.complete(this, State::Cancelled, Some(error));
    }

    #[inline]
    fn complete(&self, this: Rc<dyn AnyFuture>, state: State, error: Option<Error>) {
        if error.is_some() {
            let former = self.error.replace(error);
            drop(former);
        }
        self.state.set(state);
        if self.scheduler.is_watched() {
            self.emit_done(state);
        }
        self.callbacks.take().for_each(|(_, callback)| self.call(&this, callback));
    }

    #[inline]
    fn call(&self, this: &Rc<dyn AnyFuture>, callback: Rc<dyn DoneCallback>) {
        let withdrawn = self.withdrawn.get() > 0 && callback.is_withdrawn();
        if !withdrawn {
            callback.schedule(this, &self.scheduler);
        }
    }

    #[cold]
    fn emit_done(&self, state: State) {
        let outcome = match state {
            State::Failed => Outcome::Exception,
            State::Cancelled => Outcome::Cancelled,
            State::Pending | State::Finished => Outcome::Result,
        };
        self.scheduler.emit(&FlowEvent::FutureDone { future: self.id, outcome });
    }

    /// Adds a callback; if the future is done already, it is scheduled at once.
    #[inline(always)]
    pub(crate) fn add_callback(
        &self,
        this: impl FnOnce() -> Rc<dyn AnyFuture>,
        id: CallbackId,
        callback: Rc<dyn DoneCallback>,
    ) {
        if self.scheduler.is_watched() {
            self.emit_callback(&*callback);
        }
        if self.is_done() {
            callback.schedule(&this(), &self.scheduler);
        } else {
            self.callbacks.borrow_mut().push((id, callback));
        }
    }

    #[cold]
    fn emit_callback(&self, callback: &dyn DoneCallback) {
        let wakes = callback.wakes();
        let wakes = wakes.as_ref().map(|(id, name)| TaskRef { id: *id, name });
        self.scheduler.emit(&FlowEvent::AddDoneCallback { future: self.id, wakes });
    }

    /// The names of the tasks that it will wake.
    pub(crate) fn woken(&self) -> Vec<String> {
        let callbacks = self.callbacks.borrow();
        callbacks
            .as_slice()
            .iter()
            .filter_map(|(_, callback)| callback.wakes())
            .map(|task| task.1)
            .collect()
    }

    pub(crate) fn remove_callback(&self, id: CallbackId) -> usize {
        let removed = self.callbacks.borrow_mut().extract(|(other, _)| *other == id);
        // They are dropped outside of the borrow: closures own user data.
        removed.as_slice().len()
    }

    /// A callback of this future was withdrawn: it is swept out with others, so that
    /// it costs the same however many there are.
    pub(crate) fn note_withdrawn(&self) {
        self.withdrawn.set(self.withdrawn.get() + 1);
        let mut callbacks = self.callbacks.borrow_mut();
        let (withdrawn, all) = (self.withdrawn.get(), callbacks.as_slice().len());
        if withdrawn >= FEW && withdrawn as usize * 2 > all {
            self.withdrawn.set(0);
            // What they owned of the user's went when they were withdrawn.
            drop(callbacks.extract(|(_, callback)| callback.is_withdrawn()));
        }
    }
}

impl FutureCore {
    /// Reports an exception that nobody has looked at; called when it is dropped.
    #[inline(always)]
    pub(crate) fn report_unretrieved(&self, task: impl FnOnce() -> Option<String>) {
        if self.unretrieved.replace(false) {
            self.report_lost(task());
        }
    }

    #[cold]
    fn report_lost(&self, task: Option<String>) {
        let who = match &task {
            Some(name) => format!("the task `{name}`"),
            None => format!("future {}", self.id),
        };
        let message = format!("the exception of {who} was never retrieved");
        let mut context = ExceptionContext::new(ExceptionSource::NeverRetrieved, message);
        context.exception = self.error.take();
        context.task = task;
        context.created_at = Some(self.created_at);
        self.scheduler.reports().report(&context);
    }
}

impl Drop for FutureCore {
    fn drop(&mut self) {
        self.report_unretrieved(|| None);
        let callbacks = self.callbacks.get_mut();
        if !callbacks.as_slice().is_empty() {
            // They may own the next of a long chain of futures.
            let callbacks = mem::take(callbacks);
            nested(|| drop(callbacks));
        }
    }
}
