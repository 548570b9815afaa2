//! The transport over a descriptor: a socket, a pipe, a terminal.
//!
//! Reading and writing are tried first. The selector is told of the descriptor when an
//! operation on it would block for the first time, and from then on it reports each
//! readiness once. So the transport remembers that it has work to do: it puts itself
//! into the loop's queue, does a bounded part of it, and puts itself there again if
//! there is more.

mod face;
mod files;
mod reading;
mod writing;

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::Location;
use std::rc::{Rc, Weak};

use crate::base_events::EventLoop;
use crate::constants::READ_SIZE;
use crate::context::Variables;
use crate::events::{Runnable, Standing};
use crate::futures::Future;
use crate::selectors::{Direction, Driver, Listener, Registration};
use crate::transports::extra::Address;
use crate::transports::interface::{ProtocolRef, Transport};
use crate::transports::link::{Link, Linked, OnLost, begin, fatal};
use crate::transports::outgoing::Outgoing;
use crate::transports::source::Source;

/// The buffer that a loop reads into.
#[derive(Default)]
struct ReadBuffer(Cell<Option<Box<[u8]>>>);

impl ReadBuffer {
    fn take(&self) -> Box<[u8]> {
        self.0.take().unwrap_or_else(|| vec![0; READ_SIZE].into_boxed_slice())
    }
}

/// See the module.
pub(crate) struct StreamTransport {
    me: Weak<StreamTransport>,
    link: Link,
    driver: Rc<Driver>,
    buffer: Rc<ReadBuffer>,
    /// None once it is closed.
    source: RefCell<Option<Source>>,
    registration: OnceCell<Rc<Registration>>,
    /// Whether a read that gives less than it was asked for has left nothing.
    read_whole: bool,
    outgoing: RefCell<Outgoing>,
    /// Whether it is in the queue, and what for.
    queued: Cell<bool>,
    to_read: Cell<bool>,
    to_write: Cell<bool>,
    /// Whether the loop counts it as something that will be heard of.
    expecting: Cell<bool>,
    /// While a file is being sent: who does that, and waits until more can be.
    sending: RefCell<Option<Future<()>>>,
    peer: Option<Address>,
    context: Cell<Variables>,
    made_at: &'static Location<'static>,
}

/// A descriptor on its way to become a transport.
pub(crate) struct Carrier {
    pub(crate) source: Source,
    /// The other end, if that is known already.
    pub(crate) peer: Option<Address>,
    /// Where its owner made it.
    pub(crate) made_at: &'static Location<'static>,
}

/// What was just done with a descriptor.
enum Did {
    /// As much as was asked for: there may be more.
    All,
    /// All that there was.
    Some,
    /// Nothing: it would block.
    Nothing,
}

impl StreamTransport {
    /// Makes a connection of a descriptor and a protocol. `waiter` is woken when the
    /// protocol knows of it.
    pub(crate) fn start(
        event_loop: &EventLoop,
        carrier: Carrier,
        protocol: ProtocolRef,
        waiter: Option<Future<()>>,
    ) -> Rc<StreamTransport> {
        let Carrier { source, peer, made_at } = carrier;
        let transport = Rc::new_cyclic(|me| StreamTransport {
            me: me.clone(),
            link: Link::new(event_loop.scheduler().clone(), protocol),
            driver: event_loop.driver().clone(),
            buffer: event_loop.service(ReadBuffer::default),
            read_whole: source.is_read_whole(),
            source: RefCell::new(Some(source)),
            registration: OnceCell::new(),
            outgoing: RefCell::default(),
            queued: Cell::new(false),
            to_read: Cell::new(false),
            to_write: Cell::new(false),
            expecting: Cell::new(false),
            sending: RefCell::new(None),
            peer,
            context: Cell::new(Variables::copy()),
            made_at,
        });
        begin(&transport, waiter, |transport| {
            transport.expect();
            // What is only written is watched for its reader's going away.
            match transport.can_read() {
                true => transport.want(Direction::Read),
                false => transport.register(),
            }
        });
        transport
    }

    /// Itself, for the queue and the selector to keep.
    fn me(&self) -> Option<Rc<StreamTransport>> {
        self.me.upgrade()
    }

    fn can_read(&self) -> bool {
        self.source.borrow().as_ref().is_some_and(Source::can_read)
    }

    fn can_write(&self) -> bool {
        self.source.borrow().as_ref().is_some_and(Source::can_write)
    }

    /// Has something called when the connection is lost, after the protocol.
    pub(crate) fn on_lost(&self, what: OnLost) {
        self.link.on_lost(what);
    }

    // -- the queue and the selector ------------------------------------------------------

    /// Puts itself into the queue, unless it is there.
    fn want(self: &Rc<Self>, direction: Direction) {
        match direction {
            Direction::Read => self.to_read.set(true),
            Direction::Write => self.to_write.set(true),
        }
        if !self.queued.replace(true) {
            self.link.enqueue(self.clone());
        }
    }

    /// Whether the system may have something; what is not watched is tried.
    fn may_be_ready(&self, direction: Direction) -> bool {
        self.registration.get().is_none_or(|registration| registration.may_be_ready(direction))
    }

    /// Notes how far an operation got, and sees to it that it goes on.
    fn did(self: &Rc<Self>, direction: Direction, did: Did) {
        let more = match (self.registration.get(), did) {
            (_, Did::All) => true,
            // What is there already is reported when it is registered.
            (None, Did::Some | Did::Nothing) => return self.register(),
            (Some(registration), Did::Some) => {
                registration.drained(direction);
                registration.may_be_ready(direction)
            }
            (Some(registration), Did::Nothing) => {
                registration.clear(direction);
                false
            }
        };
        if more {
            self.want(direction);
        }
    }

    fn register(self: &Rc<Self>) {
        if self.registration.get().is_some() {
            return;
        }
        let fd = match &*self.source.borrow() {
            Some(source) => source.as_fd().as_raw_fd(),
            None => return,
        };
        match self.driver.register(fd) {
            Ok(registration) => {
                registration.clear(Direction::Read);
                registration.clear(Direction::Write);
                registration.set_listener(self.clone());
                let _registered_once = self.registration.set(registration);
            }
            Err(error) => fatal(self, "the selector cannot watch the descriptor", error.into()),
        }
    }

    /// Keeps the loop's count of what will be heard of.
    fn expect(&self) {
        let link = &self.link;
        let reading = link.is_reading() && !link.eof_received.get();
        let expecting = !link.lost.get() && (reading || !self.outgoing.borrow().is_empty());
        if self.expecting.replace(expecting) != expecting {
            self.driver.note_expecting(expecting);
        }
    }
}

/// Calls again what a signal has interrupted.
pub(super) fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => return ended,
        }
    }
}

impl Runnable for StreamTransport {
    fn run(self: Rc<Self>) {
        self.queued.set(false);
        Variables::swap(&self.context);
        if self.to_read.replace(false) {
            self.read_ready();
        }
        if self.to_write.replace(false) {
            self.write_ready();
        }
        Variables::swap(&self.context);
    }

    fn describe(&self) -> Standing {
        Standing { place: Some(self.made_at), ..Standing::default() }
    }
}

impl Listener for StreamTransport {
    fn ready(self: Rc<Self>, direction: Direction) {
        match direction {
            Direction::Read => self.want(Direction::Read),
            Direction::Write if self.has_to_write() => self.want(Direction::Write),
            Direction::Write => self.reader_left(),
        }
    }

    fn left_open(&self) -> Option<(&'static str, &'static Location<'static>)> {
        Some(("a transport", self.made_at))
    }
}

impl Linked for StreamTransport {
    fn link(&self) -> &Link {
        &self.link
    }

    fn transport(self: &Rc<Self>) -> Transport {
        Transport::new(self.clone())
    }

    fn buffered(&self) -> usize {
        self.outgoing.borrow().len()
    }

    fn give_up(&self) {
        self.outgoing.borrow_mut().clear();
    }

    fn release(&self) {
        self.expect();
        if let Some(registration) = self.registration.get() {
            registration.deregister();
        }
        drop(self.source.take());
        let sending = self.sending.take();
        if let Some(sending) = sending {
            let text = "the connection was lost";
            let _done = sending.set_exception(io::Error::new(io::ErrorKind::BrokenPipe, text));
        }
    }
}
