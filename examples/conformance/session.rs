//! One run of a program, as section 7 of the specification has it: main, then the
//! tasks that are left, then the outcomes.

use std::rc::Rc;

use stackio::{
    ErrorKind, EventLoop, ExceptionContext, ExceptionSource, Result, Task, VirtualClock,
    gather_results,
};

use crate::errors::forget_returned;
use crate::frame::Frame;
use crate::interpreter::{Flow, Interpreter, Main};
use crate::program::{Kind, Program};
use crate::value::Value;

/// Bodies are interpreted by recursion, which takes more stack than a program
/// written in Rust would.
const STACK_SIZE: usize = 1 << 20;

/// Runs the program and returns its trace.
pub fn run(program: Program, select_budget: Option<u32>) -> Vec<String> {
    let clock = VirtualClock::new();
    let interpreter = Interpreter::new(program, clock.clone());
    let broken = match interpreter.program.kind {
        Kind::Task => run_tasks(&interpreter, &clock, select_budget).err(),
        Kind::Generator => {
            run_generators(&interpreter);
            None
        }
    };
    let mut lines = clean_up(&interpreter);
    lines.extend(broken.map(|error| format!("! the loop failed: {error:?}")));
    lines
}

/// Takes the lines and drops what variables hold: that may close generators,
/// which is not to be seen, and tear circles of references apart.
fn clean_up(interpreter: &Interpreter) -> Vec<String> {
    interpreter.trace.close();
    let globals = interpreter.globals.take();
    let generators = interpreter.generators.take();
    interpreter.main.replace(Main::Running);
    drop((globals, generators));
    forget_returned();
    interpreter.trace.take_lines()
}

fn run_generators(interpreter: &Rc<Interpreter>) {
    let mut frame = Frame { actor: Some("-".to_owned()), ..Frame::default() };
    let ended = interpreter.block(&interpreter.program.main, &mut frame).map(Flow::value);
    let outcome = interpreter.trace.render_outcome(&ended);
    interpreter.main.replace(Main::Ended(outcome));
    interpreter.finish();
}

fn run_tasks(
    interpreter: &Rc<Interpreter>,
    clock: &VirtualClock,
    select_budget: Option<u32>,
) -> Result {
    let reporter = interpreter.clone();
    let mut builder = EventLoop::builder()
        .virtual_clock(clock)
        .stack_size(STACK_SIZE)
        .eager(interpreter.program.eager)
        .exception_handler(move |context| report(&reporter, context));
    if let Some(budget) = select_budget {
        builder = builder.select_budget(budget);
    }
    let events = builder.build()?;
    let this = interpreter.clone();
    let main = events.spawn(move || this.body("main", &this.program.main, &mut Frame::default()));
    interpreter.main.replace(Main::Task(main.clone()));
    if let Some(outcome) = run_until(interpreter, &events, &main) {
        interpreter.main.replace(Main::Ended(outcome));
    }
    shut_down(interpreter, &events);
    interpreter.finish();
    events.close()
}

/// Runs the loop until the task is done; its outcome, or `None` on a deadlock.
fn run_until(interpreter: &Interpreter, events: &EventLoop, task: &Task<Value>) -> Option<String> {
    let ended = events.run_until_complete(task);
    if interpreter.trace.is_closed() || is_deadlock(interpreter, &ended) {
        return None;
    }
    Some(interpreter.trace.render_outcome(&ended))
}

/// Whether the loop ended because nobody can ever wake; if so, logs it.
fn is_deadlock<T>(interpreter: &Interpreter, ended: &Result<T>) -> bool {
    let deadlock = ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::Deadlock);
    if deadlock {
        interpreter.trace.event("-", "deadlock");
    }
    deadlock
}

/// Cancels the tasks that are left and waits for them, as `asyncio.run` does.
fn shut_down(interpreter: &Interpreter, events: &EventLoop) {
    let left = events.all_tasks();
    let left: Vec<_> = left.iter().filter_map(|task| task.downcast::<Value>()).collect();
    if left.is_empty() || interpreter.trace.is_closed() {
        return;
    }
    let names: Vec<_> = left.iter().map(|task| task.name()).collect();
    interpreter.trace.event("-", &format!("shutdown {}", names.join(" ")));
    for task in &left {
        task.cancel();
    }
    is_deadlock(interpreter, &events.run_until_complete(gather_results(left.iter().collect())));
    for task in &left {
        let outcome = interpreter.outcome(task);
        interpreter.trace.event("-", &format!("leftover {} {outcome}", task.name()));
    }
}

fn report(interpreter: &Interpreter, context: &ExceptionContext) {
    let source = match context.source {
        ExceptionSource::Callback => "callback",
        ExceptionSource::Group => "group",
        // Depends on when objects are dropped: not part of the language.
        _ => return,
    };
    if let Some(error) = &context.exception {
        let error = interpreter.trace.render_error(error);
        interpreter.log_current(&format!("loop-exception {source} {error}"));
    }
}
