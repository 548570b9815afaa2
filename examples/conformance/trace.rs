//! The trace of a run: recording events, and how values and errors are written.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use stackio::{Error, Future, IncompleteRead, LimitOverrun, Result, VirtualClock};

use crate::errors::{Kind, stop_iteration_value};
use crate::value::Value;

/// The messages of the generator protocol, which are compared.
const PROTOCOL_TEXTS: [&str; 4] = [
    "generator already executing",
    "generator ignored GeneratorExit",
    "generator raised StopIteration",
    "can't send non-None value to a just-started generator",
];

/// Collects the lines; once closed it takes no more.
pub struct Trace {
    clock: VirtualClock,
    lines: RefCell<Vec<String>>,
    closed: Cell<bool>,
    /// The labels of futures that are no tasks. Keeping the futures keeps their
    /// identities from being used again.
    labels: RefCell<HashMap<Future<Value>, String>>,
}

impl Trace {
    pub fn new(clock: VirtualClock) -> Trace {
        Trace {
            clock,
            lines: RefCell::default(),
            closed: Cell::new(false),
            labels: RefCell::default(),
        }
    }

    pub fn event(&self, actor: &str, text: &str) {
        if !self.closed.get() {
            let now = self.clock.now().as_millis();
            self.lines.borrow_mut().push(format!("{now} {actor} {text}"));
        }
    }

    pub fn close(&self) {
        self.closed.set(true);
    }

    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// The lines, and an end to everything the trace keeps alive.
    pub fn take_lines(&self) -> Vec<String> {
        drop(self.labels.take());
        self.lines.take()
    }

    /// Labels a new future with the variable it goes to; the first label stays.
    pub fn label(&self, future: &Future<Value>, variable: Option<&str>) {
        let label = format!("future({})", variable.unwrap_or("_"));
        self.labels.borrow_mut().entry(future.clone()).or_insert(label);
    }

    pub fn render(&self, value: &Value) -> String {
        match value {
            Value::None => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Int(number) => number.to_string(),
            Value::Text(text) => quote(text),
            Value::Bytes(bytes) => render_bytes(bytes),
            Value::List(items) => self.render_all(items),
            Value::Error(error) => self.render_error(error),
            Value::Future(future) => self.render_future(future),
            Value::Object(object) => object.label.clone(),
            Value::Waited { done, pending } => {
                format!("done={} pending={}", self.render_all(done), self.render_all(pending))
            }
            Value::Exhausted => "exhausted".to_owned(),
        }
    }

    fn render_all(&self, items: &[Value]) -> String {
        let items: Vec<_> = items.iter().map(|item| self.render(item)).collect();
        format!("[{}]", items.join(", "))
    }

    fn render_future(&self, future: &Future<Value>) -> String {
        if let Some(task) = future.as_task() {
            return format!("task({})", task.name());
        }
        self.labels.borrow().get(future).cloned().unwrap_or_else(|| "future(_)".to_owned())
    }

    pub fn render_error(&self, error: &Error) -> String {
        let Some(kind) = Kind::of(error) else {
            return format!("{:?}<{error}>", error.kind());
        };
        let name = kind.name;
        match name {
            "ExceptionGroup" => {
                let errors: Vec<_> = error.errors().iter().map(|e| self.render_error(e)).collect();
                format!("{name}[{}]", errors.join(", "))
            }
            "CancelledError" => match error.message() {
                None | Some("") => name.to_owned(),
                Some(message) => format!("{name}({})", quote(message)),
            },
            "IncompleteReadError" => match error.downcast_ref::<IncompleteRead>() {
                Some(IncompleteRead { partial, expected }) => {
                    let expected = expected.map_or("None".to_owned(), |n| n.to_string());
                    format!("{name}(partial={}, expected={expected})", render_bytes(partial))
                }
                None => name.to_owned(),
            },
            "LimitOverrunError" => match error.downcast_ref::<LimitOverrun>() {
                Some(LimitOverrun { consumed }) => format!("{name}(consumed={consumed})"),
                None => name.to_owned(),
            },
            "StopIteration" => format!("{name}({})", self.render(&stop_iteration_value(error))),
            _ => match (own_text(error), error.message()) {
                (Some(text), _) => format!("{name}({})", quote(text)),
                (None, Some(text)) if PROTOCOL_TEXTS.contains(&text) => format!("{name}<{text}>"),
                _ => name.to_owned(),
            },
        }
    }

    /// ` -> VALUE` or ` !! ERROR`, as outcomes are written.
    pub fn render_outcome(&self, outcome: &Result<Value>) -> String {
        match outcome {
            Ok(value) => format!("-> {}", self.render(value)),
            Err(error) => format!("!! {}", self.render_error(error)),
        }
    }
}

fn own_text(error: &Error) -> Option<&str> {
    error.downcast_ref::<crate::errors::PyError>()?.text.as_deref()
}

/// Bytes are always ASCII in the language.
fn render_bytes(bytes: &[u8]) -> String {
    format!("b{}", quote(&String::from_utf8_lossy(bytes)))
}

fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
