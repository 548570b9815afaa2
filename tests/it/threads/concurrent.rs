//! The future that threads wait for.

use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use stackio::{
    ConcurrentFuture, ErrorKind, LoopHandle, ThreadPoolExecutor, millis, to_thread, yield_now,
};

use super::{LIMIT, begun_job, gate};

fn one_thread() -> ThreadPoolExecutor {
    ThreadPoolExecutor::new(1).unwrap()
}

#[test]
fn what_crosses_threads_may_do_so_whatever_the_result() {
    fn crosses<T: Send + Sync>() {}
    crosses::<ConcurrentFuture<std::cell::Cell<u8>>>();
    crosses::<LoopHandle>();
    crosses::<ThreadPoolExecutor>();
}

#[test]
fn every_thread_that_waits_gets_the_result() {
    let (gate, job) = begun_job(&one_thread());
    let ready = Arc::new(Barrier::new(5));
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let (job, ready) = (job.clone(), ready.clone());
            thread::spawn(move || {
                ready.wait();
                job.result(LIMIT)
            })
        })
        .collect();
    ready.wait();
    assert!(job.running() && !job.done());
    drop(gate);
    for thread in waiting {
        assert_eq!(thread.join().unwrap().unwrap(), 1);
    }
    assert!(job.done() && !job.running() && !job.cancelled());
    assert!(job.exception(None).unwrap().is_none());
}

#[test]
fn the_time_to_wait_ends_and_the_result_comes_all_the_same() {
    let (gate, job) = begun_job(&one_thread());
    for limit in [Duration::ZERO, millis(1)] {
        assert_eq!(job.result(limit).unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(job.exception(limit).unwrap_err().kind(), ErrorKind::Timeout);
    }
    drop(gate);
    // Nobody can wait for so long, which is no reason not to begin.
    assert_eq!(job.result(Duration::MAX).unwrap(), 1);
    assert_eq!(job.result(Duration::ZERO).unwrap(), 1, "what is there needs no time");
}

#[test]
fn a_result_is_moved_out_once() {
    struct Unique(u32);
    let job = one_thread().submit(|| Unique(7)).unwrap();
    let other = job.clone();
    assert_eq!(job.join().unwrap().0, 7);
    assert!(other.exception(None).unwrap().is_none());
    assert_eq!(other.join().map(|_| ()).unwrap_err().kind(), ErrorKind::InvalidState);
}

#[test]
fn a_job_is_cancelled_only_before_it_begins() {
    let executor = one_thread();
    let (gate, first) = begun_job(&executor);
    let second = executor.submit(|| -> u32 { unreachable!("cancelled") }).unwrap();
    let waiting = {
        let second = second.clone();
        thread::spawn(move || second.result(LIMIT))
    };
    assert!(second.cancel() && second.cancel(), "it is, and stays so");
    assert!(second.cancelled() && second.done() && !second.running());
    assert!(waiting.join().unwrap().unwrap_err().is_cancelled());
    assert!(second.exception(None).unwrap_err().is_cancelled());
    assert!(!first.cancel());
    drop(gate);
    assert_eq!(first.result(LIMIT).unwrap(), 1);
    assert!(!first.cancel(), "it is done");
    executor.shutdown(true, false).unwrap();
}

#[test]
fn callbacks_come_in_order_on_the_completing_thread_whatever_one_of_them_does() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = |n: u32| {
        let seen = seen.clone();
        move |future: &ConcurrentFuture<u32>| {
            assert!(future.done());
            let name = thread::current().name().unwrap_or_default().to_owned();
            seen.lock().unwrap().push((n, name));
        }
    };
    let executor = one_thread();
    let (gate, job) = begun_job(&executor);
    job.add_done_callback(log(1));
    job.add_done_callback::<()>(|_| panic!("the others are called"));
    job.add_done_callback(|_| Err(stackio::Error::from(ErrorKind::Other)));
    job.add_done_callback(log(2));
    assert!(seen.lock().unwrap().is_empty());
    drop(gate);
    executor.shutdown(true, false).unwrap();
    job.add_done_callback(log(3));
    let here = thread::current().name().unwrap().to_owned();
    let there = "stackio-executor-0".to_owned();
    assert_eq!(*seen.lock().unwrap(), [(1, there.clone()), (2, there), (3, here)]);
}

#[test]
fn a_callback_cannot_suspend_the_task_that_happens_to_cancel() {
    super::run(|| {
        let executor = one_thread();
        let (gate, _first) = begun_job(&executor);
        let second = executor.submit(|| ())?;
        let kind = Arc::new(OnceLock::new());
        let seen = kind.clone();
        second.add_done_callback(move |_| {
            seen.set(yield_now().unwrap_err().kind()).unwrap();
        });
        assert!(second.cancel());
        assert_eq!(kind.get(), Some(&ErrorKind::Runtime));
        yield_now()?;
        drop(gate);
        to_thread(move || executor.shutdown(true, false))?
    })
    .unwrap();
}

/// Looks at the future that it is the result of when it is cloned.
struct Curious(Arc<OnceLock<ConcurrentFuture<Curious>>>);

impl Clone for Curious {
    fn clone(&self) -> Curious {
        let future = self.0.get().unwrap();
        assert!(future.done() && !future.cancel());
        future.add_done_callback(|future| assert!(future.done()));
        Curious(self.0.clone())
    }
}

#[test]
fn a_result_may_look_at_its_future_while_it_is_cloned() {
    let place = Arc::new(OnceLock::new());
    let curious = Curious(place.clone());
    let job = one_thread().submit(move || curious).unwrap();
    place.set(job.clone()).unwrap();
    assert!(Arc::ptr_eq(&job.result(LIMIT).unwrap().0, &place));
}

/// Cannot be cloned the first time.
struct Shy(Arc<Mutex<bool>>);

impl Clone for Shy {
    fn clone(&self) -> Shy {
        let first = !std::mem::replace(&mut *self.0.lock().unwrap(), true);
        assert!(!first, "not yet");
        Shy(self.0.clone())
    }
}

#[test]
fn a_clone_that_panics_leaves_the_result_where_it_was() {
    let job = one_thread().submit(|| Shy(Arc::default())).unwrap();
    let asked = job.clone();
    assert!(thread::spawn(move || asked.result(LIMIT).is_ok()).join().is_err());
    assert!(job.result(LIMIT).is_ok());
}

#[test]
fn a_result_is_dropped_with_no_lock_held() {
    /// Looks at the future that it was the result of when it is dropped.
    struct Last(ConcurrentFuture<()>, std::sync::mpsc::Sender<bool>);
    impl Drop for Last {
        fn drop(&mut self) {
            let _ = self.1.send(self.0.done());
        }
    }
    let executor = one_thread();
    let (gate, gated) = gate();
    let (send, dropped) = channel();
    let first = executor.submit(move || gated.pass()).unwrap();
    let other = first.clone();
    let second = executor.submit(move || Last(other, send)).unwrap();
    drop(second);
    drop(gate);
    assert!(dropped.recv_timeout(LIMIT).unwrap(), "nobody wanted it");
}
