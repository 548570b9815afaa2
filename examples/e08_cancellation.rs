//! Lesson 8: how a task is stopped in the middle, and how errors find their way.
//!
//! A thread cannot be stopped from outside: nobody knows what it is doing. A task can, because it
//! stands at a place where it waits.
//!
//! **Cancelling is asking.** `cancel()` cancels the future that the task waits for, and returns.
//! That future wakes the task as any other would, and the loop *throws* instead of sending: the
//! wait, deep in whatever function, returns an `Err` whose `is_cancelled()` is true. From there it
//! is an error like any other, and no panic: code that knows nothing of cancellation hands it on
//! by `?`, destructors run, and `match` can catch it.
//!
//! **Cleanup may wait.** The error has arrived, and nothing more is pending, so a task that has
//! been cancelled can still say goodbye to its peer. It should give the error back when it has.
//!
//! **Who cancelled?** A task counts how often it was asked to stop (`cancelling`), and whoever
//! deals with one of these takes it back (`uncancel`). That is how `timeout` is made: it cancels
//! its own task when the time is over, catches what comes out, counts down, and gives an error of
//! kind `Timeout`. If the count does not come back to what it was, somebody else wants the task
//! to end as well, and the cancellation goes on outwards.
//!
//! **A shield** stands between a wait and what is waited for: the wait is cancelled, the task
//! behind it goes on. **A group** does the opposite and stops what belongs together: a child that
//! fails has its siblings cancelled and the block of the parent, waits until all have ended, and
//! gives all the errors as one.
//!
//! The lines with an arrow are the loop's own events: what it throws into whom. A task that joins
//! one which ends by an error has that thrown in, for it waited for it. This does not mean that it
//! was asked to stop as well: `cancelling` says that it was not.
//!
//! Exercises:
//!
//! - Let `copy` return `Ok(())` for the cancellation. What does whoever joins it see, and what
//!   does a `timeout` around it?
//! - In `group`, give the child `slow` a cleanup that waits for ten milliseconds. When does the
//!   group end, and does the error of `bad` change?
//!
//! Run it: `cargo run --example e08_cancellation`

use std::rc::Rc;

use stackio::{
    Error, ErrorKind, FlowEvent, Future, Instrument, Result, Runner, Task, TaskBuilder,
    VirtualClock, current_task, get_running_loop, millis, secs, shield, sleep, task_group, timeout,
};

/// Tells what is thrown into tasks.
struct Narrator;

impl Instrument for Narrator {
    fn event(&self, event: &FlowEvent<'_>) {
        if let FlowEvent::Throw { .. } = event {
            println!("   -> {event}");
        }
    }
}

fn spawn_named<T: 'static>(name: &str, body: impl FnOnce() -> Result<T> + 'static) -> Task<T> {
    TaskBuilder::new().name(name).spawn(body)
}

/// Milliseconds since the lesson began.
fn now() -> Result<i64> {
    Ok(get_running_loop()?.time().as_millis())
}

fn how_it_ended<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Ok(value) => format!("Ok({value:?})"),
        Err(error) => format!("Err({error})"),
    }
}

// -- an error at the place where it waits ----------------------------------------------------

struct Desk;

impl Drop for Desk {
    fn drop(&mut self) {
        println!("the desk is cleared");
    }
}

/// Two calls below `write_report`, which does not know that anything waits here.
fn look_up(word: &str) -> Result<usize> {
    sleep(secs(60))?;
    Ok(word.len())
}

fn write_report() -> Result<usize> {
    let _desk = Desk;
    let letters = look_up("asyncio")?;
    println!("never printed");
    Ok(letters)
}

fn cancel() -> Result {
    let report = spawn_named("report", write_report);
    sleep(millis(1))?;
    println!("cancel() gives {}: it is asked to stop", report.cancel_with("it is late"));
    println!("done() gives {}: it has not run since", report.done());
    println!("joined: {}", how_it_ended(report.join()));
    Ok(())
}

// -- cleanup that waits ------------------------------------------------------------------------

fn copy() -> Result {
    let copied = sleep(secs(60));
    if copied.as_ref().is_err_and(Error::is_cancelled) {
        sleep(millis(5))?; // as long as a goodbye takes to be sent
        println!("goodbye has been said at {} ms", now()?);
    }
    copied
}

fn cleanup() -> Result {
    let copy = spawn_named("copy", copy);
    sleep(millis(1))?;
    println!("cancelled at {} ms", now()?);
    copy.cancel();
    println!("joined: {}", how_it_ended(copy.join()));
    Ok(())
}

// -- who cancelled? ------------------------------------------------------------------------------

/// How often the current task has been asked to stop and has not dealt with it.
fn asked() -> u32 {
    current_task().map_or(0, |task| task.cancelling())
}

/// By hand what `timeout` does.
fn take_back() -> Result<&'static str> {
    let waited = sleep(secs(60));
    println!("asked to stop: {}", asked());
    if waited.is_err_and(|error| error.is_cancelled())
        && let Some(task) = current_task()
    {
        println!("taken back: {}", task.uncancel());
    }
    sleep(millis(1))?; // as if nothing had been
    Ok("went on")
}

fn whose() -> Result {
    let task = spawn_named("stubborn", take_back);
    sleep(millis(1))?;
    task.cancel();
    println!("joined: {}", how_it_ended(task.join()));

    let inner = |_: &_| timeout(millis(10), |_| sleep(secs(60)));
    println!("the inner timeout: {}", how_it_ended(timeout(millis(20), inner)));
    println!("asked to stop: {}", asked());
    let inner = |_: &_| timeout(millis(20), |_| sleep(secs(60)));
    println!("the outer timeout: {}", how_it_ended(timeout(millis(10), inner)));
    println!("asked to stop: {}", asked());
    Ok(())
}

// -- a shield ------------------------------------------------------------------------------------

fn shielded() -> Result {
    let payment = spawn_named("payment", || {
        sleep(millis(10))?;
        Ok("paid")
    });
    let behind: Future<&str> = shield(payment.clone());
    let guest = spawn_named("guest", move || behind.wait());
    sleep(millis(1))?;
    guest.cancel();
    println!("the guest: {}", how_it_ended(guest.join()));
    println!("the payment: {}", how_it_ended(payment.join()));
    Ok(())
}

// -- a group ------------------------------------------------------------------------------

fn fail() -> Result {
    sleep(millis(5))?;
    Err(Error::with_message(ErrorKind::Value, "the page is empty"))
}

fn group() -> Result {
    let result = task_group(|group| {
        for (name, body) in [("slow", look_up_slowly as fn() -> Result), ("bad", fail)] {
            let child = group.spawn(body);
            child.task().inspect(|task| task.set_name(name));
        }
        sleep(secs(60)) // the block waits as well, and is not forgotten
    });
    match result {
        Err(error) if error.kind() == ErrorKind::Group => {
            println!("the group: {error}");
            for error in error.errors() {
                println!("   of which: {error}");
            }
        }
        other => println!("the group: {}", how_it_ended(other)),
    }
    println!("asked to stop: {}", asked());
    Ok(())
}

fn look_up_slowly() -> Result {
    let _desk = Desk;
    look_up("protocol")?;
    Ok(())
}

fn lesson() -> Result {
    println!("-- the error comes out of the call that waits");
    cancel()?;
    println!("-- cleanup may wait");
    cleanup()?;
    println!("-- who cancelled?");
    whose()?;
    println!("-- a shield");
    shielded()?;
    println!("-- a group");
    group()
}

fn main() -> Result {
    let clock = VirtualClock::new();
    Runner::builder().virtual_clock(&clock).instrument(Rc::new(Narrator)).build()?.run(lesson)
}
