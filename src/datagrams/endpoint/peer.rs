//! Whom an endpoint sends to.

use crate::exceptions::{Error, ErrorKind, Result};
use crate::transports::extra::Address;

/// See the module.
pub(in crate::datagrams) enum Peer {
    /// Whoever is named with each datagram.
    Anybody,
    /// This one, and the system knows.
    Connected(Address),
    /// This one, and the system does not: a broadcast address, which never answers.
    Fixed(Address),
}

impl Peer {
    /// Where to send what is for `to`; `None` is where the socket is connected to.
    ///
    /// # Errors
    ///
    /// Kind `Value` if that is nowhere, or somewhere else.
    pub(super) fn route<'a>(&'a self, to: Option<&'a Address>) -> Result<Option<&'a Address>> {
        let text = match (self, to) {
            (Peer::Anybody, Some(_)) => return Ok(to),
            (Peer::Anybody, None) => "send: there is no peer; say where to, by sendto".to_owned(),
            (Peer::Connected(_), None) => return Ok(None),
            (Peer::Fixed(peer), None) => return Ok(Some(peer)),
            (Peer::Connected(peer), Some(to)) if peer == to => return Ok(None),
            (Peer::Fixed(peer), Some(to)) if peer == to => return Ok(Some(peer)),
            (Peer::Connected(peer) | Peer::Fixed(peer), Some(to)) => {
                format!("sendto: {to} is not the peer, which is {peer}")
            }
        };
        Err(Error::text(ErrorKind::Value, text))
    }
}
