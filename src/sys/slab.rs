//! Slabs: one mapping for many stacks, and where in it an address lies.
//!
//! A slab is cut into slots of equal size, each a guard with a stack above it,
//! handed out from the bottom up. All slabs of the process are in one list that
//! a signal handler can walk at any moment, so that a fault finds its stack.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use corosensei::stack::valgrind::ValgrindStackRegistration;

use super::advice::RANGES_AT_A_TIME;
use super::limits::{why_not_guarded, why_not_mapped};
use super::mapping::{Mapping, page_size};
use crate::constants::{STACK_GUARD_SIZE, STACK_MAX_SIZE, STACK_SLAB_SIZE};

/// Bytes of guard: whole pages.
#[inline]
pub(crate) fn guard_size() -> usize {
    STACK_GUARD_SIZE.max(page_size())
}

/// Bytes of address space that stacks leave to the rest of the program.
const ROOM_LEFT: usize = 32 * 1024 * 1024;

/// A mapping cut into slots. The fields drop in this order: the memory last.
pub(crate) struct Slab {
    _listed: Listed,
    mapping: Mapping,
    stride: usize,
    /// How many slots were handed out.
    carved: usize,
    /// How many have their guards.
    guarded: usize,
}

/// Valgrind's knowledge of a stack.
pub(crate) type Registration = ValgrindStackRegistration;

/// Maps memory, if as much as the rest of the program may soon need can be mapped
/// beside it: an allocation that fails would abort the process, where a stack that
/// fails is an error of one task.
fn map_leaving_room(len: usize) -> io::Result<Mapping> {
    drop(Mapping::new(len + ROOM_LEFT)?);
    Mapping::new(len)
}

impl Slab {
    /// Maps 64 MiB of slots, or one slot where that is more - or as many as the
    /// kernel still gives.
    ///
    /// # Errors
    ///
    /// Where there is no room for a single slot.
    pub(crate) fn map(stride: usize) -> Result<Slab, StackError> {
        let mut slots = (STACK_SLAB_SIZE / stride).max(1);
        let mapping = loop {
            match map_leaving_room(slots * stride) {
                Ok(mapping) => break mapping,
                Err(_) if slots > 1 => slots /= 2,
                Err(error) => return Err(StackError::refused(stride, why_not_mapped, error)),
            }
        };
        Ok(Slab { _listed: list(&mapping.range(), stride), mapping, stride, carved: 0, guarded: 0 })
    }

    /// The addresses of the slab.
    pub(crate) fn range(&self) -> Range<usize> {
        self.mapping.range()
    }

    /// How many slots were handed out.
    pub(crate) fn carved(&self) -> usize {
        self.carved
    }

    /// Whether the next slot has to come from another slab.
    pub(crate) fn is_full(&self) -> bool {
        self.carved() * self.stride == self.range().len()
    }

    /// The next slot, its guard in place: the address above it, and what is to be
    /// dropped before the slab is.
    ///
    /// # Errors
    ///
    /// Where the kernel makes no guard.
    pub(crate) fn carve(&mut self) -> Result<(usize, Registration), StackError> {
        debug_assert!(!self.is_full());
        let limit = self.range().start + self.carved() * self.stride;
        let bottom = limit + guard_size();
        let top = limit + self.stride;
        if self.carved == self.guarded {
            self.guard_next(limit)?;
        }
        self.carved += 1;
        Ok((top, Registration::new(bottom as *mut u8, top - bottom)))
    }

    /// Guards the next slot, which begins at `limit`, and some more if there were many, which
    /// get the memory of their first page as well.
    fn guard_next(&mut self, limit: usize) -> Result<(), StackError> {
        let left = self.range().len() / self.stride - self.carved;
        let many = self.carved.clamp(1, RANGES_AT_A_TIME).min(left);
        // SAFETY: these slots have not been handed out, so nothing lies in them.
        let guarded = unsafe { self.mapping.guard_many(limit, self.stride, guard_size(), many) };
        if guarded == 0 {
            // SAFETY: as above.
            unsafe { self.mapping.guard(limit..limit + guard_size()) }
                .map_err(|error| StackError::refused(self.stride, why_not_guarded, error))?;
        }
        self.guarded += guarded.max(1);
        // Where a stack begins it is touched at once.
        self.mapping.populate_many(limit + self.stride - page_size(), self.stride, guarded);
        Ok(())
    }
}

/// Why a coroutine got no stack: which limit was met, and what helps.
#[derive(Debug)]
pub struct StackError(Box<Refusal>); // a word, so that the good case is quick

#[derive(Debug)]
struct Refusal {
    message: String,
    source: Option<io::Error>,
}

impl StackError {
    #[cold]
    pub(crate) fn new(size: usize, reason: &str, source: Option<io::Error>) -> StackError {
        let message = format!("cannot map a coroutine stack of {size} bytes: {reason}");
        StackError(Box::new(Refusal { message, source }))
    }

    #[cold]
    pub(crate) fn too_large() -> StackError {
        let message = format!(
            "cannot map a coroutine stack of so many bytes: the largest has {STACK_MAX_SIZE}; ask \
             for less"
        );
        StackError(Box::new(Refusal { message, source: None }))
    }

    #[cold]
    fn refused(stride: usize, why: fn(&io::Error) -> String, error: io::Error) -> StackError {
        StackError::new(stride - guard_size(), &why(&error), Some(error))
    }
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl Error for StackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_ref().map(|error| error as _)
    }
}

/// The slabs of stacks, in a list that a handler can walk at any moment.
///
/// Entries are never freed, and used again once their slab is gone.
struct Entry {
    start: AtomicUsize,
    end: AtomicUsize,
    /// Bytes from guard to guard; `FREE` and `CLAIMED` mark an entry without a
    /// slab. Written last, read first.
    stride: AtomicUsize,
    next: AtomicPtr<Entry>,
}

const ENTRIES_AT_A_TIME: usize = 64;

const FREE: usize = 0;
const CLAIMED: usize = 1;

static ENTRIES: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());

/// How many entries are `FREE`.
static UNUSED: AtomicUsize = AtomicUsize::new(0);

/// Keeps a slab in the list that [`stack_at`] looks into.
struct Listed(&'static Entry);

/// Puts a slab with slots of `stride` bytes into the list.
fn list(slab: &Range<usize>, stride: usize) -> Listed {
    // Mostly there is none to use again: thousands need not be asked.
    let unused = match UNUSED.load(Ordering::Relaxed) {
        0 => None,
        _ => entries().find(|entry| entry.claim()),
    };
    let entry = unused.unwrap_or_else(add_entries);
    entry.start.store(slab.start, Ordering::Relaxed);
    entry.end.store(slab.end, Ordering::Relaxed);
    entry.stride.store(stride, Ordering::Release);
    Listed(entry)
}

/// A few more entries, of which the first is claimed.
fn add_entries() -> &'static Entry {
    let entries: &[Entry] = Box::leak(Box::new([const { Entry::new() }; ENTRIES_AT_A_TIME]));
    let (first, others) = entries.split_first().expect("more than none");
    first.stride.store(CLAIMED, Ordering::Relaxed);
    // Counted before anyone can claim them, so that the count never wraps.
    UNUSED.fetch_add(others.len(), Ordering::Relaxed);
    entries.iter().for_each(Entry::publish);
    first
}

impl Drop for Listed {
    fn drop(&mut self) {
        // Counted before anyone can claim it, so that the count never wraps.
        UNUSED.fetch_add(1, Ordering::Relaxed);
        self.0.stride.store(FREE, Ordering::Release);
    }
}

/// The stack, without its guard, whose guard holds the address `fault`.
///
/// May be called in a signal handler. Other threads may come and go meanwhile:
/// the slabs of the faulting thread stand still while it is here.
pub(crate) fn stack_at(fault: usize) -> Option<Range<usize>> {
    stack_around(fault).filter(|stack| fault < stack.start)
}

/// The stack, without its guard, that the address is in, or in whose guard.
pub(crate) fn stack_around(address: usize) -> Option<Range<usize>> {
    entries().find_map(|entry| {
        let stride = entry.stride.load(Ordering::Acquire);
        let start = entry.start.load(Ordering::Relaxed);
        if stride <= CLAIMED || !(start..entry.end.load(Ordering::Relaxed)).contains(&address) {
            return None;
        }
        let limit = address - (address - start) % stride;
        Some(limit + guard_size()..limit + stride)
    })
}

impl Entry {
    const fn new() -> Entry {
        Entry {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            stride: AtomicUsize::new(FREE),
            next: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Takes the entry if it has no slab.
    fn claim(&self) -> bool {
        let claimed = self
            .stride
            .compare_exchange(FREE, CLAIMED, Ordering::Acquire, Ordering::Relaxed)
            .is_ok();
        if claimed {
            UNUSED.fetch_sub(1, Ordering::Relaxed);
        }
        claimed
    }

    /// Puts a new entry at the head of the list.
    fn publish(&'static self) {
        let this = ptr::from_ref(self).cast_mut();
        let push = |head| {
            self.next.store(head, Ordering::Relaxed);
            Some(this)
        };
        let _ = ENTRIES.fetch_update(Ordering::Release, Ordering::Relaxed, push);
    }
}

fn entries() -> impl Iterator<Item = &'static Entry> {
    std::iter::successors(follow(&ENTRIES), |entry| follow(&entry.next))
}

fn follow(link: &AtomicPtr<Entry>) -> Option<&'static Entry> {
    // SAFETY: links lead to entries that are there for good, and are only ever shared.
    unsafe { link.load(Ordering::Acquire).as_ref() }
}
