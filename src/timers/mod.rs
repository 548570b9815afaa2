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
use crate::few::Few;

/// Below so many entries of which nothing is left nobody bothers to sweep.
const FEW: usize = 64;

/// Room for so many entries is kept.
const ROOM: usize = 1024;

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
    /// Remnants that have come up, to be dropped by whoever holds nothing of this.
    gone: Few<Rc<T>>,
    spare: Vec<Rc<T>>,
}

impl<T: ?Sized + Timed> Timers<T> {
    pub(crate) fn new() -> Timers<T> {
        Timers {
            heap: BinaryHeap::new(),
            last_order: 0,
            remnants: 0,
            gone: Few::None,
            spare: Vec::new(),
        }
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

    /// When there is an entry to look at.
    pub(crate) fn first_look(&self) -> Option<Instant> {
        self.heap.peek().map(|first| first.key.when)
    }

    /// Whether a timer is due by `when`. Entries that come up later are left alone.
    pub(crate) fn has_due(&mut self, when: Instant) -> bool {
        self.first_look().is_some_and(|first| first <= when)
            && self.earliest().is_some_and(|first| first <= when)
    }

    /// The remnants that have come up: what they own is the user's, whose destructors may
    /// set timers.
    #[must_use]
    pub(crate) fn take_gone(&mut self) -> Few<Rc<T>> {
        std::mem::take(&mut self.gone)
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
                    self.gone.push(PeekMut::pop(first).into_timer());
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
        self.take_gone().for_each(|timer| all.push(timer));
        for entry in std::mem::take(&mut self.heap) {
            entry.timer.alarm().due.take();
            all.push(entry.into_timer());
        }
        all
    }

    /// Whether there is room for many more than there are.
    pub(crate) fn has_surplus(&self) -> bool {
        self.heap.capacity() > 4 * self.heap.len() + ROOM
    }

    /// Gives up the room that is not needed, and takes all that only waits to be dropped
    /// or set again.
    #[must_use]
    pub(crate) fn shrink(&mut self) -> Vec<Rc<T>> {
        let mut remnants = self.sweep();
        remnants.append(&mut self.spare);
        self.spare = Vec::new();
        let mut entries = Vec::with_capacity(self.heap.len());
        entries.extend(self.heap.drain());
        self.heap = BinaryHeap::from(entries);
        remnants
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
mod tests;
