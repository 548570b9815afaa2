//! The allocator, where it is glibc's.

/// Has the allocator give back to the system what is free in it, which it does by itself
/// only at the end of its heap: one block in use there keeps all that is free below. It
/// goes through the whole heap, which takes some 10 ms for 60 MB, so it is left alone in a
/// process that has more than `most` bytes in memory.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn trim(most: usize) {
    const KEEP_NOTHING: usize = 0;
    if resident().is_some_and(|resident| resident <= most) {
        // SAFETY: it changes nothing that anybody has, and may be called by any thread.
        unsafe { libc::malloc_trim(KEEP_NOTHING) };
    }
}

/// How many bytes of the process are in memory, if the system tells.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn resident() -> Option<usize> {
    let statistics = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statistics.split(' ').nth(1)?.parse().ok()?;
    Some(pages * super::mapping::page_size())
}

/// Others are left to themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn trim(_most: usize) {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_in_memory() {
        const MORE: usize = 32 << 20;
        let before = resident().expect("the system tells");
        let touched = std::hint::black_box(vec![1_u8; MORE]);
        let after = resident().expect("the system tells");
        assert!(after - before > MORE / 2, "{before}, {after} after {}", touched.len());
    }
}
