//! What children borrow is there for as long as they are, and nothing of it is left behind.
//!
//! Everything borrowed here is on the heap of somebody who ends soon after the scope, and is read
//! in destructors too: `.ci/asan` runs these tests under AddressSanitizer, which sees a look at
//! what is gone.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;

use stackio::{
    AnyTask, ErrorKind, EventLoop, Future, Runner, VirtualClock, all_tasks, current_task, secs,
    sleep, spawn, task_group, yield_now,
};

use super::{run, value_error};
use crate::support::Dropped;

/// Something on the heap, and who has looked at it.
#[derive(Default)]
pub struct Ground {
    pub text: Box<str>,
    looks: RefCell<Vec<&'static str>>,
}

impl Ground {
    pub fn new() -> Ground {
        Ground { text: "still here".into(), looks: RefCell::default() }
    }

    pub fn look(&self, who: &'static str) {
        assert_eq!(&*self.text, "still here");
        self.looks.borrow_mut().push(who);
    }

    pub fn looks(&self, who: &'static str) -> stackio::Result {
        self.look(who);
        Ok(())
    }

    /// Who looked since the last time, as one text.
    pub fn told(&self) -> String {
        self.looks.take().join(" ")
    }
}

/// Stands on the ground until it is dropped, and looks at it then.
pub struct Stands<'a>(pub &'a Ground, pub &'static str);

impl Drop for Stands<'_> {
    fn drop(&mut self) {
        self.0.look(self.1);
    }
}

fn run_eagerly<T: 'static>(main: impl FnOnce() -> stackio::Result<T> + 'static) -> T {
    let clock = VirtualClock::new();
    Runner::builder().virtual_clock(&clock).eager(true).build().unwrap().run(main).unwrap()
}

#[test]
fn what_a_child_owns_is_dropped_before_the_scope_returns() {
    run(|| {
        let ground = Ground::new();
        let mut kept = Vec::new();
        task_group(|g| {
            let (given, captured) = (Stands(&ground, "result"), Stands(&ground, "capture"));
            let never_joined = g.spawn(move || {
                let _captured = captured;
                Ok(given)
            });
            let unborn = Stands(&ground, "unborn");
            let cancelled = g.spawn(move || {
                drop(unborn);
                Ok(())
            });
            cancelled.cancel();
            let failing = Stands(&ground, "failing");
            kept.extend(all_tasks());
            assert_eq!(ground.told(), "");
            yield_now()?;
            assert_eq!(ground.told(), "capture unborn");
            drop(never_joined);
            assert_eq!(ground.told(), "result");
            g.spawn(move || {
                let _failing = failing;
                Err::<(), _>(value_error("with a message of its own"))
            });
            Ok(())
        })
        .unwrap_err();
        assert_eq!(ground.told(), "failing");
        drop(ground);
        // Those who are kept can be asked and told anything.
        assert_eq!(kept.len(), 3);
        for task in kept.into_iter().skip(1) {
            assert!(task.done() && !task.cancel());
            let _outcome = (task.exception(), task.suspended_at(), task.name());
            assert!(
                task.downcast::<()>().is_some_and(|task| task.result().is_ok() != task.cancelled())
            );
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_error_outlives_the_scope_and_what_its_child_borrowed() {
    #[derive(Debug)]
    struct Report(String);
    impl std::fmt::Display for Report {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }
    impl std::error::Error for Report {}

    let error = run(|| {
        let ground = Ground::new();
        task_group(|g| {
            g.spawn(|| -> stackio::Result { Err(Report(ground.text.to_string()).into()) });
            g.spawn(|| -> stackio::Result { panic_any(ground.text.to_string()) });
            sleep(secs(1))
        })
    })
    .unwrap_err();
    assert_eq!(error.errors()[0].downcast_ref::<Report>().unwrap().0, "still here");
    assert_eq!(error.errors()[1].kind(), ErrorKind::Panic);
    assert!(error.errors()[1].to_string().contains("still here"));
}

#[test]
fn forgotten_handles_leak_results_and_nothing_else() {
    run(|| {
        let ground = Ground::new();
        task_group(|g| {
            let (given, captured) = (Stands(&ground, "result"), Stands(&ground, "capture"));
            std::mem::forget(g.spawn(move || {
                let _captured = captured;
                yield_now()?;
                Ok(given)
            }));
            let waits = Stands(&ground, "sleeper");
            let sleeper = g.spawn(move || {
                let _waits = waits;
                sleep(secs(60))
            });
            sleeper.cancel();
            std::mem::forget(sleeper);
            Ok(())
        })?;
        assert_eq!(ground.told(), "sleeper capture");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_child_joins_its_sibling_and_takes_its_borrowed_result() {
    run(|| {
        let ground = Ground::new();
        let text = task_group(|g| {
            let first = g.spawn(|| {
                yield_now()?;
                Ok((Stands(&ground, "given"), &*ground.text))
            });
            let second = g.spawn(move || first.join().map(|(stands, text)| (stands.1, text)));
            second.join()
        })?;
        assert_eq!(text, ("given", "still here"));
        assert_eq!(ground.told(), "given");
        Ok(())
    })
    .unwrap();
}

#[test]
fn scopes_nest_and_each_borrows_from_those_around() {
    run(|| {
        let outer = Ground::new();
        task_group(|a| {
            let (a, outer) = (a, &outer);
            a.spawn(move || {
                let middle = Ground::new();
                let _last = Stands(outer, "middle's parent");
                task_group(|b| {
                    let middle = &middle;
                    b.spawn(move || {
                        let inner = Ground::new();
                        task_group(|c| {
                            c.spawn(|| {
                                let _here = (Stands(outer, "inmost"), Stands(middle, "inmost"));
                                let slept = sleep(secs(60));
                                inner.look("cleaning up");
                                yield_now()?;
                                slept
                            });
                            Ok(())
                        })
                    });
                    b.spawn(|| {
                        // The outermost scope gets a child from the inmost block.
                        a.spawn(|| outer.looks("late"));
                        Ok(())
                    });
                    yield_now()?;
                    Err::<(), _>(value_error("in the middle"))
                })
            });
            Ok(())
        })
        .unwrap_err();
        assert_eq!(outer.told(), "late inmost middle's parent");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_panic_in_the_block_and_in_the_children_leaves_nothing_behind() {
    run(|| {
        let ground = Ground::new();
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let block = Stands(&ground, "around");
            task_group(|g| -> stackio::Result {
                g.spawn(|| -> stackio::Result {
                    let _child = Stands(block.0, "child");
                    let _refused = sleep(secs(60));
                    panic!("in a child that is cancelled")
                });
                g.spawn(|| ground.looks("other"));
                yield_now()?;
                panic!("in the block")
            })
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"in the block"));
        assert_eq!(ground.told(), "other child around");
        assert_eq!((all_tasks().len(), current_task().unwrap().cancelling()), (1, 0));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_runner_dropped_in_mid_scope_ends_children_in_whatever_state() {
    let looks = Rc::new(RefCell::new(Vec::new()));
    let told = looks.clone();
    let mut runner = Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
    let kept = runner.run(move || {
        spawn(move || {
            let ground = Ground::new();
            let seen = Dropped(|| told.borrow_mut().push(ground.told()));
            task_group(|g| {
                g.spawn(|| ground.looks("finished"));
                g.spawn(|| {
                    let _here = Stands(&ground, "suspended");
                    Future::<()>::new().wait()
                });
                g.spawn(|| -> stackio::Result {
                    loop {
                        let _here = Stands(&ground, "ready");
                        yield_now()?;
                    }
                });
                yield_now()?;
                g.spawn(|| ground.looks("never started"));
                // Swallows what it is told, and waits again.
                for _ in 0..3 {
                    let _swallowed = sleep(secs(60));
                }
                let _ = &seen;
                sleep(secs(60))
            })
        });
        yield_now()?;
        yield_now()?;
        Ok(all_tasks())
    });
    drop(runner);
    let looks = looks.take();
    assert_eq!(looks.len(), 1);
    assert!(looks[0].starts_with("finished ready"), "{looks:?}");
    assert!(looks[0].contains("suspended"), "{looks:?}");
    assert!(kept.unwrap().iter().all(AnyTask::done));
}

#[test]
fn eager_children_borrow_too() {
    run_eagerly(|| {
        let ground = Ground::new();
        let failed = task_group(|g| {
            let at_once = g.spawn(|| Ok(Stands(&ground, "result")));
            assert!(at_once.done());
            g.spawn(|| {
                let _here = Stands(&ground, "outer");
                // A child of the same scope, spawned in the first step of this one.
                g.spawn(|| {
                    let _here = Stands(&ground, "inner");
                    sleep(secs(60))
                });
                sleep(secs(60))
            });
            assert_eq!(ground.told(), "");
            g.spawn(|| -> stackio::Result {
                let _here = Stands(&ground, "failing");
                Err(value_error("at once"))
            });
            assert_eq!(ground.told(), "failing");
            drop(g.spawn(|| ground.looks("refused")));
            sleep(secs(60))
        });
        assert_eq!(failed.unwrap_err().errors().len(), 1);
        assert_eq!(ground.told(), "inner outer result");
        Ok(())
    });
}

#[test]
fn a_scope_in_a_destructor_waits_for_its_children() {
    run(|| {
        let ground = Ground::new();
        drop(Dropped(|| {
            task_group(|g| {
                g.spawn(|| {
                    sleep(secs(1))?;
                    ground.looks("child")
                });
                Ok(())
            })
            .unwrap();
        }));
        assert_eq!(ground.told(), "child");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_block_that_swallows_cancellations_still_outlives_its_children() {
    run(|| {
        let parent = spawn(|| {
            let ground = Ground::new();
            let ended = task_group(|g| {
                g.spawn(|| {
                    let _here = Stands(&ground, "child");
                    for _ in 0..3 {
                        let _swallowed = sleep(secs(60));
                    }
                    Ok(())
                });
                for _ in 0..3 {
                    let _swallowed = sleep(secs(1));
                }
                Ok(())
            });
            Ok((ended, ground.told()))
        });
        for _ in 0..20 {
            yield_now()?;
            parent.cancel();
        }
        let (ended, told) = parent.join()?;
        assert!(ended.unwrap_err().is_cancelled());
        assert_eq!(told, "child");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_scope_that_cannot_wait_since_its_loop_is_closing_is_cancelled() {
    let event_loop = EventLoop::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
    let parent = event_loop.spawn(|| {
        task_group(|g| {
            g.spawn(|| sleep(secs(60)));
            let _swallowed = sleep(secs(60));
            Ok(())
        })
    });
    event_loop.call_soon({
        let event_loop = event_loop.clone();
        move || event_loop.stop()
    });
    event_loop.run_forever().unwrap();
    event_loop.close().unwrap();
    let error = parent.result().unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    assert!(parent.cancelled());
}
