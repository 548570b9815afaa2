//! What a transport and a protocol are to each other.
//!
//! Both are known here without their types: a [`ProtocolRef`] is any protocol, and a
//! [`Transport`] any transport. A transport has its protocol called for each event,
//! never within another call of it: what comes up while the protocol runs waits until
//! it has returned.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;

use bytes::Bytes;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::without_suspending;
use crate::flow_control::FlowControl;
use crate::futures::Future;
use crate::reports::{catch_panic, report_anywhere};
use crate::transports::extra::ExtraInfo;

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

/// A protocol and what is to happen when it has returned. One call at a time.
pub(crate) struct Held<P: ?Sized> {
    after: RefCell<Vec<Box<dyn FnOnce()>>>,
    protocol: RefCell<P>,
}

impl<P> Held<P> {
    pub(crate) fn new(protocol: P) -> Held<P> {
        Held { after: RefCell::default(), protocol: RefCell::new(protocol) }
    }

    pub(crate) fn into_inner(self) -> P {
        self.protocol.into_inner()
    }
}

impl<P: ?Sized> Held<P> {
    /// Calls the protocol; a panic is an error. `None` if it is being called already.
    pub(crate) fn call<T>(&self, call: impl FnOnce(&mut P) -> Result<T>) -> Option<Result<T>> {
        let mut protocol = self.protocol.try_borrow_mut().ok()?;
        let called = catch_panic("a protocol", || without_suspending(|| call(&mut protocol)));
        drop(protocol);
        if !self.after.borrow().is_empty() {
            self.catch_up();
        }
        Some(called)
    }

    /// Has something done once the present call has returned.
    pub(crate) fn after(&self, what: impl FnOnce() + 'static) {
        self.after.borrow_mut().push(Box::new(what));
    }

    #[cold]
    fn catch_up(&self) {
        for what in self.after.take() {
            what();
        }
    }
}

/// What is said to whoever calls a protocol from within one of its own callbacks.
#[cold]
pub(crate) fn busy() -> Error {
    Error::text(ErrorKind::Runtime, "the protocol is running: it cannot be called from within")
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

/// What every transport has (`asyncio.BaseTransport`).
pub trait BaseTransport {
    /// Sends what is buffered and ends the connection; nothing more is received.
    /// `connection_lost(None)` follows.
    fn close(&self);

    /// Whether it is closed or about to be.
    fn is_closing(&self) -> bool;

    /// Whose connection it is.
    fn get_extra_info(&self) -> ExtraInfo;

    /// Has another protocol called from now on.
    fn set_protocol(&self, protocol: ProtocolRef);

    /// The protocol; `None` once the connection is lost.
    fn get_protocol(&self) -> Option<ProtocolRef>;
}

/// A transport that bytes come from (`asyncio.ReadTransport`).
pub trait ReadTransport: BaseTransport {
    /// Whether it gives bytes to its protocol now: neither paused nor closing.
    fn is_reading(&self) -> bool;

    /// Has it give nothing to the protocol until it is resumed.
    fn pause_reading(&self);

    /// The opposite.
    fn resume_reading(&self);
}

/// A transport that bytes go to (`asyncio.WriteTransport`).
pub trait WriteTransport: BaseTransport {
    /// Sends the bytes, or keeps them until they can be sent. It never waits.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` after `close` or `write_eof`; kind `Io` if the connection is
    /// lost.
    fn try_write(&self, data: &[u8]) -> Result;

    /// The same, without copying what has to be kept.
    ///
    /// # Errors
    ///
    /// As [`try_write`](WriteTransport::try_write).
    fn try_write_bytes(&self, data: Bytes) -> Result {
        self.try_write(&data)
    }

    /// The same for several pieces, at once where that can be done.
    ///
    /// # Errors
    ///
    /// As [`try_write`](WriteTransport::try_write).
    fn try_writelines(&self, pieces: &[&[u8]]) -> Result {
        pieces.iter().try_for_each(|piece| self.try_write(piece))
    }

    /// Sends what is buffered and then the end of the stream; receiving goes on.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if [`can_write_eof`](WriteTransport::can_write_eof) is false.
    fn try_write_eof(&self) -> Result;

    /// Whether the end of the stream can be sent without ending the connection.
    fn can_write_eof(&self) -> bool;

    /// How many bytes are buffered.
    fn get_write_buffer_size(&self) -> usize;

    /// How many bytes were written that the peer has not got, as far as that is known.
    fn undelivered(&self) -> usize {
        self.get_write_buffer_size()
    }

    /// Its water marks and producer.
    fn flow_control(&self) -> &FlowControl;

    /// To be called when the water marks have changed.
    fn limits_changed(&self);

    /// As [`close`](BaseTransport::close), but `connection_lost` is given the error. If
    /// this is not implemented, it is as [`abort_with`](WriteTransport::abort_with).
    fn close_with(&self, error: Error) {
        self.abort_with(Some(error));
    }

    /// Ends the connection at once; what is buffered is lost. `connection_lost` follows
    /// with the error.
    fn abort_with(&self, error: Option<Error>);

    /// Tells of an error that `write` has no caller to give to.
    fn write_refused(&self, error: Error);

    /// Where the system can send files to by itself; only the crate's own have it.
    #[doc(hidden)]
    fn file_sink(&self) -> Option<Rc<dyn FileSink>> {
        None
    }
}

/// A descriptor that the system can send files into.
pub trait FileSink {
    /// Refuses writes from now on; the future is done when all is sent that was written
    /// before.
    ///
    /// # Errors
    ///
    /// As [`Transport::try_write`]; kind `Runtime` if a file is being sent already.
    fn begin(&self) -> Result<Future<()>>;

    /// Sends up to `count` bytes of the file from `offset` on, which moves along.
    ///
    /// # Errors
    ///
    /// Those of `sendfile(2)`; `BrokenPipe` if the connection is lost.
    fn send(&self, file: BorrowedFd<'_>, offset: &mut u64, count: usize) -> io::Result<usize>;

    /// It would block; the future is done when it may not any more.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if the connection is lost.
    fn until_writable(&self) -> Result<Future<()>>;

    /// Takes writes again.
    fn end(&self);
}

/// Both directions (`asyncio.Transport`).
pub(crate) trait Duplex: ReadTransport + WriteTransport {}

impl<T: ReadTransport + WriteTransport> Duplex for T {}

/// One end of a connection, for the protocol to write to and to steer
/// (`asyncio.Transport`): TCP, Unix sockets, pipes, TLS, memory, or one of your own.
///
/// A handle; clones are the same transport. The connection lives on its own, so
/// dropping handles closes nothing.
#[derive(Clone)]
pub struct Transport(pub(crate) Rc<dyn Duplex>);

impl Transport {
    /// A transport of your own. It drives its protocol by the methods of
    /// [`ProtocolRef`].
    pub fn new<T: ReadTransport + WriteTransport + 'static>(transport: Rc<T>) -> Transport {
        Transport(transport)
    }
}
