//! What is done with datagrams.

use std::marker::PhantomData;
use std::rc::Rc;

use super::interface::{DatagramProtocolRef, DatagramTransport, Receiver};
use crate::exceptions::{Error, Result};
use crate::protocols::{Holder, ProtocolHandle};
use crate::reports::CallbackOutput;
use crate::transports::extra::Address;
use crate::transports::interface::Held;

/// What is done with datagrams (`asyncio.DatagramProtocol`).
///
/// The calls come in this order:
///
/// ```text
/// connection_made  (datagram_received | error_received)*  connection_lost
/// ```
///
/// with `pause_writing` and `resume_writing` in turn between the first and the last. All
/// have a default that does nothing. They are called in the loop and outside of any
/// task, so they cannot wait, and never within each other: an `error_received` that a
/// `sendto` of `datagram_received` causes comes when `datagram_received` has returned.
///
/// `R` is what the methods return: nothing, if it is not mentioned, or a
/// [`Result`](crate::Result). An error or a panic goes to the exception handler, and the
/// transport goes on, as in asyncio: one bad datagram is no reason to be deaf to others.
///
/// ```
/// use stackio::{Address, DatagramProtocol, DatagramTransport, Future, get_running_loop};
///
/// #[derive(Default)]
/// struct Echo(Option<DatagramTransport>);
/// impl DatagramProtocol for Echo {
///     fn connection_made(&mut self, transport: &DatagramTransport) {
///         self.0 = Some(transport.clone());
///     }
///     fn datagram_received(&mut self, data: &[u8], from: &Address) {
///         self.0.iter().for_each(|transport| transport.sendto(data, from));
///     }
/// }
///
/// struct Ask(Future<Vec<u8>>);
/// impl DatagramProtocol for Ask {
///     fn connection_made(&mut self, transport: &DatagramTransport) {
///         transport.send(b"hello"); // to the peer it is for
///     }
///     fn datagram_received(&mut self, data: &[u8], _: &Address) {
///         let _ = self.0.set_result(data.to_vec());
///     }
/// }
///
/// stackio::run(|| {
///     let event_loop = get_running_loop()?;
///     let any = Some(&"127.0.0.1:0" as _);
///     let (server, _) = event_loop.create_datagram_endpoint(Echo::default, any, None)?;
///     let address = server.local_addr().expect("it is bound");
///     let answer = Future::new();
///     let ask = Ask(answer.clone());
///     let (client, _) = event_loop.create_datagram_endpoint(|| ask, None, Some(&address))?;
///     assert_eq!(answer.wait()?, b"hello");
///     client.close();
///     server.close();
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub trait DatagramProtocol<R: CallbackOutput = ()>: 'static {
    /// The socket is there; this is called once and first.
    fn connection_made(&mut self, transport: &DatagramTransport) -> R {
        let _ = transport;
        R::done()
    }

    /// A datagram has come, which may be empty.
    fn datagram_received(&mut self, data: &[u8], from: &Address) -> R {
        let _ = (data, from);
        R::done()
    }

    /// The system reports an error of a datagram, sent or received: nobody listens there
    /// (`ConnectionRefused`, of a socket with a peer), it was too large. The transport
    /// goes on.
    fn error_received(&mut self, error: Error) -> R {
        let _ = error;
        R::done()
    }

    /// What waits to be sent is more than the high-water mark: better send nothing until
    /// `resume_writing`.
    fn pause_writing(&mut self) -> R {
        R::done()
    }

    /// What waits to be sent has fallen to the low-water mark.
    fn resume_writing(&mut self) -> R {
        R::done()
    }

    /// The transport is closed, by `close` or `abort`, or for the error. This is called
    /// once and last.
    fn connection_lost(&mut self, error: Option<Error>) -> R {
        let _ = error;
        R::done()
    }
}

/// A protocol without its type.
struct Shell<P, R>(P, PhantomData<R>);

impl<P: DatagramProtocol<R>, R: CallbackOutput> Receiver for Shell<P, R> {
    fn connection_made(&mut self, transport: &DatagramTransport) -> Result {
        self.0.connection_made(transport).into_result()
    }

    fn datagram_received(&mut self, data: &[u8], from: &Address) -> Result {
        self.0.datagram_received(data, from).into_result()
    }

    fn error_received(&mut self, error: Error) -> Result {
        self.0.error_received(error).into_result()
    }

    fn pause_writing(&mut self) -> Result {
        self.0.pause_writing().into_result()
    }

    fn resume_writing(&mut self) -> Result {
        self.0.resume_writing().into_result()
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        self.0.connection_lost(error).into_result()
    }
}

impl<P: DatagramProtocol<R>, R: CallbackOutput> Holder<P> for Held<Shell<P, R>> {
    fn with(&self, look: &mut dyn FnMut(&mut P)) -> Option<Result> {
        self.call(|shell| {
            look(&mut shell.0);
            Ok(())
        })
    }

    fn into_inner(self: Rc<Self>) -> Option<P> {
        Rc::into_inner(self).map(|held| held.into_inner().0)
    }
}

impl<P: 'static> ProtocolHandle<P, DatagramProtocolRef> {
    /// A protocol for datagrams, for
    /// [`set_protocol`](DatagramTransport::set_protocol).
    pub fn for_datagrams<R: CallbackOutput>(protocol: P) -> Self
    where
        P: DatagramProtocol<R>,
    {
        let held = Rc::new(Held::new(Shell(protocol, PhantomData)));
        ProtocolHandle::of(held.clone(), DatagramProtocolRef(held))
    }
}

impl<P> From<ProtocolHandle<P, DatagramProtocolRef>> for DatagramProtocolRef {
    fn from(handle: ProtocolHandle<P, DatagramProtocolRef>) -> DatagramProtocolRef {
        handle.erased()
    }
}

impl<P> From<&ProtocolHandle<P, DatagramProtocolRef>> for DatagramProtocolRef {
    fn from(handle: &ProtocolHandle<P, DatagramProtocolRef>) -> DatagramProtocolRef {
        handle.erased()
    }
}
