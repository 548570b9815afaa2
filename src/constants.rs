//! Limits, water marks and sizes, in one place.

// Stacks (stack/, sys/).

/// Bytes of address space that are mapped at a time for stacks.
pub(crate) const STACK_SLAB_SIZE: usize = 64 * 1024 * 1024;

/// Bytes below a stack that fault. More than a page, since a C function with a
/// large frame touches memory far below; costs address space only. On aarch64 a
/// page may be that large.
pub(crate) const STACK_GUARD_SIZE: usize =
    if cfg!(target_arch = "aarch64") { 64 * 1024 } else { 16 * 1024 };

/// Bytes of the smallest stack.
pub(crate) const STACK_MIN_SIZE: usize = 16 * 1024;

/// Bytes of the largest stack.
pub(crate) const STACK_MAX_SIZE: usize = 1024 * 1024 * 1024;

/// Stacks begin at this many different distances from their page's end, a cache
/// line apart: 20,000 stacks in step switch four times as slowly.
pub(crate) const STACK_COLOURS: usize = 16;

/// Free stacks of each size whose memory is kept however long nobody takes them.
pub(crate) const STACKS_KEPT_WARM: usize = 64;

/// How many stacks give their memory back at a time, before the selector is asked again.
pub(crate) const RELEASE_BATCH: usize = 256;

/// Milliseconds after which what nobody has used gives its memory back, some time between
/// that and twice as long after its last use.
pub(crate) const IDLE_MS: u64 = 400;

/// Bytes of the stack on which a thread's signal handlers run.
pub(crate) const SIGNAL_STACK_SIZE: usize = 64 * 1024;

/// Bytes from which on a signal stack that a thread has already will do: the
/// processor's state alone takes up to 11 KiB.
pub(crate) const SIGNAL_STACK_MIN: usize = 32 * 1024;

/// Memory mappings left to the rest of the process, where guards cost some.
pub(crate) const MAPPINGS_LEFT: usize = 1024;

/// How many steps and callbacks may run before the selector is asked again.
pub(crate) const SELECT_BUDGET: u32 = 64;

/// How long a listener rests when the process has no descriptors left; asyncio's
/// figure.
pub(crate) const ACCEPT_RETRY_DELAY: std::time::Duration = std::time::Duration::from_secs(1);

/// How many connections may wait to be accepted.
pub(crate) const BACKLOG: i32 = 1024;

/// How long a step may take before debug mode reports it; asyncio's figure.
pub(crate) const SLOW_STEP: std::time::Duration = std::time::Duration::from_millis(100);

/// How long a lock may be held before debug mode reports it.
pub(crate) const SLOW_LOCK: std::time::Duration = std::time::Duration::from_secs(1);

/// Buffers of a vectored operation that are looked at: `IOV_MAX`, on every system, to
/// which std keeps as well.
pub(crate) const VECTORED_BUFFERS: usize = 1024;

// Transports.

/// Bytes that may wait to be sent before a protocol is told to pause; asyncio's figure.
pub(crate) const HIGH_WATER: usize = 64 * 1024;

/// Bytes that are read from a socket at a time. The buffer is the loop's: one, however
/// many connections there are.
pub(crate) const READ_SIZE: usize = 64 * 1024;

/// Bytes that a datagram may have, one less: more than UDP has and than a Unix socket has
/// if nobody raised the system's limit; asyncio's figure. The pages that are never written
/// to take no memory.
pub(crate) const DATAGRAM_SIZE: usize = 256 * 1024 + 1;

/// Buffers that are written by one `writev`; the system's limit is 1,024, and more than
/// these seldom wait.
pub(crate) const WRITE_BUFFERS: usize = 64;

/// How long a socket that was closed while its peer may still be sending is read from once
/// the peer has got everything, so that it is not answered by a reset.
pub(crate) const LINGER_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// How many of these times may pass while the peer takes nothing of what is left.
pub(crate) const LINGER_STALLS: u32 = 15;

/// Bytes that are read from it meanwhile at most, without the peer's taking anything.
pub(crate) const LINGER_LIMIT: usize = 64 * 1024 * 1024;

/// Whoever has sent less than that closes without a look at what the peer has got of it:
/// so much is on its way at once.
pub(crate) const LINGER_SENT: usize = 16 * 1024;

// TLS.

/// How long a TLS handshake may take; asyncio's figure.
#[cfg(feature = "tls")]
pub(crate) const SSL_HANDSHAKE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// How long the end of a TLS connection may take; asyncio's figure.
#[cfg(feature = "tls")]
pub(crate) const SSL_SHUTDOWN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Bytes of plaintext from which on an encrypted connection takes no more from its peer,
/// and the most ciphertext that it reads at a time: a record.
#[cfg(feature = "tls")]
pub(crate) const TLS_READ_SIZE: usize = 16 * 1024;

/// Bytes that are encrypted at a time.
#[cfg(feature = "tls")]
pub(crate) const TLS_WRITE_SIZE: usize = 64 * 1024;
