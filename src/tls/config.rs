//! What the configurations of both sides have in common.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};

use super::info::Version;
use crate::constants::{SSL_HANDSHAKE_TIMEOUT, SSL_SHUTDOWN_TIMEOUT};

/// How long the beginning and the end of a connection may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) handshake: Duration,
    pub(crate) shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { handshake: SSL_HANDSHAKE_TIMEOUT, shutdown: SSL_SHUTDOWN_TIMEOUT }
    }
}

/// What either builder can be told.
pub(super) struct Common {
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) resumption: bool,
    pub(super) min_version: Version,
    pub(super) limits: Limits,
}

impl Default for Common {
    fn default() -> Common {
        Common {
            alpn: Vec::new(),
            resumption: true,
            min_version: Version::Tls12,
            limits: Limits::default(),
        }
    }
}

/// The cryptography. It is named at each use, since a default for the whole process would
/// be a decision for the whole process.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

pub(super) fn protocols<P: AsRef<[u8]>>(names: impl IntoIterator<Item = P>) -> Vec<Vec<u8>> {
    names.into_iter().map(|name| name.as_ref().to_vec()).collect()
}
