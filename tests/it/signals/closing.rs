//! The end: of a loop that listens, of a process that was forked, of watches in the middle of a
//! storm.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

use stackio::signals::{Signal, Signals};
use stackio::{Runner, VirtualClock, get_running_loop, run, secs, sleep};

use super::{assert_dies_of, assert_plays_well, disposition, raise};

struct Guard(Rc<Cell<u32>>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

pub fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux lists them").count()
}

#[test]
fn closing_a_loop_ends_all_that_listens_on_it() {
    assert_plays_well(|| {
        let before = open_descriptors();
        let drops = Rc::new(Cell::new(0));
        let mut runner = Runner::new().unwrap();
        let event_loop = runner.event_loop();
        let (guard, own) = (Guard(drops.clone()), event_loop.clone());
        let handler = move || assert!(own.is_running() && guard.0.get() == 0);
        event_loop.add_signal_handler(Signal::USR1, handler).unwrap();
        let kept = runner.run(|| Signals::new([Signal::USR2])).unwrap();
        assert_ne!(disposition(Signal::USR1), libc::SIG_DFL);
        runner.close().unwrap();
        assert_eq!(drops.get(), 1);
        assert_eq!(disposition(Signal::USR1), libc::SIG_DFL);
        assert_eq!(disposition(Signal::USR2), libc::SIG_DFL);
        drop((runner, event_loop));
        assert_eq!(open_descriptors(), before);
        drop(kept);
    });
}

#[test]
fn a_destructor_that_panics_does_not_keep_the_loop_from_closing() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    assert_plays_well(|| {
        let runner = Runner::new().unwrap();
        let bomb = Bomb;
        let handler = move || assert!(size_of_val(&bomb) == 0);
        runner.event_loop().add_signal_handler(Signal::USR1, handler).unwrap();
        drop(runner);
        assert_eq!(disposition(Signal::USR1), libc::SIG_DFL);
    });
}

#[test]
fn after_the_loop_a_signal_kills_again() {
    assert_dies_of(Signal::TERM, || {
        run(|| get_running_loop()?.add_signal_handler(Signal::TERM, || {})).unwrap();
        raise(Signal::TERM);
    });
}

#[test]
fn a_signal_to_a_forked_process_is_not_one_to_its_parent() {
    assert_plays_well(|| {
        let mut runner = Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
        let count = Rc::new(Cell::new(0));
        let counted = count.clone();
        let main = move || {
            let handler = move || counted.set(counted.get() + 1);
            get_running_loop()?.add_signal_handler(Signal::USR1, handler)?;
            // SAFETY: the new process only raises a signal and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                raise(Signal::USR1);
                // SAFETY: ends the process, and nothing else.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: waits for the process just made; `status` is ours.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0, "the handler was still there");
            sleep(secs(1))
        };
        runner.run(main).unwrap();
        assert_eq!(count.get(), 0);
    });
}

#[test]
fn loops_come_and_go_while_signals_rain() {
    assert_plays_well(|| {
        let (ready, started) = mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        let raining = over.clone();
        let rain = thread::spawn(move || {
            started.recv().unwrap();
            while !raining.load(SeqCst) {
                raise(Signal::USR1);
            }
        });
        // As long as one listens, the signal kills nobody.
        let shelter = Runner::new().unwrap();
        shelter.event_loop().add_signal_handler(Signal::USR1, || {}).unwrap();
        ready.send(()).unwrap();
        let descriptors = open_descriptors();
        for _ in 0..300 {
            let arrived = run(|| Signals::new([Signal::USR1])?.wait());
            assert_eq!(arrived.unwrap(), Signal::USR1);
        }
        assert_eq!(open_descriptors(), descriptors);
        over.store(true, SeqCst);
        rain.join().unwrap();
    });
}
