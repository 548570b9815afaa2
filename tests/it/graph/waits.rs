//! The name of each thing that a task can wait for.

use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::mpsc;

use stackio::net::{TcpListener, TcpStream};
use stackio::{
    Barrier, Condition, Event, Future, LifoQueue, Lock, Queue, Result, ReturnWhen, Semaphore,
    StreamReader, TaskGroup, as_completed, gather, graph, millis, secs, shield, sleep, spawn,
    task_group, timeout, to_thread, wait, wait_for, yield_now,
};

use super::{named, run};

/// What a task that runs `body` waits for after its first step, from the future itself inwards,
/// with `N` for numbers. The task is cancelled then.
fn waits(body: impl FnOnce() -> Result + 'static) -> Vec<String> {
    run(move || waits_now(body)).unwrap()
}

fn waits_now(body: impl FnOnce() -> Result + 'static) -> Result<Vec<String>> {
    let task = named("waiter", body);
    yield_now()?;
    let graph = graph::outline()?;
    let node = graph.find("waiter").expect("it waits");
    let titles = node.waits_for.iter().map(|wait| without_numbers(&wait.title)).collect();
    task.cancel();
    assert!(task.join().unwrap_err().is_cancelled());
    Ok(titles)
}

fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c.is_ascii_digit() {
            true if plain.ends_with('N') => {}
            true => plain.push('N'),
            false => plain.push(c),
        }
    }
    plain
}

#[test]
fn futures_and_tasks() {
    assert_eq!(waits(|| Future::new().wait()), ["future #N"]);
    assert_eq!(waits(|| named("inner", || sleep(millis(1))).join()), ["task inner"]);
    assert_eq!(waits(|| sleep(millis(1))), ["a timer"]);
}

#[test]
fn what_is_put_together() {
    let never = Future::<()>::new;
    let nested = move || gather((gather([never()]), named("two", || Ok(())))).wait().map(drop);
    assert_eq!(waits(nested), ["gather #N", "gather #N", "future #N", "task two"]);
}

#[test]
fn shields_and_timeouts() {
    let shields = || {
        let inner = Future::<()>::new();
        shield(&inner).wait()
    };
    assert_eq!(waits(shields), ["a shield", "future #N"]);
    let limited = || wait_for(&Future::<()>::new(), Some(secs(1)));
    assert_eq!(waits(limited), ["future #N"]);
    assert_eq!(waits(|| timeout(secs(1), |_| sleep(secs(2)))), ["a timer"]);
}

#[test]
fn several() {
    for (when, title) in [
        (ReturnWhen::AllCompleted, "all of several"),
        (ReturnWhen::FirstCompleted, "the first of several"),
        (ReturnWhen::FirstException, "all of several, or an error"),
    ] {
        let waiting = move || {
            let futures = [Future::<()>::new(), spawn(|| Ok(())).future()];
            wait(&futures, None, when).map(drop)
        };
        assert_eq!(waits(waiting), [title, "future #N", "task Task-N"]);
    }
    let completing = || {
        let futures = vec![Future::<()>::new(), Future::new()];
        as_completed(futures, None).try_for_each(|done| done)
    };
    assert_eq!(waits(completing), ["the next of as_completed #N", "future #N", "future #N"]);
}

#[test]
fn a_lock_and_who_has_it() {
    run(|| {
        let lock = Rc::new(Lock::new());
        let _guard = lock.lock()?;
        let wanted = lock.clone();
        named("waiter", move || wanted.lock().map(drop));
        yield_now()?;
        let graph = graph::outline()?;
        let wait = &graph.find("waiter").unwrap().waits_for[0];
        assert_eq!(without_numbers(&wait.title), "lock #N");
        assert_eq!(wait.holder, stackio::current_task().map(|task| task.id()));
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_other_primitives() {
    assert_eq!(waits(|| Event::new().wait()), ["event #N"]);
    assert_eq!(waits(|| Semaphore::new(0).acquire()), ["semaphore #N"]);
    assert_eq!(waits(|| Barrier::new(2)?.wait().map(drop)), ["barrier #N"]);
    let condition = || {
        let condition = Condition::new();
        condition.acquire()?;
        condition.wait()
    };
    assert_eq!(waits(condition), ["condition #N"]);
}

#[test]
fn a_queue_has_one_number_for_all_who_wait_for_it() {
    assert_eq!(waits(|| Queue::<()>::new(0).get()), ["an item of queue #N"]);
    assert_eq!(waits(|| LifoQueue::<()>::new(0).get()), ["an item of queue #N"]);
    let titles = run(|| {
        let queue = Rc::new(Queue::new(1));
        let (putter, joiner) = (queue.clone(), queue.clone());
        let tasks = [
            named("putter", move || (0..2).try_for_each(|item| putter.put(item))),
            named("joiner", move || joiner.join()),
        ];
        yield_now()?;
        let graph = graph::outline()?;
        let cancelled = tasks.iter().filter(|task| task.cancel()).count();
        assert_eq!(cancelled, 2);
        let title = |name| graph.find(name).unwrap().waits_for[0].title.clone();
        Ok([title("putter"), title("joiner")])
    })
    .unwrap();
    let number = titles[0].strip_prefix("room in queue ").expect("room in the queue");
    assert_eq!(titles[1], format!("the work on queue {number}"));
}

#[test]
fn task_groups_of_both_kinds() {
    let expected = ["the children of a task group", "task Task-N", "task Task-N"];
    let group = || {
        TaskGroup::new().scope(|group| {
            group.spawn(|| sleep(millis(1)))?;
            group.spawn(|| sleep(millis(2)))?;
            Ok(())
        })
    };
    assert_eq!(waits(group), expected);
    let scoped = || {
        task_group(|group| {
            group.spawn(|| sleep(millis(1)));
            group.spawn(|| sleep(millis(2)));
            Ok(())
        })
    };
    assert_eq!(waits(scoped), expected);
}

#[test]
fn threads_and_names_of_hosts() {
    let (release, word) = mpsc::channel::<()>();
    let job = move || to_thread(move || word.recv().unwrap_or_default());
    let titles = run(move || {
        let titles = waits_now(job);
        drop(release); // the thread ends, and with it the loop can
        titles
    });
    assert_eq!(titles.unwrap(), ["a job of to_thread"]);
    let lookup = || Ok(TcpStream::connect(("localhost", 1)).map(drop)?);
    assert_eq!(waits(lookup), ["the address of localhost"]);
}

/// Two ends of a connection.
fn connected() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    Ok((stream, listener.accept()?.0))
}

#[test]
fn sockets() {
    let readable = ["descriptor N to become readable"];
    let writable = ["descriptor N to become writable"];
    let reads = run(|| {
        let (mut stream, _peer) = connected()?;
        waits_now(move || Ok(stream.read(&mut [0; 8]).map(drop)?))
    });
    assert_eq!(reads.unwrap(), readable);
    let writes = run(|| {
        let (mut stream, _peer) = connected()?;
        waits_now(move || Ok(stream.write_all(&vec![0; 64 << 20])?))
    });
    assert_eq!(writes.unwrap(), writable);
    let accepts = run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let other = listener.try_clone()?;
        let first = waits_now(move || Ok(listener.accept().map(drop)?))?;
        let again = other.try_clone()?;
        let accepting = spawn(move || Ok(again.accept().map(drop)?));
        let second = waits_now(move || Ok(other.accept().map(drop)?))?;
        accepting.cancel();
        Ok([first, second].concat())
    });
    assert_eq!(accepts.unwrap(), [readable[0], "a turn at listener N"]);
    let connects = run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        waits_now(move || Ok(TcpStream::connect(address).map(drop)?))
    });
    assert_eq!(connects.unwrap(), writable);
}

#[test]
fn a_stream_reader() {
    let reads = || StreamReader::default().readline().map(drop);
    assert_eq!(waits(reads), ["data of a stream"]);
}

#[test]
fn what_is_done_is_not_waited_for() {
    run(|| {
        let all = gather([spawn(|| Ok(())), spawn(|| sleep(millis(1)))]);
        let waiter = named("waiter", move || all.wait().map(drop));
        yield_now()?;
        let graph = graph::outline()?;
        let waits_for = &graph.find("waiter").unwrap().waits_for;
        let depths: Vec<_> = waits_for.iter().map(|wait| wait.depth).collect();
        assert_eq!(depths, [0, 1], "{graph}");
        waiter.join()
    })
    .unwrap();
}
