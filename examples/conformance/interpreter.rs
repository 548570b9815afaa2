//! The interpreter: executes the ops of a body, one after another, and logs
//! their outcomes. What an op does is in the file of its area.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use stackio::{CallbackId, ContextVar, Result, Task, VirtualClock};

use crate::errors::{end_of_run, name_error, type_error};
use crate::expressions::CoroSpec;
use crate::frame::{Frame, Variables};
use crate::ops::{Action, Control, Op, PlainOp, ValueOp};
use crate::program::Program;
use crate::trace::Trace;
use crate::value::{Object, Value};

/// The op after this many is not executed.
const STEP_LIMIT: usize = 20_000;

/// How a list of ops ended, if not by an error.
pub enum Flow {
    Next,
    Return(Value),
    Break,
    Continue,
}

impl Flow {
    /// The value of a body that ended like this.
    pub fn value(self) -> Value {
        match self {
            Flow::Return(value) => value,
            _ => Value::None,
        }
    }
}

/// What is known of the main body's outcome.
pub enum Main {
    Running,
    Task(Task<Value>),
    Ended(String),
}

pub struct Interpreter {
    pub program: Program,
    pub clock: VirtualClock,
    pub trace: Trace,
    pub globals: RefCell<Variables>,
    pub main: RefCell<Main>,
    /// One callback name is one function.
    pub callback_ids: RefCell<HashMap<String, CallbackId>>,
    /// Every generator made: none is dropped, and thereby closed, during the run.
    pub generators: RefCell<Vec<Rc<Object>>>,
    context_vars: RefCell<HashMap<String, Rc<ContextVar<Value>>>>,
    steps: Cell<usize>,
}

impl Interpreter {
    pub fn new(program: Program, clock: VirtualClock) -> Rc<Interpreter> {
        Rc::new(Interpreter {
            program,
            trace: Trace::new(clock.clone()),
            clock,
            globals: RefCell::default(),
            main: RefCell::new(Main::Running),
            callback_ids: RefCell::default(),
            generators: RefCell::default(),
            context_vars: RefCell::default(),
            steps: Cell::new(0),
        })
    }

    pub fn current_task(&self) -> Option<Value> {
        let task = stackio::current_task()?.downcast::<Value>()?;
        Some(Value::Future(task.future()))
    }

    /// Logs an event of the body that the frame belongs to.
    pub fn log(&self, frame: &Frame, text: &str) {
        match &frame.actor {
            Some(actor) => self.trace.event(actor, text),
            None => self.log_current(text),
        }
    }

    /// Logs an event under the name of the current task.
    pub fn log_current(&self, text: &str) {
        match stackio::current_task() {
            Some(task) => self.trace.event(&task.name(), text),
            None => self.trace.event("-", text),
        }
    }

    /// Counts an op. Beyond the limit the run ends: the trace is completed here,
    /// and since every further op fails, what still runs comes to its end unseen.
    fn step(&self) -> Result {
        if self.trace.is_closed() {
            return Err(end_of_run());
        }
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEP_LIMIT {
            self.trace.event("-", "step-limit");
            self.finish();
            return Err(end_of_run());
        }
        Ok(())
    }

    /// Logs the last line, the outcome of main, and closes the trace.
    pub fn finish(&self) {
        let outcome = match &*self.main.borrow() {
            Main::Running => "pending".to_owned(),
            Main::Task(task) => self.outcome(task),
            Main::Ended(outcome) => outcome.clone(),
        };
        self.trace.event("-", &format!("main {outcome}"));
        self.trace.close();
    }

    pub fn outcome(&self, task: &Task<Value>) -> String {
        if !task.done() {
            return "pending".to_owned();
        }
        self.trace.render_outcome(&task.result())
    }

    /// One run of a body, from begin to end.
    pub fn body(self: &Rc<Self>, name: &str, ops: &[Op], frame: &mut Frame) -> Result<Value> {
        self.log(frame, &format!("begin {name}"));
        let outcome = self.block(ops, frame).map(Flow::value);
        self.log(frame, &format!("end {name} {}", self.trace.render_outcome(&outcome)));
        outcome
    }

    /// A coroutine that is not started yet.
    pub fn coroutine(
        self: &Rc<Self>,
        coro: &CoroSpec,
        frame: &Frame,
    ) -> Result<impl FnOnce() -> Result<Value> + use<>> {
        if !self.program.coros.contains_key(&coro.body) {
            return Err(name_error());
        }
        let mut frame = Frame::with_locals(self.arguments(&coro.args, frame)?);
        let (this, name) = (self.clone(), coro.body.clone());
        Ok(move || this.body(&name, &this.program.coros[&name], &mut frame))
    }

    pub fn block(self: &Rc<Self>, ops: &[Op], frame: &mut Frame) -> Result<Flow> {
        for op in ops {
            match self.execute(op, frame)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn execute(self: &Rc<Self>, op: &Op, frame: &mut Frame) -> Result<Flow> {
        match op {
            Op::Control(op) => self.control_op(op, frame),
            Op::Value(op) => self.value_op(op, frame).map(|_| Flow::Next),
        }
    }

    /// What the coroutine `{"op": ...}` does when it is an awaitable.
    pub fn single(self: &Rc<Self>, op: &Op, frame: &mut Frame) -> Result<Value> {
        match op {
            Op::Control(op) => self.control_op(op, frame).map(Flow::value),
            Op::Value(op) => self.value_op(op, frame),
        }
    }

    fn control_op(self: &Rc<Self>, op: &Control, frame: &mut Frame) -> Result<Flow> {
        self.step()?;
        if frame.in_callback && op.is_block() {
            return Err(type_error());
        }
        self.control(op, frame)
    }

    /// Executes a value op, logs its outcome and stores its value.
    fn value_op(self: &Rc<Self>, op: &ValueOp, frame: &mut Frame) -> Result<Value> {
        self.step()?;
        let outcome = if op.suspends && frame.in_callback {
            Err(type_error())
        } else {
            self.perform(op, frame)
        };
        self.log(frame, &format!("{} {}", op.label, self.trace.render_outcome(&outcome)));
        if let (Ok(value), Some(name)) = (&outcome, &op.store) {
            self.assign(name, value.clone(), frame);
        }
        if let Action::Generator(action) = &op.action {
            self.log_state(action, frame);
        }
        match outcome {
            Err(error) if op.catch => {
                frame.last_error = Some(error);
                Ok(Value::None)
            }
            outcome => outcome,
        }
    }

    fn perform(self: &Rc<Self>, op: &ValueOp, frame: &mut Frame) -> Result<Value> {
        let variable = op.store.as_deref();
        match &op.action {
            Action::Plain(action) => self.plain_op(action, frame),
            Action::Task(action) => self.task_op(action, variable, frame),
            Action::Future(action) => self.future_op(action, variable, frame),
            Action::Callback(action) => self.callback_op(action, variable, frame),
            Action::Combine(action) => self.combine_op(action, variable, frame),
            Action::Timeout(action) => self.timeout_op(action, frame),
            Action::Lock(action) => self.lock_op(action, variable, frame),
            Action::Queue(action) => self.queue_op(action, variable, frame),
            Action::Stream(action) => self.stream_op(action, variable, frame),
            Action::Generator(action) => self.generator_op(action, variable, frame),
        }
    }

    fn plain_op(&self, op: &PlainOp, frame: &mut Frame) -> Result<Value> {
        match op {
            PlainOp::Set { on, value } => {
                let value = self.value(value, frame)?;
                self.assign(on, value.clone(), frame);
                Ok(value)
            }
            PlainOp::Add { on, number } => {
                let sum = Value::Int(self.lookup(on, frame)?.as_int()? + number);
                self.assign(on, sum.clone(), frame);
                Ok(sum)
            }
            PlainOp::Show(value) => self.value(value, frame),
            PlainOp::Time => Ok(Value::time(stackio::get_running_loop()?.time())),
            PlainOp::Busy(ms) => {
                self.clock.advance(stackio::millis((*ms).try_into().unwrap_or(0)));
                Ok(Value::None)
            }
            PlainOp::ContextSet { on, value } => {
                let value = self.value(value, frame)?;
                self.context_var(on).set(value);
                Ok(Value::None)
            }
            PlainOp::ContextGet(on) => Ok(self.context_var(on).get().unwrap_or_default()),
        }
    }

    fn context_var(&self, name: &str) -> Rc<ContextVar<Value>> {
        let mut variables = self.context_vars.borrow_mut();
        let variable = || Rc::new(ContextVar::new("a variable of the program"));
        variables.entry(name.to_owned()).or_insert_with(variable).clone()
    }
}
