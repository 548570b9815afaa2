//! Protocols without a loop, over a stream that blocks.
//!
//! ```text
//!   connection_made  data_received*  eof_received?  connection_lost
//!         |               ^ read, which blocks            |
//!         +---------------+------------------------------>+     on this thread
//! ```
//!
//! PEP 3153 wishes for protocols that serve synchronous code as well. [`run`] has a
//! [`Protocol`](crate::Protocol) or [`BufferedProtocol`](crate::BufferedProtocol) called
//! as a transport of a loop would, until the connection ends. A [`Connection`] does it
//! for as long as its owner waits for something: a request is written, and reading goes
//! on until there is an answer.
//!
//! Writes block as well. So nothing waits to be sent, and nobody is told to pause
//! writing; but two that write much to each other and do not read meanwhile wait for
//! ever. And while this thread reads, nobody else can do anything with the connection:
//! to pause reading and then wait for something is an error.
//!
//! Nothing here is for use inside of a task: it would hold up the whole loop.

mod connection;
mod stream;
mod transport;

pub use self::connection::{Connection, run};
pub use self::stream::{Pair, ReadWrite, Stream};
