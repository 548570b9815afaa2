//! asyncio's synchronization primitives, for tasks of one loop.
//!
//! They are not for threads, and need not be: a task is interrupted only where it
//! waits. All methods take `&self`; share one by reference or in an `Rc`. Whoever
//! waits does so in line, first come first served, and may be cancelled there
//! without harm to the others: a turn that has been given to it goes to the next.
//!
//! | | |
//! |---|---|
//! | [`Lock`] | one task at a time |
//! | [`Event`] | a flag to wait for |
//! | [`Condition`] | wait, under a lock, until something has changed |
//! | [`Semaphore`], [`BoundedSemaphore`] | so many tasks at a time |
//! | [`Barrier`] | so many tasks at the same point |

mod line;
mod holders;
mod lock;
mod event;
mod condition;
mod semaphore;
mod barrier;

pub use barrier::Barrier;
pub use condition::Condition;
pub use event::Event;
pub use line::LockStatistics;
pub use lock::{Lock, LockGuard};
pub use semaphore::{BoundedSemaphore, Semaphore, SemaphoreGuard};
