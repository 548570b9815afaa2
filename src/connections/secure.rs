//! TLS on the connections that the loop makes, and on one that there is already.

use std::io;
use std::rc::Rc;

use super::attaching::Layer;
use super::connector::{Connector, Layering};
use crate::base_events::EventLoop;
use crate::coroutines::check_suspendable;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::futures::Future;
use crate::sslproto::{Beginning, SslTransport};
use crate::tls::engine::check_server_name;
use crate::tls::{ClientConfig, Side};
use crate::transports::interface::{ProtocolRef, Transport};

impl Layer for Side {
    fn wrap(
        &self,
        event_loop: &EventLoop,
        protocol: ProtocolRef,
        waiter: Option<Future<()>>,
    ) -> Result<(ProtocolRef, Transport)> {
        let (engine, limits) = (self.engine()?, self.limits());
        let beginning = Beginning { engine, limits, known: false, paused: false, waiter };
        Ok(SslTransport::between(event_loop, protocol, beginning))
    }
}

/// TLS with whomever the connection is to.
struct WithPeer(ClientConfig);

impl Layering for WithPeer {
    fn layer(&self, host: Option<&str>) -> Result<Rc<dyn Layer>> {
        let Some(host) = host else {
            let text = "TLS needs the name of the server, by server_hostname";
            return Err(Error::text(ErrorKind::Value, text));
        };
        check_server_name(host)?;
        Ok(Rc::new(Side::from((&self.0, host))))
    }
}

impl Connector {
    /// Connects by TLS (`ssl`). The certificate of the server must be for the host that
    /// is connected to, or for the [name](Connector::server_hostname) that is set.
    ///
    /// ```
    /// use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig, TlsInfo};
    /// use stackio::{Connector, Error, Future, Protocol, ServerBuilder, Transport};
    ///
    /// struct Greet;
    /// impl Protocol for Greet {
    ///     fn connection_made(&mut self, transport: &Transport) {
    ///         transport.write(b"hello");
    ///         transport.close();
    ///     }
    /// }
    ///
    /// struct Listen(Vec<u8>, Future<Vec<u8>>);
    /// impl Protocol for Listen {
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         self.0.extend_from_slice(data);
    ///     }
    ///     fn connection_lost(&mut self, _: Option<Error>) {
    ///         let _ = self.1.set_result(std::mem::take(&mut self.0));
    ///     }
    /// }
    ///
    /// # fn main() -> stackio::Result {
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let server = ServerConfig::new(Identity::from_pem(&certificate, &key)?)?;
    /// let client = ClientConfig::builder().roots(Roots::from_pem(&certificate)?).build()?;
    /// stackio::run(move || {
    ///     let server = ServerBuilder::new().tls(&server).create_server(|| Greet, "127.0.0.1:0")?;
    ///     let all = Future::new();
    ///     let listen = Listen(Vec::new(), all.clone());
    ///     let connector = Connector::new().tls(&client).server_hostname("localhost");
    ///     let (transport, _) = connector.create_connection(|| listen, server.local_addrs()[0])?;
    ///     let info = transport.get_extra_info().get::<TlsInfo>();
    ///     assert_eq!(info.map(|info| info.version().to_string()).as_deref(), Some("TLSv1.3"));
    ///     assert_eq!(all.wait()?, b"hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn tls(self, config: &ClientConfig) -> Connector {
        self.layering(Rc::new(WithPeer(config.clone())))
    }

    /// The name that the server's certificate must be for, if it is not that of the host
    /// that is connected to (`server_hostname`).
    #[must_use]
    pub fn server_hostname(mut self, name: impl Into<String>) -> Connector {
        self.hostname = Some(name.into());
        self
    }
}

impl EventLoop {
    /// Goes over to TLS on a connection that there is (`loop.start_tls`), as protocols
    /// with a `STARTTLS` do. The protocol, the same as before or another, is called for
    /// the new transport from then on, which `connection_made` does not tell it; the old
    /// one is to be left alone.
    ///
    /// Both sides have to know where the plain text ends: call it before the peer can
    /// have sent anything of its handshake.
    ///
    /// ```
    /// use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig, TlsInfo};
    /// use stackio::{Protocol, get_running_loop, spawn};
    ///
    /// struct Quiet;
    /// impl Protocol for Quiet {}
    ///
    /// # fn main() -> stackio::Result {
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let server = ServerConfig::new(Identity::from_pem(&certificate, &key)?)?;
    /// let client = ClientConfig::builder().roots(Roots::from_pem(&certificate)?).build()?;
    /// stackio::run(move || {
    ///     let event_loop = get_running_loop()?;
    ///     let ((near, here), (far, there)) = event_loop.create_pair(|| Quiet, || Quiet, None)?;
    ///     let serving = spawn(move || {
    ///         get_running_loop()?.start_tls(&far, there, &server)
    ///     });
    ///     let near = event_loop.start_tls(&near, here, (&client, "localhost"))?;
    ///     serving.join()?;
    ///     assert!(near.get_extra_info().get::<TlsInfo>().is_some());
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the handshake, after which the connection is closed; kind `Value` if it
    /// is not the name of a server; kind `Runtime` if the transport is closing;
    /// `ConnectionReset` if the peer has said that nothing more comes; kind `Cancelled`,
    /// which ends the connection.
    #[track_caller]
    pub fn start_tls(
        &self,
        transport: &Transport,
        protocol: impl Into<ProtocolRef>,
        side: impl Into<Side>,
    ) -> Result<Transport> {
        self.upgrade(transport, protocol.into(), &side.into(), Vec::new)
    }

    /// The same, with what has come already and was not meant for the protocol.
    #[track_caller]
    pub(crate) fn upgrade(
        &self,
        transport: &Transport,
        protocol: ProtocolRef,
        side: &Side,
        early: impl FnOnce() -> Vec<u8>,
    ) -> Result<Transport> {
        self.check_current("start_tls")?;
        check_suspendable()?;
        let (engine, limits) = (side.engine()?, side.limits());
        if transport.is_closing() {
            return Err(Error::text(ErrorKind::Runtime, "start_tls: the transport is closing"));
        }
        if transport.0.at_eof() {
            let text = "start_tls: the peer has ended the connection";
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, text).into());
        }
        let done = Future::about("a TLS handshake", self.scheduler().clone());
        let same = transport.get_protocol().is_some_and(|former| former.is(&protocol));
        let paused = same && transport.0.flow_control().is_paused();
        let waiter = Some(done.clone());
        let beginning = Beginning { engine, limits, known: true, paused, waiter };
        transport.pause_reading();
        let (lower, upper) = SslTransport::between(self, protocol, beginning);
        transport.set_protocol(lower.clone());
        let mut begun = lower.connection_made(transport);
        let early = early();
        if begun.is_ok() && !early.is_empty() {
            begun = lower.data_received(&early);
        }
        transport.resume_reading();
        match begun.and_then(|()| done.join()) {
            Ok(()) => Ok(upper),
            Err(error) => {
                upper.abort();
                Err(error)
            }
        }
    }
}
