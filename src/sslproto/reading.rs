//! What comes: decrypted, and given to the protocol.

use std::rc::Rc;

use super::{SslTransport, Stage};
use crate::exceptions::Result;
use crate::tls::engine::Event;
use crate::transports::interface::{Filled, ProtocolRef};
use crate::transports::link::{Linked, deliver, fatal};

impl SslTransport {
    /// Takes ciphertext, and gives the protocol what comes of it and of what waits.
    pub(super) fn receive(self: &Rc<Self>, data: &[u8]) {
        let mut unfed = self.unfed.take();
        if self.working.replace(true) {
            unfed.extend_from_slice(data);
            *self.unfed.borrow_mut() = unfed;
            return;
        }
        let rest = if unfed.is_empty() {
            self.work_off(data).to_vec()
        } else {
            unfed.extend_from_slice(data);
            let left = self.work_off(&unfed).len();
            unfed.drain(..unfed.len() - left);
            unfed
        };
        self.working.set(false);
        if !self.link.lost.get() {
            let worked_off = rest.is_empty();
            *self.unfed.borrow_mut() = rest;
            if worked_off {
                self.resume_below();
            }
        }
        self.drain();
    }

    /// Has more come, unless the protocol has paused again. Not before what has come is
    /// worked off: a protocol that pauses after each piece would let it pile up.
    fn resume_below(&self) {
        if self.hears()
            && let Some(lower) = self.lower()
        {
            lower.resume_reading();
        }
    }

    /// What is left is for when the protocol reads again.
    fn work_off<'a>(self: &Rc<Self>, mut data: &'a [u8]) -> &'a [u8] {
        loop {
            let taken = self.engine.borrow_mut().feed(data);
            data = &data[taken..];
            if data.is_empty() && self.ended.get() {
                self.engine.borrow_mut().feed_eof();
            }
            let heard = self.hear();
            if taken == 0 && !heard {
                return data;
            }
        }
    }

    /// Does what the engine's events ask for; whether there were any.
    fn hear(self: &Rc<Self>) -> bool {
        let mut heard = false;
        while self.hears() {
            let event = self.engine.borrow_mut().next_event();
            match event {
                None => break,
                Some(Event::HandshakeDone(_)) => self.established(),
                Some(Event::Data) => self.give(),
                Some(Event::CloseNotify) => self.peer_has_closed(),
                Some(Event::Truncated) => self.truncated(),
                Some(Event::Failed(error)) => self.fail(error),
            }
            heard = true;
        }
        heard
    }

    /// Whether the protocol wants to know more now. While closing, what comes is dropped.
    fn hears(&self) -> bool {
        let link = &self.link;
        !link.lost.get() && (link.closing.get() || !link.paused.get())
    }

    /// The handshake is done.
    fn established(self: &Rc<Self>) {
        self.cancel_timer();
        self.stage.set(Stage::Open);
        if !self.known.replace(true) {
            let transport = self.transport();
            deliver(self, "connection_made", |protocol| protocol.connection_made(&transport));
        }
        self.complete(Ok(()));
    }

    /// Ends somebody's waiting for the handshake.
    pub(super) fn complete(&self, result: Result) {
        let waiter = self.waiter.take();
        if let Some(waiter) = waiter {
            // Whoever waited may have been cancelled.
            let _ = match result {
                Ok(()) => waiter.set_result(()),
                Err(error) => waiter.set_exception(error),
            };
        }
    }

    /// Gives the protocol plaintext, in its own buffer if it has one.
    fn give(self: &Rc<Self>) {
        let Some(protocol) = self.link.protocol() else { return };
        if !self.link.closing.get() && self.fill(&protocol) {
            return;
        }
        let mut buffer = self.buffer.take();
        let count = self.engine.borrow_mut().read(&mut buffer);
        if count > 0 && !self.link.closing.get() {
            let data = &buffer[..count];
            deliver(self, "data_received", |protocol| protocol.data_received(data));
        }
        self.buffer.give_back(buffer);
    }

    /// Whether the protocol has a buffer of its own.
    fn fill(self: &Rc<Self>, protocol: &ProtocolRef) -> bool {
        let filled = protocol.fill(|buffer| Ok(self.engine.borrow_mut().read(buffer)));
        match filled {
            None => false,
            Some(Ok(Filled { .. })) => true,
            Some(Err(error)) => {
                let text = "Fatal error: protocol.get_buffer() or buffer_updated() call failed.";
                fatal(self, text, error);
                true
            }
        }
    }

    /// The peer has said that it will send no more: what is still to be sent to it is
    /// sent, and then it is closed.
    fn peer_has_closed(self: &Rc<Self>) {
        self.peer_closed.set(true);
        if self.link.closing.get() {
            return;
        }
        self.link.eof_received.set(true);
        let keep_open = deliver(self, "eof_received", ProtocolRef::eof_received);
        if keep_open == Some(true) {
            tracing::debug!("eof_received: true has no effect with TLS");
        }
        self.start_closing();
    }

    /// The protocol reads again: it gets what waits, in the next iteration.
    pub(super) fn read_again(self: &Rc<Self>) {
        if self.link.paused.replace(false) {
            self.queue();
        }
    }
}
