//! [`Stream`]: what blocks, and carries bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use crate::transports::{Address, ExtraInfo};

/// Two directions of bytes that block: std's [`TcpStream`] and [`UnixStream`]; anything
/// that is [`Read`] and [`Write`], as [`ReadWrite`]; something of each, as [`Pair`].
///
/// A timeout of the stream, or its being in non-blocking mode, ends the connection with
/// the I/O error that it gives.
pub trait Stream: Read + Write {
    /// Whether the end of what is written can be sent while reading goes on.
    fn can_write_eof(&self) -> bool {
        false
    }

    /// Sends that end. It is called if [`can_write_eof`](Stream::can_write_eof).
    ///
    /// # Errors
    ///
    /// Any that the system gives.
    fn write_eof(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whose connection it is.
    fn extra_info(&self) -> ExtraInfo {
        ExtraInfo::default()
    }
}

impl Stream for TcpStream {
    fn can_write_eof(&self) -> bool {
        true
    }

    fn write_eof(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn extra_info(&self) -> ExtraInfo {
        let mut info = ExtraInfo::default();
        info.local_addr = self.local_addr().ok().map(Address::from);
        info.peer_addr = self.peer_addr().ok().map(Address::from);
        info
    }
}

impl Stream for UnixStream {
    fn can_write_eof(&self) -> bool {
        true
    }

    fn write_eof(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn extra_info(&self) -> ExtraInfo {
        let mut info = ExtraInfo::default();
        info.local_addr = self.local_addr().ok().map(Address::from);
        info.peer_addr = self.peer_addr().ok().map(Address::from);
        info
    }
}

/// Anything that is [`Read`] and [`Write`]: a TLS stream of some library. The end of
/// what is written cannot be sent alone.
#[derive(Debug)]
pub struct ReadWrite<S>(pub S);

impl<S: Read> Read for ReadWrite<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<S: Write> Write for ReadWrite<S> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<S: Read + Write> Stream for ReadWrite<S> {}

/// Something to read from and something to write to: a child's standard output and
/// input, one's own. The end of what is written is the latter's being dropped.
///
/// ```
/// use std::process::{Command, Stdio};
/// use stackio::LineProtocol;
/// use stackio::blocking::{Connection, Pair};
///
/// let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
/// let pair = Pair::new(child.stdout.take().unwrap(), child.stdin.take().unwrap());
/// let protocol = LineProtocol::new(|line, to| {
///     assert_eq!(line, b"from cat");
///     to.transport().close();
/// });
/// let connection = Connection::new(protocol, pair)?;
/// connection.with(|protocol| protocol.write_line("from cat"))??;
/// connection.run()?;
/// child.wait()?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Debug)]
pub struct Pair<R, W> {
    reader: R,
    writer: Option<W>,
}

impl<R: Read, W: Write> Pair<R, W> {
    /// The two as one.
    pub fn new(reader: R, writer: W) -> Pair<R, W> {
        Pair { reader, writer: Some(writer) }
    }

    fn writer(&mut self) -> io::Result<&mut W> {
        self.writer.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl<R: Read, W: Write> Read for Pair<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl<R: Read, W: Write> Write for Pair<R, W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.writer()?.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer()?.flush()
    }
}

impl<R: Read, W: Write> Stream for Pair<R, W> {
    fn can_write_eof(&self) -> bool {
        true
    }

    fn write_eof(&mut self) -> io::Result<()> {
        self.writer = None;
        Ok(())
    }
}
