//! What a transport and a protocol for datagrams are to each other, without their types.

use std::fmt;
use std::rc::Rc;

use crate::exceptions::{Error, Result};
use crate::flow_control::FlowControl;
use crate::transports::extra::{Address, ExtraInfo};
use crate::transports::interface::{Held, busy};
use crate::transports::link::Told;

/// A protocol of whatever type. An error is what the protocol raised.
pub(super) trait Receiver {
    fn connection_made(&mut self, transport: &DatagramTransport) -> Result;
    fn datagram_received(&mut self, data: &[u8], from: &Address) -> Result;
    fn error_received(&mut self, error: Error) -> Result;
    fn pause_writing(&mut self) -> Result;
    fn resume_writing(&mut self) -> Result;
    fn connection_lost(&mut self, error: Option<Error>) -> Result;
}

/// A [`DatagramProtocol`](crate::DatagramProtocol) of whatever type, as a transport has
/// it.
#[derive(Clone)]
pub struct DatagramProtocolRef(pub(super) Rc<Held<dyn Receiver>>);

impl DatagramProtocolRef {
    fn call(&self, call: impl FnOnce(&mut (dyn Receiver + 'static)) -> Result) -> Result {
        self.0.call(call).unwrap_or_else(|| Err(busy()))
    }

    pub(super) fn datagram_received(&self, data: &[u8], from: &Address) -> Result {
        self.call(|protocol| protocol.datagram_received(data, from))
    }

    /// `None` if it is being called, so that it has to be told later.
    pub(super) fn error_received(&self, error: Error) -> Option<Result> {
        self.0.call(|protocol| protocol.error_received(error))
    }
}

impl Told for DatagramProtocolRef {
    type Transport = DatagramTransport;
    const RAISING_ENDS: bool = false;

    fn connection_made(&self, transport: &DatagramTransport) -> Result {
        self.call(|protocol| protocol.connection_made(transport))
    }

    fn connection_lost(&self, error: Option<Error>) -> Result {
        self.call(|protocol| protocol.connection_lost(error))
    }

    fn set_writing_paused(&self, paused: bool) -> Option<Result> {
        self.0.call(|protocol| match paused {
            true => protocol.pause_writing(),
            false => protocol.resume_writing(),
        })
    }

    fn after(&self, what: impl FnOnce() + 'static) {
        self.0.after(what);
    }
}

impl fmt::Debug for DatagramProtocolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatagramProtocolRef")
    }
}

/// What is behind the handle.
pub(super) trait Sending {
    fn try_sendto(&self, data: &[u8], to: Option<&Address>) -> Result;
    fn write_refused(&self, error: Error);
    fn close(&self);
    fn abort_with(&self, error: Option<Error>);
    fn is_closing(&self) -> bool;
    fn get_extra_info(&self) -> ExtraInfo;
    fn get_write_buffer_size(&self) -> usize;
    fn flow_control(&self) -> &FlowControl;
    fn limits_changed(&self);
    fn set_protocol(&self, protocol: DatagramProtocolRef);
    fn get_protocol(&self) -> Option<DatagramProtocolRef>;
}

/// A socket for datagrams, for its protocol to send by and to steer
/// (`asyncio.DatagramTransport`).
///
/// A handle; clones are the same transport. It lives on its own, so dropping handles
/// closes nothing.
#[derive(Clone)]
pub struct DatagramTransport(pub(super) Rc<dyn Sending>);
