//! Generator programs: bodies are generators, and ops drive them.

use std::rc::Rc;

use stackio::{ErrorKind, Generator, GeneratorState, Result, Resumed, Yielder};

use crate::errors::{name_error, stop_iteration, stop_iteration_value, type_error};
use crate::expressions::CoroSpec;
use crate::frame::Frame;
use crate::interpreter::Interpreter;
use crate::ops::{Delegation, GeneratorOp};
use crate::value::{Object, ProgramGenerator, Value, What};

impl Interpreter {
    pub fn generator_op(
        self: &Rc<Self>,
        op: &GeneratorOp,
        variable: Option<&str>,
        frame: &mut Frame,
    ) -> Result<Value> {
        match op {
            GeneratorOp::New(body) => Ok(Value::Object(self.generator(body, variable, frame)?)),
            GeneratorOp::Next(on) => yielded(self.object(on, frame)?.generator()?.next()),
            GeneratorOp::Send { on, value } => {
                let object = self.object(on, frame)?;
                let generator = object.generator()?;
                yielded(match self.value(value, frame)? {
                    Value::None => generator.next(),
                    value => generator.send(value),
                })
            }
            GeneratorOp::Throw { on, error } => {
                let object = self.object(on, frame)?;
                let generator = object.generator()?;
                yielded(generator.throw(self.error(error, frame)?))
            }
            GeneratorOp::Close(on) => {
                let returned = self.object(on, frame)?.generator()?.close()?;
                Ok(returned.unwrap_or_default())
            }
            GeneratorOp::Yield(value) => {
                let value = self.value(value, frame)?;
                yielder(frame)?.yield_(value)
            }
            GeneratorOp::YieldFrom(to) => self.yield_from(to, frame),
        }
    }

    fn yield_from(self: &Rc<Self>, to: &Delegation, frame: &Frame) -> Result<Value> {
        let co = yielder(frame)?;
        let object = match to {
            Delegation::New(body) => self.generator(body, None, frame)?,
            Delegation::Variable(name) => self.object(name, frame)?,
            Delegation::List(items) => {
                let items = self.value(items, frame)?.as_list()?;
                return delegated(co.yield_from_iter(items.to_vec()).map(|()| Value::None));
            }
        };
        let returned = co.yield_from(object.generator()?);
        delegated(returned.map(Option::unwrap_or_default))
    }

    /// A new generator of a body.
    fn generator(
        self: &Rc<Self>,
        body: &CoroSpec,
        variable: Option<&str>,
        frame: &Frame,
    ) -> Result<Rc<Object>> {
        if !self.program.coros.contains_key(&body.body) {
            return Err(name_error());
        }
        let mut inner = Frame::with_locals(self.arguments(&body.args, frame)?);
        inner.actor = Some(body.body.clone());
        let (this, name) = (self.clone(), body.body.clone());
        let generator = Generator::named(&body.body, move |co: &Yielder<Value, Value>| {
            inner.yielder = Some(co.clone());
            this.body(&name, &this.program.coros[&name], &mut inner)
        });
        let object = Object::new(What::Generator(generator), variable);
        self.generators.borrow_mut().push(object.clone());
        Ok(object)
    }

    /// After an op that drives a generator: the state it is in now.
    pub fn log_state(&self, op: &GeneratorOp, frame: &Frame) {
        let (GeneratorOp::Next(on)
        | GeneratorOp::Send { on, .. }
        | GeneratorOp::Throw { on, .. }
        | GeneratorOp::Close(on)) = op
        else {
            return;
        };
        let Ok(object) = self.object(on, frame) else {
            return;
        };
        if let Ok(generator) = object.generator() {
            self.log(frame, &format!("state {on} {}", state(generator)));
        }
    }
}

fn yielder(frame: &Frame) -> Result<&Yielder<Value, Value>> {
    frame.yielder.as_ref().ok_or_else(type_error)
}

/// The value of a `yield_from`: a `StopIteration` that was thrown in while
/// delegating ends it, and carries the value.
fn delegated(ended: Result<Value>) -> Result<Value> {
    match ended {
        Err(error) if error.kind() == ErrorKind::StopIteration => Ok(stop_iteration_value(&error)),
        ended => ended,
    }
}

/// The value yielded; the end of the generator is a `StopIteration`, as in Python.
fn yielded(resumed: Result<Resumed<Value, Value>>) -> Result<Value> {
    match resumed? {
        Resumed::Yielded(value) => Ok(value),
        Resumed::Returned(value) => Err(stop_iteration(value)),
    }
}

fn state(generator: &ProgramGenerator) -> String {
    match generator.state() {
        GeneratorState::Created => "created".to_owned(),
        GeneratorState::Running => "running".to_owned(),
        GeneratorState::Closed => "closed".to_owned(),
        GeneratorState::Suspended => format!("suspended {}", delegation_chain(generator)),
    }
}

/// The names of the generator and of everything it delegates to.
fn delegation_chain(generator: &ProgramGenerator) -> String {
    let mut chain = generator.name();
    let mut inner = generator.yielding_from();
    while let Some(delegate) = inner {
        chain.push('>');
        chain.push_str(delegate.name().as_deref().unwrap_or("list"));
        inner = delegate.yielding_from();
    }
    chain
}
