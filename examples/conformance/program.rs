//! A program of the scenario language, parsed from JSON and checked as a whole
//! before any of it runs.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value as Json};

use crate::expressions::{Awaitable, Condition, CoroSpec, ErrorSpec, Expr};
use crate::ops::Op;

/// Why a program is not run: the op that is not known here, or what is missing.
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub type Parsed<T> = Result<T, Refused>;

/// Whether the bodies are coroutines on a loop or plain generators.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Task,
    Generator,
}

pub type Bodies = HashMap<String, Vec<Op>>;

pub struct Program {
    pub kind: Kind,
    pub eager: bool,
    pub main: Vec<Op>,
    pub coros: Bodies,
    pub callbacks: Bodies,
}

impl Program {
    pub fn parse(text: &str) -> Parsed<Program> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| Refused(format!("JSON: {error}")))?;
        let map = json.as_object().ok_or_else(|| Refused("program: not an object".into()))?;
        let kind = match map.get("kind").and_then(Json::as_str) {
            None | Some("task") => Kind::Task,
            Some("generator") => Kind::Generator,
            Some(other) => return Err(Refused(format!("kind {other}"))),
        };
        let fields = Fields { op: "program", kind, map };
        Ok(Program {
            kind,
            eager: fields.flag("eager"),
            main: fields.ops("main")?,
            coros: fields.bodies("coros")?,
            callbacks: fields.bodies("callbacks")?,
        })
    }
}

/// The fields of an op, read as the types they should have.
pub struct Fields<'a> {
    pub op: &'a str,
    pub kind: Kind,
    map: &'a Map<String, Json>,
}

impl<'a> Fields<'a> {
    pub fn of(json: &'a Json, kind: Kind) -> Parsed<Fields<'a>> {
        let map = json.as_object().ok_or_else(|| Refused("op: not an object".into()))?;
        let op = map.get("op").and_then(Json::as_str).unwrap_or_default();
        Ok(Fields { op, kind, map })
    }

    /// The same op's reader for an object inside it.
    pub fn inside(&self, json: &'a Json) -> Parsed<Fields<'a>> {
        let map = json.as_object().ok_or_else(|| self.refuse("an object"))?;
        Ok(Fields { op: self.op, kind: self.kind, map })
    }

    pub fn refuse(&self, wanted: &str) -> Refused {
        Refused(format!("{}: needs {wanted}", self.op))
    }

    /// A field's JSON; null counts as missing.
    pub fn get(&self, field: &str) -> Option<&'a Json> {
        self.map.get(field).filter(|json| !json.is_null())
    }

    /// Whether the field is there, even if it is null.
    pub fn has(&self, field: &str) -> bool {
        self.map.contains_key(field)
    }

    pub fn optional_text(&self, field: &str) -> Option<String> {
        self.get(field).and_then(Json::as_str).map(str::to_owned)
    }

    pub fn text(&self, field: &str) -> Parsed<String> {
        self.optional_text(field).ok_or_else(|| self.refuse(field))
    }

    pub fn optional_int(&self, field: &str) -> Option<i64> {
        self.get(field).and_then(Json::as_i64)
    }

    pub fn int(&self, field: &str) -> Parsed<i64> {
        self.optional_int(field).ok_or_else(|| self.refuse(field))
    }

    pub fn flag(&self, field: &str) -> bool {
        self.get(field).and_then(Json::as_bool).unwrap_or(false)
    }

    fn array(&self, field: &str) -> Parsed<&'a [Json]> {
        match self.get(field) {
            None => Ok(&[]),
            Some(json) => json.as_array().map(Vec::as_slice).ok_or_else(|| self.refuse(field)),
        }
    }

    /// A list of ops; a missing one is empty.
    pub fn ops(&self, field: &str) -> Parsed<Vec<Op>> {
        self.array(field)?.iter().map(|json| Op::parse(json, self.kind)).collect()
    }

    fn bodies(&self, field: &str) -> Parsed<Bodies> {
        let Some(json) = self.get(field) else {
            return Ok(Bodies::new());
        };
        let section = self.inside(json)?;
        section.map.keys().map(|name| Ok((name.clone(), section.ops(name)?))).collect()
    }

    pub fn names(&self, field: &str) -> Parsed<Vec<String>> {
        let names = self.array(field)?.iter();
        names.map(|name| Ok(name.as_str().ok_or_else(|| self.refuse(field))?.to_owned())).collect()
    }

    /// A list of objects, each read by `read`.
    pub fn each<T>(&self, field: &str, read: impl Fn(&Fields) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.array(field)?.iter().map(|json| read(&self.inside(json)?)).collect()
    }

    /// An expression; a missing one is None.
    pub fn expr(&self, field: &str) -> Parsed<Expr> {
        Expr::parse(self.get(field).unwrap_or(&Json::Null))
    }

    pub fn condition(&self, field: &str) -> Parsed<Condition> {
        Condition::parse(self.get(field).ok_or_else(|| self.refuse(field))?)
    }

    pub fn error(&self) -> Parsed<ErrorSpec> {
        ErrorSpec::parse(self)
    }

    pub fn args(&self) -> Parsed<Vec<(String, Expr)>> {
        let Some(json) = self.get("args") else {
            return Ok(Vec::new());
        };
        let args = self.inside(json)?.map.iter();
        args.map(|(name, expr)| Ok((name.clone(), Expr::parse(expr)?))).collect()
    }

    /// The body named by `field` with its arguments.
    pub fn coro(&self, field: &str) -> Parsed<CoroSpec> {
        Ok(CoroSpec { body: self.text(field)?, args: self.args()? })
    }

    pub fn awaitable(&self, field: &str) -> Parsed<Awaitable> {
        Awaitable::parse(self.get(field).ok_or_else(|| self.refuse(field))?, self.kind)
    }

    pub fn awaitables(&self, field: &str) -> Parsed<Vec<Awaitable>> {
        self.array(field)?.iter().map(|json| Awaitable::parse(json, self.kind)).collect()
    }
}
