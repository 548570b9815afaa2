//! One coroutine on a stack of its own: start, resume, suspend, unwind.
//!
//! Everything that switches stacks does it here. A [`Fiber`] carries no values;
//! generators and tasks pass theirs beside it, and switching passes only control.
//!
//! ```text
//!      resume()                                   suspend()
//!
//!   loop's stack     fiber's stack         loop's stack     fiber's stack
//!   +----------+     +-----------+         +----------+     +-----------+
//!   | run_once |     | body      |         | run_once |     | body      |
//!   | step     |     | read      |         | step     |     | read      |
//!   | resume --+---->| suspend   |         | resume <-+-----+ suspend   |
//!   +----------+     | (goes on) |         | (goes on)|     | (kept)    |
//!                    +-----------+         +----------+     +-----------+
//! ```
//!
//! Fibers nest: a generator runs inside a task, on the generator's own stack. The
//! running ones form a chain from the innermost to the thread's own stack: each
//! `resume` keeps the one before it on its own stack. A task may be suspended *from
//! within* a generator; it is then resumed right there, so each suspended fiber
//! remembers which fiber was the innermost when it left. The fibers in between stay
//! `Running`.

#![allow(unsafe_code)]

mod guarded;
mod nesting;
mod status;

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::{self, MaybeUninit};
use std::panic::resume_unwind;
use std::ptr;

use corosensei::{Coroutine, CoroutineResult, Yielder};

use self::guarded::stack;
use self::status::{State, Status};
use crate::stack::{Stack, StackError};

pub(crate) use self::nesting::nested;
#[cfg(feature = "inspect")]
pub(crate) use self::nesting::on_another_stack;

thread_local! {
    /// The innermost running fiber of this thread; null on the thread's own stack.
    static CURRENT: Cell<*const Fiber> = const { Cell::new(ptr::null()) };
    /// Whether code runs that must not suspend, on whatever stack.
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
}

/// How often a body that is to end is refused to suspend.
const REFUSALS: u16 = 100;

/// Why a body may not suspend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A watcher or handler runs, which is not to wait.
    Forbidden,
    /// The thread is unwinding from a panic.
    Unwinding,
    /// It is to end.
    Ending,
}

/// How often an unwinding that user code swallows is tried again.
const UNWIND_TRIES: u16 = 64;

/// The payload of a forced unwinding, by which the catchers know it.
struct ForcedUnwind;

/// Whether a caught panic is a forced unwinding and not a fault of the body.
pub(crate) fn is_forced_unwind(payload: &(dyn Any + Send)) -> bool {
    payload.is::<ForcedUnwind>()
}

/// Says in an overflow report whose stack it was.
pub(crate) trait Owner {
    /// Writes it without allocating: the writer runs in a signal handler.
    fn describe(&self, out: &mut dyn fmt::Write) -> fmt::Result;
}

/// A coroutine: a body on a stack of its own, and where it stands.
#[repr(C)]
pub(crate) struct Fiber {
    status: Cell<Status>,
    /// While suspended: the innermost fiber at that moment.
    innermost: Cell<*const Fiber>,
    /// While suspended: an address at the end of what is on its stack.
    rests_at: Cell<usize>,
    /// The door back to the resumer; valid from the start of the body to its end.
    yielder: Cell<*const Yielder<(), ()>>,
    coroutine: UnsafeCell<Option<Coroutine<(), (), (), Stack>>>,
    owner: Cell<Option<ptr::NonNull<dyn Owner>>>,
}

impl Fiber {
    #[inline(always)]
    pub(crate) fn new() -> Fiber {
        Fiber {
            coroutine: UnsafeCell::new(None),
            yielder: Cell::new(ptr::null()),
            innermost: Cell::new(ptr::null()),
            rests_at: Cell::new(0),
            owner: Cell::new(None),
            status: Cell::new(Status::usual(State::Idle)),
        }
    }

    fn state(&self) -> State {
        self.status.get().state
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        let mut status = self.status.get();
        change(&mut status);
        self.status.set(status);
    }

    /// Gives the fiber a stack and a body. The body runs at the first resume.
    ///
    /// # Safety
    ///
    /// From here until the body has ended the fiber stays at its address, and so does
    /// `owner`: the body holds what they are parts of. It lets no panic out.
    pub(crate) unsafe fn start(
        &self,
        stack_size: usize,
        owner: &(dyn Owner + 'static),
        body: impl FnOnce() + 'static,
    ) -> Result<(), StackError> {
        assert_eq!(self.state(), State::Idle, "a fiber is started once");
        let stack = stack(stack_size)?;
        self.owner.set(Some(ptr::NonNull::from(owner)));
        self.innermost.set(self);
        let coroutine = Coroutine::with_stack(stack, move |yielder, ()| {
            // SAFETY: `resume` has just made the fiber that it starts the current
            // one, and keeps it borrowed while this runs.
            unsafe { (*CURRENT.get()).yielder.set(yielder) };
            body();
        });
        // SAFETY: the fiber is idle, so nobody else looks at the cell.
        unsafe { *self.coroutine.get() = Some(coroutine) };
        self.change(|status| status.state = State::Suspended);
        Ok(())
    }

    /// Runs the body until it suspends or ends; true if it ended.
    ///
    /// # Panics
    ///
    /// If the fiber is not suspended; the callers keep states of their own.
    #[inline(always)]
    pub(crate) fn resume(&self) -> bool {
        match self.status.get().is(Status::SUSPENDED) && !std::thread::panicking() {
            true => self.status.set(Status::RUNNING),
            false => self.be_resumed(),
        }
        let parent = CURRENT.replace(self.innermost.get());
        // SAFETY: the state was `Suspended`, so there is a coroutine, and being
        // `Running` now keeps every other `resume` and `drop` out of the cell.
        let coroutine = unsafe { (*self.coroutine.get()).as_mut().unwrap_unchecked() };
        let ended = matches!(coroutine.resume(()), CoroutineResult::Return(()));
        CURRENT.set(parent);
        if ended {
            self.change(|status| status.state = State::Finished);
            // SAFETY: as above; the coroutine has ended, dropping it only gives
            // the stack back.
            unsafe { *self.coroutine.get() = None };
        } else if self.status.get().is(Status::RUNNING) {
            self.status.set(Status::SUSPENDED);
        } else {
            self.change(|status| status.state = State::Suspended);
        }
        ended
    }

    #[cold]
    fn be_resumed(&self) {
        assert_eq!(self.state(), State::Suspended, "only a suspended fiber is resumed");
        self.change(|status| {
            status.state = State::Running;
            status.resumed_in_panic = std::thread::panicking();
        });
    }

    /// Switches back to the resumer; returns when the fiber is resumed, and whether that
    /// is to go on as usual. It has been asked for a [`refusal`](Fiber::refusal) before. It
    /// may be called on the stack of a fiber that runs inside this one.
    ///
    /// # Panics
    ///
    /// With a payload that means unwinding, if the fiber is to be unwound.
    ///
    /// # Safety
    ///
    /// This fiber is on the chain of running fibers of this thread.
    #[inline(always)]
    pub(crate) unsafe fn suspend(&self) -> bool {
        // Mostly it is the same, and what need not be written is not.
        if self.innermost.get() != CURRENT.get() {
            self.innermost.set(CURRENT.get());
        }
        let here = MaybeUninit::<u8>::uninit();
        self.rests_at.set(here.as_ptr().addr());
        // SAFETY: the fiber is running, so its body has begun and set the yielder,
        // which lives on its stack until the body ends. The chain guarantees that
        // switching to its resumer leaves only fibers inside this one.
        unsafe { (*self.yielder.get()).suspend(()) };
        let usual = self.status.get().is(Status::RUNNING);
        if !usual {
            self.raise_if_unwinding();
        }
        usual
    }

    /// Whether the body, which wants to suspend, must not. One that is to end is refused
    /// for a while, before it is unwound.
    ///
    /// A body that is unwinding itself is refused always: the panic count is the
    /// thread's, and whoever ran next would seem to be panicking. If it was resumed in a
    /// panic, as where a runner is dropped by one, all seem to be. Where waiting
    /// is forbidden, a body that is to end is counted all the same: it is left for
    /// whoever ends it, who is inside of the forbidden call.
    ///
    /// # Panics
    ///
    /// As [`suspend`](Fiber::suspend).
    #[inline(always)]
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let usual = self.status.get().is(Status::RUNNING);
        if usual && !FORBIDDEN.get() && !std::thread::panicking() {
            return None;
        }
        let refusal = self.why_refused();
        if refusal.is_none() {
            self.raise_if_unwinding();
        }
        refusal
    }

    #[cold]
    fn why_refused(&self) -> Option<Refusal> {
        let Status { state, ending, refusals, .. } = self.status.get();
        if state != State::Running || (FORBIDDEN.get() && !ending) {
            return Some(Refusal::Forbidden);
        }
        if self.is_unwinding() {
            return Some(Refusal::Unwinding);
        }
        if !ending {
            return None;
        }
        self.change(|status| status.refusals = refusals.saturating_add(1));
        (refusals < REFUSALS).then_some(Refusal::Ending)
    }

    /// Whether suspending would be refused, without counting it as an attempt.
    pub(crate) fn would_refuse(&self) -> bool {
        !self.is_running() || FORBIDDEN.get() || self.is_ending() || self.is_unwinding()
    }

    /// Whether it is the body that panics, as far as can be told, and not whoever resumed it.
    fn is_unwinding(&self) -> bool {
        std::thread::panicking() && !self.status.get().resumed_in_panic
    }

    #[cold]
    fn raise_if_unwinding(&self) {
        let tries = self.status.get().unwinding;
        if tries > 0 && tries < UNWIND_TRIES {
            let panicking = std::thread::panicking();
            self.change(|status| {
                status.unwinding = tries + 1;
                // What waits next may be a destructor, which cannot be told from the body if
                // all seem to be panicking, and must not panic then.
                if panicking {
                    status.refusals = 0;
                }
            });
            resume_unwind(Box::new(ForcedUnwind));
        }
    }

    /// Has its body end: it is refused to suspend any more.
    pub(crate) fn end(&self) {
        self.change(|status| status.ending = true);
    }

    /// Whether its body is to end, or has ended.
    #[inline(always)]
    pub(crate) fn is_ending(&self) -> bool {
        self.status.get().ending
    }

    /// Whether it is resumed only to tell what is on its stack.
    pub(crate) fn is_inspected(&self) -> bool {
        self.status.get().inspected
    }

    /// Resumes it to tell what is on its stack, after which it suspends again.
    pub(crate) fn inspect(&self) {
        self.change(|status| status.inspected = true);
        self.resume();
        self.change(|status| status.inspected = false);
    }

    /// Whether this is the fiber whose stack is in use right now.
    pub(crate) fn is_innermost(&self) -> bool {
        ptr::eq(CURRENT.get(), self)
    }

    /// An address on its stack; 0 before it has begun and after it has ended.
    pub(crate) fn base(&self) -> usize {
        match self.state() {
            State::Suspended | State::Running => self.yielder.get().addr(),
            State::Idle | State::Finished => 0,
        }
    }

    /// Where on its stack it is resumed, while it is suspended; any address otherwise.
    #[inline(always)]
    pub(crate) fn rests_at(&self) -> usize {
        self.rests_at.get()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.state() == State::Idle
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.state() == State::Suspended
    }

    /// Whether its body has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.state() == State::Finished
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state() == State::Running
    }

    /// Unwinds a suspended fiber, so that what is on its stack is dropped. False
    /// if that cannot be: panics abort in this build, or the body swallows them.
    pub(crate) fn unwind(&self) -> bool {
        if cfg!(panic = "abort") {
            return false;
        }
        self.change(|status| status.unwinding = 1);
        while self.is_suspended() && self.status.get().unwinding < UNWIND_TRIES {
            self.resume();
        }
        self.state() == State::Finished
    }
}

impl Drop for Fiber {
    /// A body that has not ended holds what its fiber is part of, so it is over, or was
    /// given up: a leak is safe, and the stack's owner forgets it with the coroutine.
    fn drop(&mut self) {
        mem::forget(self.coroutine.get_mut().take());
    }
}

/// Calls code that runs in the middle of something and must not suspend.
pub(crate) fn without_suspending<R>(call: impl FnOnce() -> R) -> R {
    with_forbidden(true, call)
}

/// Calls code that resumes a fiber in the middle of something. The fiber may suspend
/// itself: it comes back to here.
pub(crate) fn resuming<R>(call: impl FnOnce() -> R) -> R {
    with_forbidden(false, call)
}

fn with_forbidden<R>(forbidden: bool, call: impl FnOnce() -> R) -> R {
    struct Former(bool);
    impl Drop for Former {
        fn drop(&mut self) {
            FORBIDDEN.set(self.0);
        }
    }
    let _former = Former(FORBIDDEN.replace(forbidden));
    call()
}
