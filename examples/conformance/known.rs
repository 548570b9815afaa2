//! The list of the ops that are known here: each area reads its ops from JSON.
//!
//! An op that no area knows is refused when the program is parsed, so that
//! nothing of such a program runs.

use crate::errors::Kind as ErrorClass;
use crate::expressions::GatherSpec;
use crate::ops::{
    Action, CallbackOp, Clause, CombineOp, Control, Deadline, Delegation, FutureOp, GeneratorOp,
    LockOp, Op, PlainOp, QueueKind, QueueOp, StreamOp, TaskOp, TimeoutBlock, TimeoutOp, TryOp,
    ValueOp, WaitOp,
};
use crate::program::{Fields, Kind, Parsed, Refused};

/// Reads an op of one area; `None` if the area has none of that name.
type Area = fn(&Fields) -> Parsed<Option<Action>>;

const TASK_AREAS: [Area; 9] =
    [plain, task, future, callback, combine, timeout, lock, queue, stream];
const GENERATOR_AREAS: [Area; 2] = [plain, generator];

/// The ops that callbacks must not use.
const SUSPENDING: [&str; 23] = [
    "call",
    "await",
    "sleep",
    "gather",
    "wait",
    "wait_for",
    "shield",
    "as_completed_next",
    "as_completed_anext",
    "acquire",
    "event_wait",
    "cond_wait",
    "cond_wait_for",
    "barrier_wait",
    "barrier_reset",
    "barrier_abort",
    "put",
    "get",
    "join",
    "read",
    "readline",
    "readexactly",
    "readuntil",
];

impl Op {
    pub fn parse(json: &serde_json::Value, kind: Kind) -> Parsed<Op> {
        let fields = Fields::of(json, kind)?;
        if let Some(control) = control(&fields)? {
            return Ok(Op::Control(control));
        }
        let areas: &[Area] = match kind {
            Kind::Task => &TASK_AREAS,
            Kind::Generator => &GENERATOR_AREAS,
        };
        for area in areas {
            if let Some(action) = area(&fields)? {
                return Ok(Op::Value(ValueOp::new(action, &fields)));
            }
        }
        Err(Refused(fields.op.to_owned()))
    }
}

impl ValueOp {
    fn new(action: Action, fields: &Fields) -> ValueOp {
        let mut label = fields.op.to_owned();
        let subject =
            ["on", "coro", "callback", "gen"].iter().find_map(|f| fields.optional_text(f));
        if let Some(subject) = subject {
            label = format!("{label} {subject}");
        } else if fields.has("list") {
            label.push_str(" list");
        }
        ValueOp {
            action,
            label,
            store: fields.optional_text("as"),
            catch: fields.flag("catch"),
            suspends: SUSPENDING.contains(&fields.op),
        }
    }
}

fn control(f: &Fields) -> Parsed<Option<Control>> {
    Ok(Some(match f.op {
        "log" => Control::Log(f.text("text")?),
        "return" => Control::Return(f.expr("value")?),
        "break" => Control::Break,
        "continue" => Control::Continue,
        "raise" => Control::Raise(f.error()?),
        "reraise" => Control::Reraise,
        "try" => Control::Try(TryOp {
            body: f.ops("body")?,
            clauses: f.each("except", clause)?,
            otherwise: f.ops("else")?,
            finally: f.ops("finally")?,
        }),
        "if" => Control::If {
            condition: f.condition("cond")?,
            then: f.ops("then")?,
            otherwise: f.ops("else")?,
        },
        "repeat" => Control::Repeat { times: f.int("times")?, body: f.ops("do")? },
        "for" => Control::For {
            items: f.expr("in")?,
            variable: f.optional_text("as"),
            body: f.ops("do")?,
        },
        "timeout" | "timeout_at" if f.kind == Kind::Task => Control::Timeout(TimeoutBlock {
            absolute: f.op == "timeout_at",
            ms: f.optional_int("ms"),
            variable: f.optional_text("as"),
            body: f.ops("body")?,
        }),
        "task_group" if f.kind == Kind::Task => {
            Control::TaskGroup { variable: f.optional_text("as"), body: f.ops("body")? }
        }
        "with" if f.kind == Kind::Task => Control::With { on: f.text("on")?, body: f.ops("body")? },
        _ => return Ok(None),
    }))
}

fn clause(f: &Fields) -> Parsed<Clause> {
    let class = ErrorClass::named(&f.text("kind")?).ok_or_else(|| f.refuse("an error kind"))?;
    Ok(Clause { class, variable: f.optional_text("as"), body: f.ops("do")? })
}

fn plain(f: &Fields) -> Parsed<Option<Action>> {
    let op = match f.op {
        "set" => PlainOp::Set { on: f.text("on")?, value: f.expr("value")? },
        "add" => PlainOp::Add { on: f.text("on")?, number: f.optional_int("n").unwrap_or(1) },
        "show" => PlainOp::Show(f.expr("value")?),
        _ if f.kind == Kind::Generator => return Ok(None),
        "time" => PlainOp::Time,
        "busy" => PlainOp::Busy(f.int("ms")?),
        "ctx_set" => PlainOp::ContextSet { on: f.text("on")?, value: f.expr("value")? },
        "ctx_get" => PlainOp::ContextGet(f.text("on")?),
        _ => return Ok(None),
    };
    Ok(Some(Action::Plain(op)))
}

fn task(f: &Fields) -> Parsed<Option<Action>> {
    let on = || f.optional_text("on").unwrap_or_else(|| "self".to_owned());
    let op = match f.op {
        "group_spawn" => TaskOp::GroupSpawn {
            on: f.text("on")?,
            coro: f.coro("coro")?,
            name: f.optional_text("name"),
        },
        "spawn" => TaskOp::Spawn { coro: f.coro("coro")?, name: f.optional_text("name") },
        "call" => TaskOp::Call(f.coro("coro")?),
        "await" => TaskOp::Await(f.text("on")?),
        "ensure_future" => TaskOp::EnsureFuture(f.awaitable("of")?),
        "uncancel" => TaskOp::Uncancel(on()),
        "cancelling" => TaskOp::Cancelling(on()),
        "get_name" => TaskOp::GetName(on()),
        "set_name" => TaskOp::SetName { on: on(), name: f.text("name")? },
        "current_task" => TaskOp::CurrentTask,
        "all_tasks" => TaskOp::AllTasks,
        _ => return Ok(None),
    };
    Ok(Some(Action::Task(op)))
}

fn future(f: &Fields) -> Parsed<Option<Action>> {
    let callback = || f.text("callback");
    let op = match f.op {
        "future" => FutureOp::New,
        "cancel" => FutureOp::Cancel { on: f.text("on")?, message: f.optional_text("msg") },
        "set_result" => FutureOp::SetResult { on: f.text("on")?, value: f.expr("value")? },
        "set_exception" => FutureOp::SetException { on: f.text("on")?, error: f.error()? },
        "done" => FutureOp::Done(f.text("on")?),
        "cancelled" => FutureOp::Cancelled(f.text("on")?),
        "result" => FutureOp::Result(f.text("on")?),
        "exception" => FutureOp::Exception(f.text("on")?),
        "add_done_callback" => {
            FutureOp::AddDoneCallback { on: f.text("on")?, callback: callback()? }
        }
        "remove_done_callback" => {
            FutureOp::RemoveDoneCallback { on: f.text("on")?, callback: callback()? }
        }
        _ => return Ok(None),
    };
    Ok(Some(Action::Future(op)))
}

fn callback(f: &Fields) -> Parsed<Option<Action>> {
    let callback = || f.coro("callback");
    let op = match f.op {
        "call_soon" => CallbackOp::Soon(callback()?),
        "call_later" => CallbackOp::Later { callback: callback()?, ms: f.int("ms")? },
        "call_at" => CallbackOp::At { callback: callback()?, ms: f.int("ms")? },
        "handle_cancel" => CallbackOp::Cancel(f.text("on")?),
        "handle_cancelled" => CallbackOp::Cancelled(f.text("on")?),
        "handle_when" => CallbackOp::When(f.text("on")?),
        _ => return Ok(None),
    };
    Ok(Some(Action::Callback(op)))
}

fn combine(f: &Fields) -> Parsed<Option<Action>> {
    let op = match f.op {
        "sleep" => CombineOp::Sleep { ms: f.int("ms")?, result: f.expr("result")? },
        "gather" => CombineOp::Gather(GatherSpec {
            of: f.awaitables("of")?,
            return_exceptions: f.flag("return_exceptions"),
        }),
        "wait" => CombineOp::Wait(WaitOp {
            of: f.names("of")?,
            ms: f.optional_int("ms"),
            return_when: return_when(f)?,
            as_done: f.optional_text("as_done"),
            as_pending: f.optional_text("as_pending"),
        }),
        "wait_for" => CombineOp::WaitFor { of: f.awaitable("of")?, ms: f.optional_int("ms") },
        "shield" => CombineOp::Shield(f.awaitable("of")?),
        "as_completed" => {
            CombineOp::AsCompleted { of: f.awaitables("of")?, ms: f.optional_int("ms") }
        }
        "as_completed_next" => CombineOp::Next(f.text("on")?),
        "as_completed_anext" => CombineOp::NextFuture(f.text("on")?),
        _ => return Ok(None),
    };
    Ok(Some(Action::Combine(op)))
}

fn return_when(f: &Fields) -> Parsed<stackio::ReturnWhen> {
    match f.optional_text("return_when").as_deref() {
        None | Some("ALL_COMPLETED") => Ok(stackio::ReturnWhen::AllCompleted),
        Some("FIRST_COMPLETED") => Ok(stackio::ReturnWhen::FirstCompleted),
        Some("FIRST_EXCEPTION") => Ok(stackio::ReturnWhen::FirstException),
        Some(_) => Err(f.refuse("return_when")),
    }
}

fn timeout(f: &Fields) -> Parsed<Option<Action>> {
    let op = match f.op {
        "reschedule" => TimeoutOp::Reschedule {
            on: f.text("on")?,
            when: match (f.optional_int("in"), f.optional_int("at")) {
                (Some(ms), _) => Deadline::In(ms),
                (None, Some(ms)) => Deadline::At(ms),
                (None, None) => Deadline::Never,
            },
        },
        "timeout_when" => TimeoutOp::When(f.text("on")?),
        "timeout_expired" => TimeoutOp::Expired(f.text("on")?),
        _ => return Ok(None),
    };
    Ok(Some(Action::Timeout(op)))
}

fn lock(f: &Fields) -> Parsed<Option<Action>> {
    let on = || f.text("on");
    let value = || f.optional_int("value").unwrap_or(1);
    let op = match f.op {
        "lock" => LockOp::Lock,
        "event" => LockOp::Event,
        "condition" => LockOp::Condition { lock: f.optional_text("lock") },
        "semaphore" => LockOp::Semaphore { value: value() },
        "bounded_semaphore" => LockOp::BoundedSemaphore { value: value() },
        "barrier" => LockOp::Barrier { parties: f.int("parties")? },
        "acquire" => LockOp::Acquire(on()?),
        "release" => LockOp::Release(on()?),
        "locked" => LockOp::Locked(on()?),
        "event_wait" => LockOp::EventWait(on()?),
        "event_set" => LockOp::EventSet(on()?),
        "event_clear" => LockOp::EventClear(on()?),
        "event_is_set" => LockOp::EventIsSet(on()?),
        "cond_wait" => LockOp::CondWait(on()?),
        "cond_wait_for" => LockOp::CondWaitFor { on: on()?, until: f.condition("until")? },
        "notify" => LockOp::Notify { on: on()?, number: f.optional_int("n").unwrap_or(1) },
        "notify_all" => LockOp::NotifyAll(on()?),
        "barrier_wait" => LockOp::BarrierWait(on()?),
        "barrier_reset" => LockOp::BarrierReset(on()?),
        "barrier_abort" => LockOp::BarrierAbort(on()?),
        "barrier_n_waiting" => LockOp::BarrierWaiting(on()?),
        "barrier_broken" => LockOp::BarrierBroken(on()?),
        _ => return Ok(None),
    };
    Ok(Some(Action::Lock(op)))
}

fn queue(f: &Fields) -> Parsed<Option<Action>> {
    let op = match f.op {
        "queue" => {
            QueueOp::New { kind: queue_kind(f)?, maxsize: f.optional_int("maxsize").unwrap_or(0) }
        }
        "put" => QueueOp::Put { on: f.text("on")?, value: f.expr("value")? },
        "put_nowait" => QueueOp::PutNowait { on: f.text("on")?, value: f.expr("value")? },
        "get" => QueueOp::Get(f.text("on")?),
        "get_nowait" => QueueOp::GetNowait(f.text("on")?),
        "task_done" => QueueOp::TaskDone(f.text("on")?),
        "join" => QueueOp::Join(f.text("on")?),
        "qsize" => QueueOp::Size(f.text("on")?),
        "empty" => QueueOp::Empty(f.text("on")?),
        "full" => QueueOp::Full(f.text("on")?),
        "queue_shutdown" => QueueOp::Shutdown { on: f.text("on")?, immediate: f.flag("immediate") },
        _ => return Ok(None),
    };
    Ok(Some(Action::Queue(op)))
}

fn stream(f: &Fields) -> Parsed<Option<Action>> {
    let on = || f.text("on");
    let op = match f.op {
        "stream" => StreamOp::New { limit: f.optional_int("limit").unwrap_or(65536) },
        "feed_data" => StreamOp::FeedData { on: on()?, data: f.text("data")? },
        "feed_eof" => StreamOp::FeedEof(on()?),
        "stream_set_exception" => StreamOp::SetException { on: on()?, error: f.error()? },
        "at_eof" => StreamOp::AtEof(on()?),
        "read" => StreamOp::Read { on: on()?, number: f.optional_int("n").unwrap_or(-1) },
        "readline" => StreamOp::ReadLine(on()?),
        "readexactly" => StreamOp::ReadExactly { on: on()?, number: f.int("n")? },
        "readuntil" => StreamOp::ReadUntil {
            on: on()?,
            separator: f.optional_text("separator").unwrap_or_else(|| "\n".to_owned()),
        },
        _ => return Ok(None),
    };
    Ok(Some(Action::Stream(op)))
}

fn queue_kind(f: &Fields) -> Parsed<QueueKind> {
    match f.optional_text("kind").as_deref() {
        None | Some("fifo") => Ok(QueueKind::Fifo),
        Some("priority") => Ok(QueueKind::Priority),
        Some("lifo") => Ok(QueueKind::Lifo),
        Some(_) => Err(f.refuse("kind")),
    }
}

fn generator(f: &Fields) -> Parsed<Option<Action>> {
    let op = match f.op {
        "gen" => GeneratorOp::New(f.coro("gen")?),
        "next" => GeneratorOp::Next(f.text("on")?),
        "send" => GeneratorOp::Send { on: f.text("on")?, value: f.expr("value")? },
        "throw" => GeneratorOp::Throw { on: f.text("on")?, error: f.error()? },
        "close" => GeneratorOp::Close(f.text("on")?),
        "yield" => GeneratorOp::Yield(f.expr("value")?),
        "yield_from" => GeneratorOp::YieldFrom(if f.has("gen") {
            Delegation::New(f.coro("gen")?)
        } else if f.has("list") {
            Delegation::List(f.expr("list")?)
        } else {
            Delegation::Variable(f.text("on")?)
        }),
        _ => return Ok(None),
    };
    Ok(Some(Action::Generator(op)))
}
