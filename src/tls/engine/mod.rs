//! TLS without input or output: [`Engine`], a state machine that is fed ciphertext and
//! asked for it.
//!
//! ```text
//!   Handshake --> Open --> Closing --> Closed
//!       |          |          |          ^
//!       +----------+----------+----------+   Failed, Truncated
//! ```
//!
//! It waits for nothing and knows no loop, so it serves blocking code, tasks and
//! transports alike. The events depend on what has been fed, not on the pieces it came in:
//!
//! ```text
//!   (HandshakeDone Data*)? (CloseNotify | Truncated | Failed)
//! ```

mod events;

pub use events::{Event, State};

use std::fmt;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, IoState, ServerConnection};

use self::events::{End, Told};
use super::client::ClientConfig;
use super::errors::{invalid, refused};
use super::info::TlsInfo;
use super::server::ServerConfig;
use crate::constants::{TLS_READ_SIZE, TLS_WRITE_SIZE};
use crate::exceptions::Result;

/// One side of a TLS connection.
///
/// What it holds is bounded: it [takes](Engine::feed) no ciphertext while 16 KiB of
/// plaintext wait to be read, and no plaintext while 64 KiB of ciphertext wait to be taken.
///
/// ```
/// use stackio::tls::engine::{Engine, Event};
/// use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig};
///
/// # fn main() -> stackio::Result {
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let config = ServerConfig::new(Identity::from_pem(&certificate, &key)?)?;
/// let mut server = Engine::server(&config)?;
/// let config = ClientConfig::builder().roots(Roots::from_pem(&certificate)?).build()?;
/// let mut client = Engine::client(&config, "localhost")?;
///
/// // The wire between the two.
/// let mut records = Vec::new();
/// while client.info().is_none() || server.info().is_none() {
///     client.take_ciphertext(&mut records);
///     server.feed(&records);
///     records.clear();
///     server.take_ciphertext(&mut records);
///     client.feed(&records);
///     records.clear();
/// }
/// client.write(b"hello")?;
/// client.take_ciphertext(&mut records);
/// server.feed(&records);
///
/// assert!(matches!(server.next_event(), Some(Event::HandshakeDone(_))));
/// assert!(matches!(server.next_event(), Some(Event::Data)));
/// let mut buffer = [0; 16];
/// let count = server.read(&mut buffer);
/// assert_eq!(&buffer[..count], b"hello");
/// assert!(server.next_event().is_none());
/// # Ok(())
/// # }
/// ```
pub struct Engine {
    connection: Connection,
    /// For texts: `TLS with example.org`.
    title: String,
    server_name: Option<String>,
    info: Option<TlsInfo>,
    /// Bytes of plaintext that wait to be read, as far as rustls counts them.
    readable: usize,
    close_sent: bool,
    end: Option<End>,
    /// Which events have been told.
    told: Told,
}

impl Engine {
    /// The client's side. The name, or the IP address, is the one that the server's
    /// certificate must be for.
    ///
    /// # Errors
    ///
    /// Kind `Value` if it is not the name of a server; if rustls cannot begin, as when the
    /// system has no random numbers.
    pub fn client(config: &ClientConfig, server_name: &str) -> Result<Engine> {
        let name = check_server_name(server_name)?;
        let title = format!("TLS with {server_name}");
        match ClientConnection::new(config.rustls().clone(), name) {
            Ok(connection) => {
                Ok(Engine::new(connection.into(), title, Some(server_name.to_owned())))
            }
            Err(cause) => Err(refused(title, cause)),
        }
    }

    /// The server's side.
    ///
    /// # Errors
    ///
    /// If rustls cannot begin, as when the configuration contradicts itself.
    pub fn server(config: &ServerConfig) -> Result<Engine> {
        let title = "TLS with a client".to_owned();
        match ServerConnection::new(config.rustls().clone()) {
            Ok(connection) => Ok(Engine::new(connection.into(), title, None)),
            Err(cause) => Err(refused(title, cause)),
        }
    }

    fn new(mut connection: Connection, title: String, server_name: Option<String>) -> Engine {
        connection.set_buffer_limit(Some(TLS_WRITE_SIZE));
        Engine {
            connection,
            title,
            server_name,
            info: None,
            readable: 0,
            close_sent: false,
            end: None,
            told: Told::default(),
        }
    }

    /// How far it is.
    pub fn state(&self) -> State {
        match (&self.end, self.close_sent) {
            (Some(End::Failed(_)), _) | (Some(_), true) => State::Closed,
            (Some(_), false) | (None, true) => State::Closing,
            (None, false) if self.info.is_none() => State::Handshake,
            (None, false) => State::Open,
        }
    }

    /// What the handshake has agreed on, once it is done.
    pub fn info(&self) -> Option<&TlsInfo> {
        self.info.as_ref()
    }

    /// What it is called in texts.
    pub(crate) fn title(&self) -> &str {
        &self.title
    }

    /// Takes ciphertext from the wire; how many bytes of it. Fewer than all are taken
    /// only when plaintext has to be read first; after the end they are dropped.
    pub fn feed(&mut self, ciphertext: &[u8]) -> usize {
        let mut rest = ciphertext;
        while !rest.is_empty() && self.end.is_none() {
            if self.readable >= TLS_READ_SIZE {
                return ciphertext.len() - rest.len();
            }
            // It reads from a slice, so all that can go wrong is the size of a message.
            match self.connection.read_tls(&mut rest) {
                Ok(1..) => self.process(),
                Ok(0) => self.fail(rustls::Error::PeerSentOversizedRecord),
                Err(error) => self.fail(rustls::Error::General(error.to_string())),
            }
        }
        ciphertext.len()
    }

    fn process(&mut self) {
        let processed = if self.close_sent {
            // With debug assertions, rustls panics on garbage that comes after its own
            // `close_notify`, since it would send an alert after that.
            let process = AssertUnwindSafe(|| self.connection.process_new_packets());
            catch_unwind(process).unwrap_or(Err(rustls::Error::DecryptError))
        } else {
            self.connection.process_new_packets()
        };
        if self.info.is_none() && !self.connection.is_handshaking() {
            self.info = Some(TlsInfo::of(&self.connection, self.server_name.as_deref()));
        }
        match processed {
            Ok(state) => self.note(&state),
            Err(cause) => self.fail(cause),
        }
    }

    fn note(&mut self, state: &IoState) {
        self.readable = state.plaintext_bytes_to_read();
        if state.peer_has_closed() {
            self.end = Some(End::CloseNotify);
        }
    }

    fn fail(&mut self, cause: rustls::Error) {
        let step = if self.info.is_none() { "the handshake" } else { "the connection" };
        self.end = Some(End::Failed(refused(format!("{}: {step} failed", self.title), cause)));
    }

    /// Says that the wire has ended: no more ciphertext will come.
    pub fn feed_eof(&mut self) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(match self.info {
            Some(_) => End::Truncated,
            None => {
                let text =
                    format!("{}: the peer closed the connection in the handshake", self.title);
                End::Failed(io::Error::new(io::ErrorKind::UnexpectedEof, text).into())
            }
        });
    }

    /// What has happened since the last time it was asked. With plaintext to read, what
    /// comes after it is told when it has been read.
    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(info) = &self.info
            && !self.told.handshake
        {
            self.told.handshake = true;
            return Some(Event::HandshakeDone(info.clone()));
        }
        if self.has_plaintext() {
            let told = std::mem::replace(&mut self.told.data, true);
            return (!told).then_some(Event::Data);
        }
        if self.told.end {
            return None;
        }
        let event = match self.end.as_ref()? {
            End::CloseNotify => Event::CloseNotify,
            End::Truncated => Event::Truncated,
            End::Failed(error) => Event::Failed(error.clone()),
        };
        self.told.end = true;
        Some(event)
    }

    /// Reads plaintext; how much. Nothing, if there is none.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        // Its errors say why there is nothing, which the events do better.
        let count = self.connection.reader().read(buffer).unwrap_or(0);
        self.was_read(count);
        count
    }

    /// The first of the plaintext, to be looked at in place; empty if there is none.
    pub fn peek(&mut self) -> &[u8] {
        self.connection.reader().into_first_chunk().unwrap_or(&[])
    }

    /// Drops so much of what [`peek`](Engine::peek) shows.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.peek().len());
        if count > 0 {
            self.connection.reader().consume(count);
            self.was_read(count);
        }
    }

    fn was_read(&mut self, count: usize) {
        self.readable = self.readable.saturating_sub(count);
        self.told.data = false;
    }

    /// Whether there is plaintext to read.
    pub fn has_plaintext(&mut self) -> bool {
        !self.peek().is_empty()
    }

    /// Encrypts; how many bytes were taken. Fewer than all, if ciphertext has to be taken
    /// first; none before the handshake is done.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` after [`close`](Engine::close); the one that ended the connection.
    pub fn write(&mut self, plaintext: &[u8]) -> Result<usize> {
        self.write_vectored(&[IoSlice::new(plaintext)])
    }

    /// The same for several pieces, which go into common records.
    ///
    /// # Errors
    ///
    /// As [`write`](Engine::write).
    pub fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> Result<usize> {
        self.check_writable()?;
        if self.info.is_none() {
            return Ok(0);
        }
        Ok(self.connection.writer().write_vectored(pieces)?)
    }

    /// Changes the keys of both directions (`KeyUpdate`), which happens by itself long
    /// before they are worn out.
    ///
    /// # Errors
    ///
    /// With TLS 1.2, which cannot; before the handshake is done.
    pub fn refresh_keys(&mut self) -> Result {
        self.connection
            .refresh_traffic_keys()
            .map_err(|cause| refused(format!("{}: no change of keys", self.title), cause))
    }

    fn check_writable(&self) -> Result {
        if let Some(End::Failed(error)) = &self.end {
            return Err(error.clone());
        }
        if self.close_sent {
            let text = format!("{}: write after close", self.title);
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, text).into());
        }
        Ok(())
    }

    /// Takes what is to be sent, and appends it; how many bytes.
    pub fn take_ciphertext(&mut self, into: &mut Vec<u8>) -> usize {
        let before = into.len();
        while self.connection.wants_write() {
            // A vector takes everything.
            if self.connection.write_tls(into).is_err() {
                break;
            }
        }
        into.len() - before
    }

    /// Whether there is something to be sent.
    pub fn has_ciphertext(&self) -> bool {
        self.connection.wants_write()
    }

    /// Tells the peer that nothing more will be written (`close_notify`). What the peer
    /// writes can still be read.
    pub fn close(&mut self) {
        if !self.close_sent && !matches!(self.end, Some(End::Failed(_))) {
            self.close_sent = true;
            self.connection.send_close_notify();
        }
    }
}

/// The name, or IP address, that a certificate can be for.
///
/// # Errors
///
/// Kind `Value` if it is none.
pub(crate) fn check_server_name(name: &str) -> Result<ServerName<'static>> {
    let invalid = |_| invalid(format!("{name:?} is not the name of a server"));
    ServerName::try_from(name.to_owned()).map_err(invalid)
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} {:?}>", self.title, self.state())
    }
}
