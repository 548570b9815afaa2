//! Whom to tell what nobody asked for: the subscriber of `tracing`, or standard error.

use std::io::{self, Write};

use tracing::dispatcher::{self, Dispatch};
use tracing::subscriber::NoSubscriber;

use crate::exceptions::Error;

/// Tells of an error where no loop can be asked.
pub(crate) fn notice(text: &str, error: &Error) {
    if is_heard() {
        tracing::warn!(exception = %error, "{text}");
    } else {
        say(&format!("stackio: {text}: {error}\n"));
    }
}

/// Writes on standard error, at once. Where that is closed or full nobody can be told,
/// which is no reason to panic: that would end the loop.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Whether anybody on this thread listens to `tracing`. Having been set somewhere is
/// not enough: a subscriber of another thread hears nothing of this one.
pub(crate) fn is_heard() -> bool {
    let nobody = |dispatch: &Dispatch| dispatch.is::<NoSubscriber>();
    dispatcher::has_been_set() && !dispatcher::get_default(nobody)
}
