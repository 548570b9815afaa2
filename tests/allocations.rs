//! What allocates nothing: the operations of a program's inner loops, where nobody has to wait.
//!
//! A binary of its own, for it counts the calls of the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{BufRead, Read};
use std::time::Duration;

use stackio::framing::{Chunks, Frames, Framing, Lines, Prefix};
use stackio::{
    Barrier, Condition, Event, Lock, PriorityQueue, Queue, Result, Semaphore, StreamReader, secs,
    sleep, spawn, timeout, yield_now,
};

/// The system's allocator, counting what each thread asks of it.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all calls are passed on as they are; counting touches a thread-local without destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as the caller has promised.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How many allocations a hundred repetitions make; the first few may fill a buffer for good.
fn allocations(mut operation: impl FnMut() -> Result) -> Result<usize> {
    for _ in 0..8 {
        operation()?;
    }
    let before = COUNT.get();
    for _ in 0..100 {
        operation()?;
    }
    Ok(COUNT.get() - before)
}

/// In a task, with the loop as it is by default.
fn in_a_task(test: impl FnOnce() -> Result + 'static) {
    stackio::run(test).unwrap();
}

#[test]
fn an_allocation_is_counted() {
    in_a_task(|| {
        assert_eq!(
            allocations(|| {
                drop(Box::new(1));
                Ok(())
            })?,
            100
        );
        Ok(())
    });
}

#[test]
fn a_bare_yield_allocates_nothing() {
    in_a_task(|| {
        assert_eq!(allocations(yield_now)?, 0);
        Ok(())
    });
}

#[test]
fn a_task_after_others_of_its_kind_allocates_nothing() {
    in_a_task(|| {
        assert_eq!(allocations(|| spawn(|| yield_now().map(|()| 7)).join().map(drop))?, 0);
        let given_up = || {
            drop(spawn(|| Ok(8)));
            yield_now()
        };
        assert_eq!(allocations(given_up)?, 0);
        Ok(())
    });
}

#[test]
fn a_timeout_that_does_not_pass_allocates_nothing() {
    in_a_task(|| {
        assert_eq!(allocations(|| timeout(secs(60), |_| yield_now()))?, 0);
        let nested = || timeout(secs(90), |_| timeout(secs(70), |_| yield_now()));
        assert_eq!(allocations(nested)?, 0);
        let in_turn =
            || timeout(secs(90), |_| yield_now()).and_then(|()| timeout(secs(70), |_| yield_now()));
        assert_eq!(allocations(in_turn)?, 0);
        Ok(())
    });
}

#[test]
fn a_sleep_after_others_allocates_nothing() {
    in_a_task(|| {
        assert_eq!(allocations(|| sleep(Duration::from_nanos(1)))?, 0);
        Ok(())
    });
}

#[test]
fn a_lock_that_is_free_allocates_nothing() {
    in_a_task(|| {
        let lock = Lock::new();
        assert_eq!(allocations(|| lock.acquire().and_then(|()| lock.release()))?, 0);
        assert_eq!(allocations(|| lock.lock().map(drop))?, 0);
        Ok(())
    });
}

#[test]
fn a_semaphore_with_room_allocates_nothing() {
    in_a_task(|| {
        let semaphore = Semaphore::new(2);
        assert_eq!(allocations(|| semaphore.acquire().and_then(|()| semaphore.release()))?, 0);
        assert_eq!(allocations(|| semaphore.guard().map(drop))?, 0);
        Ok(())
    });
}

#[test]
fn an_event_that_is_set_allocates_nothing() {
    in_a_task(|| {
        let event = Event::new();
        let operation = || {
            event.set();
            event.wait()?;
            event.clear();
            Ok(())
        };
        assert_eq!(allocations(operation)?, 0);
        Ok(())
    });
}

#[test]
fn a_notification_that_nobody_waits_for_allocates_nothing() {
    in_a_task(|| {
        let condition = Condition::new();
        let operation = || {
            let _guard = condition.guard()?;
            condition.notify(1)?;
            condition.notify_all()
        };
        assert_eq!(allocations(operation)?, 0);
        Ok(())
    });
}

#[test]
fn a_barrier_of_one_allocates_nothing() {
    in_a_task(|| {
        let barrier = Barrier::new(1)?;
        assert_eq!(allocations(|| barrier.wait().map(drop))?, 0);
        Ok(())
    });
}

#[test]
fn a_queue_with_items_and_room_allocates_nothing() {
    in_a_task(|| {
        let (queue, by_priority) = (Queue::new(3), PriorityQueue::new(0));
        let operation = || {
            queue.put(1)?;
            queue.put(2)?;
            queue.get().and(queue.get())?;
            queue.task_done().and(queue.task_done())?;
            queue.join()
        };
        assert_eq!(allocations(operation)?, 0);
        let operation = || {
            (0..5).try_for_each(|n| by_priority.put(n * 7 % 5))?;
            (0..5).try_for_each(|_| by_priority.get().map(drop))
        };
        assert_eq!(allocations(operation)?, 0);
        Ok(())
    });
}

#[test]
fn to_look_at_what_is_fed_allocates_nothing() {
    in_a_task(|| {
        let mut reader = StreamReader::default();
        let operation = || {
            reader.feed_data(b"a request and half")?;
            reader.fill_buf()?;
            reader.consume(9);
            reader.feed_data(b" of another")?;
            let looked_at = reader.fill_buf()?.len();
            reader.consume(looked_at);
            reader.read_exact(&mut [0; 11])?;
            Ok(())
        };
        assert_eq!(allocations(operation)?, 0);
        Ok(())
    });
}

#[test]
fn to_decode_messages_allocates_nothing() {
    let mut framings: [(Box<dyn Framing>, &[u8]); 3] = [
        (Box::new(Chunks::new(b"--").unwrap()), b"one--two--"),
        (Box::new(Lines::strict_crlf()), b"one\r\ntwo\r\n"),
        (Box::new(Frames::new(Prefix::Varint)), b"\x03one\x03two"),
    ];
    for (framing, stream) in &mut framings {
        // In one piece, and each message over two, for which a buffer is kept.
        for size in [stream.len(), stream.len() / 2 - 1] {
            let counted = allocations(|| {
                for mut piece in stream.chunks(size) {
                    while framing.decode(&mut piece)?.is_some() {}
                }
                framing.finish()
            });
            assert_eq!(counted.unwrap(), 0);
        }
    }
}
