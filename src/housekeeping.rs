//! Memory that a crowd has left behind goes back to the system.
//!
//! Every now and then, before it blocks, the loop looks at what has not been used since
//! the last look. So what is used again and again stays, however long the loop rests in
//! between, and what is given back is given back once. A loop that is to block for long
//! with something to give back wakes up for that, twice at most; then it sleeps.

use std::cell::Cell;
use std::time::Duration;

use crate::constants::{IDLE_MS, RELEASE_BATCH};
use crate::events::Scheduler;
use crate::stack::{has_surplus, look_for_stale, release_stale};
use crate::sys::{heap, spares};
use crate::task_core::shrink_unfinished;

#[derive(Default)]
pub(crate) struct Housekeeping {
    /// When it looked last, in milliseconds.
    looked: Cell<u64>,
    /// Whether stacks are being released.
    releasing: Cell<bool>,
    /// How many things have been freed that the allocator is to give back after that.
    freed: Cell<usize>,
}

/// How many things have to be freed at once for the allocator to be asked.
const MANY: usize = 4096;

/// For each of them, how many bytes of heap the allocator may go through: several times
/// what it was and had, so that this is worth what it takes.
const WORTHWHILE: usize = 8192;

impl Housekeeping {
    /// Does what is due at `now`, in milliseconds of any clock, before the loop blocks.
    /// How long it may block until there is more to do; `None` is for ever.
    pub(crate) fn tend(&self, scheduler: &Scheduler, now: u64) -> Option<Duration> {
        if self.releasing.get() {
            self.releasing.set(release_stale(RELEASE_BATCH));
            if self.releasing.get() {
                return Some(Duration::ZERO);
            }
            let freed = self.freed.take();
            if freed >= MANY {
                heap::trim(freed * WORTHWHILE);
            }
        }
        if !has_surplus() && !spares::has_surplus() && !scheduler.has_surplus() {
            return None;
        }
        let rest = (self.looked.get() + IDLE_MS).saturating_sub(now);
        if rest == 0 {
            self.looked.set(now);
            self.freed.set(spares::shrink() + look_for_stale());
            scheduler.shrink();
            shrink_unfinished();
            self.releasing.set(true);
        }
        Some(Duration::from_millis(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Instant, VirtualClock};
    use crate::constants::STACKS_KEPT_WARM;
    use crate::handles::Handle;
    use crate::stack::{Stack, stack_statistics};

    const SOON: Option<Duration> = Some(Duration::ZERO);
    const IN_A_WHILE: Option<Duration> = Some(Duration::from_millis(IDLE_MS));

    fn scheduler() -> std::rc::Rc<Scheduler> {
        Scheduler::new(Clock::Virtual(VirtualClock::new()), 0).into()
    }

    fn use_stacks(count: usize) {
        let stacks: Vec<_> = (0..count).map(|_| Stack::allocate(1, || ()).unwrap()).collect();
        drop(stacks);
    }

    /// A thread has no stacks at first.
    fn on_a_new_thread(test: fn()) {
        std::thread::spawn(test).join().unwrap();
    }

    #[test]
    fn a_loop_that_rests_gives_back_once_and_then_sleeps() {
        on_a_new_thread(|| {
            let (loops, own) = (scheduler(), Housekeeping::default());
            assert_eq!(own.tend(&loops, 10_000), None, "nothing to give back");
            let crowd = STACKS_KEPT_WARM + RELEASE_BATCH + 1;
            use_stacks(crowd);
            assert_eq!(own.tend(&loops, 20_000), SOON);
            assert_eq!(own.tend(&loops, 20_000), IN_A_WHILE, "just now they were in use");
            assert_eq!(own.tend(&loops, 20_000 + IDLE_MS), SOON);
            assert_eq!(own.tend(&loops, 20_000 + IDLE_MS), SOON, "one more than a batch");
            assert_eq!(stack_statistics().released, RELEASE_BATCH);
            assert_eq!(own.tend(&loops, 20_000 + IDLE_MS), None);
            assert_eq!(stack_statistics().released, crowd - STACKS_KEPT_WARM);
            assert_eq!(own.tend(&loops, 90_000), None);
        });
    }

    #[test]
    fn what_is_used_again_and_again_stays() {
        on_a_new_thread(|| {
            let (loops, own) = (scheduler(), Housekeeping::default());
            for round in 1..20 {
                use_stacks(STACKS_KEPT_WARM + 100);
                let now = round * (IDLE_MS - 1);
                assert!(own.tend(&loops, now).is_some());
                assert!(own.tend(&loops, now + 1).is_some());
            }
            assert_eq!(stack_statistics().released, 0);
        });
    }

    #[test]
    fn queues_that_were_long_are_short_again() {
        on_a_new_thread(|| {
            let (loops, own) = (scheduler(), Housekeeping::default());
            assert!(!loops.has_surplus());
            let handles: Vec<Handle> = (0..10_000).map(|_| loops.call_soon(|| ())).collect();
            let soon = Instant::from_millis(1);
            let timers: Vec<_> = (0..10_000).map(|_| loops.call_at(soon, || ())).collect();
            assert_eq!(own.tend(&loops, 10_000), None, "they are full");
            let left = Cell::new(20_000);
            while loops.pop_ready(&left).is_some() {}
            loops.push_due_timers(soon);
            while loops.pop_ready(&left).is_some() {}
            assert!(loops.has_surplus());
            assert_eq!(own.tend(&loops, 10_000), SOON);
            assert_eq!(own.tend(&loops, 10_000), None);
            assert_eq!(handles.len() + timers.len(), 20_000);
        });
    }
}
