//! The pool that a loop has of its own, and how it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use stackio::{
    ErrorKind, EventLoop, Future, Runner, ThreadPoolExecutor, call_soon, get_running_loop, millis,
    run_coroutine_threadsafe, secs, spawn, to_thread, yield_now,
};

use super::{Bomb, LIMIT, begun_job, gate, run};

#[test]
fn a_task_cancelled_before_its_job_begins_takes_the_job_along() {
    let ran = Arc::new(AtomicBool::new(false));
    let run_it = ran.clone();
    run(move || {
        let executor = ThreadPoolExecutor::new(1)?;
        get_running_loop()?.set_default_executor(executor.clone());
        let (gate, _begun) = begun_job(&executor);
        let task = spawn(move || to_thread(move || run_it.store(true, Ordering::SeqCst)));
        yield_now()?;
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        drop(gate);
        to_thread(|| ())
    })
    .unwrap();
    assert!(!ran.load(Ordering::SeqCst));
}

#[test]
fn a_loop_that_is_closed_takes_jobs_along_that_have_not_begun() {
    let executor = ThreadPoolExecutor::new(1).unwrap();
    let (gate, _begun) = begun_job(&executor);
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_default_executor(executor.clone());
    let ran = Arc::new(AtomicBool::new(false));
    let run_it = ran.clone();
    let task = event_loop.spawn(move || to_thread(move || run_it.store(true, Ordering::SeqCst)));
    event_loop.run_until_complete(yield_now).unwrap();
    event_loop.close().unwrap();
    assert!(task.cancelled());
    drop(gate);
    let last = executor.submit(|| 1).unwrap();
    assert_eq!(last.result(LIMIT).unwrap(), 1);
    assert!(!ran.load(Ordering::SeqCst), "nobody waits for it any more");
}

#[test]
fn the_default_pool_has_asyncios_bound() {
    let processors = thread::available_parallelism().unwrap().get();
    let bound = (processors + 4).min(32);
    stackio::run(move || {
        let event_loop = get_running_loop()?;
        let (begin, begun) = channel();
        let jobs: Vec<_> = (0..bound + 20)
            .map(|_| {
                let (begin, (gate, gated)) = (begin.clone(), gate());
                let job = move || {
                    let _counted = begin.send(());
                    gated.pass();
                };
                (gate, event_loop.run_in_executor(None, job))
            })
            .collect();
        let begun = to_thread_of_own(move || {
            (0..bound).for_each(|_| begun.recv_timeout(LIMIT).unwrap());
            begun.try_recv().is_err()
        })?;
        assert!(begun, "the others wait for a thread");
        let (gates, futures): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        drop(gates);
        stackio::gather(futures).join().map(drop)
    })
    .unwrap();
}

/// As `to_thread`, where the default pool is busy.
fn to_thread_of_own<T: Send + 'static>(
    job: impl FnOnce() -> T + Send + 'static,
) -> stackio::Result<T> {
    let own = ThreadPoolExecutor::new(1)?;
    get_running_loop()?.run_in_executor(&own, job).join()
}

#[test]
fn a_job_on_a_pool_of_ones_own_fails_in_its_future() {
    run(|| {
        let (event_loop, executor) = (get_running_loop()?, ThreadPoolExecutor::new(1)?);
        let failed = event_loop.run_in_executor(&executor, || -> u32 { panic!("boom") });
        assert_eq!(failed.wait().unwrap_err().kind(), ErrorKind::Panic);
        executor.shutdown(true, false)?;
        let refused = event_loop.run_in_executor(&executor, || 1);
        assert_eq!(refused.wait().unwrap_err().kind(), ErrorKind::Runtime);
        assert_eq!(event_loop.run_in_executor(None, || 1).wait()?, 1, "the default one is another");
        Ok(())
    })
    .unwrap();
}

#[test]
fn others_go_on_while_a_task_shuts_the_pool_down() {
    run(|| {
        let event_loop = get_running_loop()?;
        let (gate, gated) = gate();
        let job = event_loop.run_in_executor(None, move || gated.pass());
        let shutting = event_loop.clone();
        let shutdown = spawn(move || shutting.shutdown_default_executor(None));
        for _ in 0..3 {
            yield_now()?;
            assert!(!shutdown.done() && !job.done());
        }
        let error = to_thread(|| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Runtime);
        assert_eq!(error.message(), Some("Executor shutdown has been called"));
        let refused = event_loop.run_in_executor(None, || ()).join().unwrap_err();
        assert_eq!(refused.message(), error.message());
        // Another who waits for the same, and is cancelled, disturbs nobody.
        let shutting = event_loop.clone();
        let second = spawn(move || shutting.shutdown_default_executor(None));
        yield_now()?;
        second.cancel();
        assert!(second.join().unwrap_err().is_cancelled());
        assert!(!shutdown.done());
        drop(gate);
        shutdown.join()?;
        assert!(job.done(), "what it had is done when it has ended");
        // A new default does not make it usable again.
        event_loop.set_default_executor(ThreadPoolExecutor::new(1)?);
        assert!(to_thread(|| ()).is_err());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_shutdown_waits_no_longer_than_it_is_to() {
    let mut runner = Runner::new().unwrap();
    let (gate, gated) = gate();
    let event_loop = runner.event_loop();
    let job = runner
        .run(move || {
            let job = event_loop.run_in_executor(None, move || gated.pass());
            event_loop.shutdown_default_executor(millis(1))?;
            assert!(!job.done());
            Ok(job)
        })
        .unwrap();
    let event_loop = runner.event_loop();
    event_loop.shutdown_default_executor(millis(1)).unwrap();
    assert!(!job.done());
    drop(gate);
    event_loop.shutdown_default_executor(None).unwrap();
    event_loop.run_until_complete(move || job.wait()).unwrap();
}

#[test]
fn without_a_pool_there_is_nothing_to_shut_down() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.shutdown_default_executor(None).unwrap();
    assert_eq!(
        event_loop.run_until_complete(|| to_thread(|| 1)).unwrap_err().kind(),
        ErrorKind::Runtime
    );
}

#[test]
fn a_callback_cannot_wait_for_the_pool() {
    run(|| {
        to_thread(|| ())?;
        let kind = Future::new();
        let told = kind.clone();
        call_soon(move || {
            let event_loop = get_running_loop().unwrap();
            let error = event_loop.shutdown_default_executor(None).unwrap_err();
            told.set_result(error.kind())
        });
        assert_eq!(kind.wait()?, ErrorKind::Runtime);
        assert!(to_thread(|| ()).is_err());
        Ok(())
    })
    .unwrap();
}

/// A job that asks the loop for something once the main task has ended; the gate opens then.
fn asks_late(
    event_loop: &EventLoop,
) -> (super::Gate, std::sync::mpsc::Receiver<stackio::Result<u32>>) {
    let ((gate, gated), (send, answer), handle) = (gate(), channel(), event_loop.handle());
    let job = move || {
        gated.pass();
        let coroutine = || yield_now().map(|()| 5);
        let asked = run_coroutine_threadsafe(coroutine, &handle).and_then(|it| it.result(LIMIT));
        send.send(asked).unwrap();
    };
    drop(event_loop.run_in_executor(None, job));
    (gate, answer)
}

#[test]
fn the_loop_serves_the_last_jobs_until_they_have_ended() {
    let mut runner = Runner::new().unwrap();
    let (gate, answer) = asks_late(&runner.event_loop());
    runner.run(|| Ok(())).unwrap();
    drop(gate);
    runner.close().unwrap();
    assert_eq!(answer.try_recv().unwrap().unwrap(), 5);
}

#[test]
fn a_loop_that_cannot_run_any_more_keeps_no_job_waiting() {
    let mut runner = Runner::new().unwrap();
    let (gate, answer) = asks_late(&runner.event_loop());
    runner.run(|| Ok(())).unwrap();
    stackio::run(move || {
        drop(gate);
        drop(runner); // inside of another loop
        Ok(())
    })
    .unwrap();
    assert!(answer.try_recv().unwrap().is_err_and(|error| !error.is_timeout()));
}

#[test]
fn what_a_job_leaves_behind_may_panic_when_dropped() {
    run(|| {
        let event_loop = get_running_loop()?;
        let forgotten = event_loop.run_in_executor(None, || Bomb);
        forgotten.cancel();
        drop(forgotten);
        assert_eq!(to_thread(|| 7)?, 7);
        event_loop.shutdown_default_executor(secs(20))
    })
    .unwrap();
}
