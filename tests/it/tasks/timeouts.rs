//! Timeouts one after another: what one has left behind is nothing to the next.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;

use stackio::{
    ErrorKind, PriorityQueue, Result, Runner, TaskBuilder, TaskGroup, Timeout, VirtualClock,
    call_later, current_task, millis, secs, sleep, spawn, timeout, yield_now,
};

fn run(main: impl FnOnce(&VirtualClock) -> Result + 'static) {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).build().unwrap();
    runner.run(move || main(&clock)).unwrap();
}

#[test]
fn each_has_a_deadline_of_its_own() {
    run(|clock| {
        for round in 1..100 {
            // Longer, shorter, and inside of each other; the last ones pass.
            timeout(secs(60), |_| sleep(millis(10)))?;
            timeout(secs(1), |_| timeout(secs(90), |_| sleep(millis(20))))?;
            let begun = clock.now();
            let error = timeout(millis(round), |_| sleep(secs(5))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert_eq!(clock.now() - begun, millis(round));
        }
        Ok(())
    });
}

#[test]
fn many_at_once_pass_in_the_order_of_their_deadlines() {
    run(|clock| {
        timeout(secs(1), |_| yield_now())?;
        let tasks: Vec<_> = (0..100u64)
            .map(|n| {
                let clock = clock.clone();
                spawn(move || {
                    timeout(secs(50), |_| yield_now())?;
                    let error = timeout(millis(1 + n * 7 % 100), |_| sleep(secs(9))).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Timeout);
                    Ok((n, clock.now().as_millis()))
                })
            })
            .collect();
        for task in tasks {
            let (n, at) = task.join()?;
            assert_eq!(at as u64, 1 + n * 7 % 100);
        }
        Ok(())
    });
}

#[test]
fn a_handle_tells_of_its_own_block_for_good() {
    run(|_| {
        let mut kept: Option<Timeout> = None;
        timeout(millis(5), |left| {
            kept = Some(left.clone());
            Ok(())
        })?;
        let kept = kept.unwrap();
        let when = kept.when();
        let error = timeout(millis(1), |_| sleep(secs(1))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        timeout(secs(7), |_| sleep(millis(9)))?;
        assert_eq!((kept.when(), kept.expired()), (when, false));
        assert!(kept.reschedule(None).is_err());
        Ok(())
    });
}

/// Lets a timeout's time pass so that it stands in the queue behind this task's step.
fn pass_behind(clock: &VirtualClock) -> Result {
    clock.advance(secs(10));
    yield_now()
}

#[test]
fn one_that_is_left_in_the_last_moment_does_not_expire_the_next() {
    run(|clock| {
        timeout(secs(1), |_| pass_behind(clock))?;
        timeout(secs(60), |next| {
            yield_now()?;
            sleep(secs(1))?;
            assert!(!next.expired());
            Ok(())
        })?;
        assert_eq!(current_task().unwrap().cancelling(), 0);
        Ok(())
    });
}

#[test]
fn one_that_is_moved_in_the_last_moment_expires_once_and_then() {
    run(|clock| {
        let begun = clock.now();
        let ended = timeout(secs(1), |moved| {
            pass_behind(clock)?;
            moved.reschedule(Some(clock.now() + secs(5)))?;
            sleep(secs(60))
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(clock.now() - begun, secs(15));

        let others = Rc::new(Cell::new(false));
        let other = others.clone();
        let ended = timeout(secs(1), move |moved| {
            pass_behind(clock)?;
            spawn(move || {
                other.set(true);
                Ok(())
            });
            // It takes its place anew, behind the task.
            moved.reschedule(Some(clock.now()))?;
            let ended = sleep(secs(60));
            assert!(others.get());
            ended
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
        Ok(())
    });
}

#[test]
fn earlier_and_later_and_never() {
    run(|clock| {
        let ended = timeout(secs(10), |moved| {
            for seconds in [20, 5, 40, 3, 8] {
                moved.reschedule(Some(clock.now() + secs(seconds)))?;
                sleep(secs(1))?;
            }
            moved.reschedule(None)?;
            sleep(secs(100))?;
            moved.reschedule(Some(clock.now() + secs(2)))?;
            sleep(secs(100))
        });
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(clock.now().as_millis(), 107_000);
        Ok(())
    });
}

#[test]
fn what_a_cancelled_timer_captured_is_dropped_at_once() {
    run(|_| {
        let captured = Rc::new(());
        let timers: Vec<_> = (0..10)
            .map(|n| {
                let captured = captured.clone();
                call_later(secs(n), move || drop(captured))
            })
            .collect();
        timers.iter().for_each(|timer| timer.cancel());
        assert_eq!(Rc::strong_count(&captured), 1);
        Ok(())
    });
}

thread_local! {
    static DROPPED: Cell<u32> = const { Cell::new(0) };
}

/// A result whose destructor sets a timer.
struct SetsATimer;

impl Drop for SetsATimer {
    fn drop(&mut self) {
        DROPPED.set(DROPPED.get() + 1);
        call_later(millis(1), || ());
    }
}

/// Compared by a task group that has to end its child itself, for a comparison cannot wait.
struct ComparedByAGroup;

impl Ord for ComparedByAGroup {
    fn cmp(&self, _: &ComparedByAGroup) -> Ordering {
        let _ended = TaskGroup::new().scope(|group| {
            let child = || {
                let _ended_here = sleep(millis(50));
                Ok(SetsATimer)
            };
            group.spawn_built(TaskBuilder::new().eager(true), child).map(drop)
        });
        Ordering::Equal
    }
}

impl PartialOrd for ComparedByAGroup {
    fn partial_cmp(&self, other: &ComparedByAGroup) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ComparedByAGroup {
    fn eq(&self, _: &ComparedByAGroup) -> bool {
        true
    }
}

impl Eq for ComparedByAGroup {}

#[test]
fn a_sleep_that_was_ended_lets_go_of_its_task_and_its_destructors_may_set_timers() {
    run(|_| {
        let queue = PriorityQueue::new(0);
        queue.put(ComparedByAGroup)?;
        queue.put(ComparedByAGroup)?;
        sleep(millis(1))?;
        assert!(DROPPED.get() > 0, "with its task, not with the timer");
        sleep(millis(200))
    });
}
