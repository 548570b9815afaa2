//! Awaitables: a future, or a coroutine that is not started yet.

use std::rc::Rc;

use stackio::{Awaitable, Future, Result, gather_results_with, gather_with, shield, spawn};

use crate::expressions::{Awaitable as Spec, GatherSpec};
use crate::frame::Frame;
use crate::interpreter::Interpreter;
use crate::value::Value;

/// What an awaitable of a program evaluates to.
pub enum Aw {
    Future(Future<Value>),
    Coroutine(Box<dyn FnOnce() -> Result<Value>>),
}

impl Awaitable for Aw {
    type Output = Value;

    fn ensure_future(self) -> Future<Value> {
        match self {
            Aw::Future(future) => future,
            Aw::Coroutine(body) => spawn(body).future(),
        }
    }

    fn await_here(self) -> Result<Value> {
        match self {
            Aw::Future(future) => future.wait(),
            Aw::Coroutine(body) => body(),
        }
    }

    fn obtain(future: &Future<Value>) -> Result<Value> {
        future.result()
    }
}

impl Interpreter {
    pub fn awaitable(self: &Rc<Self>, spec: &Spec, frame: &Frame) -> Result<Aw> {
        Ok(match spec {
            Spec::Variable(name) => Aw::Future(self.future(name, frame)?),
            Spec::Coro(coro) => Aw::Coroutine(Box::new(self.coroutine(coro, frame)?)),
            Spec::Op(op) => {
                let mut frame = Frame::with_locals(frame.locals.clone());
                let (this, op) = (self.clone(), op.clone());
                Aw::Coroutine(Box::new(move || this.single(&op, &mut frame)))
            }
            Spec::Shield(inner) => Aw::Future(shield(self.awaitable(inner, frame)?)),
            Spec::Gather(gather) => Aw::Future(self.gather(gather, frame)?),
        })
    }

    pub fn awaitables(self: &Rc<Self>, specs: &[Spec], frame: &Frame) -> Result<Vec<Aw>> {
        specs.iter().map(|spec| self.awaitable(spec, frame)).collect()
    }

    /// The gather, as a future of one value: a list.
    pub fn gather(self: &Rc<Self>, gather: &GatherSpec, frame: &Frame) -> Result<Future<Value>> {
        let awaitables = self.awaitables(&gather.of, frame)?;
        Ok(if gather.return_exceptions {
            gather_results_with(awaitables, |outcomes| {
                let value = |outcome: Result<Value>| outcome.unwrap_or_else(Value::Error);
                Value::list(outcomes.into_iter().map(value))
            })
        } else {
            gather_with(awaitables, Value::list)
        })
    }
}
