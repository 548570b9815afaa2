//! [`ClientConfig`]: whom a client trusts, and what it offers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::sign::SingleCertAndKey;

use super::config::{Common, Limits, protocols, provider};
use super::errors::{invalid, unusable};
use super::info::Version;
use super::trust::{Identity, Roots};
use crate::exceptions::Result;

/// How clients connect (`ssl.SSLContext`). Cheap to clone, and to be shared: sessions are
/// resumed among connections of one configuration.
#[derive(Clone)]
pub struct ClientConfig {
    config: Arc<rustls::ClientConfig>,
    limits: Limits,
}

impl ClientConfig {
    /// Trusts the roots of the system (`ssl.create_default_context`). It reads files, so
    /// make one and not one for each connection.
    ///
    /// # Errors
    ///
    /// Kind `Value` if the system has no roots.
    pub fn new() -> Result<ClientConfig> {
        ClientConfig::builder().build()
    }

    /// One to be told more.
    ///
    /// ```
    /// use stackio::tls::{ClientConfig, Roots, Version};
    ///
    /// # fn main() -> stackio::Result {
    /// # let own = rcgen::generate_simple_self_signed(["example.org".to_owned()])?.cert.pem();
    /// let config = ClientConfig::builder()
    ///     .roots(Roots::from_pem(&own)?)
    ///     .alpn(["h2", "http/1.1"])
    ///     .min_version(Version::Tls13)
    ///     .handshake_timeout(stackio::secs(10))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> ClientConfigBuilder {
        ClientConfigBuilder { roots: None, identity: None, common: Common::default() }
    }

    /// The configuration of rustls.
    pub fn rustls(&self) -> &Arc<rustls::ClientConfig> {
        &self.config
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }
}

impl From<Arc<rustls::ClientConfig>> for ClientConfig {
    /// With the usual limits of time: 60 s for a handshake, 30 s for the end.
    fn from(config: Arc<rustls::ClientConfig>) -> ClientConfig {
        ClientConfig { config, limits: Limits::default() }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// What a [`ClientConfig`] is made of.
pub struct ClientConfigBuilder {
    roots: Option<Roots>,
    identity: Option<Identity>,
    common: Common,
}

impl ClientConfigBuilder {
    /// Whom to trust, instead of the system's roots.
    pub fn roots(mut self, roots: Roots) -> ClientConfigBuilder {
        self.roots = Some(roots);
        self
    }

    /// Who to be, for servers that want to know.
    pub fn identity(mut self, identity: Identity) -> ClientConfigBuilder {
        self.identity = Some(identity);
        self
    }

    /// The protocols to offer by ALPN, best first (`set_alpn_protocols`).
    pub fn alpn<P: AsRef<[u8]>>(
        mut self,
        names: impl IntoIterator<Item = P>,
    ) -> ClientConfigBuilder {
        self.common.alpn = protocols(names);
        self
    }

    /// Whether to take up former sessions again; it does by default.
    pub fn resumption(mut self, resumption: bool) -> ClientConfigBuilder {
        self.common.resumption = resumption;
        self
    }

    /// The oldest version to speak; TLS 1.2 by default.
    pub fn min_version(mut self, version: Version) -> ClientConfigBuilder {
        self.common.min_version = version;
        self
    }

    /// How long a handshake may take (`ssl_handshake_timeout`); 60 s by default.
    pub fn handshake_timeout(mut self, limit: Duration) -> ClientConfigBuilder {
        self.common.limits.handshake = limit;
        self
    }

    /// How long the end may take (`ssl_shutdown_timeout`); 30 s by default. It begins
    /// anew if the peer has got something meanwhile, so one that reads slowly gets
    /// everything that was written; asyncio's covers the whole end.
    pub fn shutdown_timeout(mut self, limit: Duration) -> ClientConfigBuilder {
        self.common.limits.shutdown = limit;
        self
    }

    /// Makes the configuration.
    ///
    /// # Errors
    ///
    /// Kind `Value` if there are no roots.
    pub fn build(self) -> Result<ClientConfig> {
        let ClientConfigBuilder { roots, identity, common } = self;
        let roots = match roots {
            Some(roots) => roots,
            None => Roots::system()?,
        };
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into_store()?, provider())
            .build()
            .map_err(|error| invalid(format!("the roots cannot be used: {error}")))?;
        let builder = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(common.min_version.and_later())
            .map_err(|cause| unusable("the versions cannot be used", cause))?
            .with_webpki_verifier(verifier);
        let mut config = match identity {
            Some(identity) => {
                let single = SingleCertAndKey::from(identity.certified());
                builder.with_client_cert_resolver(Arc::new(single))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = common.alpn;
        if !common.resumption {
            config.resumption = Resumption::disabled();
        }
        Ok(ClientConfig { config: Arc::new(config), limits: common.limits })
    }
}

impl fmt::Debug for ClientConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (roots, identity) = (&self.roots, &self.identity);
        f.debug_struct("ClientConfigBuilder")
            .field("roots", roots)
            .field("identity", identity)
            .finish()
    }
}
