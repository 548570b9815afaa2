//! Why nothing can be accepted, as far as a listener has to know.

use std::io;

/// What is reported when descriptors or memory are wanting.
pub(crate) const SHORTAGE: &str = "accept is out of system resources; it tries again in a second";

/// Whether descriptors or memory are wanting, which may come back.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Whether it will come again at each attempt: somebody who has the socket as well has
/// shut it down, for instance. Others are those of a connection that was gone before it
/// was accepted, as Linux reports errors of the network (accept(2)).
pub(crate) fn is_of_the_listener(error: &io::Error) -> bool {
    let codes = [libc::EINVAL, libc::EBADF, libc::ENOTSOCK];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}
