//! `add_reader` and `add_writer`: a callback whenever a descriptor is ready.
//!
//! For descriptors that are not sockets of this crate: a timerfd, an inotify, the
//! socket of a library in C. The selector reports readiness once; asyncio calls
//! again and again as long as it lasts. So after each call the selector is asked to
//! report once more what is still ready.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::{Rc, Weak};

use mio::Interest;

use crate::base_events::EventLoop;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::repeating::Repeating;
use crate::reports::{CallbackOutput, Reports};
use crate::selectors::{Direction, Listener, Ready, Registration};

/// The descriptors of a loop that have callbacks. They belong to their
/// registrations, which end with the loop: callbacks may own the loop.
#[derive(Default)]
struct Readers(RefCell<HashMap<RawFd, Weak<Descriptor>>>);

impl Readers {
    fn get(&self, fd: RawFd) -> Option<Rc<Descriptor>> {
        self.0.borrow().get(&fd)?.upgrade()
    }
}

struct Descriptor {
    scheduler: Weak<Scheduler>,
    registration: Rc<Registration>,
    reader: RefCell<Option<Rc<Repeating>>>,
    writer: RefCell<Option<Rc<Repeating>>>,
}

impl Descriptor {
    fn callback(&self, direction: Direction) -> &RefCell<Option<Rc<Repeating>>> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// What is to be reported; `None` if nobody wants to know.
    fn interest(&self) -> Option<Interest> {
        let reader = self.reader.borrow().is_some().then_some(Interest::READABLE);
        let writer = self.writer.borrow().is_some().then_some(Interest::WRITABLE);
        match (reader, writer) {
            (Some(reader), Some(writer)) => Some(reader | writer),
            (reader, writer) => reader.or(writer),
        }
    }

    /// Asks for the next report. It fails only if the descriptor has been closed.
    fn rearm(&self) -> Result {
        self.interest().map_or(Ok(()), |interest| Ok(self.registration.rearm(interest)?))
    }

    fn call(&self, direction: Direction, reports: &Reports) {
        let callback = self.callback(direction).borrow().clone();
        if let Some(callback) = callback {
            callback.call(reports);
            if let Err(error) = self.rearm() {
                tracing::debug!(%error, "a descriptor was closed that has a callback");
            }
        }
    }
}

impl Listener for Descriptor {
    fn ready(self: Rc<Self>, ready: Ready) {
        let Some(scheduler) = self.scheduler.upgrade() else { return };
        let directions = [(ready.read, Direction::Read), (ready.write, Direction::Write)];
        for (_, direction) in directions.into_iter().filter(|(is_ready, _)| *is_ready) {
            let (me, reports) = (self.clone(), scheduler.clone());
            scheduler.call_soon(move || me.call(direction, reports.reports()));
        }
    }
}

impl EventLoop {
    /// Has `callback` called in each iteration in which the descriptor is ready for
    /// reading (`loop.add_reader`), in a copy of the present context. It replaces
    /// the former one of this descriptor. An error or panic of the callback goes to
    /// the exception handler, and it stays.
    ///
    /// The descriptor should be non-blocking, and
    /// [`remove_reader`](EventLoop::remove_reader) must be called before it is
    /// closed. Sockets of [`net`](crate::net) need none of this.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixStream;
    /// use stackio::{Future, get_running_loop};
    ///
    /// stackio::run(|| {
    ///     let event_loop = get_running_loop()?;
    ///     let (mut ours, mut theirs) = UnixStream::pair()?;
    ///     ours.set_nonblocking(true)?;
    ///     let arrived = Future::new();
    ///     let (reader, done) = (ours.try_clone()?, arrived.clone());
    ///     event_loop.add_reader(&ours, move || {
    ///         let mut byte = [0];
    ///         (&reader).read_exact(&mut byte)?;
    ///         done.set_result(byte[0])
    ///     })?;
    ///     theirs.write_all(b"!")?;
    ///     assert_eq!(arrived.wait()?, b'!');
    ///     assert!(event_loop.remove_reader(&ours));
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the loop is closed; kind `Io` for what the selector cannot
    /// watch, as a regular file.
    #[track_caller]
    pub fn add_reader<R: CallbackOutput>(
        &self,
        descriptor: &impl AsFd,
        callback: impl FnMut() -> R + 'static,
    ) -> Result {
        self.add_callback(descriptor, Direction::Read, Repeating::new(callback))
    }

    /// The same for writing (`loop.add_writer`).
    ///
    /// # Errors
    ///
    /// As [`add_reader`](EventLoop::add_reader).
    #[track_caller]
    pub fn add_writer<R: CallbackOutput>(
        &self,
        descriptor: &impl AsFd,
        callback: impl FnMut() -> R + 'static,
    ) -> Result {
        self.add_callback(descriptor, Direction::Write, Repeating::new(callback))
    }

    /// Removes the callback for reading; false if there was none
    /// (`loop.remove_reader`). It is not called any more, even if the descriptor has
    /// become ready.
    pub fn remove_reader(&self, descriptor: &impl AsFd) -> bool {
        self.remove_callback(descriptor, Direction::Read)
    }

    /// The same for writing (`loop.remove_writer`).
    pub fn remove_writer(&self, descriptor: &impl AsFd) -> bool {
        self.remove_callback(descriptor, Direction::Write)
    }

    #[track_caller]
    fn add_callback(
        &self,
        descriptor: &impl AsFd,
        direction: Direction,
        callback: Rc<Repeating>,
    ) -> Result {
        if self.is_closed() {
            return Err(Error::text(ErrorKind::Runtime, "the event loop is closed"));
        }
        let descriptor = self.described(descriptor.as_fd().as_raw_fd())?;
        let former = descriptor.callback(direction).replace(Some(callback));
        if let Some(former) = former {
            former.remove();
        }
        // It may have become ready before anybody wanted to know.
        descriptor.rearm()
    }

    #[track_caller]
    fn described(&self, fd: RawFd) -> Result<Rc<Descriptor>> {
        let readers = self.service(Readers::default);
        if let Some(known) = readers.get(fd) {
            return Ok(known);
        }
        let registration = self.driver().register(fd)?;
        let (reader, writer) = (RefCell::new(None), RefCell::new(None));
        let scheduler = Rc::downgrade(self.scheduler());
        let descriptor = Rc::new(Descriptor { scheduler, registration, reader, writer });
        descriptor.registration.set_listener(descriptor.clone());
        readers.0.borrow_mut().insert(fd, Rc::downgrade(&descriptor));
        Ok(descriptor)
    }

    fn remove_callback(&self, descriptor: &impl AsFd, direction: Direction) -> bool {
        let fd = descriptor.as_fd().as_raw_fd();
        let Some(readers) = self.find_service::<Readers>() else { return false };
        let Some(descriptor) = readers.get(fd) else { return false };
        let removed = descriptor.callback(direction).take();
        if let Some(callback) = &removed {
            callback.remove();
        }
        if descriptor.interest().is_none() {
            readers.0.borrow_mut().remove(&fd);
            descriptor.registration.deregister();
        }
        removed.is_some()
    }
}
