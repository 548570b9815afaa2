//! Queues: a consumer's loop, and items whose comparison is not a mere comparison.
//!
//! The order of steps is compared with asyncio's in `conformance`.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::{
    ErrorKind, LifoQueue, PriorityQueue, Queue, Result, Runner, VirtualClock, get_running_loop,
    millis, sleep, spawn, task_group, yield_now,
};

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap().run(main)
}

#[test]
fn a_consumers_loop_waits_for_items_and_ends_with_the_queue() {
    let taken = run(|| {
        let (queue, taken) = (Queue::new(1), RefCell::new(Vec::new()));
        task_group(|g| {
            for name in ["first", "second"] {
                let (queue, taken) = (&queue, &taken);
                g.spawn(move || {
                    for item in queue.iter() {
                        taken.borrow_mut().push((name, item?));
                        sleep(millis(10))?;
                        queue.task_done()?;
                    }
                    Ok(())
                });
            }
            for n in 0..5 {
                sleep(millis(n))?;
                queue.put(n)?;
            }
            queue.shutdown(false);
            queue.join()
        })?;
        Ok(taken.into_inner())
    })
    .unwrap();
    let (names, items): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
    assert_eq!(items, [0, 1, 2, 3, 4]);
    assert_eq!(names.iter().filter(|name| **name == "first").count(), 3);
}

#[test]
fn the_other_queues_are_iterated_in_their_order() {
    run(|| {
        let (least, newest) = (PriorityQueue::new(0), LifoQueue::new(0));
        for n in [2, 3, 1] {
            least.put(n)?;
            newest.put(n)?;
        }
        least.shutdown(false);
        newest.shutdown(false);
        assert_eq!(least.iter().collect::<Result<Vec<_>>>()?, [1, 2, 3]);
        assert_eq!(newest.iter().collect::<Result<Vec<_>>>()?, [1, 3, 2]);
        least.shutdown(true);
        assert!(least.iter().next().is_none());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_cancelled_loop_gets_the_cancellation_as_its_last_item() {
    run(|| {
        let queue: Rc<Queue<u32>> = Rc::new(Queue::new(0));
        let theirs = queue.clone();
        let consumer = spawn(move || {
            let mut items = theirs.iter();
            let (first, second) = (items.next(), items.next());
            assert!(items.next().is_none(), "the loop is over");
            // The queue is not: another loop goes on with it.
            Ok((first.unwrap()?, second.unwrap(), theirs.iter().next().unwrap()?))
        });
        queue.put(1)?;
        yield_now()?;
        consumer.cancel_with("enough");
        yield_now()?;
        yield_now()?;
        queue.put(2)?;
        let (first, second, third) = consumer.join()?;
        assert_eq!((first, third), (1, 2));
        assert_eq!(second.unwrap_err().message(), Some("enough"));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_loop_that_cannot_wait_ends_with_an_error() {
    let queue: Queue<u32> = Queue::new(0);
    queue.put_nowait(1).unwrap();
    let items: Vec<_> = queue.iter().map(|item| item.map_err(|e| e.kind())).collect();
    assert_eq!(items, [Ok(1), Err(ErrorKind::Runtime)]);
}

/// Compares keys only, after doing what it was made to do.
#[derive(Clone)]
struct Item {
    key: u32,
    name: usize,
    meddles: Rc<dyn Fn()>,
}

impl Item {
    fn new(key: u32, name: usize) -> Item {
        Item { key, name, meddles: Rc::new(|| ()) }
    }

    fn meddling(key: u32, meddles: &Rc<impl Fn() + 'static>) -> Item {
        Item { meddles: meddles.clone(), ..Item::new(key, 0) }
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Item) -> Ordering {
        (self.meddles)();
        self.key.cmp(&other.key)
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

#[test]
fn equal_items_come_out_in_the_order_of_heapq() {
    // A digit puts an item with that key, a dot takes one; recorded from Python 3.11.
    let script = "2300..0...3.003..1..01.1.01333...033.0113.2..3...0.3..02...1....";
    let expected = [
        2, 3, 4, 0, 1, 5, 6, 7, 9, 8, 10, 11, 13, 14, 12, 18, 21, 22, 23, 25, 16, 24, 27, 20, 26,
        29, 30, 17, 31, 15, 19, 28,
    ];
    let queue = PriorityQueue::new(0);
    let (mut names, mut taken) = (0.., Vec::new());
    for step in script.chars() {
        match step.to_digit(10) {
            Some(key) => queue.put_nowait(Item::new(key, names.next().unwrap())).unwrap(),
            None => taken.push(queue.get_nowait().unwrap().name),
        }
    }
    assert_eq!(taken, expected);
}

type Shared = Rc<PriorityQueue<Item>>;

/// What is left, by key.
fn keys(queue: &PriorityQueue<Item>) -> Vec<u32> {
    std::iter::from_fn(|| queue.get_nowait().ok()).map(|item| item.key).collect()
}

#[test]
fn a_comparison_may_look_at_the_queue_but_not_change_it() {
    run(|| {
        let queue: Shared = Rc::new(PriorityQueue::new(9));
        let (weak, said) = (Rc::downgrade(&queue), Rc::new(RefCell::new(Vec::new())));
        let told = said.clone();
        let meddles = Rc::new(move || {
            let queue = weak.upgrade().unwrap();
            assert!(!queue.empty() && !queue.full() && !format!("{queue:?}").is_empty());
            told.borrow_mut().push(queue.put_nowait(Item::new(9, 9)).unwrap_err().kind());
            told.borrow_mut().push(queue.get().map(drop).unwrap_err().kind());
            told.borrow_mut().push(yield_now().unwrap_err().kind());
        });
        for key in [3, 1, 2] {
            queue.put(Item::meddling(key, &meddles))?;
        }
        assert_eq!((queue.qsize(), queue.get()?.key), (3, 1));
        assert!(said.borrow().len() >= 9);
        assert!(said.borrow().iter().all(|kind| *kind == ErrorKind::Runtime));
        assert_eq!(keys(&queue), [2, 3]);
        yield_now() // as before
    })
    .unwrap();
}

#[test]
fn a_comparison_that_panics_leaves_the_queue_as_it_was() {
    let queue = PriorityQueue::new(0);
    let left = Rc::new(Cell::new(u32::MAX));
    let countdown = left.clone();
    let meddles = Rc::new(move || {
        assert_ne!(countdown.get(), 0, "one comparison too many");
        countdown.set(countdown.get() - 1);
    });
    for key in [5, 2, 8, 1, 9, 3, 7] {
        queue.put_nowait(Item::meddling(key, &meddles)).unwrap();
    }
    let mut panics = 0;
    for comparisons in 0..6 {
        left.set(comparisons);
        let put = || queue.put_nowait(Item::meddling(0, &meddles)).unwrap();
        match catch_unwind(AssertUnwindSafe(put)) {
            Ok(()) => {
                left.set(u32::MAX);
                assert_eq!(queue.get_nowait().unwrap().key, 0);
            }
            Err(_) => panics += 1,
        }
        left.set(comparisons);
        match catch_unwind(AssertUnwindSafe(|| queue.get_nowait().unwrap())) {
            Ok(least) => {
                assert_eq!(least.key, 1);
                left.set(u32::MAX);
                queue.put_nowait(least).unwrap();
            }
            Err(_) => panics += 1,
        }
        assert_eq!(queue.qsize(), 7);
    }
    assert!(panics > 4, "{panics}");
    left.set(u32::MAX);
    assert_eq!(keys(&queue), [1, 2, 3, 5, 7, 8, 9]);
}

#[test]
fn a_getter_whose_comparison_panics_passes_its_turn_on() {
    run(|| {
        let queue: Shared = Rc::new(PriorityQueue::new(0));
        let armed = Rc::new(Cell::new(false));
        let trigger = armed.clone();
        let meddles = Rc::new(move || assert!(!trigger.take(), "a bomb"));
        let getters: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                spawn(move || queue.get().map(|item| item.key))
            })
            .collect();
        yield_now()?;
        // Three are woken; the first panics, so the fourth has to be as well.
        for key in [1, 2, 3] {
            queue.put(Item::meddling(key, &meddles))?;
        }
        armed.set(true);
        let ended: Vec<_> = getters.into_iter().map(|g| g.join().map_err(|e| e.kind())).collect();
        assert_eq!(ended, [Err(ErrorKind::Panic), Ok(1), Ok(2), Ok(3)]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_shutdown_from_a_comparison_drops_the_items_when_it_has_ended() {
    run(|| {
        let queue: Shared = Rc::new(PriorityQueue::new(0));
        let weak = Rc::downgrade(&queue);
        let meddles = Rc::new(move || weak.upgrade().unwrap().shutdown(true));
        for key in [1, 2, 3] {
            queue.put(Item::new(key, 0))?;
        }
        let theirs = queue.clone();
        let joiner = spawn(move || theirs.join());
        queue.put(Item::meddling(4, &meddles))?;
        assert_eq!(queue.qsize(), 0);
        joiner.join()?;
        assert_eq!(queue.get().map(drop).unwrap_err().kind(), ErrorKind::QueueShutDown);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_queue_that_the_loop_owns_goes_with_it() {
    let token = Rc::new(());
    for debug in [false, true] {
        let mine = token.clone();
        run(move || {
            let (queue, event_loop) = (Rc::new(Queue::new(0)), get_running_loop()?);
            let theirs = queue.clone();
            let waits = spawn(move || theirs.get());
            yield_now()?;
            queue.put_nowait(1)?;
            assert_eq!(waits.join()?, 1);
            event_loop.set_debug(debug);
            event_loop.set_exception_handler(move |_| drop((queue.qsize(), mine.clone())));
            Ok(())
        })
        .unwrap();
    }
    assert_eq!(Rc::strong_count(&token), 1);
}
