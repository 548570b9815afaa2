//! The calls on the stacks of tasks, wherever they are suspended.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read};
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream};
use stackio::{
    AnyTask, Future, Generator, Result, StackFrame, TaskBuilder, Yielder, call_soon, current_task,
    graph, millis, sleep, spawn, stack_statistics, yield_now,
};

use super::run;
use crate::children;

fn names(stack: &[StackFrame]) -> Vec<&str> {
    stack.iter().map(StackFrame::name).collect()
}

/// Whether these functions are on the stack in that order, the innermost first.
#[track_caller]
fn assert_calls(stack: &[StackFrame], functions: &[&str]) {
    let names = names(stack);
    let mut rest = names.iter();
    for function in functions {
        assert!(rest.any(|name| name == function), "no {function} of {functions:?} in {names:?}");
    }
}

const SLEEPS: u32 = line!() + 4;

#[inline(never)]
fn inner_call() -> Result<u32> {
    sleep(millis(1))?;
    Ok(black_box(1))
}

#[inline(never)]
fn outer_call() -> Result<u32> {
    let inner = inner_call()?;
    Ok(black_box(inner) + 1)
}

#[test]
fn a_plain_function_is_there_with_file_and_line() {
    run(|| {
        let task = spawn(outer_call);
        yield_now()?;
        let stack = task.erase().stack();
        assert_eq!(stack[0].name(), "sleep", "what was called to wait is first: {stack:?}");
        assert_calls(&stack, &["sleep", "inner_call", "outer_call"]);
        assert_eq!(stack[1].name(), "inner_call");
        assert_eq!(stack[1].line, Some(SLEEPS));
        assert!(stack[1].file.as_deref().unwrap().ends_with(file!()), "{stack:?}");
        assert!(stack[1].to_string().ends_with(&format!("{}:{SLEEPS}", file!())), "{stack:?}");
        // Nothing of the machinery below.
        assert!(!stack.iter().any(|frame| frame.function.contains("fiber")), "{stack:?}");
        task.join()?;
        Ok(())
    })
    .unwrap();
}

#[inline(never)]
fn reads_a_line(stream: TcpStream) -> Result<usize> {
    let read = BufReader::new(stream).read_line(&mut String::new())?;
    Ok(black_box(read))
}

#[inline(never)]
fn reads_exactly(mut stream: TcpStream) -> Result<usize> {
    let mut buffer = [0; 8];
    stream.read_exact(&mut buffer)?;
    Ok(black_box(buffer.len()))
}

#[test]
fn what_std_calls_in_between_is_there() {
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let connect = || -> Result<_> {
            let stream = TcpStream::connect(listener.local_addr()?)?;
            Ok((stream, listener.accept()?.0))
        };
        let ((one, _one_peer), (two, _two_peer)) = (connect()?, connect()?);
        let line = spawn(move || reads_a_line(one));
        let exact = spawn(move || reads_exactly(two));
        yield_now()?;
        assert_calls(&line.erase().stack(), &["read", "read_line", "reads_a_line"]);
        assert_calls(&exact.erase().stack(), &["read", "read_exact", "reads_exactly"]);
        line.cancel();
        exact.cancel();
        Ok(())
    })
    .unwrap();
}

#[inline(never)]
fn drives_a_generator() -> Result<u32> {
    let numbers = Generator::new(|co: &Yielder<(), u32>| {
        co.yield_(outer_call()?)?;
        Ok(())
    });
    let mut sum = 0;
    for number in &numbers {
        sum += number?;
    }
    Ok(black_box(sum))
}

#[test]
fn both_stacks_of_a_task_that_waits_in_a_generator_are_there() {
    run(|| {
        let task = spawn(drives_a_generator);
        yield_now()?;
        let calls = ["sleep", "inner_call", "outer_call", "next", "drives_a_generator"];
        let stack = task.erase().stack();
        assert_calls(&stack, &calls);
        let switches = |call: &&StackFrame| call.function.contains("corosensei");
        assert_eq!(stack.iter().filter(switches).count(), 0, "{stack:#?}");
        assert_eq!(task.join()?, 2);
        Ok(())
    })
    .unwrap();
}

#[inline(never)]
fn descends(levels: u32) -> Result<u32> {
    if levels == 0 {
        return inner_call();
    }
    let below = descends(black_box(levels - 1))?;
    Ok(black_box(below) + 1)
}

#[test]
fn of_a_deep_recursion_the_innermost_calls_are_told() {
    run(|| {
        let (shallow, deep) = (spawn(|| descends(300)), spawn(|| descends(1000)));
        let deeper = spawn(|| descends(2000));
        yield_now()?;
        let calls =
            |task: AnyTask| names(&task.stack()).iter().filter(|name| **name == "descends").count();
        // An optimised build may put several calls into one.
        let counts = [shallow, deep.clone(), deeper].map(|task| calls(task.erase()));
        if cfg!(debug_assertions) {
            assert_eq!(counts[0], 301);
            assert!(counts[1] > 900, "{counts:?}");
            assert!((900..=1024).contains(&counts[2]), "{counts:?}");
        }
        assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
        assert_eq!(deep.join()?, 1001);
        Ok(())
    })
    .unwrap();
}

#[inline(never)]
fn eager_parent(
    child: impl FnOnce() -> Result<Vec<StackFrame>> + 'static,
) -> Result<Vec<StackFrame>> {
    let child = TaskBuilder::new().eager(true).spawn(child);
    black_box(child).join()
}

#[inline(never)]
fn eager_child(parent: &AnyTask) -> Result<Vec<StackFrame>> {
    Ok(black_box(parent).stack())
}

#[test]
fn a_parent_that_runs_an_eager_child_has_its_own_calls_only() {
    run(|| {
        let parent = current_task().unwrap();
        let stack = eager_parent(move || eager_child(&parent))?;
        assert_calls(&stack, &["eager_parent"]);
        assert!(!names(&stack).contains(&"eager_child"), "{stack:?}");
        Ok(())
    })
    .unwrap();
}

#[inline(never)]
fn asks_itself() -> Result<Vec<StackFrame>> {
    Ok(black_box(current_task().unwrap().stack()))
}

#[test]
fn a_task_can_ask_itself() {
    run(|| {
        assert_calls(&asks_itself()?, &["asks_itself"]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_callback_can_ask() {
    run(|| {
        let task = spawn(outer_call);
        let (asked, answer) = (task.erase(), Future::new());
        let told = answer.clone();
        yield_now()?;
        call_soon(move || told.set_result(asked.stack()));
        assert_calls(&answer.wait()?, &["inner_call", "outer_call"]);
        task.join()?;
        Ok(())
    })
    .unwrap();
}

#[test]
fn before_the_first_step_and_after_the_last_there_is_nothing() {
    run(|| {
        let task = spawn(outer_call);
        assert!(task.erase().stack().is_empty());
        task.wait()?;
        assert!(task.erase().stack().is_empty());
        Ok(())
    })
    .unwrap();
}

/// Asks for the stack of the current task and of another one when it is dropped.
struct AsksInTheEnd(AnyTask, Rc<RefCell<Vec<Vec<StackFrame>>>>);

impl Drop for AsksInTheEnd {
    fn drop(&mut self) {
        let own = current_task().map(|task| task.stack()).unwrap_or_default();
        self.1.borrow_mut().extend([own, self.0.stack()]);
    }
}

#[inline(never)]
fn ends_with(asks: AsksInTheEnd, panics: bool) -> Result<u32> {
    let waited = inner_call();
    assert!(!panics, "the task panics");
    drop(black_box(asks));
    waited
}

#[test]
fn a_task_that_ends_can_ask_however_it_ends() {
    run(|| {
        for (panics, cancels) in [(false, false), (false, true), (true, false)] {
            let other = spawn(|| sleep(millis(10)));
            let stacks = Rc::default();
            let asks = AsksInTheEnd(other.erase(), Rc::clone(&stacks));
            let task = spawn(move || ends_with(asks, panics));
            yield_now()?;
            if cancels {
                task.cancel();
            }
            assert_eq!(task.join().is_err(), panics || cancels);
            let stacks = stacks.take();
            assert_calls(&stacks[0], &["ends_with"]);
            // While the thread is panicking no other task is woken, not even to be asked.
            assert_eq!(stacks[1].is_empty(), panics);
            other.join()?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn being_asked_again_and_again_takes_nothing() {
    run(|| {
        let task = spawn(drives_a_generator);
        yield_now()?;
        let asked = task.erase();
        let first = asked.stack();
        let in_use = stack_statistics().in_use;
        for _ in 0..200 {
            assert_eq!(asked.stack(), first);
        }
        assert_eq!(stack_statistics().in_use, in_use);
        assert_eq!(task.join()?, 2);
        Ok(())
    })
    .unwrap();
}

/// Takes so much of the stack, from that address on, and then waits.
#[inline(never)]
fn fills(begin: usize, bytes: usize) -> Result<u32> {
    let block = 0_u64;
    if begin - std::ptr::from_ref(black_box(&block)).addr() >= bytes {
        return inner_call();
    }
    let below = fills(begin, bytes)?;
    Ok(black_box(below) + 1)
}

#[test]
fn a_small_stack_never_overflows_by_being_asked() {
    if children::is_child() {
        run(|| {
            // Of 16 KiB, so that what is left is hardly enough to wait.
            for bytes in (0..=76).rev().map(|step| step * 128) {
                let task = TaskBuilder::new().stack_size(1).spawn(move || {
                    let begin = 0_u64;
                    fills(std::ptr::from_ref(black_box(&begin)).addr(), bytes)
                });
                yield_now()?;
                let stack = task.erase().stack();
                assert!(stack.is_empty() || names(&stack).contains(&"fills"), "{stack:?}");
                if bytes <= 8 * 1024 {
                    assert!(!stack.is_empty(), "walking is done on another stack");
                }
                graph::capture()?;
                task.join()?;
            }
            Ok(())
        })
        .unwrap();
        return;
    }
    children::assert_played_well(&children::play());
}
