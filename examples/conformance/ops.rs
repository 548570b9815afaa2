//! The ops of the language, by area, with their fields. `known.rs` reads them
//! from JSON, and the file named like an area executes its ops.

use crate::errors::Kind as ErrorClass;
use crate::expressions::{Awaitable, Condition, CoroSpec, ErrorSpec, Expr, GatherSpec};

/// One op of a body.
pub enum Op {
    Control(Control),
    Value(ValueOp),
}

/// An op that has a value and leaves one line in the trace.
pub struct ValueOp {
    pub action: Action,
    /// The words its line begins with.
    pub label: String,
    /// The variable its value is assigned to (`as`).
    pub store: Option<String>,
    pub catch: bool,
    /// Whether it may suspend, which a callback must not.
    pub suspends: bool,
}

/// What a value op does: one function of the library each.
pub enum Action {
    Plain(PlainOp),
    Task(TaskOp),
    Future(FutureOp),
    Callback(CallbackOp),
    Combine(CombineOp),
    Timeout(TimeoutOp),
    Lock(LockOp),
    Queue(QueueOp),
    Stream(StreamOp),
    Generator(GeneratorOp),
}

pub enum Control {
    Log(String),
    Return(Expr),
    Break,
    Continue,
    Raise(ErrorSpec),
    Reraise,
    Try(TryOp),
    If { condition: Condition, then: Vec<Op>, otherwise: Vec<Op> },
    Repeat { times: i64, body: Vec<Op> },
    For { items: Expr, variable: Option<String>, body: Vec<Op> },
    Timeout(TimeoutBlock),
    TaskGroup { variable: Option<String>, body: Vec<Op> },
    With { on: String, body: Vec<Op> },
}

impl Control {
    /// Whether it waits in what it enters or leaves, which a callback must not.
    pub fn is_block(&self) -> bool {
        matches!(self, Control::Timeout(_) | Control::TaskGroup { .. } | Control::With { .. })
    }
}

pub struct TryOp {
    pub body: Vec<Op>,
    pub clauses: Vec<Clause>,
    pub otherwise: Vec<Op>,
    pub finally: Vec<Op>,
}

pub struct Clause {
    pub class: &'static ErrorClass,
    pub variable: Option<String>,
    pub body: Vec<Op>,
}

/// `timeout` and `timeout_at`.
pub struct TimeoutBlock {
    pub absolute: bool,
    pub ms: Option<i64>,
    pub variable: Option<String>,
    pub body: Vec<Op>,
}

pub enum PlainOp {
    Set { on: String, value: Expr },
    Add { on: String, number: i64 },
    Show(Expr),
    Time,
    Busy(i64),
    ContextSet { on: String, value: Expr },
    ContextGet(String),
}

pub enum TaskOp {
    Spawn { coro: CoroSpec, name: Option<String> },
    GroupSpawn { on: String, coro: CoroSpec, name: Option<String> },
    Call(CoroSpec),
    Await(String),
    EnsureFuture(Awaitable),
    Uncancel(String),
    Cancelling(String),
    GetName(String),
    SetName { on: String, name: String },
    CurrentTask,
    AllTasks,
}

pub enum FutureOp {
    New,
    Cancel { on: String, message: Option<String> },
    SetResult { on: String, value: Expr },
    SetException { on: String, error: ErrorSpec },
    Done(String),
    Cancelled(String),
    Result(String),
    Exception(String),
    AddDoneCallback { on: String, callback: String },
    RemoveDoneCallback { on: String, callback: String },
}

pub enum CallbackOp {
    Soon(CoroSpec),
    Later { callback: CoroSpec, ms: i64 },
    At { callback: CoroSpec, ms: i64 },
    Cancel(String),
    Cancelled(String),
    When(String),
}

pub enum CombineOp {
    Sleep { ms: i64, result: Expr },
    Gather(GatherSpec),
    Wait(WaitOp),
    WaitFor { of: Awaitable, ms: Option<i64> },
    Shield(Awaitable),
    AsCompleted { of: Vec<Awaitable>, ms: Option<i64> },
    Next(String),
    NextFuture(String),
}

pub struct WaitOp {
    pub of: Vec<String>,
    pub ms: Option<i64>,
    pub return_when: stackio::ReturnWhen,
    pub as_done: Option<String>,
    pub as_pending: Option<String>,
}

pub enum TimeoutOp {
    Reschedule { on: String, when: Deadline },
    When(String),
    Expired(String),
}

pub enum Deadline {
    In(i64),
    At(i64),
    Never,
}

pub enum LockOp {
    Lock,
    Event,
    Condition { lock: Option<String> },
    Semaphore { value: i64 },
    BoundedSemaphore { value: i64 },
    Barrier { parties: i64 },
    Acquire(String),
    Release(String),
    Locked(String),
    EventWait(String),
    EventSet(String),
    EventClear(String),
    EventIsSet(String),
    CondWait(String),
    CondWaitFor { on: String, until: Condition },
    Notify { on: String, number: i64 },
    NotifyAll(String),
    BarrierWait(String),
    BarrierReset(String),
    BarrierAbort(String),
    BarrierWaiting(String),
    BarrierBroken(String),
}

pub enum QueueOp {
    New { kind: QueueKind, maxsize: i64 },
    Put { on: String, value: Expr },
    PutNowait { on: String, value: Expr },
    Get(String),
    GetNowait(String),
    TaskDone(String),
    Join(String),
    Size(String),
    Empty(String),
    Full(String),
    Shutdown { on: String, immediate: bool },
}

#[derive(Clone, Copy)]
pub enum QueueKind {
    Fifo,
    Priority,
    Lifo,
}

pub enum StreamOp {
    New { limit: i64 },
    FeedData { on: String, data: String },
    FeedEof(String),
    SetException { on: String, error: ErrorSpec },
    AtEof(String),
    Read { on: String, number: i64 },
    ReadLine(String),
    ReadExactly { on: String, number: i64 },
    ReadUntil { on: String, separator: String },
}

pub enum GeneratorOp {
    New(CoroSpec),
    Next(String),
    Send { on: String, value: Expr },
    Throw { on: String, error: ErrorSpec },
    Close(String),
    Yield(Expr),
    YieldFrom(Delegation),
}

pub enum Delegation {
    New(CoroSpec),
    List(Expr),
    Variable(String),
}
