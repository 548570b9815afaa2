//! Streams over connections that are made here: TCP, Unix sockets, pipes, memory.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::incoming::DEFAULT_LIMIT;
use super::protocol::StreamReaderProtocol;
use super::reader::StreamReader;
use super::writer::StreamWriter;
use crate::base_events::get_running_loop;
use crate::connections::{Connected, Connector};
use crate::exceptions::Result;
use crate::resolver::ToAddrs;

/// Both ends of a stream.
type Ends = (StreamReader, StreamWriter);

/// A reader and the protocol that feeds it.
fn parts(limit: usize) -> Result<(StreamReader, StreamReaderProtocol)> {
    let reader = StreamReader::new(limit)?;
    let protocol = StreamReaderProtocol::new(&reader);
    Ok((reader, protocol))
}

fn ends(reader: StreamReader, connected: Connected<StreamReaderProtocol>) -> Result<Ends> {
    let (transport, protocol) = connected;
    Ok((reader, StreamWriter::new(transport, &protocol)?))
}

/// Connects by TCP (`asyncio.open_connection`). With options: [`Connector`].
///
/// The connection is closed when the writer is dropped; so keep it, and write
/// `(reader, _writer)` rather than `(reader, _)`, where nothing is to be written.
///
/// ```
/// use stackio::{open_connection, start_server};
///
/// stackio::run(|| {
///     let server = start_server(
///         |reader, writer| {
///             writer.write(&reader.readline()?);
///             Ok(())
///         },
///         "127.0.0.1:0",
///     )?;
///     let (reader, writer) = open_connection(server.local_addrs()[0])?;
///     writer.write(b"hello\n");
///     assert_eq!(reader.read_to_end()?, b"hello\n");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// As [`Connector::create_connection`].
#[track_caller]
pub fn open_connection(address: impl ToAddrs) -> Result<(StreamReader, StreamWriter)> {
    Connector::new().open_connection(address)
}

/// Connects to a Unix socket (`asyncio.open_unix_connection`).
///
/// # Errors
///
/// As [`Connector::create_unix_connection`].
#[track_caller]
pub fn open_unix_connection(path: impl AsRef<Path>) -> Result<(StreamReader, StreamWriter)> {
    Connector::new().open_unix_connection(path)
}

impl Connector {
    /// How many bytes a line may have at most that a stream's reader gives; the
    /// transport is paused when twice as many are waiting to be read. 64 KiB if this is
    /// not set.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Connector {
        self.stream_limit = Some(bytes);
        self
    }

    fn parts(&self) -> Result<(StreamReader, StreamReaderProtocol)> {
        parts(self.stream_limit.unwrap_or(DEFAULT_LIMIT))
    }

    /// Connects by TCP (`asyncio.open_connection` with options).
    ///
    /// # Errors
    ///
    /// As [`create_connection`](Connector::create_connection); kind `Value` if the limit
    /// is 0.
    #[track_caller]
    pub fn open_connection(&self, address: impl ToAddrs) -> Result<(StreamReader, StreamWriter)> {
        let (reader, protocol) = self.parts()?;
        ends(reader, self.create_connection(|| protocol, address)?)
    }

    /// Connects to a Unix socket (`asyncio.open_unix_connection` with options).
    ///
    /// # Errors
    ///
    /// As [`open_connection`](Connector::open_connection).
    #[track_caller]
    pub fn open_unix_connection(
        &self,
        path: impl AsRef<Path>,
    ) -> Result<(StreamReader, StreamWriter)> {
        let (reader, protocol) = self.parts()?;
        ends(reader, self.create_unix_connection(|| protocol, path)?)
    }

    /// Takes over a stream socket that is connected already (`asyncio.open_connection`
    /// with `sock`).
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    /// use stackio::Connector;
    ///
    /// stackio::run(|| {
    ///     let (one, two) = UnixStream::pair()?;
    ///     let (_reader, writer) = Connector::new().open_socket(one)?;
    ///     let (reader, _writer) = Connector::new().open_socket(two)?;
    ///     writer.write(b"hello\n");
    ///     assert_eq!(reader.readline()?, b"hello\n");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`adopt`](Connector::adopt); kind `Value` if the limit is 0.
    #[track_caller]
    pub fn open_socket(&self, socket: impl Into<OwnedFd>) -> Result<(StreamReader, StreamWriter)> {
        let (reader, protocol) = self.parts()?;
        ends(reader, self.adopt(|| protocol, socket)?)
    }
}

/// Reads from a pipe, a FIFO, a terminal, whatever can be waited for
/// ([`connect_read_pipe`](crate::EventLoop::connect_read_pipe) for streams). Dropping
/// the reader closes it.
///
/// # Errors
///
/// As [`connect_read_pipe`](crate::EventLoop::connect_read_pipe).
///
/// ```
/// use stackio::{open_read_pipe, open_write_pipe};
///
/// stackio::run(|| {
///     let (from, to) = std::io::pipe()?;
///     let (reader, writer) = (open_read_pipe(from)?, open_write_pipe(to)?);
///     writer.write(b"through the pipe");
///     writer.close();
///     assert_eq!(reader.read_to_end()?, b"through the pipe");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[track_caller]
pub fn open_read_pipe(pipe: impl Into<OwnedFd>) -> Result<StreamReader> {
    let (reader, protocol) = parts(DEFAULT_LIMIT)?;
    get_running_loop()?.connect_read_pipe(|| protocol, pipe)?;
    Ok(reader)
}

/// Writes to a pipe, a FIFO, a terminal
/// ([`connect_write_pipe`](crate::EventLoop::connect_write_pipe) for streams).
///
/// # Errors
///
/// As [`connect_write_pipe`](crate::EventLoop::connect_write_pipe).
#[track_caller]
pub fn open_write_pipe(pipe: impl Into<OwnedFd>) -> Result<StreamWriter> {
    let event_loop = get_running_loop()?;
    let protocol = StreamReaderProtocol::without_reader();
    let (transport, protocol) = event_loop.connect_write_pipe(|| protocol, pipe)?;
    StreamWriter::new(transport, &protocol)
}

/// Reads from one pipe and writes to another, as one connection
/// ([`connect_pipes`](crate::EventLoop::connect_pipes) for streams): the standard input
/// and output of a program that serves its parent.
///
/// # Errors
///
/// As [`connect_pipes`](crate::EventLoop::connect_pipes).
///
/// ```
/// use stackio::open_pipes;
///
/// stackio::run(|| {
///     // What is written comes back.
///     let (from, to) = std::io::pipe()?;
///     let (reader, writer) = open_pipes(from, to)?;
///     writer.write(b"there and back");
///     writer.write_eof();
///     assert_eq!(reader.read_to_end()?, b"there and back");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[track_caller]
pub fn open_pipes(
    from: impl Into<OwnedFd>,
    to: impl Into<OwnedFd>,
) -> Result<(StreamReader, StreamWriter)> {
    let (reader, protocol) = parts(DEFAULT_LIMIT)?;
    ends(reader, get_running_loop()?.connect_pipes(|| protocol, from, to)?)
}

/// Two streams joined by memory: what is written to the one is read from the other. For
/// tests and simulations, since nothing of it takes time.
///
/// ```
/// use stackio::stream_pair;
///
/// stackio::run(|| {
///     let ((reader, writer), (from, to)) = stream_pair()?;
///     writer.write(b"ping\n");
///     assert_eq!(from.readline()?, b"ping\n");
///     to.write(b"pong\n");
///     assert_eq!(reader.readline()?, b"pong\n");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// Kind `Cancelled`; kind `Runtime` outside of a task.
#[track_caller]
pub fn stream_pair() -> Result<((StreamReader, StreamWriter), (StreamReader, StreamWriter))> {
    stream_pair_with(DEFAULT_LIMIT, None)
}

/// The same, with the limit of both readers, and how many bytes come at a time at most:
/// with a `chunk` of 1 they come one by one.
///
/// # Errors
///
/// As [`stream_pair`]; kind `Value` if the limit is 0.
#[track_caller]
pub fn stream_pair_with(
    limit: usize,
    chunk: impl Into<Option<usize>>,
) -> Result<((StreamReader, StreamWriter), (StreamReader, StreamWriter))> {
    let ((near, first), (far, second)) = (parts(limit)?, parts(limit)?);
    let (first, second) = get_running_loop()?.create_pair(|| first, || second, chunk)?;
    Ok((ends(near, first)?, ends(far, second)?))
}
