//! Transports: what carries bytes between a connection and its protocol (PEP 3153).
//!
//! ```text
//!                 data_received, eof_received, connection_lost
//!   descriptor  ---------------------------------------------->  protocol
//!     | ^         transport                                          |
//!     v |       <----------------------------------------------------+
//!   selector      write, write_eof, close, pause_reading
//! ```
//!
//! [`Transport`] is one type, whatever is behind it; the traits are for those who write
//! one of their own: [`ReadTransport`] and [`WriteTransport`] make a [`Transport`] by
//! [`Transport::new`]. The protocol is called in the loop, outside of any task, and never
//! within another call of it.

pub(crate) mod extra;
pub(crate) mod interface;
pub(crate) mod handle;
pub(crate) mod link;
pub(crate) mod making;
pub(crate) mod outgoing;
pub(crate) mod source;
pub(crate) mod turns;
pub(crate) mod stream;
pub(crate) mod memory;
mod files;

pub use extra::{Address, ExtraInfo};
pub use interface::{BaseTransport, ProtocolRef, ReadTransport, Transport, WriteTransport};
