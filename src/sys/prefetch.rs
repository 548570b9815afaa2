//! Has the processor load what will be needed soon.

/// Bytes of a line of the processor's cache.
const LINE: usize = 64;

/// Loads `lines` lines of cache from an address on. It is a hint: any address will do, and
/// where the processor has no such instruction nothing is done.
#[inline(always)]
pub(crate) fn prefetch(address: *const u8, lines: usize) {
    for line in 0..lines {
        let address = address.wrapping_add(line * LINE);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the instruction reads nothing that a program could see, and never faults.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T0>(address.cast());
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as above.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) address, options(nostack, readonly));
        }
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = address;
    }
}
