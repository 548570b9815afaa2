//! Ops on queues of the three kinds.

use std::cmp::Ordering;

use stackio::{LifoQueue, PriorityQueue, Queue, Result};

use crate::frame::Frame;
use crate::interpreter::Interpreter;
use crate::ops::{QueueKind, QueueOp};
use crate::value::{Object, Value, What};

pub enum AnyQueue {
    Fifo(Queue<Value>),
    Priority(PriorityQueue<Item>),
    Lifo(LifoQueue<Value>),
}

/// A value as a priority queue orders it.
pub struct Item(Value);

impl Item {
    fn compare(left: &Value, right: &Value) -> Ordering {
        match (left, right) {
            (Value::Int(left), Value::Int(right)) => left.cmp(right),
            (Value::Text(left), Value::Text(right)) => left.cmp(right),
            (Value::List(left), Value::List(right)) => {
                let pairs = left.iter().zip(right.iter());
                let unequal = pairs.map(|(left, right)| Item::compare(left, right));
                let first = unequal.into_iter().find(|ordering| ordering.is_ne());
                first.unwrap_or_else(|| left.len().cmp(&right.len()))
            }
            // The language has all items of one priority queue of one sort.
            _ => Ordering::Equal,
        }
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Item) -> Ordering {
        Item::compare(&self.0, &other.0)
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

/// Calls the method of the same name on whichever queue it is.
macro_rules! on_queue {
    ($queue:expr, $method:ident ( $($argument:expr),* )) => {
        match $queue {
            AnyQueue::Fifo(queue) => queue.$method($($argument),*),
            AnyQueue::Priority(queue) => queue.$method($($argument),*),
            AnyQueue::Lifo(queue) => queue.$method($($argument),*),
        }
    };
}

impl AnyQueue {
    fn new(kind: QueueKind, maxsize: usize) -> AnyQueue {
        match kind {
            QueueKind::Fifo => AnyQueue::Fifo(Queue::new(maxsize)),
            QueueKind::Priority => AnyQueue::Priority(PriorityQueue::new(maxsize)),
            QueueKind::Lifo => AnyQueue::Lifo(LifoQueue::new(maxsize)),
        }
    }

    fn put(&self, value: Value) -> Result {
        match self {
            AnyQueue::Fifo(queue) => queue.put(value),
            AnyQueue::Priority(queue) => queue.put(Item(value)),
            AnyQueue::Lifo(queue) => queue.put(value),
        }
    }

    fn put_nowait(&self, value: Value) -> Result {
        match self {
            AnyQueue::Fifo(queue) => queue.put_nowait(value),
            AnyQueue::Priority(queue) => queue.put_nowait(Item(value)),
            AnyQueue::Lifo(queue) => queue.put_nowait(value),
        }
    }

    fn get(&self) -> Result<Value> {
        match self {
            AnyQueue::Fifo(queue) => queue.get(),
            AnyQueue::Priority(queue) => queue.get().map(|item| item.0),
            AnyQueue::Lifo(queue) => queue.get(),
        }
    }

    fn get_nowait(&self) -> Result<Value> {
        match self {
            AnyQueue::Fifo(queue) => queue.get_nowait(),
            AnyQueue::Priority(queue) => queue.get_nowait().map(|item| item.0),
            AnyQueue::Lifo(queue) => queue.get_nowait(),
        }
    }
}

impl QueueOp {
    fn on(&self) -> Option<&str> {
        match self {
            QueueOp::New { .. } => None,
            QueueOp::Put { on, .. }
            | QueueOp::PutNowait { on, .. }
            | QueueOp::Get(on)
            | QueueOp::GetNowait(on)
            | QueueOp::TaskDone(on)
            | QueueOp::Join(on)
            | QueueOp::Size(on)
            | QueueOp::Empty(on)
            | QueueOp::Full(on)
            | QueueOp::Shutdown { on, .. } => Some(on),
        }
    }
}

impl Interpreter {
    pub fn queue_op(
        &self,
        op: &QueueOp,
        variable: Option<&str>,
        frame: &mut Frame,
    ) -> Result<Value> {
        let made = |kind, maxsize: i64| {
            // As in Python, a size that is not positive sets no bound.
            let queue = AnyQueue::new(kind, maxsize.try_into().unwrap_or(0));
            Ok(Value::Object(Object::new(What::Queue(queue), variable)))
        };
        let object = op.on().map(|on| self.object(on, frame)).transpose()?;
        let queue = || object.as_ref().ok_or_else(crate::errors::type_error)?.queue();
        match op {
            QueueOp::New { kind, maxsize } => made(*kind, *maxsize),
            QueueOp::Put { value, .. } => {
                let queue = queue()?;
                queue.put(self.value(value, frame)?).map(|()| Value::None)
            }
            QueueOp::PutNowait { value, .. } => {
                let queue = queue()?;
                queue.put_nowait(self.value(value, frame)?).map(|()| Value::None)
            }
            QueueOp::Get(_) => queue()?.get(),
            QueueOp::GetNowait(_) => queue()?.get_nowait(),
            QueueOp::TaskDone(_) => on_queue!(queue()?, task_done()).map(|()| Value::None),
            QueueOp::Join(_) => on_queue!(queue()?, join()).map(|()| Value::None),
            QueueOp::Size(_) => Ok(Value::count(on_queue!(queue()?, qsize()))),
            QueueOp::Empty(_) => Ok(Value::Bool(on_queue!(queue()?, empty()))),
            QueueOp::Full(_) => Ok(Value::Bool(on_queue!(queue()?, full()))),
            QueueOp::Shutdown { immediate, .. } => {
                on_queue!(queue()?, shutdown(*immediate));
                Ok(Value::None)
            }
        }
    }
}
