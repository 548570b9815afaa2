//! A look into a cell that does not write to it.
//!
//! What a task's step takes out of its cells is mostly not there, and a step's time is
//! that of its stores.

use std::cell::Cell;
use std::rc::Rc;

/// A handle, or none. To look at it and to clone it runs nobody's code.
pub(crate) trait Handle: Clone + Default {
    fn is_none(&self) -> bool;
}

impl<T: ?Sized> Handle for Option<Rc<T>> {
    #[inline(always)]
    fn is_none(&self) -> bool {
        self.is_none()
    }
}

/// Whether there is none.
#[inline(always)]
fn is_none<T: Handle>(cell: &Cell<T>) -> bool {
    // SAFETY: the cell is of this thread, where nobody else's code runs meanwhile.
    unsafe { (*cell.as_ptr()).is_none() }
}

/// Another handle to what is there.
#[inline(always)]
pub(crate) fn share<T: Handle>(cell: &Cell<T>) -> T {
    // SAFETY: as in `is_none`.
    unsafe { (*cell.as_ptr()).clone() }
}

/// Takes what is there.
#[inline(always)]
pub(crate) fn take<T: Handle>(cell: &Cell<T>) -> T {
    if is_none(cell) { T::default() } else { cell.take() }
}
