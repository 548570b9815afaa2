//! The items of a queue, and the order in which they come out.
//!
//! A queue by priority calls the user's `Ord`, which may do anything: ask the queue,
//! change it, wait, panic. So the items are lent to the comparison, and nothing of
//! the queue is borrowed meanwhile; and they are compared first and moved then, so a
//! panic finds them as they were.
//!
//! The heap is Python's `heapq`, comparison by comparison, since the order in which
//! equal items come out depends on it.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::VecDeque;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::without_suspending;
use crate::sys::fifo::Fifo;

/// Which item is the next. The comparison is kept here, so that only the queue that
/// needs one asks for it.
pub(super) enum Order<T> {
    Oldest,
    Newest,
    Least(fn(&T, &T) -> Ordering),
}

pub(super) struct Items<T> {
    order: Order<T>,
    /// By age, or a heap; empty while it is lent.
    kept: Fifo<T>,
    /// Whether they are being compared.
    lent: Cell<bool>,
    /// How many they were when they were lent.
    count: Cell<usize>,
    /// Whether they are to be dropped when they come back.
    unwanted: Cell<bool>,
}

impl<T> Items<T> {
    pub(super) fn new(order: Order<T>) -> Items<T> {
        Items {
            order,
            kept: Fifo::new(),
            lent: Cell::new(false),
            count: Cell::new(0),
            unwanted: Cell::new(false),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        if self.lent.get() { self.count.get() } else { self.kept.len() }
    }

    /// Adds an item.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` inside of a comparison.
    pub(super) fn push(&self, item: T) -> Result {
        let Order::Least(compare) = self.order else {
            self.kept.push(item);
            return Ok(());
        };
        let mut lent = self.lend()?;
        let heap = &mut lent.heap;
        let place = without_suspending(|| place_from_below(heap, &item, compare));
        heap.push_back(item);
        let mut from = heap.len() - 1;
        while from > place {
            heap.swap(from, above(from));
            from = above(from);
        }
        Ok(())
    }

    /// Takes the next item out, if there is one.
    ///
    /// # Errors
    ///
    /// As [`push`](Items::push).
    pub(super) fn pop(&self) -> Result<Option<T>> {
        let compare = match self.order {
            Order::Oldest | Order::Newest => {
                let oldest = matches!(self.order, Order::Oldest);
                return Ok(if oldest { self.kept.pop() } else { self.kept.pop_newest() });
            }
            Order::Least(compare) => compare,
        };
        let mut lent = self.lend()?;
        let heap = &mut lent.heap;
        if heap.len() < 2 {
            return Ok(heap.pop_back());
        }
        let place = without_suspending(|| place_from_above(heap, compare));
        let least = heap.swap_remove_back(0);
        // The last item is at the top: down to its place, by the way that leads there.
        let depth = (place + 1).ilog2();
        let on_the_way = |level: u32| ((place + 1) >> (depth - level)) - 1;
        for level in 0..depth {
            heap.swap(on_the_way(level), on_the_way(level + 1));
        }
        Ok(least)
    }

    /// Takes all out; none while they are being compared, and then they are gone when
    /// the comparison has ended.
    pub(super) fn take_all(&self) -> VecDeque<T> {
        if self.lent.get() {
            self.unwanted.set(true);
            return VecDeque::new();
        }
        self.unwanted.set(false);
        self.kept.take()
    }

    /// Whether they were to be taken out while they were being compared.
    pub(super) fn unwanted(&self) -> bool {
        self.unwanted.get() && !self.lent.get()
    }

    fn lend(&self) -> Result<Lent<'_, T>> {
        if self.lent.replace(true) {
            let text = "the items of the queue are being compared: `Ord` cannot change the queue";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        self.count.set(self.kept.len());
        Ok(Lent { items: self, heap: self.kept.take() })
    }
}

/// The items while they are compared; they come back when this is dropped.
struct Lent<'a, T> {
    items: &'a Items<T>,
    heap: VecDeque<T>,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let emptied = self.items.kept.replace(std::mem::take(&mut self.heap));
        drop(emptied);
        self.items.lent.set(false);
    }
}

fn above(place: usize) -> usize {
    (place - 1) / 2
}

/// Where an item belongs that comes in at the end of a heap: on the way up from there.
fn place_from_below<T>(heap: &VecDeque<T>, item: &T, compare: fn(&T, &T) -> Ordering) -> usize {
    let mut place = heap.len();
    while place > 0 && compare(item, &heap[above(place)]) == Ordering::Less {
        place = above(place);
    }
    place
}

/// Where the last item of a heap belongs when the first is gone: the way leads down
/// along the lesser children, and up again from its end.
fn place_from_above<T>(heap: &VecDeque<T>, compare: fn(&T, &T) -> Ordering) -> usize {
    let last = heap.len() - 1;
    let mut place = 0;
    loop {
        let mut below = 2 * place + 1;
        if below >= last {
            break;
        }
        let other = below + 1;
        if other < last && compare(&heap[below], &heap[other]) != Ordering::Less {
            below = other;
        }
        place = below;
    }
    // What is on the way moves up by one, so an item's own place is the one it leaves.
    while place > 0 && compare(&heap[last], &heap[place]) == Ordering::Less {
        place = above(place);
    }
    place
}
