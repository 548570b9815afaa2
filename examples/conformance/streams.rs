//! Ops on streams that the program feeds.

use stackio::{Result, StreamReader};

use crate::errors::{assertion_error, value_error};
use crate::frame::Frame;
use crate::interpreter::Interpreter;
use crate::ops::StreamOp;
use crate::value::{Object, Value, What};

impl Interpreter {
    pub fn stream_op(&self, op: &StreamOp, variable: Option<&str>, frame: &Frame) -> Result<Value> {
        let on = |name: &str| self.object(name, frame);
        let bytes = |bytes: Vec<u8>| Value::Bytes(bytes.into());
        match op {
            StreamOp::New { limit } => {
                let reader = StreamReader::new((*limit).try_into().unwrap_or(0))?;
                Ok(Value::Object(Object::new(What::Stream(reader), variable)))
            }
            StreamOp::FeedData { on: name, data } => {
                // What Python asserts is an error of kind `Runtime` there.
                let fed = on(name)?.stream()?.feed_data(data.as_bytes());
                fed.map(|()| Value::None).map_err(|_| assertion_error())
            }
            StreamOp::FeedEof(name) => {
                on(name)?.stream()?.feed_eof();
                Ok(Value::None)
            }
            StreamOp::SetException { on: name, error } => {
                let object = on(name)?;
                object.stream()?.set_exception(self.error(error, frame)?);
                Ok(Value::None)
            }
            StreamOp::AtEof(name) => Ok(Value::Bool(on(name)?.stream()?.at_eof())),
            StreamOp::Read { on: name, number } => {
                let object = on(name)?;
                match usize::try_from(*number) {
                    Ok(number) => object.stream()?.read(number).map(bytes),
                    Err(_) => object.stream()?.read_to_end().map(bytes),
                }
            }
            StreamOp::ReadLine(name) => on(name)?.stream()?.readline().map(bytes),
            StreamOp::ReadExactly { on: name, number } => {
                let object = on(name)?;
                let stream = object.stream()?;
                let number = usize::try_from(*number).map_err(|_| value_error())?;
                stream.readexactly(number).map(bytes)
            }
            StreamOp::ReadUntil { on: name, separator } => {
                on(name)?.stream()?.readuntil(separator.as_bytes()).map(bytes)
            }
        }
    }
}
