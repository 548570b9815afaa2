//! What the transport's handle can be asked to do.

use std::io::IoSlice;
use std::rc::Rc;

use bytes::Bytes;

use super::SslTransport;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::flow_control::FlowControl;
use crate::transports::extra::ExtraInfo;
use crate::transports::interface::{BaseTransport, ProtocolRef, ReadTransport, WriteTransport};
use crate::transports::link::{check_flow, force_close};

impl SslTransport {
    fn with_session(&self, below: ExtraInfo) -> ExtraInfo {
        match self.engine.borrow().info() {
            Some(info) => below.with(Rc::new(info.clone())),
            None => below,
        }
    }
}

impl BaseTransport for SslTransport {
    fn close(&self) {
        self.link.end_here();
        if let Some(me) = self.me() {
            me.start_closing();
        }
    }

    fn is_closing(&self) -> bool {
        self.link.closing.get()
    }

    fn get_extra_info(&self) -> ExtraInfo {
        match self.lower() {
            Some(lower) => self.with_session(lower.get_extra_info()),
            None => self.known_info(),
        }
    }

    fn known_info(&self) -> ExtraInfo {
        let below = match self.lower() {
            Some(lower) => lower.0.known_info(),
            None => self.below.borrow().clone(),
        };
        self.with_session(below)
    }

    fn set_protocol(&self, protocol: ProtocolRef) {
        self.link.set_protocol(protocol);
    }

    fn get_protocol(&self) -> Option<ProtocolRef> {
        self.link.protocol()
    }
}

impl ReadTransport for SslTransport {
    fn is_reading(&self) -> bool {
        self.link.is_reading()
    }

    fn at_eof(&self) -> bool {
        self.link.eof_received.get()
    }

    fn pause_reading(&self) {
        self.link.paused.set(true);
        if !self.link.closing.get()
            && let Some(lower) = self.lower()
        {
            lower.pause_reading();
        }
    }

    fn resume_reading(&self) {
        if let Some(me) = self.me() {
            me.read_again();
        }
    }
}

impl WriteTransport for SslTransport {
    fn try_write(&self, data: &[u8]) -> Result {
        self.link.check_writable()?;
        let Some(me) = self.me() else { return Ok(()) };
        let written = me.write_now(&[IoSlice::new(data)]);
        if written < data.len() {
            self.waiting.borrow_mut().push_copy(&data[written..]);
            me.kept();
        } else {
            check_flow(&me);
        }
        Ok(())
    }

    fn try_write_bytes(&self, mut data: Bytes) -> Result {
        self.link.check_writable()?;
        let Some(me) = self.me() else { return Ok(()) };
        let written = me.write_now(&[IoSlice::new(&data)]);
        if written < data.len() {
            self.waiting.borrow_mut().push(data.split_off(written));
            me.kept();
        } else {
            check_flow(&me);
        }
        Ok(())
    }

    fn try_writelines(&self, pieces: &[&[u8]]) -> Result {
        self.link.check_writable()?;
        let Some(me) = self.me() else { return Ok(()) };
        let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        let mut written = me.write_now(&slices);
        for piece in pieces {
            let begun = written.min(piece.len());
            written -= begun;
            self.waiting.borrow_mut().push_copy(&piece[begun..]);
        }
        me.kept();
        Ok(())
    }

    fn try_write_eof(&self) -> Result {
        let text = "write_eof: with TLS the end of the stream can only be sent by close";
        Err(Error::text(ErrorKind::Runtime, text))
    }

    fn can_write_eof(&self) -> bool {
        false
    }

    fn undelivered(&self) -> usize {
        self.left_to_deliver()
    }

    fn get_write_buffer_size(&self) -> usize {
        let below = self.lower().map_or(0, |lower| lower.get_write_buffer_size());
        self.waiting.borrow().len() + below
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
}
