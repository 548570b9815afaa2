//! [`Queue`] and its kin: who waits for an item, or for room, and what is unfinished.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use super::items::{Items, Order};
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::reports::drop_value;
use crate::subjects::{Lazy, Primitive, Subject};
use crate::waiters::Waiters;

/// A queue, first in, first out (`asyncio.Queue`).
///
/// With a maximum size, [`put`](Queue::put) waits while the queue is full. The
/// items taken are counted until [`task_done`](Queue::task_done) is called for
/// each, and [`join`](Queue::join) waits for that. Share it by reference or `Rc`.
///
/// ```
/// use std::rc::Rc;
/// use stackio::{Queue, spawn};
///
/// stackio::run(|| {
///     let queue = Rc::new(Queue::new(2));
///     let items = queue.clone();
///     let consumer = spawn(move || Ok([items.get()?, items.get()?, items.get()?]));
///     for n in 1..=3 {
///         queue.put(n)?; // waits when two are in it
///     }
///     assert_eq!(consumer.join()?, [1, 2, 3]);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Queue<T> {
    items: Items<T>,
    maxsize: usize,
    getters: Waiters,
    putters: Waiters,
    joiners: Waiters,
    primitive: Lazy,
    unfinished: Cell<usize>,
    is_shut_down: Cell<bool>,
}

impl<T> Queue<T> {
    /// A queue of at most `maxsize` items; 0 is no limit.
    pub fn new(maxsize: usize) -> Queue<T> {
        Queue::of(Order::Oldest, maxsize)
    }

    fn of(order: Order<T>, maxsize: usize) -> Queue<T> {
        Queue {
            items: Items::new(order),
            maxsize,
            getters: Waiters::default(),
            putters: Waiters::default(),
            joiners: Waiters::default(),
            primitive: Lazy::default(),
            unfinished: Cell::new(0),
            is_shut_down: Cell::new(false),
        }
    }

    /// How many items are in it.
    pub fn qsize(&self) -> usize {
        self.items.len()
    }

    /// The most it holds, 0 for no limit.
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// Whether nothing is in it.
    pub fn empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether it holds the most it can.
    pub fn full(&self) -> bool {
        self.maxsize > 0 && self.qsize() >= self.maxsize
    }

    /// Waits in one of its lines.
    #[inline(always)]
    #[track_caller]
    fn wait<S: Subject>(
        &self,
        line: &Waiters,
        subject: impl FnOnce(&Rc<Primitive>) -> S,
        after: impl FnOnce(bool),
    ) -> Result {
        let scheduler = Scheduler::running()?;
        let primitive = self.primitive.enter(&scheduler)?;
        line.wait(&scheduler, || subject(primitive), after)
    }

    /// Puts an item in; waits while the queue is full. An item that is not put in,
    /// for whatever error, is dropped.
    ///
    /// # Errors
    ///
    /// Kind `QueueShutDown` once the queue is shut down; kind `Cancelled`; kind
    /// `Runtime` if it has to wait where nothing can or in
    /// another loop than those before, or inside of an item's `Ord`.
    #[track_caller]
    pub fn put(&self, item: T) -> Result {
        if self.full() {
            self.wait_for_room()?;
        }
        self.take_in(item)
    }

    #[track_caller]
    #[inline(always)]
    fn wait_for_room(&self) -> Result {
        while self.full() {
            if self.is_shut_down.get() {
                return Err(Error::from(ErrorKind::QueueShutDown));
            }
            self.wait(
                &self.putters,
                |queue| ("room in queue", queue.clone()),
                |woken| {
                    // Woken by a `get`, but not there to use it: the next one's turn.
                    if woken && !self.full() {
                        self.putters.wake_one();
                    }
                },
            )?;
        }
        Ok(())
    }

    /// Puts an item in at once.
    ///
    /// # Errors
    ///
    /// Kind `QueueFull`, or `QueueShutDown`; kind `Runtime` inside of an item's `Ord`.
    pub fn put_nowait(&self, item: T) -> Result {
        // A queue that is shut down says so, be it full or not.
        if self.full() && !self.is_shut_down.get() {
            return Err(Error::from(ErrorKind::QueueFull));
        }
        self.take_in(item)
    }

    /// There is room.
    #[inline]
    fn take_in(&self, item: T) -> Result {
        if self.is_shut_down.get() {
            return Err(Error::from(ErrorKind::QueueShutDown));
        }
        let turn = Turn(self);
        self.items.push(item)?;
        turn.taken();
        self.unfinished.set(self.unfinished.get() + 1);
        self.getters.wake_one();
        self.drop_unwanted();
        Ok(())
    }

    /// Takes an item out; waits while there is none.
    ///
    /// # Errors
    ///
    /// Kind `QueueShutDown` once the queue is shut down and empty; kind
    /// `Cancelled`; kind `Runtime` if it has to wait where nothing can or in
    /// another loop than those before, or inside of
    /// an item's `Ord`.
    #[inline(always)]
    #[track_caller]
    pub fn get(&self) -> Result<T> {
        self.get_from(|queue| ("an item of queue", queue.clone()))
    }

    /// The same, for somebody who waits for more than an item of a queue.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn get_from<S: Subject>(&self, subject: impl Fn(&Rc<Primitive>) -> S) -> Result<T> {
        if self.empty() {
            self.wait_for_item(subject)?;
        }
        self.get_nowait()
    }

    #[track_caller]
    #[inline(always)]
    fn wait_for_item<S: Subject>(&self, subject: impl Fn(&Rc<Primitive>) -> S) -> Result {
        while self.empty() {
            if self.is_shut_down.get() {
                return Err(Error::from(ErrorKind::QueueShutDown));
            }
            self.wait(&self.getters, &subject, |woken| {
                if woken && !self.empty() {
                    self.getters.wake_one();
                }
            })?;
        }
        Ok(())
    }

    /// Takes an item out at once.
    ///
    /// # Errors
    ///
    /// Kind `QueueEmpty`, or `QueueShutDown` if it is shut down and empty; kind
    /// `Runtime` inside of an item's `Ord`.
    #[inline]
    pub fn get_nowait(&self) -> Result<T> {
        let turn = Turn(self);
        let item = self.items.pop()?;
        turn.taken();
        match item {
            Some(item) => {
                self.putters.wake_one();
                self.drop_unwanted();
                Ok(item)
            }
            None if self.is_shut_down.get() => Err(Error::from(ErrorKind::QueueShutDown)),
            None => Err(Error::from(ErrorKind::QueueEmpty)),
        }
    }

    /// Says that the work on an item that was taken out is complete.
    ///
    /// # Errors
    ///
    /// Kind `Value` if it is called more often than items were put in.
    pub fn task_done(&self) -> Result {
        match self.unfinished.get().checked_sub(1) {
            None => Err(Error::text(ErrorKind::Value, "task_done() called too many times")),
            Some(left) => {
                self.unfinished.set(left);
                if left == 0 {
                    self.joiners.wake_all();
                }
                Ok(())
            }
        }
    }

    /// Waits until the work on every item is complete.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` if it has to wait where nothing can or in
    /// another loop than those before.
    #[track_caller]
    pub fn join(&self) -> Result {
        if self.unfinished.get() > 0 {
            self.wait(&self.joiners, |queue| ("the work on queue", queue.clone()), |_| {})?;
        }
        Ok(())
    }

    /// Shuts the queue down: `put` fails from now on, `get` once nothing is left.
    /// Whoever waits is woken. With `immediate` the items left are dropped, and
    /// count as done.
    pub fn shutdown(&self, immediate: bool) {
        self.is_shut_down.set(true);
        let dropped = immediate.then(|| self.clear());
        self.getters.wake_all();
        self.putters.wake_all();
        drop(dropped);
    }

    /// Takes out what is in it, and counts it as done.
    fn clear(&self) -> VecDeque<T> {
        let items = self.items.take_all();
        self.unfinished.set(self.unfinished.get().saturating_sub(items.len()));
        if self.unfinished.get() == 0 {
            self.joiners.wake_all();
        }
        items
    }

    /// Drops what a comparison has asked to be dropped, which was lent to it.
    #[inline]
    fn drop_unwanted(&self) {
        if self.items.unwanted() {
            self.drop_all();
        }
    }

    #[cold]
    fn drop_all(&self) {
        drop_value(self.clear());
    }
}

/// The turn of whoever puts an item in or takes one out. A comparison that panics
/// gives it to the next one in line, who may have been passed over for this one.
struct Turn<'a, T>(&'a Queue<T>);

impl<T> Turn<'_, T> {
    fn taken(self) {
        std::mem::forget(self);
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let queue = self.0;
        if !queue.empty() {
            queue.getters.wake_one();
        }
        if !queue.full() {
            queue.putters.wake_one();
        }
        queue.drop_unwanted();
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("maxsize", &self.maxsize)
            .field("qsize", &self.qsize())
            .field("getters", &self.getters.len())
            .field("putters", &self.putters.len())
            .field("unfinished", &self.unfinished.get())
            .finish()
    }
}

/// A queue that gives its newest item first (`asyncio.LifoQueue`).
pub struct LifoQueue<T>(Queue<T>);

impl<T> LifoQueue<T> {
    /// A queue of at most `maxsize` items; 0 is no limit.
    pub fn new(maxsize: usize) -> LifoQueue<T> {
        LifoQueue(Queue::of(Order::Newest, maxsize))
    }
}

impl<T> fmt::Debug for LifoQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LifoQueue").field(&self.0).finish()
    }
}

impl<T> Deref for LifoQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

/// A queue that gives its least item first (`asyncio.PriorityQueue`).
///
/// Equal items come out in the order in which Python's `heapq` gives them, which is
/// not that of their age. Comparisons cannot wait, nor change the queue. One that
/// panics does so out of `put` or `get`, and the queue is as it was before.
pub struct PriorityQueue<T>(Queue<T>);

impl<T: Ord> PriorityQueue<T> {
    /// A queue of at most `maxsize` items; 0 is no limit.
    pub fn new(maxsize: usize) -> PriorityQueue<T> {
        PriorityQueue(Queue::of(Order::Least(T::cmp), maxsize))
    }
}

impl<T> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PriorityQueue").field(&self.0).finish()
    }
}

impl<T> Deref for PriorityQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}
