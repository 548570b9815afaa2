//! Why none of several addresses would do.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;

use crate::conversions::carries_error;
use crate::resolver::ToAddrs;

/// The addresses that would not do, each with its reason.
#[derive(Debug, Default)]
pub(crate) struct Failures(Vec<(SocketAddr, io::Error)>);

impl Failures {
    /// Notes one. A cancellation, or a time that is up, ends all attempts: it is
    /// given back.
    pub(crate) fn note(&mut self, address: SocketAddr, error: io::Error) -> io::Result<()> {
        if carries_error(&error) {
            return Err(error);
        }
        self.0.push((address, error));
        Ok(())
    }

    /// One error for all: the one there is, if they all say the same; otherwise one
    /// of the kind of the last that lists them, as asyncio's does.
    pub(crate) fn into_error(mut self) -> io::Error {
        let Some((_, last)) = self.0.last() else {
            return io::Error::new(io::ErrorKind::InvalidInput, "no address was given");
        };
        let (kind, said) = (last.kind(), last.to_string());
        if self.0.iter().all(|(_, error)| error.to_string() == said) {
            return self.0.remove(0).1;
        }
        let mut text = "Multiple exceptions".to_owned();
        for (at, (address, error)) in self.0.iter().enumerate() {
            let mark = if at == 0 { ':' } else { ',' };
            // Writing to a string cannot fail.
            let _ = write!(text, "{mark} {address}: {error}");
        }
        io::Error::new(kind, text)
    }
}

/// Tries addresses in turn.
///
/// # Errors
///
/// That of [`Failures::into_error`]; of the resolver; a cancellation.
#[track_caller]
pub(crate) fn first_of<T>(
    addresses: impl ToAddrs,
    mut attempt: impl FnMut(&SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut failures = Failures::default();
    for address in addresses.to_addrs()? {
        match attempt(&address) {
            Ok(done) => return Ok(done),
            Err(error) => failures.note(address, error)?,
        }
    }
    Err(failures.into_error())
}
