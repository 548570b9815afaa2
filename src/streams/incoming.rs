//! What has come and is not read yet: between a protocol and a reader.
//!
//! ```text
//!   feed ---> [ buffer ......|limit ......|2 x limit ] ---> take
//!                            |            |
//!              resume_reading at most   pause_reading above
//! ```

mod handles;

use std::cell::{Cell, RefCell};
use std::mem;

use super::buffer::{Buffer, Search};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::futures::Future;
use crate::reusable::Reusable;
use crate::transports::interface::{Fetcher, Transport};

/// asyncio's limit, in bytes.
pub(crate) const DEFAULT_LIMIT: usize = 64 * 1024;

/// What somebody was woken for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offer {
    /// For what was fed.
    None,
    /// To come for something.
    Open,
    /// The same, but it is not for him any more.
    Withdrawn,
}

/// See the module.
pub(crate) struct Incoming {
    limit: usize,
    buffer: RefCell<Buffer>,
    /// Bytes that the reader has taken out of the buffer, but not read.
    lent: Cell<usize>,
    eof: Cell<bool>,
    exception: RefCell<Option<Error>>,
    /// That the stream was cut, which comes in place of its end.
    cut: RefCell<Option<Error>>,
    /// Whether somebody waits for data, by the last of the futures.
    waited_for: Cell<bool>,
    /// What the transport has for the one who was woken.
    offer: Cell<Offer>,
    waiters: Reusable,
    /// Where the bytes come from. None if they are fed by hand, once the connection is
    /// lost, and once nobody is left who could read them.
    transport: RefCell<Option<Transport>>,
    /// Whether the transport has been paused from here.
    paused: Cell<bool>,
    has_reader: Cell<bool>,
    has_writer: Cell<bool>,
}

impl Incoming {
    pub(crate) fn new(limit: usize) -> Incoming {
        Incoming {
            limit,
            buffer: RefCell::default(),
            lent: Cell::new(0),
            eof: Cell::new(false),
            exception: RefCell::new(None),
            cut: RefCell::new(None),
            waited_for: Cell::new(false),
            offer: Cell::new(Offer::None),
            waiters: Reusable::default(),
            transport: RefCell::new(None),
            paused: Cell::new(false),
            has_reader: Cell::new(true),
            has_writer: Cell::new(false),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    // -- the side that has the bytes -----------------------------------------------------

    /// # Errors
    ///
    /// Kind `Runtime` after the end.
    pub(crate) fn feed(&self, data: &[u8]) -> Result {
        self.check_not_ended()?;
        if data.is_empty() {
            return Ok(());
        }
        self.buffer.borrow_mut().extend(data);
        self.wake();
        self.has_come();
        Ok(())
    }

    #[inline]
    fn check_not_ended(&self) -> Result {
        match self.eof.get() {
            true => Err(Error::text(ErrorKind::Runtime, "feed_data after feed_eof")),
            false => Ok(()),
        }
    }

    #[inline]
    fn has_come(&self) {
        if !self.paused.get() && self.buffered() > self.limit.saturating_mul(2) {
            self.pause();
        }
    }

    #[cold]
    fn pause(&self) {
        let transport = self.transport.borrow().clone();
        if let Some(transport) = transport {
            self.paused.set(true);
            transport.pause_reading();
        }
    }

    #[cold]
    fn resume(&self) {
        self.paused.set(false);
        let transport = self.transport.borrow().clone();
        if let Some(transport) = transport {
            transport.resume_reading();
        }
    }

    pub(crate) fn feed_eof(&self) {
        self.eof.set(true);
        self.wake();
    }

    /// The stream ends, and not as it should: what has come can be read before.
    pub(crate) fn end_by(&self, cut: Error) {
        *self.cut.borrow_mut() = Some(cut);
        self.feed_eof();
    }

    #[inline]
    fn wake(&self) {
        if let Some(waiter) = self.take_waiter() {
            // One that was cancelled has no use for it.
            let _unless_cancelled = waiter.complete(());
        }
    }

    /// Who waits does so no more.
    #[inline]
    fn take_waiter(&self) -> Option<Future<()>> {
        if self.waited_for.replace(false) { self.waiters.last() } else { None }
    }

    pub(crate) fn set_exception(&self, error: Error) {
        let former = self.exception.replace(Some(error.clone()));
        drop(former);
        if let Some(waiter) = self.take_waiter() {
            let _ = waiter.set_exception(error);
        }
    }

    pub(crate) fn exception(&self) -> Option<Error> {
        let exception = self.exception.borrow().clone();
        exception.or_else(|| self.cut.borrow().clone())
    }

    /// # Errors
    ///
    /// The error that was set.
    #[inline]
    pub(crate) fn check(&self) -> Result {
        match &*self.exception.borrow() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    // -- the side that reads -------------------------------------------------------------

    #[inline]
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.borrow().len() + self.lent.get()
    }

    pub(crate) fn is_eof(&self) -> bool {
        self.eof.get()
    }

    /// Whether nothing more will come, and that is as it should be.
    ///
    /// # Errors
    ///
    /// That the stream was cut.
    #[inline]
    pub(crate) fn has_ended(&self) -> Result<bool> {
        match &*self.cut.borrow() {
            Some(cut) if self.eof.get() => Err(cut.clone()),
            _ => Ok(self.eof.get()),
        }
    }

    /// Whether the buffer, of which nothing is lent, has that byte there.
    pub(crate) fn has_at(&self, place: usize, byte: u8) -> bool {
        self.buffer.borrow().unread().get(place) == Some(&byte)
    }

    pub(crate) fn look(&self, search: &mut Search<'_>) -> Result<Option<usize>> {
        search.look(self.buffer.borrow().unread(), self.limit)
    }

    /// The next bytes of the buffer, of which nothing is lent.
    pub(crate) fn take(&self, length: usize) -> Vec<u8> {
        let taken = self.buffer.borrow_mut().take(length);
        self.was_read();
        taken
    }

    fn was_read(&self) {
        if self.paused.get() && self.buffered() <= self.limit {
            self.resume();
        }
    }

    /// Gives out all that there is, in place of the empty buffer that it is given.
    pub(crate) fn lend(&self, lent: &mut Buffer) {
        mem::swap(&mut *self.buffer.borrow_mut(), lent);
        self.lent.set(lent.len());
    }

    /// So much of what is lent was read.
    pub(crate) fn lent_was_read(&self, length: usize) {
        self.lent.set(self.lent.get() - length);
        self.was_read();
    }

    /// Takes back what is lent and was not read.
    pub(crate) fn take_back(&self, lent: &mut Buffer) {
        self.buffer.borrow_mut().put_before(lent);
        self.lent.set(0);
    }

    /// Has the transport give what it has.
    fn fetch(&self) {
        if let Some(transport) = self.transport() {
            transport.0.fetch(self);
        }
    }

    /// Waits until something has come.
    ///
    /// # Errors
    ///
    /// The error that is set meanwhile; kind `Runtime` if another task waits, or nobody
    /// can; kind `Cancelled`.
    #[inline(always)]
    #[track_caller]
    pub(crate) fn wait(&self, operation: &str) -> Result {
        let before = self.buffered();
        // Who was woken has not come yet: the first who is there has the bytes.
        if self.offer.get() == Offer::Open && self.has_fetched(before)? {
            return Ok(());
        }
        loop {
            self.wait_once(operation)?;
            if self.offer.get() == Offer::None || self.has_fetched(before)? {
                return Ok(());
            }
        }
    }

    /// Comes for what was offered; whether there is more than before, or the end.
    #[inline(always)]
    fn has_fetched(&self, before: usize) -> Result<bool> {
        // Nobody would have been woken for nothing.
        if self.offer.replace(Offer::None) == Offer::Open {
            self.fetch();
        }
        self.check()?;
        Ok(self.buffered() > before || self.eof.get())
    }

    #[inline(always)]
    #[track_caller]
    fn wait_once(&self, operation: &str) -> Result {
        if self.waited_for.get() {
            return Err(waited_for(operation));
        }
        let waiter = self.waiters.get_here(|| "data of a stream")?;
        self.buffer.borrow_mut().shrink();
        self.waited_for.set(true);
        let waiting = Waiting(self);
        // Who wants more than the limit would wait for ever for what is held back.
        if self.paused.get() {
            self.resume();
            // The transport may have given all that it held back, or an error, at once.
            if waiter.done() {
                return waiter.result();
            }
        }
        waiter.settle()?;
        mem::forget(waiting);
        self.waited_for.set(false);
        Ok(())
    }
}

#[cold]
fn waited_for(operation: &str) -> Error {
    let text = format!("{operation} called while another task waits for data of the stream");
    Error::text(ErrorKind::Runtime, text)
}

/// The end of waiting, however it comes. As in asyncio, nobody waits after that,
/// not even one who came between the data and this one's step.
struct Waiting<'a>(&'a Incoming);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waited_for.set(false);
        if self.0.offer.replace(Offer::None) == Offer::Open {
            self.0.fetch();
        }
    }
}

impl Fetcher for Incoming {
    fn offer(&self) -> bool {
        if self.offer.get() == Offer::Open {
            return true;
        }
        let offered = self.take_waiter().is_some_and(|waiter| waiter.complete(()));
        if offered {
            self.offer.set(Offer::Open);
        }
        offered
    }

    fn take_in(&self, buffer: &mut Box<[u8]>, length: usize) -> Result {
        self.check_not_ended()?;
        self.buffer.borrow_mut().extend_from(buffer, length);
        self.has_come();
        Ok(())
    }

    fn withdraw(&self) -> bool {
        let open = self.offer.get() == Offer::Open;
        if open {
            self.offer.set(Offer::Withdrawn);
        }
        open
    }
}
