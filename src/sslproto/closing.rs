//! How a connection ends: in order, by the peer's cutting it, by a refusal, by its time.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::{SslTransport, Stage};
use crate::exceptions::Error;
use crate::reports::drop_value;
use crate::transports::link::{finish, force_close, schedule_lost};

impl SslTransport {
    /// Begins to close: what waits is sent, then `close_notify`.
    pub(super) fn start_closing(self: &Rc<Self>) {
        if self.link.closing.replace(true) || self.link.lost.get() {
            return;
        }
        if self.stage.get() == Stage::Handshake {
            // There is nothing to be sent, and nobody to say goodbye to.
            let error = io::Error::new(
                io::ErrorKind::ConnectionAborted,
                format!("{}: closed in the handshake", self.title()),
            );
            self.complete(Err(error.into()));
            return force_close(self, None);
        }
        self.stage.set(Stage::Flushing);
        self.limit_shutdown();
        // The peer's `close_notify` comes after what the protocol has not read.
        if let Some(lower) = self.lower() {
            lower.resume_reading();
        }
        self.queue();
    }

    /// The ciphertext ended without a `close_notify`.
    pub(super) fn truncated(self: &Rc<Self>) {
        if self.link.closing.get() {
            // Nothing that anybody waits for can be missing.
            self.peer_closed.set(true);
            return;
        }
        let text = format!(
            "{}: truncated: the peer closed the connection without close_notify",
            self.title()
        );
        let error = Error::from(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        tracing::debug!(%error, "TLS");
        force_close(self, Some(error));
    }

    /// TLS cannot go on. The peer is told why, if there is something to tell.
    pub(super) fn fail(self: &Rc<Self>, error: Error) {
        tracing::debug!(%error, "TLS");
        self.send();
        drop_value(self.waiting.take());
        self.complete(Err(error.clone()));
        if !self.known.get() {
            self.link.forget_protocol();
        }
        // An alert that the peer does not take holds up nothing for ever.
        self.limit_shutdown();
        if let Some(lower) = self.lower() {
            lower.close();
        }
        schedule_lost(self, Some(error));
    }

    /// The transport below is gone.
    pub(super) fn lower_lost(self: &Rc<Self>, error: Option<Error>) {
        self.cancel_timer();
        if let Some(lower) = self.lower() {
            *self.below.borrow_mut() = lower.0.known_info();
        }
        let lower = self.lower.take();
        drop(lower);
        if self.link.lost.get() {
            return;
        }
        let in_handshake = || {
            let text = format!("{}: the connection was lost in the handshake", self.title());
            io::Error::new(io::ErrorKind::ConnectionReset, text).into()
        };
        self.complete(Err(error.clone().unwrap_or_else(in_handshake)));
        if !self.known.get() {
            self.link.forget_protocol();
        }
        drop_value(self.waiting.take());
        finish(self, error);
    }

    pub(super) fn title(&self) -> String {
        self.engine.borrow().title().to_owned()
    }

    /// Gives the peer so long for the next step of the shutdown, counted from now: one
    /// that reads slowly gets everything, one that does not read holds up nothing.
    pub(super) fn limit_shutdown(self: &Rc<Self>) {
        self.left.set(self.left_to_deliver());
        self.set_timer(self.limits.shutdown, "the shutdown");
    }

    /// Bytes that the peer has not got, as far as that is known.
    pub(super) fn left_to_deliver(&self) -> usize {
        let below = self.lower().map_or(0, |lower| lower.0.undelivered());
        self.waiting.borrow().len() + below
    }

    /// Ends the connection if it has not ended, or got on, after that time.
    pub(super) fn set_timer(self: &Rc<Self>, limit: Duration, step: &'static str) {
        let late = self.clone();
        let timer = self.link.scheduler.call_later(limit, move || late.expire(limit, step));
        let former = self.timer.replace(Some(timer));
        if let Some(former) = former {
            former.cancel();
        }
    }

    pub(super) fn cancel_timer(&self) {
        let timer = self.timer.take();
        if let Some(timer) = timer {
            timer.cancel();
        }
    }

    fn expire(self: &Rc<Self>, limit: Duration, step: &str) {
        let is_shutdown = matches!(self.stage.get(), Stage::Flushing | Stage::Shutdown);
        if is_shutdown && self.left_to_deliver() < self.left.get() {
            return self.limit_shutdown();
        }
        let text = format!("{}: {step} took longer than {limit:?}", self.title());
        let error = Error::from(io::Error::new(io::ErrorKind::TimedOut, text));
        self.complete(Err(error.clone()));
        match self.link.lost.get() {
            false => force_close(self, Some(error)),
            // It waits for its alert to be sent.
            true => self.abort_below(),
        }
    }

    fn abort_below(&self) {
        if let Some(lower) = self.lower() {
            lower.abort();
        }
    }
}
