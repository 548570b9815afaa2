//! Who is trusted and who one is: [`Roots`] and [`Identity`], from PEM.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use super::errors::{invalid, unusable};
use crate::exceptions::{Error, Result};

/// Certificate authorities that are trusted.
///
/// ```
/// use stackio::tls::Roots;
///
/// # fn main() -> stackio::Result {
/// # let own = rcgen::generate_simple_self_signed(["example.org".to_owned()])?.cert.pem();
/// let only_ours = Roots::from_pem(&own)?;
/// assert_eq!(only_ours.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Roots(RootCertStore);

impl Roots {
    /// Nobody.
    pub fn empty() -> Roots {
        Roots(RootCertStore::empty())
    }

    /// Those that the system trusts, or the environment variables `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` name. It reads files, so do it once and not for each connection.
    ///
    /// # Errors
    ///
    /// Kind `Value` if there are none.
    pub fn system() -> Result<Roots> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        // Systems have a few that are not understood; the others are of use all the same.
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let why = found.errors.first().map_or(String::new(), |error| format!(": {error}"));
            return Err(invalid(format!("the system has no root certificates{why}")));
        }
        Ok(Roots(store))
    }

    /// Those in a PEM text, and no others.
    ///
    /// # Errors
    ///
    /// As [`with_pem`](Roots::with_pem).
    pub fn from_pem(pem: impl AsRef<[u8]>) -> Result<Roots> {
        Roots::empty().with_pem(pem)
    }

    /// Those in a PEM file, and no others.
    ///
    /// # Errors
    ///
    /// As [`with_pem`](Roots::with_pem), and those of reading the file.
    pub fn from_pem_file(path: impl AsRef<Path>) -> Result<Roots> {
        Roots::empty().with_pem_file(path)
    }

    /// These, and those in a PEM text.
    ///
    /// # Errors
    ///
    /// Kind `Value` if there is no certificate in it, or one that is not understood.
    ///
    /// ```
    /// use stackio::tls::Roots;
    /// let error = Roots::from_pem("what is this?").unwrap_err();
    /// assert_eq!(error.to_string(), "no certificate in the PEM text");
    /// ```
    pub fn with_pem(self, pem: impl AsRef<[u8]>) -> Result<Roots> {
        let certificates = certificates(pem.as_ref(), "the PEM text")?;
        certificates.into_iter().try_fold(self, Roots::with_der)
    }

    /// These, and those in a PEM file.
    ///
    /// # Errors
    ///
    /// As [`with_pem`](Roots::with_pem), and those of reading the file.
    pub fn with_pem_file(self, path: impl AsRef<Path>) -> Result<Roots> {
        let path = path.as_ref();
        let certificates = certificates(&read(path)?, &path.display().to_string())?;
        certificates.into_iter().try_fold(self, Roots::with_der)
    }

    /// These, and one more.
    ///
    /// # Errors
    ///
    /// Kind `Value` if it is not understood.
    pub fn with_der(mut self, certificate: CertificateDer<'_>) -> Result<Roots> {
        match self.0.add(certificate) {
            Ok(()) => Ok(self),
            Err(cause) => Err(unusable("a root certificate cannot be used", cause)),
        }
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For a configuration, which can do nothing without.
    pub(super) fn into_store(self) -> Result<Arc<RootCertStore>> {
        if self.is_empty() {
            return Err(invalid("without any root certificate nobody can be trusted"));
        }
        Ok(Arc::new(self.0))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.len())
    }
}

/// A certificate, with those that lead to a root, and its private key
/// (`SSLContext.load_cert_chain`).
///
/// ```
/// use stackio::tls::Identity;
///
/// # fn main() -> stackio::Result {
/// let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem())?;
///
/// let other = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// let error = Identity::from_pem(made.cert.pem(), other.signing_key.serialize_pem());
/// assert!(error.unwrap_err().to_string().contains("does not fit the certificate"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
}

impl Identity {
    /// From PEM texts, which may be the same one: the certificate first, then those that
    /// lead to a root; the key in PKCS#8, PKCS#1 or SEC1.
    ///
    /// # Errors
    ///
    /// Kind `Value` if there is no certificate or no key, if one is not understood, or if
    /// they do not belong together. Encrypted keys are not understood.
    pub fn from_pem(chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Identity> {
        Identity::read(chain.as_ref(), "the PEM text", key.as_ref(), "the PEM text")
    }

    /// From PEM files, which may be the same one.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Identity::from_pem), and those of reading the files.
    pub fn from_pem_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Identity> {
        let (chain, key) = (chain.as_ref(), key.as_ref());
        let (chain_name, key_name) = (chain.display().to_string(), key.display().to_string());
        Identity::read(&read(chain)?, &chain_name, &read(key)?, &key_name)
    }

    fn read(chain: &[u8], chain_name: &str, key: &[u8], key_name: &str) -> Result<Identity> {
        let chain = certificates(chain, chain_name)?;
        let key = match PrivateKeyDer::from_pem_slice(key) {
            Ok(key) => key,
            Err(pem::Error::NoItemsFound) if is_encrypted(key) => {
                let text = format!("the private key in {key_name} is encrypted: decrypt it first");
                return Err(invalid(text));
            }
            Err(pem::Error::NoItemsFound) => {
                return Err(invalid(format!("no private key in {key_name}")));
            }
            Err(error) => return Err(unreadable(key_name, &error)),
        };
        Identity::from_der(chain, key)
    }

    /// From the certificate, those that lead to a root, and the key.
    ///
    /// # Errors
    ///
    /// As [`from_pem`](Identity::from_pem).
    pub fn from_der(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Identity> {
        let key = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|cause| unusable("the private key cannot be used", cause))?;
        let identity = Identity { chain, key };
        match identity.certified().keys_match() {
            Ok(()) => Ok(identity),
            Err(cause @ rustls::Error::InconsistentKeys(_)) => {
                Err(unusable("the private key does not fit the certificate", cause))
            }
            Err(cause) => Err(unusable("the certificate cannot be used", cause)),
        }
    }

    pub(super) fn certified(&self) -> CertifiedKey {
        CertifiedKey::new(self.chain.clone(), self.key.clone())
    }
}

impl fmt::Debug for Identity {
    /// Says nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.chain.len())
    }
}

fn certificates(pem: &[u8], name: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(invalid(format!("no certificate in {name}"))),
        Ok(found) => Ok(found),
        Err(error) => Err(unreadable(name, &error)),
    }
}

fn unreadable(name: &str, error: &pem::Error) -> Error {
    invalid(format!("{name} is not valid PEM: {error}"))
}

fn is_encrypted(pem: &[u8]) -> bool {
    let mark = b"ENCRYPTED";
    pem.windows(mark.len()).any(|window| window == mark)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
    };
    Ok(std::fs::read(path).map_err(named)?)
}
