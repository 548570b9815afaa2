//! TLS between a transport and a protocol: a protocol for the one, a transport for the
//! other, and the [`Engine`] in between.
//!
//! ```text
//!                    plaintext                      ciphertext
//!   protocol  <-- data_received --  SslTransport <-- data_received --  transport
//!             ------- write ----->     engine     ------- write ----->
//!
//!   Handshake --> Open --> Flushing --> Shutdown --> lost
//!                      close        all        the peer's
//!                                encrypted    close_notify
//! ```
//!
//! What is written is encrypted only while nothing waits in the transport below, so what
//! waits is kept once, as plaintext, and counted here. What comes is decrypted only
//! while the protocol reads.

mod closing;
mod face;
mod reading;
mod writing;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::base_events::EventLoop;
use crate::constants::TLS_READ_SIZE;
use crate::context::OwnContext;
use crate::events::{Runnable, Scheduler};
use crate::exceptions::{Error, Result};
use crate::futures::Future;
use crate::handles::TimerHandle;
use crate::protocols::{IntoProtocol, Protocol};
use crate::reports::drop_value;
use crate::tls::config::Limits;
use crate::tls::engine::Engine;
use crate::transports::extra::ExtraInfo;
use crate::transports::interface::{Duplex, ProtocolRef, Transport};
use crate::transports::link::{Link, Linked};
use crate::transports::outgoing::Outgoing;
use crate::transports::turns::SharedBuffer;

/// How far it is; the engine knows the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The handshake is under way.
    Handshake,
    Open,
    /// Closing: what waits is being sent.
    Flushing,
    /// Closing: `close_notify` is sent, the peer's is waited for.
    Shutdown,
}

/// What plaintext is read into.
type Plaintext = SharedBuffer<{ 2 * TLS_READ_SIZE }>;

/// See the module.
pub(crate) struct SslTransport {
    me: Weak<SslTransport>,
    link: Link,
    engine: RefCell<Engine>,
    limits: Limits,
    /// None before it is known, and once it is lost. It owns this one, by its protocol.
    lower: RefCell<Option<Weak<dyn Duplex>>>,
    /// What was known of it when it was lost.
    below: RefCell<ExtraInfo>,
    stage: Cell<Stage>,
    /// Whether the protocol knows of the connection.
    known: Cell<bool>,
    /// Plaintext that waits.
    waiting: RefCell<Outgoing>,
    /// Ciphertext that waits until the protocol reads again.
    unfed: RefCell<Vec<u8>>,
    /// Whether the ciphertext has ended, after what waits.
    ended: Cell<bool>,
    /// Whether the peer has said that it will send no more.
    peer_closed: Cell<bool>,
    /// Whether what has come is being worked off; it is not begun twice.
    working: Cell<bool>,
    queued: Cell<bool>,
    buffer: Rc<Plaintext>,
    /// The limit of the handshake or of the shutdown.
    timer: RefCell<Option<TimerHandle>>,
    /// Bytes that the peer had not got when the limit of the shutdown was set.
    left: Cell<usize>,
    waiter: RefCell<Option<Future<()>>>,
    context: OwnContext,
}

/// How a layer begins.
pub(crate) struct Beginning {
    pub(crate) engine: Engine,
    pub(crate) limits: Limits,
    /// Whether the protocol has been told of the connection already.
    pub(crate) known: bool,
    /// Whether it has been told to pause writing.
    pub(crate) paused: bool,
    /// Woken when the handshake is done and the protocol knows of it, or failed.
    pub(crate) waiter: Option<Future<()>>,
}

impl SslTransport {
    /// Makes the layer: the protocol for the transport below, and itself.
    pub(crate) fn between(
        event_loop: &EventLoop,
        protocol: ProtocolRef,
        beginning: Beginning,
    ) -> (ProtocolRef, Transport) {
        let Beginning { engine, limits, known, paused, waiter } = beginning;
        let transport = Rc::new_cyclic(|me| SslTransport {
            me: me.clone(),
            link: Link::new(event_loop.scheduler().clone(), protocol),
            engine: RefCell::new(engine),
            limits,
            lower: RefCell::new(None),
            below: RefCell::default(),
            stage: Cell::new(Stage::Handshake),
            known: Cell::new(known),
            waiting: RefCell::default(),
            unfed: RefCell::default(),
            ended: Cell::new(false),
            peer_closed: Cell::new(false),
            working: Cell::new(false),
            queued: Cell::new(false),
            buffer: event_loop.service(Plaintext::default),
            timer: RefCell::new(None),
            left: Cell::new(0),
            waiter: RefCell::new(waiter),
            context: OwnContext::copy(),
        });
        if paused {
            transport.link.begin_paused();
        }
        let lower = Lower(transport.clone()).into_handle().erased();
        (lower, transport.transport())
    }

    fn me(&self) -> Option<Rc<SslTransport>> {
        self.me.upgrade()
    }

    fn lower(&self) -> Option<Transport> {
        self.lower.borrow().as_ref()?.upgrade().map(Transport)
    }

    /// The transport below is there: the handshake begins.
    fn begin(self: &Rc<Self>, lower: &Transport) {
        if self.link.lost.get() {
            return lower.abort();
        }
        *self.lower.borrow_mut() = Some(Rc::downgrade(&lower.0));
        // To be told whenever nothing waits in it any more.
        if let Err(error) = lower.set_write_buffer_limits(0, 0) {
            self.link.report("the limits of a transport below TLS cannot be set", error);
        }
        self.set_timer(self.limits.handshake, "the handshake");
        self.drain();
    }

    /// Has what has come worked off in the next iteration.
    fn queue(self: &Rc<Self>) {
        if !self.queued.replace(true) {
            self.link.enqueue(self.clone());
        }
    }
}

impl Runnable for SslTransport {
    fn run(self: Rc<Self>, _: &Scheduler) {
        self.queued.set(false);
        self.context.run(|| self.receive(&[]));
    }
}

impl Linked for SslTransport {
    fn link(&self) -> &Link {
        &self.link
    }

    fn transport(self: &Rc<Self>) -> Transport {
        Transport::new(self.clone())
    }

    fn buffered(&self) -> usize {
        let below = self.lower().map_or(0, |lower| lower.get_write_buffer_size());
        self.waiting.borrow().len() + below
    }

    fn give_up(&self) {
        drop_value(self.waiting.take());
        if !self.known.get() {
            self.link.forget_protocol();
        }
        if let Some(lower) = self.lower() {
            lower.abort();
        }
    }

    fn release(&self) {
        self.context.end();
        self.unfed.take();
    }
}

/// The protocol of the transport below.
struct Lower(Rc<SslTransport>);

impl Protocol<Result> for Lower {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.begin(transport);
        Ok(())
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        self.0.receive(data);
        Ok(())
    }

    fn eof_received(&mut self) -> bool {
        self.0.ended.set(true);
        self.0.receive(&[]);
        // With plaintext that nobody has read yet it ends when somebody has.
        !self.0.link.lost.get()
    }

    fn resume_writing(&mut self) -> Result {
        self.0.drain();
        Ok(())
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        self.0.lower_lost(error);
        Ok(())
    }
}

impl Drop for Lower {
    fn drop(&mut self) {
        // The loop has been closed: the protocol may own the connection.
        if !self.0.link.lost.get() {
            self.0.link.abandon();
            self.0.context.end();
            let (lower, timer) = (self.0.lower.take(), self.0.timer.take());
            drop((lower, timer));
        }
    }
}
