//! `add_signal_handler` and `remove_signal_handler`.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;

use stackio::signals::{Signal, Signals};
use stackio::{
    ContextVar, Error, ErrorKind, EventLoop, ExceptionContext, ExceptionSource, Future, Result,
    Runner, VirtualClock, call_soon, get_running_loop, run, secs, sleep, yield_now,
};

use super::{assert_dies_of, assert_plays_well, disposition, raise};

type Log = Rc<RefCell<Vec<&'static str>>>;

/// Gives the loop the chance to ask the selector, and what it reports to run.
fn let_arrive() -> Result {
    // Time is virtual, so this ends when nothing is ready any more.
    sleep(secs(1))
}

/// Runs on a virtual clock.
fn run_virtually<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

/// A handler that counts its calls.
fn count_on(event_loop: &EventLoop, signal: Signal) -> Rc<Cell<u32>> {
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    event_loop.add_signal_handler(signal, move || counted.set(counted.get() + 1)).unwrap();
    count
}

#[test]
fn a_handler_runs_in_the_loop_after_what_was_ready() {
    assert_plays_well(|| {
        let ended = run(|| {
            let (log, done) = (Log::default(), Future::new());
            let (handled, finished) = (log.clone(), done.clone());
            get_running_loop()?.add_signal_handler(Signal::USR1, move || {
                handled.borrow_mut().push("handler");
                let (handled, finished) = (handled.clone(), finished.clone());
                call_soon(move || {
                    handled.borrow_mut().push("after it");
                    finished.set_result(())
                });
            })?;
            raise(Signal::USR1);
            log.borrow_mut().push("raised");
            let soon = log.clone();
            call_soon(move || soon.borrow_mut().push("soon"));
            done.wait()?;
            let log = log.borrow().clone();
            Ok(log)
        });
        assert_eq!(ended.unwrap(), ["raised", "soon", "handler", "after it"]);
    });
}

#[test]
fn every_loop_that_listens_gets_the_signal() {
    assert_plays_well(|| {
        let listening = Arc::new(Barrier::new(4));
        let threads = [(); 3].map(|()| {
            let listening = listening.clone();
            thread::spawn(move || {
                run(move || {
                    let signals = Signals::new([Signal::TERM])?;
                    let count = count_on(&get_running_loop()?, Signal::TERM);
                    listening.wait();
                    assert_eq!(signals.wait()?, Signal::TERM);
                    while count.get() == 0 {
                        yield_now()?;
                    }
                    Ok(count.get())
                })
            })
        });
        listening.wait();
        raise(Signal::TERM);
        assert_eq!(threads.map(|thread| thread.join().unwrap().unwrap()), [1, 1, 1]);
        assert_eq!(disposition(Signal::TERM), libc::SIG_DFL);
    });
}

#[test]
fn a_signal_whose_handler_was_removed_kills_again() {
    assert_dies_of(Signal::TERM, || {
        run_virtually(|| {
            let event_loop = get_running_loop()?;
            let count = count_on(&event_loop, Signal::TERM);
            raise(Signal::TERM);
            let_arrive()?;
            assert_eq!(count.get(), 1);
            assert!(event_loop.remove_signal_handler(Signal::TERM));
            assert!(!event_loop.remove_signal_handler(Signal::TERM));
            raise(Signal::TERM);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn a_removed_handler_is_not_called_for_what_had_arrived() {
    assert_plays_well(|| {
        run_virtually(|| {
            let event_loop = get_running_loop()?;
            let count = count_on(&event_loop, Signal::USR1);
            raise(Signal::USR1);
            assert!(event_loop.remove_signal_handler(Signal::USR1));
            let_arrive()?;
            assert_eq!(count.get(), 0);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn a_new_handler_replaces_the_former_one() {
    assert_plays_well(|| {
        run_virtually(|| {
            let event_loop = get_running_loop()?;
            let former = count_on(&event_loop, Signal::USR1);
            let latter = count_on(&event_loop, Signal::USR1);
            assert_eq!(Rc::strong_count(&former), 1, "the former callback is dropped");
            raise(Signal::USR1);
            let_arrive()?;
            assert_eq!((former.get(), latter.get()), (0, 1));
            raise(Signal::USR1);
            let latest = count_on(&event_loop, Signal::USR1);
            let_arrive()?;
            assert_eq!((latter.get(), latest.get()), (2, 0), "it had arrived before");
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn a_handler_may_remove_or_replace_itself() {
    assert_plays_well(|| {
        run_virtually(|| {
            let event_loop = get_running_loop()?;
            let log = Log::default();
            let (first, second) = (log.clone(), log.clone());
            event_loop.add_signal_handler(Signal::USR1, move || {
                let (event_loop, second) = (get_running_loop()?, second.clone());
                first.borrow_mut().push("first");
                event_loop.add_signal_handler(Signal::USR1, move || {
                    second.borrow_mut().push("second");
                    assert!(get_running_loop().unwrap().remove_signal_handler(Signal::USR1));
                })
            })?;
            raise(Signal::USR1);
            let_arrive()?;
            raise(Signal::USR1);
            raise(Signal::USR1);
            let_arrive()?;
            assert_eq!(*log.borrow(), ["first", "second"]);
            assert_eq!(Rc::strong_count(&log), 1, "both callbacks are dropped");
            assert!(!event_loop.remove_signal_handler(Signal::USR1));
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn the_programs_own_handler_is_put_back() {
    static CALLED: AtomicU32 = AtomicU32::new(0);
    extern "C" fn own(_: libc::c_int) {
        CALLED.fetch_add(1, SeqCst);
    }
    assert_plays_well(|| {
        let handler: extern "C" fn(libc::c_int) = own;
        // SAFETY: a handler that may run at any time.
        unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
        run_virtually(|| {
            let event_loop = get_running_loop()?;
            let count = count_on(&event_loop, Signal::USR1);
            raise(Signal::USR1);
            let_arrive()?;
            assert_eq!((count.get(), CALLED.load(SeqCst)), (1, 0));
            event_loop.remove_signal_handler(Signal::USR1);
            raise(Signal::USR1);
            assert_eq!((count.get(), CALLED.load(SeqCst)), (1, 1));
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn an_ignored_signal_can_be_handled_and_is_ignored_again() {
    assert_plays_well(|| {
        run_virtually(|| {
            let event_loop = get_running_loop()?;
            let count = count_on(&event_loop, Signal::PIPE);
            raise(Signal::PIPE);
            let_arrive()?;
            assert_eq!(count.get(), 1);
            event_loop.remove_signal_handler(Signal::PIPE);
            raise(Signal::PIPE);
            Ok(())
        })
        .unwrap();
        assert_eq!(disposition(Signal::PIPE), libc::SIG_IGN);
    });
}

#[test]
fn a_handler_that_fails_or_panics_is_reported_and_stays() {
    assert_plays_well(|| {
        let reports: Rc<RefCell<Vec<ExceptionContext>>> = Rc::default();
        let log = reports.clone();
        let mut runner = Runner::builder()
            .virtual_clock(&VirtualClock::new())
            .exception_handler(move |report| log.borrow_mut().push(report.clone()))
            .build()
            .unwrap();
        let main = || {
            let mut calls = 0;
            get_running_loop()?.add_signal_handler(Signal::USR1, move || -> Result {
                calls += 1;
                assert!(calls != 1, "the first call");
                Err(Error::with_message(ErrorKind::Value, "a later call"))
            })?;
            raise(Signal::USR1);
            raise(Signal::USR1);
            let_arrive()
        };
        runner.run(main).unwrap();
        let kinds: Vec<_> = reports
            .borrow()
            .iter()
            .map(|report| (report.source, report.exception.as_ref().unwrap().kind()))
            .collect();
        let source = ExceptionSource::Callback;
        assert_eq!(kinds, [(source, ErrorKind::Panic), (source, ErrorKind::Value)]);
    });
}

#[test]
fn a_handler_runs_in_the_context_in_which_it_was_added() {
    static NAME: ContextVar<u32> = ContextVar::new("name");
    assert_plays_well(|| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = seen.clone();
        run_virtually(move || {
            NAME.set(1);
            get_running_loop()?.add_signal_handler(Signal::USR1, move || {
                let value = NAME.get().unwrap();
                log.borrow_mut().push(value);
                NAME.set(value + 10);
            })?;
            NAME.set(2);
            raise(Signal::USR1);
            raise(Signal::USR1);
            let_arrive()?;
            assert_eq!(NAME.get(), Some(2));
            Ok(())
        })
        .unwrap();
        assert_eq!(*seen.borrow(), [1, 11]);
    });
}

#[test]
fn a_burst_while_the_loop_is_busy_loses_none_and_blocks_nobody() {
    // More than the pipe has room for.
    const BURST: u32 = 100_000;
    assert_plays_well(|| {
        run_virtually(|| {
            let count = count_on(&get_running_loop()?, Signal::USR1);
            let other = thread::spawn(|| (0..BURST).for_each(|_| raise(Signal::USR1)));
            other.join().unwrap();
            let_arrive()?;
            assert_eq!(count.get(), BURST);
            raise(Signal::USR1);
            let_arrive()?;
            assert_eq!(count.get(), BURST + 1);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn what_arrives_while_the_loop_does_not_run_is_handled_when_it_does() {
    assert_plays_well(|| {
        let mut runner = Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
        let count = count_on(&runner.event_loop(), Signal::USR1);
        raise(Signal::USR1);
        assert_eq!(count.get(), 0);
        runner.run(let_arrive).unwrap();
        assert_eq!(count.get(), 1);
    });
}

#[test]
fn signals_that_cannot_be_handled_are_refused_by_name() {
    let event_loop = EventLoop::new().unwrap();
    let numbers = [0, -1, 1000].map(Signal::from_raw);
    let faults = [Signal::SEGV, Signal::BUS, Signal::ILL, Signal::FPE];
    for signal in [Signal::KILL, Signal::STOP].into_iter().chain(faults).chain(numbers) {
        let error = event_loop.add_signal_handler(signal, || {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value, "{signal}");
        assert!(error.to_string().contains(&format!("cannot listen for {signal}: ")), "{error}");
        assert!(!event_loop.remove_signal_handler(signal));
    }
    event_loop.close().unwrap();
    let error = event_loop.add_signal_handler(Signal::USR1, || {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert!(!event_loop.remove_signal_handler(Signal::USR1));
}

#[test]
fn a_handler_alone_does_not_keep_virtual_time_from_passing() {
    assert_plays_well(|| {
        let ended = run_virtually(|| {
            get_running_loop()?.add_signal_handler(Signal::USR1, || {})?;
            sleep(secs(3600))?;
            Future::<()>::new().wait()
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Deadlock);
    });
}
