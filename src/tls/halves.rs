//! [`TlsReader`] and [`TlsWriter`]: one connection in the hands of two tasks.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::rc::Rc;

use super::info::TlsInfo;
use super::session::Session;

struct Both<S> {
    wire: S,
    session: Session,
    info: TlsInfo,
}

/// The reading half of a [`TlsStream`](super::TlsStream).
pub struct TlsReader<S>(Rc<Both<S>>);

/// The writing half of a [`TlsStream`](super::TlsStream). The stream below is closed when
/// both halves are gone.
pub struct TlsWriter<S>(Rc<Both<S>>);

pub(super) fn halves<S>(wire: S, session: Session, info: TlsInfo) -> (TlsReader<S>, TlsWriter<S>) {
    let both = Rc::new(Both { wire, session, info });
    (TlsReader(both.clone()), TlsWriter(both))
}

impl<S> TlsReader<S> {
    /// What the handshake has agreed on.
    pub fn info(&self) -> &TlsInfo {
        &self.0.info
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.0.wire
    }
}

impl<S> TlsWriter<S> {
    /// What the handshake has agreed on.
    pub fn info(&self) -> &TlsInfo {
        &self.0.info
    }

    /// The stream below.
    pub fn get_ref(&self) -> &S {
        &self.0.wire
    }
}

impl<S> TlsWriter<S>
where
    for<'a> &'a S: Write,
{
    /// Says that nothing more will be written (`close_notify`); the other half reads on,
    /// until the peer says the same, which may be
    /// [at once](super::TlsStream::close_write).
    ///
    /// # Errors
    ///
    /// Those of the stream below; a cancellation, after which it can be called again.
    #[track_caller]
    pub fn close(&mut self) -> io::Result<()> {
        Ok(self.0.session.close_write(&mut &self.0.wire)?)
    }
}

impl<S> Read for TlsReader<S>
where
    for<'a> &'a S: Read + Write,
{
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.session.read(&mut &self.0.wire, buffer)
    }
}

impl<S> Write for TlsWriter<S>
where
    for<'a> &'a S: Write,
{
    #[track_caller]
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.session.write(&mut &self.0.wire, &[IoSlice::new(buffer)])
    }

    #[track_caller]
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.session.write(&mut &self.0.wire, buffers)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        Ok(self.0.session.flush(&mut &self.0.wire)?)
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<reader of {} over {:?}>", self.0.session.title(), self.0.wire)
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<writer of {} over {:?}>", self.0.session.title(), self.0.wire)
    }
}
