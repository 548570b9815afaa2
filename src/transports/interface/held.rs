//! A protocol that is called by one at a time.

use std::cell::RefCell;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::without_suspending;
use crate::reports::catch_panic;

/// A protocol and what is to happen when it has returned. One call at a time.
pub(crate) struct Held<P: ?Sized> {
    after: RefCell<Vec<Box<dyn FnOnce()>>>,
    protocol: RefCell<P>,
}

impl<P> Held<P> {
    pub(crate) fn new(protocol: P) -> Held<P> {
        Held { after: RefCell::default(), protocol: RefCell::new(protocol) }
    }

    pub(crate) fn into_inner(self) -> P {
        self.protocol.into_inner()
    }
}

impl<P: ?Sized> Held<P> {
    /// Calls the protocol; a panic is an error. `None` if it is being called already.
    #[inline]
    pub(crate) fn call<T>(&self, call: impl FnOnce(&mut P) -> Result<T>) -> Option<Result<T>> {
        let mut protocol = self.protocol.try_borrow_mut().ok()?;
        let called = catch_panic("a protocol", || without_suspending(|| call(&mut protocol)));
        drop(protocol);
        if !self.after.borrow().is_empty() {
            self.catch_up();
        }
        Some(called)
    }

    /// Has something done once the present call has returned.
    pub(crate) fn after(&self, what: impl FnOnce() + 'static) {
        self.after.borrow_mut().push(Box::new(what));
    }

    #[cold]
    fn catch_up(&self) {
        for what in self.after.take() {
            what();
        }
    }
}

/// What is said to whoever calls a protocol from within one of its own callbacks.
#[cold]
pub(crate) fn busy() -> Error {
    Error::text(ErrorKind::Runtime, "the protocol is running: it cannot be called from within")
}
