//! What differs by platform: pages of memory, faults, signals, descriptors, processes.
//!
//! Everything here talks to the kernel through `libc` and knows nothing of
//! coroutines, tasks or loops. Linux is the platform it is made for and tested
//! on; the other Unixes take the portable branch of each file.
//!
//! - [`limits`]: why the kernel gave no memory.
//! - [`advice`]: advice on many ranges of memory at a time.
//! - [`mapping`]: memory from the kernel, guard pages.
//! - [`slab`]: one mapping for many stacks, and the stack of an address.
//! - [`heap`]: what is free in the allocator goes back to the system.
//! - [`spares`]: memory of what nobody has any more, for the next.
//! - [`cells`]: a look into a cell that does not write to it.
//! - [`fifo`]: a queue that many have.
//! - [`fetch`]: memory that will soon be needed.
//! - [`overflow`]: a stack overflow ends with a report, not a bare SIGSEGV.
//! - [`signal`]: a signal becomes a readable descriptor.
//! - [`accept`]: sockets that are non-blocking from the beginning.
//! - [`peer`]: who is at the other end of a Unix socket.
//! - [`clocks`]: the monotonic clock, and a rough one.
//! - [`descriptor`]: whether operations on a descriptor block, and what they leave.
//! - `process` (the feature of that name): child processes, their signals and ends.

#![allow(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(not(unix))]
compile_error!("stackio maps its own coroutine stacks, which is written for Unix only so far");

pub(crate) mod accept;
pub(crate) mod advice;
pub(crate) mod cells;
pub(crate) mod clocks;
pub(crate) mod descriptor;
pub(crate) mod fetch;
pub(crate) mod fifo;
pub(crate) mod heap;
mod limits;
pub(crate) mod mapping;
pub(crate) mod overflow;
pub(crate) mod peer;
#[cfg(feature = "process")]
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod slab;
pub(crate) mod spares;

/// Puts errno back when dropped: a signal handler may run between a failing
/// system call and the code that asks why it failed.
struct SavedErrno(libc::c_int);

impl SavedErrno {
    fn new() -> SavedErrno {
        // SAFETY: the address of errno is valid for the thread that asks for it.
        SavedErrno(unsafe { *errno() })
    }
}

impl Drop for SavedErrno {
    fn drop(&mut self) {
        // SAFETY: as above; created and dropped by one handler, on one thread.
        unsafe { *errno() = self.0 }
    }
}

/// Where this thread keeps errno; every C library has its own name for it.
fn errno() -> *mut libc::c_int {
    #[cfg(any(target_os = "illumos", target_os = "solaris"))]
    use libc::___errno as location;
    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    use libc::__errno as location;
    #[cfg(any(target_os = "linux", target_os = "dragonfly"))]
    use libc::__errno_location as location;
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    use libc::__error as location;

    // SAFETY: takes nothing, touches nothing, and may be called in a handler.
    unsafe { location() }
}
