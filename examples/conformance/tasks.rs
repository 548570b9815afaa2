//! Ops on tasks.

use std::rc::Rc;

use stackio::{Result, TaskBuilder, all_tasks, ensure_future, spawn};

use crate::frame::Frame;
use crate::interpreter::Interpreter;
use crate::ops::TaskOp;
use crate::value::Value;

impl Interpreter {
    pub fn task_op(
        self: &Rc<Self>,
        op: &TaskOp,
        variable: Option<&str>,
        frame: &mut Frame,
    ) -> Result<Value> {
        match op {
            TaskOp::Spawn { coro, name } => {
                let coroutine = self.coroutine(coro, frame)?;
                let task = match name {
                    Some(name) => TaskBuilder::new().name(name).spawn(coroutine),
                    None => spawn(coroutine),
                };
                Ok(Value::Future(task.future()))
            }
            TaskOp::GroupSpawn { on, coro, name } => {
                let object = self.object(on, frame)?;
                let group = object.group()?;
                let coroutine = self.coroutine(coro, frame)?;
                let task = match name {
                    Some(name) => group.spawn_built(TaskBuilder::new().name(name), coroutine)?,
                    None => group.spawn(coroutine)?,
                };
                Ok(Value::Future(task.future()))
            }
            TaskOp::Call(coro) => self.coroutine(coro, frame)?(),
            TaskOp::Await(on) => self.future(on, frame)?.wait(),
            TaskOp::EnsureFuture(of) => {
                let future = ensure_future(self.awaitable(of, frame)?);
                if future.as_task().is_none() {
                    self.trace.label(&future, variable);
                }
                Ok(Value::Future(future))
            }
            TaskOp::Uncancel(on) => Ok(Value::Int(self.task(on, frame)?.uncancel().into())),
            TaskOp::Cancelling(on) => Ok(Value::Int(self.task(on, frame)?.cancelling().into())),
            TaskOp::GetName(on) => Ok(Value::text(&self.task(on, frame)?.name())),
            TaskOp::SetName { on, name } => {
                self.task(on, frame)?.set_name(name);
                Ok(Value::None)
            }
            TaskOp::CurrentTask => Ok(self.current_task().unwrap_or_default()),
            TaskOp::AllTasks => {
                Ok(Value::list(all_tasks().iter().map(|task| Value::text(&task.name()))))
            }
        }
    }
}
