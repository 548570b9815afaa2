//! Ctrl-C: the first cancels main, a second ends the run, a third or a blocked main the process.
//!
//! The loop listens only on the main thread of its process, and libtest runs tests on others. So
//! the child that plays a scenario forks: the thread that forks is the new process's main one.
//! It sends the signals to itself, so that nothing depends on time.

use std::cell::Cell;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::rc::Rc;

use stackio::signals::{self, Signal, Signals};
use stackio::{
    Error, ErrorKind, EventLoop, Result, Runner, get_running_loop, millis, run, secs, sleep, spawn,
    yield_now,
};

use crate::children::{is_child, play};

/// The exit code of a scenario that came to its end.
const WELL: i32 = 42;

fn ctrl_c() {
    // SAFETY: raises a signal in this process, which the scenarios expect.
    unsafe { libc::raise(libc::SIGINT) };
}

/// Plays the scenario on the main thread of a process of its own; how that ended.
fn play_on_a_main_thread(scenario: fn()) -> ExitStatus {
    if !is_child() {
        return play().status;
    }
    // SAFETY: sets what a signal does by itself: a shell has the processes that it starts in the
    // background ignore this one.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    // SAFETY: this process has only libtest's waiting thread beside this one, which holds no
    // lock that the scenario needs.
    match unsafe { libc::fork() } {
        0 => {
            let code = if catch_unwind(scenario).is_ok() { WELL } else { 1 };
            // SAFETY: ends the process without running libtest's exit handlers twice.
            unsafe { libc::_exit(code) }
        }
        process => {
            let mut status = 0;
            // SAFETY: waits for the process just made; `status` is ours.
            unsafe { libc::waitpid(process, &raw mut status, 0) };
            let status = ExitStatus::from_raw(status);
            if status.signal() == Some(libc::SIGINT) {
                // SAFETY: ends this process in the same way, for its parent to see.
                unsafe { libc::kill(libc::getpid(), libc::SIGINT) };
            }
            std::process::exit(status.code().unwrap_or(2));
        }
    }
}

#[track_caller]
fn assert_plays_well(scenario: fn()) {
    assert_eq!(play_on_a_main_thread(scenario).code(), Some(WELL));
}

#[test]
fn one_interrupt_cancels_main_and_the_run_says_so() {
    assert_plays_well(|| {
        let ended = run(|| {
            spawn(|| {
                ctrl_c();
                Ok(())
            });
            let error = sleep(secs(60)).unwrap_err();
            assert!(error.is_cancelled());
            Err::<(), _>(error)
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
    });
}

#[test]
fn an_interrupt_wakes_a_loop_that_waits() {
    assert_plays_well(|| {
        // SAFETY: has the kernel send a SIGALRM, whose handler is ours, in a millisecond.
        unsafe {
            extern "C" fn alarm(_: libc::c_int) {
                ctrl_c();
            }
            let handler: extern "C" fn(libc::c_int) = alarm;
            libc::signal(libc::SIGALRM, handler as libc::sighandler_t);
            let soon = libc::timeval { tv_sec: 0, tv_usec: 20_000 };
            let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
            let timer = libc::itimerval { it_interval: never, it_value: soon };
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
        }
        let error = run(|| sleep(secs(60))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyboardInterrupt);
    });
}

#[test]
fn main_may_deal_with_the_interrupt_and_end_well() {
    assert_plays_well(|| {
        let ended = run(|| {
            ctrl_c();
            assert!(sleep(secs(60)).unwrap_err().is_cancelled());
            sleep(millis(1))?;
            Ok(5)
        });
        assert_eq!(ended.unwrap(), 5);
    });
}

#[test]
fn other_tasks_are_shut_down_after_an_interrupt() {
    assert_plays_well(|| {
        let cleaned = Rc::new(Cell::new(false));
        let clean = cleaned.clone();
        let ended = run(move || {
            spawn(move || {
                let cancelled = sleep(secs(60));
                sleep(millis(1))?;
                clean.set(true);
                cancelled
            });
            yield_now()?;
            ctrl_c();
            sleep(secs(60))
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
        assert!(cleaned.get());
    });
}

/// Refuses that many cancellations, and raises an interrupt at each but the last.
fn refuse(times: u32) -> Result {
    ctrl_c();
    for n in 1..=times {
        assert!(sleep(secs(60)).unwrap_err().is_cancelled());
        if n < times {
            ctrl_c();
        }
    }
    Ok(())
}

#[test]
fn a_second_interrupt_ends_the_run_of_a_main_that_refuses() {
    assert_plays_well(|| {
        let mut runner = Runner::new().unwrap();
        let error = runner.run(|| refuse(2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyboardInterrupt);
        // Main is still there, and gets its second cancellation when the loop is closed.
        runner.close().unwrap();
    });
}

#[test]
fn a_main_that_computes_dies_of_the_second_interrupt() {
    let status = play_on_a_main_thread(|| {
        let ended: Result = run(|| {
            loop {
                ctrl_c();
            }
        });
        unreachable!("{ended:?}");
    });
    assert_eq!(status.signal(), Some(libc::SIGINT), "{status:?}");
}

#[test]
fn a_cancellation_of_mains_own_making_is_no_interrupt() {
    assert_plays_well(|| {
        let ended = run(|| {
            stackio::current_task().unwrap().cancel();
            sleep(secs(60))
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
    });
}

#[test]
fn after_the_run_an_interrupt_kills_again() {
    let status = play_on_a_main_thread(|| {
        run(yield_now).unwrap();
        ctrl_c();
    });
    assert_eq!(status.signal(), Some(libc::SIGINT), "{status:?}");
}

#[test]
fn a_runner_counts_interrupts_anew_for_each_main() {
    assert_plays_well(|| {
        let mut runner = Runner::new().unwrap();
        for _ in 0..2 {
            let ended = runner.run(|| {
                ctrl_c();
                sleep(secs(60))
            });
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
        }
        let unwatched = catch_unwind(AssertUnwindSafe(|| runner.run(|| Ok(1)).unwrap()));
        assert_eq!(unwatched.unwrap(), 1);
    });
}

#[test]
fn the_runner_steps_aside_for_a_handler_and_comes_back() {
    assert_plays_well(|| {
        let ended = run(|| {
            let handled = Rc::new(Cell::new(0));
            let count = handled.clone();
            let handler = move || count.set(count.get() + 1);
            get_running_loop()?.add_signal_handler(Signal::INT, handler)?;
            // Main computes: a second one would end the process otherwise.
            (0..3).for_each(|_| ctrl_c());
            while handled.get() == 0 {
                sleep(millis(1))?;
            }
            assert_eq!(handled.get(), 3);
            assert!(get_running_loop()?.remove_signal_handler(Signal::INT));
            ctrl_c();
            assert!(sleep(secs(60)).unwrap_err().is_cancelled());
            Err::<(), _>(stackio::Error::cancelled())
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
    });
}

#[test]
fn the_runner_steps_aside_while_a_task_waits_for_the_interrupt() {
    assert_plays_well(|| {
        let ended = run(|| {
            stackio::call_soon(ctrl_c);
            signals::wait(Signal::INT)?;
            let listening = Signals::new([Signal::INT, Signal::TERM])?;
            (0..3).for_each(|_| ctrl_c());
            assert_eq!(listening.wait()?, Signal::INT);
            drop(listening);
            ctrl_c();
            sleep(secs(60))
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
    });
}

#[test]
fn a_main_that_computes_dies_when_the_runner_has_come_back() {
    let status = play_on_a_main_thread(|| {
        let ended: Result = run(|| {
            let listening = Signals::new([Signal::INT])?;
            (0..3).for_each(|_| ctrl_c());
            drop(listening);
            ctrl_c();
            ctrl_c();
            unreachable!("it should have died");
        });
        unreachable!("{ended:?}");
    });
    assert_eq!(status.signal(), Some(libc::SIGINT), "{status:?}");
}

#[test]
fn an_interrupt_before_somebody_listens_is_the_runners() {
    assert_plays_well(|| {
        let ended = run(|| {
            ctrl_c();
            signals::wait(Signal::INT)
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
    });
}

#[test]
fn an_interrupt_that_a_handler_was_there_for_is_not_the_runners() {
    assert_plays_well(|| {
        let ended = run(|| {
            get_running_loop()?.add_signal_handler(Signal::INT, || {})?;
            ctrl_c();
            assert!(get_running_loop()?.remove_signal_handler(Signal::INT));
            sleep(millis(1))
        });
        ended.unwrap();
    });
}

#[test]
fn a_handler_from_before_the_run_keeps_the_runner_aside_until_it_is_removed() {
    assert_plays_well(|| {
        let mut runner = Runner::new().unwrap();
        let handled = Rc::new(Cell::new(false));
        let handler = handled.clone();
        runner.event_loop().add_signal_handler(Signal::INT, move || handler.set(true)).unwrap();
        let ended = runner.run(move || {
            ctrl_c();
            while !handled.get() {
                sleep(millis(1))?;
            }
            get_running_loop()?.remove_signal_handler(Signal::INT);
            ctrl_c();
            sleep(secs(60))
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
    });
}

#[test]
fn the_programs_own_handler_keeps_the_runner_aside() {
    extern "C" fn own(_: libc::c_int) {}
    assert_plays_well(|| {
        let handler: extern "C" fn(libc::c_int) = own;
        // SAFETY: a handler that does nothing may run at any time.
        unsafe { libc::signal(libc::SIGINT, handler as libc::sighandler_t) };
        let ended = run(|| {
            // Listening and ceasing to leaves it to the program again.
            drop(Signals::new([Signal::INT])?);
            (0..3).for_each(|_| ctrl_c());
            yield_now()
        });
        ended.unwrap();
    });
}

#[test]
fn a_stop_in_an_interrupted_run_is_not_for_the_next() {
    let event_loop = EventLoop::new().unwrap();
    let stops = event_loop.clone();
    event_loop.call_soon(move || stops.stop());
    event_loop.call_soon(|| -> Result { Err(Error::from(ErrorKind::KeyboardInterrupt)) });
    assert_eq!(event_loop.run_forever().unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
    event_loop.run_until_complete(|| sleep(millis(1))).unwrap();
}

#[test]
fn the_second_interrupt_ends_the_run_while_what_is_left_cleans_up() {
    assert_plays_well(|| {
        let ended = run(|| {
            spawn(|| {
                let cancelled = sleep(secs(60));
                ctrl_c();
                sleep(secs(60)).expect_err("the second one ends the run");
                cancelled
            });
            yield_now()?;
            ctrl_c();
            sleep(secs(60))
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
    });
}

#[test]
fn an_interrupt_ends_the_run_while_jobs_are_waited_for() {
    assert_plays_well(|| {
        let ended = run(|| {
            get_running_loop()?.run_in_executor(None, || {
                std::thread::sleep(millis(50));
                ctrl_c();
                std::thread::sleep(secs(60));
            });
            Ok(())
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::KeyboardInterrupt);
    });
}
