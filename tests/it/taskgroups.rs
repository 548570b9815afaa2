//! Task groups: none of the children outlives the block, however it ends.
//!
//! Below: `soundness` is about what children borrow, `in_generators` about scopes in the middle of
//! which a generator ends.

mod in_generators;
mod soundness;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use stackio::{
    AnyTask, Error, ErrorKind, EventLoop, Future, Generator, Result, Runner, TaskBuilder,
    TaskGroup, VirtualClock, all_tasks, current_task, millis, secs, sleep, spawn, task_group,
    timeout, yield_now,
};

use crate::support::Dropped;

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build().unwrap().run(main)
}

/// Counts what is alive.
#[derive(Clone, Default)]
struct Alive(Rc<Cell<i32>>);

struct Life(Alive);

impl Alive {
    fn life(&self) -> Life {
        self.0.set(self.0.get() + 1);
        Life(self.clone())
    }

    fn count(&self) -> i32 {
        self.0.get()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.0.0.set(self.0.0.get() - 1);
    }
}

fn value_error(text: &str) -> Error {
    Error::with_message(ErrorKind::Value, text)
}

#[test]
fn children_write_into_what_is_around_them() {
    let total = run(|| {
        let (sum, words) = (Cell::new(0), RefCell::new(Vec::new()));
        task_group(|g| {
            for n in 1..=3u64 {
                let (sum, words) = (&sum, &words);
                g.spawn(move || {
                    sleep(millis(10 - n))?;
                    sum.set(sum.get() + n);
                    words.borrow_mut().push(n.to_string());
                    Ok(())
                });
            }
            Ok(())
        })?;
        Ok((sum.get(), words.into_inner()))
    });
    assert_eq!(total.unwrap(), (6, vec!["3".to_owned(), "2".into(), "1".into()]));
}

#[test]
fn a_result_may_borrow_too() {
    let longest = run(|| {
        let words = ["one".to_owned(), "three".to_owned()];
        task_group(|g| {
            let child =
                g.spawn(|| Ok(words.iter().max_by_key(|word| word.len()).unwrap().as_str()));
            Ok(child.join()?.len())
        })
    });
    assert_eq!(longest.unwrap(), 5);
}

#[test]
fn the_first_failure_cancels_the_others_and_the_block() {
    let error = run(|| {
        let ended = RefCell::new(Vec::new());
        let failed = task_group(|g| {
            g.spawn(|| -> Result {
                sleep(millis(1))?;
                Err(value_error("first"))
            });
            g.spawn(|| -> Result {
                let slept = sleep(secs(60));
                ended.borrow_mut().push(slept.unwrap_err().kind());
                Err(value_error("second"))
            });
            let slept = sleep(secs(60));
            ended.borrow_mut().push(slept.as_ref().unwrap_err().kind());
            slept
        });
        assert_eq!(ended.into_inner(), [ErrorKind::Cancelled; 2]);
        assert_eq!(current_task().unwrap().cancelling(), 0);
        failed
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Group);
    let texts: Vec<_> = error.errors().iter().map(Error::message).collect();
    assert_eq!(texts, [Some("first"), Some("second")]);
}

#[test]
fn a_panicking_block_waits_for_its_children_first() {
    run(|| {
        let (alive, after) = (Alive::default(), Cell::new(false));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            task_group(|g| -> Result {
                g.spawn(|| {
                    let _life = alive.life();
                    let slept = sleep(secs(60));
                    // Cleaning up may take its time, and the block's data is still there.
                    sleep(millis(5))?;
                    after.set(true);
                    slept
                });
                yield_now()?;
                assert_eq!(alive.count(), 1);
                panic!("in the block")
            })
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"in the block"));
        assert!(after.get());
        assert_eq!((alive.count(), all_tasks().len()), (0, 1));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_panicking_child_is_an_error_of_the_group() {
    let error = run(|| {
        task_group(|g| {
            g.spawn(|| -> Result { panic!("in a child") });
            sleep(secs(1))
        })
    })
    .unwrap_err();
    assert_eq!(error.errors()[0].kind(), ErrorKind::Panic);
}

#[test]
fn cancelled_from_outside_it_ends_its_children_and_passes_the_cancellation_on() {
    run(|| {
        let alive = Alive::default();
        let inside = alive.clone();
        let parent = spawn(move || {
            task_group(|g| {
                for _ in 0..3 {
                    g.spawn(|| {
                        let _life = inside.life();
                        sleep(secs(60))
                    });
                }
                Ok(())
            })
        });
        sleep(millis(1))?;
        assert_eq!(alive.count(), 3);
        parent.cancel_with("enough");
        let error = parent.wait().unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!((alive.count(), all_tasks().len()), (0, 1));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_timeout_around_a_group_is_a_timeout() {
    let error = run(|| {
        timeout(millis(5), |_| {
            task_group(|g| {
                g.spawn(|| sleep(secs(60)));
                Ok(())
            })
        })
    });
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_loop_that_is_dropped_ends_the_children_before_their_parent() {
    let alive = Alive::default();
    let order = Rc::new(RefCell::new(Vec::new()));
    let (inside, told) = (alive.clone(), order.clone());
    let event_loop = EventLoop::builder().virtual_clock(&VirtualClock::new()).build().unwrap();
    event_loop.spawn(move || {
        let data = String::from("the parent's");
        let _parent = inside.life();
        let ended = task_group(|g| {
            g.spawn(|| {
                loop {
                    let _life = inside.life();
                    // Refuses to end, and goes on reading what it borrows.
                    let _refused = sleep(secs(60));
                    assert_eq!(data, "the parent's");
                    if inside.count() > 100 {
                        return Ok(());
                    }
                }
            });
            sleep(secs(60))
        });
        told.borrow_mut().push(inside.count());
        ended
    });
    event_loop.call_later(secs(1), {
        let stop = event_loop.clone();
        move || stop.stop()
    });
    event_loop.run_forever().unwrap();
    assert_eq!(alive.count(), 2);
    event_loop.close().unwrap();
    assert_eq!((order.take(), alive.count()), (vec![1], 0));
}

#[test]
fn a_generator_dropped_inside_of_a_group_ends_the_children() {
    let alive = Alive::default();
    let inside = alive.clone();
    run(move || {
        let children = inside.clone();
        let generator: Generator<(), u32, ()> = Generator::new(move |co| {
            task_group(|g| {
                g.spawn(|| {
                    let _life = children.life();
                    sleep(secs(60))
                });
                yield_now()?;
                co.yield_(1)?;
                Ok(())
            })
        });
        generator.next()?;
        assert_eq!(inside.count(), 1);
        drop(generator);
        assert_eq!(inside.count(), 0);
        Ok(())
    })
    .unwrap();
    assert_eq!(alive.count(), 0);
}

#[test]
fn a_task_handle_kept_beyond_the_scope_has_nothing_borrowed() {
    let kept: Rc<RefCell<Vec<AnyTask>>> = Rc::default();
    let seen = kept.clone();
    run(move || {
        let alive = Alive::default();
        task_group(|g| {
            let life = alive.life();
            let child = g.spawn(move || Ok(life));
            seen.borrow_mut().extend(child.task());
            yield_now()
        })?;
        assert_eq!(alive.count(), 0, "the result went with the child's handle");
        assert!(seen.borrow()[0].done());
        Ok(())
    })
    .unwrap();
    assert_eq!(kept.borrow().len(), 1);
}

#[test]
fn a_group_that_ends_refuses_new_children() {
    run(|| {
        let group = TaskGroup::new();
        let refused = group.spawn(|| Ok(())).unwrap_err();
        assert!(refused.to_string().contains("has not been entered"));
        let outside = group.clone();
        group.scope(|group| group.spawn(|| Ok(())).map(drop))?;
        assert!(outside.spawn(|| Ok(())).unwrap_err().to_string().contains("finished"));
        assert!(outside.scope(|_| Ok(())).unwrap_err().to_string().contains("already"));
        let named = TaskGroup::new();
        named.scope(|g| {
            let child = g.spawn_built(TaskBuilder::new().name("child"), || Ok(()))?;
            assert_eq!(child.name(), "child");
            Ok(())
        })
    })
    .unwrap();
    let outside_of_a_task = task_group(|_| Ok(())).unwrap_err();
    assert_eq!(outside_of_a_task.kind(), ErrorKind::Runtime);
}

#[test]
fn a_child_of_a_cancelled_group_is_not_started_and_says_so() {
    run(|| {
        let failed = task_group(|g| {
            g.spawn(|| -> Result { Err(value_error("down")) });
            let cancelled = Future::<()>::new().wait();
            let late = g.spawn(|| Ok(1));
            assert!(late.done() && late.task().is_none());
            assert!(late.join().unwrap_err().to_string().contains("shutting down"));
            cancelled
        });
        assert_eq!(failed.unwrap_err().errors().len(), 1);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_thousand_nested_groups_end() {
    fn nest(depth: u32) -> Result<u32> {
        if depth == 0 {
            return Ok(1);
        }
        task_group(|g| g.spawn(|| nest(depth - 1)).join().map(|n| n + 1))
    }
    assert_eq!(run(|| nest(1_000)).unwrap(), 1_001);
}

#[test]
fn a_group_that_cannot_wait_says_so() {
    run(|| {
        let ended = Rc::new(RefCell::new(None));
        let told = ended.clone();
        let caught = catch_unwind(AssertUnwindSafe(move || {
            let _in_a_panic = Dropped(move || {
                let n = Cell::new(0);
                let group = task_group(|g| {
                    g.spawn(|| {
                        n.set(1);
                        Ok(())
                    });
                    Ok(())
                });
                assert_eq!(n.get(), 0, "a child that never ran");
                *told.borrow_mut() = Some(group.unwrap_err().kind());
            });
            panic!("on the way out");
        }));
        assert!(caught.is_err());
        assert_eq!(ended.take(), Some(ErrorKind::Runtime));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_capture_that_panics_when_dropped_lets_no_child_live() {
    run(|| {
        let alive = Alive::default();
        let inside = alive.clone();
        let caught = catch_unwind(AssertUnwindSafe(move || {
            let _in_a_panic = Dropped(move || {
                let bomb = Dropped(|| panic!("a bomb"));
                let life = inside.life();
                let _cannot_wait = task_group(|g| {
                    g.spawn(move || {
                        let _bomb = &bomb;
                        Ok(())
                    });
                    g.spawn(move || {
                        let _life = &life;
                        sleep(secs(60))
                    });
                    Ok(())
                });
            });
            panic!("on the way out");
        }));
        std::mem::forget(caught);
        assert_eq!((alive.count(), all_tasks().len()), (0, 1));
        Ok(())
    })
    .unwrap();
}
