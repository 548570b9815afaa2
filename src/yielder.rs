//! The inside of a generator: [`Yielder`], and what it shares with the outside.
//!
//! A body suspends itself with [`Yielder::yield_`]. The value goes out and the
//! message comes in through cells that yielder and generator share; the switch
//! itself carries nothing.

#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::rc::Rc;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::{Fiber, Owner, Refusal};

/// Where a generator stands (Python's `inspect.getgeneratorstate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorState {
    /// Not started yet.
    Created,
    /// Executing, or waiting for something that it called itself.
    Running,
    /// Waiting at a yield.
    Suspended,
    /// Ended.
    Closed,
}

/// What a resumption brings into the body.
pub(crate) enum Message<S> {
    /// `explicit` tells a value given to `send` from the nothing that `next` sends.
    Send {
        value: S,
        explicit: bool,
    },
    Throw(Error),
}

/// What generator and yielder share.
pub(crate) struct Core<S, Y> {
    pub(crate) fiber: Fiber,
    pub(crate) name: Rc<str>,
    pub(crate) created_at: &'static Location<'static>,
    pub(crate) state: Cell<GeneratorState>,
    pub(crate) message: Cell<Option<Message<S>>>,
    pub(crate) yielded: Cell<Option<Y>>,
    pub(crate) suspended_at: Cell<Option<&'static Location<'static>>>,
    pub(crate) delegate: RefCell<Option<Delegate>>,
}

impl<S, Y> Owner for Core<S, Y> {
    fn describe(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "the generator `{}`, created at {}", self.name, self.created_at)
    }
}

/// The generator's end of the line: its body gets one, usually called `co`.
///
/// It works only in the body it was made for, at any depth of calls, while that
/// body is the innermost coroutine that runs. A clone that is carried elsewhere
/// gives an error there.
pub struct Yielder<S: 'static, Y: 'static> {
    pub(crate) core: Rc<Core<S, Y>>,
}

impl<S: 'static, Y: 'static> Clone for Yielder<S, Y> {
    fn clone(&self) -> Self {
        Yielder { core: self.core.clone() }
    }
}

impl<S, Y> fmt::Debug for Yielder<S, Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").field("generator", &self.core.name).finish()
    }
}

impl<S: 'static, Y: 'static> Yielder<S, Y> {
    /// Suspends the generator and gives `value` to whoever resumed it; gives back
    /// what is sent in next.
    ///
    /// # Errors
    ///
    /// The error thrown in. Kind `Runtime` if this is not the innermost running
    /// coroutine, or if the thread is unwinding from a panic.
    #[track_caller]
    pub fn yield_(&self, value: Y) -> Result<S> {
        match self.exchange(value, Location::caller())? {
            Message::Send { value, .. } => Ok(value),
            Message::Throw(error) => Err(error),
        }
    }

    pub(crate) fn exchange_for(
        &self,
        delegate: Delegate,
        value: Y,
        at: &'static Location<'static>,
    ) -> Result<Message<S>> {
        *self.core.delegate.borrow_mut() = Some(delegate);
        let message = self.exchange(value, at);
        *self.core.delegate.borrow_mut() = None;
        message
    }

    fn exchange(&self, value: Y, at: &'static Location<'static>) -> Result<Message<S>> {
        let core = &*self.core;
        core.may_yield()?;
        core.yielded.set(Some(value));
        core.suspended_at.set(Some(at));
        // SAFETY: `may_yield` found this fiber to be the innermost running one.
        unsafe { core.fiber.suspend() };
        core.suspended_at.set(None);
        match core.message.take() {
            Some(message) => Ok(message),
            None => Err(Error::text(ErrorKind::Runtime, "generator resumed without a message")),
        }
    }
}

impl<S, Y> Core<S, Y> {
    fn may_yield(&self) -> Result {
        if !self.fiber.is_innermost() {
            let text = format!(
                "`co` of the generator `{}` is used outside of its body: \
                 it is not the innermost running coroutine",
                self.name
            );
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        match self.fiber.refusal() {
            None => Ok(()),
            Some(Refusal::Ending) => Err(Error::from(ErrorKind::GeneratorExit)),
            Some(Refusal::Forbidden) => {
                let text = "cannot yield in code that must not wait: an instrument, an exception handler, a comparison";
                Err(Error::text(ErrorKind::Runtime, text))
            }
            Some(Refusal::Unwinding) => {
                let text = "cannot yield while the thread is unwinding from a panic";
                Err(Error::text(ErrorKind::Runtime, text))
            }
        }
    }
}

/// What a suspended `yield_from` passes everything on to.
#[derive(Clone)]
pub struct Delegate(Option<Rc<dyn Suspended>>);

/// What can be asked of a suspended generator whose types are not known.
trait Suspended {
    fn title(&self) -> &str;
    fn place(&self) -> Option<&'static Location<'static>>;
    fn delegate(&self) -> Option<Delegate>;
}

impl<S, Y> Suspended for Core<S, Y> {
    fn title(&self) -> &str {
        &self.name
    }

    fn place(&self) -> Option<&'static Location<'static>> {
        self.suspended_at.get()
    }

    fn delegate(&self) -> Option<Delegate> {
        self.delegate.borrow().clone()
    }
}

impl Delegate {
    pub(crate) fn generator<S: 'static, Y: 'static>(core: Rc<Core<S, Y>>) -> Delegate {
        Delegate(Some(core))
    }

    pub(crate) fn iterator() -> Delegate {
        Delegate(None)
    }

    /// Whether it is an iterator and not a generator.
    pub fn is_iterator(&self) -> bool {
        self.0.is_none()
    }

    /// The generator's name.
    pub fn name(&self) -> Option<String> {
        self.0.as_ref().map(|generator| generator.title().to_owned())
    }

    /// The place in the source at which that generator is suspended.
    pub fn suspended_at(&self) -> Option<&'static Location<'static>> {
        self.0.as_ref().and_then(|generator| generator.place())
    }

    /// What that generator is delegating to in turn.
    pub fn yielding_from(&self) -> Option<Delegate> {
        self.0.as_ref().and_then(|generator| generator.delegate())
    }
}

impl fmt::Debug for Delegate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Delegate").field(&self.name()).finish()
    }
}
