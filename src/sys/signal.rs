//! A signal becomes a readable descriptor: the primitive under `signals`.
//!
//! ```text
//! signal -> handler: count += 1, one byte into every pipe   (nothing else is allowed there)
//!                                      |
//!           selector: fd() is readable -> drain(); then each watch: take(), what its count grew by
//! ```
//!
//! The pipe wakes; the count tells. So a full pipe loses nothing, and a byte too
//! many wakes in vain, no more. That holds for a forked process too, which shares
//! the pipes until it executes another program: the counts it adds to are its own.
//!
//! A loop has one [`SignalPipe`] and a [`SignalWatch`] for each signal. What a
//! signal did before its first watch, it does again after the last.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::SavedErrno;
use super::descriptor::set_nonblocking;

/// How often each signal arrived, by its number; more than any Unix has.
static COUNTS: [AtomicU32; 129] = [const { AtomicU32::new(0) }; 129];

fn count_of(signal: libc::c_int) -> Option<&'static AtomicU32> {
    COUNTS.get(usize::try_from(signal).ok()?)
}

/// A place in the list of pipes that the handler writes to. The list only grows,
/// to as many as there ever were at a time, and places are used again.
struct Place {
    /// The pipe's writing end, `FREE` or `CLAIMED`.
    writer: AtomicI32,
    /// Handlers that run now, on any thread, and may use `writer`.
    running: AtomicU32,
    /// Reading it is one atomic load, also while another thread adds a place.
    next: OnceLock<&'static Place>,
}

const FREE: i32 = -1;
const CLAIMED: i32 = -2;

static FIRST: Place = Place::new();

impl Place {
    const fn new() -> Place {
        Place { writer: AtomicI32::new(FREE), running: AtomicU32::new(0), next: OnceLock::new() }
    }

    /// Called in the handler.
    fn wake(&self) {
        self.running.fetch_add(1, SeqCst);
        let writer = self.writer.load(SeqCst);
        if writer >= 0 {
            // SAFETY: the pipe stays open while `running` counts this handler, and
            // write may be called in one. A full pipe wakes as well.
            unsafe { libc::write(writer, [0_u8].as_ptr().cast(), 1) };
        }
        self.running.fetch_sub(1, SeqCst);
    }
}

/// The right to a place; given up when dropped.
struct Claim(&'static Place);

impl Claim {
    fn new() -> Claim {
        let mut place = &FIRST;
        while place.writer.compare_exchange(FREE, CLAIMED, SeqCst, SeqCst).is_err() {
            place = place.next.get_or_init(|| Box::leak(Box::new(Place::new())));
        }
        Claim(place)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Not FREE yet: a new pipe must not come between.
        self.0.writer.store(CLAIMED, SeqCst);
        // A handler on another thread may have read the descriptor just before;
        // it is about to write a byte, and must not find another file there.
        while self.0.running.load(SeqCst) != 0 {
            std::thread::yield_now();
        }
        self.0.writer.store(FREE, SeqCst);
    }
}

/// Becomes readable whenever a signal arrives that anybody watches.
pub(crate) struct SignalPipe {
    // Dropped in this order: no handler writes once the claim is gone.
    _claim: Claim,
    _writer: PipeWriter,
    reader: PipeReader,
}

impl SignalPipe {
    /// # Errors
    ///
    /// If the system has no descriptors left.
    pub(crate) fn new() -> io::Result<SignalPipe> {
        // Both ends are CLOEXEC.
        let (reader, writer) = io::pipe()?;
        // The handler must never block, and neither must the loop.
        set_nonblocking(&reader, true)?;
        set_nonblocking(&writer, true)?;
        let claim = Claim::new();
        claim.0.writer.store(writer.as_raw_fd(), SeqCst);
        Ok(SignalPipe { _claim: claim, _writer: writer, reader })
    }

    /// The descriptor that is readable when a watch may have something to take.
    pub(crate) fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Empties the pipe. Called before the watches are asked: a signal between the
    /// two then leaves a byte that wakes in vain, not a count without a wake-up.
    pub(crate) fn drain(&self) {
        let mut bytes = [0; 64];
        while matches!((&self.reader).read(&mut bytes), Ok(1..)) {}
    }
}

/// What the program had a signal do before it was watched, and by how many it is.
struct Caught {
    former: libc::sigaction,
    watches: usize,
}

/// The signals that are watched. The handler does not look here.
static CAUGHT: Mutex<BTreeMap<libc::c_int, Caught>> = Mutex::new(BTreeMap::new());

fn caught() -> MutexGuard<'static, BTreeMap<libc::c_int, Caught>> {
    CAUGHT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts the signals of one number while it lives, in place of what they did.
pub(crate) struct SignalWatch {
    signal: libc::c_int,
    count: &'static AtomicU32,
    seen: Cell<u32>,
}

impl SignalWatch {
    /// Watches `signal`, as others may at the same time. A handler of the program,
    /// also one that it has installed meanwhile, is replaced.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a signal that does not exist or cannot be handled.
    pub(crate) fn new(signal: libc::c_int) -> io::Result<SignalWatch> {
        let count = count_of(signal).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        let mut caught = caught();
        let seen = Cell::new(count.load(SeqCst));
        let present = action(signal, None)?;
        let installed = is_ours(&present);
        if !installed {
            action(signal, Some(&handled()))?;
        }
        let entry = caught.entry(signal).or_insert(Caught { former: present, watches: 0 });
        if !installed {
            entry.former = present;
        }
        entry.watches += 1;
        Ok(SignalWatch { signal, count, seen })
    }

    /// How many arrived since the last call.
    pub(crate) fn take(&self) -> u32 {
        let count = self.count.load(SeqCst);
        count.wrapping_sub(self.seen.replace(count))
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        let mut caught = caught();
        let Some(entry) = caught.get_mut(&self.signal) else { return };
        entry.watches -= 1;
        if entry.watches > 0 {
            return;
        }
        // A handler that the program has installed meanwhile is its own affair.
        if action(self.signal, None).is_ok_and(|present| is_ours(&present)) {
            let _ = action(self.signal, Some(&entry.former));
        }
        caught.remove(&self.signal);
    }
}

/// Whether the program leaves it to the system what a signal does, apart from the
/// watches here.
pub(crate) fn is_left_to_default(signal: libc::c_int) -> io::Result<bool> {
    let caught = caught();
    let present = action(signal, None)?;
    let former = caught.get(&signal).filter(|_| is_ours(&present)).map(|entry| entry.former);
    Ok(former.unwrap_or(present).sa_sigaction == libc::SIG_DFL)
}

/// Whether the last SIGINT has been taken, as far as anybody wants to know.
static INTERRUPT: AtomicU8 = AtomicU8::new(OFF);
const OFF: u8 = 0;
const TAKEN: u8 = 1;
const UNTAKEN: u8 = 2;

/// While it lives, a SIGINT ends the process that finds the one before it not taken
/// yet: whoever should have taken it hangs. There is one at a time, on the main
/// thread.
pub(crate) struct Escalation(());

impl Escalation {
    pub(crate) fn new() -> Escalation {
        INTERRUPT.store(TAKEN, SeqCst);
        Escalation(())
    }

    pub(crate) fn taken(&self) {
        INTERRUPT.store(TAKEN, SeqCst);
    }
}

impl Drop for Escalation {
    fn drop(&mut self) {
        INTERRUPT.store(OFF, SeqCst);
    }
}

/// Called in the handler.
fn escalate() {
    if INTERRUPT.compare_exchange(TAKEN, UNTAKEN, SeqCst, SeqCst) == Err(UNTAKEN) {
        // SAFETY: zeroed is SIG_DFL; sigaction and raise may be called in a
        // handler. The signal is blocked until the handler returns.
        unsafe {
            let _ = action(libc::SIGINT, Some(&mem::zeroed()));
            libc::raise(libc::SIGINT);
        }
    }
}

fn is_ours(action: &libc::sigaction) -> bool {
    action.sa_sigaction == handled().sa_sigaction
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
    if let Some(count) = count_of(signal) {
        count.fetch_add(1, SeqCst);
    }
    if signal == libc::SIGINT {
        escalate();
    }
    let mut place = Some(&FIRST);
    while let Some(present) = place {
        present.wake();
        place = present.next.get().copied();
    }
}

/// Sets what a signal does, if `new` is given; returns what it did before.
fn action(signal: libc::c_int, new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both structs are valid; what is ever in `new` is `handle`, which keeps
    // to what a handler may do, the default, or what the program had installed.
    unsafe {
        let mut old = mem::zeroed();
        match libc::sigaction(signal, new, &raw mut old) {
            0 => Ok(old),
            _ => Err(io::Error::last_os_error()),
        }
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

// The signals are the process's: each test has one of its own.
#[cfg(test)]
mod tests {
    use super::*;

    fn raise(signal: libc::c_int) {
        // SAFETY: the tests raise signals that they watch.
        unsafe { libc::raise(signal) };
    }

    fn present(signal: libc::c_int) -> usize {
        action(signal, None).unwrap().sa_sigaction
    }

    #[test]
    fn each_watch_takes_what_came_since_it_last_did() {
        let one = SignalWatch::new(libc::SIGUSR1).unwrap();
        raise(libc::SIGUSR1);
        let other = SignalWatch::new(libc::SIGUSR1).unwrap();
        raise(libc::SIGUSR1);
        assert_eq!((one.take(), other.take()), (2, 1));
        assert_eq!((one.take(), other.take()), (0, 0));
    }

    #[test]
    fn a_signal_makes_every_pipe_readable_and_draining_does_not_take() {
        let pipes = [SignalPipe::new().unwrap(), SignalPipe::new().unwrap()];
        let watch = SignalWatch::new(libc::SIGUSR2).unwrap();
        raise(libc::SIGUSR2);
        for pipe in &pipes {
            assert!((&pipe.reader).read(&mut [0]).is_ok_and(|n| n == 1));
            pipe.drain();
        }
        assert_eq!(watch.take(), 1);
    }

    #[test]
    fn the_last_watch_restores_what_was_there() {
        // std ignores SIGPIPE.
        let signal = libc::SIGPIPE;
        let watches = [SignalWatch::new(signal).unwrap(), SignalWatch::new(signal).unwrap()];
        let [one, other] = watches;
        drop(one);
        assert_eq!(present(signal), handled().sa_sigaction);
        drop(other);
        assert_eq!(present(signal), libc::SIG_IGN);
        assert!(!is_left_to_default(signal).unwrap());
    }

    #[test]
    fn a_watch_does_not_count_as_the_programs_own_handler() {
        let _watch = SignalWatch::new(libc::SIGWINCH).unwrap();
        assert!(is_left_to_default(libc::SIGWINCH).unwrap());
    }

    #[test]
    fn what_cannot_be_handled_is_an_error() {
        for signal in [libc::SIGKILL, -1, 0, 1000] {
            assert!(SignalWatch::new(signal).is_err());
        }
    }

    #[test]
    fn a_spawned_thread_is_not_the_main_one() {
        let other = std::thread::spawn(is_main_thread).join().unwrap();
        assert!(!other);
    }
}
