//! The allocator, where it is glibc's.

/// Has the allocator give back to the system what is free in it, which it does by itself
/// only at the end of its heap: one block in use there keeps all that is free below. It
/// goes through the whole heap: some 10 ms for 60 MB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn trim() {
    const KEEP_NOTHING: usize = 0;
    // SAFETY: it changes nothing that anybody has, and may be called by any thread.
    unsafe { libc::malloc_trim(KEEP_NOTHING) };
}

/// Others are left to themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn trim() {}
