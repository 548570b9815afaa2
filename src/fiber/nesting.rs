//! Calls as deep as data goes, on as many stacks as that takes.

use std::cell::Cell;

use super::stack;
use crate::stack::DEFAULT_STACK_SIZE;

/// How many nested calls share a stack.
const NESTED_CALLS: usize = 32;

/// Calls a function that may call this again and again, as deep as data goes: every
/// so often the next calls get a stack of their own.
pub(crate) fn nested<R>(call: impl FnOnce() -> R) -> R {
    thread_local! {
        static DEPTH: Cell<usize> = const { Cell::new(0) };
    }
    struct Level(usize);
    impl Drop for Level {
        fn drop(&mut self) {
            DEPTH.set(self.0);
        }
    }
    let level = Level(DEPTH.get());
    DEPTH.set(level.0 + 1);
    if level.0 % NESTED_CALLS != NESTED_CALLS - 1 {
        return call();
    }
    on_another_stack(call).unwrap_or_else(|call| call())
}

/// Calls a function on a stack of its own.
///
/// # Errors
///
/// The function back, if there is no stack to be had.
pub(crate) fn on_another_stack<R, F: FnOnce() -> R>(call: F) -> Result<R, F> {
    match stack(DEFAULT_STACK_SIZE) {
        Ok(stack) => Ok(corosensei::on_stack(stack, call)),
        Err(_) => Err(call),
    }
}
