//! JSON-RPC 2.0 (<https://www.jsonrpc.org/specification>) as a protocol: a message is a line.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::rc::Rc;

use serde_json::{Value, json};
use stackio::framing::{Framing, Lines};
use stackio::{Error, ErrorKind, Future, Protocol, Queue, Result, Transport};

/// The longest message, in bytes.
const LONGEST: usize = 1024 * 1024;

/// What a method gives instead of a result: a number and what it means.
pub struct Fault(pub i64, pub &'static str);

const PARSE_ERROR: Fault = Fault(-32700, "Parse error");
const INVALID_REQUEST: Fault = Fault(-32600, "Invalid Request");
pub const METHOD_NOT_FOUND: Fault = Fault(-32601, "Method not found");
pub const INVALID_PARAMS: Fault = Fault(-32602, "Invalid params");

/// What is served: methods by their name.
pub trait Service: 'static {
    /// # Errors
    ///
    /// The fault that the caller is told.
    fn call(&mut self, method: &str, params: &Value) -> std::result::Result<Value, Fault>;
}

/// One end. It serves if it has a service, and calls if it has a [`Remote`].
pub struct JsonRpc {
    lines: Lines,
    transport: Option<Transport>,
    role: Role,
    ended: Option<Future<()>>,
}

enum Role {
    Server(Box<dyn Service>),
    Client(Rc<Calls>),
}

impl JsonRpc {
    pub fn server(service: impl Service) -> JsonRpc {
        JsonRpc::new(Role::Server(Box::new(service)))
    }

    /// The protocol, and what calls by it.
    pub fn client() -> (JsonRpc, Remote) {
        let calls = Rc::new(Calls {
            transport: OnceCell::new(),
            last_id: Cell::new(0),
            waiting: RefCell::default(),
            others: Queue::new(0),
            transcript: RefCell::default(),
        });
        (JsonRpc::new(Role::Client(calls.clone())), Remote(calls))
    }

    /// Completes the future when the connection is lost.
    pub fn tell_end(mut self, ended: Future<()>) -> JsonRpc {
        self.ended = Some(ended);
        self
    }

    fn new(role: Role) -> JsonRpc {
        JsonRpc { lines: Lines::new().max_size(LONGEST), transport: None, role, ended: None }
    }
}

impl Protocol<Result> for JsonRpc {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.transport = Some(transport.clone());
        if let Role::Client(calls) = &self.role {
            let _made_once = calls.transport.set(transport.clone());
        }
        Ok(())
    }

    fn data_received(&mut self, mut data: &[u8]) -> Result {
        while let Some(line) = self.lines.decode(&mut data)? {
            match &mut self.role {
                Role::Server(service) => {
                    let answer = answer(&mut **service, line);
                    if let (Some(answer), Some(transport)) = (answer, &self.transport) {
                        transport.write(format!("{answer}\n").as_bytes());
                    }
                }
                Role::Client(calls) => calls.received(line)?,
            }
        }
        Ok(())
    }

    /// A client that does not read its answers is not listened to meanwhile.
    fn pause_writing(&mut self) -> Result {
        if let (Role::Server(_), Some(transport)) = (&self.role, &self.transport) {
            transport.pause_reading();
        }
        Ok(())
    }

    fn resume_writing(&mut self) -> Result {
        if let (Role::Server(_), Some(transport)) = (&self.role, &self.transport) {
            transport.resume_reading();
        }
        Ok(())
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        if let Role::Client(calls) = &self.role {
            calls.lost(error);
        }
        if let Some(ended) = &self.ended {
            let _nobody_waits = ended.set_result(());
        }
        Ok(())
    }
}

// -- serving --------------------------------------------------------------------------------------

/// What is to be said to a message: nothing to a notification.
fn answer(service: &mut dyn Service, line: &[u8]) -> Option<Value> {
    match serde_json::from_slice(line) {
        Err(_) => Some(refusal(&Value::Null, &PARSE_ERROR)),
        Ok(Value::Array(batch)) if batch.is_empty() => {
            Some(refusal(&Value::Null, &INVALID_REQUEST))
        }
        Ok(Value::Array(batch)) => {
            let answers: Vec<Value> =
                batch.iter().filter_map(|request| perform(service, request)).collect();
            (!answers.is_empty()).then_some(Value::Array(answers))
        }
        Ok(request) => perform(service, &request),
    }
}

fn perform(service: &mut dyn Service, request: &Value) -> Option<Value> {
    let id = request.get("id");
    let well_formed = request.get("jsonrpc") == Some(&json!("2.0"))
        && id.is_none_or(|id| id.is_string() || id.is_number() || id.is_null())
        && request.get("params").is_none_or(|params| params.is_array() || params.is_object());
    let method = request.get("method").and_then(Value::as_str);
    let Some(method) = method.filter(|_| well_formed) else {
        return Some(refusal(&Value::Null, &INVALID_REQUEST));
    };
    let outcome = service.call(method, request.get("params").unwrap_or(&Value::Null));
    // A notification has no id, and is not answered, whatever came of it.
    let id = id?;
    Some(match outcome {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(fault) => refusal(id, &fault),
    })
}

fn refusal(id: &Value, Fault(code, message): &Fault) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

// -- calling --------------------------------------------------------------------------------------

/// What the protocol of a client and its remote have in common.
struct Calls {
    transport: OnceCell<Transport>,
    last_id: Cell<u64>,
    waiting: RefCell<BTreeMap<u64, Future<Value>>>,
    /// Answers that are for no single call.
    others: Queue<Value>,
    transcript: RefCell<String>,
}

impl Calls {
    fn note(&self, arrow: &str, line: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.transcript.borrow_mut(), "{arrow} {line}");
    }

    fn received(&self, line: &[u8]) -> Result {
        self.note("<--", std::str::from_utf8(line)?);
        let answer: Value = serde_json::from_slice(line)?;
        let id = answer.get("id").and_then(Value::as_u64);
        let waiting = id.and_then(|id| self.waiting.borrow_mut().remove(&id));
        match waiting {
            Some(call) => _ = call.set_result(answer),
            None => self.others.put_nowait(answer)?,
        }
        Ok(())
    }

    /// Nobody will be answered any more.
    fn lost(&self, error: Option<Error>) {
        let error = error.unwrap_or_else(|| {
            Error::with_message(ErrorKind::Io, "the connection was closed before the answer")
        });
        self.others.shutdown(true);
        for call in self.waiting.take().into_values() {
            let _given_up = call.set_exception(error.clone());
        }
    }
}

/// The other end, for tasks to call.
pub struct Remote(Rc<Calls>);

impl Remote {
    /// Sends a line as it is.
    pub fn send(&self, line: &str) -> Result {
        let Some(transport) = self.0.transport.get() else {
            return Err(Error::with_message(ErrorKind::Runtime, "there is no connection yet"));
        };
        self.0.note("-->", line);
        transport.try_write(format!("{line}\n").as_bytes())
    }

    /// Calls a method and waits for the result.
    ///
    /// # Errors
    ///
    /// The fault that the other end tells; that the connection is lost; a cancellation.
    pub fn call(&self, method: &str, params: Value) -> Result<Value> {
        let id = self.0.last_id.get() + 1;
        self.0.last_id.set(id);
        let answered = Future::new();
        self.0.waiting.borrow_mut().insert(id, answered.clone());
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let answer = self.send(&request.to_string()).and_then(|()| answered.join());
        // It is not there any more if it was answered.
        self.0.waiting.borrow_mut().remove(&id);
        let mut answer = answer?;
        match answer.get("error") {
            Some(fault) => Err(Error::with_message(ErrorKind::Other, fault.to_string())),
            None => Ok(answer["result"].take()),
        }
    }

    /// Says something that is not answered.
    pub fn notify(&self, method: &str, params: Value) -> Result {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string())
    }

    /// The next answer to something else than a call.
    pub fn other_answer(&self) -> Result<Value> {
        self.0.others.get()
    }

    /// What was said, in both directions.
    pub fn transcript(&self) -> String {
        self.0.transcript.borrow().clone()
    }
}
