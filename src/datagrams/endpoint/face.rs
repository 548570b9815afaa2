//! What the transport's handle can be asked to do.

use std::io;

use super::{Endpoint, Peer, Waiting};
use crate::datagrams::interface::{DatagramProtocolRef, Sending};
use crate::datagrams::socket::DatagramSocket;
use crate::exceptions::{Error, Result};
use crate::flow_control::FlowControl;
use crate::selectors::Direction;
use crate::transports::extra::{Address, ExtraInfo};
use crate::transports::link::{check_flow, force_close, schedule_lost};

impl Sending for Endpoint {
    fn try_sendto(&self, data: &[u8], to: Option<&Address>) -> Result {
        self.link.check_writable()?;
        let to = self.peer.route(to)?;
        let Some(me) = self.me.upgrade() else { return Ok(()) };
        if self.outgoing.borrow().is_empty() && self.turns.may_be_ready(Direction::Write) {
            match self.with_socket(|socket| socket.send(data, to)) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => me.blocked(),
                Err(error) => {
                    me.tell_error(error.into());
                    return Ok(());
                }
            }
        }
        let waiting = Waiting { data: data.into(), to: to.cloned() };
        self.buffered.set(self.buffered.get() + waiting.size());
        self.outgoing.borrow_mut().push_back(waiting);
        self.note_outstanding();
        check_flow(&me);
        Ok(())
    }

    fn write_refused(&self, error: Error) {
        self.link.write_refused(error);
    }

    fn close(&self) {
        self.link.end_here();
        if self.link.closing.replace(true) {
            return;
        }
        self.note_outstanding();
        if self.outgoing.borrow().is_empty()
            && let Some(me) = self.me.upgrade()
        {
            schedule_lost(&me, None);
        }
    }

    fn abort_with(&self, error: Option<Error>) {
        self.link.end_here();
        if let Some(me) = self.me.upgrade() {
            force_close(&me, error);
        }
    }

    fn is_closing(&self) -> bool {
        self.link.closing.get()
    }

    fn get_extra_info(&self) -> ExtraInfo {
        let mut info = ExtraInfo::default();
        let address = self.socket.borrow().as_ref().and_then(DatagramSocket::local_addr);
        info.local_addr = self.local.or_last(address);
        if let Peer::Connected(peer) = &self.peer {
            info.peer_addr = Some(peer.clone());
        }
        info
    }

    fn get_write_buffer_size(&self) -> usize {
        self.buffered.get()
    }

    fn flow_control(&self) -> &FlowControl {
        &self.link.flow
    }

    fn limits_changed(&self) {
        if let Some(me) = self.me.upgrade() {
            check_flow(&me);
        }
    }

    fn set_protocol(&self, protocol: DatagramProtocolRef) {
        self.link.set_protocol(protocol);
    }

    fn get_protocol(&self) -> Option<DatagramProtocolRef> {
        self.link.protocol()
    }
}
