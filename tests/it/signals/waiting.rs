//! `signals::wait`, `wait_any` and `Signals`.

use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use stackio::signals::{self, Signal, Signals};
use stackio::{
    ErrorKind, FlowEvent, Instrument, Result, Runner, VirtualClock, call_soon, gather, millis, run,
    secs, spawn, timeout, yield_now,
};

use super::closing::open_descriptors;
use super::{assert_dies_of, assert_plays_well, disposition, raise};

fn raise_soon(signal: Signal) {
    call_soon(move || raise(signal));
}

/// Has what arrived given to those who listen: another that begins to gets nothing of it.
fn hand_out() -> Result {
    Signals::new([Signal::USR2]).map(drop)
}

#[test]
fn a_wait_ends_with_the_signal_and_gives_it_back() {
    assert_plays_well(|| {
        run(|| {
            raise_soon(Signal::TERM);
            signals::wait(Signal::TERM)?;
            assert_eq!(disposition(Signal::TERM), libc::SIG_DFL);
            raise_soon(Signal::USR2);
            assert_eq!(signals::wait_any([Signal::USR1, Signal::USR2])?, Signal::USR2);
            assert_eq!(disposition(Signal::USR1), libc::SIG_DFL);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn a_signal_after_a_wait_that_timed_out_kills() {
    assert_dies_of(Signal::TERM, || {
        run(|| {
            let error = timeout(millis(1), |_| signals::wait(Signal::TERM)).unwrap_err();
            assert!(error.is_timeout());
            raise(Signal::TERM);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn many_waits_that_are_cancelled_leave_nothing() {
    assert_plays_well(|| {
        run(|| {
            let mut descriptors = None;
            for _ in 0..1000 {
                let waiter = spawn(|| signals::wait_any([Signal::USR1, Signal::HUP]));
                yield_now()?;
                assert_ne!(disposition(Signal::HUP), libc::SIG_DFL);
                waiter.cancel();
                assert!(waiter.join().unwrap_err().is_cancelled());
                assert_eq!(disposition(Signal::HUP), libc::SIG_DFL);
                let open = open_descriptors();
                assert_eq!(*descriptors.get_or_insert(open), open);
            }
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn signals_keep_what_came_between_the_waits() {
    assert_plays_well(|| {
        run(|| {
            // Ignored, say, in the background job of a shell.
            let usual = disposition(Signal::INT);
            let signals = Signals::new([Signal::INT, Signal::TERM, Signal::INT])?;
            raise_soon(Signal::TERM);
            assert_eq!(signals.wait()?, Signal::TERM);
            raise(Signal::TERM);
            raise(Signal::TERM);
            hand_out()?;
            raise(Signal::TERM);
            hand_out()?;
            raise(Signal::INT);
            let mut both = [signals.wait()?, signals.wait()?];
            both.sort();
            assert_eq!(both, [Signal::INT, Signal::TERM], "those of one number are one");
            assert!(timeout(millis(1), |_| signals.wait()).unwrap_err().is_timeout());
            raise(Signal::TERM);
            assert_eq!(signals.wait()?, Signal::TERM);
            drop(signals);
            assert_eq!(disposition(Signal::TERM), libc::SIG_DFL);
            assert_eq!(disposition(Signal::INT), usual);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn each_that_listens_gets_the_signal_and_of_its_waiters_one() {
    assert_plays_well(|| {
        run(|| {
            let (one, other) = (Signals::new([Signal::USR1])?, Signals::new([Signal::USR1])?);
            let one = Rc::new(one);
            let waiters = [one.clone(), one].map(|signals| spawn(move || signals.wait()));
            yield_now()?;
            raise(Signal::USR1);
            other.wait()?;
            yield_now()?;
            assert_eq!(waiters.each_ref().map(|waiter| waiter.done()), [true, false]);
            raise(Signal::USR1);
            gather(waiters.to_vec()).wait()?;
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn a_waiter_that_is_cancelled_when_it_is_woken_passes_the_signal_on() {
    assert_plays_well(|| {
        run(|| {
            let signals = Rc::new(Signals::new([Signal::USR1])?);
            let [one, other] = [signals.clone(), signals].map(|s| spawn(move || s.wait()));
            yield_now()?;
            raise(Signal::USR1);
            // The waiter is woken now, and has not run yet.
            hand_out()?;
            one.cancel();
            assert!(one.join().unwrap_err().is_cancelled());
            assert_eq!(other.join()?, Signal::USR1);
            Ok(())
        })
        .unwrap();
    });
}

#[test]
fn what_arrived_before_somebody_listens_is_not_for_them() {
    assert_plays_well(|| {
        run(|| {
            let early = Signals::new([Signal::USR1])?;
            raise(Signal::USR1);
            let late = Signals::new([Signal::USR1])?;
            early.wait()?;
            assert!(timeout(millis(1), |_| late.wait()).unwrap_err().is_timeout());
            Ok(())
        })
        .unwrap();
    });
}

/// Has a signal raised when the loop is about to wait without a limit.
struct RaiseWhenIdle(mpsc::Sender<()>);

impl Instrument for RaiseWhenIdle {
    fn event(&self, event: &FlowEvent<'_>) {
        if let FlowEvent::Select { timeout: None } = event {
            self.0.send(()).unwrap();
        }
    }
}

#[test]
fn virtual_time_does_not_pass_while_a_task_waits_for_a_signal() {
    assert_plays_well(|| {
        let (idle, is_idle) = mpsc::channel();
        let other = thread::spawn(move || {
            if is_idle.recv().is_ok() {
                raise(Signal::USR1);
            }
        });
        let clock = VirtualClock::new();
        let builder = Runner::builder().virtual_clock(&clock);
        let mut runner = builder.instrument(Rc::new(RaiseWhenIdle(idle))).build().unwrap();
        runner.run(|| timeout(secs(60), |_| signals::wait(Signal::USR1))).unwrap();
        drop(runner);
        other.join().unwrap();
    });
}

#[test]
fn waiting_is_refused_where_it_cannot_work() {
    let outside = signals::wait(Signal::USR1).unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::Runtime);
    let nothing = run(|| signals::wait_any([])).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Value);
    let uncatchable = run(|| signals::wait(Signal::KILL)).unwrap_err();
    assert_eq!(uncatchable.kind(), ErrorKind::Value);
    assert_plays_well(|| {
        let mut first = Runner::new().unwrap();
        let kept = first.run(|| Signals::new([Signal::USR1])).unwrap();
        let elsewhere: Result<Signal> = run(move || kept.wait());
        assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::Runtime);
        assert_eq!(disposition(Signal::USR1), libc::SIG_DFL);
    });
}
