//! Unix sockets: streams, listeners, datagrams.

mod named;
mod stream;
mod listener;
mod datagram;

pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use stream::{PeerCredentials, UnixStream};
