//! Stacks: overflows are reported, sizes honoured, limits named, memory used again.

use std::cell::Cell;
use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;

use stackio::{
    DEFAULT_STACK_SIZE, Error, Future, Generator, Result, Runner, TaskBuilder, VirtualClock,
    millis, sleep, spawn, stack_statistics, yield_now,
};

use crate::children::{assert_played_well, command, command_after, is_child, play, play_in};
use crate::support::{Finished, resident};

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

/// Takes about that many KiB of stack.
#[inline(never)]
fn dig(kib: usize) -> usize {
    let frame = black_box([1_u8; 1024]);
    let below = if kib > 1 { dig(kib - 1) } else { 0 };
    below + usize::from(black_box(&frame)[kib % 1024])
}

const FOR_EVER: usize = usize::MAX;

/// An overflow was reported, in these words, and ended the process by SIGABRT.
#[track_caller]
fn assert_reported(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.status.signal(), Some(libc::SIGABRT), "{finished:?}");
    let report = finished.stderr.as_str();
    assert!(report.contains("stackio: stack overflow in "), "{report}");
    for word in words {
        assert!(report.contains(word), "no {word:?} in {report}");
    }
}

fn overflow_in_a_task() {
    let overflow = run(|| {
        println!("spawned on line {}", line!() + 1);
        let task = TaskBuilder::new().name("digger").stack_size(80 * 1024).spawn(|| {
            yield_now()?;
            Ok(dig(FOR_EVER))
        });
        task.join()
    });
    unreachable!("{overflow:?}");
}

/// The place that the child said it spawned at.
fn place(finished: &Finished) -> String {
    let (_, rest) = finished.stdout.split_once("spawned on line ").expect("the child says it");
    let line: u32 = rest.lines().next().and_then(|line| line.parse().ok()).expect("a number");
    format!("{}:{line}", file!())
}

const REMEDY: &str = "TaskBuilder::stack_size";

#[test]
fn an_overflow_names_the_task_its_place_its_size_and_the_remedy() {
    if is_child() {
        overflow_in_a_task();
    }
    let finished = play();
    assert_reported(&finished, &["the task `digger`", &place(&finished), "80 KiB", REMEDY]);
}

#[test]
fn an_overflow_is_reported_with_protected_guards_too() {
    if is_child() {
        overflow_in_a_task();
    }
    let finished = play_in(command().env("STACKIO_GUARD", "mprotect"));
    assert_reported(&finished, &["the task `digger`", &place(&finished), "80 KiB", REMEDY]);
}

#[test]
fn an_overflow_in_a_generator_names_the_generator() {
    if is_child() {
        run(|| {
            println!("spawned on line {}", line!() + 1);
            let generator: Generator<(), (), usize> = Generator::named("shovel", |co| {
                co.yield_(())?;
                Ok(dig(FOR_EVER))
            });
            generator.next()?;
            generator.next()
        })
        .unwrap();
    }
    let finished = play();
    let size = format!("{} KiB", DEFAULT_STACK_SIZE / 1024);
    let remedy = "Generator::with_stack_size";
    assert_reported(&finished, &["the generator `shovel`", &place(&finished), &size, remedy]);
    assert!(!finished.stderr.contains("the task"), "{}", finished.stderr);
}

#[test]
fn an_overflow_on_a_threads_own_stack_is_reported_by_std() {
    if is_child() {
        run(yield_now).unwrap();
        dig(FOR_EVER);
    }
    let finished = play();
    assert_eq!(finished.status.signal(), Some(libc::SIGABRT), "{finished:?}");
    assert!(finished.stderr.contains("has overflowed its stack"), "{}", finished.stderr);
    assert!(!finished.stderr.contains("stackio"), "{}", finished.stderr);
}

#[test]
fn a_fault_that_is_no_overflow_stays_a_segmentation_fault() {
    if is_child() {
        run(|| {
            // SAFETY: none; the process is to die of it.
            Ok(unsafe { black_box(8 as *const u8).read_volatile() })
        })
        .unwrap();
    }
    let finished = play();
    assert_eq!(finished.status.signal(), Some(libc::SIGSEGV), "{finished:?}");
    assert!(!finished.stderr.contains("stack overflow"), "{}", finished.stderr);
}

#[test]
fn a_task_gets_the_stack_it_asks_for() {
    // Frames of `dig` are larger than their KiB without optimisation.
    let deep = 4 * 1024;
    let dug = run(move || {
        let size = 4 * deep * 1024;
        TaskBuilder::new().stack_size(size).spawn(move || Ok(dig(deep))).join()
    });
    assert_eq!(dug.unwrap(), deep);
}

#[test]
fn a_loop_gives_its_stack_size_to_all_its_tasks() {
    let deep = 4 * 1024;
    let mut runner = Runner::builder().stack_size(4 * deep * 1024).build().unwrap();
    let dug = runner.run(move || spawn(move || Ok(dig(deep))).join());
    assert_eq!(dug.unwrap(), deep);
}

#[test]
fn a_stack_beyond_every_limit_is_the_tasks_error() {
    run(|| {
        let error = TaskBuilder::new().stack_size(1 << 40).spawn(|| Ok(())).join().unwrap_err();
        assert!(error.downcast_ref::<stackio::StackError>().is_some(), "{error:?}");
        assert!(error.to_string().contains("the largest has"), "{error}");
        spawn(|| Ok(())).join()
    })
    .unwrap();
}

#[test]
fn where_the_address_space_ends_the_task_fails_and_the_others_go_on() {
    if !is_child() {
        // Room for the process and some slabs, not for a stack of 800 MiB.
        return assert_played_well(&play_in(&mut command_after("ulimit -v 700000")));
    }
    run(|| {
        let other = spawn(|| {
            sleep(stackio::secs(1))?;
            Ok(5)
        });
        let large = TaskBuilder::new().stack_size(800 << 20).spawn(|| Ok(()));
        let error = large.join().unwrap_err();
        let text = error.to_string();
        for word in ["838860800 bytes", "RLIMIT_AS = 716800000", "ulimit -v", "smaller stacks"] {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
        assert_eq!(other.join()?, 5);
        spawn(|| Ok(())).join()
    })
    .unwrap();
}

#[test]
fn stacks_run_out_one_task_at_a_time() {
    if !is_child() {
        return assert_played_well(&play_in(&mut command_after("ulimit -v 700000")));
    }
    run(|| {
        let spawn_one = |_| {
            TaskBuilder::new().stack_size(64 << 20).spawn(|| {
                sleep(stackio::secs(1))?;
                Ok(())
            })
        };
        let tasks: Vec<_> = (0..20).map(spawn_one).collect();
        let failed = tasks.into_iter().filter_map(|task| task.join().err()).collect::<Vec<_>>();
        assert!((1..20).contains(&failed.len()), "{} of 20 failed", failed.len());
        assert!(failed.iter().all(|error| error.to_string().contains("RLIMIT_AS")));
        Ok(())
    })
    .unwrap();
}

#[test]
fn small_stacks_leave_room_for_the_rest_of_the_program() {
    if !is_child() {
        return assert_played_well(&play_in(&mut command_after("ulimit -v 700000")));
    }
    run(|| {
        let spawn_one = |n: u64| {
            TaskBuilder::new().stack_size(256 << 10).spawn(move || {
                sleep(stackio::secs(1))?;
                Ok(n)
            })
        };
        let tasks: Vec<_> = (0..10_000).map(spawn_one).collect();
        let failed = tasks.into_iter().filter_map(|task| task.join().err()).collect::<Vec<_>>();
        assert!((1..10_000).contains(&failed.len()), "{} failed", failed.len());
        assert!(failed.iter().all(|error| error.to_string().contains("RLIMIT_AS")));
        Ok(())
    })
    .unwrap();
}

#[test]
fn where_no_stack_is_left_a_generator_can_be_started_later() {
    if !is_child() {
        return assert_played_well(&play_in(&mut command_after("ulimit -v 700000")));
    }
    let generator =
        || -> Generator<(), u32, ()> { Generator::with_stack_size(400 << 20, |co| co.yield_(1)) };
    let (first, second) = (generator(), generator());
    first.next().unwrap();
    let error = second.next().unwrap_err();
    assert!(error.to_string().contains("RLIMIT_AS"), "{error}");
    drop(first);
    assert_eq!(second.next().unwrap(), stackio::Resumed::Yielded(1));
}

const MANY: usize = 5_000;

fn thousands(finished: &Rc<Cell<usize>>) -> Result<usize> {
    let spawn_one = |_| {
        let finished = finished.clone();
        TaskBuilder::new().stack_size(32 * 1024).spawn(move || {
            sleep(stackio::secs(1))?;
            finished.set(finished.get() + 1);
            Ok(())
        })
    };
    let tasks: Vec<_> = (0..MANY).map(spawn_one).collect();
    yield_now()?;
    let in_use = stack_statistics().in_use;
    for task in tasks {
        task.join()?;
    }
    Ok(in_use)
}

#[test]
fn thousands_of_tasks_live_at_once_and_their_stacks_are_used_again() {
    let finished = Rc::new(Cell::new(0));
    let (first, second) = (finished.clone(), finished.clone());
    let in_use = run(move || thousands(&first)).unwrap();
    assert_eq!(in_use, MANY + 1, "one each, and one for main");
    let after_first = stack_statistics();
    assert_eq!((after_first.in_use, after_first.free), (0, MANY + 1));
    assert!(after_first.mapped < 1 << 30, "{after_first:?}");

    run(move || thousands(&second)).unwrap();
    let after_second = stack_statistics();
    assert_eq!(after_second.mapped, after_first.mapped, "nothing more was mapped");
    assert_eq!(after_second.free, MANY + 1);
    assert_eq!(finished.get(), 2 * MANY);
}

#[test]
fn one_stack_serves_a_thousand_tasks_in_turn() {
    run(|| {
        for _ in 0..1000 {
            TaskBuilder::new().stack_size(48 * 1024).spawn(|| Ok(())).join()?;
        }
        let statistics = stack_statistics();
        assert_eq!((statistics.in_use, statistics.free), (1, 1));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_task_that_is_never_run_takes_no_stack() {
    run(|| {
        let task = TaskBuilder::new().stack_size(48 * 1024).spawn(|| Ok(()));
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(stack_statistics().free, 0);
        Ok(())
    })
    .unwrap();
}

/// So many tasks that each carry something and wait, all at the same time.
#[cfg(target_os = "linux")]
fn crowd(count: usize) -> Result<usize> {
    let future: Future<()> = Future::new();
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let (waited, carried) = (future.clone(), [1_u8; 300]);
            spawn(move || {
                waited.wait()?;
                Ok(usize::from(black_box(carried)[7]))
            })
        })
        .collect();
    yield_now()?;
    let most = resident();
    future.set_result(())?;
    let sum = tasks.into_iter().try_fold(0, |sum, task| Ok::<_, Error>(sum + task.join()?))?;
    assert_eq!(sum, count);
    Ok(most)
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn what_a_crowd_has_taken_goes_back_to_the_system() {
    if is_child() {
        stackio::run(|| {
            crowd(500)?;
            let before = resident();
            let most = crowd(20_000)?;
            assert!(most > before + 100_000_000, "{most} after {before}");
            // Once the loop has rested for a while, which may take longer on a busy machine.
            for _ in 0..100 {
                sleep(millis(200))?;
                if resident() <= before + before / 10 {
                    return Ok(());
                }
            }
            panic!("{} bytes of {before} before and {most} meanwhile", resident());
        })
        .unwrap();
        return;
    }
    assert_played_well(&play());
}
