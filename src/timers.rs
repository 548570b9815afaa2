//! Timers in the order of their deadlines.
//!
//! A heap by (deadline, order of setting), in which an entry only says when to look.
//! When a timer is due it says itself, in its [`Alarm`]: so cancelling it, and setting
//! it again for later, leave the heap alone. Most timers are timeouts that are
//! cancelled long before they are due, and set again.
//!
//! ```text
//!   set for 60      heap: 60      alarm: due 60
//!   cancelled       heap: 60      alarm: -
//!   set for 61      heap: 60      alarm: due 61
//!   at 60           heap: 61      alarm: due 61     the entry moves to where it belongs
//! ```
//!
//! Entries of which nothing is left are dropped when they come up, or all together
//! once they are the majority.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::rc::Rc;

use crate::clock::Instant;

/// Below so many entries of which nothing is left nobody bothers to sweep.
const FEW: usize = 64;

/// How many timers are kept to be set again.
const SPARE: usize = 1024;

/// How many of them are looked at for one that fits.
const SPARE_LOOKED_AT: usize = 4;

/// A deadline, and the order in which it was set; of order 0 there is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    when: Instant,
    order: u64,
}

impl Key {
    fn exists(self) -> bool {
        self.order != 0
    }
}

/// What a timer has for the heap's sake. It belongs to one heap all its life.
#[derive(Default)]
pub(crate) struct Alarm {
    due: Cell<Key>,
    /// The entry that counts; another one is a remnant.
    entry: Cell<Key>,
}

impl Alarm {
    /// Whether it will be due, and has not been cancelled.
    pub(crate) fn is_set(&self) -> bool {
        self.due.get().exists()
    }

    /// Whether the heap has an entry for it, be it set or not.
    pub(crate) fn has_entry(&self) -> bool {
        self.entry.get().exists()
    }
}

/// What can be set as a timer.
pub(crate) trait Timed {
    /// Always the same one.
    fn alarm(&self) -> &Alarm;
}

struct Entry<T: ?Sized> {
    key: Key,
    timer: Rc<T>,
}

impl<T: ?Sized + Timed> Entry<T> {
    /// When its timer is due; `None` if it is a remnant.
    fn due(&self) -> Option<Key> {
        let alarm = self.timer.alarm();
        Some(alarm.due.get()).filter(|due| due.exists() && alarm.entry.get() == self.key)
    }

    /// The timer, whose entry this has been.
    fn into_timer(self) -> Rc<T> {
        let alarm = self.timer.alarm();
        if alarm.entry.get() == self.key {
            alarm.entry.take();
        }
        self.timer
    }
}

/// The timers that are set.
pub(crate) struct Timers<T: ?Sized> {
    heap: BinaryHeap<Entry<T>>,
    last_order: u64,
    /// How many entries are not those of a timer that is set.
    remnants: usize,
    spare: Vec<Rc<T>>,
}

impl<T: ?Sized + Timed> Timers<T> {
    pub(crate) fn new() -> Timers<T> {
        Timers { heap: BinaryHeap::new(), last_order: 0, remnants: 0, spare: Vec::new() }
    }

    /// Sets a timer that is not set; `timer` gives it, for a new entry.
    #[inline]
    pub(crate) fn set(&mut self, when: Instant, alarm: &Alarm, timer: impl FnOnce() -> Rc<T>) {
        debug_assert!(!alarm.is_set());
        self.last_order += 1;
        let key = Key { when, order: self.last_order };
        alarm.due.set(key);
        let entry = alarm.entry.get();
        if entry.exists() && entry.when <= when {
            // It will be looked at in time.
            self.remnants -= 1;
            return;
        }
        alarm.entry.set(key);
        self.heap.push(Entry { key, timer: timer() });
    }

    /// Cancels a timer, if it is set. True if it is time to [`sweep`](Timers::sweep).
    #[inline]
    #[must_use]
    pub(crate) fn cancel(&mut self, alarm: &Alarm) -> bool {
        if !alarm.due.take().exists() {
            return false;
        }
        self.remnants += 1;
        self.remnants >= FEW && self.remnants * 2 >= self.heap.len()
    }

    /// Takes all entries of which nothing is left.
    #[must_use]
    pub(crate) fn sweep(&mut self) -> Vec<Rc<T>> {
        self.remnants = 0;
        let all = std::mem::take(&mut self.heap).into_vec();
        let (live, remnants) = all.into_iter().partition::<Vec<_>, _>(|e| e.due().is_some());
        self.heap = BinaryHeap::from(live);
        remnants.into_iter().map(Entry::into_timer).collect()
    }

    /// Whether a timer is due by `when`. Entries that come up later are left alone.
    #[inline]
    pub(crate) fn has_due(&mut self, when: Instant) -> bool {
        let may_be_due = self.heap.peek().is_some_and(|first| first.key.when <= when);
        may_be_due && self.earliest().is_some_and(|first| first <= when)
    }

    /// The earliest deadline, after putting right what comes before it.
    pub(crate) fn earliest(&mut self) -> Option<Instant> {
        while let Some(mut first) = self.heap.peek_mut() {
            match first.due() {
                Some(due) if due == first.key => return Some(due.when),
                Some(due) => {
                    first.timer.alarm().entry.set(due);
                    first.key = due;
                }
                None => {
                    drop(PeekMut::pop(first).into_timer());
                    self.remnants -= 1;
                }
            }
        }
        None
    }

    /// Takes the earliest timer if it is due by `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Rc<T>)> {
        if !self.has_due(now) {
            return None;
        }
        let timer = self.heap.pop()?.into_timer();
        Some((timer.alarm().due.take().when, timer))
    }

    /// Takes all of them, in no order, and those kept to be set again.
    pub(crate) fn drain(&mut self) -> Vec<Rc<T>> {
        self.remnants = 0;
        let mut all = std::mem::take(&mut self.spare);
        for entry in std::mem::take(&mut self.heap) {
            entry.timer.alarm().due.take();
            all.push(entry.into_timer());
        }
        all
    }

    // -- timers to be set again ------------------------------------------------------

    /// One of those last kept whose entry, if it has any, will do for a deadline at
    /// `when`.
    #[inline]
    pub(crate) fn take_spare(&mut self, when: Instant) -> Option<Rc<T>> {
        let fits = |timer: &Rc<T>| timer.alarm().entry.get().when <= when;
        if self.spare.last().is_some_and(fits) {
            return self.spare.pop();
        }
        let others = self.spare.len().saturating_sub(SPARE_LOOKED_AT);
        let at = self.spare[others..].iter().rposition(fits)?;
        Some(self.spare.swap_remove(others + at))
    }

    /// Keeps it to be set again; gives it back if there are enough.
    pub(crate) fn keep_spare(&mut self, timer: Rc<T>) -> Option<Rc<T>> {
        if self.spare.len() == SPARE {
            return Some(timer);
        }
        self.spare.push(timer);
        None
    }
}

/// The heap gives its greatest entry first, so the earliest is the greatest.
impl<T: ?Sized> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl<T: ?Sized> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: ?Sized> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T: ?Sized> Eq for Entry<T> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number is what is compared.
    struct Numbered(usize, Alarm);

    impl Timed for Numbered {
        fn alarm(&self) -> &Alarm {
            &self.1
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(usize, i64),
        Cancel(usize),
        PassTo(i64),
        Sweep,
        AskEarliest,
    }

    const TIMERS: usize = 12;

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // Few instants, so that many deadlines are the same.
        let step = prop_oneof![
            4 => (0..TIMERS, 0i64..20).prop_map(|(timer, delay)| Step::Set(timer, delay)),
            3 => (0..TIMERS).prop_map(Step::Cancel),
            2 => (0i64..6).prop_map(Step::PassTo),
            1 => Just(Step::Sweep),
            1 => Just(Step::AskEarliest),
        ];
        prop::collection::vec(step, 0..200)
    }

    /// What is set, by a list that is searched.
    #[derive(Default)]
    struct Naive {
        set: Vec<(i64, u64, usize)>,
        order: u64,
    }

    impl Naive {
        fn set(&mut self, timer: usize, when: i64) {
            self.order += 1;
            self.set.push((when, self.order, timer));
            self.set.sort_unstable();
        }

        fn cancel(&mut self, timer: usize) {
            self.set.retain(|set| set.2 != timer);
        }

        fn pop_due(&mut self, now: i64) -> Option<(i64, usize)> {
            let (when, _, timer) = *self.set.first().filter(|first| first.0 <= now)?;
            self.set.remove(0);
            Some((when, timer))
        }
    }

    struct Both {
        timers: Timers<Numbered>,
        naive: Naive,
        all: Vec<Rc<Numbered>>,
        now: i64,
    }

    impl Both {
        fn new() -> Both {
            let all = (0..TIMERS).map(|n| Rc::new(Numbered(n, Alarm::default()))).collect();
            Both { timers: Timers::new(), naive: Naive::default(), all, now: 0 }
        }

        fn cancel(&mut self, timer: usize) {
            self.naive.cancel(timer);
            if self.timers.cancel(&self.all[timer].1) {
                drop(self.timers.sweep());
            }
        }

        fn take(&mut self, step: &Step) {
            match *step {
                Step::Set(number, delay) => {
                    self.cancel(number);
                    let timer = &self.all[number];
                    let when = Instant::from_nanos(self.now + delay);
                    self.timers.set(when, &timer.1, || timer.clone());
                    self.naive.set(number, self.now + delay);
                }
                Step::Cancel(timer) => self.cancel(timer),
                Step::PassTo(more) => {
                    self.now += more;
                    loop {
                        let due = self.timers.pop_due(Instant::from_nanos(self.now));
                        let due = due.map(|(when, timer)| (when.as_nanos(), timer.0));
                        assert_eq!(due, self.naive.pop_due(self.now));
                        if due.is_none() {
                            break;
                        }
                    }
                }
                Step::Sweep => drop(self.timers.sweep()),
                Step::AskEarliest => {
                    let earliest = self.timers.earliest().map(Instant::as_nanos);
                    assert_eq!(earliest, self.naive.set.first().map(|first| first.0));
                }
            }
        }

        fn check(&mut self) {
            for timer in &self.all {
                let set = self.naive.set.iter().any(|set| set.2 == timer.0);
                assert_eq!(timer.1.is_set(), set);
            }
            assert_eq!(self.timers.heap.len() - self.timers.remnants, self.naive.set.len());
            if let Some(first) = self.naive.set.first() {
                assert!(self.timers.has_due(Instant::from_nanos(first.0)));
                assert!(!self.timers.has_due(Instant::from_nanos(first.0 - 1)));
            }
        }
    }

    proptest! {
        /// Timers come in the order of deadline and setting, whatever was set again,
        /// cancelled and swept before.
        #[test]
        fn the_order_is_that_of_a_sorted_list(steps in steps()) {
            let mut both = Both::new();
            for step in &steps {
                both.take(step);
                both.check();
            }
            both.take(&Step::PassTo(100));
            both.timers.drain();
            prop_assert!(both.all.iter().all(|timer| Rc::strong_count(timer) == 1));
        }
    }

    #[test]
    fn what_is_cancelled_does_not_pile_up() {
        let mut timers = Timers::new();
        let set = |timers: &mut Timers<Numbered>, when| {
            let timer = Rc::new(Numbered(0, Alarm::default()));
            timers.set(Instant::from_nanos(when), &timer.1, || timer.clone());
            timer
        };
        let _kept = set(&mut timers, 1);
        for _ in 0..10_000 {
            let timer = set(&mut timers, 2);
            if timers.cancel(&timer.1) {
                drop(timers.sweep());
            }
            assert!(timers.heap.len() <= 2 * FEW);
        }
    }

    #[test]
    fn one_that_is_set_again_for_later_has_one_entry() {
        let mut timers = Timers::new();
        let timer = Rc::new(Numbered(0, Alarm::default()));
        for when in 0..1000 {
            assert!(!timers.cancel(&timer.1), "nothing to sweep");
            timers.set(Instant::from_nanos(when), &timer.1, || timer.clone());
            assert_eq!(timers.heap.len(), 1);
        }
        assert!(timers.pop_due(Instant::from_nanos(998)).is_none());
        assert!(timers.pop_due(Instant::from_nanos(999)).is_some());
        assert_eq!(Rc::strong_count(&timer), 1);
    }
}
