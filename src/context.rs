//! Context variables: values that belong to a task and are inherited by copy.
//!
//! A [`ContextVar`] is a task's own global variable (Python's `contextvars`). A
//! task starts with a copy of the context it was made in, a callback runs in a
//! copy of the context it was registered in, and what they set there nobody else
//! sees. Copies happen at every spawn and every callback, so a context is a
//! shared immutable map: copying it copies one word, and setting a variable makes
//! a new map.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::exceptions::{Error, ErrorKind, Result};

/// The variables of one context. `None` is the empty one, which costs nothing.
#[derive(Clone, Default)]
pub(crate) struct Context(Option<Rc<Vec<Entry>>>);

#[derive(Clone)]
struct Entry {
    variable: u64,
    value: Rc<dyn Any>,
}

thread_local! {
    /// The context of whatever runs now on this thread.
    ///
    /// It has no destructor: those of values may use context variables.
    static CURRENT: ManuallyDrop<Cell<Context>> =
        const { ManuallyDrop::new(Cell::new(Context(None))) };
}

impl Context {
    /// A copy of the current context.
    pub(crate) fn copy() -> Context {
        CURRENT.with(|current| {
            let context = current.take();
            current.set(context.clone());
            context
        })
    }

    /// Makes `slot`'s context the current one and keeps the former one in
    /// `slot`. Done once on entering a task and once on leaving it.
    pub(crate) fn swap(slot: &Cell<Context>) {
        CURRENT.with(|current| current.swap(slot));
    }

    fn get(&self, variable: u64) -> Option<Rc<dyn Any>> {
        let entries = self.0.as_ref()?;
        let entry = entries.iter().find(|entry| entry.variable == variable)?;
        Some(entry.value.clone())
    }

    /// This context with the variable set, or unset by `None`.
    fn with(&self, variable: u64, value: Option<Rc<dyn Any>>) -> Context {
        let mut entries: Vec<Entry> = match &self.0 {
            Some(entries) => entries.iter().filter(|e| e.variable != variable).cloned().collect(),
            None => Vec::new(),
        };
        entries.extend(value.map(|value| Entry { variable, value }));
        Context((!entries.is_empty()).then(|| Rc::new(entries)))
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
        let value = Context::copy().get(self.id())?;
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
        let context = Context::copy();
        let previous = context.get(self.id());
        let changed = Cell::new(context.with(self.id(), value));
        Context::swap(&changed);
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
