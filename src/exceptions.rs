//! The words for what goes wrong: [`Error`], its [`ErrorKind`] and [`Result`].
//!
//! An [`Error`] plays the part of a Python exception object: it is one shared
//! word, so that every waiter of a future can be given the same error, it
//! carries one of asyncio's kinds, and any Rust error becomes one through `?`.
//! Cancellation travels as an error of kind [`ErrorKind::Cancelled`].

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

use crate::panics::PanicPayload;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// The result of everything that can fail here; coroutine bodies return it.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// What sort of error an [`Error`] is; the names are asyncio's exceptions.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The task was asked to stop (`asyncio.CancelledError`).
    Cancelled,
    /// A suspended generator is being closed (`GeneratorExit`).
    GeneratorExit,
    /// Ctrl-C ended the run (`KeyboardInterrupt`).
    KeyboardInterrupt,
    /// A deadline passed (`TimeoutError`).
    Timeout,
    /// The future is not, or is already, done (`asyncio.InvalidStateError`).
    InvalidState,
    /// A finished generator was resumed (`StopIteration`).
    StopIteration,
    /// An operation at the wrong place or time (`RuntimeError`).
    Runtime,
    /// An argument outside its range (`ValueError`).
    Value,
    /// An argument of the wrong sort (`TypeError`).
    Type,
    /// The object does not have this operation (`AttributeError`).
    Attribute,
    /// `get_nowait` on an empty queue (`asyncio.QueueEmpty`).
    QueueEmpty,
    /// `put_nowait` on a full queue (`asyncio.QueueFull`).
    QueueFull,
    /// The queue has been shut down (`asyncio.QueueShutDown`).
    QueueShutDown,
    /// The barrier was reset or aborted (`asyncio.BrokenBarrierError`).
    BrokenBarrier,
    /// The stream ended early (`asyncio.IncompleteReadError`).
    IncompleteRead,
    /// No separator within the limit (`asyncio.LimitOverrunError`).
    LimitOverrun,
    /// Under a virtual clock: everybody waits and nobody can ever wake.
    Deadlock,
    /// An [`io::Error`]; see [`Error::io_kind`].
    Io,
    /// A task or callback panicked.
    Panic,
    /// Several errors (`ExceptionGroup`); see [`Error::errors`].
    Group,
    /// Any other error, brought in by `?`; see [`Error::downcast_ref`].
    Other,
}

impl ErrorKind {
    /// What is said of an error that carries no text of its own.
    fn description(self) -> &'static str {
        match self {
            ErrorKind::Cancelled => "cancelled",
            ErrorKind::GeneratorExit => "generator exit",
            ErrorKind::KeyboardInterrupt => "interrupted by Ctrl-C",
            ErrorKind::Timeout => "timed out",
            ErrorKind::InvalidState => "invalid state",
            ErrorKind::StopIteration => "the generator has finished",
            ErrorKind::Runtime => "runtime error",
            ErrorKind::Value => "invalid value",
            ErrorKind::Type => "invalid type",
            ErrorKind::Attribute => "no such operation",
            ErrorKind::QueueEmpty => "the queue is empty",
            ErrorKind::QueueFull => "the queue is full",
            ErrorKind::QueueShutDown => "the queue has been shut down",
            ErrorKind::BrokenBarrier => "the barrier is broken",
            ErrorKind::IncompleteRead => "the stream ended early",
            ErrorKind::LimitOverrun => "limit overrun",
            ErrorKind::Deadlock => "deadlock",
            ErrorKind::Io => "I/O error",
            ErrorKind::Panic => "panicked",
            ErrorKind::Group => "several errors",
            ErrorKind::Other => "error",
        }
    }
}

/// An error: one word, cheap to clone, sendable to any thread.
///
/// It is made from any [`std::error::Error`] by `?`, and turns back into an
/// [`io::Error`] or a boxed error the same way. Since that blanket conversion
/// exists it is not itself a `std::error::Error`, but dereferences to one.
///
/// ```
/// use stackio::{Error, ErrorKind};
///
/// fn parse(text: &str) -> stackio::Result<u16> {
///     Ok(text.parse::<u16>()?)
/// }
/// let error = parse("many").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Other);
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
///
/// // A cancel that travels through std's I/O traits stays a cancel.
/// let io = std::io::Error::from(Error::cancelled_with("enough"));
/// assert_eq!(io.kind(), std::io::ErrorKind::Other);
/// let back = Error::from(io);
/// assert!(back.is_cancelled());
/// assert_eq!(back.message(), Some("enough"));
/// ```
#[derive(Clone)]
pub struct Error(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) kind: ErrorKind,
    pub(crate) payload: Payload,
}

pub(crate) enum Payload {
    None,
    Message(Box<str>),
    Custom(BoxError),
    Io(io::Error),
    Group(Box<str>, Vec<Error>),
    Panic(Box<str>, PanicPayload),
}

impl Error {
    pub(crate) fn from_parts(kind: ErrorKind, payload: Payload) -> Error {
        Error(Arc::new(Inner { kind, payload }))
    }

    /// An error of a kind with a text, which [`message`](Error::message) gives back.
    ///
    /// ```
    /// use stackio::{Error, ErrorKind};
    /// let error = Error::with_message(ErrorKind::Value, "port 0 is not a port");
    /// assert_eq!(error.message(), Some("port 0 is not a port"));
    /// ```
    pub fn with_message(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::text(kind, message.into())
    }

    /// The same, for the texts of this crate.
    pub(crate) fn text(kind: ErrorKind, message: impl Into<Box<str>>) -> Error {
        Error::from_parts(kind, Payload::Message(message.into()))
    }

    /// A cancellation without a message.
    pub fn cancelled() -> Error {
        Error::from(ErrorKind::Cancelled)
    }

    /// A cancellation with the message given to `cancel_with`.
    pub fn cancelled_with(message: impl Into<String>) -> Error {
        Error::text(ErrorKind::Cancelled, message.into())
    }

    /// Several errors as one, like Python's `ExceptionGroup`.
    pub fn group(message: impl Into<String>, errors: Vec<Error>) -> Error {
        let message = message.into().into_boxed_str();
        Error::from_parts(ErrorKind::Group, Payload::Group(message, errors))
    }

    /// The error that a panic becomes.
    pub(crate) fn panic(who: &str, payload: Box<dyn Any + Send>) -> Error {
        let said = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => text,
            (None, Some(text)) => text.as_str(),
            (None, None) => "a payload that is not a text",
        };
        let message = format!("{who} panicked: {said}").into_boxed_str();
        Error::from_parts(ErrorKind::Panic, Payload::Panic(message, PanicPayload::new(payload)))
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether this is a cancellation. Code that catches errors lets these pass.
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Whether it ends the run of the loop in which a task or callback gives it.
    pub(crate) fn is_interrupt(&self) -> bool {
        self.0.kind == ErrorKind::KeyboardInterrupt
    }

    /// Whether a deadline passed: kind [`Timeout`](ErrorKind::Timeout), or an I/O
    /// error of kind [`TimedOut`](io::ErrorKind::TimedOut).
    pub fn is_timeout(&self) -> bool {
        self.0.kind == ErrorKind::Timeout || self.io_kind() == Some(io::ErrorKind::TimedOut)
    }

    /// The text of a cancellation, of an error made by
    /// [`with_message`](Error::with_message), and of those of this crate. One whose
    /// payload is an error has its text in the `Display` form only.
    pub fn message(&self) -> Option<&str> {
        match &self.0.payload {
            Payload::Message(text) | Payload::Group(text, _) | Payload::Panic(text, _) => {
                Some(text)
            }
            _ => None,
        }
    }

    /// The errors of a group; empty for every other kind.
    pub fn errors(&self) -> &[Error] {
        match &self.0.payload {
            Payload::Group(_, errors) => errors,
            _ => &[],
        }
    }

    /// The kind of the I/O error, if this is one.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match &self.0.payload {
            Payload::Io(error) => Some(error.kind()),
            _ => None,
        }
    }

    /// The error inside, if it is of type `E`: what `?` was applied to, or what
    /// was given to [`Error::new`]. An `io::Error` is looked into.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match &self.0.payload {
            Payload::Custom(error) => error.downcast_ref(),
            Payload::Io(error) => {
                let itself = (error as &(dyn StdError + 'static)).downcast_ref();
                itself.or_else(|| error.get_ref()?.downcast_ref())
            }
            _ => None,
        }
    }

    /// The payload of the panic that became this error, for
    /// [`std::panic::resume_unwind`]. The first caller gets it, later ones `None`.
    pub fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        match &self.0.payload {
            Payload::Panic(_, payload) => payload.take(),
            _ => None,
        }
    }

    /// Whether it is more than its kind.
    pub(crate) fn has_payload(&self) -> bool {
        !matches!(self.0.payload, Payload::None)
    }

    /// Whether both are the same error object, as `is` compares in Python.
    pub fn ptr_eq(&self, other: &Error) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What came before a stream ended too early: inside an error of kind
/// [`IncompleteRead`](ErrorKind::IncompleteRead).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncompleteRead {
    /// The bytes that did come.
    pub partial: Vec<u8>,
    /// How many there should have been, if that is known.
    pub expected: Option<usize>,
}

impl fmt::Display for IncompleteRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the stream ended after {} bytes", self.partial.len())?;
        match self.expected {
            Some(expected) => write!(f, " of {expected}"),
            None => f.write_str(", before a separator"),
        }
    }
}

impl StdError for IncompleteRead {}

/// How far the search for a separator got: inside an error of kind
/// [`LimitOverrun`](ErrorKind::LimitOverrun).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitOverrun {
    /// How many bytes come before the separator, as far as they are known.
    pub consumed: usize,
}

impl fmt::Display for LimitOverrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no separator within the limit, after {} bytes", self.consumed)
    }
}

impl StdError for LimitOverrun {}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error::from_parts(kind, Payload::None)
    }
}

impl Deref for Error {
    type Target = dyn StdError + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.payload {
            Payload::None => f.write_str(self.kind.description()),
            Payload::Message(text) if self.kind == ErrorKind::Cancelled => {
                write!(f, "cancelled: {text}")
            }
            Payload::Message(text) | Payload::Panic(text, _) => f.write_str(text),
            Payload::Custom(error) => fmt::Display::fmt(error, f),
            Payload::Io(error) => fmt::Display::fmt(error, f),
            Payload::Group(text, errors) => {
                let count = errors.len();
                write!(f, "{text} ({count} error{})", if count == 1 { "" } else { "s" })?;
                errors.iter().try_for_each(|error| write!(f, "; {error}"))
            }
        }
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ", caused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Inner {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.payload {
            Payload::Custom(error) => error.source(),
            Payload::Io(error) => error.source(),
            Payload::Group(_, errors) => errors.first().map(|error| &*error.0 as _),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&*self.0, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}
