//! Time: the loop's [`Instant`], the monotonic clock and the virtual one.
//!
//! asyncio counts seconds in a float. Here an [`Instant`] is a count of
//! nanoseconds since the clock's start, exact and ordered, and the same type
//! serves a clock that runs and one that a test moves.

use std::cell::Cell;
use std::fmt;
use std::ops::{Add, Sub};
use std::rc::Rc;
use std::time::Duration;

use crate::sys::clocks::monotonic_nanos;

/// A duration of whole seconds.
///
/// ```
/// assert_eq!(stackio::secs(2), std::time::Duration::from_secs(2));
/// ```
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A duration of whole milliseconds.
///
/// ```
/// assert_eq!(stackio::millis(1500), std::time::Duration::from_millis(1500));
/// ```
pub const fn millis(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A point in the time of a loop's clock, in nanoseconds since the clock's start.
///
/// Arithmetic saturates: a deadline beyond the end of time (292 years) is the
/// end of time.
///
/// ```
/// use stackio::{Instant, millis};
/// let start = Instant::from_millis(5);
/// assert_eq!((start + millis(7)).as_millis(), 12);
/// assert_eq!(start + millis(7) - start, millis(7));
/// assert_eq!(start - (start + millis(7)), millis(0));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    /// The end of time.
    pub(crate) const MAX: Instant = Instant(i64::MAX);

    /// The instant that many nanoseconds after the clock's start.
    pub const fn from_nanos(nanos: i64) -> Instant {
        Instant(nanos)
    }

    /// The instant that many milliseconds after the clock's start.
    pub const fn from_millis(millis: i64) -> Instant {
        Instant(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the clock's start, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}

#[inline]
fn nanos(duration: Duration) -> i64 {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(duration.subsec_nanos()))
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(duration)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// The time from `earlier` to `self`; zero if `earlier` is the later one.
    fn sub(self, earlier: Instant) -> Duration {
        let difference = self.0.saturating_sub(earlier.0);
        Duration::from_nanos(u64::try_from(difference).unwrap_or(0))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0.div_euclid(1_000_000_000), self.0.rem_euclid(1_000_000_000))
    }
}

/// A clock that stands still until somebody moves it: the loop, when nothing is
/// ready, to the next timer; a test, by [`advance`](VirtualClock::advance).
///
/// Handles are cheap to clone and all show the same time.
///
/// ```
/// use stackio::{Runner, VirtualClock, secs, sleep};
///
/// let clock = VirtualClock::new();
/// let mut runner = Runner::builder().virtual_clock(&clock).build()?;
/// runner.run(|| sleep(secs(3600)))?; // takes no time
/// assert_eq!(clock.now().as_millis(), 3_600_000);
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct VirtualClock(Rc<Cell<Instant>>);

impl VirtualClock {
    /// A clock that shows zero.
    pub fn new() -> VirtualClock {
        VirtualClock::default()
    }

    /// The time it shows.
    pub fn now(&self) -> Instant {
        self.0.get()
    }

    /// Moves it forward without giving way to anything, as a computation that
    /// takes that long would.
    pub fn advance(&self, duration: Duration) {
        self.0.set(self.0.get() + duration);
    }

    /// Moves it forward to `when`, never back.
    pub(crate) fn advance_to(&self, when: Instant) {
        self.0.set(self.0.get().max(when));
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualClock").field(&self.now()).finish()
    }
}

/// What a loop reads its time from.
#[derive(Clone, Debug)]
pub(crate) enum Clock {
    /// The system's monotonic clock, counted from the making of the loop, of which this
    /// is the time on it.
    Monotonic(i64),
    /// One that jumps.
    Virtual(VirtualClock),
}

impl Clock {
    pub(crate) fn monotonic() -> Clock {
        Clock::Monotonic(monotonic_nanos())
    }

    pub(crate) fn is_virtual(&self) -> bool {
        matches!(self, Clock::Virtual(_))
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Clock::Monotonic(start) => Instant(monotonic_nanos() - start),
            Clock::Virtual(clock) => clock.now(),
        }
    }
}
