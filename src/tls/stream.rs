//! [`TlsStream`]: TLS over anything that can be read and written.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Read, Write};

use super::client::ClientConfig;
use super::engine::Engine;
use super::halves::{TlsReader, TlsWriter, halves};
use super::info::TlsInfo;
use super::server::ServerConfig;
use super::session::Session;

/// An encrypted connection over another stream: a [`TcpStream`](crate::net::TcpStream), or
/// anything else with `Read` and `Write`, in a task or, over std's sockets, without a loop.
///
/// A read that is cancelled has lost nothing. A write first sends what is left of those
/// before: cancelled in that, it has taken nothing. Then it takes up to 64 KiB, and
/// succeeds, though it may be cancelled while these are sent: what is left goes with the
/// next write, flush or close, and the cancellation comes at the task's next wait.
///
/// Each write sends a record at once. So a header and a body are better written through a
/// `BufWriter`, which is flushed, or the socket is told
/// [`set_nodelay(true)`](crate::net::TcpStream::set_nodelay): otherwise the second record
/// may [wait for the peer](crate::net#small-writes).
///
/// Dropping it closes the stream below without a word, which the peer must take for an
/// attack, and what was written last may be lost, since the system resets a connection
/// that is closed while something of the peer's is unread: call
/// [`close`](TlsStream::close).
///
/// ```
/// use std::io::{Read, Write};
/// use stackio::net::{TcpListener, TcpStream};
/// use stackio::spawn;
/// use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig, TlsStream};
///
/// # fn main() -> stackio::Result {
/// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let server = ServerConfig::new(Identity::from_pem(&certificate, &key)?)?;
/// let client = ClientConfig::builder().roots(Roots::from_pem(&certificate)?).build()?;
/// stackio::run(move || {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     let greeter = spawn(move || {
///         let (stream, _) = listener.accept()?;
///         let mut stream = TlsStream::accept(&server, stream)?;
///         stream.write_all(b"hello")?;
///         Ok(stream.close()?)
///     });
///     let stream = TcpStream::connect(address)?;
///     let mut stream = TlsStream::connect(&client, "localhost", stream)?;
///     let mut greeting = String::new();
///     stream.read_to_string(&mut greeting)?;
///     assert_eq!(greeting, "hello");
///     stream.close()?;
///     greeter.join()
/// })
/// # }
/// ```
pub struct TlsStream<S> {
    wire: S,
    session: Session,
    info: TlsInfo,
}

impl<S: Read + Write> TlsStream<S> {
    /// Makes the client's side of a handshake, with a server whose certificate must be for
    /// that name or IP address.
    ///
    /// # Errors
    ///
    /// `InvalidData` with a [`TlsError`](super::TlsError) if either side refuses;
    /// `TimedOut` after the time that the configuration gives, which needs a task;
    /// `UnexpectedEof` if the peer goes; kind `Value` inside if it is not the name of a
    /// server; those of the stream; a cancellation. The stream is gone then.
    #[track_caller]
    pub fn connect(
        config: &ClientConfig,
        server_name: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let engine = Engine::client(config, server_name)?;
        TlsStream::establish(stream, Session::new(engine, config.limits()))
    }

    /// Makes the server's side of a handshake.
    ///
    /// # Errors
    ///
    /// As [`connect`](TlsStream::connect).
    #[track_caller]
    pub fn accept(config: &ServerConfig, stream: S) -> io::Result<TlsStream<S>> {
        let engine = Engine::server(config)?;
        TlsStream::establish(stream, Session::new(engine, config.limits()))
    }

    #[track_caller]
    fn establish(mut wire: S, session: Session) -> io::Result<TlsStream<S>> {
        session.handshake(&mut wire)?;
        match session.info() {
            Some(info) => Ok(TlsStream { wire, session, info }),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// What the handshake has agreed on.
    pub fn info(&self) -> &TlsInfo {
        &self.info
    }

    /// The stream below. Whoever reads from it or writes to it breaks the connection.
    pub fn get_ref(&self) -> &S {
        &self.wire
    }

    /// Says that nothing more will be written (`close_notify`). What the peer writes can
    /// still be read, if it still writes: a `TlsStream` at the other end may answer. One
    /// that speaks less than TLS 1.3 closes at once, and so do transports and streams, of
    /// [`start_server`](crate::ServerBuilder::start_server) with
    /// [`tls`](crate::ServerBuilder::tls) for instance, as in asyncio: what they have not
    /// sent by then is lost. Who wants their answer reads it first.
    ///
    /// # Errors
    ///
    /// Those of the stream below; a cancellation, after which it can be called again.
    #[track_caller]
    pub fn close_write(&mut self) -> io::Result<()> {
        Ok(self.session.close_write(&mut self.wire)?)
    }

    /// Ends the connection properly (`SSLSocket.unwrap`): says that nothing more will be
    /// written and waits until the peer says the same. What the peer still sends is
    /// dropped.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the peer closed the stream without a word. Many do at this point,
    /// and if all that was to come has come it does no harm. `TimedOut` after the time
    /// that the configuration gives, which needs a task; those of the stream; a
    /// cancellation.
    #[track_caller]
    pub fn close(&mut self) -> io::Result<()> {
        self.session.close(&mut self.wire)
    }

    /// Two handles, for a task that reads and one that writes. For streams whose shared
    /// references can be read and written, as those of sockets can.
    ///
    /// ```no_run
    /// # use std::io::{self, Read, Write};
    /// # use stackio::net::TcpStream;
    /// # use stackio::spawn;
    /// # use stackio::tls::TlsStream;
    /// # fn chat(stream: TlsStream<TcpStream>) -> stackio::Result {
    /// let (mut reader, mut writer) = stream.split();
    /// let listening = spawn(move || Ok(io::copy(&mut reader, &mut io::stdout())?));
    /// writer.write_all(b"hello")?;
    /// writer.close()?;
    /// listening.join()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(self) -> (TlsReader<S>, TlsWriter<S>)
    where
        for<'a> &'a S: Read + Write,
    {
        halves(self.wire, self.session, self.info)
    }
}

impl<S: Read + Write> Read for TlsStream<S> {
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.session.read(&mut self.wire, buffer)
    }
}

impl<S: Read + Write> BufRead for TlsStream<S> {
    #[track_caller]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.session.fill_plaintext(&mut self.wire)?;
        Ok(self.session.engine_mut().peek())
    }

    fn consume(&mut self, count: usize) {
        self.session.engine_mut().consume(count);
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    #[track_caller]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.session.write(&mut self.wire, &[IoSlice::new(buffer)])
    }

    #[track_caller]
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.session.write(&mut self.wire, buffers)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        Ok(self.session.flush(&mut self.wire)?)
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} over {:?}>", self.session.title(), self.wire)
    }
}
