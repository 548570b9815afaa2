//! Workloads that end.

use std::rc::Rc;

use stackio::{Future, Queue, Result, Task, millis, secs, sleep, spawn, timeout, yield_now};

use bench::{Args, Burst, Clock, Parked, Rng, touch_stack};

pub fn run(args: &Args) -> Result {
    match args.workload.as_str() {
        "spawn" => spawn_and_join(args),
        "yield" => yields(args),
        "pingpong" => pingpong(args),
        "queue" => queue(args),
        "timers" => timers(args),
        "cancel" => cancel(args),
        "parked" => parked(args),
        "burst" => burst(args),
        _ => args.unsupported(),
    }
}

fn join_all<T: 'static>(tasks: impl IntoIterator<Item = Task<T>>) -> Result {
    tasks.into_iter().try_for_each(|task| task.join().map(drop))
}

/// Spawns batches of tasks and joins them; the first batch only warms up.
fn spawn_and_join(args: &Args) -> Result {
    let (n, batch) = (args.get("n", 1_000_000), args.get("batch", 10_000));
    let yields = args.get("yields", 0);
    let mut clock = Clock::start();
    let mut tasks = Vec::with_capacity(batch);
    let mut sum = 0;
    for round in 0..=n / batch {
        if round == 1 {
            clock = Clock::start();
        }
        tasks.extend((0..batch).map(|index| {
            spawn(move || {
                for _ in 0..yields {
                    yield_now()?;
                }
                Ok(index)
            })
        }));
        for task in tasks.drain(..) {
            sum += task.join()?;
        }
    }
    assert_eq!(sum, (n / batch + 1) * (batch * (batch - 1) / 2));
    args.report(n, clock, &[("batch", batch as f64)]);
    Ok(())
}

fn yields(args: &Args) -> Result {
    let (n, tasks) = (args.get("n", 5_000_000), args.get("tasks", 2));
    let clock = Clock::start();
    let spinners: Vec<_> = (0..tasks)
        .map(|_| {
            spawn(move || {
                for _ in 0..n {
                    yield_now()?;
                }
                Ok(())
            })
        })
        .collect();
    join_all(spinners)?;
    args.report(n * tasks, clock, &[("tasks", tasks as f64)]);
    Ok(())
}

fn pingpong(args: &Args) -> Result {
    let n = args.get("n", 2_000_000);
    let (there, back) = (Rc::new(Queue::new(1)), Rc::new(Queue::new(1)));
    let clock = Clock::start();
    let (pings, pongs) = (there.clone(), back.clone());
    let echo = spawn(move || {
        for _ in 0..n {
            pongs.put(pings.get()? + 1)?;
        }
        Ok(())
    });
    for i in 0..n {
        there.put(i)?;
        assert_eq!(back.get()?, i + 1);
    }
    echo.join()?;
    args.report(2 * n, clock, &[]);
    Ok(())
}

fn queue(args: &Args) -> Result {
    let (n, capacity) = (args.get("n", 10_000_000), args.get("cap", 128));
    let queue = Rc::new(Queue::new(capacity));
    let clock = Clock::start();
    let items = queue.clone();
    let producer = spawn(move || (0..n).try_for_each(|i| items.put(i)));
    for i in 0..n {
        assert_eq!(queue.get()?, i);
    }
    producer.join()?;
    args.report(n, clock, &[("cap", capacity as f64)]);
    Ok(())
}

fn timers(args: &Args) -> Result {
    let (n, ms) = (args.get("n", 100_000), args.get("ms", 1000));
    let mut random = Rng(42);
    let clock = Clock::start();
    let sleepers: Vec<_> = (0..n)
        .map(|_| {
            let micros = random.below(ms as u64 * 1000);
            spawn(move || sleep(std::time::Duration::from_micros(micros)))
        })
        .collect();
    join_all(sleepers)?;
    args.report(n, clock, &[]);
    Ok(())
}

/// A timeout is armed around one yield, and never fires.
fn cancel(args: &Args) -> Result {
    let (n, tasks) = (args.get("n", 1_000_000), args.get("tasks", 1000));
    let clock = Clock::start();
    let workers: Vec<_> = (0..tasks)
        .map(|_| spawn(move || (0..n / tasks).try_for_each(|_| timeout(secs(60), |_| yield_now()))))
        .collect();
    join_all(workers)?;
    args.report(n, clock, &[("tasks", tasks as f64)]);
    Ok(())
}

/// Tasks that wait for a future each, then all are woken.
fn parked(args: &Args) -> Result {
    let n = args.get("n", 100_000);
    let mut phases = Parked::start();
    let mut parked = Vec::with_capacity(n);
    for index in 0..n {
        let future: Future<usize> = Future::new();
        let waited = future.clone();
        let task = spawn(move || {
            assert_eq!(waited.join()?, index);
            Ok(())
        });
        parked.push((future, task));
    }
    yield_now()?;
    phases.parked();
    let mut tasks = Vec::with_capacity(n);
    for (index, (future, task)) in parked.into_iter().enumerate() {
        future.set_result(index)?;
        tasks.push(task);
    }
    join_all(tasks)?;
    phases.done(args, n);
    Ok(())
}

/// Many tasks at once, then none for a while; a small crowd has been there before.
fn burst(args: &Args) -> Result {
    let n = args.get("n", 100_000);
    crowd(n / 100, || {})?;
    let mut phases = Burst::start();
    crowd(n, || phases.phase())?;
    for ms in Burst::AFTER_MS {
        sleep(millis(ms))?;
        phases.phase();
    }
    phases.done(args, n);
    Ok(())
}

/// Calls `during` while `n` tasks wait.
fn crowd(n: usize, during: impl FnOnce()) -> Result {
    let future: Future<()> = Future::new();
    let tasks: Vec<_> = (0..n)
        .map(|_| {
            let waited = future.clone();
            spawn(move || {
                touch_stack();
                waited.wait()
            })
        })
        .collect();
    yield_now()?;
    during();
    future.set_result(())?;
    join_all(tasks)
}
