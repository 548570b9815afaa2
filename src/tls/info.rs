//! What is known of a connection after its handshake: [`TlsInfo`].

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{Connection, HandshakeKind, ProtocolVersion, SupportedProtocolVersion};

/// A version of TLS. Older ones are not spoken.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

impl Version {
    /// Those from this one on.
    pub(super) fn and_later(self) -> &'static [&'static SupportedProtocolVersion] {
        static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
        match self {
            Version::Tls12 => rustls::ALL_VERSIONS,
            Version::Tls13 => TLS13,
        }
    }
}

impl fmt::Display for Version {
    /// As Python's `SSLSocket.version()` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Tls12 => "TLSv1.2",
            Version::Tls13 => "TLSv1.3",
        })
    }
}

/// What both sides agreed on, and who the other one is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TlsInfo(Arc<Agreed>);

#[derive(Debug)]
struct Agreed {
    version: Version,
    cipher: String,
    alpn: Option<Vec<u8>>,
    server_name: Option<String>,
    peer_certificates: Vec<CertificateDer<'static>>,
    resumed: bool,
}

impl TlsInfo {
    /// Of a connection whose handshake is done.
    pub(super) fn of(connection: &Connection, server_name: Option<&str>) -> TlsInfo {
        let server_name = match connection {
            Connection::Client(_) => server_name,
            Connection::Server(server) => server.server_name(),
        };
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => Version::Tls12,
            _ => Version::Tls13,
        };
        let cipher =
            connection.negotiated_cipher_suite().and_then(|cipher| cipher.suite().as_str());
        TlsInfo(Arc::new(Agreed {
            version,
            // rustls has names of its own for those of TLS 1.3.
            cipher: cipher.unwrap_or_default().replacen("TLS13_", "TLS_", 1),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            server_name: server_name.map(str::to_owned),
            peer_certificates: connection.peer_certificates().unwrap_or_default().to_vec(),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        }))
    }

    /// The version of TLS that is spoken.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// The cipher suite, by its name in the registry of IANA.
    pub fn cipher(&self) -> &str {
        &self.0.cipher
    }

    /// The protocol that was agreed on by ALPN (`selected_alpn_protocol`).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.alpn.as_deref()
    }

    /// The name that the client asked for. A server learns it by SNI, which there is not
    /// for an IP address.
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name.as_deref()
    }

    /// The other side's certificate and what it sent with it, its own first
    /// (`peercert`). Empty if it has shown none.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        &self.0.peer_certificates
    }

    /// Whether an earlier session was taken up again (`SSLSocket.session_reused`).
    pub fn resumed(&self) -> bool {
        self.0.resumed
    }
}
