//! Whether anything costs more for each waiter when there are many of them.
//!
//!     cargo bench --bench waiters
//!     cargo bench --bench waiters -- 200000
//!
//! Each row is one way to wait: a crowd of tasks does so, all are let go, all end.
//! The columns are nanoseconds for each task, in a crowd of 1,000 and in a large
//! one, and their ratio. A large crowd misses the caches, whatever it does: the
//! first row, which only yields, shows by how much. A cost that grows with the
//! crowd would show in a ratio near that of the crowds, 100.

use std::rc::Rc;
use std::time::{Duration, Instant};

use stackio::{
    Barrier, Condition, Event, Future, Lock, Queue, Result, ReturnWhen, Runner, Semaphore, Task,
    TaskBuilder, VirtualClock, all_tasks, as_completed, gather, secs, shield, sleep, task_group,
    timeout, wait, yield_now,
};

const SMALL: usize = 1_000;

type Tasks = Vec<Task<()>>;

/// What is shared by a crowd; each way to wait uses some of it.
struct Shared {
    lock: Lock,
    event: Event,
    condition: Condition,
    semaphore: Semaphore,
    barrier: Barrier,
    items: Queue<usize>,
    full: Queue<usize>,
    future: Future<()>,
}

impl Shared {
    fn new(crowd: usize) -> Result<Shared> {
        let shared = Shared {
            lock: Lock::new(),
            event: Event::new(),
            condition: Condition::new(),
            semaphore: Semaphore::new(0),
            barrier: Barrier::new(crowd)?,
            items: Queue::new(0),
            full: Queue::new(1),
            future: Future::new(),
        };
        shared.lock.acquire()?;
        shared.full.put(0)?;
        Ok(shared)
    }
}

/// A way to wait, and what ends it once everybody does.
type Wait = fn(&Shared) -> Result;
type LetGo = fn(&Shared, &Tasks) -> Result;

fn cancel(_: &Shared, tasks: &Tasks) -> Result {
    // The newest first, who are last in line: the worst case for leaving it.
    tasks.iter().rev().all(|task| task.cancel());
    Ok(())
}

fn nothing(_: &Shared, _: &Tasks) -> Result {
    Ok(())
}

fn wait_for_future(shared: &Shared) -> Result {
    wait([&shared.future], None, ReturnWhen::AllCompleted).map(drop)
}

const WAYS: &[(&str, Wait, LetGo)] = &[
    ("yield", |_| yield_now(), nothing),
    ("future", |s| s.future.wait(), |s, _| s.future.set_result(())),
    ("future, cancelled", |_| Future::<()>::new().wait(), cancel),
    ("shield, cancelled", |s| shield(&s.future).join(), cancel),
    ("wait for one future, cancelled", wait_for_future, cancel),
    ("sleep", |_| sleep(secs(1)), nothing),
    ("sleep, cancelled", |_| sleep(secs(1)), cancel),
    ("timeout", |_| timeout(secs(1), |_| yield_now()), nothing),
    ("lock", |s| s.lock.lock().map(drop), |s, _| s.lock.release()),
    ("lock, cancelled", |s| s.lock.lock().map(drop), cancel),
    (
        "event",
        |s| s.event.wait(),
        |s, _| {
            s.event.set();
            Ok(())
        },
    ),
    ("event, cancelled", |s| s.event.wait(), cancel),
    ("condition, one by one", wait_for_condition, |s, tasks| {
        let _guard = s.condition.guard()?;
        tasks.iter().try_for_each(|_| s.condition.notify(1))
    }),
    ("condition, all", wait_for_condition, |s, _| {
        let _guard = s.condition.guard()?;
        s.condition.notify_all()
    }),
    ("condition, cancelled", wait_for_condition, cancel),
    (
        "semaphore",
        |s| s.semaphore.acquire(),
        |s, tasks| tasks.iter().try_for_each(|_| s.semaphore.release()),
    ),
    ("semaphore, cancelled", |s| s.semaphore.acquire(), cancel),
    ("barrier", |s| s.barrier.wait().map(drop), nothing),
    (
        "queue, getters",
        |s| s.items.get().map(drop),
        |s, tasks| (0..tasks.len()).try_for_each(|n| s.items.put(n)),
    ),
    ("queue, getters cancelled", |s| s.items.get().map(drop), cancel),
    (
        "queue, putters",
        |s| s.full.put(1),
        |s, tasks| tasks.iter().try_for_each(|_| s.full.get().map(drop)),
    ),
    ("queue, putters cancelled", |s| s.full.put(1), cancel),
    ("queue, joiners", |s| s.full.join(), |s, _| s.full.task_done()),
];

fn wait_for_condition(shared: &Shared) -> Result {
    let _guard = shared.condition.guard()?;
    shared.condition.wait()
}

/// What one task does with a crowd.
type WithAll = fn(Tasks) -> Result;

const WITH_ALL: &[(&str, WithAll)] = &[
    ("gather", |tasks| gather(tasks).join().map(drop)),
    ("gather, cancelled", |tasks| {
        let all = gather(tasks);
        yield_now()?;
        all.cancel();
        drop(all.wait());
        Ok(())
    }),
    ("wait, all", |tasks| wait(tasks, None, ReturnWhen::AllCompleted).map(drop)),
    ("wait, first", |tasks| wait(tasks, None, ReturnWhen::FirstCompleted).map(drop)),
    ("as_completed", |tasks| as_completed(tasks, None).try_for_each(|ended| ended.map(drop))),
    ("all_tasks", |_| {
        drop(all_tasks());
        Ok(())
    }),
];

fn spawn_small(body: impl FnOnce() -> Result + 'static) -> Task<()> {
    TaskBuilder::new().stack_size(16 * 1024).spawn(body)
}

fn way(crowd: usize, body: Wait, let_go: LetGo) -> Result {
    let shared = Rc::new(Shared::new(crowd)?);
    let tasks: Tasks = (0..crowd)
        .map(|_| {
            let shared = shared.clone();
            spawn_small(move || body(&shared))
        })
        .collect();
    yield_now()?;
    let_go(&shared, &tasks)?;
    // One that was cancelled has ended as it should.
    tasks.into_iter().for_each(|task| drop(task.join()));
    Ok(())
}

fn with_all(crowd: usize, body: WithAll) -> Result {
    let tasks = (0..crowd).map(|_| spawn_small(|| sleep(secs(1))));
    body(tasks.collect())
}

/// A chain of tasks that wait for each other: the last of it.
fn chain(crowd: usize) -> Result<Task<()>> {
    let first = spawn_small(|| Future::<()>::new().wait());
    let last = (1..crowd).fold(first, |task, _| spawn_small(move || task.join()));
    yield_now()?;
    Ok(last)
}

fn end_of_chain(crowd: usize) -> Result {
    let last = chain(crowd)?;
    last.cancel();
    drop(last.join());
    Ok(())
}

fn group(crowd: usize, cancelled: bool) -> Result {
    let ended = task_group(|g| {
        let builder = TaskBuilder::new().stack_size(16 * 1024);
        for _ in 0..crowd {
            g.group().spawn_built(builder.clone(), || sleep(secs(1)))?;
        }
        yield_now()?;
        if cancelled { Err(stackio::ErrorKind::Cancelled.into()) } else { Ok(()) }
    });
    if cancelled { Ok(()) } else { ended }
}

/// Runs it in a loop of its own; the loop's end counts, for it may have to end a crowd.
fn time(main: impl FnOnce() -> Result + 'static) -> Duration {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).build().expect("a loop");
    let start = Instant::now();
    let ended = runner.run(main);
    drop(runner);
    ended.expect("it ends well");
    start.elapsed()
}

/// Nanoseconds for each task, in the best of some runs.
fn cost(crowd: usize, large: usize, row: impl Fn(usize) -> Result + Clone + 'static) -> f64 {
    let runs = (large / crowd).clamp(3, 30);
    let best = (0..runs).map(|_| {
        let row = row.clone();
        time(move || row(crowd))
    });
    best.min().unwrap_or_default().as_nanos() as f64 / crowd as f64
}

fn report(name: &str, large: usize, row: impl Fn(usize) -> Result + Clone + 'static) {
    let few = cost(SMALL.min(large), large, row.clone());
    let many = cost(large, large, row);
    println!("{name:<32} {few:>10.0} {many:>10.0} {:>7.1}", many / few);
}

/// Everything that waits, and only that, is left to the end of the loop.
fn left_over(crowd: usize) -> Result {
    (0..crowd).for_each(|_| drop(spawn_small(|| Future::<()>::new().wait())));
    yield_now()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.iter().find_map(|argument| argument.parse().ok());
    // `cargo test --benches` only wants to know that it runs.
    let bench = arguments.iter().any(|argument| argument == "--bench");
    let mut large = asked.unwrap_or(if bench { 100_000 } else { 100 });
    if let Some(limit) = stackio::stack_statistics().limit
        && large > limit / 2
    {
        large = limit / 2;
        println!("each stack's guard costs a mapping here: a crowd of {large} only");
    }
    println!("{:<32} {:>10} {large:>10}   ratio", "ns for each of", SMALL.min(large));
    for &(name, body, let_go) in WAYS {
        report(name, large, move |crowd| way(crowd, body, let_go));
    }
    for &(name, body) in WITH_ALL {
        report(name, large, move |crowd| with_all(crowd, body));
    }
    report("task group", large, |crowd| group(crowd, false));
    report("task group, cancelled", large, |crowd| group(crowd, true));
    report("chain, cancelled", large, end_of_chain);
    report("end of a loop, all waiting", large, left_over);
    report("end of a loop, chain (2,000)", large.min(2_000), |crowd| chain(crowd).map(drop));
}
