//! stackio
#![deny(missing_docs)]
#![deny(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]

// -- floor 0: words
mod exceptions;
mod conversions;
mod constants;
mod clock;
mod context;
mod instruments;
mod sys;
pub use clock::{Instant, VirtualClock, millis, secs};
pub use context::{ContextVar, Token};
pub use exceptions::{Error, ErrorKind, Result};
pub use instruments::{Event, FutureId, Instrument, Outcome, TaskRef};
