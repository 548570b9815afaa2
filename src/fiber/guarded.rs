//! Stacks whose overflows are reported.

#![allow(unsafe_code)]

use std::fmt;

use super::CURRENT;
use crate::stack::{Stack, StackError, overflowed};
use crate::sys::overflow;

/// A stack of so many bytes. Overflows are reported on every thread that has any.
#[inline(always)]
pub(super) fn stack(size: usize) -> Result<Stack, StackError> {
    Stack::allocate(size, || overflow::install(report_overflow))
}

/// Writes whose stack has overflowed, if the fault is in the guard of a coroutine's
/// stack. Called by the signal handler.
fn report_overflow(fault: usize, out: &mut dyn fmt::Write) -> bool {
    let current = CURRENT.get();
    let Some(stack) = overflowed(fault).filter(|_| !current.is_null()) else { return false };
    // SAFETY: the chain holds only fibers that are being resumed, which are alive.
    let fiber = unsafe { &*current };
    let size = stack.len() / 1024;
    let written = (|| {
        write!(out, "\nstackio: stack overflow in ")?;
        // SAFETY: `start` was promised that the owner lives as long as the fiber.
        let owner = fiber.owner.get().map(|owner| unsafe { &*owner.as_ptr() });
        owner.map_or(Ok(()), |owner| owner.describe(out))?;
        write!(out, "\n  its stack is {size} KiB; give it more with ")?;
        write!(out, "`TaskBuilder::stack_size`, `Generator::with_stack_size`,\n  or for all ")?;
        writeln!(out, "tasks of a loop with `Runner::builder().stack_size(..)`")
    })();
    written.is_ok()
}
