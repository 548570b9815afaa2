//! What the transport's handle can be asked to do.

use std::io::IoSlice;
use std::rc::Rc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::StreamTransport;
use crate::constants::WRITE_BUFFERS;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::flow_control::FlowControl;
use crate::selectors::Direction;
use crate::sys::descriptor::unsent;
use crate::transports::extra::{Address, ExtraInfo};
use crate::transports::interface::{
    BaseTransport, Fetcher, FileSink, ProtocolRef, ReadTransport, WriteTransport,
};
use crate::transports::link::{check_flow, force_close};
use crate::transports::source::Source;
use crate::transports::turns::TakesTurns;

impl BaseTransport for StreamTransport {
    fn close(&self) {
        self.link.end_here();
        self.start_closing();
    }

    fn is_closing(&self) -> bool {
        self.link.closing.get()
    }

    fn get_extra_info(&self) -> ExtraInfo {
        let mut info = self.known_info();
        if let Some(socket) = self.source.borrow().as_ref().and_then(Source::as_socket) {
            info.local_addr = self.local.or_last(Address::local(socket));
        }
        info
    }

    fn known_info(&self) -> ExtraInfo {
        let mut info = ExtraInfo::default();
        info.peer_addr.clone_from(&self.peer);
        info.local_addr = self.local.last();
        info
    }

    fn set_protocol(&self, protocol: ProtocolRef) {
        self.link.set_protocol(protocol);
        self.find_fetcher();
    }

    fn get_protocol(&self) -> Option<ProtocolRef> {
        self.link.protocol()
    }
}

impl ReadTransport for StreamTransport {
    fn is_reading(&self) -> bool {
        self.link.is_reading()
    }

    fn at_eof(&self) -> bool {
        self.link.eof_received.get()
    }

    fn pause_reading(&self) {
        self.link.paused.set(true);
        self.note_outstanding();
    }

    fn resume_reading(&self) {
        if !self.link.paused.replace(false) {
            return;
        }
        self.note_outstanding();
        if self.turns.may_be_ready(Direction::Read)
            && let Some(me) = self.me()
        {
            me.want(Direction::Read);
        }
    }

    fn fetch(&self, fetcher: &dyn Fetcher) {
        self.receive_for(fetcher);
    }
}

impl WriteTransport for StreamTransport {
    fn try_write(&self, data: &[u8]) -> Result {
        self.check_writable()?;
        let written = self.write_now(data.len(), |source| source.write(data))?;
        if written < data.len() {
            self.outgoing.borrow_mut().push_copy(&data[written..]);
            self.kept();
        }
        Ok(())
    }

    fn try_write_bytes(&self, mut data: Bytes) -> Result {
        self.check_writable()?;
        let written = self.write_now(data.len(), |source| source.write(&data))?;
        if written < data.len() {
            self.outgoing.borrow_mut().push(data.split_off(written));
            self.kept();
        }
        Ok(())
    }

    fn try_writelines(&self, pieces: &[&[u8]]) -> Result {
        self.check_writable()?;
        let slices: SmallVec<[IoSlice<'_>; WRITE_BUFFERS]> =
            pieces.iter().take(WRITE_BUFFERS).map(|piece| IoSlice::new(piece)).collect();
        let length = slices.iter().map(|slice| slice.len()).sum();
        let mut written = self.write_now(length, |source| source.write_vectored(&slices))?;
        if written == length
            && pieces.len() > slices.len()
            && let Some(me) = self.me()
        {
            // What does not go into one call is not waited for by anybody yet.
            me.want(Direction::Write);
        }
        let mut kept = false;
        for piece in pieces {
            let begun = written.min(piece.len());
            written -= begun;
            if begun < piece.len() {
                self.outgoing.borrow_mut().push_copy(&piece[begun..]);
                kept = true;
            }
        }
        if kept {
            self.kept();
        }
        Ok(())
    }

    fn try_write_eof(&self) -> Result {
        if self.link.closing.get() || self.link.eof_written.get() {
            return Ok(());
        }
        if !self.can_write_eof() {
            let text = "write_eof: this transport is only for reading";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        self.check_not_sending("write_eof")?;
        self.link.eof_written.set(true);
        if self.outgoing.borrow().is_empty()
            && let Some(me) = self.me()
        {
            me.end_writing();
        }
        Ok(())
    }

    fn can_write_eof(&self) -> bool {
        self.writes && self.source.borrow().is_some()
    }

    fn get_write_buffer_size(&self) -> usize {
        self.outgoing.borrow().len()
    }

    fn undelivered(&self) -> usize {
        let source = self.source.borrow();
        let socket = source.as_ref().and_then(Source::as_socket);
        self.outgoing.borrow().len() + socket.map_or(0, unsent)
    }

    fn flow_control(&self) -> &FlowControl {
        &self.link.flow
    }

    fn limits_changed(&self) {
        if let Some(me) = self.me() {
            check_flow(&me);
        }
    }

    fn close_with(&self, error: Error) {
        self.link.close_for(error);
        self.close();
    }

    fn abort_with(&self, error: Option<Error>) {
        self.link.end_here();
        if let Some(me) = self.me() {
            force_close(&me, error);
        }
    }

    fn write_refused(&self, error: Error) {
        self.link.write_refused(error);
    }

    fn file_sink(&self) -> Option<Rc<dyn FileSink>> {
        let is_socket = self.source.borrow().as_ref().is_some_and(|s| s.as_socket().is_some());
        self.me().filter(|_| is_socket).map(|me| me as Rc<dyn FileSink>)
    }
}
