//! What a transport and a protocol are to each other.
//!
//! Both are known here without their types: a [`ProtocolRef`] is any protocol, and a
//! [`Transport`] any transport. A transport has its protocol called for each event,
//! never within another call of it: what comes up while the protocol runs waits until
//! it has returned.

mod fetcher;
mod held;
mod protocol;
mod sink;

pub use fetcher::Fetcher;
pub(crate) use held::{Held, busy};
pub use protocol::ProtocolRef;
pub(crate) use protocol::{Filled, Receiver};
pub use sink::FileSink;

use std::rc::Rc;

use bytes::Bytes;

use crate::exceptions::{Error, Result};
use crate::flow_control::FlowControl;
use crate::transports::extra::ExtraInfo;

/// What every transport has (`asyncio.BaseTransport`).
pub trait BaseTransport {
    /// Sends what is buffered and ends the connection; nothing more is received.
    /// `connection_lost(None)` follows.
    fn close(&self);

    /// Whether it is closed or about to be.
    fn is_closing(&self) -> bool;

    /// Whose connection it is.
    fn get_extra_info(&self) -> ExtraInfo;

    /// The same, as far as nobody has to be asked; what is kept of a connection that is
    /// lost.
    #[doc(hidden)]
    fn known_info(&self) -> ExtraInfo {
        self.get_extra_info()
    }

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

    /// Whether it is known that nothing more will come.
    fn at_eof(&self) -> bool {
        false
    }

    /// Reads what was offered to a [`Fetcher`]; only the crate's own offer something.
    #[doc(hidden)]
    fn fetch(&self, fetcher: &dyn Fetcher) {
        let _ = fetcher;
    }
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
        self.try_write_bytes(pieces.concat().into())
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
