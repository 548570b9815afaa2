//! What a panic leaves behind: a value of the user's, whose destructor may panic as well.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// Drops a value of the user's; true if its destructor has panicked, which ends here.
pub(crate) fn drop_caught<V>(value: V) -> bool {
    // What is caught is the user's again, and so is not dropped.
    catch_unwind(AssertUnwindSafe(|| drop(value))).map_err(mem::forget).is_err()
}

/// The payload of a panic, until somebody takes it. An error is dropped in the middle of
/// much, so that the payload's destructor must not tear that in two.
pub(crate) struct PanicPayload(Mutex<Option<Box<dyn Any + Send>>>);

impl PanicPayload {
    pub(crate) fn new(payload: Box<dyn Any + Send>) -> PanicPayload {
        PanicPayload(Mutex::new(Some(payload)))
    }

    pub(crate) fn take(&self) -> Option<Box<dyn Any + Send>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for PanicPayload {
    fn drop(&mut self) {
        drop_caught(self.take());
    }
}
