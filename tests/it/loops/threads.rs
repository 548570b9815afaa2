//! Other threads: calls that they make on the loop, and work that it gives them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use stackio::{
    ErrorKind, EventLoop, Future, get_running_loop, secs, spawn, timeout, to_thread, yield_now,
};

use super::run;

#[test]
fn many_threads_reach_the_loop_and_none_of_their_calls_is_lost() {
    const THREADS: usize = 8;
    const CALLS: usize = 500;
    stackio::run(|| {
        let done = Future::new();
        thread_local!(static FINISH: RefCell<Option<Future<()>>> = const { RefCell::new(None) });
        FINISH.set(Some(done.clone()));
        let (handle, count) = (get_running_loop()?.handle(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..THREADS {
            let (handle, count) = (handle.clone(), count.clone());
            thread::spawn(move || {
                for _ in 0..CALLS {
                    let count = count.clone();
                    let call = move || {
                        if count.fetch_add(1, Ordering::Relaxed) + 1 == THREADS * CALLS {
                            FINISH.take().unwrap().set_result(()).unwrap();
                        }
                    };
                    handle.call_soon_threadsafe(call).unwrap();
                }
            });
        }
        timeout(secs(20), |_| done.wait())
    })
    .unwrap();
}

#[test]
fn calls_of_one_thread_arrive_in_order_and_wake_a_loop_that_sleeps() {
    thread_local!(static SEEN: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) });
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let sender = thread::spawn(move || {
        for n in 0..100 {
            handle.call_soon_threadsafe(move || SEEN.with_borrow_mut(|seen| seen.push(n))).unwrap();
        }
        handle.call_soon_threadsafe(|| get_running_loop().unwrap().stop()).unwrap();
    });
    event_loop.run_forever().unwrap();
    sender.join().unwrap();
    assert_eq!(SEEN.take(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_thread_gives_its_result_or_its_panic() {
    run(|| {
        let here = thread::current().id();
        let (there, sum) = to_thread(|| (thread::current().id(), 2 + 3))?;
        assert!(there != here && sum == 5);
        let error = to_thread(|| -> u32 { panic!("boom") }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic);
        assert!(error.to_string().ends_with("boom"), "{error}");
        assert_eq!(to_thread(|| 7)?, 7, "the pool has survived it");
        Ok(())
    })
    .unwrap();
    assert_eq!(to_thread(|| ()).unwrap_err().kind(), ErrorKind::Runtime);
}

#[test]
fn cancelling_the_wait_for_a_thread_leaves_the_thread_to_its_end() {
    let ended = Arc::new(AtomicUsize::new(0));
    let end = ended.clone();
    run(move || {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel();
        let task = spawn(move || {
            to_thread(move || {
                begin.send(()).unwrap();
                let _sender_gone = wait.recv();
                end.fetch_add(1, Ordering::SeqCst);
            })
        });
        while begun.try_recv().is_err() {
            yield_now()?;
        }
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        drop(go);
        Ok(())
    })
    .unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 1, "the end of the loop waits for it");
}
