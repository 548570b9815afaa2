//! TLS: handshakes that are made and refused, streams that stay whole, connections that end.
//!
//! Certificates are made here, and run out with the test.

mod cancelling;
mod configs;
mod engine;
mod handshakes;
mod refusals;
mod streams;
mod wires;

use std::io;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use stackio::net::{TcpListener, TcpStream};
use stackio::tls::rustls::pki_types::pem::PemObject;
use stackio::tls::{
    CertificateDer, ClientConfig, Identity, Roots, ServerConfig, TlsStream, rustls,
};
use stackio::{Error, Result, Runner, Task, VirtualClock, secs, spawn, timeout};

use self::wires::Pipe;

/// After this a test has failed: nothing here takes a tenth of it.
const LIMIT: std::time::Duration = secs(25);

/// Runs the body as a loop's main task. A body that hangs fails.
#[track_caller]
fn play<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> T {
    let ended = Runner::new().and_then(|mut runner| runner.run(|| timeout(LIMIT, |_| body())));
    ended.unwrap_or_else(|error| panic!("the test's main task failed: {error:?}"))
}

/// The same on a virtual clock, for bodies that touch no socket. One that hangs is a deadlock.
#[track_caller]
fn play_virtually<T: 'static>(body: impl FnOnce(&VirtualClock) -> Result<T> + 'static) -> T {
    let clock = VirtualClock::new();
    let runner = Runner::builder().virtual_clock(&clock).build();
    let ended = runner.and_then(|mut runner| runner.run(move || body(&clock)));
    ended.unwrap_or_else(|error| panic!("the test's main task failed: {error:?}"))
}

/// Somebody who issues certificates.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What somebody has who was issued one.
pub struct Made {
    certificate: String,
    key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be the same one, with a forged key.
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("{:?}", key.public_key_raw()));
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    pub fn issue(&self, name: &str) -> Made {
        self.issue_with(name, |_| {})
    }

    pub fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Made {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Made { certificate, key: key.serialize_pem() }
    }

    pub fn roots(&self) -> Roots {
        Roots::from_pem(&self.pem).expect("a root")
    }
}

impl Made {
    pub fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key).expect("they belong together")
    }
}

/// Configurations of a client and a server that know each other; the server is `localhost`.
pub fn acquainted() -> Result<(ClientConfig, ServerConfig)> {
    let authority = Authority::new();
    let server = ServerConfig::new(authority.issue("localhost").identity())?;
    let client = ClientConfig::builder().roots(authority.roots()).build()?;
    Ok((client, server))
}

/// A client of TLS 1.2 only, which the builder does not make.
pub fn only_tls12(authority: &Authority) -> Result<ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in pem(&authority.pem) {
        roots.add(certificate)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

fn pem(text: &str) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes());
    certificates.map(|certificate| certificate.expect("PEM")).collect()
}

/// Both ends of a connection.
fn sockets() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    Ok((near, far))
}

/// How a handshake ended, on both sides.
type Shaken<S> = (io::Result<TlsStream<S>>, io::Result<TlsStream<S>>);

/// Both sides of a handshake through memory.
fn shake(client: &ClientConfig, name: &str, server: &ServerConfig) -> Result<Shaken<Pipe>> {
    shake_over(wires::pipes(64 * 1024), client, name, server)
}

/// The two sides of a connection through memory, which has only that much room afterwards.
fn connected(
    capacity: usize,
    client: &ClientConfig,
    server: &ServerConfig,
) -> Result<(TlsStream<Pipe>, TlsStream<Pipe>)> {
    let (near, far) = shake(client, "localhost", server)?;
    let (near, far) = (near?, far?);
    near.get_ref().narrow(capacity);
    far.get_ref().narrow(capacity);
    Ok((near, far))
}

fn shake_over<S: io::Read + io::Write + 'static>(
    (near, far): (S, S),
    client: &ClientConfig,
    name: &str,
    server: &ServerConfig,
) -> Result<Shaken<S>> {
    let server = server.clone();
    let accepting: Task<_> = spawn(move || Ok(TlsStream::accept(&server, far)));
    let near = TlsStream::connect(client, name, near);
    Ok((near, accepting.join()?))
}

/// The failure of a handshake or a stream, as `?` would give it.
#[track_caller]
pub fn failure<T>(ended: io::Result<T>) -> Error {
    match ended {
        Ok(_) => panic!("it should have failed"),
        Err(error) => error.into(),
    }
}

/// That TLS refused, with a text that has all these words.
#[track_caller]
pub fn assert_refused<T>(ended: io::Result<T>, words: &[&str]) {
    let error = failure(ended);
    assert_eq!(error.io_kind(), Some(io::ErrorKind::InvalidData), "{error}");
    assert!(error.downcast_ref::<stackio::tls::TlsError>().is_some(), "{error:?}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text:?}");
    }
}

/// Bytes in which every place can be told from its neighbours.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}
