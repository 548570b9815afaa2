//! [`MessageProtocol`]: a protocol that calls a function with each message.
//!
//! ```text
//!   on_made   callable*   on_lost
//! ```

mod writer;

pub use writer::MessageWriter;

use std::fmt;
use std::rc::Rc;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::framing::{Chunks, Frames, Framing, Lines, Prefix};
use crate::protocols::Protocol;
use crate::reports::CallbackOutput;
use crate::transports::Transport;

type OnMade<F> = Box<dyn FnOnce(&MessageWriter<F>) -> Result>;
type OnLost = Box<dyn FnOnce(Option<Error>) -> Result>;

/// Calls `C` with each message that the framing `F` finds, and with where to answer.
///
/// [`ChunkProtocol`], [`LineProtocol`] and [`FrameProtocol`] are this with the framings
/// of this module; [`with`](MessageProtocol::with) takes one with other settings, or one
/// of your own.
///
/// What the callable returns is nothing, or a [`Result`](crate::Result) whose error ends
/// the connection as one of a [`Protocol`]'s methods does. An error of the framing - a
/// message too large, bytes that cannot be, an end of the stream within a message - is
/// the peer's: it [closes](Transport::close_with) the connection and is given to
/// [`on_lost`](MessageProtocol::on_lost), and nobody else is told.
///
/// Messages that came together are given one after the other, also if reading is paused
/// in between; after a `close` none is. A protocol that gives the connection to another
/// one after some message uses a [`Framing`] by itself, which says what came behind it.
pub struct MessageProtocol<F, C> {
    framing: F,
    callable: C,
    encoder: Rc<F>,
    writer: Option<MessageWriter<F>>,
    on_made: Option<OnMade<F>>,
    on_lost: Option<OnLost>,
    hold_back: bool,
    /// Whether this has paused reading.
    held_back: bool,
}

/// PEP 3153's chunk protocol: a delimiter, and a callable for each chunk.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::Shutdown;
/// use std::os::unix::net::UnixStream;
/// use stackio::{ChunkProtocol, blocking};
///
/// let protocol = ChunkProtocol::new(b";", |chunk, to| to.write(&chunk.to_ascii_uppercase()))?;
/// let (mut peer, stream) = UnixStream::pair()?;
/// peer.write_all(b"one;two;")?;
/// peer.shutdown(Shutdown::Write)?;
/// blocking::run(protocol, stream)?; // in a loop it would be `create_connection`
/// let mut answers = String::new();
/// peer.read_to_string(&mut answers)?;
/// assert_eq!(answers, "ONE;TWO;");
/// # Ok::<(), stackio::Error>(())
/// ```
pub type ChunkProtocol<C> = MessageProtocol<Chunks, C>;

/// Lines, and a callable for each.
pub type LineProtocol<C> = MessageProtocol<Lines, C>;

/// Frames with their length in front, and a callable for each.
pub type FrameProtocol<C> = MessageProtocol<Frames, C>;

impl<C> MessageProtocol<Chunks, C> {
    /// Chunks that end with the delimiter. For many connections make the [`Chunks`]
    /// once, and each protocol by [`with`](MessageProtocol::with) of a clone.
    ///
    /// # Errors
    ///
    /// Kind `Value` if the delimiter is empty.
    pub fn new<R: CallbackOutput>(delimiter: impl AsRef<[u8]>, callable: C) -> Result<Self>
    where
        C: FnMut(&[u8], &MessageWriter<Chunks>) -> R + 'static,
    {
        Ok(MessageProtocol::with(Chunks::new(delimiter)?, callable))
    }

    /// Writes a chunk.
    ///
    /// # Errors
    ///
    /// As [`MessageWriter::write`]; kind `Runtime` before the connection is made.
    pub fn write_chunk(&self, chunk: &[u8]) -> Result {
        self.writer()?.write(chunk)
    }
}

impl<C> MessageProtocol<Lines, C> {
    /// Lines as [`Lines::new`] has them.
    pub fn new<R: CallbackOutput>(callable: C) -> Self
    where
        C: FnMut(&[u8], &MessageWriter<Lines>) -> R + 'static,
    {
        MessageProtocol::with(Lines::new(), callable)
    }

    /// Writes a line.
    ///
    /// # Errors
    ///
    /// As [`MessageWriter::write`]; kind `Runtime` before the connection is made.
    pub fn write_line(&self, line: impl AsRef<[u8]>) -> Result {
        self.writer()?.write(line.as_ref())
    }
}

impl<C> MessageProtocol<Frames, C> {
    /// Frames as [`Frames::new`] has them.
    pub fn new<R: CallbackOutput>(prefix: Prefix, callable: C) -> Self
    where
        C: FnMut(&[u8], &MessageWriter<Frames>) -> R + 'static,
    {
        MessageProtocol::with(Frames::new(prefix), callable)
    }

    /// Writes a frame.
    ///
    /// # Errors
    ///
    /// As [`MessageWriter::write`]; kind `Runtime` before the connection is made.
    pub fn write_frame(&self, frame: &[u8]) -> Result {
        self.writer()?.write(frame)
    }
}

impl<F: Framing + Clone + 'static, C> MessageProtocol<F, C> {
    /// Messages of any framing, one that has seen nothing yet.
    ///
    /// ```
    /// use stackio::MessageProtocol;
    /// use stackio::framing::{Frames, Prefix};
    ///
    /// let frames = Frames::new(Prefix::Varint).max_size(1000);
    /// let protocol = MessageProtocol::with(frames, |frame, to| to.write(frame));
    /// ```
    pub fn with<R: CallbackOutput>(framing: F, callable: C) -> Self
    where
        C: FnMut(&[u8], &MessageWriter<F>) -> R + 'static,
    {
        MessageProtocol {
            encoder: Rc::new(framing.clone()),
            framing,
            callable,
            writer: None,
            on_made: None,
            on_lost: None,
            hold_back: true,
            held_back: false,
        }
    }

    /// Has something called when the connection is made. An error ends it.
    pub fn on_made<R: CallbackOutput>(
        mut self,
        what: impl FnOnce(&MessageWriter<F>) -> R + 'static,
    ) -> Self {
        self.on_made = Some(Box::new(|writer| what(writer).into_result()));
        self
    }

    /// Has something called when the connection has ended, with the error if there was
    /// one.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::os::unix::net::UnixStream;
    /// use stackio::framing::Lines;
    /// use stackio::{ErrorKind, LineProtocol, blocking};
    ///
    /// let (mut peer, stream) = UnixStream::pair()?;
    /// peer.write_all(b"too long\n")?;
    /// let lines = Lines::new().max_size(4);
    /// let protocol = LineProtocol::with(lines, |_, _| {})
    ///     .on_lost(|error| println!("{}", error.unwrap()));
    /// let error = blocking::run(protocol, stream).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::LimitOverrun);
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn on_lost<R: CallbackOutput>(
        mut self,
        what: impl FnOnce(Option<Error>) -> R + 'static,
    ) -> Self {
        self.on_lost = Some(Box::new(|error| what(error).into_result()));
        self
    }

    /// Whether it stops reading while the peer does not read: from
    /// [`pause_writing`](Protocol::pause_writing) to `resume_writing`. It does, unless
    /// told otherwise: a peer that asks and never reads the answers would fill the
    /// memory. Two peers that both write much unasked would then wait for each other.
    pub fn hold_back(mut self, whether: bool) -> Self {
        self.hold_back = whether;
        self
    }
}

impl<F, C> MessageProtocol<F, C> {
    /// Where messages are written to.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` before the connection is made.
    pub fn writer(&self) -> Result<&MessageWriter<F>> {
        self.writer
            .as_ref()
            .ok_or_else(|| Error::text(ErrorKind::Runtime, "the connection has not been made yet"))
    }
}

impl<F, C, R> Protocol<Result> for MessageProtocol<F, C>
where
    F: Framing + Clone + 'static,
    C: FnMut(&[u8], &MessageWriter<F>) -> R + 'static,
    R: CallbackOutput,
{
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let writer = self.writer.insert(MessageWriter::new(self.encoder.clone(), transport));
        self.on_made.take().map_or(Ok(()), |made| made(writer))
    }

    fn data_received(&mut self, mut data: &[u8]) -> Result {
        let Some(writer) = &self.writer else { return Ok(()) };
        while !writer.transport().is_closing() {
            match self.framing.decode(&mut data) {
                Ok(Some(message)) => (self.callable)(message, writer).into_result()?,
                Ok(None) => break,
                Err(error) => {
                    writer.transport().close_with(error);
                    break;
                }
            }
        }
        Ok(())
    }

    fn eof_received(&mut self) -> bool {
        if let (Err(error), Some(writer)) = (self.framing.finish(), &self.writer) {
            writer.transport().close_with(error);
        }
        false
    }

    fn pause_writing(&mut self) -> Result {
        if let (true, Some(writer)) = (self.hold_back, &self.writer) {
            self.held_back = writer.transport().is_reading();
            writer.transport().pause_reading();
        }
        Ok(())
    }

    fn resume_writing(&mut self) -> Result {
        if let (true, Some(writer)) = (std::mem::take(&mut self.held_back), &self.writer) {
            writer.transport().resume_reading();
        }
        Ok(())
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        self.on_lost.take().map_or(Ok(()), |lost| lost(error))
    }
}

impl<F: fmt::Debug, C> fmt::Debug for MessageProtocol<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageProtocol").field("framing", &self.framing).finish_non_exhaustive()
    }
}
