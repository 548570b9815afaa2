//! [`ServerConfig`]: who a server is, and whom it lets in.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use super::config::{Common, Limits, protocols, provider};
use super::errors::{invalid, unusable};
use super::info::Version;
use super::trust::{Identity, Roots};
use crate::exceptions::Result;

/// How a server accepts (`ssl.SSLContext`). Cheap to clone, and to be shared.
#[derive(Clone)]
pub struct ServerConfig {
    config: Arc<rustls::ServerConfig>,
    limits: Limits,
}

impl ServerConfig {
    /// With one identity.
    ///
    /// # Errors
    ///
    /// As [`build`](ServerConfigBuilder::build).
    pub fn new(identity: Identity) -> Result<ServerConfig> {
        ServerConfig::builder(identity).build()
    }

    /// One to be told more.
    ///
    /// ```
    /// use stackio::tls::{Identity, Roots, ServerConfig};
    ///
    /// # fn main() -> stackio::Result {
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// # let clients = certificate.clone();
    /// let config = ServerConfig::builder(Identity::from_pem(&certificate, &key)?)
    ///     .require_client_certificates(Roots::from_pem(&clients)?)
    ///     .alpn(["http/1.1"])
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(identity: Identity) -> ServerConfigBuilder {
        ServerConfigBuilder {
            identity,
            by_name: Vec::new(),
            clients: Clients::Anybody,
            common: Common::default(),
        }
    }

    /// The configuration of rustls.
    pub fn rustls(&self) -> &Arc<rustls::ServerConfig> {
        &self.config
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }
}

impl From<Arc<rustls::ServerConfig>> for ServerConfig {
    /// With the usual limits of time: 60 s for a handshake, 30 s for the end.
    fn from(config: Arc<rustls::ServerConfig>) -> ServerConfig {
        ServerConfig { config, limits: Limits::default() }
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Who may connect.
enum Clients {
    Anybody,
    /// Who shows a certificate must be known (`CERT_OPTIONAL`).
    MayBeKnown(Roots),
    /// `CERT_REQUIRED`.
    MustBeKnown(Roots),
}

/// What a [`ServerConfig`] is made of.
pub struct ServerConfigBuilder {
    identity: Identity,
    by_name: Vec<(String, Identity)>,
    clients: Clients,
    common: Common,
}

impl ServerConfigBuilder {
    /// Another identity, for clients that ask for that name by SNI. Whoever asks for
    /// another name, or for none, gets the first identity.
    pub fn identity_for(
        mut self,
        name: impl Into<String>,
        identity: Identity,
    ) -> ServerConfigBuilder {
        self.by_name.push((name.into(), identity));
        self
    }

    /// Lets only clients in whose certificate one of these roots has issued
    /// (`CERT_REQUIRED`).
    pub fn require_client_certificates(mut self, roots: Roots) -> ServerConfigBuilder {
        self.clients = Clients::MustBeKnown(roots);
        self
    }

    /// Asks clients for a certificate that one of these roots has issued, and lets those
    /// in as well that have none (`CERT_OPTIONAL`).
    pub fn request_client_certificates(mut self, roots: Roots) -> ServerConfigBuilder {
        self.clients = Clients::MayBeKnown(roots);
        self
    }

    /// The protocols to agree to by ALPN, best first (`set_alpn_protocols`). A client
    /// that offers others only is refused.
    pub fn alpn<P: AsRef<[u8]>>(
        mut self,
        names: impl IntoIterator<Item = P>,
    ) -> ServerConfigBuilder {
        self.common.alpn = protocols(names);
        self
    }

    /// Whether clients can take up former sessions again; they can by default.
    pub fn resumption(mut self, resumption: bool) -> ServerConfigBuilder {
        self.common.resumption = resumption;
        self
    }

    /// The oldest version to speak; TLS 1.2 by default.
    pub fn min_version(mut self, version: Version) -> ServerConfigBuilder {
        self.common.min_version = version;
        self
    }

    /// How long a handshake may take (`ssl_handshake_timeout`); 60 s by default.
    pub fn handshake_timeout(mut self, limit: Duration) -> ServerConfigBuilder {
        self.common.limits.handshake = limit;
        self
    }

    /// How long the end may take (`ssl_shutdown_timeout`); 30 s by default. It begins
    /// anew if the peer has got something meanwhile, so one that reads slowly gets
    /// everything that was written; asyncio's covers the whole end.
    pub fn shutdown_timeout(mut self, limit: Duration) -> ServerConfigBuilder {
        self.common.limits.shutdown = limit;
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    ///
    /// Kind `Value` if an identity is not one for the name it was given for, or if client
    /// certificates are asked for without roots.
    pub fn build(self) -> Result<ServerConfig> {
        let ServerConfigBuilder { identity, by_name, clients, common } = self;
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(common.min_version.and_later())
            .map_err(|cause| unusable("the versions cannot be used", cause))?
            .with_client_cert_verifier(clients.verifier()?)
            .with_cert_resolver(Arc::new(ByName::new(&identity, by_name)?));
        config.alpn_protocols = common.alpn;
        if common.resumption {
            // Next to the cache that there is by default: it has room for so many.
            config.ticketer = rustls::crypto::ring::Ticketer::new()
                .map_err(|cause| unusable("no keys for session tickets", cause))?;
        } else {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(ServerConfig { config: Arc::new(config), limits: common.limits })
    }
}

impl Clients {
    fn verifier(self) -> Result<Arc<dyn ClientCertVerifier>> {
        let (roots, optional) = match self {
            Clients::Anybody => return Ok(WebPkiClientVerifier::no_client_auth()),
            Clients::MayBeKnown(roots) => (roots, true),
            Clients::MustBeKnown(roots) => (roots, false),
        };
        let builder = WebPkiClientVerifier::builder_with_provider(roots.into_store()?, provider());
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|error| invalid(format!("the roots cannot be used: {error}")))
    }
}

/// Finds the identity that a client asks for.
#[derive(Debug)]
struct ByName {
    named: HashMap<String, Arc<CertifiedKey>>,
    otherwise: Arc<CertifiedKey>,
}

impl ByName {
    fn new(otherwise: &Identity, by_name: Vec<(String, Identity)>) -> Result<ByName> {
        let mut named = HashMap::new();
        for (name, identity) in by_name {
            let key = identity.certified();
            check_name(&name, &key)?;
            named.insert(name.to_ascii_lowercase(), Arc::new(key));
        }
        Ok(ByName { named, otherwise: Arc::new(otherwise.certified()) })
    }
}

fn check_name(name: &str, key: &CertifiedKey) -> Result {
    let Ok(server_name) = ServerName::try_from(name) else {
        return Err(invalid(format!("{name:?} is not the name of a server")));
    };
    key.end_entity_cert()
        .and_then(ParsedCertificate::try_from)
        .and_then(|certificate| verify_server_name(&certificate, &server_name))
        .map_err(|cause| unusable(format!("the certificate is not one for {name}"), cause))
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named =
            client.server_name().and_then(|name| self.named.get(&name.to_ascii_lowercase()));
        Some(named.unwrap_or(&self.otherwise).clone())
    }
}

impl fmt::Debug for ServerConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.by_name.iter().map(|(name, _)| name.as_str()).collect();
        let identity = &self.identity;
        f.debug_struct("ServerConfigBuilder")
            .field("identity", identity)
            .field("names", &names)
            .finish()
    }
}
