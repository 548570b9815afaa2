//! The transport over a descriptor: a socket, a pipe, a terminal.

mod face;
mod files;
mod lingering;
mod reading;
mod writing;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::Location;
use std::rc::{Rc, Weak};

use crate::base_events::EventLoop;
use crate::constants::READ_SIZE;
use crate::events::{Kept, Runnable, Scheduler, Standing};
use crate::futures::Future;
use crate::reports::drop_value;
use crate::selectors::{Direction, Listener, Ready};
use crate::transports::extra::{Address, LocalAddress};
use crate::transports::interface::{Fetcher, ProtocolRef, Transport};
use crate::transports::link::{Link, Linked, OnLost, begin, fatal, let_go};
use crate::transports::outgoing::Outgoing;
use crate::transports::source::Source;
use crate::transports::turns::{Did, SharedBuffer, TakesTurns, Turns};

use self::lingering::{Lingering, Unread};

/// See the module.
///
/// What each read and write needs lies together: at the front, up to the beginning of
/// `link`, and from the end of `turns` to the beginning of `outgoing`. Of a thousand
/// connections each line of the processor's cache comes from far away.
#[repr(C)]
pub(crate) struct StreamTransport {
    me: Weak<StreamTransport>,
    buffer: Rc<SharedBuffer<READ_SIZE>>,
    /// None once it is closed.
    source: RefCell<Option<Source>>,
    /// Who comes for what there is to read, if the protocol has somebody.
    fetcher: RefCell<Option<Rc<dyn Fetcher>>>,
    /// Bytes that the system has taken.
    sent: Cell<usize>,
    /// Whether bytes come from the source, and whether it takes any.
    reads: bool,
    writes: bool,
    /// See [`Source::short_read_empties`].
    short_read_empties: bool,
    unread: Cell<Unread>,
    link: Link,
    peer: Option<Address>,
    local: LocalAddress,
    lingering: RefCell<Option<Lingering>>,
    turns: Turns,
    /// While a file is being sent: who does that, and waits until more can be.
    sending: RefCell<Option<Future<()>>>,
    outgoing: RefCell<Outgoing>,
}

/// A descriptor on its way to become a transport.
pub(crate) struct Carrier {
    pub(crate) source: Source,
    /// Whether somebody may have a copy of the descriptor.
    pub(crate) is_shared: bool,
    /// The other end, if it has an address.
    pub(crate) peer: Option<Address>,
    /// Where its owner made it.
    pub(crate) made_at: &'static Location<'static>,
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
        let Carrier { source, is_shared, peer, made_at } = carrier;
        let transport = Rc::new_cyclic(|me| StreamTransport {
            me: me.clone(),
            link: Link::new(event_loop.scheduler().clone(), protocol),
            turns: Turns::new(event_loop, made_at, is_shared),
            buffer: event_loop.service(SharedBuffer::default),
            fetcher: RefCell::new(None),
            reads: source.can_read(),
            writes: source.can_write(),
            short_read_empties: source.short_read_empties(),
            source: RefCell::new(Some(source)),
            outgoing: RefCell::default(),
            sending: RefCell::new(None),
            peer,
            sent: Cell::new(0),
            local: LocalAddress::default(),
            unread: Cell::new(Unread::Unknown),
            lingering: RefCell::new(None),
        });
        begin(&transport, waiter, |transport| {
            transport.find_fetcher();
            transport.note_outstanding();
            let is_pipe = transport.short_read_empties && !transport.writes;
            match transport.reads {
                // A FIFO to which nobody has begun to write would seem to have ended.
                true if is_pipe => transport.did(Direction::Read, Did::Nothing),
                true => transport.want(Direction::Read),
                // What is only written is watched for its reader's going away.
                false => transport.register(),
            }
        });
        transport
    }

    /// Itself, for the queue and the selector to keep.
    fn me(&self) -> Option<Rc<StreamTransport>> {
        self.me.upgrade()
    }

    /// Counts bytes that the system has taken.
    fn note_sent(&self, count: usize) {
        self.sent.set(self.sent.get().saturating_add(count));
    }

    /// Has something called when the connection is lost, after the protocol.
    pub(crate) fn on_lost(&self, what: OnLost) {
        self.link.on_lost(what);
    }

    /// Keeps the loop's count of what will be heard of.
    fn note_outstanding(&self) {
        let link = &self.link;
        let reading = link.is_reading() && !link.eof_received.get();
        self.turns.set_outstanding(!link.lost.get() && (reading || self.has_to_write()));
    }
}

impl Runnable for StreamTransport {
    fn run(self: Rc<Self>, _: &Scheduler) {
        self.take_turn();
    }

    fn describe(&self) -> Standing {
        self.turns.standing()
    }
}

impl TakesTurns for StreamTransport {
    fn turns(&self) -> &Turns {
        &self.turns
    }

    fn descriptor(&self) -> Option<RawFd> {
        self.source.borrow().as_ref().map(|source| source.as_fd().as_raw_fd())
    }

    fn enqueue(self: &Rc<Self>) {
        self.link.enqueue(self.clone());
    }

    #[inline]
    fn read_ready(self: &Rc<Self>) {
        self.receive();
    }

    fn write_ready(self: &Rc<Self>) {
        self.send_waiting();
    }

    fn cannot_watch(self: &Rc<Self>, error: io::Error) {
        let refused = error.kind() == io::ErrorKind::PermissionDenied;
        if refused && !self.reads && self.outgoing.borrow().is_empty() {
            // A device that nobody can wait for, as the null device is, takes all at once.
            return;
        }
        fatal(self, "the selector cannot watch the descriptor", error.into());
    }
}

impl Listener for StreamTransport {
    fn ready(self: Rc<Self>, ready: Ready) {
        if ready.read {
            self.unread.set(Unread::Likely);
            if !self.offer() {
                self.want(Direction::Read);
            }
        }
        if ready.write {
            match self.has_to_write() {
                true => self.want(Direction::Write),
                false => self.reader_left(),
            }
        }
    }

    fn left_open(&self) -> Option<(&'static str, &'static Location<'static>)> {
        Some(("a transport", self.turns.made_at()))
    }
}

impl Kept for StreamTransport {
    fn let_go(&self) {
        let_go(self);
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
        drop_value(self.outgoing.take());
    }

    fn release(&self) {
        let fetcher = self.fetcher.take();
        drop(fetcher);
        self.let_source_go();
        let sending = self.sending.take();
        if let Some(sending) = sending {
            let text = "the connection was lost";
            let _done = sending.set_exception(io::Error::new(io::ErrorKind::BrokenPipe, text));
        }
    }
}
