//! Any protocol, as a transport has it.

use std::fmt;
use std::io;
use std::rc::Rc;

use super::Transport;
use super::held::{Held, busy};
use crate::exceptions::{Error, Result};
use crate::reports::report_anywhere;

/// A protocol of whatever type, as a transport calls it. An error is what the protocol
/// raised.
pub(crate) trait Receiver {
    fn connection_made(&mut self, transport: &Transport) -> Result;
    fn data_received(&mut self, data: &[u8]) -> Result;
    /// Has `read` read into the protocol's own buffer; only if it is buffered.
    fn fill(&mut self, read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> Result<Filled>;
    fn is_buffered(&self) -> bool;
    fn eof_received(&mut self) -> bool;
    fn pause_writing(&mut self) -> Result;
    fn resume_writing(&mut self) -> Result;
    fn connection_lost(&mut self, error: Option<Error>) -> Result;
}

/// What came of reading into a protocol's buffer: its length and that of what came.
pub(crate) struct Filled {
    pub(crate) room: usize,
    pub(crate) read: io::Result<usize>,
}

/// A protocol of whatever type. For transports of one's own: each method is one event
/// of the grammar that [`Protocol`](crate::Protocol) describes, and gives the error
/// that the protocol raised, which is to end the connection.
#[derive(Clone)]
pub struct ProtocolRef(pub(crate) Rc<Held<dyn Receiver>>);

impl ProtocolRef {
    fn call<T>(&self, call: impl FnOnce(&mut (dyn Receiver + 'static)) -> Result<T>) -> Result<T> {
        self.0.call(call).unwrap_or_else(|| Err(busy()))
    }

    /// Whether both are the same protocol.
    #[cfg(feature = "tls")]
    pub(crate) fn is(&self, other: &ProtocolRef) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The connection is there.
    ///
    /// # Errors
    ///
    /// What the protocol raised; kind `Panic` if it panicked; kind `Runtime` if it is
    /// in the middle of another call. So do the others.
    pub fn connection_made(&self, transport: &Transport) -> Result {
        self.call(|protocol| protocol.connection_made(transport))
    }

    /// Bytes have come. A buffered protocol gets them in its own buffer.
    ///
    /// # Errors
    ///
    /// As [`connection_made`](ProtocolRef::connection_made).
    pub fn data_received(&self, data: &[u8]) -> Result {
        self.call(|protocol| {
            if !protocol.is_buffered() {
                return protocol.data_received(data);
            }
            let mut rest = data;
            while !rest.is_empty() {
                protocol.fill(&mut |buffer| io::Read::read(&mut rest, buffer))?;
            }
            Ok(())
        })
    }

    /// Has `read` called with the protocol's own buffer; `None` if it has none.
    pub(crate) fn fill(
        &self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Option<Result<Filled>> {
        let filled = self.call(|protocol| match protocol.is_buffered() {
            true => protocol.fill(&mut read).map(Some),
            false => Ok(None),
        });
        filled.transpose()
    }

    /// Nothing more will come. Whether the protocol wants to go on writing.
    ///
    /// # Errors
    ///
    /// As [`connection_made`](ProtocolRef::connection_made).
    pub fn eof_received(&self) -> Result<bool> {
        self.call(|protocol| Ok(protocol.eof_received()))
    }

    /// The connection is lost, or has ended as it should.
    ///
    /// # Errors
    ///
    /// As [`connection_made`](ProtocolRef::connection_made).
    pub fn connection_lost(&self, error: Option<Error>) -> Result {
        self.call(|protocol| protocol.connection_lost(error))
    }

    /// Better write nothing more for now. If the protocol is in the middle of another
    /// call, it is told after that.
    ///
    /// # Errors
    ///
    /// What the protocol raised, if it was told at once.
    pub fn pause_writing(&self) -> Result {
        self.tell_paused(true)
    }

    /// The opposite.
    ///
    /// # Errors
    ///
    /// As [`pause_writing`](ProtocolRef::pause_writing).
    pub fn resume_writing(&self) -> Result {
        self.tell_paused(false)
    }

    fn tell_paused(&self, paused: bool) -> Result {
        self.set_writing_paused(paused).unwrap_or_else(|| {
            let later = self.clone();
            self.0.after(move || {
                if let Err(error) = later.tell_paused(paused) {
                    report_anywhere("a protocol failed while it was told to pause", Some(error));
                }
            });
            Ok(())
        })
    }

    /// Writing is to pause, or to go on; `None` if the protocol is being called, so
    /// that it has to be told later.
    pub(crate) fn set_writing_paused(&self, paused: bool) -> Option<Result> {
        self.0.call(|protocol| match paused {
            true => protocol.pause_writing(),
            false => protocol.resume_writing(),
        })
    }
}

impl fmt::Debug for ProtocolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProtocolRef")
    }
}
