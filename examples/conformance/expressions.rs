//! What ops are made of: expressions, conditions, errors and awaitables, as they
//! stand in a program. `frame.rs` and `awaitables.rs` evaluate them.

use std::rc::Rc;

use serde_json::Value as Json;

use crate::errors::Kind as ErrorClass;
use crate::ops::Op;
use crate::program::{Fields, Kind, Parsed, Refused};
use crate::value::Value;

pub enum Expr {
    Literal(Value),
    List(Vec<Expr>),
    Variable(String),
}

impl Expr {
    pub fn parse(json: &Json) -> Parsed<Expr> {
        Ok(match json {
            Json::Null => Expr::Literal(Value::None),
            Json::Bool(flag) => Expr::Literal(Value::Bool(*flag)),
            Json::Number(number) => Expr::Literal(Value::Int(
                number.as_i64().ok_or_else(|| Refused(format!("number {number}")))?,
            )),
            Json::String(text) => Expr::Literal(Value::text(text)),
            Json::Array(items) => Expr::List(items.iter().map(Expr::parse).collect::<Parsed<_>>()?),
            Json::Object(map) => match map.get("var").and_then(Json::as_str) {
                Some(name) => Expr::Variable(name.to_owned()),
                None => return Err(Refused("expression without var".into())),
            },
        })
    }
}

#[derive(Clone, Copy)]
pub enum Comparison {
    Same,
    Different,
    Less,
    LessOrSame,
    Greater,
    GreaterOrSame,
}

impl Comparison {
    fn parse(text: &str) -> Option<Comparison> {
        Some(match text {
            "==" => Comparison::Same,
            "!=" => Comparison::Different,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrSame,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrSame,
            _ => return None,
        })
    }
}

pub enum Condition {
    Compare(Expr, Comparison, Expr),
    /// The last error caught is of this class; with `None`: none was caught.
    LastError(Option<&'static ErrorClass>),
    Done(String),
    Not(Box<Condition>),
}

impl Condition {
    pub fn parse(json: &Json) -> Parsed<Condition> {
        let refused = || Refused(format!("condition {json}"));
        if let Some(inner) = json.get("not") {
            return Ok(Condition::Not(Box::new(Condition::parse(inner)?)));
        }
        if let Some(kind) = json.get("last_error") {
            let class = kind.as_str().map(|name| ErrorClass::named(name).ok_or_else(refused));
            return Ok(Condition::LastError(class.transpose()?));
        }
        if let Some(name) = json.get("done").and_then(Json::as_str) {
            return Ok(Condition::Done(name.to_owned()));
        }
        match json.get("cmp").and_then(Json::as_array).map(Vec::as_slice) {
            Some([left, Json::String(comparison), right]) => {
                let comparison = Comparison::parse(comparison).ok_or_else(refused)?;
                Ok(Condition::Compare(Expr::parse(left)?, comparison, Expr::parse(right)?))
            }
            _ => Err(refused()),
        }
    }
}

/// The error fields of an op: a new error, or one from a variable.
pub enum ErrorSpec {
    New { class: &'static ErrorClass, text: Option<String> },
    Variable(String),
}

impl ErrorSpec {
    pub fn parse(fields: &Fields) -> Parsed<ErrorSpec> {
        if let Some(name) = fields.optional_text("var") {
            return Ok(ErrorSpec::Variable(name));
        }
        let name = fields.text("error")?;
        let class = ErrorClass::named(&name).ok_or_else(|| fields.refuse("an error kind"))?;
        Ok(ErrorSpec::New { class, text: fields.optional_text("text") })
    }
}

/// A body and the arguments for its frame.
pub struct CoroSpec {
    pub body: String,
    pub args: Vec<(String, Expr)>,
}

pub enum Awaitable {
    Variable(String),
    Coro(CoroSpec),
    /// Shared, because the coroutine made of it may outlive the op it stands in.
    Op(Rc<Op>),
    Shield(Box<Awaitable>),
    Gather(GatherSpec),
}

pub struct GatherSpec {
    pub of: Vec<Awaitable>,
    pub return_exceptions: bool,
}

impl Awaitable {
    pub fn parse(json: &Json, kind: Kind) -> Parsed<Awaitable> {
        if let Some(name) = json.as_str() {
            return Ok(Awaitable::Variable(name.to_owned()));
        }
        let fields = Fields::of(json, kind)?;
        if fields.has("coro") && !fields.has("op") {
            return Ok(Awaitable::Coro(fields.coro("coro")?));
        }
        if fields.has("op") {
            return Ok(Awaitable::Op(Rc::new(Op::parse(json, kind)?)));
        }
        if let Some(inner) = fields.get("shield") {
            return Ok(Awaitable::Shield(Box::new(Awaitable::parse(inner, kind)?)));
        }
        if fields.has("gather") {
            return Ok(Awaitable::Gather(GatherSpec {
                of: fields.awaitables("gather")?,
                return_exceptions: fields.flag("return_exceptions"),
            }));
        }
        Err(Refused(format!("awaitable {json}")))
    }
}
