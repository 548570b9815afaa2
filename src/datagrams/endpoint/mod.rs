//! The transport for datagrams.

mod face;
mod peer;

pub(super) use peer::Peer;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::panic::Location;
use std::rc::{Rc, Weak};

use super::interface::{DatagramProtocolRef, DatagramTransport};
use super::socket::DatagramSocket;
use crate::base_events::EventLoop;
use crate::connecting::Rests;
use crate::constants::DATAGRAM_SIZE;
use crate::events::{Kept, Runnable, Scheduler, Standing};
use crate::exceptions::Error;
use crate::futures::Future;
use crate::handles::TimerHandle;
use crate::selectors::{Direction, Listener, Ready};
use crate::transports::extra::{Address, LocalAddress};
use crate::transports::link::{
    Link, Linked, Told, begin, check_flow, deliver, fatal, finish, let_go,
};
use crate::transports::turns::{Did, SharedBuffer, TakesTurns, Turns, retry};

/// Datagrams that are received or sent at most before others get their turn.
const PER_TURN: usize = 16;

/// What a datagram that waits counts beside its bytes; asyncio's figure.
const OVERHEAD: usize = 8;

/// A datagram that waits to be sent.
struct Waiting {
    data: Box<[u8]>,
    to: Option<Address>,
}

impl Waiting {
    fn size(&self) -> usize {
        self.data.len() + OVERHEAD
    }
}

/// See the module.
pub(super) struct Endpoint {
    me: Weak<Endpoint>,
    link: Link<DatagramProtocolRef>,
    turns: Turns,
    buffer: Rc<SharedBuffer<DATAGRAM_SIZE>>,
    peer: Peer,
    local: LocalAddress,
    /// None once it is closed.
    socket: RefCell<Option<DatagramSocket>>,
    outgoing: RefCell<VecDeque<Waiting>>,
    /// How much they are.
    buffered: Cell<usize>,
    /// Until when sending rests, and how long it rests next.
    resting: RefCell<Option<TimerHandle>>,
    rests: RefCell<Rests>,
}

impl Endpoint {
    /// Has a protocol called with what comes to a socket. `waiter` is woken when the
    /// protocol knows of it.
    pub(super) fn start(
        event_loop: &EventLoop,
        (socket, peer): (DatagramSocket, Peer),
        protocol: DatagramProtocolRef,
        waiter: Option<Future<()>>,
        made_at: &'static Location<'static>,
    ) -> DatagramTransport {
        let endpoint = Rc::new_cyclic(|me| Endpoint {
            me: me.clone(),
            link: Link::new(event_loop.scheduler().clone(), protocol),
            turns: Turns::new(event_loop, made_at, true),
            buffer: event_loop.service(SharedBuffer::default),
            peer,
            local: LocalAddress::default(),
            socket: RefCell::new(Some(socket)),
            outgoing: RefCell::default(),
            buffered: Cell::new(0),
            resting: RefCell::new(None),
            rests: RefCell::new(Rests::new()),
        });
        begin(&endpoint, waiter, |endpoint| {
            endpoint.note_outstanding();
            endpoint.want(Direction::Read);
        });
        endpoint.transport()
    }

    /// Keeps the loop's count of what will be heard of.
    fn note_outstanding(&self) {
        let sending = !self.outgoing.borrow().is_empty();
        self.turns.set_outstanding(!self.link.lost.get() && (self.link.is_reading() || sending));
    }

    fn with_socket<T>(
        &self,
        mut call: impl FnMut(&DatagramSocket) -> io::Result<T>,
    ) -> io::Result<T> {
        match &*self.socket.borrow() {
            Some(socket) => retry(|| call(socket)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Tells the protocol of an error of the system, once it can be called.
    fn tell_error(self: &Rc<Self>, error: Error) {
        let Some(protocol) = self.link.protocol() else { return };
        match protocol.error_received(error.clone()) {
            Some(Ok(())) => {}
            Some(Err(raised)) => self.link.report("protocol.error_received() failed", raised),
            None => {
                let later = self.clone();
                protocol.after(move || later.tell_error(error));
            }
        }
    }

    fn receive(self: &Rc<Self>, buffer: &mut [u8]) {
        for _ in 0..PER_TURN {
            if self.link.closing.get() {
                return;
            }
            match self.with_socket(|socket| socket.receive(buffer)) {
                Ok((length, _)) if length == buffer.len() => {
                    let text = "a datagram that is too large for the buffer was dropped";
                    self.tell_error(io::Error::new(io::ErrorKind::InvalidData, text).into());
                }
                Ok((length, from)) => {
                    let data = &buffer[..length];
                    deliver(self, "datagram_received", |protocol: &DatagramProtocolRef| {
                        protocol.datagram_received(data, &from)
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.did(Direction::Read, Did::Nothing);
                }
                Err(error) => self.tell_error(error.into()),
            }
        }
        if !self.link.closing.get() {
            self.did(Direction::Read, Did::All);
        }
    }

    /// Sends what waits, until that would block or it was much.
    fn send(self: &Rc<Self>) {
        for _ in 0..PER_TURN {
            let next = self.outgoing.borrow_mut().pop_front();
            let Some(next) = next else { return };
            match self.with_socket(|socket| socket.send(&next.data, next.to.as_ref())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.outgoing.borrow_mut().push_front(next);
                    return self.blocked();
                }
                sent => {
                    *self.rests.borrow_mut() = Rests::new();
                    self.buffered.set(self.buffered.get() - next.size());
                    if let Err(error) = sent {
                        self.tell_error(error.into());
                    }
                }
            }
        }
        if !self.outgoing.borrow().is_empty() {
            self.did(Direction::Write, Did::All);
        }
    }

    /// Nothing can be sent. A Unix socket whose peer's queue is full of what others have
    /// sent gets no sign when there is room again, unless it is connected.
    fn blocked(self: &Rc<Self>) {
        self.did(Direction::Write, Did::Nothing);
        let is_unix = self.socket.borrow().as_ref().is_some_and(DatagramSocket::is_unix);
        if !is_unix || matches!(self.peer, Peer::Connected(_)) {
            return;
        }
        let again = self.me.clone();
        let rest = self.rests.borrow_mut().advance();
        let timer = self.link.scheduler.call_later(rest, move || {
            if let Some(endpoint) = again.upgrade() {
                endpoint.rest_until(None);
                endpoint.want(Direction::Write);
            }
        });
        self.rest_until(Some(timer));
    }

    fn rest_until(&self, timer: Option<TimerHandle>) {
        let former = self.resting.replace(timer);
        if let Some(former) = former {
            former.cancel();
        }
    }
}

impl Runnable for Endpoint {
    fn run(self: Rc<Self>, _: &Scheduler) {
        self.take_turn();
    }

    fn describe(&self) -> Standing {
        self.turns.standing()
    }
}

impl TakesTurns for Endpoint {
    fn turns(&self) -> &Turns {
        &self.turns
    }

    fn descriptor(&self) -> Option<RawFd> {
        self.socket.borrow().as_ref().map(|socket| socket.as_fd().as_raw_fd())
    }

    fn enqueue(self: &Rc<Self>) {
        self.link.enqueue(self.clone());
    }

    fn read_ready(self: &Rc<Self>) {
        let mut buffer = self.buffer.take();
        self.receive(&mut buffer);
        self.buffer.give_back(buffer);
    }

    fn write_ready(self: &Rc<Self>) {
        if self.link.lost.get() {
            return;
        }
        self.send();
        check_flow(self);
        self.note_outstanding();
        if self.outgoing.borrow().is_empty() && self.link.closing.get() && !self.link.lost.get() {
            finish(self, None);
        }
    }

    fn cannot_watch(self: &Rc<Self>, error: io::Error) {
        fatal(self, "the selector cannot watch the socket", error.into());
    }
}

impl Listener for Endpoint {
    fn ready(self: Rc<Self>, ready: Ready) {
        if ready.read {
            self.want(Direction::Read);
        }
        // While it rests, being writable says nothing of the peer's queue.
        let sends = || !self.outgoing.borrow().is_empty() && self.resting.borrow().is_none();
        if ready.write && sends() {
            self.want(Direction::Write);
        }
    }

    fn left_open(&self) -> Option<(&'static str, &'static Location<'static>)> {
        Some(("a datagram transport", self.turns.made_at()))
    }
}

impl Kept for Endpoint {
    fn let_go(&self) {
        let_go(self);
    }
}

impl Linked<DatagramProtocolRef> for Endpoint {
    fn link(&self) -> &Link<DatagramProtocolRef> {
        &self.link
    }

    fn transport(self: &Rc<Self>) -> DatagramTransport {
        DatagramTransport(self.clone())
    }

    fn buffered(&self) -> usize {
        self.buffered.get()
    }

    fn give_up(&self) {
        self.outgoing.borrow_mut().clear();
        self.buffered.set(0);
    }

    fn release(&self) {
        self.rest_until(None);
        self.turns.end();
        drop(self.socket.take());
    }
}
