//! The stacks of a thread that nobody has: cut from slabs, and kept to be handed out again.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem;
use std::ops::Range;

use corosensei::stack::StackPointer;

use super::{COLOUR_STEP, Stack, StackError, StackStatistics, stride_of, top};
use crate::constants::{STACK_COLOURS, STACKS_KEPT_WARM};
use crate::sys::fetch::{LINE, fetch};
use crate::sys::mapping;
use crate::sys::slab::{Registration, Slab, guard_size};

thread_local! {
    pub(super) static ARENA: RefCell<Arena> = const { RefCell::new(Arena { classes: Vec::new(), latest: None }) };
}

/// How many lines of the processor's cache a body and its first wait take of a stack.
const FIRST_LINES: usize = 6;

/// The stacks of a thread. No code but ours runs while it is borrowed.
pub(super) struct Arena {
    /// One for each stride.
    pub(super) classes: Vec<Class>,
    /// The size that was asked for last, and the index of its class.
    latest: Option<(usize, usize)>,
}

/// The stacks of one size.
pub(super) struct Class {
    stride: usize,
    /// Bases of the free stacks, from cold to hot. From the cold end, first come those
    /// that are `released`, then others that are `stale`, then others `untouched`.
    pub(super) free: Vec<usize>,
    /// How many nobody has taken since the last look.
    untouched: usize,
    /// How many nobody had taken between the two last looks.
    stale: usize,
    /// How many of these have no memory any more.
    released: usize,
    /// Only the last has slots left.
    slabs: Vec<Slab>,
    /// Stacks handed out or free, in the order of the slabs.
    carved: Vec<Registration>,
}

impl Arena {
    #[inline]
    pub(super) fn take(&mut self, size: usize, before_new: fn()) -> Result<Stack, StackError> {
        let index = match self.latest {
            Some((latest, index)) if latest == size => index,
            _ => self.class_of(size)?,
        };
        let class = &mut self.classes[index];
        let base = match class.free.pop() {
            Some(base) => {
                class.note_taken();
                class.fetch_next();
                base
            }
            None => {
                before_new();
                class.carve()?
            }
        };
        Ok(Stack {
            base: StackPointer::new(base).expect("no slab lies at address 0"),
            stride: class.stride as u32,
            class: index as u32,
            home: PhantomData,
        })
    }

    /// The index of the class for stacks of that size, which is made if there is none.
    #[cold]
    fn class_of(&mut self, size: usize) -> Result<usize, StackError> {
        let stride = stride_of(size)?;
        let index = match self.classes.iter().position(|class| class.stride == stride) {
            Some(index) => index,
            None => self.add_class(stride),
        };
        self.latest = Some((size, index));
        Ok(index)
    }

    fn add_class(&mut self, stride: usize) -> usize {
        self.classes.push(Class {
            stride,
            free: Vec::new(),
            untouched: 0,
            stale: 0,
            released: 0,
            slabs: Vec::new(),
            carved: Vec::new(),
        });
        self.classes.len() - 1
    }

    /// Whether there are free stacks with memory, beyond the `warm` ones of a size.
    pub(super) fn has_surplus(&self, warm: usize) -> bool {
        self.classes.iter().any(|class| class.free.len() > class.released + warm)
    }

    pub(super) fn look(&mut self, warm: usize) -> usize {
        self.classes.iter_mut().map(|class| class.look(warm)).sum()
    }

    pub(super) fn release_stale(&mut self, batch: usize) -> bool {
        let mut left = batch;
        for class in &mut self.classes {
            let count = (class.stale - class.released).min(left);
            class.release(count);
            left -= count;
        }
        self.classes.iter().any(|class| class.stale > class.released)
    }

    pub(super) fn statistics(&self) -> StackStatistics {
        let mut sum =
            StackStatistics { limit: mapping::most_guards(), ..StackStatistics::default() };
        for class in &self.classes {
            sum.slabs += class.slabs.len();
            sum.mapped += class.slabs.iter().map(|slab| slab.range().len()).sum::<usize>();
            sum.in_use += class.carved.len() - class.free.len();
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
            let mut carved = mem::take(&mut class.carved).into_iter();
            for slab in class.slabs.drain(..) {
                let Range { start, end } = slab.range();
                let stacks = carved.by_ref().take(slab.carved());
                if free_below(end) - free_below(start) < slab.carved() {
                    stacks.for_each(mem::forget);
                    mem::forget(slab);
                } else {
                    stacks.for_each(drop);
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
        let slab = self.slabs.last_mut().expect("pushed above if there was none");
        let (top, registration) = slab.carve()?;
        let colour = self.carved.len() % STACK_COLOURS * COLOUR_STEP;
        self.carved.push(registration);
        // Room for every stack there is: giving one back never allocates.
        self.free.reserve(self.carved.len() - self.free.len());
        Ok(top - colour)
    }

    /// One has been taken from the hot end.
    #[inline]
    fn note_taken(&mut self) {
        let left = self.free.len();
        if left < self.untouched {
            self.untouched = left;
            self.stale = self.stale.min(left);
            self.released = self.released.min(left);
        }
    }

    /// Where many stacks are taken one after the other, has the processor fetch the end of
    /// one that comes soon.
    #[inline]
    fn fetch_next(&self) {
        let count = self.free.len();
        if count >= STACKS_KEPT_WARM {
            fetch(self.free[count - 4] - FIRST_LINES * LINE, FIRST_LINES);
        }
    }

    /// What nobody has touched since the last look is stale, but for the `warm` hottest; of
    /// how many the memory is still to be released.
    fn look(&mut self, warm: usize) -> usize {
        let cold = self.untouched.min(self.free.len().saturating_sub(warm));
        self.stale = cold.max(self.released);
        self.untouched = self.free.len();
        // Neighbours are released together.
        self.free[self.released..self.stale].sort_unstable();
        self.stale - self.released
    }

    fn release(&mut self, count: usize) {
        let (guard, stale) = (guard_size(), self.released..self.released + count);
        let mut run = 0..0;
        for &base in &self.free[stale] {
            let top = top(base);
            let slot = top - self.stride..top;
            if slot.start != run.end {
                release(&run);
                run.start = slot.start + guard;
            }
            run.end = slot.end;
        }
        release(&run);
        self.released += count;
    }
}

/// Gives back the memory of neighbours that are free, and of the guards between them,
/// which have none.
fn release(run: &Range<usize>) {
    if !run.is_empty() {
        // SAFETY: the stacks are free, so nothing lives on them, and the slabs of free
        // stacks are mapped.
        unsafe { mapping::release(run.clone()) }
    }
}
