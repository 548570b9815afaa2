//! One socket that connections are accepted from.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::panic::Location;
use std::rc::Rc;

use socket2::{SockAddr, Socket};

use super::{Home, Inner};
use crate::base_events::get_running_loop;
use crate::connecting::{is_of_the_listener, is_shortage, report_shortage};
use crate::connections::{Layer, attach};
use crate::constants::ACCEPT_RETRY_DELAY;
use crate::events::{Runnable, Scheduler};
use crate::exceptions::Result;
use crate::reports::{ExceptionContext, ExceptionSource, catch_panic};
use crate::selectors::{Driver, Listener, Ready, Registration};
use crate::sys::accept::accept;
use crate::transports::extra::Address;
use crate::transports::interface::ProtocolRef;
use crate::transports::source::Source;
use crate::transports::stream::Carrier;

/// How many connections are accepted before others get their turn; asyncio takes as
/// many as its backlog.
const ACCEPTS_PER_TURN: usize = 100;

/// What makes the protocols of a server.
pub(super) type Factory = Rc<RefCell<dyn FnMut() -> ProtocolRef>>;

/// What all sockets of a server have.
pub(super) struct Reception {
    pub(super) factory: Factory,
    pub(super) layer: Option<Rc<dyn Layer>>,
    /// What each connection is told; none if it has that of its listener.
    pub(super) nodelay: Option<bool>,
    pub(super) keep_alive: bool,
    pub(super) made_at: &'static Location<'static>,
}

/// See the module.
pub(super) struct Acceptor {
    server: Home,
    reception: Rc<Reception>,
    scheduler: Rc<Scheduler>,
    driver: Rc<Driver>,
    socket: RefCell<Option<Socket>>,
    backlog: i32,
    registration: RefCell<Option<Rc<Registration>>>,
    queued: Cell<bool>,
    /// Whether it waits for descriptors or memory to come back.
    resting: Cell<bool>,
}

impl Acceptor {
    pub(super) fn new(
        server: &Home,
        reception: Rc<Reception>,
        (scheduler, driver): (Rc<Scheduler>, Rc<Driver>),
        (socket, backlog): (Socket, i32),
    ) -> Rc<Acceptor> {
        Rc::new(Acceptor {
            server: server.clone(),
            reception,
            scheduler,
            driver,
            socket: RefCell::new(Some(socket)),
            backlog,
            registration: RefCell::new(None),
            queued: Cell::new(false),
            resting: Cell::new(false),
        })
    }

    /// Listens and has itself told of connections; a second time it does nothing.
    pub(super) fn start(self: &Rc<Self>) -> Result {
        if self.registration.borrow().is_some() {
            return Ok(());
        }
        let fd = match &*self.socket.borrow() {
            Some(socket) => {
                socket.listen(self.backlog)?;
                socket.as_raw_fd()
            }
            None => return Ok(()),
        };
        let Some(server) = self.server.upgrade() else { return Ok(()) };
        let registration = self.driver.register(fd)?;
        registration.set_listener(Rc::new(Serving { acceptor: self.clone(), _server: server }));
        *self.registration.borrow_mut() = Some(registration);
        self.driver.note_outstanding(true);
        Ok(())
    }

    pub(super) fn close(&self) {
        let registration = self.registration.take();
        if let Some(registration) = registration {
            registration.deregister();
            self.driver.note_outstanding(false);
        }
        let socket = self.socket.take();
        drop(socket);
    }

    fn queue(self: &Rc<Self>) {
        if !self.queued.replace(true) {
            self.scheduler.push(self.clone());
        }
    }

    /// Accepts what has come, up to a bound.
    fn accept(self: &Rc<Self>) {
        for _ in 0..ACCEPTS_PER_TURN {
            let accepted = match &*self.socket.borrow() {
                Some(socket) => accept(socket.as_fd()),
                None => return,
            };
            match accepted {
                Ok((socket, peer)) => {
                    // Whatever happens to one connection, the others are still to come.
                    let welcomed = catch_panic("a server", || self.welcome(socket, &peer));
                    if let Err(error) = welcomed {
                        self.report("a connection could not be given to its protocol", error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_shortage(&error) => return self.rest(error),
                Err(error) if is_of_the_listener(&error) => {
                    return self.report("a server cannot accept any more", error.into());
                }
                Err(_of_one_connection) => {}
            }
        }
        self.queue();
    }

    fn welcome(&self, socket: Socket, peer: &SockAddr) -> Result {
        let Some(server) = self.server.upgrade() else { return Ok(()) };
        let event_loop = get_running_loop()?;
        let source = Source::stream(socket, peer.domain());
        if let Some(nodelay) = self.reception.nodelay {
            source.set_nodelay(nodelay)?;
        }
        if let Some(socket) = source.as_socket().filter(|_| self.reception.keep_alive) {
            socket.set_keepalive(true)?;
        }
        let factory = &self.reception.factory;
        let protocol = catch_panic("a protocol factory", || Ok((factory.borrow_mut())()))?;
        let number = server.new_client_number();
        let home = self.server.clone();
        let gone = move || {
            if let Some(server) = home.upgrade() {
                server.detach(number);
            }
        };
        let layer = self.reception.layer.as_deref();
        let gone = Some(Box::new(gone) as Box<dyn FnOnce()>);
        let peer = Address::of(peer).or_else(|| source.peer());
        let made_at = self.reception.made_at;
        let carrier = Carrier { source, is_shared: false, peer, made_at };
        let transport = attach(&event_loop, carrier, protocol, layer, None, gone)?;
        server.attach(number, transport);
        Ok(())
    }

    /// For want of descriptors or memory, which may come back.
    fn rest(self: &Rc<Self>, error: io::Error) {
        report_shortage(error);
        self.resting.set(true);
        let again = self.clone();
        self.scheduler.call_later(ACCEPT_RETRY_DELAY, move || {
            again.resting.set(false);
            again.queue();
        });
    }

    fn report(&self, text: &str, error: crate::exceptions::Error) {
        let context = ExceptionContext::new(ExceptionSource::Loop, text);
        self.scheduler.reports().report(&context.with_exception(error));
    }
}

impl Runnable for Acceptor {
    fn run(self: Rc<Self>, _: &Scheduler) {
        self.queued.set(false);
        if !self.resting.get() {
            self.accept();
        }
    }
}

/// What the selector tells of connections. It keeps the server alive, which its handles
/// need not, until the server is closed or the loop is.
struct Serving {
    acceptor: Rc<Acceptor>,
    _server: Rc<Inner>,
}

impl Listener for Serving {
    fn ready(self: Rc<Self>, ready: Ready) {
        if ready.read {
            self.acceptor.queue();
        }
    }

    fn left_open(&self) -> Option<(&'static str, &'static Location<'static>)> {
        Some(("a server", self.acceptor.reception.made_at))
    }
}
