//! Errors in and out: from any Rust error by `?`, and back into std's.
//!
//! A cancellation has to survive a detour through code that knows nothing of this
//! crate: a codec that reads from a socket gets it as an [`io::Error`] and may wrap
//! that into an error of its own. `From` therefore looks through the chain of
//! [`source`](std::error::Error::source)s, and a cancel found there comes out as
//! the cancel it was.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::exceptions::{BoxError, Error, ErrorKind, Inner, Payload};

impl Error {
    /// An error of a kind with a payload: an error of your own, or a text, as
    /// [`io::Error::new`] takes.
    ///
    /// A cancellation stays one, whatever kind it is to be: what has a cancellation
    /// inside becomes that. To give it up on purpose, take its text alone.
    ///
    /// ```
    /// use stackio::{Error, ErrorKind};
    /// let error = Error::new(ErrorKind::Value, "port 0 is not a port");
    /// assert_eq!(error.to_string(), "port 0 is not a port");
    ///
    /// let cancelled = Error::new(ErrorKind::Other, Error::from(ErrorKind::Cancelled));
    /// assert!(cancelled.is_cancelled());
    /// ```
    pub fn new(kind: ErrorKind, payload: impl Into<BoxError>) -> Error {
        let payload = payload.into();
        cancel_inside(&*payload)
            .unwrap_or_else(|| Error::from_parts(kind, Payload::Custom(payload)))
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Error {
        // A generic `E` can only be told apart by looking at it as `Any`.
        let mut slot = Some(error);
        let any: &mut dyn Any = &mut slot;
        if let Some(io) = any.downcast_mut::<Option<io::Error>>().and_then(Option::take) {
            return from_io(io);
        }
        if let Some(own) = any.downcast_mut::<Option<Carried>>().and_then(Option::take) {
            return own.0.0;
        }
        match slot {
            Some(error) => match cancel_inside(&error) {
                Some(cancel) => cancel,
                None => Error::from_parts(ErrorKind::Other, Payload::Custom(Box::new(error))),
            },
            None => Error::from(ErrorKind::Other),
        }
    }
}

/// An I/O error: the one of ours that it carries, or a new one of kind `Io`.
fn from_io(error: io::Error) -> Error {
    let carried = error.get_ref().and_then(|inner| inner.downcast_ref::<Carried>());
    if let Some(Carried(Own(own))) = carried {
        return own.clone();
    }
    match cancel_inside(&error) {
        Some(cancel) => cancel,
        None => Error::from_parts(ErrorKind::Io, Payload::Io(error)),
    }
}

/// Whether an I/O error has an error of this crate inside.
pub(crate) fn carries_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Carried>())
}

/// The cancel or generator exit that some error has among its sources: control
/// flow must not be lost in a wrapping, other errors keep their wrapping.
fn cancel_inside(error: &(dyn StdError + 'static)) -> Option<Error> {
    const DEPTH: usize = 32;
    let mut next = Some(error);
    for _ in 0..DEPTH {
        let error = next?;
        let own = match error.downcast_ref::<Carried>() {
            Some(carried) => Some(&carried.0),
            None => error.downcast_ref::<Own>(),
        };
        if let Some(own) = own {
            return own.is_control().then(|| own.0.clone());
        }
        // The payload of an `io::Error` is not its source, but its inside.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// How an [`Error`] travels inside foreign errors.
struct Carried(Own);

/// What it carries. A cancel is also its carrier's source: whoever wraps an
/// `io::Error` and names that one's source as its own, as `serde_json` does,
/// steps over the carrier.
struct Own(Error);

impl Own {
    fn is_control(&self) -> bool {
        matches!(self.0.kind(), ErrorKind::Cancelled | ErrorKind::GeneratorExit)
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Carried {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if self.0.is_control() { Some(&self.0) } else { self.0.source() }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for Own {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl From<Error> for io::Error {
    /// An error of kind `Io` becomes the I/O error it was, a timeout one of kind
    /// `TimedOut`, everything else (a cancel above all) one of kind `Other`: std's
    /// own loops retry `Interrupted`, and libraries spin on `WouldBlock`.
    fn from(error: Error) -> io::Error {
        let error = match Arc::try_unwrap(error.0) {
            Ok(Inner { payload: Payload::Io(io), .. }) => return io,
            Ok(inner) => Error(Arc::new(inner)),
            Err(shared) => Error(shared),
        };
        let kind = match &error.0.payload {
            Payload::Io(io) => match io.raw_os_error() {
                Some(code) => return io::Error::from_raw_os_error(code),
                None => io.kind(),
            },
            _ if error.kind() == ErrorKind::Timeout => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, Carried(Own(error)))
    }
}

impl From<Error> for BoxError {
    fn from(error: Error) -> BoxError {
        Box::new(Carried(Own(error)))
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Box<dyn StdError> {
        Box::new(Carried(Own(error)))
    }
}
