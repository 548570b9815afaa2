//! Pages from the kernel: map, guard, release.
//!
//! A guard is a stretch of a mapping that faults when touched. There are two
//! ways to make one:
//!
//! ```text
//! MADV_GUARD_INSTALL  one mapping  [ guard | stack | guard | stack | ... ]
//! (Linux >= 6.13)                   a mark in the page table, 0.5 us, free of limits
//!
//! mprotect(PROT_NONE) 2 mappings   [ guard ][ stack ][ guard ][ stack ] ...
//! (anywhere)          per stack     ends at vm.max_map_count: about 32,000 stacks
//! ```
//!
//! The first is taken where a probe shows that it works, the second elsewhere.
//! The environment variable `STACKIO_GUARD=mprotect` forces the second.

use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

use super::advice::advise;
use super::limits::setting;
use crate::constants::MAPPINGS_LEFT;

/// The size of a page in bytes, asked once.
#[inline]
pub(crate) fn page_size() -> usize {
    static PAGE: AtomicUsize = AtomicUsize::new(0);

    #[cold]
    fn ask() -> usize {
        // SAFETY: sysconf only reads.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).expect("sysconf knows the page size");
        PAGE.store(page, Relaxed);
        page
    }

    match PAGE.load(Relaxed) {
        0 => ask(),
        page => page,
    }
}

/// `size` rounded up to whole pages; `None` where that overflows.
#[inline]
pub(crate) fn round_to_pages(size: usize) -> Option<usize> {
    let mask = page_size() - 1;
    Some(size.checked_add(mask)? & !mask)
}

/// A private anonymous mapping, readable and writable, unmapped when dropped.
///
/// It is only ever named by address: whoever turns an address of it into a
/// reference, or runs on it as a stack, must keep the mapping alive.
pub(crate) struct Mapping {
    start: usize,
    len: usize,
    /// Guards in it that cost mappings.
    protected: usize,
}

impl Mapping {
    /// Maps `len` bytes (whole pages) without reserving memory for them.
    ///
    /// # Errors
    ///
    /// What the kernel said; [`why_not_mapped`](super::limits::why_not_mapped) puts it in words.
    pub(crate) fn new(len: usize) -> io::Result<Mapping> {
        // No MAP_GROWSDOWN, which grows into what lies below. No MAP_STACK:
        // newer kernels only take it for the advice given further down.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        const EXTRA: libc::c_int = libc::MAP_NORESERVE;
        // Its kernel kills a process whose stack pointer leaves such mappings.
        #[cfg(target_os = "openbsd")]
        const EXTRA: libc::c_int = libc::MAP_STACK;
        #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "openbsd")))]
        const EXTRA: libc::c_int = 0;

        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | EXTRA;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches no
        // memory that anyone has.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mapping = Mapping { start: start as usize, len, protected: 0 };
        mapping.without_huge_pages();
        Ok(mapping)
    }

    /// The addresses of the mapping.
    pub(crate) fn range(&self) -> Range<usize> {
        self.start..self.start + self.len
    }

    /// One touched page of a stack must cost one page, not 2 MiB.
    fn without_huge_pages(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        // SAFETY: the range is ours, and the advice changes no contents. A kernel
        // without huge pages refuses it, which is as good.
        unsafe {
            libc::madvise(self.start as *mut _, self.len, libc::MADV_NOHUGEPAGE);
        }
    }

    /// Makes every access to `range` fault, for as long as the mapping lives.
    ///
    /// # Safety
    ///
    /// Nothing that anyone still uses lies in `range`.
    ///
    /// # Errors
    ///
    /// What the kernel said; [`why_not_guarded`](super::limits::why_not_guarded) puts it in words.
    pub(crate) unsafe fn guard(&mut self, range: Range<usize>) -> io::Result<()> {
        self.check(&range);
        // SAFETY: the range lies in this mapping, and the caller vouches that
        // it is unused.
        unsafe {
            // Refused in spite of the probe (say, by mlockall called since):
            // this guard is made the other way.
            if guards_are_free() && guard_by_advice(&range).is_ok() {
                return Ok(());
            }
            if PROTECTED.load(Relaxed) >= most_protected() {
                return Err(io::Error::from_raw_os_error(libc::ENOMEM));
            }
            guard_by_protection(&range)?;
        }
        self.protected += 1;
        PROTECTED.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Guards the first `guard` bytes of each of `count` slots of `stride` bytes, from
    /// `start` on, in one call, which takes two thirds of the time. How many it was
    /// possible for: none where the kernel has no such call.
    ///
    /// # Safety
    ///
    /// As [`guard`](Mapping::guard), of each of the ranges.
    pub(crate) unsafe fn guard_many(
        &mut self,
        start: usize,
        stride: usize,
        guard: usize,
        count: usize,
    ) -> usize {
        if count < 2 || !guards_are_free() {
            return 0;
        }
        self.check(&(start..start + (count - 1) * stride + guard));
        // SAFETY: the ranges lie in this mapping, and the caller vouches that they are
        // unused.
        unsafe { advise(start, stride, guard, count, MADV_GUARD_INSTALL) / guard }
    }

    /// Has `count` pages, `stride` bytes apart from `start` on, get their memory in one
    /// call: a fault for each takes a sixth longer. A kernel that cannot leaves it to the
    /// faults.
    pub(crate) fn populate_many(&self, start: usize, stride: usize, count: usize) {
        const MADV_POPULATE_WRITE: libc::c_int = 23;
        if count > 1 {
            self.check(&(start..start + (count - 1) * stride + page_size()));
            // SAFETY: the ranges lie in this mapping, and the advice changes no contents.
            unsafe { advise(start, stride, page_size(), count, MADV_POPULATE_WRITE) };
        }
    }

    fn check(&self, range: &Range<usize>) {
        debug_assert!(range.start <= range.end && self.start <= range.start);
        debug_assert!(range.end <= self.start + self.len);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        PROTECTED.fetch_sub(self.protected, Relaxed);
        // SAFETY: `new` got exactly this range from the kernel, and whoever
        // used addresses of it was to keep the mapping alive until they were done.
        let done = unsafe { libc::munmap(self.start as *mut _, self.len) };
        debug_assert_eq!(done, 0, "munmap: {}", io::Error::last_os_error());
    }
}

/// Gives the memory of `range` (whole pages) back to the kernel; the mapping
/// and the guards in it stay.
///
/// # Safety
///
/// `range` lies in a live [`Mapping`], and nothing that anyone still uses lies
/// in it: it may read as zero afterwards.
pub(crate) unsafe fn release(range: Range<usize>) {
    // Elsewhere DONTNEED is only a hint about paging, and FREE gives pages back.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const GIVE_BACK: libc::c_int = libc::MADV_DONTNEED;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const GIVE_BACK: libc::c_int = libc::MADV_FREE;

    // SAFETY: the caller vouches that the range is ours and unused. Where the
    // kernel refuses (locked memory), the pages stay, which is no harm.
    unsafe {
        libc::madvise(range.start as *mut _, range.len(), GIVE_BACK);
    }
}

const MADV_GUARD_INSTALL: libc::c_int = 102;

const UNKNOWN: u8 = 0;
const ADVICE: u8 = 1;
const PROTECTION: u8 = 2;

/// Whether guards cost no mapping here; found out once per process.
fn guards_are_free() -> bool {
    static GUARDS: AtomicU8 = AtomicU8::new(UNKNOWN);
    match GUARDS.load(Relaxed) {
        UNKNOWN => {
            let free = std::env::var_os("STACKIO_GUARD").is_none_or(|way| way != "mprotect")
                && probe_advice();
            GUARDS.store(if free { ADVICE } else { PROTECTION }, Relaxed);
            free
        }
        way => way == ADVICE,
    }
}

/// Guards a page and has the kernel touch it. The answer to the advice is not
/// enough: emulators say yes to every advice and do nothing.
#[cfg(target_os = "linux")]
fn probe_advice() -> bool {
    let Ok(page) = Mapping::new(page_size()) else {
        return false;
    };
    // SAFETY: nobody else knows this page. `uname` writes less than a page, and
    // answers EFAULT instead of faulting where it cannot.
    unsafe {
        guard_by_advice(&page.range()).is_ok()
            && libc::uname(page.start as *mut libc::utsname) == -1
            && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
    }
}

#[cfg(not(target_os = "linux"))]
fn probe_advice() -> bool {
    false
}

/// Guards in the process that cost mappings.
static PROTECTED: AtomicUsize = AtomicUsize::new(0);

/// How many guards the process can have, where each costs a mapping.
pub(crate) fn most_guards() -> Option<usize> {
    (!guards_are_free()).then(most_protected)
}

/// How many of these there may be. A process at the kernel's limit cannot even
/// allocate the words of an error, so some mappings are left to the others.
fn most_protected() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        let count = setting("max_map_count").and_then(|count| count.parse::<usize>().ok());
        count.map_or(usize::MAX, |count| count.saturating_sub(MAPPINGS_LEFT) / 2)
    })
}

/// # Safety
///
/// `range` is mapped by us, and unused.
unsafe fn guard_by_advice(range: &Range<usize>) -> io::Result<()> {
    // SAFETY: the caller vouches for the range.
    let done = unsafe { libc::madvise(range.start as *mut _, range.len(), MADV_GUARD_INSTALL) };
    answer(done)
}

/// # Safety
///
/// `range` is mapped by us, and unused.
unsafe fn guard_by_protection(range: &Range<usize>) -> io::Result<()> {
    // SAFETY: the caller vouches for the range.
    let done = unsafe { libc::mprotect(range.start as *mut _, range.len(), libc::PROT_NONE) };
    answer(done)
}

fn answer(done: libc::c_int) -> io::Result<()> {
    match done {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the kernel can write to this page.
    fn writable(page: usize) -> bool {
        // SAFETY: the tests pass pages of mappings of theirs; a page that cannot
        // be written makes `uname` fail, not fault.
        unsafe { libc::uname(page as *mut libc::utsname) == 0 }
    }

    #[test]
    fn both_kinds_of_guard_guard_their_range_and_no_more() {
        let page = page_size();
        for guard in [guard_by_advice, guard_by_protection] {
            let mapping = Mapping::new(3 * page).unwrap();
            let start = mapping.range().start;
            // SAFETY: the mapping is ours and holds nothing.
            if unsafe { guard(&(start..start + page)) }.is_err() {
                continue; // an older kernel does not know the advice
            }
            assert!(!writable(start));
            assert!(writable(start + page));
            // SAFETY: as above.
            unsafe { release(mapping.range()) };
            assert!(!writable(start), "a guard survives the release");
        }
    }

    #[test]
    fn many_guards_guard_the_beginning_of_each_slot() {
        let page = page_size();
        let mut mapping = Mapping::new(12 * page).unwrap();
        let start = mapping.range().start;
        // SAFETY: the mapping is ours and holds nothing.
        let slots = unsafe { mapping.guard_many(start, 3 * page, page, 4) };
        for at in 0..12 {
            let guarded = at % 3 == 0 && at / 3 < slots;
            assert_eq!(writable(start + at * page), !guarded, "page {at} of {slots} slots");
        }
    }

    #[test]
    fn memory_comes_for_the_pages_that_were_named_and_no_others() {
        let page = page_size();
        let mapping = Mapping::new(12 * page).unwrap();
        let start = mapping.range().start;
        mapping.populate_many(start + page, 3 * page, 4);
        let mut resident = [0_u8; 12];
        // SAFETY: the range is that of the mapping, and there is a byte for each page.
        let asked = unsafe { libc::mincore(start as *mut _, 12 * page, resident.as_mut_ptr()) };
        assert_eq!(asked, 0);
        let some = resident[1] & 1;
        for (at, here) in resident.iter().enumerate() {
            assert_eq!(here & 1, if at % 3 == 1 { some } else { 0 }, "page {at}");
        }
    }

    #[test]
    fn rounding_to_pages_does_not_wrap() {
        assert_eq!(round_to_pages(1), Some(page_size()));
        assert_eq!(round_to_pages(page_size()), Some(page_size()));
        assert_eq!(round_to_pages(usize::MAX), None);
    }
}
