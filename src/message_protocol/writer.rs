//! [`MessageWriter`]: where the messages of a connection are written to.

use std::fmt;
use std::rc::Rc;

use crate::exceptions::Result;
use crate::framing::Framing;
use crate::transports::Transport;

/// The other direction of a [`MessageProtocol`](super::MessageProtocol): writes messages
/// to its transport.
///
/// A handle; clones write to the same connection. One may be kept to write later: from
/// a task, or when another connection has something.
pub struct MessageWriter<F> {
    framing: Rc<F>,
    transport: Transport,
}

impl<F: Framing> MessageWriter<F> {
    pub(super) fn new(framing: Rc<F>, transport: &Transport) -> MessageWriter<F> {
        MessageWriter { framing, transport: transport.clone() }
    }

    /// Writes a message, with what marks its end. It never waits, unless the transport
    /// is one that does.
    ///
    /// # Errors
    ///
    /// As [`Framing::encode_into`], which writes nothing; as
    /// [`Transport::try_write`].
    ///
    /// ```
    /// use std::io::Read;
    /// use std::os::unix::net::UnixStream;
    /// use stackio::{LineProtocol, blocking};
    ///
    /// let (mut peer, stream) = UnixStream::pair()?;
    /// let protocol = LineProtocol::new(|_, _| {}).on_made(|to| {
    ///     assert!(to.write(b"two\nlines").is_err());
    ///     to.write(b"one line")?;
    ///     to.transport().close();
    ///     Ok(())
    /// });
    /// blocking::run(protocol, stream)?;
    /// let mut written = String::new();
    /// peer.read_to_string(&mut written)?;
    /// assert_eq!(written, "one line\n");
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn write(&self, message: &[u8]) -> Result {
        self.transport.try_write_bytes(self.framing.encode(message)?.into())
    }
}

impl<F> MessageWriter<F> {
    /// What the messages are written to.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }
}

impl<F> Clone for MessageWriter<F> {
    fn clone(&self) -> MessageWriter<F> {
        MessageWriter { framing: self.framing.clone(), transport: self.transport.clone() }
    }
}

impl<F: fmt::Debug> fmt::Debug for MessageWriter<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter")
            .field("framing", &self.framing)
            .field("transport", &self.transport)
            .finish()
    }
}
