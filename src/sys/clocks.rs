//! The system's monotonic clock, and one that is rough and cheap.

use std::io;

/// Nanoseconds of the monotonic clock, without the arithmetic of std's `Instant`, which
/// takes as long as the reading.
#[inline]
pub(crate) fn monotonic_nanos() -> i64 {
    let time = read(libc::CLOCK_MONOTONIC);
    seconds_of(&time) * 1_000_000_000 + nanos_of(&time)
}

/// Milliseconds of a monotonic clock of a resolution of about 4 ms. The loop asks
/// it every few handles to bound how long it goes without looking at I/O.
pub(crate) fn coarse_millis() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let time = read(CLOCK);
    u64::try_from(seconds_of(&time) * 1000 + nanos_of(&time) / 1_000_000).unwrap_or(0)
}

#[inline]
fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours.
    let done = unsafe { libc::clock_gettime(clock, &mut time) };
    // A monotonic clock always exists.
    debug_assert_eq!(done, 0, "{}", io::Error::last_os_error());
    time
}

// These are of other widths elsewhere.
#[inline]
#[allow(clippy::useless_conversion)]
fn seconds_of(time: &libc::timespec) -> i64 {
    i64::from(time.tv_sec)
}

#[inline]
#[allow(clippy::useless_conversion)]
fn nanos_of(time: &libc::timespec) -> i64 {
    i64::from(time.tv_nsec)
}
