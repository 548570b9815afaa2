//! What is written: encrypted as the transport below gets rid of it.

use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::Bytes;

use super::{SslTransport, Stage};
use crate::exceptions::ErrorKind;
use crate::reports::drop_value;
use crate::transports::link::check_flow;

/// How often something is encrypted before others get their turn: about a megabyte.
const WRITE_ROUNDS: usize = 16;

impl SslTransport {
    /// Encrypts what does not have to wait; how much of it.
    pub(super) fn write_now(self: &Rc<Self>, pieces: &[IoSlice<'_>]) -> usize {
        if self.stage.get() != Stage::Open || !self.waiting.borrow().is_empty() || !self.is_idle() {
            return 0;
        }
        // An engine that has failed says so by an event.
        let written = self.engine.borrow_mut().write_vectored(pieces).unwrap_or(0);
        self.send();
        written
    }

    /// Whether the transport below has sent everything.
    fn is_idle(&self) -> bool {
        self.lower().is_some_and(|lower| lower.get_write_buffer_size() == 0)
    }

    /// Something was added to what waits.
    pub(super) fn kept(self: &Rc<Self>) {
        self.drain();
    }

    /// Gives the transport below what it can send now.
    pub(super) fn drain(self: &Rc<Self>) {
        self.send();
        if matches!(self.stage.get(), Stage::Open | Stage::Flushing) {
            let mut rounds = 0;
            while self.is_idle() && self.encrypt() {
                self.send();
                rounds += 1;
                if rounds == WRITE_ROUNDS {
                    // It goes on in the next iteration, after others.
                    self.queue();
                    break;
                }
            }
        }
        check_flow(self);
        if !self.link.lost.get() {
            self.go_on_closing();
        }
    }

    /// Encrypts some of what waits; whether it did.
    fn encrypt(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.is_empty() {
            return false;
        }
        let written = waiting.write_with(|pieces| {
            let written = self.engine.borrow_mut().write_vectored(pieces);
            written.map_err(io::Error::from)
        });
        drop(waiting);
        written.is_ok_and(|written| {
            drop_value(written.spent);
            written.count > 0
        })
    }

    /// Gives the transport below the ciphertext that there is.
    pub(super) fn send(&self) {
        let Some(lower) = self.lower() else { return };
        let mut ciphertext = Vec::new();
        if self.engine.borrow_mut().take_ciphertext(&mut ciphertext) == 0 {
            return;
        }
        match lower.try_write_bytes(Bytes::from(ciphertext)) {
            Ok(()) => {}
            // `connection_lost` follows.
            Err(error) if error.kind() == ErrorKind::Io => {}
            // It is closed already: whoever closed it wants nothing to be sent.
            Err(error) => tracing::debug!(%error, "nothing can be sent below TLS"),
        }
    }

    /// The last that is sent is `close_notify`; after the peer's, the transport below is
    /// closed.
    pub(super) fn go_on_closing(self: &Rc<Self>) {
        if self.stage.get() == Stage::Flushing && self.waiting.borrow().is_empty() {
            self.stage.set(Stage::Shutdown);
            self.limit_shutdown();
            self.engine.borrow_mut().close();
            self.send();
        }
        if self.stage.get() == Stage::Shutdown
            && self.peer_closed.get()
            && let Some(lower) = self.lower()
        {
            lower.close();
        }
    }
}
