//! Ops on the timeout object of a `timeout` block, and times as programs give them.

use std::time::Duration;

use stackio::{Instant, Result, millis};

use crate::frame::Frame;
use crate::interpreter::Interpreter;
use crate::ops::{Deadline, TimeoutOp};
use crate::value::Value;

/// The instant `ms` milliseconds from `start`: before it if they are negative.
pub fn instant(start: Instant, ms: i64) -> Instant {
    Instant::from_millis(start.as_millis() + ms)
}

/// A delay; a negative one is none.
pub fn duration(ms: i64) -> Duration {
    millis(ms.try_into().unwrap_or(0))
}

impl Interpreter {
    pub fn timeout_op(&self, op: &TimeoutOp, frame: &mut Frame) -> Result<Value> {
        let (TimeoutOp::Reschedule { on, .. } | TimeoutOp::When(on) | TimeoutOp::Expired(on)) = op;
        let object = self.object(on, frame)?;
        let timeout = object.timeout()?;
        match op {
            TimeoutOp::Reschedule { when, .. } => {
                let when = match when {
                    Deadline::In(ms) => Some(instant(self.clock.now(), *ms)),
                    Deadline::At(ms) => Some(Instant::from_millis(*ms)),
                    Deadline::Never => None,
                };
                timeout.reschedule(when)?;
                Ok(Value::None)
            }
            TimeoutOp::When(_) => Ok(Value::optional(timeout.when(), Value::time)),
            TimeoutOp::Expired(_) => Ok(Value::Bool(timeout.expired())),
        }
    }
}
