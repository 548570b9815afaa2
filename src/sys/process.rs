//! Child processes, as the kernel shows them: a descriptor for one, its signals, its end.
//!
//! A process descriptor (pidfd, Linux 5.3) becomes readable when the process ends, and
//! never stands for another one that got the same number later. Elsewhere a thread
//! waits instead. The environment variable `STACKIO_PIDFD=none` forces that.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A descriptor of the process, not inherited by others.
///
/// # Errors
///
/// `Unsupported` where there are none; those of the system, which may refuse.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;

    if std::env::var_os("STACKIO_PIDFD").is_some_and(|way| way == "none") {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let flags: libc::c_uint = 0;
    // SAFETY: the call takes two numbers.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, raw(pid)?, flags) };
    match libc::c_int::try_from(opened) {
        // SAFETY: the descriptor is new and nobody else's.
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn pidfd_open(_: u32) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Sends a signal to the process behind a descriptor, whatever its number stands for now.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn pidfd_send_signal(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    use std::ptr;

    let (fd, flags) = (process.as_raw_fd(), 0 as libc::c_uint);
    let info: *const libc::siginfo_t = ptr::null();
    // SAFETY: the descriptor is open while it is borrowed; null has the kernel fill in
    // what `kill` would.
    done(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, info, flags) } == 0)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn pidfd_send_signal(_: BorrowedFd<'_>, _: i32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Sends a signal to the process of that number.
pub(crate) fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = raw(pid)?;
    // SAFETY: the call takes two numbers.
    done(unsafe { libc::kill(pid, signal) } == 0)
}

/// Sends a signal to all processes of the group of that number.
pub(crate) fn kill_group(group: u32, signal: i32) -> io::Result<()> {
    let group = raw(group)?;
    // SAFETY: the call takes two numbers.
    done(unsafe { libc::killpg(group, signal) } == 0)
}

/// Blocks the thread until a child has ended, and leaves it to be waited for.
///
/// # Errors
///
/// Those of the system: it may be no child, or waited for by somebody else already.
pub(crate) fn wait_for_end(pid: u32) -> io::Result<()> {
    loop {
        let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::uninit();
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: `info` is there to be written to.
        let waited = done(unsafe { libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), flags) } == 0);
        match waited {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            ended => return ended,
        }
    }
}

fn done(succeeded: bool) -> io::Result<()> {
    if succeeded { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The number as the system takes it; 0 and below would be whole groups of processes.
fn raw(pid: u32) -> io::Result<libc::pid_t> {
    match libc::pid_t::try_from(pid) {
        Ok(pid @ 1..) => Ok(pid),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
