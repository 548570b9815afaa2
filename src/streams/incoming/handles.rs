//! The transport that the bytes come from, and who still has a handle to the stream.

use super::Incoming;
use crate::transports::interface::Transport;

impl Incoming {
    pub(crate) fn set_transport(&self, transport: &Transport) {
        let former = self.transport.replace(Some(transport.clone()));
        drop(former);
    }

    /// The bytes come from another transport, above the one before.
    #[cfg(feature = "tls")]
    pub(crate) fn replace_transport(&self, transport: &Transport) {
        let former = self.transport.replace(Some(transport.clone()));
        if self.paused.get()
            && let Some(former) = former
        {
            transport.pause_reading();
            former.resume_reading();
        }
    }

    /// How much of what waits to be read the reader has taken out of the buffer.
    #[cfg(feature = "tls")]
    pub(crate) fn lent(&self) -> usize {
        self.lent.get()
    }

    pub(crate) fn transport(&self) -> Option<Transport> {
        self.transport.borrow().clone()
    }

    /// Lets go of the transport, which knows this by its protocol: a circle.
    pub(crate) fn forget_transport(&self) -> Option<Transport> {
        self.transport.take()
    }

    pub(crate) fn has_reader(&self) -> bool {
        self.has_reader.get()
    }

    pub(crate) fn writer_made(&self) {
        self.has_writer.set(true);
    }

    /// The last writer is dropped and the transport closed: there is nothing to pause any
    /// more.
    pub(crate) fn writer_gone(&self) {
        self.has_writer.set(false);
        drop(self.forget_transport());
    }

    /// The reader is dropped. A connection without a writer is closed with it.
    pub(crate) fn reader_gone(&self) {
        self.has_reader.set(false);
        if !self.has_writer.get()
            && let Some(transport) = self.forget_transport()
        {
            transport.close();
        }
    }
}
