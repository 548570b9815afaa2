//! Connections for protocols: made by the loop, or of a socket that there is.

mod joint;
mod pair;
mod pipes;
#[cfg(feature = "tls")]
mod secure;

use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crate::base_events::{EventLoop, get_running_loop};
use crate::connecting::{ConnectOptions, connect, connect_unix, unix_name};
use crate::coroutines::check_suspendable;
use crate::exceptions::{Error, Result};
use crate::futures::Future;
use crate::protocols::{IntoProtocol, ProtocolHandle};
use crate::resolver::ToAddrs;
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

/// The same, and waits until the protocol knows of the connection.
#[track_caller]
pub(crate) fn establish<P: IntoProtocol<K>, K>(
    event_loop: &EventLoop,
    source: Source,
    peer: Option<Address>,
    factory: impl FnOnce() -> P,
    layer: Option<&dyn Layer>,
) -> Result<Connected<P>> {
    let carrier = Carrier { source, peer, made_at: Location::caller() };
    let begin = |waiter| {
        let handle = factory().into_handle();
        let transport = attach(event_loop, carrier, handle.erased(), layer, Some(waiter), None)?;
        Ok((transport, handle))
    };
    make(event_loop, "a connection to be made", begin, |(transport, _)| transport.abort())
}

/// How to connect: the keyword arguments of asyncio's `create_connection`.
///
/// ```
/// use stackio::{Connector, Protocol, get_running_loop, millis};
///
/// struct Silent;
/// impl Protocol for Silent {}
///
/// stackio::run(|| {
///     let server = get_running_loop()?.create_server(|| Silent, "127.0.0.1:0")?;
///     let connector = Connector::new().happy_eyeballs_delay(millis(250));
///     let (transport, _) = connector.create_connection(|| Silent, server.local_addrs()[0])?;
///     transport.close();
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Connector {
    options: ConnectOptions,
    nagle: bool,
    layer: Option<Rc<dyn Layering>>,
    /// Whose certificate is expected, if not that of the host.
    hostname: Option<String>,
    /// The limit of a stream's reader, in bytes.
    pub(crate) stream_limit: Option<usize>,
}

/// A [`Layer`] for a peer of that name.
pub(crate) trait Layering {
    /// # Errors
    ///
    /// If the name will not do.
    fn layer(&self, host: Option<&str>) -> Result<Rc<dyn Layer>>;
}

impl Connector {
    /// Without anything set: the addresses of a name are tried one after the other.
    pub fn new() -> Connector {
        Connector::default()
    }

    /// Tries the next address as well when one has not answered for so long (RFC 8305,
    /// which recommends 250 ms), and takes whichever answers first. The families of
    /// addresses then take turns.
    #[must_use]
    pub fn happy_eyeballs_delay(mut self, delay: Duration) -> Connector {
        self.options.delay = Some(delay);
        self
    }

    /// After how many addresses of the first family the families take turns; 0 leaves
    /// the resolver's order.
    #[must_use]
    pub fn interleave(mut self, count: usize) -> Connector {
        self.options.interleave = Some(count);
        self
    }

    /// Where to connect from: the first of these addresses that is of the peer's family
    /// and can be had.
    ///
    /// # Errors
    ///
    /// Those of the resolver.
    #[track_caller]
    pub fn local_addr(mut self, address: impl ToAddrs) -> Result<Connector> {
        self.options.local = address.to_addrs()?;
        Ok(self)
    }

    /// Whether small writes may be put together by the system (Nagle's algorithm). As in
    /// asyncio they are sent at once if this is not set.
    #[must_use]
    pub fn nagle(mut self, nagle: bool) -> Connector {
        self.nagle = nagle;
        self
    }

    #[cfg(feature = "tls")]
    fn layering(mut self, layering: Rc<dyn Layering>) -> Connector {
        self.layer = Some(layering);
        self
    }

    fn layer(&self, host: Option<&str>) -> Result<Option<Rc<dyn Layer>>> {
        let host = self.hostname.as_deref().or(host);
        self.layer.as_ref().map(|layering| layering.layer(host)).transpose()
    }

    /// Connects by TCP and gives the connection to the protocol that `factory` makes
    /// (`loop.create_connection`). When this returns, its `connection_made` has been
    /// called.
    ///
    /// # Errors
    ///
    /// Why no address would do; those of the resolver and of TLS; kind `Cancelled`; kind
    /// `Runtime` outside of a task.
    #[track_caller]
    pub fn create_connection<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        address: impl ToAddrs,
    ) -> Result<Connected<P>> {
        let event_loop = get_running_loop()?;
        check_suspendable()?;
        let layer = self.layer(address.host().as_deref())?;
        let socket = connect(&address.to_addrs()?, &self.options)?.into_source();
        let source = Source::internet(socket)?;
        source.set_nodelay(!self.nagle)?;
        establish(&event_loop, source, None, factory, layer.as_deref())
    }

    /// Connects to a Unix socket (`loop.create_unix_connection`). With TLS, the name to
    /// expect has to be set. A path that begins with a zero byte is a name in Linux's
    /// abstract namespace.
    ///
    /// # Errors
    ///
    /// As [`create_connection`](Connector::create_connection).
    #[track_caller]
    pub fn create_unix_connection<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        path: impl AsRef<Path>,
    ) -> Result<Connected<P>> {
        let event_loop = get_running_loop()?;
        check_suspendable()?;
        let layer = self.layer(None)?;
        let address = unix_name(path.as_ref())?;
        let socket = connect_unix(&address)?.into_source();
        let source = Source::socket(socket.into())?;
        establish(&event_loop, source, Some(address.into()), factory, layer.as_deref())
    }

    /// Takes over a stream socket that is connected already (`create_connection` with
    /// `sock`, and without TLS `connect_accepted_socket`).
    ///
    /// # Errors
    ///
    /// As [`create_connection`](Connector::create_connection); `InvalidInput` for what
    /// is no stream socket.
    #[track_caller]
    pub fn adopt<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        socket: impl Into<OwnedFd>,
    ) -> Result<Connected<P>> {
        let event_loop = get_running_loop()?;
        let layer = self.layer(None)?;
        let source = Source::socket(socket.into())?;
        source.set_nodelay(!self.nagle)?;
        establish(&event_loop, source, None, factory, layer.as_deref())
    }
}

impl EventLoop {
    /// Connects by TCP and gives the connection to the protocol that `factory` makes
    /// (`loop.create_connection`). With options: [`Connector`].
    ///
    /// ```
    /// use stackio::{Error, Future, Protocol, Transport, get_running_loop};
    ///
    /// struct Echo(Option<Transport>);
    /// impl Protocol for Echo {
    ///     fn connection_made(&mut self, transport: &Transport) {
    ///         self.0 = Some(transport.clone());
    ///     }
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         self.0.iter().for_each(|transport| transport.write(data));
    ///     }
    /// }
    ///
    /// struct Client {
    ///     answer: Vec<u8>,
    ///     done: Future<Vec<u8>>,
    /// }
    /// impl Protocol for Client {
    ///     fn connection_made(&mut self, transport: &Transport) {
    ///         transport.write(b"hello");
    ///         transport.write_eof();
    ///     }
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         self.answer.extend_from_slice(data);
    ///     }
    ///     fn connection_lost(&mut self, _: Option<Error>) {
    ///         let _ = self.done.set_result(std::mem::take(&mut self.answer));
    ///     }
    /// }
    ///
    /// stackio::run(|| {
    ///     let event_loop = get_running_loop()?;
    ///     let server = event_loop.create_server(|| Echo(None), "127.0.0.1:0")?;
    ///     let done = Future::new();
    ///     let client = Client { answer: vec![], done: done.clone() };
    ///     event_loop.create_connection(|| client, server.local_addrs()[0])?;
    ///     assert_eq!(done.wait()?, b"hello");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Connector::create_connection`].
    #[track_caller]
    pub fn create_connection<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        address: impl ToAddrs,
    ) -> Result<Connected<P>> {
        self.check_current("create_connection")?;
        Connector::new().create_connection(factory, address)
    }

    /// Connects to a Unix socket (`loop.create_unix_connection`).
    ///
    /// # Errors
    ///
    /// As [`Connector::create_unix_connection`].
    #[track_caller]
    pub fn create_unix_connection<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        path: impl AsRef<Path>,
    ) -> Result<Connected<P>> {
        self.check_current("create_unix_connection")?;
        Connector::new().create_unix_connection(factory, path)
    }

    /// Gives a connection that was accepted elsewhere to a protocol
    /// (`loop.connect_accepted_socket`).
    ///
    /// # Errors
    ///
    /// As [`Connector::adopt`].
    #[track_caller]
    pub fn connect_accepted_socket<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        socket: impl Into<OwnedFd>,
    ) -> Result<Connected<P>> {
        self.check_current("connect_accepted_socket")?;
        Connector::new().adopt(factory, socket)
    }

    /// That this is the loop that runs: what waits can only wait in its own.
    pub(crate) fn check_current(&self, operation: &str) -> Result {
        let running = get_running_loop()?;
        if Rc::ptr_eq(running.scheduler(), self.scheduler()) {
            return Ok(());
        }
        let text = format!("{operation}: another loop is running; call it on that one");
        Err(Error::text(crate::exceptions::ErrorKind::Runtime, text))
    }
}
