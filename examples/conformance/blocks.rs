//! Control ops: what decides which op is executed next, and the blocks.

use std::rc::Rc;

use stackio::{Instant, Result, TaskGroup, Timeout};

use crate::errors::runtime_error;
use crate::frame::Frame;
use crate::interpreter::{Flow, Interpreter};
use crate::ops::{Clause, Control, Op, TimeoutBlock, TryOp};
use crate::timeouts::instant;
use crate::value::{Object, Value, What};

impl Interpreter {
    pub fn control(self: &Rc<Self>, op: &Control, frame: &mut Frame) -> Result<Flow> {
        match op {
            Control::Log(text) => {
                self.log(frame, &format!("log {text}"));
                Ok(Flow::Next)
            }
            Control::Return(value) => {
                let value = self.value(value, frame)?;
                self.log(frame, &format!("return {}", self.trace.render(&value)));
                Ok(Flow::Return(value))
            }
            Control::Break => Ok(Flow::Break),
            Control::Continue => Ok(Flow::Continue),
            Control::Raise(error) => {
                let error = self.error(error, frame)?;
                self.log(frame, &format!("raise {}", self.trace.render_error(&error)));
                Err(error)
            }
            Control::Reraise => {
                let error = frame.handling.clone().ok_or_else(runtime_error)?;
                self.log(frame, &format!("reraise {}", self.trace.render_error(&error)));
                Err(error)
            }
            Control::Try(op) => self.try_op(op, frame),
            Control::If { condition, then, otherwise } => {
                let holds = self.condition(condition, frame)?;
                self.block(if holds { then } else { otherwise }, frame)
            }
            Control::Repeat { times, body } => self.repeat((0..*times).map(|_| None), body, frame),
            Control::For { items, variable, body } => {
                let items = self.value(items, frame)?.as_list()?;
                let rounds = items.iter().map(|item| Some((variable.as_deref()?, item.clone())));
                self.repeat(rounds, body, frame)
            }
            Control::Timeout(op) => self.timeout_block(op, frame),
            Control::TaskGroup { variable, body } => {
                self.group_block(variable.as_deref(), body, frame)
            }
            Control::With { on, body } => self.with_block(on, body, frame),
        }
    }

    /// Executes the body for each round, with the variable of that round set.
    fn repeat<'a>(
        self: &Rc<Self>,
        rounds: impl Iterator<Item = Option<(&'a str, Value)>>,
        body: &[Op],
        frame: &mut Frame,
    ) -> Result<Flow> {
        for round in rounds {
            if let Some((name, value)) = round {
                self.assign(name, value, frame);
            }
            match self.block(body, frame)? {
                Flow::Break => break,
                Flow::Next | Flow::Continue => {}
                flow @ Flow::Return(_) => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn try_op(self: &Rc<Self>, op: &TryOp, frame: &mut Frame) -> Result<Flow> {
        let ended = match self.block(&op.body, frame) {
            Ok(Flow::Next) => self.block(&op.otherwise, frame),
            Ok(flow) => Ok(flow),
            Err(error) => match op.clauses.iter().find(|clause| clause.class.catches(&error)) {
                Some(clause) => self.except(clause, error, frame),
                None => Err(error),
            },
        };
        // What the finally block ends with replaces the error or the flow.
        match self.block(&op.finally, frame)? {
            Flow::Next => ended,
            flow => Ok(flow),
        }
    }

    fn except(
        self: &Rc<Self>,
        clause: &Clause,
        error: stackio::Error,
        frame: &mut Frame,
    ) -> Result<Flow> {
        self.log(frame, &format!("caught {}", self.trace.render_error(&error)));
        frame.last_error = Some(error.clone());
        if let Some(name) = &clause.variable {
            self.assign(name, Value::Error(error.clone()), frame);
        }
        let outer = frame.handling.replace(error);
        let ended = self.block(&clause.body, frame);
        frame.handling = outer;
        ended
    }

    fn timeout_block(self: &Rc<Self>, op: &TimeoutBlock, frame: &mut Frame) -> Result<Flow> {
        let start = if op.absolute { Instant::from_millis(0) } else { self.clock.now() };
        let timeout = Timeout::new(op.ms.map(|ms| instant(start, ms)));
        let variable = op.variable.as_deref();
        let object = Object::new(What::Timeout(timeout.clone()), variable);
        if let Some(name) = variable {
            self.assign(name, Value::Object(object), frame);
        }
        let ended = timeout.scope(|_| self.block(&op.body, frame));
        let outcome = match &ended {
            Err(error) => format!("!! {}", self.trace.render_error(error)),
            Ok(_) if timeout.expired() => "-> expired".to_owned(),
            Ok(_) => "-> in-time".to_owned(),
        };
        let name = if op.absolute { "timeout_at" } else { "timeout" };
        self.log(frame, &format!("{name} {outcome}"));
        ended
    }

    fn group_block(
        self: &Rc<Self>,
        variable: Option<&str>,
        body: &[Op],
        frame: &mut Frame,
    ) -> Result<Flow> {
        let group = TaskGroup::new();
        let object = Object::new(What::Group(group.clone()), variable);
        if let Some(name) = variable {
            self.assign(name, Value::Object(object), frame);
        }
        let ended = group.scope(|_| self.block(body, frame));
        self.log_left("task_group", &ended, frame);
        ended
    }

    /// Logs how a block without a value was left.
    fn log_left(&self, label: &str, ended: &Result<Flow>, frame: &Frame) {
        let outcome = match ended {
            Err(error) => format!("!! {}", self.trace.render_error(error)),
            Ok(_) => "-> None".to_owned(),
        };
        self.log(frame, &format!("{label} {outcome}"));
    }

    fn with_block(self: &Rc<Self>, on: &str, body: &[Op], frame: &mut Frame) -> Result<Flow> {
        let ended = self.held(on, body, frame);
        self.log_left(&format!("with {on}"), &ended, frame);
        ended
    }

    fn held(self: &Rc<Self>, on: &str, body: &[Op], frame: &mut Frame) -> Result<Flow> {
        let object = self.object(on, frame)?;
        object.acquire()?;
        self.log(frame, &format!("enter {on}"));
        let ended = self.block(body, frame);
        // As in Python, an error on leaving replaces the one of the body.
        object.release()?;
        ended
    }
}
