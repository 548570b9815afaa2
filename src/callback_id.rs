//! [`CallbackId`]: what a done callback is removed by.

use std::marker::PhantomData;

use crate::events::next_id;
use crate::instruments::FutureId;

/// Names a done callback, so that it can be removed again. Adding several
/// callbacks under one id is like adding one Python function several times.
///
/// It means something on its own thread only, which it therefore does not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallbackId(u64, PhantomData<*const ()>);

impl CallbackId {
    /// The id of nothing that can be removed.
    pub(crate) const NONE: CallbackId = CallbackId(0, PhantomData);

    /// The id of a task's wakeup: each task is one function.
    pub(crate) fn of(task: FutureId) -> CallbackId {
        CallbackId(task.get(), PhantomData)
    }

    /// A new id, different from all others of this thread.
    #[expect(clippy::new_without_default, reason = "two new ids are never equal")]
    pub fn new() -> CallbackId {
        CallbackId(next_id().get(), PhantomData)
    }
}
