//! Unix sockets: their addresses, and the files that some leave behind.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::SocketAddr as UnixAddr;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::attempt::{connect_socket, open};
use super::binding::{BindOptions, open_datagram, open_listener};
use crate::selector_events::Watched;

/// An address of std's in the form in which sockets of every family take it.
///
/// # Errors
///
/// `InvalidInput` if it has no name.
pub(crate) fn unix_address(address: &UnixAddr) -> io::Result<SockAddr> {
    if let Some(path) = address.as_pathname() {
        return SockAddr::unix(path);
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use std::ffi::OsStr;
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::ffi::OsStrExt;

        if let Some(name) = address.as_abstract_name() {
            return SockAddr::unix(OsStr::from_bytes(&[b"\0", name].concat()));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the address of a Unix socket has no name"))
}

/// A stream socket, connected.
///
/// # Errors
///
/// Those of the system; a cancellation.
#[track_caller]
pub(crate) fn connect_unix(address: &UnixAddr) -> io::Result<Watched<Socket>> {
    connect_socket(open(Domain::UNIX, Type::STREAM, None)?, &unix_address(address)?)
}

/// The file of a bound Unix socket. It is removed when this is dropped, if it is still
/// the same one: somebody else may have bound another in its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> Option<SocketFile> {
        Some(SocketFile { path: path.to_owned(), inode: socket_at(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if socket_at(&self.path) == Some(self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a socket's file");
        }
    }
}

/// Device and inode of the socket there, if one is.
fn socket_at(path: &Path) -> Option<(u64, u64)> {
    let found = fs::symlink_metadata(path).ok()?;
    found.file_type().is_socket().then(|| (found.dev(), found.ino()))
}

/// A stream socket that listens at a Unix address. The file of a socket that is there
/// already is removed first, as asyncio does: whoever ended without removing it would
/// else be in the way. What is not a socket is left alone.
///
/// # Errors
///
/// `AddrInUse` if something else is there; those of the system.
pub(crate) fn open_unix_listener(
    address: &UnixAddr,
    options: &BindOptions,
) -> io::Result<(Socket, Option<SocketFile>)> {
    in_place(address, |address| open_listener(address, options))
}

/// A datagram socket bound to a Unix address; the same is true of its file.
///
/// # Errors
///
/// As [`open_unix_listener`].
pub(crate) fn open_unix_datagram(address: &UnixAddr) -> io::Result<(Socket, Option<SocketFile>)> {
    in_place(address, |address| open_datagram(address, &BindOptions::default()))
}

fn in_place(
    address: &UnixAddr,
    bind: impl FnOnce(&SockAddr) -> io::Result<Socket>,
) -> io::Result<(Socket, Option<SocketFile>)> {
    let path = address.as_pathname();
    if let Some(path) = path.filter(|path| socket_at(path).is_some())
        && let Err(error) = fs::remove_file(path)
    {
        // Binding will fail, and says what the caller wants to know.
        tracing::warn!(path = %path.display(), %error, "cannot remove a stale socket's file");
    }
    let socket = bind(&unix_address(address)?).map_err(|error| match (error.kind(), path) {
        (io::ErrorKind::AddrInUse, Some(path)) => {
            let text = format!("the address {} is already in use", path.display());
            io::Error::new(io::ErrorKind::AddrInUse, text)
        }
        _ => error,
    })?;
    Ok((socket, path.and_then(SocketFile::of)))
}
