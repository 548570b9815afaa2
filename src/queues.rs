//! [`Queue`]: items from producers to consumers, within one loop.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::subjects::Primitive;
use crate::waiters::{Number, Waiters};

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
    items: RefCell<Items<T>>,
    maxsize: usize,
    getters: Waiters,
    putters: Waiters,
    joiners: Waiters,
    number: Number,
    unfinished: Cell<usize>,
    is_shut_down: Cell<bool>,
}

impl<T> Queue<T> {
    /// A queue of at most `maxsize` items; 0 is no limit.
    pub fn new(maxsize: usize) -> Queue<T> {
        Queue::of(Items::Fifo(VecDeque::new()), maxsize)
    }

    fn of(items: Items<T>, maxsize: usize) -> Queue<T> {
        Queue {
            items: RefCell::new(items),
            maxsize,
            getters: Waiters::of("an item of queue"),
            putters: Waiters::of("room in queue"),
            joiners: Waiters::of("the work on queue"),
            number: Number::default(),
            unfinished: Cell::new(0),
            is_shut_down: Cell::new(false),
        }
    }

    /// One without a limit, which stands for something else.
    pub(crate) fn standing_for(primitive: Rc<Primitive>) -> Queue<T> {
        Queue { getters: Waiters::standing_for(primitive), ..Queue::new(0) }
    }

    /// How many items are in it.
    pub fn qsize(&self) -> usize {
        self.items.borrow().len()
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

    /// Puts an item in; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// Kind `QueueShutDown` once the queue is shut down; kind `Cancelled`; kind
    /// `Runtime` if it has to wait where nothing can.
    #[track_caller]
    pub fn put(&self, item: T) -> Result {
        while self.full() {
            if self.is_shut_down.get() {
                return Err(Error::from(ErrorKind::QueueShutDown));
            }
            self.putters.wait(&self.number, |woken| {
                // Woken by a `get`, but not there to use it: the next one's turn.
                if woken && !self.full() {
                    self.putters.wake_one();
                }
            })?;
        }
        self.put_nowait(item)
    }

    /// Puts an item in at once.
    ///
    /// # Errors
    ///
    /// Kind `QueueFull`, or `QueueShutDown`.
    pub fn put_nowait(&self, item: T) -> Result {
        if self.is_shut_down.get() {
            return Err(Error::from(ErrorKind::QueueShutDown));
        }
        if self.full() {
            return Err(Error::from(ErrorKind::QueueFull));
        }
        self.items.borrow_mut().push(item);
        self.unfinished.set(self.unfinished.get() + 1);
        self.getters.wake_one();
        Ok(())
    }

    /// Takes an item out; waits while there is none.
    ///
    /// # Errors
    ///
    /// Kind `QueueShutDown` once the queue is shut down and empty; kind
    /// `Cancelled`; kind `Runtime` if it has to wait where nothing can.
    #[track_caller]
    pub fn get(&self) -> Result<T> {
        while self.empty() {
            if self.is_shut_down.get() {
                return Err(Error::from(ErrorKind::QueueShutDown));
            }
            self.getters.wait(&self.number, |woken| {
                if woken && !self.empty() {
                    self.getters.wake_one();
                }
            })?;
        }
        self.get_nowait()
    }

    /// Takes an item out at once.
    ///
    /// # Errors
    ///
    /// Kind `QueueEmpty`, or `QueueShutDown` if it is shut down and empty.
    pub fn get_nowait(&self) -> Result<T> {
        let item = self.items.borrow_mut().pop();
        match item {
            Some(item) => {
                self.putters.wake_one();
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
    /// Kind `Cancelled`; kind `Runtime` if it has to wait where nothing can.
    #[track_caller]
    pub fn join(&self) -> Result {
        if self.unfinished.get() > 0 {
            self.joiners.wait(&self.number, |_| {})?;
        }
        Ok(())
    }

    /// Shuts the queue down: `put` fails from now on, `get` once nothing is left.
    /// Whoever waits is woken. With `immediate` the items left are dropped, and
    /// count as done.
    pub fn shutdown(&self, immediate: bool) {
        self.is_shut_down.set(true);
        if immediate {
            let dropped = self.items.borrow_mut().take_all();
            self.unfinished.set(self.unfinished.get().saturating_sub(dropped.len()));
            if self.unfinished.get() == 0 {
                self.joiners.wake_all();
            }
        }
        self.getters.wake_all();
        self.putters.wake_all();
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
#[derive(Debug)]
pub struct LifoQueue<T>(Queue<T>);

impl<T> LifoQueue<T> {
    /// A queue of at most `maxsize` items; 0 is no limit.
    pub fn new(maxsize: usize) -> LifoQueue<T> {
        LifoQueue(Queue::of(Items::Lifo(Vec::new()), maxsize))
    }
}

impl<T> Deref for LifoQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

/// A queue that gives its least item first (`asyncio.PriorityQueue`).
#[derive(Debug)]
pub struct PriorityQueue<T>(Queue<T>);

impl<T: Ord> PriorityQueue<T> {
    /// A queue of at most `maxsize` items; 0 is no limit.
    pub fn new(maxsize: usize) -> PriorityQueue<T> {
        PriorityQueue(Queue::of(Items::Priority(Vec::new(), T::cmp), maxsize))
    }
}

impl<T> Deref for PriorityQueue<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0
    }
}

/// The items, and the order in which they come out.
enum Items<T> {
    Fifo(VecDeque<T>),
    Lifo(Vec<T>),
    /// A binary heap, least first. The comparison is kept beside it, so that only
    /// the queue that needs an order asks for one.
    Priority(Vec<T>, fn(&T, &T) -> Ordering),
}

impl<T> Items<T> {
    fn len(&self) -> usize {
        match self {
            Items::Fifo(items) => items.len(),
            Items::Lifo(items) | Items::Priority(items, _) => items.len(),
        }
    }

    fn push(&mut self, item: T) {
        match self {
            Items::Fifo(items) => items.push_back(item),
            Items::Lifo(items) => items.push(item),
            Items::Priority(heap, compare) => {
                heap.push(item);
                let mut child = heap.len() - 1;
                while child > 0 {
                    let parent = (child - 1) / 2;
                    if compare(&heap[child], &heap[parent]) != Ordering::Less {
                        break;
                    }
                    heap.swap(child, parent);
                    child = parent;
                }
            }
        }
    }

    fn pop(&mut self) -> Option<T> {
        match self {
            Items::Fifo(items) => items.pop_front(),
            Items::Lifo(items) => items.pop(),
            Items::Priority(heap, _) if heap.is_empty() => None,
            Items::Priority(heap, compare) => {
                let least = heap.swap_remove(0);
                sift_down(heap, *compare);
                Some(least)
            }
        }
    }

    fn take_all(&mut self) -> Vec<T> {
        match self {
            Items::Fifo(items) => std::mem::take(items).into(),
            Items::Lifo(items) | Items::Priority(items, _) => std::mem::take(items),
        }
    }
}

/// Moves the first item of a heap down to where it belongs.
fn sift_down<T>(heap: &mut [T], compare: fn(&T, &T) -> Ordering) {
    let mut parent = 0;
    loop {
        let (left, right) = (2 * parent + 1, 2 * parent + 2);
        let mut least = parent;
        for child in [left, right] {
            if child < heap.len() && compare(&heap[child], &heap[least]) == Ordering::Less {
                least = child;
            }
        }
        if least == parent {
            return;
        }
        heap.swap(parent, least);
        parent = least;
    }
}
