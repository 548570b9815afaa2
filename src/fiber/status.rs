//! Where a fiber stands, in a word.

use std::mem;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not started: it has no stack yet.
    Idle,
    /// Has a stack and waits on it to be resumed.
    Suspended,
    /// On the chain of running fibers, or between two that are.
    Running,
    /// Its body has ended and the stack went back to the pool.
    Finished,
}

/// All that is asked before and after each switch, in a word: so one comparison tells
/// whether there is anything unusual.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Status {
    pub(super) state: State,
    /// Whether the thread was unwinding from a panic when the fiber was resumed.
    pub(super) resumed_in_panic: bool,
    /// Whether its body is to end, and not to suspend any more.
    pub(super) ending: bool,
    /// Whether it is resumed only to tell what is on its stack.
    pub(super) inspected: bool,
    /// Counts the attempts to unwind; 0 in normal life.
    pub(super) unwinding: u16,
    /// Counts the suspensions refused to a body that is to end.
    pub(super) refusals: u16,
}

impl Status {
    pub(super) const SUSPENDED: Status = Status::usual(State::Suspended);
    pub(super) const RUNNING: Status = Status::usual(State::Running);

    pub(super) const fn usual(state: State) -> Status {
        Status {
            state,
            resumed_in_panic: false,
            ending: false,
            inspected: false,
            unwinding: 0,
            refusals: 0,
        }
    }

    #[inline(always)]
    pub(super) fn is(self, other: Status) -> bool {
        // SAFETY: the fields fill eight bytes, and those of an integer may be any.
        let word = |status| unsafe { mem::transmute::<Status, u64>(status) };
        word(self) == word(other)
    }
}
