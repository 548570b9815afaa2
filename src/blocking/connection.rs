//! [`Connection`]: a protocol that is called while its owner waits.

use std::fmt;
use std::io;
use std::rc::Rc;

use super::stream::Stream;
use super::transport::{BlockingTransport, Open};
use crate::constants::READ_SIZE;
use crate::exceptions::{Error, ErrorKind, Result};
use crate::protocols::{IntoProtocol, ProtocolHandle};
use crate::transports::{BaseTransport, ReadTransport, Transport};

/// Has the protocol called until the connection ends, and gives it back.
///
/// A protocol that returns true from `eof_received` has written what it had to when
/// that returns, so the connection ends there.
///
/// # Errors
///
/// What `connection_lost` was given, or what the protocol raised, or its panic. Kind
/// `Runtime` if the protocol has paused reading: nobody is there to resume it.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{Shutdown, TcpListener, TcpStream};
/// use stackio::{Protocol, Transport, blocking};
///
/// /// An echo that counts. It would be the same in a loop.
/// #[derive(Default)]
/// struct Echo {
///     transport: Option<Transport>,
///     count: usize,
/// }
///
/// impl Protocol for Echo {
///     fn connection_made(&mut self, transport: &Transport) {
///         self.transport = Some(transport.clone());
///     }
///
///     fn data_received(&mut self, data: &[u8]) {
///         self.count += data.len();
///         if let Some(transport) = &self.transport {
///             transport.write(data);
///         }
///     }
/// }
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut client = TcpStream::connect(listener.local_addr()?)?;
/// client.write_all(b"hello")?;
/// client.shutdown(Shutdown::Write)?;
///
/// let (stream, _) = listener.accept()?;
/// let echo = blocking::run(Echo::default(), stream)?;
/// assert_eq!(echo.count, 5);
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert_eq!(answer, "hello");
/// # Ok::<(), stackio::Error>(())
/// ```
pub fn run<P: IntoProtocol<K>, K>(protocol: P, stream: impl Stream + 'static) -> Result<P> {
    Connection::new(protocol, stream)?.run()
}

/// A protocol and its stream, on a thread that blocks.
///
/// ```
/// use std::collections::VecDeque;
/// use std::io::{BufRead, BufReader, Write};
/// use std::os::unix::net::UnixStream;
/// use stackio::blocking::Connection;
/// use stackio::framing::{Framing, Lines};
/// use stackio::{Protocol, Result, Transport};
///
/// /// Asks, and keeps the answers.
/// #[derive(Default)]
/// struct Client {
///     lines: Lines,
///     transport: Option<Transport>,
///     answers: VecDeque<String>,
/// }
///
/// impl Client {
///     fn ask(&self, question: &str) -> Result {
///         let question = self.lines.encode(question.as_bytes())?;
///         self.transport.as_ref().map_or(Ok(()), |transport| transport.try_write(&question))
///     }
/// }
///
/// impl Protocol<Result> for Client {
///     fn connection_made(&mut self, transport: &Transport) -> Result {
///         self.transport = Some(transport.clone());
///         Ok(())
///     }
///
///     fn data_received(&mut self, mut data: &[u8]) -> Result {
///         while let Some(line) = self.lines.decode(&mut data)? {
///             self.answers.push_back(std::str::from_utf8(line)?.to_owned());
///         }
///         Ok(())
///     }
/// }
///
/// let (mut peer, stream) = UnixStream::pair()?;
/// let server = std::thread::spawn(move || -> std::io::Result<()> {
///     let mut question = String::new();
///     BufReader::new(&peer).read_line(&mut question)?;
///     peer.write_all(b"4\n")
/// });
///
/// let mut client = Connection::new(Client::default(), stream)?;
/// client.with(|client| client.ask("2 + 2"))??;
/// let answer = client.wait_for(|client| client.answers.pop_front())?;
/// assert_eq!(answer, "4");
/// server.join().unwrap()?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// A connection that is dropped is closed, and the protocol is told.
pub struct Connection<P> {
    open: Open,
    transport: Transport,
    handle: ProtocolHandle<P>,
    buffer: Box<[u8]>,
}

impl<P> Connection<P> {
    /// Makes the connection: `connection_made` has been called.
    ///
    /// # Errors
    ///
    /// What `connection_made` raised, after `connection_lost` was given it.
    pub fn new<K>(protocol: P, stream: impl Stream + 'static) -> Result<Connection<P>>
    where
        P: IntoProtocol<K>,
    {
        let handle = protocol.into_handle();
        let open = Open(Rc::new(BlockingTransport::new(Box::new(stream), handle.erased())));
        let transport = Transport::new(open.0.clone());
        if open.0.deliver(|protocol| protocol.connection_made(&transport)).is_none() {
            open.0.settle();
            return Err(ended(&open.0));
        }
        let buffer = vec![0; READ_SIZE].into_boxed_slice();
        Ok(Connection { open, transport, handle, buffer })
    }

    /// The transport.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The protocol, which may outlive the connection.
    pub fn protocol(&self) -> &ProtocolHandle<P> {
        &self.handle
    }

    /// Calls `look` with the protocol.
    ///
    /// # Errors
    ///
    /// Kind `Panic` if `look` panics.
    pub fn with<T>(&self, look: impl FnOnce(&mut P) -> T) -> Result<T> {
        self.handle.with(look)
    }

    /// Has the protocol called until `ready` finds in it what is waited for; asked
    /// first before anything is read, and then after each call.
    ///
    /// # Errors
    ///
    /// If the connection ends first, as [`run`], or an I/O error of kind
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if it ended without one. Kind
    /// `Runtime` while reading is paused, which changes nothing.
    pub fn wait_for<T>(&mut self, mut ready: impl FnMut(&mut P) -> Option<T>) -> Result<T> {
        loop {
            self.open.0.settle();
            if let Some(found) = self.with(&mut ready)? {
                return Ok(found);
            }
            if !self.advance()? {
                return Err(ended(&self.open.0));
            }
        }
    }

    /// As [`run`], for what is left of the connection.
    ///
    /// # Errors
    ///
    /// As [`run`]; kind `Runtime` if there are other handles of the protocol.
    pub fn run(mut self) -> Result<P> {
        loop {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.open.0.fail(error),
            }
        }
        let Connection { open, handle, .. } = self;
        open.0.close();
        open.0.settle();
        open.0.outcome().map_or(Ok(()), Err)?;
        handle.into_inner()
    }

    /// Reads once; false if there is nothing to come.
    fn advance(&mut self) -> Result<bool> {
        let transport = &self.open.0;
        if transport.has_ended() {
            return Ok(false);
        }
        if !transport.is_reading() {
            let text = "reading is paused, and nobody can resume it while this thread waits";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        transport.receive(&mut self.buffer);
        Ok(true)
    }
}

/// Why nothing more will come.
fn ended(transport: &BlockingTransport) -> Error {
    transport.outcome().unwrap_or_else(|| {
        let text = "the connection ended before what was waited for";
        io::Error::new(io::ErrorKind::UnexpectedEof, text).into()
    })
}

impl<P> fmt::Debug for Connection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("transport", &self.transport).finish_non_exhaustive()
    }
}
