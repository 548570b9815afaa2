//! What crosses between a thread and a loop, either way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use stackio::{
    Error, ErrorKind, EventLoop, ExceptionContext, ExceptionSource, Future, Result, Runner,
    ThreadPoolExecutor, all_tasks, ensure_future, gather, millis, run_coroutine_threadsafe, secs,
    sleep, spawn, to_thread, wrap_future, yield_now,
};

use super::{Bomb, LIMIT, begun_job, run, this_loop, virtual_runner, waits};

// -- a thread calls a coroutine ----------------------------------------------------

#[test]
fn a_thread_gets_what_a_coroutine_gives() {
    let (mut runner, clock) = virtual_runner();
    let thread = runner.event_loop().handle();
    let there = thread::current().id();
    let answer = runner.run(move || {
        to_thread(move || {
            let coroutine = move || {
                assert_eq!(thread::current().id(), there);
                sleep(secs(3600))?;
                Ok("an hour later".to_owned())
            };
            let future = run_coroutine_threadsafe(coroutine, &thread)?;
            assert!(!future.running());
            future.result(None)
        })?
    });
    assert_eq!(answer.unwrap(), "an hour later");
    assert_eq!(clock.now().as_millis(), 3_600_000, "virtual time passes while the thread waits");
}

#[test]
fn errors_panics_and_cancellations_reach_the_thread_and_the_loop_goes_on() {
    run(|| {
        let event_loop = this_loop();
        to_thread(move || {
            let call = |body: fn() -> Result<u32>| {
                run_coroutine_threadsafe(body, &event_loop).unwrap().result(LIMIT)
            };
            let error = call(|| Err(Error::with_message(ErrorKind::Value, "no"))).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Value, Some("no")));
            assert_eq!(call(|| panic!("boom")).unwrap_err().kind(), ErrorKind::Panic);
            let itself = || {
                stackio::current_task().unwrap().cancel();
                yield_now()?;
                Ok(1)
            };
            assert!(call(itself).unwrap_err().is_cancelled());
            assert!(call(|| Err(ErrorKind::StopIteration.into())).is_err());
            assert_eq!(call(|| Ok(5)).unwrap(), 5);
        })
    })
    .unwrap();
}

#[test]
fn a_thread_that_gives_up_cancels_the_task_where_it_waits() {
    run(|| {
        let event_loop = this_loop();
        to_thread(move || {
            let ((send, begun), (told, ended)) = (channel(), channel());
            let coroutine = move || {
                let error = waits(send)().unwrap_err();
                told.send(error.is_cancelled()).unwrap();
                Err::<(), _>(error)
            };
            let future = run_coroutine_threadsafe(coroutine, &event_loop).unwrap();
            begun.recv_timeout(LIMIT).unwrap();
            assert_eq!(future.result(millis(1)).unwrap_err().kind(), ErrorKind::Timeout);
            let other = future.clone();
            let waiting = thread::spawn(move || other.result(LIMIT));
            assert!(future.cancel());
            assert!(waiting.join().unwrap().unwrap_err().is_cancelled());
            assert!(ended.recv_timeout(LIMIT).unwrap(), "at its suspension point");
        })?;
        yield_now()?;
        assert_eq!(all_tasks().len(), 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_task_may_swallow_the_cancellation_and_nobody_gets_its_result() {
    run(|| {
        let event_loop = this_loop();
        to_thread(move || {
            let ((send, begun), (told, ended)) = (channel(), channel());
            let coroutine = move || {
                waits(send)().unwrap_err();
                yield_now()?;
                told.send(()).unwrap();
                Ok(())
            };
            let future = run_coroutine_threadsafe(coroutine, &event_loop).unwrap();
            begun.recv_timeout(LIMIT).unwrap();
            assert!(future.cancel());
            assert!(future.result(LIMIT).unwrap_err().is_cancelled());
            ended.recv_timeout(LIMIT).unwrap();
            assert!(future.cancelled());
        })
    })
    .unwrap();
}

#[test]
fn a_coroutine_that_is_cancelled_in_time_never_starts() {
    run(|| {
        let held = Arc::new(AtomicBool::new(false));
        let kept = held.clone();
        let coroutine = move || {
            kept.store(true, Ordering::SeqCst);
            Ok(())
        };
        let future = run_coroutine_threadsafe(coroutine, &this_loop())?;
        assert!(future.cancel());
        while Arc::strong_count(&held) > 1 {
            yield_now()?; // until the loop has heard of it
        }
        assert!(!held.load(Ordering::SeqCst));
        assert_eq!(all_tasks().len(), 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_cancellation_that_comes_after_the_end_hits_no_other_task() {
    run(|| {
        let future = run_coroutine_threadsafe(|| Ok(1), &this_loop())?;
        while all_tasks().len() == 1 {
            yield_now()?; // until it has been started
        }
        let bystander = spawn(|| {
            for _ in 0..10 {
                yield_now()?;
            }
            Ok(2)
        });
        while all_tasks().len() == 3 {
            yield_now()?; // until it has ended
        }
        future.cancel();
        assert_eq!(bystander.join()?, 2);
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_error_of_a_task_whose_caller_has_gone_is_reported() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let log = reports.clone();
    let handler = move |report: &ExceptionContext| log.borrow_mut().push(report.source);
    let mut runner = Runner::builder().exception_handler(handler).build().unwrap();
    runner
        .run(|| {
            let fails = || {
                Future::<()>::new().wait().unwrap_err();
                Err::<(), _>(Error::from(ErrorKind::Value))
            };
            let future = run_coroutine_threadsafe(fails, &this_loop())?;
            while all_tasks().len() == 1 {
                yield_now()?;
            }
            yield_now()?;
            future.cancel();
            while all_tasks().len() == 2 {
                yield_now()?;
            }
            yield_now()
        })
        .unwrap();
    assert_eq!(*reports.borrow(), [ExceptionSource::NeverRetrieved]);
}

#[test]
fn an_eager_loop_starts_the_coroutine_when_it_hears_of_it() {
    let mut runner = Runner::builder().eager(true).build().unwrap();
    let answer = runner.run(|| {
        let event_loop = this_loop();
        to_thread(move || run_coroutine_threadsafe(|| Ok(1), &event_loop)?.result(LIMIT))?
    });
    assert_eq!(answer.unwrap(), 1);
}

// -- the loop ends -------------------------------------------------------------------

#[test]
fn a_thread_does_not_wait_for_a_loop_that_has_been_closed() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    assert!(!handle.is_closed());
    let (send, begun) = channel();
    let running = run_coroutine_threadsafe(waits(send), &handle).unwrap();
    event_loop.run_until_complete(yield_now).unwrap();
    begun.recv_timeout(LIMIT).unwrap();
    let bomb = Bomb;
    let holds_it = move || {
        drop(bomb);
        Ok(())
    };
    let unstarted = run_coroutine_threadsafe(holds_it, &handle).unwrap();
    let asked = [running, unstarted].map(|future| {
        let (ready, wait) = channel();
        let thread = thread::spawn(move || {
            ready.send(()).unwrap();
            future.result(LIMIT)
        });
        wait.recv_timeout(LIMIT).unwrap();
        thread
    });
    event_loop.close().unwrap();
    for thread in asked {
        let error = thread.join().unwrap().unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        assert!(error.message().unwrap().starts_with("the event loop was closed"), "{error}");
    }
    assert!(handle.is_closed());
    let error = run_coroutine_threadsafe(|| Ok(1), &handle).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert_eq!(error.message(), Some("the event loop is closed"));
}

#[test]
fn a_loop_dropped_before_it_ran_tells_who_waits() {
    let event_loop = EventLoop::new().unwrap();
    let future = run_coroutine_threadsafe(|| Ok(1), &event_loop.handle()).unwrap();
    drop(event_loop);
    assert!(future.result(LIMIT).unwrap_err().is_cancelled());
}

#[test]
fn a_job_outlives_its_loop() {
    let executor = ThreadPoolExecutor::new(1).unwrap();
    let event_loop = EventLoop::new().unwrap();
    let (gate, job) = begun_job(&executor);
    let waiting = job.clone();
    let wrapping = event_loop.spawn(move || wrap_future(&waiting).wait());
    let unheard = event_loop.run_in_executor(&executor, || 2);
    event_loop.run_until_complete(yield_now).unwrap();
    event_loop.close().unwrap();
    assert!(wrapping.cancelled());
    drop(gate);
    executor.shutdown(true, false).unwrap();
    assert_eq!(job.result(LIMIT).unwrap(), 1);
    assert!(!unheard.done());
    let late = event_loop.run_in_executor(None, || 1);
    assert_eq!(late.result().unwrap_err().kind(), ErrorKind::Runtime);
}

#[test]
fn a_task_that_cannot_be_ended_owes_nobody_its_result() {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let log = reports.clone();
    let handler = move |report: &ExceptionContext| log.borrow_mut().push(report.source);
    let event_loop = EventLoop::builder().exception_handler(handler).build().unwrap();
    let stubborn = || -> Result {
        thread_local!(static TRIES: Cell<u32> = const { Cell::new(0) });
        while TRIES.replace(TRIES.get() + 1) < 1_000 {
            let waited = std::panic::catch_unwind(yield_now);
            drop(waited);
        }
        Ok(())
    };
    let future = run_coroutine_threadsafe(stubborn, &event_loop.handle()).unwrap();
    event_loop.run_until_complete(yield_now).unwrap();
    event_loop.run_until_complete(yield_now).unwrap();
    drop(event_loop);
    assert!(future.result(LIMIT).unwrap_err().is_cancelled());
    assert_eq!(*reports.borrow(), [ExceptionSource::Leaked]);
}

// -- on the wrong thread ------------------------------------------------------------

#[test]
fn waiting_on_the_loops_own_thread_is_refused() {
    let event_loop = EventLoop::new().unwrap();
    let future = run_coroutine_threadsafe(|| Ok(1), &event_loop.handle()).unwrap();
    // It does not run yet, and cannot as long as its thread stands here.
    assert_eq!(future.result(None).unwrap_err().kind(), ErrorKind::Runtime);
    assert_eq!(future.result(secs(0)).unwrap_err().kind(), ErrorKind::Timeout);
    let asked = future.clone();
    let inside = move || {
        let error = asked.result(None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Runtime);
        assert!(error.message().unwrap().contains("wrap_future"), "{error}");
        assert_eq!(asked.exception(secs(60)).unwrap_err().kind(), ErrorKind::Runtime);
        assert_eq!(wrap_future(&asked).wait()?, 1);
        asked.result(None)
    };
    assert_eq!(event_loop.run_until_complete(inside).unwrap(), 1, "what is there is given");
    assert_eq!(future.join().unwrap(), 1);
}

#[test]
fn two_loops_on_two_threads_call_each_other() {
    let (send, other_loop) = channel();
    let (finish, finished) = channel::<()>();
    let other = thread::spawn(move || {
        stackio::run(move || {
            send.send(this_loop()).unwrap();
            to_thread(move || finished.recv()).map(|_| ())
        })
    });
    let other_loop = other_loop.recv_timeout(LIMIT).unwrap();
    let sum = run(move || {
        let here = this_loop();
        let calls = (0..100).map(|n| {
            let here = here.clone();
            let there = move || {
                // Asks back, on the other loop, and moves the answer across.
                let back = run_coroutine_threadsafe(move || Ok(Box::new(n)), &here)?;
                Ok(*ensure_future(back).join()? + 1)
            };
            run_coroutine_threadsafe(there, &other_loop)
        });
        let calls = calls.collect::<Result<Vec<_>>>()?;
        let sum: u32 = gather(calls).join()?.iter().sum();
        drop(finish);
        Ok(sum)
    });
    assert_eq!(sum.unwrap(), 5050);
    other.join().unwrap().unwrap();
}
