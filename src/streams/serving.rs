//! Servers that have a task for each connection.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::Path;
use std::rc::Rc;

use super::incoming::{DEFAULT_LIMIT, Incoming};
use super::outlet::Outlet;
use super::protocol::StreamReaderProtocol;
use super::reader::StreamReader;
use super::writer::StreamWriter;
use crate::events::Scheduler;
use crate::exceptions::{Error, Result};
use crate::reports::{ExceptionContext, ExceptionSource};
use crate::resolver::ToAddrs;
use crate::servers::{Handlers, Served, Server, ServerBuilder};
use crate::spawning::spawn;

/// Listens at the address, and has `callback` called for each connection that comes, in
/// a task of its own (`asyncio.start_server`). With options: [`ServerBuilder`].
///
/// When the callback returns, its writer is dropped, and so the connection is closed and
/// what was written is sent. If it fails or panics, the exception handler is told and the
/// connection is closed, which others are not concerned by; as it is if the task is
/// cancelled. An error that a peer causes by cutting the connection, a reset or a pipe that
/// is broken, is nobody's mistake: it is a `tracing` event of level debug and no report.
///
/// ```
/// use stackio::{StreamReader, StreamWriter, open_connection, start_server};
///
/// fn echo(reader: StreamReader, writer: StreamWriter) -> stackio::Result {
///     loop {
///         let data = reader.read(4096)?;
///         if data.is_empty() {
///             return Ok(());
///         }
///         writer.write(&data);
///         writer.drain()?;
///     }
/// }
///
/// stackio::run(|| {
///     let server = start_server(echo, "127.0.0.1:0")?;
///     let (reader, writer) = open_connection(server.local_addrs()[0])?;
///     writer.write(b"hello");
///     writer.write_eof();
///     assert_eq!(reader.read_to_end()?, b"hello");
///     server.close();
///     server.wait_closed()
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// As [`EventLoop::create_server`](crate::EventLoop::create_server).
#[track_caller]
pub fn start_server(
    callback: impl Fn(StreamReader, StreamWriter) -> Result + 'static,
    address: impl ToAddrs,
) -> Result<Server> {
    ServerBuilder::new().start_server(callback, address)
}

/// The same at a Unix socket (`asyncio.start_unix_server`).
///
/// # Errors
///
/// As [`EventLoop::create_unix_server`](crate::EventLoop::create_unix_server).
#[track_caller]
pub fn start_unix_server(
    callback: impl Fn(StreamReader, StreamWriter) -> Result + 'static,
    path: impl AsRef<Path>,
) -> Result<Server> {
    ServerBuilder::new().start_unix_server(callback, path)
}

impl ServerBuilder {
    /// How many bytes a line may have at most that a stream's reader gives; see
    /// [`Connector::limit`](crate::Connector::limit).
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> ServerBuilder {
        self.stream_limit = Some(bytes);
        self
    }

    /// Has `callback` called for each connection that comes (`asyncio.start_server` with
    /// options).
    ///
    /// # Errors
    ///
    /// As [`start_server`]; kind `Value` if the limit is 0.
    #[track_caller]
    pub fn start_server(
        &self,
        callback: impl Fn(StreamReader, StreamWriter) -> Result + 'static,
        address: impl ToAddrs,
    ) -> Result<Server> {
        let (builder, factory) = self.receive(callback)?;
        builder.create_server(factory, address)
    }

    /// The same at a Unix socket (`asyncio.start_unix_server` with options).
    ///
    /// # Errors
    ///
    /// As [`start_unix_server`]; kind `Value` if the limit is 0.
    #[track_caller]
    pub fn start_unix_server(
        &self,
        callback: impl Fn(StreamReader, StreamWriter) -> Result + 'static,
        path: impl AsRef<Path>,
    ) -> Result<Server> {
        let (builder, factory) = self.receive(callback)?;
        builder.create_unix_server(factory, path)
    }

    /// The same on a socket that there is, bound or listening (`asyncio.start_server`
    /// with `sock`).
    ///
    /// # Errors
    ///
    /// As [`adopt`](ServerBuilder::adopt); kind `Value` if the limit is 0.
    #[track_caller]
    pub fn start_server_on(
        &self,
        callback: impl Fn(StreamReader, StreamWriter) -> Result + 'static,
        socket: impl Into<OwnedFd>,
    ) -> Result<Server> {
        let (builder, factory) = self.receive(callback)?;
        builder.adopt(factory, socket)
    }

    /// What makes the protocols, whose tasks run the callback, and a builder for the one
    /// server whose handlers those tasks are.
    #[track_caller]
    fn receive<F>(
        &self,
        callback: F,
    ) -> Result<(ServerBuilder, impl FnMut() -> StreamReaderProtocol + use<F>)>
    where
        F: Fn(StreamReader, StreamWriter) -> Result + 'static,
    {
        let limit = self.stream_limit.unwrap_or(DEFAULT_LIMIT);
        // Whether it will do is to be known now, and not when somebody connects.
        StreamReader::new(limit)?;
        let handlers = Rc::<Handlers>::default();
        let mut builder = self.clone();
        builder.handlers = handlers.clone();
        let reception = Rc::new(Reception { callback, handlers, made_at: Location::caller() });
        let factory = move || {
            let reader = StreamReader::with_limit(limit);
            let mut protocol = StreamReaderProtocol::new(&reader);
            let (reception, outlet) = (reception.clone(), protocol.outlet().clone());
            protocol.on_made(Box::new(move |transport| {
                let place = reception.handlers.begin(outlet.clone());
                let incoming = Some(reader.incoming().clone());
                let writer = StreamWriter::of(transport.clone(), outlet, incoming);
                reception.welcome(reader, writer, place);
            }));
            protocol
        };
        Ok((builder, factory))
    }
}

/// What is done with each connection of a server.
struct Reception<F> {
    callback: F,
    handlers: Rc<Handlers>,
    made_at: &'static Location<'static>,
}

impl<F: Fn(StreamReader, StreamWriter) -> Result + 'static> Reception<F> {
    /// Has a handler begin, which has that place among those of the server.
    fn welcome(self: Rc<Self>, reader: StreamReader, writer: StreamWriter, place: usize) {
        let (made_at, incoming) = (self.made_at, reader.incoming().clone());
        let handlers = self.handlers.clone();
        let task = spawn(move || (self.callback)(reader, writer));
        task.add_done_callback(move |task| {
            handlers.end(place);
            let failed = task.exception();
            if let Ok(Some(error)) = &failed {
                let name = task.as_task().map(|task| task.name()).unwrap_or_default();
                match is_of_the_peer(error) || is_the_end_of(&incoming, error) {
                    true => tracing::debug!(%error, task = name, "a connection ended"),
                    false => report(error.clone(), name, made_at),
                }
            }
            // There may be other handles to the writer; without any it is closed already.
            if !matches!(failed, Ok(None))
                && let Some(transport) = incoming.transport()
            {
                transport.close();
            }
        });
    }
}

impl Served for Outlet {
    fn is_connected(&self) -> bool {
        !self.is_lost()
    }
}

/// Whether the peer has cut the connection, which nobody here can do anything about, and
/// which is not to fill the log. A protocol that raises it is not reported either.
fn is_of_the_peer(error: &Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.io_kind(), Some(BrokenPipe | ConnectionAborted | ConnectionReset))
}

/// Whether it is that error by which the stream has ended.
fn is_the_end_of(incoming: &Incoming, error: &Error) -> bool {
    let cut = incoming.exception().filter(|_| incoming.is_eof());
    cut.is_some_and(|cut| cut.io_kind() == error.io_kind() && cut.to_string() == error.to_string())
}

fn report(error: Error, task: String, made_at: &'static Location<'static>) {
    if let Ok(scheduler) = Scheduler::running() {
        let text = "Unhandled exception in client_connected_cb";
        let mut context = ExceptionContext::new(ExceptionSource::Callback, text);
        context.task = Some(task);
        context.created_at = Some(made_at);
        scheduler.reports().report(&context.with_exception(error));
    }
}
