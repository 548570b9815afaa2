//! How a connection of any sort is made: it begins, its protocol is told, and whoever
//! asked for it waits for that.

use crate::base_events::EventLoop;
use crate::coroutines::check_suspendable;
use crate::exceptions::Result;
use crate::futures::Future;

/// Has `begin` begin a connection, and waits until the future that it is given is done,
/// which is when the protocol knows. One that comes to nothing after it has begun, since
/// it fails or the task is cancelled, is for `abort`. `what` is what the task waits for.
///
/// # Errors
///
/// That of `begin`; why it came to nothing; kind `Runtime` outside of a task.
#[track_caller]
pub(crate) fn make<T>(
    event_loop: &EventLoop,
    what: &'static str,
    begin: impl FnOnce(Future<()>) -> Result<T>,
    abort: impl FnOnce(&T),
) -> Result<T> {
    check_suspendable()?;
    let made = Future::about(what, event_loop.scheduler().clone());
    let begun = begin(made.clone())?;
    match made.join() {
        Ok(()) => Ok(begun),
        Err(error) => {
            abort(&begun);
            Err(error)
        }
    }
}
