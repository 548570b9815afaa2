//! The pool of threads.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use stackio::{ErrorKind, ThreadPoolExecutor, gather, get_running_loop};

use super::{Bomb, LIMIT, begun_job, gate};

fn pool(max_workers: usize) -> ThreadPoolExecutor {
    ThreadPoolExecutor::new(max_workers).unwrap()
}

/// Waits until its threads stand as told.
fn await_state(executor: &ThreadPoolExecutor, state: &str) {
    while !format!("{executor:?}").contains(state) {
        thread::yield_now();
    }
}

#[test]
fn a_pool_without_threads_is_refused() {
    let error = ThreadPoolExecutor::new(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    assert_eq!(pool(7).max_workers(), 7);
    let processors = thread::available_parallelism().unwrap().get();
    assert_eq!(ThreadPoolExecutor::default().max_workers(), (processors + 4).min(32));
}

#[test]
fn it_grows_to_its_bound_and_not_beyond() {
    let executor = pool(3);
    await_state(&executor, "threads: 0");
    let begun: Vec<_> = (0..3).map(|_| begun_job(&executor)).collect();
    let (send, names) = channel();
    for _ in 0..5 {
        let send = send.clone();
        let name = move || send.send(thread::current().name().unwrap().to_owned()).unwrap();
        executor.submit(name).unwrap();
    }
    drop(send);
    await_state(&executor, "threads: 3, idle: 0, queued: 5");
    assert_eq!(names.try_recv(), Err(TryRecvError::Empty), "there is no fourth thread");
    drop(begun);
    executor.shutdown(true, false).unwrap();
    let names: Vec<String> = names.iter().collect();
    assert_eq!(names.len(), 5);
    let known = ["stackio-executor-0", "stackio-executor-1", "stackio-executor-2"];
    assert!(names.iter().all(|name| known.contains(&name.as_str())), "{names:?}");
}

#[test]
fn idle_threads_are_used_again() {
    let executor = pool(8);
    for _ in 0..20 {
        executor.submit(|| ()).unwrap().result(LIMIT).unwrap();
        await_state(&executor, "threads: 1, idle: 1");
    }
    // An idle thread is good for one job only.
    let (first, second) = (begun_job(&executor), begun_job(&executor));
    await_state(&executor, "threads: 2, idle: 0");
    drop((first, second));
}

#[test]
fn two_jobs_at_once_get_two_threads_if_one_is_idle() {
    for _ in 0..50 {
        let executor = pool(2);
        drop(begun_job(&executor));
        await_state(&executor, "threads: 1, idle: 1");
        // Each waits for the other to begin.
        let ((to_a, from_b), (to_b, from_a)) = (channel(), channel());
        let meet = |send: Sender<()>, other: Receiver<()>| {
            move || {
                send.send(()).unwrap();
                other.recv_timeout(LIMIT)
            }
        };
        let (a, b) = (executor.submit(meet(to_b, from_b)), executor.submit(meet(to_a, from_a)));
        a.unwrap().join().unwrap().unwrap();
        b.unwrap().join().unwrap().unwrap();
    }
}

#[test]
fn jobs_begin_in_the_order_in_which_they_came() {
    let executor = pool(1);
    let (gate, _job) = begun_job(&executor);
    let order = Arc::new(Mutex::new(Vec::new()));
    for n in 0..100 {
        let order = order.clone();
        executor.submit(move || order.lock().unwrap().push(n)).unwrap();
    }
    drop(gate);
    executor.shutdown(true, false).unwrap();
    assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_shutdown_runs_what_is_queued_and_refuses_what_comes() {
    let executor = pool(1);
    let (gate, first) = begun_job(&executor);
    let second = executor.submit(|| 2).unwrap();
    executor.shutdown(false, false).unwrap();
    let error = executor.submit(|| 3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert!(error.message().unwrap().starts_with("cannot schedule new futures after shutdown"));
    assert!(!first.done() && !second.done());
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let executor = executor.clone();
            thread::spawn(move || executor.shutdown(true, false))
        })
        .collect();
    drop(gate);
    for thread in waiting {
        thread.join().unwrap().unwrap();
    }
    assert!(first.done() && second.done());
    assert_eq!(second.result(None).unwrap(), 2);
    executor.shutdown(true, true).unwrap();
    await_state(&executor, "threads: 0");
}

#[test]
fn a_shutdown_that_cancels_leaves_only_what_has_begun() {
    let executor = pool(1);
    let (gate, first) = begun_job(&executor);
    let held = Arc::new(());
    let queued: Vec<_> = (0..3)
        .map(|_| {
            let held = held.clone();
            executor.submit(move || unreachable!("cancelled, with {held:?}")).unwrap()
        })
        .collect();
    let bomb = Bomb;
    let _last = executor.submit(move || drop(bomb)).unwrap();
    executor.shutdown(false, true).unwrap();
    for job in queued {
        let error = job.result(LIMIT).unwrap_err();
        assert!(error.is_cancelled() && job.cancelled());
    }
    assert_eq!(Arc::strong_count(&held), 1);
    drop(gate);
    executor.shutdown(true, false).unwrap();
    assert_eq!(first.result(None).unwrap(), 1);
}

#[test]
fn a_pool_that_was_never_used_ends_at_once() {
    pool(2).shutdown(true, false).unwrap();
}

#[test]
fn without_handles_the_queue_is_finished_and_the_threads_end() {
    let executor = pool(1);
    let (gate, _first) = begun_job(&executor);
    let second = executor.submit(|| 2).unwrap();
    // Gone when its thread is.
    thread_local!(static OF_THREAD: std::cell::OnceCell<std::sync::mpsc::Sender<()>> =
        const { std::cell::OnceCell::new() });
    let (send, end) = channel::<()>();
    executor.submit(move || OF_THREAD.with(|it| it.set(send).is_ok())).unwrap();
    drop(executor);
    drop(gate);
    assert_eq!(second.result(LIMIT).unwrap(), 2);
    assert!(
        end.recv_timeout(LIMIT).is_err_and(|e| e != std::sync::mpsc::RecvTimeoutError::Timeout)
    );
}

#[test]
fn a_job_may_give_its_own_pool_more_to_do() {
    let executor = pool(1);
    let own = executor.clone();
    let inner = executor.submit(move || own.submit(|| 2)).unwrap().join().unwrap().unwrap();
    assert_eq!(inner.result(LIMIT).unwrap(), 2);
    // The last handle, too, may go on one of its threads.
    let own = executor.clone();
    drop(executor);
    let job = own.clone().submit(move || drop(own)).unwrap();
    job.result(LIMIT).unwrap();
}

#[test]
fn a_thread_of_the_pool_does_not_wait_for_itself() {
    let executor = pool(1);
    let own = executor.clone();
    let job = executor.submit(move || own.shutdown(true, false)).unwrap();
    assert_eq!(job.result(LIMIT).unwrap().unwrap_err().kind(), ErrorKind::Runtime);
    assert!(executor.submit(|| ()).is_err(), "it has been shut down all the same");
    executor.shutdown(true, false).unwrap();
}

#[test]
fn a_panic_of_a_job_is_its_error_and_the_thread_goes_on() {
    let executor = pool(1);
    let failed = executor.submit(|| -> u32 { panic!("boom") }).unwrap();
    let error = failed.result(LIMIT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panic);
    assert!(error.to_string().ends_with("boom"), "{error}");
    assert_eq!(failed.exception(None).unwrap().unwrap().kind(), ErrorKind::Panic);
    assert!(failed.done() && !failed.cancelled());
    let bomb = Bomb;
    let captured = executor
        .submit(move || {
            let _last = bomb;
        })
        .unwrap();
    assert_eq!(captured.result(LIMIT).unwrap_err().kind(), ErrorKind::Panic);
    let (gate, gated) = gate();
    let begun = executor.submit(move || gated.pass()).unwrap();
    let bomb = Bomb;
    assert!(executor.submit(move || drop(bomb)).unwrap().cancel(), "dropped without being run");
    // Results that nobody wants are dropped on the thread.
    drop(executor.submit(|| Bomb).unwrap());
    drop(executor.submit(|| -> u32 { std::panic::panic_any(Bomb) }).unwrap());
    drop(gate);
    begun.result(LIMIT).unwrap();
    assert_eq!(executor.submit(|| 7).unwrap().result(LIMIT).unwrap(), 7);
    await_state(&executor, "threads: 1, idle: 1");
    executor.shutdown(true, false).unwrap();
}

#[test]
fn ten_thousand_jobs_all_come_back() {
    const JOBS: u32 = 10_000;
    let count = Arc::new(AtomicU32::new(0));
    let counted = count.clone();
    stackio::run(move || {
        let (event_loop, executor) = (get_running_loop()?, pool(4));
        let job = |n: u32| {
            let counted = counted.clone();
            move || {
                counted.fetch_add(1, Ordering::Relaxed);
                n
            }
        };
        let jobs: Vec<_> =
            (0..JOBS).map(|n| event_loop.run_in_executor(&executor, job(n))).collect();
        assert_eq!(gather(jobs).join()?, (0..JOBS).collect::<Vec<_>>());
        executor.shutdown(true, false)
    })
    .unwrap();
    assert_eq!(count.load(Ordering::Relaxed), JOBS);
}
