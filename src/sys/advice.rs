//! Advice to the kernel on memory, for many ranges in one call (Linux >= 6.15).

/// On how many ranges advice is given by one call.
pub(crate) const RANGES_AT_A_TIME: usize = 64;

/// Gives advice on the first `len` bytes of each of `count` slots of `stride` bytes, from
/// `start` on, but for 64 at most; on how many bytes the kernel has taken it: none where
/// it has no such call.
///
/// # Safety
///
/// The ranges are mapped by us, and their contents may be changed as the advice says.
#[cfg(target_os = "linux")]
pub(super) unsafe fn advise(
    start: usize,
    stride: usize,
    len: usize,
    count: usize,
    advice: libc::c_int,
) -> usize {
    use std::ptr;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    const PIDFD_SELF_THREAD_GROUP: libc::c_int = -10001;
    const NO_FLAGS: libc::c_uint = 0;
    /// Whether the kernel has not refused that yet.
    static POSSIBLE: AtomicBool = AtomicBool::new(true);

    if !POSSIBLE.load(Relaxed) {
        return 0;
    }
    let mut ranges = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; RANGES_AT_A_TIME];
    let count = count.min(RANGES_AT_A_TIME);
    for (slot, range) in ranges[..count].iter_mut().enumerate() {
        range.iov_base = (start + slot * stride) as *mut _;
        range.iov_len = len;
    }
    // SAFETY: the caller vouches for the ranges.
    let bytes = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            PIDFD_SELF_THREAD_GROUP,
            ranges.as_ptr(),
            count,
            advice,
            NO_FLAGS,
        )
    };
    usize::try_from(bytes).unwrap_or_else(|_| {
        let reason = std::io::Error::last_os_error().raw_os_error();
        let for_now = [libc::ENOMEM, libc::EFAULT, libc::EAGAIN, libc::EINTR];
        if !reason.is_some_and(|reason| for_now.contains(&reason)) {
            POSSIBLE.store(false, Relaxed);
        }
        0
    })
}

/// # Safety
///
/// None is needed: it touches no range.
#[cfg(not(target_os = "linux"))]
pub(super) unsafe fn advise(_: usize, _: usize, _: usize, _: usize, _: libc::c_int) -> usize {
    0
}
