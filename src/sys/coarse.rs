//! A clock that is cheap to read and rough: it moves every few milliseconds.

/// Milliseconds of a monotonic clock of a resolution of about 4 ms. The loop asks
/// it at every iteration to bound how long it goes without looking at I/O.
pub(crate) fn coarse_millis() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours; a monotonic clock always exists.
    unsafe { libc::clock_gettime(CLOCK, &mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1000 + nanos.unwrap_or(0) / 1_000_000
}
