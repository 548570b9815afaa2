//! [`StreamWriter`]: a transport for tasks to write to.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;

use super::incoming::Incoming;
use super::outlet::Outlet;
use super::protocol::StreamReaderProtocol;
use crate::coroutines::{spend_operation, yield_now};
use crate::exceptions::{ErrorKind, Result};
use crate::protocols::ProtocolHandle;
use crate::transports::extra::ExtraInfo;
use crate::transports::interface::Transport;

/// Writes to a connection (`asyncio.StreamWriter`).
///
/// [`write`](StreamWriter::write) never waits; [`drain`](StreamWriter::drain) waits while
/// the peer takes less than is written. As in asyncio the two go together:
///
/// ```
/// use stackio::stream_pair;
///
/// stackio::run(|| {
///     let ((_, writer), (reader, _peer)) = stream_pair()?;
///     for number in 0..3 {
///         writer.write(format!("{number}\n").as_bytes());
///         writer.drain()?;
///     }
///     writer.close();
///     assert_eq!(reader.read_to_end()?, b"0\n1\n2\n");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// It also is a [`std::io::Write`], whose `write` does both, for code that knows nothing
/// of this crate; so `write!` and `writeln!` wait when they have to.
///
/// A handle: clones write to the same connection, since several tasks may well have
/// something to say to one peer. What one call is given stays together. When the last
/// clone is dropped the connection is closed, as by [`close`](StreamWriter::close): what
/// was written is sent, nothing more is received. So a writer is to be kept for as long
/// as the connection is read, too.
#[derive(Clone)]
pub struct StreamWriter(Rc<Writing>);

struct Writing {
    transport: RefCell<Transport>,
    outlet: Rc<Outlet>,
    incoming: Option<Rc<Incoming>>,
}

impl StreamWriter {
    /// A writer to a transport whose protocol is a [`StreamReaderProtocol`], for
    /// connections that are not made by [`open_connection`](crate::open_connection) and
    /// its kin.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` from within a callback of the protocol.
    ///
    /// ```
    /// use stackio::{StreamReader, StreamReaderProtocol, StreamWriter, get_running_loop};
    ///
    /// stackio::run(|| {
    ///     let (one, two) = std::os::unix::net::UnixStream::pair()?;
    ///     let reader = StreamReader::default();
    ///     let protocol = StreamReaderProtocol::new(&reader);
    ///     let event_loop = get_running_loop()?;
    ///     let (transport, protocol) = event_loop.connect_accepted_socket(|| protocol, one)?;
    ///     let writer = StreamWriter::new(transport, &protocol)?;
    ///     writer.write(b"hello");
    ///     # drop(two);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn new(
        transport: Transport,
        protocol: &ProtocolHandle<StreamReaderProtocol>,
    ) -> Result<StreamWriter> {
        protocol.with(|protocol| {
            let (outlet, incoming) = (protocol.outlet().clone(), protocol.incoming().cloned());
            StreamWriter::of(transport, outlet, incoming)
        })
    }

    pub(super) fn of(
        transport: Transport,
        outlet: Rc<Outlet>,
        incoming: Option<Rc<Incoming>>,
    ) -> StreamWriter {
        if let Some(incoming) = &incoming {
            incoming.writer_made();
        }
        StreamWriter(Rc::new(Writing { transport: RefCell::new(transport), outlet, incoming }))
    }

    /// Sends the bytes, or keeps them until they can be sent (`writer.write`); it never
    /// waits.
    ///
    /// What is written after [`close`](StreamWriter::close) or
    /// [`write_eof`](StreamWriter::write_eof) is dropped, and the exception handler is
    /// told so, once. What is written after the connection is lost is dropped: `drain`
    /// says so.
    #[inline]
    pub fn write(&self, data: &[u8]) {
        self.transport().write(data);
    }

    /// As [`write`](StreamWriter::write), without copying what has to be kept.
    pub fn write_bytes(&self, data: Bytes) {
        self.transport().write_bytes(data);
    }

    /// As [`write`](StreamWriter::write), several pieces as one (`writer.writelines`).
    ///
    /// ```
    /// use stackio::stream_pair;
    ///
    /// stackio::run(|| {
    ///     let ((_, writer), (reader, _peer)) = stream_pair()?;
    ///     writer.writelines(["GET / HTTP/1.1\r\n", "\r\n"]);
    ///     assert_eq!(reader.readuntil(b"\r\n\r\n")?.len(), 18);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn writelines<T: AsRef<[u8]>>(&self, pieces: impl IntoIterator<Item = T>) {
        self.transport().writelines(pieces);
    }

    /// Sends the end of the stream after what was written (`writer.write_eof`). Reading
    /// goes on: the peer can still answer.
    ///
    /// ```
    /// use stackio::{spawn, stream_pair};
    ///
    /// stackio::run(|| {
    ///     let ((reader, writer), (from, to)) = stream_pair()?;
    ///     spawn(move || {
    ///         let question = from.read_to_end()?;
    ///         to.write(&question.to_ascii_uppercase());
    ///         Ok(())
    ///     });
    ///     writer.write(b"who is there?");
    ///     writer.write_eof();
    ///     assert_eq!(reader.read_to_end()?, b"WHO IS THERE?");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn write_eof(&self) {
        self.transport().write_eof();
    }

    /// Whether [`write_eof`](StreamWriter::write_eof) can be used; not with TLS
    /// (`writer.can_write_eof`).
    pub fn can_write_eof(&self) -> bool {
        self.transport().can_write_eof()
    }

    /// Waits until the peer has taken enough of what was written for more to be
    /// (`writer.drain`). Most often nobody has to wait. Any number of tasks may.
    ///
    /// # Errors
    ///
    /// The error of the connection: the one that its reader gives, the one that ended it,
    /// or `ConnectionReset` if it has ended without one. Kind `Cancelled`; kind `Runtime`
    /// where it has to wait and nothing can.
    #[track_caller]
    pub fn drain(&self) -> Result {
        // The loop that writes without end to a peer who takes it all ends nowhere else.
        spend_operation()?;
        if let Some(incoming) = &self.0.incoming {
            incoming.check()?;
        }
        if self.is_closing() {
            // Else whoever writes on and on would never hear that it is lost.
            yield_now()?;
            self.check_not_closed_by_the_peer()?;
        }
        self.0.outlet.drain()
    }

    /// If it is the peer who closes it, what is written is dropped.
    #[cold]
    fn check_not_closed_by_the_peer(&self) -> Result {
        match self.transport().try_write(&[]) {
            Err(error) if error.kind() == ErrorKind::Io && !self.0.outlet.is_lost() => Err(error),
            _ => Ok(()),
        }
    }

    /// Closes the connection, when all that was written is sent (`writer.close`). Nothing
    /// more is received: the reader comes to its end.
    pub fn close(&self) {
        self.transport().close();
    }

    /// Whether it is closed or about to be (`writer.is_closing`).
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.transport().is_closing()
    }

    /// Waits until the connection is closed and all that was written is sent
    /// (`writer.wait_closed`).
    ///
    /// # Errors
    ///
    /// The error that ended the connection; kind `Cancelled`; kind `Runtime` where it has
    /// to wait and nothing can.
    ///
    /// ```
    /// use stackio::stream_pair;
    ///
    /// stackio::run(|| {
    ///     let ((_, writer), (reader, _peer)) = stream_pair()?;
    ///     writer.write(b"the last words");
    ///     writer.close();
    ///     writer.wait_closed()?;
    ///     assert_eq!(reader.read(100)?, b"the last words");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    #[track_caller]
    pub fn wait_closed(&self) -> Result {
        self.0.outlet.wait_closed()
    }

    /// Whose connection it is (`writer.get_extra_info`).
    pub fn get_extra_info(&self) -> ExtraInfo {
        self.transport().get_extra_info()
    }

    /// The transport (`writer.transport`), for its water marks and the like.
    #[inline]
    pub fn transport(&self) -> Transport {
        self.0.transport.borrow().clone()
    }

    #[cfg(feature = "tls")]
    pub(super) fn incoming(&self) -> Option<&Incoming> {
        self.0.incoming.as_deref()
    }

    /// Another transport carries the stream from now on, above the one before.
    #[cfg(feature = "tls")]
    pub(super) fn replace_transport(&self, transport: &Transport) {
        if let Some(incoming) = &self.0.incoming {
            incoming.replace_transport(transport);
        }
        let former = self.0.transport.replace(transport.clone());
        drop(former);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.transport.get_mut().close();
        if let Some(incoming) = &self.incoming {
            incoming.writer_gone();
        }
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter").field("transport", &self.transport()).finish_non_exhaustive()
    }
}
