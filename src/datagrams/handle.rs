//! What can be done with a [`DatagramTransport`].

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use super::interface::{DatagramProtocolRef, DatagramTransport};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::transports::extra::{Address, ExtraInfo};

impl DatagramTransport {
    /// Sends a datagram to an address, or keeps it until it can be sent
    /// (`transport.sendto`). It never waits, and an empty datagram is one too.
    ///
    /// What the system says against it goes to
    /// [`error_received`](crate::DatagramProtocol::error_received). After
    /// [`close`](DatagramTransport::close), and to another address than that of the peer
    /// it is for, it is dropped, and the exception handler is told so, once;
    /// [`try_sendto`](DatagramTransport::try_sendto) gives that error.
    pub fn sendto(&self, data: &[u8], to: impl Into<Address>) {
        self.tell_refusal(self.try_sendto(data, to));
    }

    /// The same; the error of a refusal is for the caller.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` after `close`, kind `Io` after the end; kind `Value` if it is for
    /// another peer.
    pub fn try_sendto(&self, data: &[u8], to: impl Into<Address>) -> Result {
        self.0.try_sendto(data, Some(&to.into()))
    }

    /// Sends a datagram to the peer that the transport is for (`transport.sendto` without
    /// an address).
    pub fn send(&self, data: &[u8]) {
        self.tell_refusal(self.try_send(data));
    }

    /// The same; the error of a refusal is for the caller.
    ///
    /// # Errors
    ///
    /// As [`try_sendto`](DatagramTransport::try_sendto); kind `Value` if it is for no
    /// peer.
    pub fn try_send(&self, data: &[u8]) -> Result {
        self.0.try_sendto(data, None)
    }

    fn tell_refusal(&self, sent: Result) {
        match sent {
            Ok(()) => {}
            // The protocol is told of the end.
            Err(error) if error.kind() == ErrorKind::Io => {}
            Err(error) => self.0.write_refused(error),
        }
    }

    /// Sends what is buffered and closes the socket (`transport.close`). Nothing more is
    /// received. `connection_lost(None)` follows when all is sent.
    pub fn close(&self) {
        self.0.close();
    }

    /// Closes the socket at once (`transport.abort`); what is buffered is lost.
    /// `connection_lost(None)` follows.
    pub fn abort(&self) {
        self.0.abort_with(None);
    }

    /// The same, for a reason that `connection_lost` is given.
    pub fn abort_with(&self, error: impl Into<Error>) {
        self.0.abort_with(Some(error.into()));
    }

    /// Whether it is closed or about to be (`transport.is_closing`).
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    /// How many bytes wait to be sent, with 8 for each datagram
    /// (`transport.get_write_buffer_size`): empty ones take memory, too.
    pub fn get_write_buffer_size(&self) -> usize {
        self.0.get_write_buffer_size()
    }

    /// The water marks in bytes, low and high (`transport.get_write_buffer_limits`).
    pub fn get_write_buffer_limits(&self) -> (usize, usize) {
        self.0.flow_control().limits()
    }

    /// Sets the water marks in bytes, as
    /// [`Transport::set_write_buffer_limits`](crate::Transport::set_write_buffer_limits)
    /// does.
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

    /// Its own address, and that of its peer if it is connected to one
    /// (`transport.get_extra_info`).
    pub fn get_extra_info(&self) -> ExtraInfo {
        self.0.get_extra_info()
    }

    /// Its own address; `None` of Unix sockets. Once it is closed it is what was said
    /// [last](ExtraInfo::local_addr), and `None` if nobody had asked.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.get_extra_info().local_addr.as_ref().and_then(Address::inet)
    }

    /// Has another protocol called from now on (`transport.set_protocol`); make one by
    /// [`ProtocolHandle::for_datagrams`](crate::ProtocolHandle::for_datagrams). Its
    /// `connection_made` is not called.
    pub fn set_protocol(&self, protocol: impl Into<DatagramProtocolRef>) {
        self.0.set_protocol(protocol.into());
    }

    /// The protocol (`transport.get_protocol`); `None` once the transport is closed.
    pub fn get_protocol(&self) -> Option<DatagramProtocolRef> {
        self.0.get_protocol()
    }
}

impl PartialEq for DatagramTransport {
    /// Whether both are the same transport.
    fn eq(&self, other: &DatagramTransport) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for DatagramTransport {}

impl fmt::Debug for DatagramTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.get_extra_info();
        f.debug_struct("DatagramTransport")
            .field("local_addr", &info.local_addr)
            .field("peer_addr", &info.peer_addr)
            .field("closing", &self.is_closing())
            .field("buffered", &self.get_write_buffer_size())
            .finish()
    }
}
