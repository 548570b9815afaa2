//! A descriptor becomes the transport of a protocol, with a layer in between if there is
//! one.

use std::panic::Location;

use crate::base_events::EventLoop;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::protocols::{IntoProtocol, ProtocolHandle};
use crate::transports::extra::Address;
use crate::transports::interface::{ProtocolRef, Transport};
use crate::transports::link::{Linked, OnLost};
use crate::transports::making::make;
use crate::transports::source::Source;
use crate::transports::stream::{Carrier, StreamTransport};

/// A connection: its transport, and its protocol for the owner to look at.
pub type Connected<P> = (Transport, ProtocolHandle<P>);

/// Something between a connection's bytes and its protocol: TLS.
pub(crate) trait Layer {
    /// The protocol that the descriptor's transport gets, and the transport that the
    /// user's protocol gets. `waiter` is completed when the layer is set up and the
    /// protocol knows of the connection, or failed.
    ///
    /// # Errors
    ///
    /// If the layer cannot begin.
    fn wrap(
        &self,
        event_loop: &EventLoop,
        protocol: ProtocolRef,
        waiter: Option<Future<()>>,
    ) -> Result<(ProtocolRef, Transport)>;
}

/// Makes a transport of a descriptor, with a layer in between if there is one.
pub(crate) fn attach(
    event_loop: &EventLoop,
    carrier: Carrier,
    protocol: ProtocolRef,
    layer: Option<&dyn Layer>,
    waiter: Option<Future<()>>,
    on_lost: Option<OnLost>,
) -> Result<Transport> {
    let (protocol, upper, waiter) = match layer {
        None => (protocol, None, waiter),
        Some(layer) => {
            let (protocol, upper) = layer.wrap(event_loop, protocol, waiter)?;
            (protocol, Some(upper), None)
        }
    };
    let lower = StreamTransport::start(event_loop, carrier, protocol, waiter);
    if let Some(on_lost) = on_lost {
        lower.on_lost(on_lost);
    }
    Ok(upper.unwrap_or_else(|| lower.transport()))
}

/// The same, and waits until the protocol knows of the connection. `peer` is the other end,
/// if that is known already.
#[track_caller]
pub(crate) fn establish<P: IntoProtocol<K>, K>(
    event_loop: &EventLoop,
    source: Source,
    peer: Option<Address>,
    factory: impl FnOnce() -> P,
    layer: Option<&dyn Layer>,
) -> Result<Connected<P>> {
    let peer = peer.or_else(|| source.peer());
    let carrier = Carrier { source, is_shared: true, peer, made_at: Location::caller() };
    let begin = |waiter| {
        let handle = factory().into_handle();
        let transport = attach(event_loop, carrier, handle.erased(), layer, Some(waiter), None)?;
        Ok((transport, handle))
    };
    make(event_loop, "a connection to be made", begin, |(transport, _)| transport.abort())
}
