//! asyncio's model - Task, Future, yield - on stackful coroutines: sequential
//! code, one thread, no `async`, no `await`.
//!
//! A [`Task`] resumes its coroutine with a [`Future`]'s result; the coroutine
//! yields the next future; the [`EventLoop`] completes futures from what the
//! selector reports. Code inside a task sees nothing of it: it calls
//! `stream.read(&mut buffer)?`, and the call returns when there is something.
//!
//! ```
//! use stackio::{millis, run, sleep, spawn};
//!
//! fn count(n: u32) -> stackio::Result<u32> {
//!     sleep(millis(1))?; // suspends the task, not the thread
//!     Ok(n)
//! }
//!
//! run(|| {
//!     let a = spawn(|| count(1));
//!     let b = spawn(|| count(2));
//!     assert_eq!(a.join()? + b.join()?, 3);
//!     Ok(())
//! })?;
//! # Ok::<(), stackio::Error>(())
//! ```
//!
//! # Where to begin
//!
//! - [`run`] starts a loop, [`spawn`] a task, [`net`] has the sockets.
//! - [`gather`], [`wait`], [`timeout`], [`shield`] and [`as_completed`] put tasks
//!   together, [`task_group`] keeps them together; a [`Queue`] connects them, a
//!   [`Lock`] and its kin keep them apart.
//! - [`to_thread`] takes what blocks elsewhere; [`run_coroutine_threadsafe`] is the
//!   way back in; [`signals`] come as calls or can be waited for.
//! - A [`Protocol`] says what bytes mean, a [`Transport`] carries them (PEP 3153):
//!   [`EventLoop::create_connection`] and [`EventLoop::create_server`] make them,
//!   [`Connector`] and [`ServerBuilder`] with options. [`open_connection`] and
//!   [`start_server`] are the same as streams, [`DatagramProtocol`] is for UDP.
//! - [`tls`] is a layer on all of these, `subprocess` has child processes, [`pipes`]
//!   their ends.
//! - [`framing`] finds the messages in a stream of bytes, with or without a loop;
//!   [`MessageProtocol`] calls a function with each. [`blocking`] runs a [`Protocol`]
//!   without a loop.
//! - [`Generator`] is Python's generator, of use by itself.
//! - [`Runner`] with a [`VirtualClock`] runs a program in no time, in the same
//!   order each time; an [`Instrument`] sees every step.
//! - [`graph`] says who waits for whom and where, [debug mode](Runner::debug) which
//!   task holds everybody up.
//! - [`from_asyncio`] maps asyncio's names to the ones here; [`guide`] says how
//!   the parts fit and why, and [`guide::developing`] what to know in practice.
//!
//! # Which of the three ways to the network
//!
//! | take | where | with TLS | over TLS later (`STARTTLS`) |
//! |---|---|---|---|
//! | [`net`] | code reads from top to bottom, or a library takes std's `Read` and `Write` | [`tls::TlsStream`] around the stream | the same, when it is time |
//! | streams: [`open_connection`], [`start_server`] | so does it, and it wants lines, exact lengths, water marks, or several writers | [`Connector::tls`], [`ServerBuilder::tls`], and then their `open_connection` and `start_server` | [`StreamWriter::start_tls`] |
//! | a [`Protocol`] and its [`Transport`] | the protocol is to run over anything, in tests over memory, or most of many connections are idle: one needs no stack | the same two, and then `create_connection` and `create_server` | [`EventLoop::start_tls`] |
//!
//! All three have the same sockets below, and can be used side by side.
//!
//! # The source
//!
//! The modules stand on floors and are listed in reading order. A module imports
//! only what stands above it in this list, which a test holds them to. The names
//! are asyncio's where asyncio has the thing.
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]

// -- floor 0: words
mod panics;
mod exceptions;
mod notices;
mod conversions;
mod constants;
mod sys;
mod clock;
mod context;
mod instruments;
// -- floor 1: stacks
mod stack;
mod fiber;
mod traces;
mod yielder;
mod generator;
mod delegation;
// -- floor 2: promises
mod registry;
mod few;
mod timers;
mod reports;
mod events;
mod handles;
mod repeating;
mod slot;
mod callback_id;
mod future_core;
mod subjects;
mod callbacks;
mod futures;
mod reusable;
mod coroutines;
mod task_core;
mod steps;
mod task_cell;
mod tasks;
mod spawning;
mod deadlocks;
// -- floor 3: the loop
mod sides;
mod selectors;
mod remote;
mod watchdog;
mod housekeeping;
mod pace;
mod base_events;
mod loop_methods;
mod closing;
mod selector_events;
mod readers;
pub mod signals;
// -- floor 4: composing
mod awaitable;
mod waiters;
mod sleeping;
mod timeouts;
mod locks;
mod queues;
mod gather;
mod waits;
mod as_completed;
mod taskgroups;
mod scoped;
mod concurrent;
mod executor;
mod border;
mod threads;
mod resolver;
mod connecting;
mod sendfile;
mod builders;
mod runners;
// -- floor 5: transports
mod flow_control;
pub mod framing;
pub mod transports;
mod protocols;
mod message_protocol;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tls")]
mod sslproto;
mod connections;
mod servers;
mod datagrams;
pub mod blocking;
// -- floor 6: friendly face
pub mod net;
pub mod pipes;
mod streams;
#[cfg(feature = "process")]
pub mod subprocess;
// -- floor 7: watchers
pub mod graph;
pub mod from_asyncio;
pub mod guide;

pub use as_completed::{AsCompleted, as_completed};
pub use awaitable::{Awaitable, ensure_future};
pub use base_events::{EventLoop, get_running_loop};
pub use border::{run_coroutine_threadsafe, wrap_future};
pub use builders::LoopBuilder;
pub use callback_id::CallbackId;
pub use clock::{Instant, VirtualClock, millis, secs};
pub use concurrent::ConcurrentFuture;
pub use connections::{Connected, Connector};
pub use context::{Context, ContextVar, Token};
pub use coroutines::yield_now;
pub use datagrams::{
    DatagramConnected, DatagramEndpoint, DatagramProtocol, DatagramProtocolRef, DatagramTransport,
};
pub use delegation::{IntoIter, Iter};
pub use exceptions::{Error, ErrorKind, IncompleteRead, LimitOverrun, Result};
pub use executor::ThreadPoolExecutor;
pub use flow_control::{Consumer, FlowControl, Producer};
pub use futures::Future;
pub use gather::{Gather, gather, gather_results, gather_results_with, gather_with};
pub use generator::{Generator, Resumed};
pub use handles::{Handle, TimerHandle};
pub use instruments::{FlowEvent, FutureId, Instrument, Outcome, TaskRef};
pub use locks::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, LockGuard, LockStatistics, Semaphore,
    SemaphoreGuard,
};
pub use loop_methods::{call_at, call_later, call_soon};
pub use message_protocol::{
    ChunkProtocol, FrameProtocol, LineProtocol, MessageProtocol, MessageWriter,
};
pub use protocols::{BufferedProtocol, IntoProtocol, Protocol, ProtocolHandle};
pub use queues::{LifoQueue, PriorityQueue, Queue, QueueIter};
pub use remote::LoopHandle;
pub use reports::{CallbackOutput, ExceptionContext, ExceptionHandler, ExceptionSource};
pub use runners::{Runner, run};
pub use scoped::{Scope, ScopedTask, task_group};
pub use servers::{Server, ServerBuilder};
pub use sleeping::sleep;
pub use spawning::{TaskBuilder, spawn};
pub use stack::{DEFAULT_STACK_SIZE, StackError, StackStatistics, stack_statistics};
pub use streams::{
    StreamReader, StreamReaderProtocol, StreamWriter, open_connection, open_pipes, open_read_pipe,
    open_unix_connection, open_write_pipe, start_server, start_unix_server, stream_pair,
    stream_pair_with,
};
pub use taskgroups::TaskGroup;
pub use tasks::{AnyTask, Task, all_tasks, current_task};
pub use threads::to_thread;
pub use timeouts::{Timeout, timeout, timeout_at};
pub use traces::StackFrame;
pub use transports::{Address, ExtraInfo, ProtocolRef, Transport};
pub use waits::{AwaitedFuture, ReturnWhen, Waited, shield, wait, wait_for};
pub use yielder::{Delegate, GeneratorState, Yielder};

/// The code blocks of the README are tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
