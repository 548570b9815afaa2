//! Bringing what goes on elsewhere to a loop, for tasks to wait for.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use stackio::{
    ErrorKind, Future, LoopHandle, ReturnWhen, Runner, ThreadPoolExecutor, all_tasks,
    ensure_future, get_running_loop, millis, run_coroutine_threadsafe, secs, sleep, spawn, timeout,
    to_thread, wait, wrap_future, yield_now,
};

use super::{LIMIT, begun_job, gate, run, this_loop, virtual_runner, waits};

#[test]
fn a_wrapped_future_gets_what_the_other_one_has() {
    run(|| {
        let executor = ThreadPoolExecutor::new(1)?;
        let (gate, job) = begun_job(&executor);
        let (a, b) = (wrap_future(&job), wrap_future(&job));
        assert!(!a.done() && a != b);
        drop(gate);
        assert_eq!((a.wait()?, b.wait()?, job.result(None)?), (1, 1, 1));
        assert_eq!(wrap_future(&job).wait()?, 1, "one that is done already, too");
        let failed = executor.submit(|| -> u32 { panic!("boom") })?;
        assert_eq!(wrap_future(&failed).wait().unwrap_err().kind(), ErrorKind::Panic);
        assert_eq!(timeout(secs(5), |_| wrap_future(&job).wait())?, 1);
        Ok(())
    })
    .unwrap();
    let executor = ThreadPoolExecutor::new(1).unwrap();
    let job = executor.submit(|| 1).unwrap();
    assert!(thread::spawn(move || drop(wrap_future(&job))).join().is_err(), "there is no loop");
}

#[test]
fn an_error_from_another_thread_that_nobody_sees_is_reported_with_the_place_of_the_call() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let seen = reports.clone();
    let mut runner = Runner::builder()
        .exception_handler(move |report| {
            let place = report.created_at.map(|place| (place.file(), place.line()));
            seen.borrow_mut().push(place);
        })
        .build()
        .unwrap();
    let calls = runner
        .run(|| {
            let executor = ThreadPoolExecutor::new(1)?;
            let failed = executor.submit(|| -> u32 { panic!("boom") })?;
            let event_loop = get_running_loop()?;
            let begin = line!();
            let futures = [
                wrap_future(&failed),
                ensure_future(&failed),
                event_loop.run_in_executor(&executor, || panic!("boom")),
                ensure_future(failed),
            ];
            for future in futures {
                wait([&future], None, ReturnWhen::AllCompleted)?;
                drop(future);
            }
            executor.shutdown(false, false)?;
            drop(event_loop.run_in_executor(&executor, || 1));
            yield_now()?;
            Ok([2, 3, 4, 5, 12].map(|line| Some((file!(), begin + line))))
        })
        .unwrap();
    assert_eq!(reports.take(), calls);
}

#[test]
fn cancelling_either_side_of_a_wrapped_job_cancels_the_other() {
    run(|| {
        let executor = ThreadPoolExecutor::new(1)?;
        let (gate, begun) = begun_job(&executor);
        let ran = Arc::new(AtomicBool::new(false));
        let queued = || {
            let ran = ran.clone();
            executor.submit(move || ran.store(true, Ordering::SeqCst))
        };
        let (inner, outer) = (queued()?, queued()?);
        let (of_inner, of_outer) = (wrap_future(&inner), wrap_future(&outer));
        assert!(inner.cancel());
        assert!(of_inner.wait().unwrap_err().is_cancelled());
        assert!(of_inner.cancelled());
        of_outer.cancel();
        yield_now()?;
        assert!(outer.cancelled());
        // One that runs goes on, whatever becomes of who waits.
        let of_begun = wrap_future(&begun);
        of_begun.cancel();
        yield_now()?;
        assert!(begun.running());
        drop(gate);
        assert_eq!(wrap_future(&begun).wait()?, 1);
        executor.shutdown(true, false)?;
        assert!(!ran.load(Ordering::SeqCst));
        Ok(())
    })
    .unwrap();
}

#[test]
fn cancelling_a_wrapped_coroutine_cancels_the_task_on_its_loop() {
    run(|| {
        let (send, begun) = channel();
        let there = run_coroutine_threadsafe(waits(send), &this_loop())?;
        let here = wrap_future(&there);
        while begun.try_recv().is_err() {
            yield_now()?;
        }
        assert_eq!(all_tasks().len(), 2);
        here.cancel();
        while all_tasks().len() == 2 {
            yield_now()?;
        }
        assert!(there.cancelled());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_clone_that_panics_on_the_way_to_the_loop_is_the_futures_error() {
    struct Unique;
    impl Clone for Unique {
        fn clone(&self) -> Unique {
            panic!("there is only one")
        }
    }
    run(|| {
        let job = ThreadPoolExecutor::new(1)?.submit(|| Unique)?;
        let error = wrap_future(&job).join().map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Panic);
        assert!(ensure_future(job).join().is_ok(), "moving needs no clone");
        Ok(())
    })
    .unwrap();
}

/// Virtual time that passes while a job does `before` and then waits for something real.
fn time_taken_by(before: impl FnOnce(&LoopHandle) + Send + 'static) -> i64 {
    thread_local!(static REACHED: RefCell<Option<Future<()>>> = const { RefCell::new(None) });
    let (mut runner, clock) = virtual_runner();
    let main = move || {
        let (reached, event_loop, (gate, gated), (send, begin)) =
            (Future::new(), this_loop(), gate(), channel());
        REACHED.set(Some(reached.clone()));
        let handle = event_loop.clone();
        let opener = thread::spawn(move || {
            begin.recv_timeout(LIMIT).unwrap();
            for _ in 0..3 {
                // The loop comes round, and finds nothing else to do.
                let (send, answer) = channel();
                handle.call_soon_threadsafe(move || send.send(()).unwrap()).unwrap();
                answer.recv_timeout(LIMIT).unwrap();
            }
            drop(gate);
        });
        let job = spawn(move || {
            to_thread(move || {
                before(&event_loop);
                let tell = || REACHED.take().unwrap().set_result(()).unwrap();
                event_loop.call_soon_threadsafe(tell).unwrap();
                send.send(()).unwrap();
                gated.pass();
            })
        });
        reached.wait()?;
        timeout(secs(5), |_| job.join())?;
        opener.join().unwrap();
        Ok(())
    };
    runner.run(main).unwrap();
    clock.now().as_millis()
}

#[test]
fn virtual_time_stands_while_a_job_is_under_way() {
    assert_eq!(time_taken_by(|_| ()), 0);
}

#[test]
fn virtual_time_stands_again_when_a_job_has_got_what_it_waited_for() {
    let taken = time_taken_by(|event_loop| {
        run_coroutine_threadsafe(|| sleep(secs(1)), event_loop).unwrap().result(None).unwrap();
    });
    assert_eq!(taken, 1_000);
}

#[test]
fn virtual_time_stands_again_when_a_job_has_given_up() {
    let taken = time_taken_by(|event_loop| {
        let never = run_coroutine_threadsafe(|| Future::<()>::new().wait(), event_loop).unwrap();
        assert_eq!(never.result(millis(1)).unwrap_err().kind(), ErrorKind::Timeout);
        never.cancel();
    });
    assert_eq!(taken, 0);
}

#[test]
fn virtual_time_passes_while_a_loop_waits_for_a_coroutine_of_its_own() {
    let (mut runner, clock) = virtual_runner();
    runner
        .run(|| {
            let later = run_coroutine_threadsafe(|| sleep(secs(60)), &this_loop())?;
            wrap_future(&later).wait()?;
            let never = || Future::<()>::new().wait();
            let never = run_coroutine_threadsafe(never, &this_loop())?;
            wrap_future(&never).wait()
        })
        .map_err(|error| assert_eq!(error.kind(), ErrorKind::Deadlock))
        .unwrap_err();
    assert_eq!(clock.now().as_millis(), 60_000);
}
