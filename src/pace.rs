//! [`Pace`]: how long the loop goes on without asking the selector.
//!
//! Asking the system costs more than a task's step, so with work in the queue a few
//! iterations follow each other without it. How many handles may run, and how much time
//! may pass, bounds how long I/O and timers can wait for that.

use std::cell::Cell;
use std::time::Duration;

use crate::clock::{Clock, Instant};
use crate::sys::clocks::coarse_millis;

/// How many milliseconds the selector may go unasked while work is ready.
const INTERVAL_MS: u64 = 8;

/// How many handles may run before the clock that counts that is looked at again.
const HANDLES_PER_LOOK: usize = 8;

/// How long the selector may go unasked whatever the budget of handles: asking it takes
/// about 0.1 us, which is half a per cent of this.
const QUICK: Duration = Duration::from_micros(20);

/// Timers that are due so long after the selector was asked may be due before it is asked
/// again: twice as long as it goes unasked, for the clock that counts that is coarse.
const NEAR: Duration = Duration::from_millis(2 * INTERVAL_MS);

/// When the selector was asked, and what may run until it is asked again.
pub(crate) struct Pace {
    /// How many handles may run from one asking to the next.
    budget: usize,
    /// How many of them are left.
    left: Cell<usize>,
    /// How many may run before the loop looks at anything, be it a clock.
    unlooked: Cell<usize>,
    /// When it was asked, in the loop's time and on the coarse clock.
    asked: Cell<Instant>,
    asked_coarsely: Cell<u64>,
    /// A timer that is due by then may be due before the selector is asked again.
    near: Cell<Instant>,
    /// When the loop looked at the coarse clock last.
    looked: Cell<u64>,
}

impl Pace {
    pub(crate) fn new(budget: u32) -> Pace {
        Pace {
            budget: budget.max(1) as usize,
            left: Cell::new(0),
            unlooked: Cell::new(0),
            asked: Cell::new(Instant::default()),
            asked_coarsely: Cell::new(0),
            near: Cell::new(Instant::default()),
            looked: Cell::new(0),
        }
    }

    /// The selector has been asked.
    pub(crate) fn asked(&self, now: Instant) {
        self.asked.set(now);
        self.near.set(now + NEAR);
        self.asked_coarsely.set(self.look());
        self.left.set(self.budget);
    }

    /// Whether an iteration of so many handles can begin without a look at anything; if
    /// so, they count as run.
    #[inline]
    pub(crate) fn goes_on(&self, handles: usize) -> bool {
        let goes_on = handles < self.unlooked.get().min(self.left.get());
        if goes_on {
            self.unlooked.set(self.unlooked.get() - handles);
            self.left.set(self.left.get() - handles);
        }
        goes_on
    }

    /// Whether the selector is to be asked before an iteration of so many handles; if
    /// not, they count as run.
    pub(crate) fn must_ask(&self, handles: usize, clock: &Clock) -> bool {
        let now = self.look();
        if let Some(left @ 1..) = self.left.get().checked_sub(handles) {
            self.left.set(left);
            return now > self.asked_coarsely.get() + INTERVAL_MS;
        }
        self.left.set(self.budget);
        self.budget == 1 || !self.was_asked_just_now(clock)
    }

    /// Looks at the coarse clock. While it stands still the next look is after several
    /// handles; where they take long it is after each.
    fn look(&self) -> u64 {
        let now = coarse_millis();
        let stands = self.looked.replace(now) == now;
        self.unlooked.set(if stands { HANDLES_PER_LOOK } else { 1 });
        now
    }

    /// Whether what has run since was so quick that asking again would take longer. A
    /// virtual clock does not tell.
    fn was_asked_just_now(&self, clock: &Clock) -> bool {
        let Clock::Monotonic(_) = clock else { return false };
        clock.now() < self.asked.get() + QUICK
    }

    /// A timer that is due by then may be due before the selector is asked again.
    #[inline]
    pub(crate) fn near(&self, clock: &Clock) -> Instant {
        match clock {
            Clock::Virtual(clock) => clock.now(),
            Clock::Monotonic(_) => self.near.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HANDLES_PER_LOOK, Pace};
    use crate::clock::{Clock, VirtualClock};

    /// How many handles run, one in each iteration, until the selector is to be asked.
    fn handles_until_asked(budget: u32) -> usize {
        let (clock, pace) = (Clock::Virtual(VirtualClock::new()), Pace::new(budget));
        pace.asked(clock.now());
        (0..).find(|_| !pace.goes_on(1) && pace.must_ask(1, &clock)).unwrap()
    }

    #[test]
    fn the_selector_is_asked_once_for_each_budget_of_handles() {
        for budget in [1, 2, 7, 64] {
            // It is asked sooner where the machine takes so long that the time is up.
            let most = (0..100).map(|_| handles_until_asked(budget)).max();
            assert_eq!(most, Some(budget as usize - 1), "budget {budget}");
        }
        assert_eq!(handles_until_asked(0), 0, "it is asked at least each time");
    }

    #[test]
    fn a_crowd_is_looked_at_in_each_iteration() {
        let (clock, pace) = (Clock::Virtual(VirtualClock::new()), Pace::new(64));
        pace.asked(clock.now());
        assert!(!pace.goes_on(HANDLES_PER_LOOK));
        assert!(!pace.goes_on(100) && pace.must_ask(100, &clock));
    }
}
