//! From asyncio's names to the ones here: every public name of Python 3.13's.
//!
//! "gone" is what later Pythons deprecate or remove; "none" has its reason at the
//! end. In the left column a name that begins with a dot belongs to the class before
//! it.
//!
//! The README has the short list, for the first day.
#![doc = include_str!("from_asyncio/tasks.md")]
#![doc = include_str!("from_asyncio/sharing.md")]
#![doc = include_str!("from_asyncio/loop.md")]
#![doc = include_str!("from_asyncio/network.md")]
#![doc = include_str!("from_asyncio/rest.md")]

// What the tables link to.
#[cfg(all(doc, feature = "process"))]
use crate::subprocess;
#[cfg(doc)]
use crate::{
    AnyTask, AsCompleted, Awaitable, Barrier, BoundedSemaphore, BufferedProtocol, CallbackId,
    ConcurrentFuture, Condition, Connector, DatagramEndpoint, DatagramProtocol, DatagramTransport,
    Error, ErrorKind, Event, EventLoop, ExceptionContext, ExtraInfo, Future, Generator, Handle,
    IncompleteRead, Instant, LifoQueue, LimitOverrun, Lock, LoopBuilder, LoopHandle, PriorityQueue,
    Protocol, Queue, ReturnWhen, Runner, Scope, Semaphore, Server, ServerBuilder, StreamReader,
    StreamReaderProtocol, StreamWriter, Task, TaskBuilder, TaskGroup, ThreadPoolExecutor, Timeout,
    TimerHandle, Transport, Waited, all_tasks, as_completed, call_at, call_later, call_soon,
    current_task, ensure_future, gather, gather_results, get_running_loop, graph, net,
    open_connection, open_unix_connection, pipes, run, run_coroutine_threadsafe, shield, signals,
    sleep, spawn, start_server, start_unix_server, task_group, timeout, timeout_at, to_thread,
    transports, wait, wait_for, wrap_future, yield_now,
};
