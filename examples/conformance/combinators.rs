//! Ops that wait for several things, or for one with a condition.

use std::rc::Rc;

use stackio::{Future, Result, as_completed, shield, sleep, wait, wait_for};

use crate::frame::Frame;
use crate::interpreter::Interpreter;
use crate::ops::{CombineOp, WaitOp};
use crate::timeouts::duration;
use crate::value::{Object, Value, What};

impl Interpreter {
    pub fn combine_op(
        self: &Rc<Self>,
        op: &CombineOp,
        variable: Option<&str>,
        frame: &mut Frame,
    ) -> Result<Value> {
        match op {
            CombineOp::Sleep { ms, result } => {
                let result = self.value(result, frame)?;
                sleep(duration(*ms))?;
                Ok(result)
            }
            CombineOp::Gather(gather) => self.gather(gather, frame)?.wait(),
            CombineOp::Wait(op) => self.wait_op(op, frame),
            CombineOp::WaitFor { of, ms } => wait_for(self.awaitable(of, frame)?, ms.map(duration)),
            CombineOp::Shield(of) => shield(self.awaitable(of, frame)?).wait(),
            CombineOp::AsCompleted { of, ms } => {
                let iterator = as_completed(self.awaitables(of, frame)?, ms.map(duration));
                Ok(Value::Object(Object::new(What::Iterator(iterator), variable)))
            }
            CombineOp::Next(on) => {
                let object = self.object(on, frame)?;
                let mut iterator = object.iterator()?;
                iterator.next().unwrap_or(Ok(Value::Exhausted))
            }
            CombineOp::NextFuture(on) => {
                let object = self.object(on, frame)?;
                let next = object.iterator()?.next_future();
                next.map_or(Ok(Value::Exhausted), |future| future.map(Value::Future))
            }
        }
    }

    fn wait_op(&self, op: &WaitOp, frame: &mut Frame) -> Result<Value> {
        let futures = op.of.iter().map(|name| self.future(name, frame));
        let futures = futures.collect::<Result<Vec<_>>>()?;
        let waited = wait(&futures, op.ms.map(duration), op.return_when)?;
        let (done, pending) = (listed(waited.done), listed(waited.pending));
        if let Some(name) = &op.as_done {
            self.assign(name, Value::List(done.clone()), frame);
        }
        if let Some(name) = &op.as_pending {
            self.assign(name, Value::List(pending.clone()), frame);
        }
        Ok(Value::Waited { done, pending })
    }
}

fn listed(futures: Vec<Future<Value>>) -> Rc<[Value]> {
    futures.into_iter().map(Value::Future).collect()
}
