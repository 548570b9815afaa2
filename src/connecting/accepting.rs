//! Why nothing can be accepted, as far as a listener has to know.

use std::cell::Cell;
use std::io;

use crate::base_events::get_running_loop;
use crate::clock::Instant;
use crate::constants::ACCEPT_RETRY_DELAY;
use crate::reports::{ExceptionContext, ExceptionSource};

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

/// When the running loop has last told of a shortage.
#[derive(Default)]
struct LastTold(Cell<Option<Instant>>);

/// Tells the running loop's exception handler of a shortage: once in the time of a rest,
/// however many listeners meet it and however often they try. Outside of a loop there is
/// nobody to tell.
pub(crate) fn report_shortage(error: io::Error) {
    let Ok(event_loop) = get_running_loop() else { return };
    let last = event_loop.service(LastTold::default);
    let now = event_loop.time();
    if last.0.get().is_some_and(|last| now < last + ACCEPT_RETRY_DELAY) {
        return;
    }
    last.0.set(Some(now));
    let text = "accept is out of system resources; it tries again in a second";
    let context = ExceptionContext::new(ExceptionSource::Loop, text);
    event_loop.call_exception_handler(&context.with_exception(error.into()));
}
