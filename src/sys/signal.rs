//! A signal becomes a readable descriptor: the primitive under Ctrl-C.
//!
//! ```text
//! signal -> handler: count += 1, one byte into the pipe   (nothing else is allowed there)
//!                                      |
//!           selector: fd() is readable -> take(): empty the pipe, count -> 0
//! ```
//!
//! The pipe wakes; the count tells. So a full pipe loses nothing, and a byte too
//! many wakes in vain, no more.
//!
//! For SIGINT a second one interrupts: if the first has not been taken yet, the
//! loop hangs in a task that computes, and the process dies as it would have
//! without a handler.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

use super::SavedErrno;

/// What the handler of a signal works on; one per signal, for ever.
struct Slot {
    /// The pipe's writing end, `FREE` or `CLAIMED`.
    pipe: AtomicI32,
    /// Signals since the last [`SignalWatch::take`].
    count: AtomicU32,
    /// Handlers that run now, on any thread, and may use `pipe`.
    running: AtomicU32,
}

const FREE: i32 = -1;
const CLAIMED: i32 = -2;

/// By number of the signal; more than any Unix has.
static SLOTS: [Slot; 129] = [const {
    Slot { pipe: AtomicI32::new(FREE), count: AtomicU32::new(0), running: AtomicU32::new(0) }
}; 129];

/// Counts the signals of one number while it lives, in place of what they do
/// by default.
pub(crate) struct SignalWatch {
    signal: libc::c_int,
    // Dropped in this order: no handler writes once the claim is gone.
    claim: Claim,
    _writer: PipeWriter,
    reader: PipeReader,
}

impl SignalWatch {
    /// Watches `signal`; `None` if the program handles or ignores it already,
    /// or another watch of it lives.
    ///
    /// # Errors
    ///
    /// For a signal that cannot be handled, or where there is no pipe to be had.
    pub(crate) fn if_default(signal: libc::c_int) -> io::Result<Option<SignalWatch>> {
        let slot = usize::try_from(signal).ok().and_then(|index| SLOTS.get(index));
        let slot = slot.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        if slot.pipe.compare_exchange(FREE, CLAIMED, SeqCst, SeqCst).is_err() {
            return Ok(None);
        }
        let claim = Claim(slot);
        if action(signal, None)?.sa_sigaction != libc::SIG_DFL {
            return Ok(None);
        }
        // Both ends are CLOEXEC.
        let (reader, writer) = io::pipe()?;
        set_nonblocking(&reader)?;
        set_nonblocking(&writer)?;
        slot.count.store(0, SeqCst);
        slot.pipe.store(writer.as_raw_fd(), SeqCst);
        let watch = SignalWatch { signal, claim, _writer: writer, reader };
        action(signal, Some(&handled()))?;
        Ok(Some(watch))
    }

    /// The descriptor that is readable when there is something to take.
    pub(crate) fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// How many signals arrived since the last call. Never blocks.
    pub(crate) fn take(&self) -> u32 {
        // The pipe first: a signal between the two then leaves a byte that wakes
        // in vain, not a count without a wake-up.
        let mut bytes = [0; 64];
        while matches!((&self.reader).read(&mut bytes), Ok(1..)) {}
        self.claim.0.count.swap(0, SeqCst)
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        // A handler that the program has installed meanwhile is its own affair.
        let ours = handled().sa_sigaction;
        if action(self.signal, None).is_ok_and(|present| present.sa_sigaction == ours) {
            // SAFETY: zeroed is SIG_DFL, no flags, nothing masked.
            let _ = action(self.signal, Some(&unsafe { mem::zeroed() }));
        }
    }
}

/// The right to a slot; given up when dropped.
struct Claim(&'static Slot);

impl Drop for Claim {
    fn drop(&mut self) {
        // Not FREE yet: a new watch must not come between.
        self.0.pipe.store(CLAIMED, SeqCst);
        // A handler on another thread may have read the descriptor just before;
        // it is about to write a byte, and must not find another file there.
        while self.0.running.load(SeqCst) != 0 {
            std::thread::yield_now();
        }
        self.0.pipe.store(FREE, SeqCst);
    }
}

fn handled() -> libc::sigaction {
    // SAFETY: all zeros is a valid sigaction.
    let mut ours: libc::sigaction = unsafe { mem::zeroed() };
    let handler: extern "C" fn(libc::c_int) = handle;
    ours.sa_sigaction = handler as usize;
    // On the signal stack: a coroutine's may be too small for a handler. And
    // other threads' blocking calls go on where they were.
    ours.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
    ours
}

extern "C" fn handle(signal: libc::c_int) {
    let _errno = SavedErrno::new();
    let slot = &SLOTS[signal as usize];
    slot.running.fetch_add(1, SeqCst);
    let pipe = slot.pipe.load(SeqCst);
    if pipe >= 0 {
        let untaken = slot.count.fetch_add(1, SeqCst) > 0;
        if untaken && signal == libc::SIGINT {
            // SAFETY: zeroed is SIG_DFL; sigaction and raise may be called in a
            // handler. The signal is blocked until the handler returns.
            unsafe {
                let _ = action(signal, Some(&mem::zeroed()));
                libc::raise(signal);
            }
        }
        // SAFETY: the pipe stays open while `running` counts this handler, and
        // write may be called in one. A full pipe wakes as well.
        unsafe { libc::write(pipe, [0_u8].as_ptr().cast(), 1) };
    }
    slot.running.fetch_sub(1, SeqCst);
}

/// Sets what a signal does, if `new` is given; returns what it did before.
fn action(signal: libc::c_int, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both structs are ours and valid; the only handler ever in `new` is
    // `handle`, which keeps to what a handler may do.
    unsafe {
        let mut old = mem::zeroed();
        match libc::sigaction(signal, new, &raw mut old) {
            0 => Ok(old),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The handler must never block, and neither must the loop.
fn set_nonblocking(pipe: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `pipe` is borrowed.
    let done = unsafe {
        let flags = libc::fcntl(pipe.as_raw_fd(), libc::F_GETFL);
        libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)
    };
    match done {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Whether this is the thread that `main` runs on; false where nobody knows.
pub(crate) fn is_main_thread() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    // SAFETY: both only return a number.
    return unsafe { libc::getpid() == libc::gettid() };
    #[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "openbsd"))]
    // SAFETY: only returns a number.
    return unsafe { libc::pthread_main_np() == 1 };
    #[cfg(not(any(
        target_os = "linux",
        target_os = "android",
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "openbsd"
    )))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raise(signal: libc::c_int) {
        // SAFETY: the tests raise signals that they watch.
        unsafe { libc::raise(signal) };
    }

    #[test]
    fn signals_are_counted_and_taken() {
        let watch = SignalWatch::if_default(libc::SIGUSR1).unwrap().unwrap();
        assert_eq!(watch.take(), 0);
        raise(libc::SIGUSR1);
        raise(libc::SIGUSR1);
        assert_eq!(watch.take(), 2);
        assert_eq!(watch.take(), 0);
    }

    #[test]
    fn one_watch_at_a_time_and_never_over_a_handler() {
        let signal = libc::SIGUSR2;
        let watch = SignalWatch::if_default(signal).unwrap();
        assert!(watch.is_some());
        assert!(SignalWatch::if_default(signal).unwrap().is_none());
        drop(watch);
        assert_eq!(action(signal, None).unwrap().sa_sigaction, libc::SIG_DFL);
        let again = SignalWatch::if_default(signal).unwrap().unwrap();
        raise(signal);
        assert_eq!(again.take(), 1);
        // std ignores SIGPIPE.
        assert!(SignalWatch::if_default(libc::SIGPIPE).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_handled_is_an_error() {
        assert!(SignalWatch::if_default(libc::SIGKILL).is_err());
        assert!(SignalWatch::if_default(-1).is_err());
        assert!(SignalWatch::if_default(1000).is_err());
    }

    #[test]
    fn a_spawned_thread_is_not_the_main_one() {
        let other = std::thread::spawn(is_main_thread).join().unwrap();
        assert!(!other);
    }
}
