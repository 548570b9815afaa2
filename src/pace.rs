//! [`Pace`]: how long the loop goes on without asking the selector.
//!
//! Asking the system costs more than a task's step, so with work in the queue a few
//! iterations follow each other without it. How many handles may run, and how much time
//! may pass, bounds how long I/O and timers can wait for that.

use std::cell::Cell;
use std::time::Duration;

use crate::clock::{Clock, Instant};

/// How many milliseconds the selector may go unasked while work is ready.
const INTERVAL_MS: u64 = 8;

/// How many handles may run at most before the clock that counts that is looked at again.
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
    /// How many may run from one look at anything, be it a clock, to the next.
    per_look: Cell<usize>,
    /// How many of these are left.
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
            per_look: Cell::new(1),
            unlooked: Cell::new(0),
            asked: Cell::new(Instant::default()),
            asked_coarsely: Cell::new(0),
            near: Cell::new(Instant::default()),
            looked: Cell::new(0),
        }
    }

    /// The selector has been asked; `coarsely` is what the coarse clock shows.
    pub(crate) fn asked(&self, now: Instant, coarsely: u64) {
        self.asked.set(now);
        self.near.set(now + NEAR);
        self.left.set(self.budget);
        // What the selector took says nothing of what the handles take.
        self.looked.set(coarsely);
        self.asked_coarsely.set(coarsely);
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
    pub(crate) fn must_ask(&self, handles: usize, clock: &Clock, coarsely: u64) -> bool {
        self.look(coarsely);
        if let Some(left @ 1..) = self.left.get().checked_sub(handles) {
            self.left.set(left);
            return coarsely > self.asked_coarsely.get() + INTERVAL_MS;
        }
        self.left.set(self.budget);
        self.budget == 1 || !self.was_asked_just_now(clock)
    }

    /// Notes what the coarse clock shows. If it has stood still since the last look, twice
    /// as many handles may run until the next; if not, they take long, and it is looked at
    /// after each.
    fn look(&self, now: u64) {
        let stands = self.looked.replace(now) == now;
        let handles = if stands { HANDLES_PER_LOOK.min(2 * self.per_look.get()) } else { 1 };
        self.per_look.set(handles);
        self.unlooked.set(handles);
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
    use super::{HANDLES_PER_LOOK, INTERVAL_MS, Pace};
    use crate::clock::{Clock, VirtualClock};

    fn asked_just_now(budget: u32) -> (Clock, Pace) {
        let (clock, pace) = (Clock::Virtual(VirtualClock::new()), Pace::new(budget));
        pace.asked(clock.now(), 0);
        (clock, pace)
    }

    /// How many handles run, one in each iteration, until the selector is to be asked.
    fn handles_until_asked(budget: u32) -> usize {
        let (clock, pace) = asked_just_now(budget);
        (0..).find(|_| !pace.goes_on(1) && pace.must_ask(1, &clock, 0)).unwrap()
    }

    #[test]
    fn the_selector_is_asked_once_for_each_budget_of_handles() {
        for budget in [1, 2, 7, 64] {
            assert_eq!(handles_until_asked(budget), budget as usize - 1, "budget {budget}");
        }
        assert_eq!(handles_until_asked(0), 0, "it is asked at least each time");
    }

    #[test]
    fn a_crowd_is_looked_at_in_each_iteration() {
        let (clock, pace) = asked_just_now(64);
        assert!(!pace.goes_on(HANDLES_PER_LOOK));
        assert!(!pace.goes_on(100) && pace.must_ask(100, &clock, 0));
    }

    /// The most milliseconds between two askings, where each handle takes so many and one
    /// runs in each iteration.
    fn longest_unasked(milliseconds: u64) -> u64 {
        let (clock, pace) = asked_just_now(1000);
        let (mut asked, mut longest) = (0, 0);
        for now in (1..1000).map(|handle| handle * milliseconds) {
            // The coarse clock ticks every four milliseconds.
            let tick = now / 4 * 4;
            if !pace.goes_on(1) && pace.must_ask(1, &clock, tick) {
                pace.asked(clock.now(), tick);
                longest = longest.max(now - asked);
                asked = now;
            }
        }
        longest
    }

    #[test]
    fn where_handles_take_long_the_selector_is_asked_all_the_same() {
        assert_eq!(longest_unasked(50), 50);
        assert_eq!(longest_unasked(20), 20);
        for milliseconds in 1..=8 {
            let longest = longest_unasked(milliseconds);
            assert!(longest <= 2 * INTERVAL_MS, "{longest} ms by {milliseconds}");
        }
    }
}
