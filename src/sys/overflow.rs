//! A stack overflow ends with a report, not with a bare SIGSEGV.
//!
//! ```text
//! a push below the stack -> the guard faults -> SIGSEGV, on the signal stack
//!     `report` knows the address -> its words to standard error, abort
//!     it does not                -> the handler that was there before: std's,
//!                                   for the thread's own stack; or the default
//! ```
//!
//! A coroutine that overflows has no stack left to run a handler on, so each
//! thread gets a signal stack. [`handle`] and all it calls run inside a signal
//! handler: they allocate nothing, lock nothing and free nothing.

use std::cell::OnceCell;
use std::fmt::{self, Write};
use std::mem::{self, ManuallyDrop};
use std::ptr;
use std::sync::{Once, OnceLock};

use super::SavedErrno;
use super::mapping::{Mapping, page_size, round_to_pages};
use crate::constants::{SIGNAL_STACK_MIN, SIGNAL_STACK_SIZE};

/// Says what is known about a fault at that address, and whether it is ours.
///
/// It runs inside a signal handler: no allocation, no lock, no thread-local
/// that has a destructor. It writes nothing where it returns false.
pub(crate) type Report = fn(fault: usize, out: &mut dyn Write) -> bool;

const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

static REPORT: OnceLock<Report> = OnceLock::new();
static PREVIOUS: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// Has overflows reported from now on: in the process, by the first `report`
/// given, and on this thread, which gets a signal stack. Cheap to call again.
///
/// Where the kernel refuses the signal stack, an overflow is a bare SIGSEGV.
pub(crate) fn install(report: Report) {
    static HANDLERS: Once = Once::new();
    HANDLERS.call_once(|| {
        REPORT.get_or_init(|| report);
        // Before the handlers, which need it.
        PREVIOUS.get_or_init(|| SIGNALS.map(|signal| action(signal, None)));
        for signal in SIGNALS {
            action(signal, Some(&our_action()));
        }
    });
    thread_local! {
        static SIGNAL_STACK: OnceCell<Option<SignalStack>> = const { OnceCell::new() };
    }
    // A thread about to end keeps what it has.
    let _ = SIGNAL_STACK.try_with(|stack| {
        stack.get_or_init(SignalStack::install);
    });
}

fn our_action() -> libc::sigaction {
    // SAFETY: all zeros is a valid sigaction: default, nothing masked, no flags.
    let mut ours: libc::sigaction = unsafe { mem::zeroed() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    ours.sa_sigaction = handler as usize;
    ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    ours
}

/// Sets what a signal does, if `new` is given; returns what it did before.
fn action(signal: libc::c_int, new: Option<&libc::sigaction>) -> libc::sigaction {
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both structs are ours and valid. A handler in `new` is `handle`,
    // which keeps to what a handler may do, or was installed before us.
    unsafe {
        let mut old = mem::zeroed();
        libc::sigaction(signal, new, &raw mut old);
        old
    }
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let _errno = SavedErrno::new();
    // SAFETY: the kernel hands a SA_SIGINFO handler a valid siginfo.
    let (code, fault) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    // Only a fault has an address: kill(2) and its like have codes up to 0.
    let is_fault = code > 0;
    if is_fault && let Some(report) = REPORT.get() {
        let mut out = StandardError::new();
        if report(fault, &mut out) {
            out.flush();
            abort();
        }
    }
    let Some(previous) = previous(signal) else {
        return;
    };
    match previous.sa_sigaction {
        libc::SIG_IGN if !is_fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // Returning runs the faulting instruction again, and this time the
            // process dies of it. A signal that was sent has to be sent again.
            action(signal, Some(previous));
            if !is_fault {
                // SAFETY: raise may be called in a handler.
                unsafe { libc::raise(signal) };
            }
        }
        handler => {
            // SAFETY: the handler was installed for this signal, in the form
            // that its flags say, and gets what the kernel gave us.
            unsafe {
                if previous.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: extern "C" fn(_, _, _) =
                        mem::transmute::<usize, extern "C" fn(_, *mut _, *mut _)>(handler);
                    handler(signal, info, context);
                } else {
                    let handler = mem::transmute::<usize, extern "C" fn(libc::c_int)>(handler);
                    handler(signal);
                }
            }
        }
    }
}

fn previous(signal: libc::c_int) -> Option<&'static libc::sigaction> {
    let index = SIGNALS.iter().position(|&ours| ours == signal)?;
    Some(&PREVIOUS.get()?[index])
}

/// Dies by SIGABRT whatever handler a library has for it: there is no going
/// on, and no stack to run destructors on.
fn abort() -> ! {
    // SAFETY: zeroed is SIG_DFL; sigaction and abort may be called in a handler.
    unsafe {
        action(libc::SIGABRT, Some(&mem::zeroed()));
        libc::abort()
    }
}

/// Standard error without std's lock and allocations. Small, since it may lie
/// on a signal stack of 8 KiB; it writes itself out whenever it is full.
struct StandardError {
    buffer: [u8; 512],
    len: usize,
}

impl StandardError {
    fn new() -> StandardError {
        StandardError { buffer: [0; 512], len: 0 }
    }

    fn flush(&mut self) {
        let mut rest = &self.buffer[..self.len];
        while !rest.is_empty() {
            // SAFETY: the bytes are ours; write may be called in a handler.
            let done = unsafe { libc::write(2, rest.as_ptr().cast(), rest.len()) };
            // Nobody to tell about a failure.
            let Some(done @ 1..) = usize::try_from(done).ok() else {
                break;
            };
            rest = &rest[done..];
        }
        self.len = 0;
    }
}

impl Write for StandardError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.len == self.buffer.len() {
                self.flush();
            }
            self.buffer[self.len] = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// The stack that this thread's handlers run on, with a guard of its own.
struct SignalStack {
    mapping: ManuallyDrop<Mapping>,
}

impl SignalStack {
    /// `None` where the thread has a good one already, or the kernel refuses.
    fn install() -> Option<SignalStack> {
        let present = signal_stack(None);
        if present.ss_flags & libc::SS_DISABLE == 0 && present.ss_size >= SIGNAL_STACK_MIN {
            return None;
        }
        let guard = page_size();
        let size = round_to_pages(SIGNAL_STACK_SIZE)?;
        let mut mapping = Mapping::new(guard + size).ok()?;
        let start = mapping.range().start;
        // SAFETY: the mapping is new, nothing lies in it.
        unsafe { mapping.guard(start..start + guard) }.ok()?;
        signal_stack(Some(&libc::stack_t {
            ss_sp: (start + guard) as *mut _,
            ss_flags: 0,
            ss_size: size,
        }));
        Some(SignalStack { mapping: ManuallyDrop::new(mapping) })
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let mut present = signal_stack(None);
        let off = present.ss_flags & libc::SS_DISABLE != 0;
        let ours = self.mapping.range().contains(&(present.ss_sp as usize));
        if ours && !off {
            present.ss_flags = libc::SS_DISABLE;
            signal_stack(Some(&present));
        }
        // Off also when std did it, as it does at the end of its threads. But
        // whoever put another stack in place of ours may mean to put it back.
        if ours || off {
            // SAFETY: dropped once, here, and no handler can run on it any more.
            unsafe { ManuallyDrop::drop(&mut self.mapping) }
        }
    }
}

/// Sets this thread's signal stack, if `new` is given; returns the one before.
fn signal_stack(new: Option<&libc::stack_t>) -> libc::stack_t {
    let new = new.map_or(ptr::null(), ptr::from_ref);
    // SAFETY: both structs are ours; a new stack is memory that `SignalStack`
    // keeps until it has turned it off.
    unsafe {
        let mut old = mem::zeroed();
        libc::sigaltstack(new, &raw mut old);
        old
    }
}
