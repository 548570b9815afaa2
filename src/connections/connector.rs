//! [`Connector`]: connections with options.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::attaching::{Connected, Layer, establish};
use crate::base_events::get_running_loop;
use crate::connecting::{ConnectOptions, connect, connect_unix, unix_name};
use crate::coroutines::check_suspendable;
use crate::exceptions::Result;
use crate::protocols::IntoProtocol;
use crate::resolver::ToAddrs;
use crate::transports::source::Source;

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
    pub(super) hostname: Option<String>,
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
    pub(super) fn layering(mut self, layering: Rc<dyn Layering>) -> Connector {
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
        let source = Source::Internet(socket);
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
