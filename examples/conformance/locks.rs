//! Ops on locks, events, conditions, semaphores and barriers.

use std::rc::Rc;

use stackio::Event;
use stackio::{Barrier, BoundedSemaphore, Condition, Lock, Result, Semaphore};

use crate::errors::{type_error, value_error};
use crate::frame::Frame;
use crate::interpreter::Interpreter;
use crate::ops::LockOp;
use crate::value::{Object, Value, What};

/// What can be acquired. The other objects are of the wrong type.
impl Object {
    pub fn acquire(&self) -> Result {
        match &self.what {
            What::Lock(lock) => lock.acquire(),
            What::Condition(condition) => condition.acquire(),
            What::Semaphore(semaphore) => semaphore.acquire(),
            What::BoundedSemaphore(semaphore) => semaphore.acquire(),
            _ => Err(type_error()),
        }
    }

    pub fn release(&self) -> Result {
        match &self.what {
            What::Lock(lock) => lock.release(),
            What::Condition(condition) => condition.release(),
            What::Semaphore(semaphore) => semaphore.release(),
            What::BoundedSemaphore(semaphore) => semaphore.release(),
            _ => Err(type_error()),
        }
    }

    fn locked(&self) -> Result<bool> {
        match &self.what {
            What::Lock(lock) => Ok(lock.locked()),
            What::Condition(condition) => Ok(condition.locked()),
            What::Semaphore(semaphore) => Ok(semaphore.locked()),
            What::BoundedSemaphore(semaphore) => Ok(semaphore.locked()),
            _ => Err(type_error()),
        }
    }

    fn event(&self) -> Result<&Event> {
        match &self.what {
            What::Event(event) => Ok(event),
            _ => Err(type_error()),
        }
    }

    fn condition(&self) -> Result<&Condition> {
        match &self.what {
            What::Condition(condition) => Ok(condition),
            _ => Err(type_error()),
        }
    }

    fn barrier(&self) -> Result<&Barrier> {
        match &self.what {
            What::Barrier(barrier) => Ok(barrier),
            _ => Err(type_error()),
        }
    }
}

impl Interpreter {
    pub fn lock_op(&self, op: &LockOp, variable: Option<&str>, frame: &Frame) -> Result<Value> {
        let on = |name: &str| self.object(name, frame);
        let none = |()| Value::None;
        let yes = |()| Value::Bool(true);
        match op {
            LockOp::Acquire(name) => on(name)?.acquire().map(yes),
            LockOp::Release(name) => on(name)?.release().map(none),
            LockOp::Locked(name) => on(name)?.locked().map(Value::Bool),
            LockOp::EventWait(name) => on(name)?.event()?.wait().map(yes),
            LockOp::EventSet(name) => on(name)?.event().map(Event::set).map(none),
            LockOp::EventClear(name) => on(name)?.event().map(Event::clear).map(none),
            LockOp::EventIsSet(name) => on(name)?.event().map(Event::is_set).map(Value::Bool),
            LockOp::CondWait(name) => on(name)?.condition()?.wait().map(yes),
            LockOp::CondWaitFor { on: name, until } => {
                let predicate = || {
                    let holds = self.condition(until, frame)?;
                    let word = if holds { "True" } else { "False" };
                    self.log(frame, &format!("predicate {name} -> {word}"));
                    Ok(holds)
                };
                on(name)?.condition()?.wait_for(predicate).map(yes)
            }
            LockOp::Notify { on: name, number } => {
                // As in Python, a negative number wakes nobody.
                on(name)?.condition()?.notify((*number).try_into().unwrap_or(0)).map(none)
            }
            LockOp::NotifyAll(name) => on(name)?.condition()?.notify_all().map(none),
            LockOp::BarrierWait(name) => on(name)?.barrier()?.wait().map(Value::count),
            LockOp::BarrierReset(name) => on(name)?.barrier()?.reset().map(none),
            LockOp::BarrierAbort(name) => on(name)?.barrier()?.abort().map(none),
            LockOp::BarrierWaiting(name) => Ok(Value::count(on(name)?.barrier()?.n_waiting())),
            LockOp::BarrierBroken(name) => Ok(Value::Bool(on(name)?.barrier()?.broken())),
            making => {
                let made = self.make(making, frame)?;
                Ok(Value::Object(Object::new(made, variable)))
            }
        }
    }

    fn make(&self, op: &LockOp, frame: &Frame) -> Result<What> {
        // Below zero the type here says no before the constructor could.
        let value = |value: i64| usize::try_from(value).map_err(|_| value_error());
        Ok(match op {
            LockOp::Lock => What::Lock(Rc::new(Lock::new())),
            LockOp::Event => What::Event(Event::new()),
            LockOp::Condition { lock: None } => What::Condition(Condition::new()),
            LockOp::Condition { lock: Some(name) } => match &self.object(name, frame)?.what {
                What::Lock(lock) => What::Condition(Condition::with_lock(lock.clone())),
                _ => return Err(type_error()),
            },
            LockOp::Semaphore { value: n } => What::Semaphore(Semaphore::new(value(*n)?)),
            LockOp::BoundedSemaphore { value: n } => {
                What::BoundedSemaphore(BoundedSemaphore::new(value(*n)?))
            }
            LockOp::Barrier { parties } => What::Barrier(Barrier::new(value(*parties)?)?),
            _ => return Err(type_error()),
        })
    }
}
