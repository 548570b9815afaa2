//! The frame of one run of a body, and what is evaluated in it: variables,
//! expressions, conditions, errors.

use std::collections::HashMap;

use stackio::{Error, Result, Yielder};

use crate::errors::{name_error, type_error};
use crate::expressions::{Comparison, Condition, ErrorSpec, Expr};
use crate::interpreter::Interpreter;
use crate::value::{Object, Value};

pub type Variables = HashMap<String, Value>;

/// One running body: its local variables and its error-handling state.
#[derive(Default)]
pub struct Frame {
    pub locals: Variables,
    pub in_callback: bool,
    /// The last error caught in this body.
    pub last_error: Option<Error>,
    /// The error of the innermost `except` clause that is running.
    pub handling: Option<Error>,
    /// Who logs; without one it is the current task.
    pub actor: Option<String>,
    /// What a generator's body yields through.
    pub yielder: Option<Yielder<Value, Value>>,
}

impl Frame {
    pub fn with_locals(locals: Variables) -> Frame {
        Frame { locals, ..Frame::default() }
    }
}

impl Interpreter {
    pub fn assign(&self, name: &str, value: Value, frame: &mut Frame) {
        let replaced = if name.starts_with('$') {
            frame.locals.insert(name.to_owned(), value)
        } else {
            self.globals.borrow_mut().insert(name.to_owned(), value)
        };
        // Dropped only now: its destructor may come back here.
        drop(replaced);
    }

    pub fn lookup(&self, name: &str, frame: &Frame) -> Result<Value> {
        if name == "self" {
            let task = if frame.in_callback { None } else { self.current_task() };
            return task.ok_or_else(name_error);
        }
        let found = if name.starts_with('$') {
            frame.locals.get(name).cloned()
        } else {
            self.globals.borrow().get(name).cloned()
        };
        found.ok_or_else(name_error)
    }

    pub fn future(&self, name: &str, frame: &Frame) -> Result<stackio::Future<Value>> {
        match self.lookup(name, frame)? {
            Value::Future(future) => Ok(future),
            _ => Err(type_error()),
        }
    }

    pub fn task(&self, name: &str, frame: &Frame) -> Result<stackio::Task<Value>> {
        self.future(name, frame)?.as_task().ok_or_else(type_error)
    }

    pub fn object(&self, name: &str, frame: &Frame) -> Result<std::rc::Rc<Object>> {
        match self.lookup(name, frame)? {
            Value::Object(object) => Ok(object),
            _ => Err(type_error()),
        }
    }

    pub fn value(&self, expr: &Expr, frame: &Frame) -> Result<Value> {
        match expr {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Variable(name) => self.lookup(name, frame),
            Expr::List(items) => {
                let items = items.iter().map(|item| self.value(item, frame));
                Ok(Value::List(items.collect::<Result<_>>()?))
            }
        }
    }

    pub fn arguments(&self, args: &[(String, Expr)], frame: &Frame) -> Result<Variables> {
        args.iter().map(|(name, expr)| Ok((name.clone(), self.value(expr, frame)?))).collect()
    }

    /// The error that an op names, or has in a variable.
    pub fn error(&self, spec: &ErrorSpec, frame: &Frame) -> Result<Error> {
        match spec {
            ErrorSpec::New { class, text } => Ok(class.error(text.clone())),
            ErrorSpec::Variable(name) => match self.lookup(name, frame)? {
                Value::Error(error) => Ok(error),
                _ => Err(type_error()),
            },
        }
    }

    pub fn condition(&self, condition: &Condition, frame: &Frame) -> Result<bool> {
        match condition {
            Condition::Not(inner) => Ok(!self.condition(inner, frame)?),
            Condition::Done(name) => Ok(self.future(name, frame)?.done()),
            Condition::LastError(None) => Ok(frame.last_error.is_none()),
            Condition::LastError(Some(class)) => {
                Ok(frame.last_error.as_ref().is_some_and(|error| class.catches(error)))
            }
            Condition::Compare(left, comparison, right) => {
                self.compare(&self.value(left, frame)?, *comparison, &self.value(right, frame)?)
            }
        }
    }

    fn compare(&self, left: &Value, comparison: Comparison, right: &Value) -> Result<bool> {
        let same = || self.trace.render(left) == self.trace.render(right);
        Ok(match comparison {
            Comparison::Same => same(),
            Comparison::Different => !same(),
            Comparison::Less => left.as_int()? < right.as_int()?,
            Comparison::LessOrSame => left.as_int()? <= right.as_int()?,
            Comparison::Greater => left.as_int()? > right.as_int()?,
            Comparison::GreaterOrSame => left.as_int()? >= right.as_int()?,
        })
    }
}
