//! What can be done with a [`Transport`].

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::flow_control::{Consumer, Producer};
use crate::transports::extra::ExtraInfo;
use crate::transports::interface::{ProtocolRef, Transport};

impl Transport {
    /// Sends the bytes, or keeps them until they can be sent (`transport.write`). It
    /// never waits: who sends much heeds `pause_writing`, or uses a
    /// [`StreamWriter`](crate::StreamWriter), or [registers](Consumer::register) a
    /// producer.
    ///
    /// What is written after [`close`](Transport::close) or
    /// [`write_eof`](Transport::write_eof) is dropped, and the exception handler is
    /// told so, once; [`try_write`](Transport::try_write) gives the error. What is
    /// written after the connection was lost is dropped, as in asyncio: the protocol is
    /// told by `connection_lost`.
    #[inline]
    pub fn write(&self, data: &[u8]) {
        self.tell_refusal(self.try_write(data));
    }

    /// The same; its error is for the caller.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` after `close` or `write_eof`, or for a pipe that is only read;
    /// kind `Io` if the connection is lost.
    #[inline]
    pub fn try_write(&self, data: &[u8]) -> Result {
        self.0.try_write(data)
    }

    /// As [`write`](Transport::write), without copying what has to be kept.
    pub fn write_bytes(&self, data: Bytes) {
        self.tell_refusal(self.try_write_bytes(data));
    }

    /// The same; its error is for the caller.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Transport::try_write).
    pub fn try_write_bytes(&self, data: Bytes) -> Result {
        self.0.try_write_bytes(data)
    }

    /// Sends several pieces as one (`transport.writelines`; PEP 3153's
    /// `write_sequence`), by `writev(2)` where there is a descriptor.
    #[doc(alias = "write_sequence")]
    pub fn writelines<T: AsRef<[u8]>>(&self, pieces: impl IntoIterator<Item = T>) {
        self.tell_refusal(self.try_writelines(pieces));
    }

    /// The same; its error is for the caller.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Transport::try_write).
    pub fn try_writelines<T: AsRef<[u8]>>(&self, pieces: impl IntoIterator<Item = T>) -> Result {
        let pieces: Vec<T> = pieces.into_iter().collect();
        let pieces: Vec<&[u8]> = pieces.iter().map(AsRef::as_ref).collect();
        self.0.try_writelines(&pieces)
    }

    /// Sends what is buffered and then the end of the stream (`transport.write_eof`);
    /// receiving goes on. A second time, or while closing, it does nothing.
    pub fn write_eof(&self) {
        self.tell_refusal(self.try_write_eof());
    }

    /// The same; its error is for the caller.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if [`can_write_eof`](Transport::can_write_eof) is false.
    pub fn try_write_eof(&self) -> Result {
        self.0.try_write_eof()
    }

    /// Whether [`write_eof`](Transport::write_eof) can be used; not with TLS.
    pub fn can_write_eof(&self) -> bool {
        self.0.can_write_eof()
    }

    #[inline]
    fn tell_refusal(&self, written: Result) {
        if let Err(error) = written {
            self.refuse(error);
        }
    }

    #[cold]
    fn refuse(&self, error: Error) {
        // Of one that is lost the protocol is told.
        if error.kind() != ErrorKind::Io {
            self.0.write_refused(error);
        }
    }

    /// Sends what is buffered and ends the connection (`transport.close`). Nothing more
    /// is received. `connection_lost(None)` follows when all is sent.
    ///
    /// A peer whose bytes wait to be read gets to hear what was sent: the loop throws away
    /// what comes for up to two seconds, where asyncio would have it answered by a reset.
    /// What a peer begins to send only after that is answered by a reset by the system.
    pub fn close(&self) {
        self.0.close();
    }

    /// The same, for a reason that `connection_lost` is given: what the peer has sent is
    /// wrong, but it shall still get what was written before.
    pub fn close_with(&self, error: impl Into<Error>) {
        self.0.close_with(error.into());
    }

    /// Ends the connection at once (`transport.abort`); what is buffered is lost.
    /// `connection_lost(None)` follows.
    pub fn abort(&self) {
        self.0.abort_with(None);
    }

    /// The same, for a reason that `connection_lost` is given.
    pub fn abort_with(&self, error: impl Into<Error>) {
        self.0.abort_with(Some(error.into()));
    }

    /// Whether it is closed or about to be (`transport.is_closing`).
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    /// Whether it gives bytes to its protocol now (`transport.is_reading`).
    pub fn is_reading(&self) -> bool {
        self.0.is_reading()
    }

    /// Has it give nothing to the protocol until it is resumed
    /// (`transport.pause_reading`). The peer is held back in time, as the system's
    /// buffers fill up.
    pub fn pause_reading(&self) {
        self.0.pause_reading();
    }

    /// The opposite (`transport.resume_reading`).
    pub fn resume_reading(&self) {
        self.0.resume_reading();
    }

    /// How many bytes wait to be sent (`transport.get_write_buffer_size`).
    pub fn get_write_buffer_size(&self) -> usize {
        self.0.get_write_buffer_size()
    }

    /// The water marks in bytes, low and high (`transport.get_write_buffer_limits`).
    pub fn get_write_buffer_limits(&self) -> (usize, usize) {
        self.0.flow_control().limits()
    }

    /// Sets the water marks in bytes (`transport.set_write_buffer_limits`). Without a
    /// low one it is a quarter of the high one, without a high one it is four times the
    /// low one, without both they are asyncio's, 64 KiB and 16 KiB. With a high mark of
    /// 0, every byte that waits pauses the protocol.
    ///
    /// # Errors
    ///
    /// Kind `Value` if the low mark is above the high one.
    pub fn set_write_buffer_limits(
        &self,
        high: impl Into<Option<usize>>,
        low: impl Into<Option<usize>>,
    ) -> Result {
        self.0.flow_control().set_limits(high, low)?;
        self.0.limits_changed();
        Ok(())
    }

    /// Whose connection it is (`transport.get_extra_info`).
    pub fn get_extra_info(&self) -> ExtraInfo {
        self.0.get_extra_info()
    }

    /// Has another protocol called from now on (`transport.set_protocol`); make one by
    /// [`IntoProtocol::into_handle`](crate::IntoProtocol::into_handle). It is not told of
    /// a connection that has been made already.
    pub fn set_protocol(&self, protocol: impl Into<ProtocolRef>) {
        self.0.set_protocol(protocol.into());
    }

    /// The protocol (`transport.get_protocol`); `None` once the connection is lost.
    pub fn get_protocol(&self) -> Option<ProtocolRef> {
        self.0.get_protocol()
    }
}

impl Consumer for Transport {
    fn register(&self, producer: Rc<dyn Producer>) -> Result {
        if self.is_closing() {
            let text = "register: the transport is closed, nothing can be produced for it";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        self.0.flow_control().register(producer, Rc::new(self.clone()))
    }

    fn unregister(&self) {
        self.0.flow_control().unregister();
    }

    fn consume(&self, data: &[u8]) -> Result {
        self.try_write(data)
    }
}

impl PartialEq for Transport {
    /// Whether both are the same transport.
    fn eq(&self, other: &Transport) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Transport {}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.get_extra_info();
        f.debug_struct("Transport")
            .field("local_addr", &info.local_addr)
            .field("peer_addr", &info.peer_addr)
            .field("closing", &self.is_closing())
            .field("reading", &self.is_reading())
            .field("buffered", &self.get_write_buffer_size())
            .finish()
    }
}
