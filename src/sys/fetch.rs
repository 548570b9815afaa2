//! Asking for memory before it is needed.

/// Bytes of a line of the processor's cache.
pub(crate) const LINE: usize = 64;

/// Has the processor fetch so many lines of its cache from an address on, whatever lies
/// there, while it goes on with other things.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn fetch(address: usize, lines: usize) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

    for line in 0..lines {
        let address = address.wrapping_add(line * LINE) as *const i8;
        // SAFETY: nothing is read or written, and no address makes it fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
    }
}

/// Elsewhere memory is fetched when it is needed.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn fetch(_: usize, _: usize) {}
