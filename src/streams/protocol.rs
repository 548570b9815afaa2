//! [`StreamReaderProtocol`]: between a transport and the reader and writers of a stream.

use std::fmt;
use std::io;
use std::rc::Rc;

use super::incoming::Incoming;
use super::outlet::Outlet;
use super::reader::StreamReader;
use crate::exceptions::{Error, Result};
use crate::protocols::Protocol;
use crate::transports::interface::{Fetcher, Transport};

/// What is called when the connection is there.
pub(super) type OnMade = Box<dyn FnOnce(&Transport)>;

/// Feeds a reader with what comes from a transport (`asyncio.StreamReaderProtocol`), for
/// connections that are not made by [`open_connection`](crate::open_connection) and its
/// kin.
///
/// ```
/// use std::io::Write;
/// use stackio::{StreamReader, StreamReaderProtocol, get_running_loop};
///
/// stackio::run(|| {
///     let (pipe, mut other) = std::io::pipe()?;
///     let reader = StreamReader::default();
///     let protocol = StreamReaderProtocol::new(&reader);
///     get_running_loop()?.connect_read_pipe(|| protocol, pipe)?;
///     other.write_all(b"through the pipe\n")?;
///     assert_eq!(reader.readline()?, b"through the pipe\n");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct StreamReaderProtocol {
    incoming: Option<Rc<Incoming>>,
    outlet: Rc<Outlet>,
    on_made: Option<OnMade>,
}

impl StreamReaderProtocol {
    /// One that feeds this reader.
    pub fn new(reader: &StreamReader) -> StreamReaderProtocol {
        let incoming = Some(reader.incoming().clone());
        StreamReaderProtocol { incoming, outlet: Rc::default(), on_made: None }
    }

    /// One for a transport that is only written to.
    pub(super) fn without_reader() -> StreamReaderProtocol {
        StreamReaderProtocol { incoming: None, outlet: Rc::default(), on_made: None }
    }

    pub(super) fn on_made(&mut self, what: OnMade) {
        self.on_made = Some(what);
    }

    pub(super) fn incoming(&self) -> Option<&Rc<Incoming>> {
        self.incoming.as_ref()
    }

    pub(super) fn outlet(&self) -> &Rc<Outlet> {
        &self.outlet
    }
}

impl Protocol<Result> for StreamReaderProtocol {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if let Some(incoming) = &self.incoming {
            if !incoming.has_reader() {
                // Nobody is left to read or to close it.
                transport.abort();
                return Ok(());
            }
            incoming.set_transport(transport);
        }
        if let Some(made) = self.on_made.take() {
            made(transport);
        }
        Ok(())
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        self.incoming.as_ref().map_or(Ok(()), |incoming| incoming.feed(data))
    }

    fn eof_received(&mut self) -> bool {
        if let Some(incoming) = &self.incoming {
            incoming.feed_eof();
        }
        true
    }

    fn pause_writing(&mut self) -> Result {
        self.outlet.pause();
        Ok(())
    }

    fn resume_writing(&mut self) -> Result {
        self.outlet.resume();
        Ok(())
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        if let Some(incoming) = &self.incoming {
            match &error {
                None => incoming.feed_eof(),
                Some(error) if error.io_kind() == Some(io::ErrorKind::UnexpectedEof) => {
                    incoming.end_by(error.clone());
                }
                Some(error) => incoming.set_exception(error.clone()),
            }
            drop(incoming.forget_transport());
        }
        self.outlet.connection_lost(error);
        Ok(())
    }

    fn fetcher(&self) -> Option<Rc<dyn Fetcher>> {
        self.incoming.clone().map(|incoming| incoming as Rc<dyn Fetcher>)
    }
}

impl fmt::Debug for StreamReaderProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReaderProtocol").finish_non_exhaustive()
    }
}
