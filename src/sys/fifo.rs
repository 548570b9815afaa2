//! A queue that many have, without asking each time whether somebody is at it.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::mem;

/// A queue behind a shared reference. Its methods move things, and run nobody's code but the
/// allocator's, which must not use the queue.
pub(crate) struct Fifo<T>(UnsafeCell<VecDeque<T>>);

impl<T> Default for Fifo<T> {
    fn default() -> Fifo<T> {
        Fifo::new()
    }
}

impl<T> Fifo<T> {
    pub(crate) const fn new() -> Fifo<T> {
        Fifo(UnsafeCell::new(VecDeque::new()))
    }

    /// For the length of a call that comes back before anybody else's code runs.
    #[inline(always)]
    fn with<R>(&self, call: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        // SAFETY: the type is not `Sync`. Within this module the calls move things without
        // dropping, cloning or comparing any, and who peeks only looks. `push` and `shrink_to`
        // allocate, and an allocator does not use the crate. So none of them comes back here.
        call(unsafe { &mut *self.0.get() })
    }

    #[inline(always)]
    pub(crate) fn push(&self, thing: T) {
        self.with(|queue| queue.push_back(thing));
    }

    #[inline(always)]
    pub(crate) fn pop(&self) -> Option<T> {
        self.with(VecDeque::pop_front)
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.with(|queue| queue.len())
    }

    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline(always)]
    pub(crate) fn pop_newest(&self) -> Option<T> {
        self.with(VecDeque::pop_back)
    }

    /// Looks at the one that comes so many after the first.
    #[inline(always)]
    pub(crate) fn peek(&self, after: usize, look: impl FnOnce(&T)) {
        self.with(|queue| queue.get(after).map(look));
    }

    /// For how many there is room.
    pub(crate) fn capacity(&self) -> usize {
        self.with(|queue| queue.capacity())
    }

    /// All of them; it is empty after that.
    pub(crate) fn take(&self) -> VecDeque<T> {
        self.replace(VecDeque::new())
    }

    pub(crate) fn replace(&self, things: VecDeque<T>) -> VecDeque<T> {
        self.with(|queue| mem::replace(queue, things))
    }

    /// Gives up the room for more than `least`, if there are not as many.
    pub(crate) fn shrink_to(&self, least: usize) {
        self.with(|queue| {
            let mut fewer = VecDeque::with_capacity(queue.len().max(least));
            fewer.append(queue);
            *queue = fewer;
        });
    }
}
