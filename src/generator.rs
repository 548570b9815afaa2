//! [`Generator`]: Python's generators on stacks of their own.
//!
//! ```text
//!        caller                         generator
//!   g.send(value)?   ---- value ---->   let sent = co.yield_(..)?;
//!   Yielded(y)       <----  y  ------   co.yield_(y)
//!   g.throw(error)?  ---- error --->    Err(error) comes out of co.yield_(..)
//!   Returned(r)      <----  r  ------   Ok(r)
//! ```
//!
//! A body is an ordinary function that gets a [`Yielder`], by custom `co`, and may
//! call it from any depth, for its frames live on a stack of their own. The rules
//! are those of PEP 342 and 380, with the same errors.

#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::rc::Rc;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::fiber::Fiber;
use crate::notices::notice;
use crate::panics::drop_caught;
use crate::stack::DEFAULT_STACK_SIZE;
use crate::yielder::{Core, Delegate, GeneratorState, Message, Yielder};

/// What a generator gave back when it was resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed<Y, R> {
    /// It yielded a value and waits to be resumed.
    Yielded(Y),
    /// It returned; it is closed now.
    Returned(R),
}

type Body<S, Y, R> = Box<dyn FnOnce(&Yielder<S, Y>) -> Result<R>>;
type Outcome<R> = Result<Result<R>, Box<dyn Any + Send>>;

/// A function that can be left in the middle, by `yield_`, and entered again.
///
/// `S` is what is sent in, `Y` what is yielded, `R` what is returned. All methods
/// take `&self`, so that a generator can be shared by an [`Rc`] and the misuse
/// that sharing permits is the error it is in Python. Dropping a suspended
/// generator ends its body: `co.yield_` gives an error of kind
/// [`GeneratorExit`](ErrorKind::GeneratorExit), each time, and destructors run. If it
/// ends with another error, that is a warning by `tracing`, or a line on standard error
/// if nothing listens to those.
///
/// ```
/// use stackio::{Generator, Resumed};
///
/// let greeter = Generator::new(|co| {
///     let name: String = co.yield_("who are you?")?;
///     Ok(format!("hello, {name}"))
/// });
/// assert_eq!(greeter.start()?, Resumed::Yielded("who are you?"));
/// assert_eq!(greeter.send("Ada".into())?, Resumed::Returned("hello, Ada".into()));
///
/// let countdown: Generator<(), i32, ()> = Generator::new(|co| {
///     for n in (1..=3).rev() {
///         co.yield_(n)?;
///     }
///     Ok(())
/// });
/// for n in &countdown {
///     println!("{}", n?);
/// }
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Generator<S: 'static, Y: 'static, R: 'static> {
    pub(crate) core: Rc<Core<S, Y>>,
    ends: Rc<Ends<S, Y, R>>,
    stack_size: usize,
}

/// What the coroutine begins and ends with: taken by it, and left by it.
struct Ends<S: 'static, Y: 'static, R> {
    body: Cell<Option<Body<S, Y, R>>>,
    outcome: Cell<Option<Outcome<R>>>,
}

impl<S: 'static, Y: 'static, R: 'static> Generator<S, Y, R> {
    /// A generator that will run `body`, with the default stack size.
    ///
    /// In messages it is called by the name of the type of `body`.
    #[track_caller]
    pub fn new<F>(body: F) -> Self
    where
        F: FnOnce(&Yielder<S, Y>) -> Result<R> + 'static,
    {
        Self::build(std::any::type_name::<F>(), DEFAULT_STACK_SIZE, Box::new(body))
    }

    /// The same, with a name.
    #[track_caller]
    pub fn named(name: &str, body: impl FnOnce(&Yielder<S, Y>) -> Result<R> + 'static) -> Self {
        Self::build(name, DEFAULT_STACK_SIZE, Box::new(body))
    }

    /// The same, with a stack of at least that many bytes.
    #[track_caller]
    pub fn with_stack_size<F>(bytes: usize, body: F) -> Self
    where
        F: FnOnce(&Yielder<S, Y>) -> Result<R> + 'static,
    {
        Self::build(std::any::type_name::<F>(), bytes, Box::new(body))
    }

    #[track_caller]
    fn build(name: &str, stack_size: usize, body: Body<S, Y, R>) -> Self {
        let core = Core {
            fiber: Fiber::new(),
            name: name.into(),
            created_at: Location::caller(),
            state: Cell::new(GeneratorState::Created),
            message: Cell::new(None),
            yielded: Cell::new(None),
            suspended_at: Cell::new(None),
            delegate: RefCell::new(None),
        };
        let ends = Ends { body: Cell::new(Some(body)), outcome: Cell::new(None) };
        Generator { core: Rc::new(core), ends: Rc::new(ends), stack_size }
    }

    /// Starts the generator: runs it to its first yield or its end.
    ///
    /// # Errors
    ///
    /// Whatever the body returns as an error; kind `Value` if the generator is
    /// executing already, `Runtime` if it has been started before, `StopIteration`
    /// if it has finished. That a stack could not be mapped.
    ///
    /// # Panics
    ///
    /// If the body panics; this holds for all methods that resume it.
    pub fn start(&self) -> Result<Resumed<Y, R>> {
        match self.core.state.get() {
            GeneratorState::Created => self.first_resume(),
            GeneratorState::Suspended => {
                Err(Error::text(ErrorKind::Runtime, "generator already started"))
            }
            _ => Err(self.not_resumable()),
        }
    }

    /// Resumes the generator without sending it anything, starting it if need be:
    /// Python's `next(g)`. The body's `yield_` gives `S::default()`.
    ///
    /// # Errors
    ///
    /// As [`start`](Generator::start).
    pub fn next(&self) -> Result<Resumed<Y, R>>
    where
        S: Default,
    {
        match self.core.state.get() {
            GeneratorState::Created => self.first_resume(),
            GeneratorState::Suspended => {
                self.resume(Message::Send { value: S::default(), explicit: false })
            }
            _ => Err(self.not_resumable()),
        }
    }

    /// Resumes the generator with a value, which its `yield_` gives.
    ///
    /// # Errors
    ///
    /// As [`start`](Generator::start); kind `Type` if the generator was not
    /// started, for there is no `yield_` yet that could take the value.
    pub fn send(&self, value: S) -> Result<Resumed<Y, R>> {
        match self.core.state.get() {
            GeneratorState::Created => {
                let text = "can't send non-None value to a just-started generator";
                Err(Error::text(ErrorKind::Type, text))
            }
            GeneratorState::Suspended => self.resume(Message::Send { value, explicit: true }),
            _ => Err(self.not_resumable()),
        }
    }

    /// Resumes the generator with an error, which its `yield_` gives. One that has
    /// not started, or has finished, is closed and gives the error back.
    ///
    /// # Errors
    ///
    /// As [`start`](Generator::start), and `error` itself if the body does not
    /// deal with it.
    pub fn throw(&self, error: Error) -> Result<Resumed<Y, R>> {
        match self.core.state.get() {
            GeneratorState::Created | GeneratorState::Closed => {
                self.abandon_body();
                Err(error)
            }
            GeneratorState::Suspended => self.resume(Message::Throw(error)),
            GeneratorState::Running => Err(self.not_resumable()),
        }
    }

    /// Ends the generator: throws an error of kind
    /// [`GeneratorExit`](ErrorKind::GeneratorExit) in. The value, if the body
    /// returned one in reaction.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if the body yields again, kind `Value` if the generator is
    /// executing, and any other error of the body.
    pub fn close(&self) -> Result<Option<R>> {
        match self.throw(Error::from(ErrorKind::GeneratorExit)) {
            Ok(Resumed::Returned(value)) => Ok(Some(value)),
            Ok(Resumed::Yielded(_)) => {
                Err(Error::text(ErrorKind::Runtime, "generator ignored GeneratorExit"))
            }
            Err(error) if error.kind() == ErrorKind::GeneratorExit => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.core.name.to_string()
    }

    /// Where it stands.
    pub fn state(&self) -> GeneratorState {
        self.core.state.get()
    }

    /// The place in the source of the `yield_` or `yield_from` at which the
    /// generator is suspended (what Python keeps in `gi_frame.f_lasti`).
    pub fn suspended_at(&self) -> Option<&'static Location<'static>> {
        self.core.suspended_at.get()
    }

    /// What the generator is delegating to while it is suspended in a
    /// `yield_from` (Python's `gi_yieldfrom`).
    pub fn yielding_from(&self) -> Option<Delegate> {
        self.core.delegate.borrow().clone()
    }

    fn not_resumable(&self) -> Error {
        match self.core.state.get() {
            GeneratorState::Running => Error::text(ErrorKind::Value, "generator already executing"),
            _ => Error::from(ErrorKind::StopIteration),
        }
    }

    fn first_resume(&self) -> Result<Resumed<Y, R>> {
        let yielder = Yielder { core: self.core.clone() };
        let ends = self.ends.clone();
        // The body is taken where it runs, so that it is not lost if there is no stack.
        let entry = move || {
            let run = || ends.body.take().map(|body| body(&yielder));
            let result = catch_unwind(AssertUnwindSafe(run));
            ends.outcome.set(result.map_or_else(|panic| Some(Err(panic)), |r| r.map(Ok)));
        };
        // SAFETY: the core, fiber and owner in one, stays where it is: `entry`
        // holds it by the yielder until the body has ended, and `Drop` unwinds or
        // forgets the fiber before the core can go.
        unsafe { self.core.fiber.start(self.stack_size, &*self.core, entry) }?;
        self.switch()
    }

    fn resume(&self, message: Message<S>) -> Result<Resumed<Y, R>> {
        self.core.message.set(Some(message));
        self.switch()
    }

    fn switch(&self) -> Result<Resumed<Y, R>> {
        self.core.state.set(GeneratorState::Running);
        if !self.core.fiber.resume() {
            self.core.state.set(GeneratorState::Suspended);
            return match self.core.yielded.take() {
                Some(value) => Ok(Resumed::Yielded(value)),
                None => Err(Error::text(ErrorKind::Runtime, "generator yielded nothing")),
            };
        }
        self.core.state.set(GeneratorState::Closed);
        match self.ends.outcome.take() {
            Some(Ok(Ok(value))) => Ok(Resumed::Returned(value)),
            Some(Ok(Err(error))) if error.kind() == ErrorKind::StopIteration => {
                Err(Error::text(ErrorKind::Runtime, "generator raised StopIteration"))
            }
            Some(Ok(Err(error))) => Err(error),
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(Error::from(ErrorKind::StopIteration)),
        }
    }

    /// Closes one that is not started; the body is dropped unused.
    fn abandon_body(&self) {
        self.core.state.set(GeneratorState::Closed);
        drop(self.ends.body.take());
    }

    /// Ends a suspended generator for good, whatever its body does.
    fn finish(&self) {
        self.core.fiber.end();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            // A cancellation is told to whoever waits for the task in which this happens.
            if let Some(error) = self.close().err().filter(|error| !error.is_cancelled()) {
                let text = format!("the generator `{}` failed as it was dropped", self.core.name);
                notice(&text, &error);
            }
            if self.core.fiber.is_suspended() && !self.core.fiber.unwind() {
                tracing::error!(generator = %self.core.name, "cannot be unwound; stack leaked");
            }
        }));
        match panic {
            // A second panic during an unwinding would abort the process.
            Err(panic) if std::thread::panicking() => {
                drop_caught(panic);
            }
            Err(panic) => resume_unwind(panic),
            Ok(()) => {}
        }
    }
}

impl<S: 'static, Y: 'static, R: 'static> Drop for Generator<S, Y, R> {
    fn drop(&mut self) {
        if self.core.state.get() == GeneratorState::Suspended {
            self.finish();
        }
    }
}

impl<S, Y, R> fmt::Debug for Generator<S, Y, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, state) = (&self.core.name, self.core.state.get());
        f.debug_struct("Generator").field("name", name).field("state", &state).finish()
    }
}
