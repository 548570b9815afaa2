//! A million tasks, suspended at once on one thread.
//!
//! Each waits for a Future of its own in the middle of a function, with a stack of its own. What
//! that costs is a page of the stack (the one that is touched), an entry in the page tables, and
//! the task itself.
//!
//! Run it: `cargo run --release --example million [TASKS]`; a million needs about 5 GB.

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use stackio::{Future, Result, Task, run, spawn, stack_statistics, yield_now};

fn main() -> ExitCode {
    let tasks = match std::env::args().nth(1).map(|word| word.parse()) {
        None => 1_000_000,
        Some(Ok(tasks)) if tasks > 0 => tasks,
        Some(_) => {
            eprintln!("usage: million [TASKS]");
            return ExitCode::from(2);
        }
    };
    match run(move || suspend_and_wake(tasks)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("million: {error}");
            ExitCode::FAILURE
        }
    }
}

fn suspend_and_wake(tasks: usize) -> Result {
    let before = memory();
    let start = Instant::now();
    let futures: Vec<Future<usize>> = (0..tasks).map(|_| Future::new()).collect();
    let waiters: Vec<Task<usize>> = futures.iter().map(wait_for_it).collect();
    yield_now()?; // all of them take their first step, up to the wait
    let spawned = start.elapsed();
    let after = memory();
    let suspended = stack_statistics().in_use - 1; // one stack is our own

    let start = Instant::now();
    for (index, future) in futures.iter().enumerate() {
        future.set_result(index)?;
    }
    let mut sum = 0;
    for waiter in waiters {
        sum += waiter.join()?;
    }
    let woken = start.elapsed();
    assert_eq!(sum, tasks * (tasks - 1) / 2, "every task got its own result");

    let each = |from: usize, to: usize| to.saturating_sub(from) / tasks;
    println!("{suspended} tasks suspended at once");
    println!("{} bytes of memory each", each(before.0, after.0));
    println!("{} bytes of page tables each", each(before.1, after.1));
    println!("{} ns each to spawn and suspend", spawned.as_nanos() / tasks as u128);
    println!("{} ns each to wake and join", woken.as_nanos() / tasks as u128);
    Ok(())
}

fn wait_for_it(future: &Future<usize>) -> Task<usize> {
    let future = future.clone();
    spawn(move || future.wait())
}

/// Bytes of resident memory and of page tables; zero where the system does not say.
fn memory() -> (usize, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |key: &str| {
        let rest = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = rest.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
        kib.unwrap_or(0) * 1024
    };
    (bytes("VmRSS:"), bytes("VmPTE:"))
}
