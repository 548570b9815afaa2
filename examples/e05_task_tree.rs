//! Lesson 5: who waits for whom, and why does nothing go on?
//!
//! A program that does not go on has stopped somewhere, and a debugger shows where a *thread* has
//! stopped: in the selector, always. What one wants to know is where its tasks are, and what each
//! of them needs. In asyncio that was hard for years; since Python 3.14 it has
//! `asyncio.print_call_graph()`, and `python -m asyncio ps` to look from outside.
//!
//! **A task waits for one future.** Behind that may be others: a gather has children, a task group
//! too, and behind a lock is the task that holds it. `stackio::graph` follows all of them, and so
//! each task gets an edge to the tasks that it needs. That is the tree below.
//!
//! **A suspended stack can be asked where it is.** In Python a coroutine that waits is a chain of
//! frames on the heap, and each knows the next by `await`. Here it is a stack that nobody runs on:
//! it is resumed for a moment, walks itself, and is left as it was. So a task's backtrace is a
//! real one, through plain functions and, as for `links` below, through a generator's own stack
//! into the task that drives it.
//!
//! **A cycle of such edges is a deadlock.** No timer and no socket will ever wake anybody on it.
//! The last part of the lesson builds one with two locks taken in two orders, which is how they
//! come about. Under a virtual clock the loop itself notices that nobody can go on any more, and
//! the run ends with an error of kind `Deadlock` that tells the same story.
//!
//! `println!("{}", graph::capture()?)` prints all this in one go. The lesson prints the graph
//! itself, to show what is in it, and leaves out the calls that are not its own.
//!
//! Exercises:
//!
//! - Remove the cycle: have both writers take the pen first. What does the graph show then, and
//!   what does the run end with?
//! - Let `collect` put nothing into the queue. `store` waits for ever: is that a cycle? What does
//!   the error say?
//!
//! Run it: `cargo run --example e05_task_tree`

use std::cell::Cell;
use std::rc::Rc;

use stackio::graph::{self, TaskGraph, TaskNode, TaskState};
use stackio::{
    ErrorKind, Generator, Lock, Queue, Result, Runner, Semaphore, StackFrame, Task, TaskBuilder,
    VirtualClock, Yielder, gather, millis, sleep, task_group, yield_now,
};

fn spawn_named<T: 'static>(name: &str, body: impl FnOnce() -> Result<T> + 'static) -> Task<T> {
    TaskBuilder::new().name(name).spawn(body)
}

// -- a small crawler ------------------------------------------------------------------------

/// Two pages are to be fetched, and one connection is allowed.
fn fetch(page: &str, connections: &Semaphore) -> Result<String> {
    let _connection = connections.guard()?;
    let body = download(page)?;
    Ok(body.to_uppercase())
}

fn download(page: &str) -> Result<String> {
    sleep(millis(20))?;
    Ok(format!("the text of {page}"))
}

/// Yields the links of a page, and has to wait for each: from within the generator.
fn links() -> Result<u32> {
    let found = Generator::named("links", |co: &Yielder<(), u32>| {
        for link in 1..=3 {
            follow_redirect()?;
            co.yield_(link)?;
        }
        Ok(())
    });
    let mut sum = 0;
    for link in &found {
        sum += link?;
    }
    Ok(sum)
}

fn follow_redirect() -> Result {
    sleep(millis(10))?;
    Ok(())
}

/// Waits for all pages at once, and hands them on.
fn collect(fetches: [Task<String>; 2], pages: &Queue<String>) -> Result {
    for body in gather(fetches).wait()? {
        pages.put(body)?;
    }
    Ok(())
}

/// Stores what the others put into the queue.
fn store(pages: &Queue<String>) -> Result<usize> {
    let page = pages.get()?;
    Ok(page.len())
}

/// Its children may borrow what it has, since it ends after them.
fn statistics() -> Result<usize> {
    let letters = Cell::new(0);
    task_group(|group| {
        for word in ["one", "three"] {
            let letters = &letters;
            let child = group.spawn(move || count(word, letters));
            child.task().inspect(|task| task.set_name(format!("count {word}")));
        }
        Ok(())
    })?;
    Ok(letters.get())
}

fn count(word: &str, letters: &Cell<usize>) -> Result {
    sleep(millis(10))?;
    letters.set(letters.get() + word.len());
    Ok(())
}

fn crawl() -> Result {
    let connections = Rc::new(Semaphore::new(1));
    let pages = Rc::new(Queue::new(0));
    let stored = pages.clone();
    let store = spawn_named("store", move || store(&stored));
    let fetches = ["first", "second"].map(|page| {
        let connections = connections.clone();
        spawn_named(&format!("fetch {page}"), move || fetch(page, &connections))
    });
    let links = spawn_named("links", links);
    let statistics = spawn_named("statistics", statistics);
    let bodies = fetches.clone();
    let collect = spawn_named("collect", move || collect(bodies, &pages));
    pause()?;

    println!("-- downwards: each task, and below it what it needs");
    let graph = graph::capture()?;
    for task in graph.tasks().iter().filter(|task| graph.awaited_by(task.id).is_empty()) {
        show(&graph, task, 0);
    }

    println!("-- upwards: how one came to where it is");
    if let Some(calls) = graph::capture_call_graph(&fetches[1]) {
        let mut next = Some(calls.id);
        while let Some(task) = next.and_then(|id| calls.tasks.get(id)) {
            println!("{}: {}", task.name, own_calls(task));
            next = calls.tasks.awaited_by(task.id).first().copied();
        }
    }

    collect.join()?;
    store.join()?;
    println!("-- all went on: {} links, {} letters", links.join()?, statistics.join()?);
    Ok(())
}

/// Until all have begun, and wait.
fn pause() -> Result {
    for _ in 0..3 {
        yield_now()?;
    }
    Ok(())
}

// -- what is in a graph ---------------------------------------------------------------------

fn show(graph: &TaskGraph, task: &TaskNode, depth: usize) {
    let doing = match (task.state, task.waits_for.first()) {
        (TaskState::Waiting, Some(wait)) => format!("waits for {}", without_number(&wait.title)),
        (TaskState::Running, _) => "is running".to_owned(),
        (state, _) => format!("{state:?}"),
    };
    println!("{:1$}{2} {doing}", "", depth * 4, task.name);
    println!("{:1$}  in {2}", "", depth * 4, own_calls(task));
    for needed in task.needs.iter().filter_map(|id| graph.get(*id)) {
        show(graph, needed, depth + 1);
    }
}

/// `semaphore` for `semaphore #7`.
fn without_number(title: &str) -> &str {
    title.split(" #").next().unwrap_or(title)
}

/// The calls on a task's stack that are in this file, the innermost first.
fn own_calls(task: &TaskNode) -> String {
    let is_own = |frame: &&StackFrame| {
        let own = frame.file.as_deref().is_some_and(|file| file.ends_with(file!()));
        own && !frame.name().contains("closure")
    };
    let calls: Vec<&str> = task.stack.iter().filter(is_own).map(StackFrame::name).collect();
    calls.join(" < ")
}

// -- a deadlock -----------------------------------------------------------------------------

/// Two who need the same two things, and begin with different ones.
fn write_letter(first: &Lock, second: &Lock) -> Result {
    let _first = first.lock()?;
    sleep(millis(1))?;
    let _second = second.lock()?;
    Ok(())
}

fn post_office() -> Result {
    let (pen, paper) = (Rc::new(Lock::new()), Rc::new(Lock::new()));
    let (a, b) = (pen.clone(), paper.clone());
    let ann = spawn_named("ann", move || write_letter(&a, &b));
    let bob = spawn_named("bob", move || write_letter(&paper, &pen));
    sleep(millis(2))?;

    let graph = graph::capture()?;
    let name = |id| graph.get(id).map_or("nobody", |task| task.name.as_str());
    for task in graph.tasks() {
        if let Some(wait) = task.waits_for.first()
            && let Some(holder) = wait.holder
        {
            println!("{} waits for a lock, held by {}", task.name, name(holder));
        }
    }
    for cycle in graph.cycles() {
        let names: Vec<&str> = cycle.iter().map(|id| name(*id)).collect();
        println!("they wait for each other: {}", names.join(", "));
    }
    ann.join()?;
    bob.join()
}

fn main() -> Result {
    let mut runner = Runner::builder().virtual_clock(&VirtualClock::new()).build()?;
    runner.run(crawl)?;

    println!("-- two locks, taken in two orders");
    match runner.run(post_office) {
        Err(error) if error.kind() == ErrorKind::Deadlock => {
            println!("the loop says: {}", error.to_string().replace("; ", "\n   "));
        }
        other => println!("they came through: {other:?}"),
    }
    Ok(())
}
