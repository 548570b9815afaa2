//! TLS, by rustls: configurations, [`TlsStream`] for sequential use, and the pure state
//! machine that both it and the transports run, [`engine`].
//!
//! ```text
//!   plaintext   write --->  +--------+  ---> ciphertext to the wire
//!                           | engine |
//!                read <---  +--------+  <--- ciphertext from the wire
//! ```
//!
//! A client trusts the roots of the system, or those that it is given. A server has an
//! [`Identity`]. Versions are TLS 1.2 and 1.3; sessions are resumed.
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use stackio::net::TcpStream;
//! use stackio::tls::{ClientConfig, TlsStream};
//!
//! stackio::run(|| {
//!     let config = ClientConfig::new()?;
//!     let stream = TcpStream::connect("example.org:443")?;
//!     let mut stream = TlsStream::connect(&config, "example.org", stream)?;
//!     stream.write_all(b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n")?;
//!     let mut answer = Vec::new();
//!     stream.read_to_end(&mut answer)?;
//!     Ok(())
//! })?;
//! # Ok::<(), stackio::Error>(())
//! ```
//!
//! # Errors
//!
//! A connection that TLS refuses fails with an error of kind `Io` and
//! [`InvalidData`](std::io::ErrorKind::InvalidData), with a [`TlsError`] inside, which
//! [`downcast_ref`](crate::Error::downcast_ref) finds. A connection that is closed without
//! TLS's `close_notify` may have been cut by somebody in between: that is
//! [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof).

mod errors;
mod info;
mod trust;
pub(crate) mod config;
mod client;
mod server;
pub mod engine;
mod side;
mod session;
mod stream;
mod halves;

pub use client::{ClientConfig, ClientConfigBuilder};
pub use errors::TlsError;
pub use halves::{TlsReader, TlsWriter};
pub use info::{TlsInfo, Version};
pub use server::{ServerConfig, ServerConfigBuilder};
pub use side::Side;
pub use stream::TlsStream;
pub use trust::{Identity, Roots};

/// What configurations and errors are made of, for what this module has no words for.
pub use rustls;
pub use rustls::pki_types::{CertificateDer, PrivateKeyDer};
