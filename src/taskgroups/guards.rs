//! What holds whatever panics: no child outlives its group.

use std::rc::Rc;

use super::Inner;
use crate::future_core::AnyFuture;

/// A child on its way into the group. If something panics meanwhile it is there already,
/// and might outlive what it borrows: then it ends here, and all the others with it.
pub(super) struct Starting<'a> {
    pub(super) group: &'a Inner,
    pub(super) child: Option<Rc<dyn AnyFuture>>,
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            self.group.enter(child);
            self.group.end_children();
        }
    }
}

/// However the scope is left: no child is.
pub(super) struct NoChildLeft<'a>(pub(super) &'a Inner);

impl Drop for NoChildLeft<'_> {
    fn drop(&mut self) {
        self.0.end_children();
    }
}

/// Ends the process if something panics while children are ended.
pub(super) struct AbortOnUnwind;

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::Starting;
    use crate::{ErrorKind, TaskGroup, secs, sleep, spawn};

    #[test]
    fn a_child_that_is_not_quite_in_ends_on_the_spot() {
        let ended = crate::run(|| {
            TaskGroup::new().scope(|group| {
                let task = spawn(|| sleep(secs(60)));
                drop(Starting { group: &group.0, child: Some(task.erase().0) });
                assert!(task.cancelled());
                Ok(())
            })
        });
        // The block went well, and its child did not.
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Runtime);
    }
}
