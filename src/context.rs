//! Context variables: values that belong to a task and are inherited by copy.
//!
//! A [`ContextVar`] is a task's own global variable (Python's `contextvars`). A
//! task starts with a copy of the context it was made in, a callback runs in a
//! copy of the context it was registered in, and what they set there nobody else
//! sees. Copies happen at every spawn and every callback, so the values are a
//! shared immutable list: copying it copies one word, and setting a variable makes
//! a new list. Only who asks for a [`Context`] gets a place that several can share.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::exceptions::{Error, ErrorKind, Result};
use crate::sys::cells;

/// What something runs in: values of its own, or a [`Context`] that it shares.
/// `None` is the empty one, which costs nothing.
#[derive(Clone, Default)]
pub(crate) struct Variables(Option<Rc<Kind>>);

enum Kind {
    Own(Vec<Entry>),
    /// The values, never shared themselves.
    Shared(Cell<Variables>),
}

#[derive(Clone)]
struct Entry {
    variable: u64,
    value: Rc<dyn Any>,
}

thread_local! {
    /// The context of whatever runs now on this thread.
    ///
    /// It has no destructor: those of values may use context variables.
    static CURRENT: ManuallyDrop<Cell<Variables>> =
        const { ManuallyDrop::new(Cell::new(Variables(None))) };
}

impl cells::Handle for Variables {
    #[inline(always)]
    fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

impl Variables {
    /// A copy of the current context, for something that starts its own.
    pub(crate) fn copy() -> Variables {
        CURRENT.with(|current| cells::share(current)).values()
    }

    /// Makes `slot`'s context the current one and keeps the former one in
    /// `slot`. Done once on entering a task and once on leaving it.
    #[inline(always)]
    pub(crate) fn swap(slot: &Cell<Variables>) {
        CURRENT.with(|current| current.swap(slot));
    }

    /// Its values as they are now.
    fn values(self) -> Variables {
        match self.0.as_deref() {
            Some(Kind::Shared(values)) => cells::share(values),
            _ => self,
        }
    }

    /// The context in a cell as one that can be shared, and from now on is.
    pub(crate) fn share(cell: &Cell<Variables>) -> Context {
        let variables = cells::share(cell);
        if matches!(variables.0.as_deref(), Some(Kind::Shared(_))) {
            return Context(variables);
        }
        let context = Context::of(variables);
        cell.set(context.0.clone());
        context
    }

    /// The same for the one that is current.
    pub(crate) fn share_current() -> Context {
        CURRENT.with(|current| Variables::share(current))
    }

    fn entries(&self) -> &[Entry] {
        match self.0.as_deref() {
            Some(Kind::Own(entries)) => entries,
            _ => &[],
        }
    }

    fn get(&self, variable: u64) -> Option<Rc<dyn Any>> {
        let entry = self.entries().iter().find(|entry| entry.variable == variable)?;
        Some(entry.value.clone())
    }

    /// These values with the variable set, or unset by `None`.
    fn with(&self, variable: u64, value: Option<Rc<dyn Any>>) -> Variables {
        let others = self.entries().iter().filter(|entry| entry.variable != variable);
        let mut entries: Vec<Entry> = others.cloned().collect();
        entries.extend(value.map(|value| Entry { variable, value }));
        Variables((!entries.is_empty()).then(|| Rc::new(Kind::Own(entries))))
    }
}

/// The context of something that is called again and again, until it is over.
pub(crate) struct OwnContext {
    variables: Cell<Variables>,
    inside: Cell<bool>,
    over: Cell<bool>,
}

impl OwnContext {
    /// A copy of the current one.
    pub(crate) fn copy() -> OwnContext {
        let variables = Cell::new(Variables::copy());
        OwnContext { variables, inside: Cell::new(false), over: Cell::new(false) }
    }

    /// Calls a function in it. What was current before is current again however it ends.
    pub(crate) fn run<T>(&self, call: impl FnOnce() -> T) -> T {
        struct Inside<'a>(&'a OwnContext);
        impl Drop for Inside<'_> {
            fn drop(&mut self) {
                Variables::swap(&self.0.variables);
                self.0.inside.set(false);
                if self.0.over.get() {
                    self.0.end();
                }
            }
        }
        Variables::swap(&self.variables);
        self.inside.set(true);
        let _inside = Inside(self);
        call()
    }

    /// Nothing is called in it any more: lets go of the values, which may own whatever
    /// this belongs to.
    pub(crate) fn end(&self) {
        self.over.set(true);
        if !self.inside.get() {
            drop(self.variables.take());
        }
    }
}

/// The values of the context variables in a place that several can share
/// (`contextvars.Context`).
///
/// Tasks and callbacks have a context each, so most programs never name one. This
/// is for who wants several to see what the others set, or wants to look into a
/// context from outside. A handle: clones are the same context.
///
/// ```
/// use stackio::{Context, ContextVar, TaskBuilder};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// stackio::run(|| {
///     let context = Context::copy_current();
///     let login = TaskBuilder::new().context(&context).spawn(|| {
///         USER.set("ada");
///         Ok(())
///     });
///     login.join()?;
///     assert_eq!(USER.get(), None); // the main task has its own
///     assert_eq!(context.get(&USER), Some("ada"));
///     assert_eq!(context.run(|| USER.get()), Some("ada"));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone)]
pub struct Context(Variables);

impl Context {
    fn of(values: Variables) -> Context {
        Context(Variables(Some(Rc::new(Kind::Shared(Cell::new(values))))))
    }

    /// A context in which no variable is set.
    #[expect(clippy::new_without_default, reason = "two new contexts are not the same one")]
    pub fn new() -> Context {
        Context::of(Variables::default())
    }

    /// A new context with the values that are set here and now
    /// (`contextvars.copy_context`).
    #[doc(alias = "copy_context")]
    pub fn copy_current() -> Context {
        Context::of(Variables::copy())
    }

    /// A new context with the values of this one.
    pub fn copy(&self) -> Context {
        Context::of(self.0.clone().values())
    }

    /// Calls a function in this context: it sees the values, and what it sets stays
    /// in the context. Unlike Python's, it may suspend its task meanwhile, and the
    /// context may be entered by several at a time. A generator must not yield in the
    /// middle of it, though: what is current then stays so for whoever resumed it.
    pub fn run<R>(&self, function: impl FnOnce() -> R) -> R {
        struct Entered(Cell<Variables>);
        impl Drop for Entered {
            fn drop(&mut self) {
                Variables::swap(&self.0);
            }
        }
        let entered = Entered(Cell::new(self.0.clone()));
        Variables::swap(&entered.0);
        function()
    }

    /// The value of a variable here, `None` if it is not set.
    pub fn get<T: Clone + 'static>(&self, variable: &ContextVar<T>) -> Option<T> {
        let value = self.0.clone().values().get(variable.id())?;
        value.downcast_ref::<T>().cloned()
    }

    /// What a task or callback runs in that shares this context.
    pub(crate) fn variables(&self) -> Variables {
        self.0.clone()
    }
}

impl PartialEq for Context {
    /// Whether it is the same context, not whether the values are.
    fn eq(&self, other: &Context) -> bool {
        match (&self.0.0, &other.0.0) {
            (Some(one), Some(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Context {}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.0.clone().values().entries().len();
        f.debug_struct("Context").field("variables", &set).finish()
    }
}

/// A variable whose value belongs to the current task or callback.
///
/// It is usually a `static`. A task inherits the values of the one that spawned
/// it; what it sets itself stays its own.
///
/// ```
/// use stackio::{ContextVar, spawn};
///
/// static REQUEST: ContextVar<u32> = ContextVar::new("request");
///
/// stackio::run(|| {
///     REQUEST.set(1);
///     let child = spawn(|| {
///         let inherited = REQUEST.get();
///         REQUEST.set(2);
///         Ok(inherited)
///     });
///     assert_eq!(child.join()?, Some(1));
///     assert_eq!(REQUEST.get(), Some(1));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct ContextVar<T> {
    name: &'static str,
    id: AtomicU64,
    value: PhantomData<fn() -> T>,
}

impl<T: Clone + 'static> ContextVar<T> {
    /// A new variable; the name is for people.
    pub const fn new(name: &'static str) -> ContextVar<T> {
        ContextVar { name, id: AtomicU64::new(0), value: PhantomData }
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The value in the current context, `None` if it was never set there.
    pub fn get(&self) -> Option<T> {
        let value = Variables::copy().get(self.id())?;
        value.downcast_ref::<T>().cloned()
    }

    /// Sets the value in the current context. The token remembers the value
    /// before, for [`reset`](ContextVar::reset).
    pub fn set(&self, value: T) -> Token<T> {
        let previous = self.replace(Some(Rc::new(value)));
        Token { variable: self.id(), previous, value: PhantomData }
    }

    /// Sets the value back to what it was before the `set` that gave the token.
    ///
    /// # Errors
    ///
    /// Kind `Value` if the token is of another variable.
    pub fn reset(&self, token: Token<T>) -> Result {
        if token.variable != self.id() {
            let text = format!("the token was not made by the variable `{}`", self.name);
            return Err(Error::text(ErrorKind::Value, text));
        }
        self.replace(token.previous);
        Ok(())
    }

    fn replace(&self, value: Option<Rc<dyn Any>>) -> Option<Rc<dyn Any>> {
        let current = CURRENT.with(|current| cells::share(current));
        let values = current.clone().values();
        let previous = values.get(self.id());
        let changed = values.with(self.id(), value);
        // The former values are dropped last: their destructors may look.
        let _former = match current.0.as_deref() {
            Some(Kind::Shared(place)) => place.replace(changed),
            _ => CURRENT.with(|current| current.replace(changed)),
        };
        previous
    }

    /// A `static` cannot count itself, so the number is taken at first use.
    fn id(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        match self.id.load(Ordering::Relaxed) {
            0 => {
                let fresh = NEXT.fetch_add(1, Ordering::Relaxed);
                let taken =
                    self.id.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed);
                taken.map_or_else(|other| other, |_| fresh)
            }
            id => id,
        }
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What [`ContextVar::set`] replaced.
pub struct Token<T> {
    variable: u64,
    previous: Option<Rc<dyn Any>>,
    value: PhantomData<fn() -> T>,
}

impl<T: Clone + 'static> Token<T> {
    /// The value before the `set`, `None` if there was none.
    pub fn old_value(&self) -> Option<T> {
        self.previous.as_ref()?.downcast_ref::<T>().cloned()
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}
