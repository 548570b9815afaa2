//! Ops that schedule callbacks on the loop, and the running of callbacks.

use std::rc::Rc;

use stackio::{Future, Result, get_running_loop};

use crate::errors::{name_error, type_error};
use crate::expressions::CoroSpec;
use crate::frame::{Frame, Variables};
use crate::interpreter::Interpreter;
use crate::ops::CallbackOp;
use crate::timeouts::{duration, instant};
use crate::value::{Object, Value, What};

impl Interpreter {
    pub fn callback_op(
        self: &Rc<Self>,
        op: &CallbackOp,
        variable: Option<&str>,
        frame: &mut Frame,
    ) -> Result<Value> {
        let made = |what| Ok(Value::Object(Object::new(what, variable)));
        match op {
            CallbackOp::Soon(callback) => {
                let callback = self.callback(callback, frame)?;
                made(What::Handle(get_running_loop()?.call_soon(callback)))
            }
            CallbackOp::Later { callback, ms } => {
                let callback = self.callback(callback, frame)?;
                let events = get_running_loop()?;
                made(What::Timer(if *ms < 0 {
                    events.call_at(instant(events.time(), *ms), callback)
                } else {
                    events.call_later(duration(*ms), callback)
                }))
            }
            CallbackOp::At { callback, ms } => {
                let callback = self.callback(callback, frame)?;
                let when = stackio::Instant::from_millis(*ms);
                made(What::Timer(get_running_loop()?.call_at(when, callback)))
            }
            CallbackOp::Cancel(on) | CallbackOp::Cancelled(on) | CallbackOp::When(on) => {
                handle_op(op, &self.object(on, frame)?.what)
            }
        }
    }

    /// The function for the loop to call, with its arguments evaluated now.
    fn callback(
        self: &Rc<Self>,
        callback: &CoroSpec,
        frame: &Frame,
    ) -> Result<impl FnOnce() -> Result + use<>> {
        if !self.program.callbacks.contains_key(&callback.body) {
            return Err(name_error());
        }
        let args = self.arguments(&callback.args, frame)?;
        let (this, name) = (self.clone(), callback.body.clone());
        Ok(move || this.run_callback(&name, None, args))
    }

    /// Runs a callback; the future is the one whose done callback it is.
    pub fn run_callback(
        self: &Rc<Self>,
        name: &str,
        future: Option<&Future<Value>>,
        args: Variables,
    ) -> Result {
        let mut frame = Frame { in_callback: true, ..Frame::with_locals(args) };
        let mut text = format!("callback {name}");
        if let Some(future) = future {
            let future = Value::Future(future.clone());
            text = format!("{text} {}", self.trace.render(&future));
            frame.locals.insert("$fut".to_owned(), future);
        }
        self.log(&frame, &text);
        self.block(&self.program.callbacks[name], &mut frame).map(drop)
    }
}

/// An op on a handle or a timer's handle.
fn handle_op(op: &CallbackOp, what: &What) -> Result<Value> {
    match (op, what) {
        (CallbackOp::Cancel(_), What::Handle(handle)) => handle.cancel(),
        (CallbackOp::Cancel(_), What::Timer(timer)) => timer.cancel(),
        (CallbackOp::Cancelled(_), What::Handle(handle)) => {
            return Ok(Value::Bool(handle.cancelled()));
        }
        (CallbackOp::Cancelled(_), What::Timer(timer)) => {
            return Ok(Value::Bool(timer.cancelled()));
        }
        (CallbackOp::When(_), What::Timer(timer)) => return Ok(Value::time(timer.when())),
        _ => return Err(type_error()),
    }
    Ok(Value::None)
}
