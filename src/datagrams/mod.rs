//! Datagrams for protocols: UDP, and Unix sockets of that sort.
//!
//! ```text
//!               datagram_received, error_received
//!   socket  -------------------------------------->  protocol
//!     ^        transport                                |
//!     +-------------------------------------------------+
//!               sendto, close, abort
//! ```
//!
//! A datagram comes as a whole or not at all, and on its own: from whom is said each
//! time. So there is no connection that could be lost: what the system says of one
//! datagram (nobody listens there, it is too large) is told by `error_received`, and
//! the transport goes on.

mod interface;
mod protocol;
mod socket;
mod handle;
mod endpoint;
mod multicast;
mod builder;

pub use builder::{DatagramConnected, DatagramEndpoint};
pub use interface::{DatagramProtocolRef, DatagramTransport};
pub use protocol::DatagramProtocol;
