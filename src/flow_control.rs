//! Who produces, who consumes, and how the one holds the other back.
//!
//! ```text
//!    Producer  --- write --->  Consumer [ buffer ......|low ........|high ]
//!        ^                         |
//!        +---- pause / resume / stop
//! ```
//!
//! A consumer has a buffer with two water marks. When what waits in it rises above
//! the high one it tells its producer to pause, when it has fallen to the low one to
//! resume, and when nothing can be consumed any more to stop. A transport is a
//! consumer, and tells its protocol the same by `pause_writing` and
//! `resume_writing`. The words are those of PEP 3153.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::constants::HIGH_WATER;
use crate::events::Scheduler;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::reports::{ExceptionContext, ExceptionSource, catch_panic, drop_value, report_anywhere};

/// What makes bytes by itself and writes them to a [`Consumer`] (PEP 3153, after
/// Twisted's `IPushProducer`).
///
/// A consumer may call these while the producer is in the middle of a write to it,
/// so they take `&self`.
pub trait Producer {
    /// Called by [`Consumer::register`] with the consumer to write to. It is not for
    /// anybody else to call.
    fn half_register(&self, consumer: Rc<dyn Consumer>);

    /// The consumer has more than it likes: write nothing until
    /// [`resume`](Producer::resume).
    fn pause(&self);

    /// The consumer can take more.
    fn resume(&self);

    /// Nothing will be consumed any more: the connection is lost or closing.
    fn stop(&self);
}

/// What takes bytes, and says when it has enough (PEP 3153). Every
/// [`Transport`](crate::Transport) is one.
pub trait Consumer {
    /// Makes it the producer's consumer, and starts it.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if there is a producer already, or the consumer is closed.
    fn register(&self, producer: Rc<dyn Producer>) -> Result;

    /// The producer has nothing more; it is told nothing from now on.
    fn unregister(&self);

    /// Takes the bytes. They are never refused for being too many: a producer that
    /// writes while it is paused makes the buffer grow.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if it is closed; kind `Io` if the connection is lost.
    fn consume(&self, data: &[u8]) -> Result;
}

/// The water marks of a buffer, whether it is above them, and who is to know.
///
/// For transports of one's own: [`update`](FlowControl::update) is called after each
/// change of what is buffered, and tells whether the protocol is to be told.
///
/// ```
/// use stackio::FlowControl;
/// let flow = FlowControl::default();
/// flow.set_limits(100, 20)?;
/// assert_eq!(flow.update(100), None);
/// assert_eq!(flow.update(101), Some(true)); // to be told to pause
/// assert_eq!(flow.update(21), None);
/// assert_eq!(flow.update(20), Some(false)); // to be told to resume
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct FlowControl {
    low: Cell<usize>,
    high: Cell<usize>,
    paused: Cell<bool>,
    producer: RefCell<Option<Rc<dyn Producer>>>,
}

impl Default for FlowControl {
    /// With asyncio's marks: 64 KiB and 16 KiB.
    fn default() -> FlowControl {
        FlowControl {
            low: Cell::new(HIGH_WATER / 4),
            high: Cell::new(HIGH_WATER),
            paused: Cell::new(false),
            producer: RefCell::new(None),
        }
    }
}

impl FlowControl {
    /// Sets the marks, in bytes. Without a low one it is a quarter of the high one;
    /// without a high one it is four times the low one; without both they are 64 KiB
    /// and 16 KiB. [`update`](FlowControl::update) is to be called after that.
    ///
    /// # Errors
    ///
    /// Kind `Value` if the low mark is above the high one.
    pub fn set_limits(
        &self,
        high: impl Into<Option<usize>>,
        low: impl Into<Option<usize>>,
    ) -> Result {
        let (high, low) = match (high.into(), low.into()) {
            (None, None) => (HIGH_WATER, HIGH_WATER / 4),
            (None, Some(low)) => (low.saturating_mul(4), low),
            (Some(high), None) => (high, high / 4),
            (Some(high), Some(low)) => (high, low),
        };
        if low > high {
            let text = format!("the high-water mark ({high}) is below the low one ({low})");
            return Err(Error::text(ErrorKind::Value, text));
        }
        self.high.set(high);
        self.low.set(low);
        Ok(())
    }

    /// The marks, in bytes: the low one, the high one.
    pub fn limits(&self) -> (usize, usize) {
        (self.low.get(), self.high.get())
    }

    /// Whether the producer is to hold back.
    pub fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Begins as somebody else's has ended, whose protocol has been told to pause.
    #[cfg(feature = "tls")]
    pub(crate) fn begin_paused(&self) {
        self.paused.set(true);
    }

    /// Notes how many bytes are buffered now. The producer is told to pause or
    /// resume; given is whether the protocol is to be told so: `Some(true)` to pause.
    pub fn update(&self, buffered: usize) -> Option<bool> {
        let paused = match self.paused.get() {
            false if buffered > self.high.get() => true,
            true if buffered <= self.low.get() => false,
            _ => return None,
        };
        self.paused.set(paused);
        let producer = self.producer.borrow().clone();
        if let Some(producer) = producer {
            tell(|| if paused { producer.pause() } else { producer.resume() });
        }
        Some(paused)
    }

    /// Takes a producer, for the consumer's [`register`](Consumer::register).
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if there is one already.
    pub fn register(&self, producer: Rc<dyn Producer>, consumer: Rc<dyn Consumer>) -> Result {
        if self.producer.borrow().is_some() {
            let text = "register: there is a producer already; unregister it first";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        *self.producer.borrow_mut() = Some(producer.clone());
        tell(|| {
            producer.half_register(consumer);
            if self.is_paused() { producer.pause() } else { producer.resume() }
        });
        Ok(())
    }

    /// Forgets the producer.
    pub fn unregister(&self) {
        drop_value(self.producer.take());
    }

    /// Tells the producer to stop, and forgets it: nothing is consumed any more.
    pub fn stop(&self) {
        let producer = self.producer.take();
        if let Some(producer) = producer {
            tell(|| producer.stop());
        }
    }
}

/// Calls a producer, in the middle of what its consumer does. A panic of it is reported,
/// for nobody else is to suffer by it.
fn tell(call: impl FnOnce()) {
    let called = catch_panic("a producer", || {
        call();
        Ok(())
    });
    let Err(error) = called else { return };
    let text = "a producer panicked";
    match Scheduler::try_running() {
        None => report_anywhere(text, Some(error)),
        Some(scheduler) => {
            let context = ExceptionContext::new(ExceptionSource::Transport, text);
            scheduler.reports().report(&context.with_exception(error));
        }
    }
}
