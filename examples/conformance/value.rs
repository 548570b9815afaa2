//! The values of programs: what variables hold and ops return.

use std::rc::Rc;

use stackio::Event;
use stackio::{
    AsCompleted, Barrier, BoundedSemaphore, Condition, Error, Future, Generator, Handle, Instant,
    Lock, Result, Semaphore, StreamReader, TaskGroup, Timeout, TimerHandle,
};

use crate::errors::type_error;
use crate::queues::AnyQueue;

#[derive(Clone, Default)]
pub enum Value {
    #[default]
    None,
    Bool(bool),
    Int(i64),
    Text(Rc<str>),
    /// What streams give.
    Bytes(Rc<[u8]>),
    List(Rc<[Value]>),
    Error(Error),
    /// A task, too: `as_task` tells.
    Future(Future<Value>),
    Object(Rc<Object>),
    /// What `wait` returns.
    Waited {
        done: Rc<[Value]>,
        pending: Rc<[Value]>,
    },
    /// What `as_completed_next` returns when no step is left.
    Exhausted,
}

impl Value {
    pub fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    pub fn count(number: usize) -> Value {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    pub fn time(instant: Instant) -> Value {
        Value::Int(instant.as_millis())
    }

    /// `None`, or whatever the option holds.
    pub fn optional<T>(option: Option<T>, value: impl FnOnce(T) -> Value) -> Value {
        option.map_or(Value::None, value)
    }

    pub fn list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(items.into_iter().collect())
    }

    pub fn as_list(&self) -> Result<Rc<[Value]>> {
        match self {
            Value::List(items) => Ok(items.clone()),
            _ => Err(type_error()),
        }
    }

    pub fn as_int(&self) -> Result<i64> {
        match self {
            Value::Int(number) => Ok(*number),
            _ => Err(type_error()),
        }
    }
}

/// The body of a program's generator.
pub type ProgramGenerator = Generator<Value, Value, Value>;

/// An object of the library that is no future, with the label it keeps.
pub struct Object {
    pub label: String,
    pub what: What,
}

pub enum What {
    Handle(Handle),
    Timer(TimerHandle),
    Timeout(Timeout),
    Group(TaskGroup),
    Lock(Rc<Lock>),
    Event(Event),
    Condition(Condition),
    Semaphore(Semaphore),
    BoundedSemaphore(BoundedSemaphore),
    Barrier(Barrier),
    Queue(AnyQueue),
    Stream(StreamReader),
    Iterator(AsCompleted<Value>),
    Generator(ProgramGenerator),
}

impl What {
    fn word(&self) -> &'static str {
        match self {
            What::Handle(_) | What::Timer(_) => "handle",
            What::Timeout(_) => "timeout",
            What::Group(_) => "group",
            What::Lock(_) => "lock",
            What::Event(_) => "event",
            What::Condition(_) => "condition",
            What::Semaphore(_) | What::BoundedSemaphore(_) => "semaphore",
            What::Barrier(_) => "barrier",
            What::Queue(_) => "queue",
            What::Stream(_) => "stream",
            What::Iterator(_) => "iterator",
            What::Generator(_) => "generator",
        }
    }
}

impl Object {
    /// An object that is labelled with the variable it goes to.
    pub fn new(what: What, variable: Option<&str>) -> Rc<Object> {
        let label = format!("{}({})", what.word(), variable.unwrap_or("_"));
        Rc::new(Object { label, what })
    }

    pub fn timeout(&self) -> Result<&Timeout> {
        match &self.what {
            What::Timeout(timeout) => Ok(timeout),
            _ => Err(type_error()),
        }
    }

    pub fn group(&self) -> Result<&TaskGroup> {
        match &self.what {
            What::Group(group) => Ok(group),
            _ => Err(type_error()),
        }
    }

    pub fn queue(&self) -> Result<&AnyQueue> {
        match &self.what {
            What::Queue(queue) => Ok(queue),
            _ => Err(type_error()),
        }
    }

    pub fn stream(&self) -> Result<&StreamReader> {
        match &self.what {
            What::Stream(stream) => Ok(stream),
            _ => Err(type_error()),
        }
    }

    pub fn iterator(&self) -> Result<&AsCompleted<Value>> {
        match &self.what {
            What::Iterator(iterator) => Ok(iterator),
            _ => Err(type_error()),
        }
    }

    pub fn generator(&self) -> Result<&ProgramGenerator> {
        match &self.what {
            What::Generator(generator) => Ok(generator),
            _ => Err(type_error()),
        }
    }
}
