//! The application: what is served, and what is said. It is sequential code.

use serde_json::{Value, json};
use stackio::Result;

use crate::rpc::{Fault, INVALID_PARAMS, METHOD_NOT_FOUND, Remote, Service};

/// Adds, subtracts and divides, and remembers what it was told.
pub struct Hall {
    told: Vec<Value>,
}

impl Hall {
    pub fn new() -> Hall {
        Hall { told: Vec::new() }
    }
}

impl Service for Hall {
    fn call(&mut self, method: &str, params: &Value) -> std::result::Result<Value, Fault> {
        let number = |at: usize, name: &str| {
            let found = params.get(at).or_else(|| params.get(name));
            found.and_then(Value::as_i64).ok_or(INVALID_PARAMS)
        };
        match method {
            "sum" => {
                let numbers = params.as_array().ok_or(INVALID_PARAMS)?;
                let numbers: Option<Vec<i64>> = numbers.iter().map(Value::as_i64).collect();
                let sum = numbers.ok_or(INVALID_PARAMS)?.into_iter().try_fold(0, i64::checked_add);
                sum.map(Value::from).ok_or(Fault(1, "Overflow"))
            }
            "subtract" => {
                let (from, what) = (number(0, "minuend")?, number(1, "subtrahend")?);
                from.checked_sub(what).map(Value::from).ok_or(Fault(1, "Overflow"))
            }
            "divide" => {
                let (what, by) = (number(0, "dividend")?, number(1, "divisor")?);
                what.checked_div(by).map(Value::from).ok_or(Fault(2, "Division by zero"))
            }
            "tell" => {
                self.told.push(params.clone());
                Ok(Value::Null)
            }
            "told" => Ok(Value::Array(self.told.clone())),
            _ => Err(METHOD_NOT_FOUND),
        }
    }
}

/// One of everything: calls, notifications, a batch, and what is no request at all.
pub fn talk(remote: &Remote) -> Result<String> {
    assert_eq!(remote.call("subtract", json!([42, 23]))?, 19);
    assert_eq!(remote.call("subtract", json!({ "subtrahend": 23, "minuend": 42 }))?, 19);
    remote.call("divide", json!([1, 0])).expect_err("it cannot be divided by");
    remote.call("subtract", json!(["two", 1])).expect_err("it is no number");
    remote.call("multiply", json!([2, 3])).expect_err("it is not served");

    remote.notify("tell", json!({ "who": "Ada" }))?;
    remote.notify("no such method", json!([]))?; // nobody is told
    assert_eq!(remote.call("told", json!([]))?, json!([{ "who": "Ada" }]));

    let batch = json!([
        { "jsonrpc": "2.0", "id": "a", "method": "sum", "params": [1, 2, 4] },
        { "jsonrpc": "2.0", "method": "tell", "params": [7] },
        { "jsonrpc": "2.0", "id": "b", "method": "told" },
        { "who": "is no request" },
    ]);
    remote.send(&batch.to_string())?;
    assert_eq!(remote.other_answer()?.as_array().map(Vec::len), Some(3));
    remote.send("[]")?;
    remote.other_answer()?;
    remote.send(r#"{ "jsonrpc": "2.0", "method"#)?;
    remote.other_answer()?;
    Ok(remote.transcript())
}
