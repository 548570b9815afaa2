//! The memory of things in an `Rc` that nobody has any more, kept for the next ones.
//!
//! Where thousands of tasks come and go, the allocator would take more time than all that
//! is done for them, and give memory to the system only to ask for it again.

use std::cell::RefCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::rc::Rc;

/// Words of the largest thing whose memory is kept.
const LARGEST: usize = 128;

/// Of each size the memory of so many is kept, however long nobody wants it.
const FEW: usize = 64;

type Word = MaybeUninit<usize>;

thread_local! {
    static SPARES: RefCell<Spares> = const { RefCell::new(Spares::new()) };
}

/// What this thread keeps.
struct Spares {
    /// The index is the size in words.
    classes: Vec<Class>,
    /// Whether there may be so much of one of them that some could be freed.
    surplus: bool,
}

/// Memory for things of one size, with the alignment of a word.
#[derive(Default)]
struct Class {
    /// What `Rc::into_raw` gave for an `Rc<[Word]>` of that size each, which nobody else has.
    free: Vec<*const Word>,
    /// How many nobody has taken since the last look.
    untouched: usize,
}

/// The size in words, if memory of that size and alignment is kept.
#[inline(always)]
const fn words<T>() -> Option<usize> {
    let words = size_of::<T>() / size_of::<Word>();
    match words <= LARGEST && align_of::<T>() == align_of::<Word>() {
        true => Some(words),
        false => None,
    }
}

/// Puts the thing into memory that was given back, or new. The memory is there before what
/// goes into it, so that nothing is copied.
#[inline(always)]
pub(crate) fn make<T>(thing: impl FnOnce() -> T) -> Rc<T> {
    let mut memory = take();
    Rc::get_mut(&mut memory).expect("nobody else has it yet").write(thing());
    // SAFETY: it has just been written.
    unsafe { memory.assume_init() }
}

#[inline(always)]
fn take<T>() -> Rc<MaybeUninit<T>> {
    match words::<T>().and_then(pop) {
        // SAFETY: it comes out of `into_raw` for a slice that has the size and the alignment
        // of a `T`, as its class says, and it is nobody else's.
        Some(memory) => unsafe { Rc::from_raw(memory.cast()) },
        None => Rc::new_uninit(),
    }
}

#[inline(always)]
fn pop(words: usize) -> Option<*const Word> {
    let pop = |spares: &RefCell<Spares>| spares.borrow_mut().classes.get_mut(words)?.pop();
    SPARES.try_with(pop).ok().flatten()
}

/// Drops the thing, if nobody else has it, and keeps its memory.
#[inline(always)]
pub(crate) fn give_back<T>(mut thing: Rc<T>) {
    if words::<T>().is_some() && Rc::get_mut(&mut thing).is_some() {
        keep(thing);
    }
}

/// Nobody else has it, and it is of a size of which memory is kept.
#[inline(never)]
fn keep<T>(thing: Rc<T>) {
    let words = size_of::<T>() / size_of::<Word>();
    let thing = Rc::into_raw(thing).cast_mut();
    // SAFETY: the slice has the size and the alignment of a `T`. Dropping it does not drop
    // the thing, which is done here, and the memory is freed if that panics.
    let memory = unsafe { Rc::from_raw(ptr::slice_from_raw_parts(thing.cast::<Word>(), words)) };
    // SAFETY: nobody else has it, and nobody looks at it after this.
    unsafe { ptr::drop_in_place(thing) };
    let memory = Rc::into_raw(memory).cast::<Word>();
    let kept = SPARES.try_with(|spares| spares.borrow_mut().push(words, memory));
    if kept.is_err() {
        // SAFETY: it has not been kept.
        unsafe { free(memory, words) };
    }
}

/// Frees memory.
///
/// # Safety
///
/// It is what `Rc::into_raw` gave for a slice of so many words, and nobody else has it.
unsafe fn free(memory: *const Word, words: usize) {
    // SAFETY: as the caller says.
    drop(unsafe { Rc::from_raw(ptr::slice_from_raw_parts(memory, words)) });
}

/// Whether so much is kept that some of it could be freed.
pub(crate) fn has_surplus() -> bool {
    SPARES.try_with(|spares| spares.borrow().surplus).unwrap_or(false)
}

/// Frees what nobody has taken since the last time; how many pieces of memory.
pub(crate) fn shrink() -> usize {
    SPARES.try_with(|spares| spares.borrow_mut().shrink()).unwrap_or(0)
}

impl Spares {
    const fn new() -> Spares {
        Spares { classes: Vec::new(), surplus: false }
    }

    #[inline(always)]
    fn push(&mut self, words: usize, memory: *const Word) {
        if self.classes.len() <= words {
            self.classes.resize_with(words + 1, Class::default);
        }
        let free = &mut self.classes[words].free;
        free.push(memory);
        self.surplus |= free.len() > FEW;
    }

    fn shrink(&mut self) -> usize {
        let classes = self.classes.iter_mut().enumerate();
        let freed = classes.map(|(words, class)| class.shrink(words)).sum();
        self.surplus = self.classes.iter().any(|class| class.free.len() > FEW);
        freed
    }
}

impl Class {
    #[inline(always)]
    fn pop(&mut self) -> Option<*const Word> {
        let memory = self.free.pop()?;
        self.untouched = self.untouched.min(self.free.len());
        Some(memory)
    }

    fn shrink(&mut self, words: usize) -> usize {
        let unused = self.untouched.min(self.free.len().saturating_sub(FEW));
        self.release(unused, words);
        self.free.shrink_to(2 * self.free.len());
        self.untouched = self.free.len();
        unused
    }

    /// Frees so many, those first that have lain longest.
    fn release(&mut self, count: usize, words: usize) {
        for memory in self.free.drain(..count) {
            // SAFETY: what is kept is of the size of its class, and taken out here.
            unsafe { free(memory, words) };
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        for (words, class) in self.classes.iter_mut().enumerate() {
            class.release(class.free.len(), words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    struct Noted<'a>(&'a Cell<u32>, [usize; 4]);

    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert_ne!(self.1[0], 0, "told to");
        }
    }

    #[test]
    fn memory_is_used_again_for_things_of_that_size() {
        let drops = Cell::new(0);
        let first = make(|| Noted(&drops, [1; 4]));
        let place = Rc::as_ptr(&first).addr();
        give_back(first);
        assert_eq!(drops.get(), 1);
        let smaller = make(|| [7_usize; 4]);
        assert_ne!(Rc::as_ptr(&smaller).addr(), place);
        let again = make(|| [(3_u64, 4_u32, 5_u32); 2]);
        assert_ne!(Rc::as_ptr(&again).addr(), place, "four words");
        let again = make(|| [Some(Box::new(8)), None, None, None, None]);
        assert_eq!(Rc::as_ptr(&again).addr(), place);
        assert_eq!(again[0].as_deref(), Some(&8));
    }

    #[test]
    fn what_somebody_has_stays_where_it_is() {
        let drops = Cell::new(0);
        let thing = make(|| Noted(&drops, [1; 4]));
        give_back(thing.clone());
        assert_eq!((drops.get(), Rc::strong_count(&thing)), (0, 1));
        let weak = Rc::downgrade(&thing);
        give_back(thing);
        assert!(drops.get() == 1 && weak.upgrade().is_none());
    }

    #[test]
    fn a_panic_in_a_destructor_goes_through_and_only_the_memory_is_lost() {
        let drops = Cell::new(0);
        let thing = make(|| Noted(&drops, [0; 4]));
        assert!(catch_unwind(AssertUnwindSafe(|| give_back(thing))).is_err());
        assert_eq!(drops.get(), 1);
    }

    #[test]
    fn what_nobody_takes_is_freed() {
        let crowd: Vec<_> = (0..FEW + 100).map(|n| make(|| [n; 9])).collect();
        assert!(!has_surplus());
        crowd.into_iter().for_each(give_back);
        assert!(has_surplus());
        shrink();
        assert!(has_surplus(), "just now it was in use");
        let some: Vec<_> = (0..80_usize).map(|n| make(|| [n; 9])).collect();
        some.into_iter().for_each(give_back);
        shrink();
        let kept = || SPARES.with(|spares| spares.borrow().classes[9].free.len());
        assert_eq!(kept(), 80);
        shrink();
        assert_eq!(kept(), FEW);
        assert!(!has_surplus());
    }

    #[test]
    fn of_large_and_aligned_things_nothing_is_kept() {
        #[repr(align(64))]
        struct Line([u8; 64]);
        give_back(make(|| Line([1; 64])));
        give_back(make(|| [1_usize; LARGEST + 1]));
        assert!(SPARES.with(|spares| spares.borrow().classes.is_empty()));
        assert_eq!(make(|| Line([2; 64])).0[63], 2);
    }
}
