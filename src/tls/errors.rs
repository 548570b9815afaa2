//! What goes wrong with TLS: [`TlsError`], and the texts around it.

use std::fmt;
use std::io;

use crate::exceptions::{Error, ErrorKind};

/// Why TLS refused (`ssl.SSLError`): a certificate, an alert from the peer, garbage.
///
/// It is found inside errors of the connection by
/// [`Error::downcast_ref`](crate::Error::downcast_ref).
///
/// ```
/// use stackio::Error;
/// use stackio::tls::{TlsError, rustls};
///
/// /// Whether it is worth asking the user about another certificate authority.
/// fn is_distrust(error: &Error) -> bool {
///     let Some(error) = error.downcast_ref::<TlsError>() else { return false };
///     matches!(error.cause(), rustls::Error::InvalidCertificate(_))
/// }
/// # assert!(!is_distrust(&Error::cancelled()));
/// ```
#[derive(Clone, Debug)]
pub struct TlsError {
    operation: Box<str>,
    cause: rustls::Error,
}

impl TlsError {
    /// The reason, in the words of rustls.
    pub fn cause(&self) -> &rustls::Error {
        &self.cause
    }

    /// Whether it is the peer's certificate that is not accepted, or its absence
    /// (`ssl.SSLCertVerificationError`).
    pub fn is_certificate(&self) -> bool {
        matches!(
            self.cause,
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented
        )
    }
}

impl TlsError {
    /// rustls has no kind for it, only its verifier's word.
    fn is_of_an_authority(&self) -> bool {
        use rustls::{CertificateError, Error};
        match &self.cause {
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                format!("{other:?}").contains("CaUsedAsEndEntity")
            }
            _ => false,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_of_an_authority() {
            return write!(
                f,
                "{}: invalid peer certificate: it is that of a certificate authority (CA:TRUE, as \
                 `openssl req -x509` makes them), which cannot be a server's or client's own; make \
                 one with basicConstraints=CA:FALSE",
                self.operation
            );
        }
        write!(f, "{}: {}", self.operation, self.cause)
    }
}

impl std::error::Error for TlsError {}

/// A connection that TLS ended.
pub(super) fn refused(operation: String, cause: rustls::Error) -> Error {
    let error = TlsError { operation: operation.into(), cause };
    io::Error::new(io::ErrorKind::InvalidData, error).into()
}

/// A configuration that cannot be.
pub(super) fn unusable(operation: impl Into<Box<str>>, cause: rustls::Error) -> Error {
    Error::new(ErrorKind::Value, TlsError { operation: operation.into(), cause })
}

/// An argument that cannot be.
pub(super) fn invalid(text: impl Into<Box<str>>) -> Error {
    Error::text(ErrorKind::Value, text)
}
