//! [`Slot`]: the place where a result is kept.

use std::cell::RefCell;

/// The place where a result is kept.
pub(crate) struct Slot<T>(RefCell<Option<T>>);

impl<T> Slot<T> {
    pub(crate) fn empty() -> Slot<T> {
        Slot(RefCell::new(None))
    }

    pub(crate) fn put(&self, value: T) {
        let former = self.0.replace(Some(value));
        drop(former);
    }

    pub(crate) fn take(&self) -> Option<T> {
        // A `Clone` of the value may be under way further up the stack.
        self.0.try_borrow_mut().ok()?.take()
    }

    pub(crate) fn get(&self) -> Option<T>
    where
        T: Clone,
    {
        self.0.borrow().clone()
    }
}
