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
//!   [`release_cold`] returns the memory of those long unused.

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
    /// least. Up to 960 of them are spent on the colour.
    ///
    /// # Errors
    ///
    /// Where the size is beyond 1 GiB, or the kernel gives no more memory: the
    /// error names the limit.
    #[inline]
    pub(crate) fn allocate(size: usize) -> Result<Stack, StackError> {
        let stride = stride_of(size)?;
        ARENA
            .try_with(|arena| arena.borrow_mut().take(stride))
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

/// Returns the memory of free stacks to the kernel, up to `batch` of them, the
/// longest unused first; the last 1,024 of each size stay warm. True if more
/// remain to be released.
///
/// For a loop that is about to block, and has the time.
pub(crate) fn release_cold(batch: usize) -> bool {
    ARENA
        .try_with(|arena| arena.borrow_mut().release_cold(batch, STACKS_KEPT_WARM))
        .unwrap_or(false)
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
#[inline]
fn stride_of(size: usize) -> Result<usize, StackError> {
    match mapping::round_to_pages(size.max(STACK_MIN_SIZE)) {
        Some(usable @ ..=STACK_MAX_SIZE) => Ok(usable + guard_size()),
        _ => Err(StackError::too_large(size)),
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

    fn stacks(size: usize, count: usize) -> Vec<Stack> {
        (0..count).map(|_| Stack::allocate(size).unwrap()).collect()
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
            let small = Stack::allocate(1).unwrap();
            assert_eq!(small.size(), STACK_MIN_SIZE);
            assert_eq!(top(small.base.get()), small.guard().end + small.size());
            let large = Stack::allocate(STACK_SLAB_SIZE + 1).unwrap();
            assert!(large.size() > STACK_SLAB_SIZE);
            assert_eq!(stack_statistics().slabs, 2);
            for size in [STACK_MAX_SIZE + 1, usize::MAX] {
                let error = Stack::allocate(size).err().unwrap();
                assert!(error.to_string().contains("the largest"), "{error}");
            }
        });
    }

    #[test]
    fn cold_stacks_are_released_once() {
        on_a_new_thread(|| {
            let release =
                |batch, warm| ARENA.with(|arena| arena.borrow_mut().release_cold(batch, warm));
            drop(stacks(1, 10));
            assert!(release(4, 3), "three more to go");
            assert_eq!(stack_statistics().released, 4);
            assert!(!release(4, 3));
            assert!(!release(4, 3));
            assert_eq!(stack_statistics().released, 7);
            let taken = stacks(1, 5);
            assert_eq!(stack_statistics().released, 5, "two of them were cold");
            drop(taken);
            assert_eq!(stack_statistics().free, 10);
        });
    }

    #[test]
    fn a_fault_in_the_guard_names_its_stack() {
        on_a_new_thread(|| {
            let stack = Stack::allocate(1).unwrap();
            let guard = stack.guard();
            let usable = guard.end..guard.end + stack.size();
            assert_eq!(overflowed(guard.start), Some(usable.clone()));
            assert_eq!(overflowed(guard.end - 1), Some(usable));
            assert_eq!(overflowed(guard.end), None);
        });
    }
}
