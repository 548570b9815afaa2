//! Ops on futures; most of them take tasks as well.

use std::rc::Rc;

use stackio::{CallbackId, Future, Result};

use crate::errors::name_error;
use crate::frame::{Frame, Variables};
use crate::interpreter::Interpreter;
use crate::ops::FutureOp;
use crate::value::Value;

impl Interpreter {
    pub fn future_op(
        self: &Rc<Self>,
        op: &FutureOp,
        variable: Option<&str>,
        frame: &mut Frame,
    ) -> Result<Value> {
        match op {
            FutureOp::New => {
                let future = Future::new();
                self.trace.label(&future, variable);
                Ok(Value::Future(future))
            }
            FutureOp::Cancel { on, message } => {
                let future = self.future(on, frame)?;
                Ok(Value::Bool(match message {
                    Some(message) => future.cancel_with(message),
                    None => future.cancel(),
                }))
            }
            FutureOp::SetResult { on, value } => {
                let future = self.future(on, frame)?;
                future.set_result(self.value(value, frame)?).map(|()| Value::None)
            }
            FutureOp::SetException { on, error } => {
                let future = self.future(on, frame)?;
                future.set_exception(self.error(error, frame)?).map(|()| Value::None)
            }
            FutureOp::Done(on) => Ok(Value::Bool(self.future(on, frame)?.done())),
            FutureOp::Cancelled(on) => Ok(Value::Bool(self.future(on, frame)?.cancelled())),
            FutureOp::Result(on) => self.future(on, frame)?.result(),
            FutureOp::Exception(on) => {
                let exception = self.future(on, frame)?.exception()?;
                Ok(Value::optional(exception, Value::Error))
            }
            FutureOp::AddDoneCallback { on, callback } => {
                self.add_done_callback(&self.future(on, frame)?, callback)
            }
            FutureOp::RemoveDoneCallback { on, callback } => {
                let future = self.future(on, frame)?;
                let id = self.callback_id(callback)?;
                Ok(Value::count(future.remove_done_callback(id)))
            }
        }
    }

    fn add_done_callback(self: &Rc<Self>, future: &Future<Value>, name: &str) -> Result<Value> {
        let id = self.callback_id(name)?;
        let (this, name) = (self.clone(), name.to_owned());
        future.add_done_callback_with(id, move |future: &Future<Value>| {
            this.run_callback(&name, Some(future), Variables::new())
        });
        Ok(Value::None)
    }

    fn callback_id(&self, name: &str) -> Result<CallbackId> {
        if !self.program.callbacks.contains_key(name) {
            return Err(name_error());
        }
        let mut ids = self.callback_ids.borrow_mut();
        Ok(*ids.entry(name.to_owned()).or_insert_with(CallbackId::new))
    }
}
