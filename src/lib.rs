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
// -- floor 1: stacks
mod stack;
mod fiber;
mod yielder;
mod generator;
mod delegation;
pub use clock::{Instant, VirtualClock, millis, secs};
pub use context::{ContextVar, Token};
pub use delegation::{IntoIter, Iter};
pub use exceptions::{Error, ErrorKind, Result};
pub use generator::{Generator, Resumed};
pub use instruments::{Event, FutureId, Instrument, Outcome, TaskRef};
pub use stack::{DEFAULT_STACK_SIZE, StackError, StackStatistics, stack_statistics};
pub use yielder::{Delegate, GeneratorState, Yielder};
