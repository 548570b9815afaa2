//! Any protocol, as a transport has it.

use std::fmt;
use std::io;
use std::rc::Rc;

use super::held::{Held, busy};
use super::{Fetcher, Transport};
use crate::exceptions::{Error, Result};
use crate::reports::report_anywhere;

/// A protocol, as a transport calls it. An error is what the protocol raised.
pub(crate) trait Receiver: 'static {
    /// Whether it has a buffer of its own, to read into.
    const BUFFERED: bool;

    fn connection_made(&mut self, transport: &Transport) -> Result;
    fn data_received(&mut self, data: &[u8]) -> Result;
    /// Has `read` read into the protocol's own buffer; only if it is buffered.
    fn fill(&mut self, read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> Result<Filled>;
    /// Who comes for the bytes, if somebody does.
    fn fetcher(&self) -> Option<Rc<dyn Fetcher>>;
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
pub struct ProtocolRef(Rc<dyn AnyReceiver>);

/// A receiver that is held, without its type: each event is one call to where the type is
/// known. `None` is one that is being called already.
trait AnyReceiver {
    fn connection_made(&self, transport: &Transport) -> Option<Result>;
    fn data_received(&self, data: &[u8]) -> Option<Result>;
    /// `None` is one without a buffer of its own.
    fn fill(&self, read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> Option<Result<Filled>>;
    fn fetcher(&self) -> Option<Rc<dyn Fetcher>>;
    fn eof_received(&self) -> Option<Result<bool>>;
    fn set_writing_paused(&self, paused: bool) -> Option<Result>;
    fn connection_lost(&self, error: Option<Error>) -> Option<Result>;
    fn after(&self, what: Box<dyn FnOnce()>);
}

impl<P: Receiver> AnyReceiver for Held<P> {
    fn connection_made(&self, transport: &Transport) -> Option<Result> {
        self.call(|protocol| protocol.connection_made(transport))
    }

    fn data_received(&self, data: &[u8]) -> Option<Result> {
        if !P::BUFFERED {
            return self.call(|protocol| protocol.data_received(data));
        }
        self.call(|protocol| {
            let mut rest = data;
            while !rest.is_empty() {
                protocol.fill(&mut |buffer| io::Read::read(&mut rest, buffer))?;
            }
            Ok(())
        })
    }

    fn fill(&self, read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> Option<Result<Filled>> {
        let fill = || self.call(|protocol| protocol.fill(read)).unwrap_or_else(|| Err(busy()));
        P::BUFFERED.then(fill)
    }

    fn fetcher(&self) -> Option<Rc<dyn Fetcher>> {
        self.call(|protocol| Ok(protocol.fetcher()))?.ok()?
    }

    fn eof_received(&self) -> Option<Result<bool>> {
        self.call(|protocol| Ok(protocol.eof_received()))
    }

    fn set_writing_paused(&self, paused: bool) -> Option<Result> {
        self.call(|protocol| match paused {
            true => protocol.pause_writing(),
            false => protocol.resume_writing(),
        })
    }

    fn connection_lost(&self, error: Option<Error>) -> Option<Result> {
        self.call(|protocol| protocol.connection_lost(error))
    }

    fn after(&self, what: Box<dyn FnOnce()>) {
        Held::after(self, what);
    }
}

impl ProtocolRef {
    pub(crate) fn new(held: Rc<Held<impl Receiver>>) -> ProtocolRef {
        ProtocolRef(held)
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
        self.0.connection_made(transport).unwrap_or_else(|| Err(busy()))
    }

    /// Bytes have come. A buffered protocol gets them in its own buffer.
    ///
    /// # Errors
    ///
    /// As [`connection_made`](ProtocolRef::connection_made).
    #[inline]
    pub fn data_received(&self, data: &[u8]) -> Result {
        self.0.data_received(data).unwrap_or_else(|| Err(busy()))
    }

    /// Has `read` called with the protocol's own buffer; `None` if it has none.
    pub(crate) fn fill(
        &self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Option<Result<Filled>> {
        self.0.fill(&mut read)
    }

    /// Who comes for what there is to read, if somebody does.
    pub(crate) fn fetcher(&self) -> Option<Rc<dyn Fetcher>> {
        self.0.fetcher()
    }

    /// Nothing more will come. Whether the protocol wants to go on writing.
    ///
    /// # Errors
    ///
    /// As [`connection_made`](ProtocolRef::connection_made).
    pub fn eof_received(&self) -> Result<bool> {
        self.0.eof_received().unwrap_or_else(|| Err(busy()))
    }

    /// The connection is lost, or has ended as it should.
    ///
    /// # Errors
    ///
    /// As [`connection_made`](ProtocolRef::connection_made).
    pub fn connection_lost(&self, error: Option<Error>) -> Result {
        self.0.connection_lost(error).unwrap_or_else(|| Err(busy()))
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
            self.after(move || {
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
        self.0.set_writing_paused(paused)
    }

    /// Has something done once the present call of it has returned.
    pub(crate) fn after(&self, what: impl FnOnce() + 'static) {
        self.0.after(Box::new(what));
    }
}

impl fmt::Debug for ProtocolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProtocolRef")
    }
}
