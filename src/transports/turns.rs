//! When a transport over a descriptor gets its turn: the loop's queue and the selector.
//!
//! An operation is tried first. The selector is told of the descriptor when one would
//! block for the first time, and from then on it reports each readiness once. So a
//! transport remembers that it has work to do: it puts itself into the queue, does a
//! bounded part of it, and puts itself there again if there is more.

use std::cell::{Cell, OnceCell};
use std::io;
use std::os::fd::RawFd;
use std::panic::Location;
use std::rc::Rc;

use crate::base_events::EventLoop;
use crate::context::OwnContext;
use crate::events::{Runnable, Standing};
use crate::selectors::{Direction, Driver, Listener, Registration};

/// A buffer of `N` bytes that a loop reads into: one, however many transports there are.
#[derive(Default)]
pub(crate) struct SharedBuffer<const N: usize>(Cell<Option<Box<[u8]>>>);

impl<const N: usize> SharedBuffer<N> {
    /// Takes it; whoever comes meanwhile gets another.
    #[inline]
    pub(crate) fn take(&self) -> Box<[u8]> {
        self.0.take().unwrap_or_else(|| vec![0; N].into_boxed_slice())
    }

    #[inline]
    pub(crate) fn give_back(&self, buffer: Box<[u8]>) {
        self.0.set(Some(buffer));
    }
}

/// What was just done with a descriptor.
pub(crate) enum Did {
    /// As much as was asked for: there may be more.
    All,
    /// All that there was.
    Some,
    /// Nothing: it would block.
    Nothing,
}

/// What a transport has to do, and how it comes to do it. What is needed most often is
/// last.
#[repr(C)]
pub(crate) struct Turns {
    driver: Rc<Driver>,
    made_at: &'static Location<'static>,
    context: OwnContext,
    /// Whether somebody may have a copy of the descriptor, by which it goes on.
    is_shared: bool,
    /// Whether the loop counts it as something that will be heard of.
    outstanding: Cell<bool>,
    /// Whether it is in the queue, and what for.
    queued: Cell<bool>,
    to_read: Cell<bool>,
    to_write: Cell<bool>,
    registration: OnceCell<Rc<Registration>>,
}

impl Turns {
    pub(crate) fn new(
        event_loop: &EventLoop,
        made_at: &'static Location<'static>,
        is_shared: bool,
    ) -> Turns {
        Turns {
            driver: event_loop.driver().clone(),
            registration: OnceCell::new(),
            queued: Cell::new(false),
            to_read: Cell::new(false),
            to_write: Cell::new(false),
            outstanding: Cell::new(false),
            context: OwnContext::copy(),
            made_at,
            is_shared,
        }
    }

    /// What the selector knows of the descriptor, once it watches it.
    #[inline]
    pub(crate) fn registration(&self) -> Option<&Registration> {
        self.registration.get().map(|registration| &**registration)
    }

    /// Where its owner made it.
    pub(crate) fn made_at(&self) -> &'static Location<'static> {
        self.made_at
    }

    /// What it is for whoever asks who takes so long.
    pub(crate) fn standing(&self) -> Standing {
        Standing { place: Some(self.made_at), ..Standing::default() }
    }

    /// Whether the peer has closed that direction, as far as the selector knows.
    pub(crate) fn has_ended(&self, direction: Direction) -> bool {
        self.registration.get().is_some_and(|registration| registration.has_ended(direction))
    }

    /// Whether the system may have something; what is not watched is tried.
    pub(crate) fn may_be_ready(&self, direction: Direction) -> bool {
        self.registration.get().is_none_or(|registration| registration.may_be_ready(direction))
    }

    /// Whether it gets its turn some time.
    pub(crate) fn will_be_heard_of(&self) -> bool {
        self.queued.get() || self.registration.get().is_some()
    }

    /// Keeps the loop's count of what will be heard of.
    pub(crate) fn set_outstanding(&self, outstanding: bool) {
        if self.outstanding.replace(outstanding) != outstanding {
            self.driver.note_outstanding(outstanding);
        }
    }

    /// Before the descriptor is closed.
    pub(crate) fn end(&self) {
        self.set_outstanding(false);
        self.context.end();
        match self.registration.get() {
            Some(registration) if self.is_shared => registration.deregister(),
            Some(registration) => registration.forget(),
            None => {}
        }
    }
}

/// A transport that takes turns.
pub(crate) trait TakesTurns: Runnable + Listener + Sized + 'static {
    fn turns(&self) -> &Turns;
    /// None once it is closed.
    fn descriptor(&self) -> Option<RawFd>;
    fn enqueue(self: &Rc<Self>);
    fn read_ready(self: &Rc<Self>);
    fn write_ready(self: &Rc<Self>);
    /// The selector will not have the descriptor.
    fn cannot_watch(self: &Rc<Self>, error: io::Error);

    /// Puts itself into the queue, unless it is there.
    #[inline(always)]
    fn want(self: &Rc<Self>, direction: Direction) {
        let turns = self.turns();
        match direction {
            Direction::Read => turns.to_read.set(true),
            Direction::Write => turns.to_write.set(true),
        }
        if !turns.queued.replace(true) {
            self.enqueue();
        }
    }

    /// Does what it is in the queue for.
    #[inline]
    fn take_turn(self: &Rc<Self>) {
        let turns = self.turns();
        turns.queued.set(false);
        turns.context.run(|| {
            if turns.to_read.replace(false) {
                self.read_ready();
            }
            if turns.to_write.replace(false) {
                self.write_ready();
            }
        });
    }

    /// Notes how far an operation got, and sees to it that it goes on.
    #[inline(always)]
    fn did(self: &Rc<Self>, direction: Direction, did: Did) {
        let more = match (self.turns().registration.get(), did) {
            (_, Did::All) => true,
            (None, Did::Some | Did::Nothing) => {
                self.begin_to_watch(direction);
                false
            }
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

    /// What is there already is reported when it is registered.
    #[cold]
    fn begin_to_watch(self: &Rc<Self>, direction: Direction) {
        self.register();
        if let Some(registration) = self.turns().registration.get() {
            registration.clear(direction);
        }
    }

    /// Has the selector watch the descriptor, if it does not yet.
    fn register(self: &Rc<Self>) {
        if self.turns().registration.get().is_some() {
            return;
        }
        let Some(fd) = self.descriptor() else { return };
        match self.turns().driver.register(fd) {
            Ok(registration) => {
                registration.set_listener(self.clone());
                let _registered_once = self.turns().registration.set(registration);
            }
            Err(error) => self.cannot_watch(error),
        }
    }
}

/// Calls again what a signal has interrupted.
#[inline(always)]
pub(crate) fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => return ended,
        }
    }
}
