//! Stacks for coroutines: mapped by the slab, handed out by the slot, pooled.
//!
//! ```text
//! slab: one mapping of 64 MiB
//! +--------+--------+--------+--------+----------------------------+
//! | slot 0 | slot 1 | slot 2 | slot 3 |  not handed out yet        |
//! +--------+--------+--------+--------+----------------------------+
//!          |        `------------------------------------------.
//!          |                                                   |
//!          +-----------+---------------------------------+-----+
//!          |   guard   |  <--- the stack grows this way  |colour
//!          +-----------+---------------------------------+-----+
//!        limit         a touch of the guard faults      base  top
//! ```
//!
//! - **Slab.** The kernel limits the number of mappings (65,530), not their
//!   size: a mapping per stack would end at 32,750 coroutines. Memory is taken
//!   only where a stack is touched, page by page.
//! - **Guard.** Below each stack lies a guard that faults, so that an overflow
//!   cannot run into the neighbour; [`overflowed`] finds the stack of a fault.
//! - **Colour.** Stacks a whole number of pages apart would all begin in the
//!   same set of the processor's cache, and throw each other out. Each begins a
//!   few cache lines off its neighbours.
//! - **Pool.** A stack that is dropped goes back to its thread, to be handed out
//!   again, the last one first: its pages are there, its lines are in the cache.
//!   [`release_stale`] returns the memory of those long unused.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

mod arena;

use std::marker::PhantomData;
use std::ops::Range;

use corosensei::stack::StackPointer;

use self::arena::ARENA;
use crate::constants::{STACK_COLOURS, STACK_MAX_SIZE, STACK_MIN_SIZE, STACKS_KEPT_WARM};
use crate::sys::mapping;
use crate::sys::slab::{self, guard_size};

pub use crate::sys::slab::StackError;

/// Bytes of stack that a coroutine gets unless it asks for another size.
///
/// Only what is touched takes memory. Code without optimisation needs about
/// three times the stack, so with debug assertions it is 1 MiB, else 256 KiB.
pub const DEFAULT_STACK_SIZE: usize = if cfg!(debug_assertions) { 1024 * 1024 } else { 256 * 1024 };

/// A cache line: the step from one colour to the next.
const COLOUR_STEP: usize = 64;

/// Less than any page, so that rounding `base` up to it gives `top`.
const COLOURS_END: usize = 4096;

const _: () = assert!(STACK_COLOURS * COLOUR_STEP <= COLOURS_END);
const _: () = assert!(STACK_MAX_SIZE < (u32::MAX / 2) as usize);

/// A stack that nobody runs on, to be given to a coroutine.
///
/// It belongs to the thread that allocated it, and goes back to its pool when
/// dropped.
pub(crate) struct Stack {
    base: StackPointer,
    /// Bytes from `limit` to `top`, guard included.
    stride: u32,
    class: u32,
    home: PhantomData<*mut ()>,
}

impl Stack {
    /// A stack of `size` usable bytes, rounded up to pages and to 16 KiB at
    /// least. Up to 960 of them are spent on the colour. `before_new` is called before
    /// one is made that the thread did not have yet.
    ///
    /// # Errors
    ///
    /// Where the size is beyond 1 GiB, or the kernel gives no more memory: the
    /// error names the limit.
    #[inline]
    pub(crate) fn allocate(size: usize, before_new: fn()) -> Result<Stack, StackError> {
        ARENA
            .try_with(|arena| arena.borrow_mut().take(size, before_new))
            .unwrap_or_else(|_| Err(StackError::new(size, "the thread is ending", None)))
    }

    /// The usable bytes.
    #[cfg(test)]
    fn size(&self) -> usize {
        self.stride as usize - guard_size()
    }

    /// The addresses of the guard, below the usable ones.
    pub(crate) fn guard(&self) -> Range<usize> {
        let limit = top(self.base.get()) - self.stride as usize;
        limit..limit + guard_size()
    }
}

// SAFETY: from `guard().end` to `base` lie STACK_MIN_SIZE bytes or more of memory
// that is mapped, writable and nobody else's until the drop; below it lies the
// guard, which faults. `base` and `limit` are multiples of COLOUR_STEP (64).
unsafe impl corosensei::stack::Stack for Stack {
    #[inline]
    fn base(&self) -> StackPointer {
        self.base
    }

    #[inline]
    fn limit(&self) -> StackPointer {
        StackPointer::new(self.guard().start).expect("no slab lies at address 0")
    }
}

impl Drop for Stack {
    #[inline]
    fn drop(&mut self) {
        // Once the thread has torn its arena down, the slab of a stack that was
        // still out is leaked: nothing to do.
        let _ = ARENA.try_with(|arena| {
            let class = &mut arena.borrow_mut().classes[self.class as usize];
            class.free.push(self.base.get());
        });
    }
}

/// The usable part of the stack whose guard holds the address `fault`, on
/// whatever thread it is.
///
/// May be called in a signal handler: this is how an overflow is recognised.
pub(crate) fn overflowed(fault: usize) -> Option<Range<usize>> {
    slab::stack_at(fault)
}

/// The stack that an address is in.
#[cfg(feature = "inspect")]
pub(crate) fn stack_around(address: usize) -> Option<Range<usize>> {
    slab::stack_around(address)
}

/// Whether memory of free stacks could be given back, once nobody has taken them for a
/// while.
pub(crate) fn has_surplus() -> bool {
    ARENA.try_with(|arena| arena.borrow().has_surplus(STACKS_KEPT_WARM)).unwrap_or(false)
}

/// Looks which of the free stacks nobody has taken since the last look, but for the 64 of
/// each size that were used last: their memory is to be given back. How many were found.
pub(crate) fn look_for_stale() -> usize {
    ARENA.try_with(|arena| arena.borrow_mut().look(STACKS_KEPT_WARM)).unwrap_or(0)
}

/// Returns the memory of those that were found to the kernel, unless somebody has taken
/// them since, up to `batch` of them. True if more remain.
pub(crate) fn release_stale(batch: usize) -> bool {
    ARENA.try_with(|arena| arena.borrow_mut().release_stale(batch)).unwrap_or(false)
}

/// What the stacks of a thread come to; see [`stack_statistics`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackStatistics {
    /// Mappings that stacks are cut from.
    pub slabs: usize,
    /// Bytes of address space in these, touched or not.
    pub mapped: usize,
    /// Stacks that coroutines have.
    pub in_use: usize,
    /// Stacks waiting to be handed out again.
    pub free: usize,
    /// Those of the free ones whose memory went back to the kernel.
    pub released: usize,
    /// How many stacks the process can have at once, where each costs a mapping of
    /// its own for its guard (before Linux 6.13); `None` where it costs none.
    pub limit: Option<usize>,
}

/// Counts the stacks of the current thread.
pub fn stack_statistics() -> StackStatistics {
    ARENA.try_with(|arena| arena.borrow().statistics()).unwrap_or_default()
}

/// The end of the slot in which `base` lies.
#[inline]
fn top(base: usize) -> usize {
    base.next_multiple_of(COLOURS_END)
}

/// Bytes of a slot with `size` usable ones.
fn stride_of(size: usize) -> Result<usize, StackError> {
    match mapping::round_to_pages(size.max(STACK_MIN_SIZE)) {
        Some(usable @ ..=STACK_MAX_SIZE) => Ok(usable + guard_size()),
        _ => Err(StackError::too_large()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constants::STACK_SLAB_SIZE;

    /// A thread has no stacks at first, which a test can count on only so.
    fn on_a_new_thread(test: fn()) {
        std::thread::spawn(test).join().unwrap();
    }

    fn allocate(size: usize) -> Stack {
        Stack::allocate(size, || ()).unwrap()
    }

    fn stacks(size: usize, count: usize) -> Vec<Stack> {
        (0..count).map(|_| allocate(size)).collect()
    }

    fn bases(stacks: &[Stack]) -> Vec<usize> {
        stacks.iter().map(|stack| stack.base.get()).collect()
    }

    #[test]
    fn the_last_one_dropped_is_the_first_one_reused() {
        on_a_new_thread(|| {
            let first = stacks(DEFAULT_STACK_SIZE, 3);
            let dropped = bases(&first);
            first.into_iter().for_each(drop);
            let mut reused = bases(&stacks(DEFAULT_STACK_SIZE, 3));
            reused.reverse();
            assert_eq!(reused, dropped);
        });
    }

    #[test]
    fn neighbours_have_different_colours() {
        on_a_new_thread(|| {
            let stacks = stacks(1, STACK_COLOURS);
            let mut colours: Vec<_> = stacks.iter().map(|s| s.base.get() % COLOURS_END).collect();
            colours.sort_unstable();
            colours.dedup();
            assert_eq!(colours.len(), STACK_COLOURS);
        });
    }

    #[test]
    fn sizes_are_rounded_up_and_bounded() {
        on_a_new_thread(|| {
            let small = allocate(1);
            assert_eq!(small.size(), STACK_MIN_SIZE);
            assert_eq!(top(small.base.get()), small.guard().end + small.size());
            let large = allocate(STACK_SLAB_SIZE + 1);
            assert!(large.size() > STACK_SLAB_SIZE);
            assert_eq!(stack_statistics().slabs, 2);
            for size in [STACK_MAX_SIZE + 1, usize::MAX] {
                let error = Stack::allocate(size, || ()).err().unwrap();
                assert!(error.to_string().contains("the largest"), "{error}");
            }
        });
    }

    /// A look, and the release of what it found; how many are released then.
    fn look(warm: usize) -> usize {
        ARENA.with(|arena| arena.borrow_mut().look(warm));
        while release_stale(4) {}
        stack_statistics().released
    }

    #[test]
    fn stacks_that_nobody_took_between_two_looks_are_released_once() {
        on_a_new_thread(|| {
            drop(stacks(1, 10));
            assert_eq!(look(3), 0, "just now they were in use");
            assert_eq!(look(3), 7);
            assert_eq!(look(3), 7);
            let taken = stacks(1, 5);
            assert_eq!(stack_statistics().released, 5, "two of them were cold");
            drop(taken);
            assert_eq!(look(3), 5, "five were in use");
            drop(stacks(1, 4));
            assert_eq!(look(3), 6, "one was not");
            assert_eq!(look(0), 10);
            assert_eq!(stack_statistics().free, 10);
        });
    }

    #[test]
    fn what_is_taken_in_the_middle_of_a_release_keeps_its_memory() {
        on_a_new_thread(|| {
            drop(stacks(1, 20));
            assert_eq!(look(0), 0);
            ARENA.with(|arena| arena.borrow_mut().look(0));
            assert!(release_stale(4), "sixteen more to go");
            let taken = stacks(1, 10);
            while release_stale(4) {}
            assert_eq!((stack_statistics().released, taken.len()), (10, 10));
        });
    }

    #[test]
    fn released_stacks_are_empty_and_their_neighbours_are_not() {
        on_a_new_thread(|| {
            let word = |stack: &Stack| (stack.base.get() - 64) as *mut u64;
            let all = stacks(1, 9);
            for stack in &all {
                // SAFETY: it lies in the usable part of a stack that nobody runs on.
                unsafe { word(stack).write(7) };
            }
            let (kept, free): (Vec<_>, Vec<_>) =
                all.into_iter().enumerate().partition(|(n, _)| n % 4 == 0);
            drop(free);
            assert_eq!((look(0), look(0)), (0, 6));
            for stack in stacks(1, 6) {
                // SAFETY: as above.
                assert_eq!(unsafe { word(&stack).read() }, 0);
            }
            for (_, stack) in &kept {
                // SAFETY: as above.
                assert_eq!(unsafe { word(stack).read() }, 7);
            }
        });
    }

    #[test]
    fn a_fault_in_the_guard_names_its_stack() {
        on_a_new_thread(|| {
            let stack = allocate(1);
            let guard = stack.guard();
            let usable = guard.end..guard.end + stack.size();
            assert_eq!(overflowed(guard.start), Some(usable.clone()));
            assert_eq!(overflowed(guard.end - 1), Some(usable));
            assert_eq!(overflowed(guard.end), None);
        });
    }
}
