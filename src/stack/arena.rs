//! The stacks of a thread that nobody has: cut from slabs, and kept to be handed out again.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem;
use std::ops::Range;

use corosensei::stack::StackPointer;

use super::{COLOUR_STEP, Stack, StackError, StackStatistics, top};
use crate::constants::STACK_COLOURS;
use crate::sys::mapping;
use crate::sys::slab::{Slab, guard_size};

thread_local! {
    pub(super) static ARENA: RefCell<Arena> = const { RefCell::new(Arena { classes: Vec::new() }) };
}

/// The stacks of a thread. No code but ours runs while it is borrowed.
pub(super) struct Arena {
    /// One per size that was ever asked for: few, so the search is a glance.
    pub(super) classes: Vec<Class>,
}

/// The stacks of one size.
pub(super) struct Class {
    stride: usize,
    /// Bases of the free stacks, from cold to hot.
    pub(super) free: Vec<usize>,
    /// How many of `free`, from the cold end, have been released.
    released: usize,
    /// Stacks handed out or free.
    carved: usize,
    /// Only the last has slots left.
    slabs: Vec<Slab>,
}

impl Arena {
    #[inline]
    pub(super) fn take(&mut self, stride: usize) -> Result<Stack, StackError> {
        let index = match self.classes.iter().position(|class| class.stride == stride) {
            Some(index) => index,
            None => self.add_class(stride),
        };
        let class = &mut self.classes[index];
        let base = match class.free.pop() {
            Some(base) => {
                class.released = class.released.min(class.free.len());
                base
            }
            None => class.carve()?,
        };
        Ok(Stack {
            base: StackPointer::new(base).expect("no slab lies at address 0"),
            stride: stride as u32,
            class: index as u32,
            home: PhantomData,
        })
    }

    #[cold]
    fn add_class(&mut self, stride: usize) -> usize {
        self.classes.push(Class {
            stride,
            free: Vec::new(),
            released: 0,
            carved: 0,
            slabs: Vec::new(),
        });
        self.classes.len() - 1
    }

    pub(super) fn release_cold(&mut self, batch: usize, warm: usize) -> bool {
        let mut left = batch;
        let mut more = false;
        for class in &mut self.classes {
            let cold = class.free.len().saturating_sub(class.released + warm);
            class.release(cold.min(left));
            more |= cold > left;
            left = left.saturating_sub(cold);
        }
        more
    }

    pub(super) fn statistics(&self) -> StackStatistics {
        let mut sum =
            StackStatistics { limit: mapping::most_guards(), ..StackStatistics::default() };
        for class in &self.classes {
            sum.slabs += class.slabs.len();
            sum.mapped += class.slabs.iter().map(|slab| slab.range().len()).sum::<usize>();
            sum.in_use += class.carved - class.free.len();
            sum.free += class.free.len();
            sum.released += class.released;
        }
        sum
    }
}

impl Drop for Arena {
    /// Unmaps the slabs whose stacks are all free. A stack that outlives its
    /// thread's arena (held by another thread-local) keeps its memory: leaked.
    fn drop(&mut self) {
        for class in &mut self.classes {
            class.free.sort_unstable();
            let free_below = |end| class.free.partition_point(|&base| base <= end);
            for slab in class.slabs.drain(..) {
                let Range { start, end } = slab.range();
                if free_below(end) - free_below(start) < slab.carved() {
                    mem::forget(slab);
                }
            }
        }
    }
}

impl Class {
    /// A slot never used before.
    #[cold]
    #[inline(never)]
    fn carve(&mut self) -> Result<usize, StackError> {
        if self.slabs.last().is_none_or(Slab::is_full) {
            self.slabs.push(Slab::map(self.stride)?);
        }
        let top = self.slabs.last_mut().expect("pushed above if there was none").carve()?;
        let colour = self.carved % STACK_COLOURS * COLOUR_STEP;
        self.carved += 1;
        // Room for every stack there is: giving one back never allocates.
        self.free.reserve(self.carved - self.free.len());
        Ok(top - colour)
    }

    fn release(&mut self, count: usize) {
        let cold = self.released..self.released + count;
        for &base in &self.free[cold] {
            let top = top(base);
            // SAFETY: the stack is free, so nothing lives on it, and the slab
            // of a free stack is mapped.
            unsafe { mapping::release(top - self.stride + guard_size()..top) }
        }
        self.released += count;
    }
}
