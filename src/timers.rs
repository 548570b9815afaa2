//! Timers in the order of their deadlines.
//!
//! A heap by (deadline, order of setting). Cancelling only marks a timer, since
//! most are cancelled long before they are due; marked ones are dropped when they
//! come up, or all together once they are the majority.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use crate::clock::Instant;

/// Below so many cancelled timers nobody bothers to sweep.
const FEW: usize = 64;

/// What can be set as a timer.
pub(crate) trait Cancellable {
    /// Whether it needs not run any more.
    fn is_cancelled(&self) -> bool;
}

struct Entry<T: ?Sized> {
    when: Instant,
    order: u64,
    timer: Rc<T>,
}

/// The timers that are set, and how many of them are cancelled.
pub(crate) struct Timers<T: ?Sized> {
    heap: BinaryHeap<Entry<T>>,
    next_order: u64,
    cancelled: usize,
}

impl<T: ?Sized + Cancellable> Timers<T> {
    pub(crate) fn new() -> Timers<T> {
        Timers { heap: BinaryHeap::new(), next_order: 0, cancelled: 0 }
    }

    pub(crate) fn push(&mut self, when: Instant, timer: Rc<T>) {
        let order = self.next_order;
        self.next_order += 1;
        self.heap.push(Entry { when, order, timer });
    }

    /// The earliest deadline, after dropping cancelled timers before it.
    pub(crate) fn earliest(&mut self) -> Option<Instant> {
        while let Some(first) = self.heap.peek() {
            if !first.timer.is_cancelled() {
                return Some(first.when);
            }
            self.heap.pop();
            self.cancelled = self.cancelled.saturating_sub(1);
        }
        None
    }

    /// Takes the earliest timer if it is due by `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Rc<T>)> {
        if self.earliest()? > now {
            return None;
        }
        self.heap.pop().map(|entry| (entry.when, entry.timer))
    }

    /// Told that one of the timers has been cancelled. What it gives back is to
    /// be dropped by the caller, after releasing whatever holds `self`.
    #[must_use]
    pub(crate) fn note_cancelled(&mut self) -> Vec<Rc<T>> {
        self.cancelled += 1;
        if self.cancelled < FEW || self.cancelled * 2 < self.heap.len() {
            return Vec::new();
        }
        self.cancelled = 0;
        let all = std::mem::take(&mut self.heap).into_vec();
        let (dead, live) = all.into_iter().partition::<Vec<_>, _>(|e| e.timer.is_cancelled());
        self.heap = BinaryHeap::from(live);
        dead.into_iter().map(|entry| entry.timer).collect()
    }

    /// Takes all of them, in no order.
    pub(crate) fn drain(&mut self) -> Vec<Rc<T>> {
        std::mem::take(&mut self.heap).into_iter().map(|entry| entry.timer).collect()
    }
}

impl<T: ?Sized> Entry<T> {
    fn key(&self) -> (Instant, u64) {
        (self.when, self.order)
    }
}

/// The heap gives its greatest entry first, so the earliest is the greatest.
impl<T: ?Sized> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<T: ?Sized> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: ?Sized> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T: ?Sized> Eq for Entry<T> {}
