//! Who comes for what a transport has, instead of being given it.

use crate::exceptions::Result;

/// What is at a transport's other end if that has a reader: somebody who waits for bytes,
/// and comes for them in a step of his own.
///
/// So what has come stays with the system until it is used: of a thousand connections that
/// are ready at once, one has its bytes in memory at a time.
pub trait Fetcher {
    /// There is something to read. Whether somebody waits for it, who is woken by this and
    /// will call [`ReadTransport::fetch`](super::ReadTransport::fetch).
    fn offer(&self) -> bool;

    /// Takes the first `length` bytes of the buffer, which is the transport's: it may be
    /// kept if another one is left in its place.
    ///
    /// # Errors
    ///
    /// As [`data_received`](crate::Protocol::data_received), in whose place this is.
    fn take_in(&self, buffer: &mut Box<[u8]>, length: usize) -> Result;

    /// Nobody is to come any more; whether somebody was to.
    fn withdraw(&self) -> bool;
}
