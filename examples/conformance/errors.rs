//! The error kinds of the scenario language and how they map to the library's.
//!
//! An error that a program makes is a library error whose payload is a
//! [`PyError`]; one that the library made is known by its kind.

use std::cell::RefCell;
use std::fmt;

use stackio::{Error, ErrorKind};

use crate::value::Value;

/// One error class of the language, as SPEC section 4 arranges them.
pub struct Kind {
    pub name: &'static str,
    parent: &'static str,
    /// The library's kind, or the closest one to it.
    library: ErrorKind,
}

const fn kind(name: &'static str, parent: &'static str, library: ErrorKind) -> Kind {
    Kind { name, parent, library }
}

static KINDS: [Kind; 20] = [
    kind("BaseException", "", ErrorKind::Other),
    kind("CancelledError", "BaseException", ErrorKind::Cancelled),
    kind("GeneratorExit", "BaseException", ErrorKind::GeneratorExit),
    kind("Exception", "BaseException", ErrorKind::Other),
    kind("ValueError", "Exception", ErrorKind::Value),
    kind("TypeError", "Exception", ErrorKind::Type),
    kind("NameError", "Exception", ErrorKind::Other),
    kind("AttributeError", "Exception", ErrorKind::Attribute),
    kind("AssertionError", "Exception", ErrorKind::Other),
    kind("TimeoutError", "Exception", ErrorKind::Timeout),
    kind("StopIteration", "Exception", ErrorKind::StopIteration),
    kind("InvalidStateError", "Exception", ErrorKind::InvalidState),
    kind("QueueEmpty", "Exception", ErrorKind::QueueEmpty),
    kind("QueueFull", "Exception", ErrorKind::QueueFull),
    kind("QueueShutDown", "Exception", ErrorKind::QueueShutDown),
    kind("IncompleteReadError", "Exception", ErrorKind::IncompleteRead),
    kind("LimitOverrunError", "Exception", ErrorKind::LimitOverrun),
    kind("ExceptionGroup", "Exception", ErrorKind::Group),
    kind("RuntimeError", "Exception", ErrorKind::Runtime),
    kind("BrokenBarrierError", "RuntimeError", ErrorKind::BrokenBarrier),
];

impl Kind {
    pub fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The kind of any error; `None` for one the language has no word for.
    pub fn of(error: &Error) -> Option<&'static Kind> {
        if let Some(own) = error.downcast_ref::<PyError>() {
            return Some(own.kind);
        }
        let known = KINDS.iter().filter(|kind| kind.library != ErrorKind::Other);
        known.into_iter().find(|kind| kind.library == error.kind())
    }

    /// Whether an `except` clause for this kind catches the error.
    pub fn catches(&self, error: &Error) -> bool {
        let mut class = Kind::of(error);
        while let Some(kind) = class {
            if kind.name == self.name {
                return true;
            }
            class = Kind::named(kind.parent);
        }
        false
    }

    /// A new error of this kind, as a program makes it.
    pub fn error(&'static self, text: Option<String>) -> Error {
        if self.library == ErrorKind::Cancelled {
            return text.map_or_else(Error::cancelled, Error::cancelled_with);
        }
        Error::new(self.library, PyError { kind: self, text, returned: None })
    }
}

/// What an error made by a program or by the interpreter carries.
pub struct PyError {
    pub kind: &'static Kind,
    /// The text that the program gave it.
    pub text: Option<String>,
    /// The place in [`RETURNED`] of a `StopIteration`'s value.
    returned: Option<usize>,
}

impl fmt::Debug for PyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name, self.text.as_deref().unwrap_or_default())
    }
}

impl std::error::Error for PyError {}

thread_local! {
    /// The values of `StopIteration` errors: an error can be sent to another
    /// thread and a value cannot, so the error only knows the place.
    static RETURNED: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) };
}

fn made(name: &str) -> Error {
    match Kind::named(name) {
        Some(kind) => kind.error(None),
        None => unreachable!("{name} is in the table"),
    }
}

pub fn type_error() -> Error {
    made("TypeError")
}

pub fn name_error() -> Error {
    made("NameError")
}

pub fn value_error() -> Error {
    made("ValueError")
}

pub fn assertion_error() -> Error {
    made("AssertionError")
}

pub fn runtime_error() -> Error {
    made("RuntimeError")
}

/// The error by which `next` says that a generator returned `value`.
pub fn stop_iteration(value: Value) -> Error {
    let place = RETURNED.with_borrow_mut(|returned| {
        returned.push(value);
        returned.len() - 1
    });
    let Some(kind) = Kind::named("StopIteration") else {
        unreachable!("StopIteration is in the table")
    };
    Error::new(ErrorKind::StopIteration, PyError { kind, text: None, returned: Some(place) })
}

/// The value that a `StopIteration` carries.
pub fn stop_iteration_value(error: &Error) -> Value {
    let Some(own) = error.downcast_ref::<PyError>() else {
        return Value::None;
    };
    match (own.returned, &own.text) {
        (Some(place), _) => RETURNED.with_borrow(|returned| returned[place].clone()),
        (None, Some(text)) => Value::text(text),
        (None, None) => Value::None,
    }
}

/// Forgets the values of a run that has ended.
pub fn forget_returned() {
    RETURNED.take();
}

/// Ends the run: what every op fails with once the trace is closed.
pub fn end_of_run() -> Error {
    Error::from(ErrorKind::KeyboardInterrupt)
}
