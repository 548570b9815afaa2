//! Readiness: which descriptors the loop watches, and who waits for them.
//!
//! A descriptor is registered once, for reading and writing, edge-triggered, when
//! an operation on it has to wait for the first time. Its [`Registration`] then
//! remembers what is ready: an operation is tried first, and only when the system
//! says that it would block does anybody wait. A token carries the generation of
//! its place, so that an event for a closed descriptor reaches nobody.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::RawFd;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::events::Scheduler;
use crate::futures::Future;
use crate::instruments::FlowEvent;
use crate::registry::Registry;
use crate::reports::{ExceptionContext, ExceptionSource};
use crate::sides::Side;
pub(crate) use crate::sides::{Direction, Ready};
use crate::sys::fetch::fetch;

/// The token by which other threads wake the selector.
const WAKE: Token = Token(usize::MAX);

/// How many events are taken from the system at a time.
const EVENTS: usize = 1024;

/// How many sockets that are ready at once are a crowd, of which each is fetched ahead of
/// its turn: what each asks of the system meanwhile drives the others out of the
/// processor's caches.
pub(crate) const CROWD_OF_SOCKETS: usize = 128;

/// Whoever is told of each readiness, instead of waiting for one.
///
/// It is told while the selector's events are looked at, so it only puts something
/// into the queue; and once, however long the readiness lasts.
pub(crate) trait Listener {
    fn ready(self: Rc<Self>, ready: Ready);

    /// What it is and where it was made, for the report of what is still open when the
    /// loop is closed, in debug mode; nothing of what is the loop's own.
    fn left_open(&self) -> Option<(&'static str, &'static Location<'static>)> {
        None
    }
}

/// The place that a token names.
fn place_of(Token(token): Token) -> usize {
    token & 0xffff_ffff
}

/// A descriptor that the loop watches. What an event needs is in front.
#[repr(C)]
pub(crate) struct Registration {
    token: Cell<Token>,
    listener: RefCell<Option<Rc<dyn Listener>>>,
    read: Side,
    write: Side,
    driver: Rc<Driver>,
    registered_at: &'static Location<'static>,
    place: Cell<usize>,
    fd: RawFd,
}

impl Registration {
    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// Whether an operation is worth trying.
    pub(crate) fn may_be_ready(&self, direction: Direction) -> bool {
        self.side(direction).ready.get()
    }

    /// The system said that it would block; until the next event nothing is tried.
    pub(crate) fn clear(&self, direction: Direction) {
        self.side(direction).ready.set(false);
    }

    /// Less came than was asked for, so there is nothing left, unless the end of
    /// the stream is: no further event would tell of it.
    pub(crate) fn drained(&self, direction: Direction) {
        let side = self.side(direction);
        if !side.ended.get() {
            side.ready.set(false);
        }
    }

    /// The future that is done when the direction becomes ready; none if somebody
    /// else waits for it already.
    #[track_caller]
    #[inline]
    pub(crate) fn waiter(&self, direction: Direction) -> Option<Future<()>> {
        let Driver { scheduler, waiting, .. } = &*self.driver;
        self.side(direction).waiter(scheduler, waiting, (self.fd, direction))
    }

    /// Takes a waiter back that has given up; one that came later stays.
    pub(crate) fn forget_waiter(&self, direction: Direction, waiter: &Future<()>) {
        self.side(direction).forget_waiter(waiter, &self.driver.waiting);
    }

    /// Whether that loop is the one that watches it, still.
    pub(crate) fn is_watched_by(&self, driver: &Rc<Driver>) -> bool {
        self.token.get() != WAKE && Rc::ptr_eq(&self.driver, driver)
    }

    /// Whether the loop that watches it is iterating: then it is the one that runs, for
    /// there is no other meanwhile.
    #[inline]
    pub(crate) fn is_watched_now(&self) -> bool {
        self.token.get() != WAKE && self.driver.scheduler.iterating.get()
    }

    /// Whether the peer has closed that direction, or an error came.
    pub(crate) fn has_ended(&self, direction: Direction) -> bool {
        self.side(direction).ended.get()
    }

    /// Has somebody told of each readiness.
    pub(crate) fn set_listener(&self, listener: Rc<dyn Listener>) {
        *self.listener.borrow_mut() = Some(listener);
    }

    /// The same back.
    pub(crate) fn forget_listener(&self) {
        let listener = self.listener.take();
        drop(listener);
    }

    #[inline(always)]
    fn tell(&self, ready: Ready, ended: Ready) {
        if ready.read {
            self.read.wake(ended.read, &self.driver.waiting);
        }
        if ready.write {
            self.write.wake(ended.write, &self.driver.waiting);
        }
        let listener = self.listener.borrow().clone();
        if let Some(listener) = listener {
            listener.ready(ready);
        }
    }

    /// Has the selector report once more what is ready already.
    pub(crate) fn rearm(&self, interest: Interest) -> io::Result<()> {
        let poll = self.driver.poll.borrow();
        poll.registry().reregister(&mut SourceFd(&self.fd), self.token.get(), interest)
    }

    /// Stops watching. It must be called before the descriptor is closed.
    pub(crate) fn deregister(&self) {
        if self.end() {
            self.driver.deregister(self.fd);
        }
    }

    /// The same, for a descriptor that is closed next and of which there is no copy: then
    /// the system stops by itself.
    pub(crate) fn forget(&self) {
        self.end();
    }

    /// Nobody is told of anything any more; whether somebody might have been.
    fn end(&self) -> bool {
        if self.token.get() == WAKE {
            return false;
        }
        self.token.set(WAKE);
        self.forget_listener();
        for side in [&self.read, &self.write] {
            if let Some(waiter) = side.take_waiter(&self.driver.waiting) {
                waiter.cancel_with("the descriptor was closed");
            }
        }
        let registration = self.driver.watched.borrow_mut().remove(self.place.get());
        drop(registration);
        true
    }
}

/// The selector and everything it watches.
pub(crate) struct Driver {
    scheduler: Rc<Scheduler>,
    poll: RefCell<Poll>,
    events: RefCell<Events>,
    watched: RefCell<Registry<Registration>>,
    generation: Cell<u32>,
    waker: Arc<Waker>,
    /// How many waiters there are.
    waiting: Cell<usize>,
}

impl Driver {
    pub(crate) fn new(scheduler: Rc<Scheduler>) -> io::Result<Driver> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Driver {
            scheduler,
            poll: RefCell::new(poll),
            events: RefCell::new(Events::with_capacity(EVENTS)),
            watched: RefCell::new(Registry::new()),
            generation: Cell::new(0),
            waker,
            waiting: Cell::new(0),
        })
    }

    /// What wakes the selector from another thread.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        self.waker.clone()
    }

    /// Counts a listener of which something will be heard, as a waiter is counted, or no longer.
    pub(crate) fn note_outstanding(&self, outstanding: bool) {
        let waiting = self.waiting.get();
        self.waiting.set(if outstanding { waiting + 1 } else { waiting - 1 });
    }

    /// Whether anybody waits for a descriptor.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiting.get() > 0
    }

    /// Begins to watch a descriptor, in both directions.
    #[track_caller]
    pub(crate) fn register(self: &Rc<Self>, fd: RawFd) -> io::Result<Rc<Registration>> {
        let registration = Rc::new(Registration {
            driver: self.clone(),
            fd,
            registered_at: Location::caller(),
            place: Cell::new(0),
            token: Cell::new(WAKE),
            read: Side::new(),
            write: Side::new(),
            listener: RefCell::new(None),
        });
        let place = self.watched.borrow_mut().insert(registration.clone());
        let token = self.token(place);
        let interest = Interest::READABLE | Interest::WRITABLE;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | Interest::PRIORITY;
        let added = self.poll.borrow().registry().register(&mut SourceFd(&fd), token, interest);
        if let Err(error) = added {
            self.watched.borrow_mut().remove(place);
            return Err(error);
        }
        registration.place.set(place);
        registration.token.set(token);
        Ok(registration)
    }

    /// The next token for a place: the place, and a number that is not used again
    /// for long.
    fn token(&self, place: usize) -> Token {
        let generation = self.generation.get().wrapping_add(1) & 0x7fff_ffff;
        self.generation.set(generation);
        Token((generation as usize) << 32 | place)
    }

    fn deregister(&self, fd: RawFd) {
        if let Err(error) = self.poll.borrow().registry().deregister(&mut SourceFd(&fd)) {
            tracing::debug!(fd, %error, "deregister");
        }
    }

    /// Waits for readiness, for at most `timeout`, and completes who waited. How many
    /// events there were.
    pub(crate) fn select(&self, timeout: Option<Duration>) -> io::Result<usize> {
        let watched = self.scheduler.is_watched();
        if watched {
            self.scheduler.emit(&FlowEvent::Select { timeout });
        }
        let mut events = self.events.replace(Events::with_capacity(0));
        let polled = self.poll.borrow_mut().poll(&mut events, timeout);
        let mut count = 0;
        if polled.is_ok() {
            count = events.iter().count();
            if watched {
                let events = events.iter().filter(|event| event.token() != WAKE).count();
                self.scheduler.emit(&FlowEvent::Selected { events });
            }
            let fetched_ahead = if count >= CROWD_OF_SOCKETS { count } else { 0 };
            let mut soon = events.iter().take(fetched_ahead).skip(4);
            for event in &events {
                if let Some(event) = soon.next() {
                    let fetch_it = |it: &Rc<Registration>| fetch(Rc::as_ptr(it).addr(), 3);
                    self.watched.borrow().with(place_of(event.token()), fetch_it);
                }
                self.deliver(event, watched);
            }
        }
        *self.events.borrow_mut() = events;
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            result => result.map(|()| count),
        }
    }

    #[inline(always)]
    fn deliver(&self, event: &mio::event::Event, watched: bool) {
        let registration = self.watched.borrow().get(place_of(event.token()));
        let Some(registration) = registration else { return };
        if registration.token.get() != event.token() {
            return;
        }
        let failed = event.is_error();
        // A read stops short at an urgent byte, with more behind it.
        let urgent = event.is_priority();
        let closed = Ready {
            read: event.is_read_closed() || failed,
            write: event.is_write_closed() || failed,
        };
        let ready = Ready {
            read: event.is_readable() || closed.read,
            write: event.is_writable() || closed.write,
        };
        if watched {
            let Ready { read, write } = ready;
            self.scheduler.emit(&FlowEvent::Ready { readable: read, writable: write });
        }
        registration.tell(ready, Ready { read: closed.read || urgent, ..closed });
    }

    /// Reports what is still open when the loop is closed, in debug mode.
    pub(crate) fn report_open(&self) {
        let all = self.watched.borrow().all();
        for registration in all {
            let listener = registration.listener.borrow().clone();
            let (fd, first_waited) = (registration.fd, registration.registered_at);
            let text = match listener.map(|listener| listener.left_open()) {
                None => format!(
                    "a socket (descriptor {fd}) was still open when its loop was closed; it was \
                     first waited for at {first_waited}"
                ),
                Some(Some((what, place))) => format!(
                    "{what} (descriptor {fd}) was still open when its loop was closed; it was \
                     made at {place}"
                ),
                Some(None) => continue,
            };
            let context = ExceptionContext::new(ExceptionSource::Leaked, text);
            self.scheduler.reports().report(&context);
        }
    }

    /// Lets go of everything, when the loop is closed: waiters are cancelled.
    pub(crate) fn close(&self) {
        let all = self.watched.borrow().all();
        for registration in all {
            registration.deregister();
        }
    }
}
