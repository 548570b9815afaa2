//! `yield_from`: one generator hands its place to another, and iteration.
//!
//! While a generator delegates, its caller talks to the inner one: what that
//! yields goes out, what is sent and thrown in goes on to it, and what it returns
//! is the value of the `yield_from` (PEP 380).

use std::panic::Location;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::generator::{Generator, Resumed};
use crate::yielder::{Delegate, Message, Yielder};

impl<S: 'static, Y: 'static> Yielder<S, Y> {
    /// Yields everything that `other` yields, passes what is sent and thrown in on
    /// to it, and gives back what it returns; `None` if it had finished before.
    ///
    /// # Errors
    ///
    /// Errors that leave `other`, and those of [`yield_`](Yielder::yield_).
    #[track_caller]
    pub fn yield_from<R: 'static>(&self, other: &Generator<S, Y, R>) -> Result<Option<R>>
    where
        S: Default,
    {
        let at = Location::caller();
        let mut resumed = other.next();
        loop {
            let value = match resumed {
                Ok(Resumed::Returned(value)) => return Ok(Some(value)),
                Ok(Resumed::Yielded(value)) => value,
                // It had finished, or somebody else has driven it to its end.
                Err(error) => return stopped(error).map(|()| None),
            };
            let delegate = Delegate::generator(other.core.clone());
            resumed = match self.exchange_for(delegate, value, at)? {
                Message::Send { value, explicit: true } => other.send(value),
                Message::Send { explicit: false, .. } => other.next(),
                Message::Throw(error) if error.kind() == ErrorKind::GeneratorExit => {
                    other.close()?;
                    return Err(error);
                }
                Message::Throw(error) => other.throw(error),
            };
        }
    }

    /// Yields the items of an iterator, which nothing can be sent to.
    ///
    /// # Errors
    ///
    /// Kind `Attribute` if a value is sent in, and those of
    /// [`yield_`](Yielder::yield_).
    #[track_caller]
    pub fn yield_from_iter(&self, items: impl IntoIterator<Item = Y>) -> Result {
        let at = Location::caller();
        for item in items {
            match self.exchange_for(Delegate::iterator(), item, at)? {
                Message::Send { explicit: false, .. } => {}
                Message::Send { explicit: true, .. } => {
                    let text = "an iterator takes no values: it was resumed by `send`";
                    return Err(Error::text(ErrorKind::Attribute, text));
                }
                Message::Throw(error) => return stopped(error),
            }
        }
        Ok(())
    }
}

/// The end of a delegation by an error: a `StopIteration` is a return without a
/// value. One with a payload, which somebody threw in, stays an error, for the
/// payload need not be what the delegate would have returned.
fn stopped(error: Error) -> Result {
    if error.kind() == ErrorKind::StopIteration && !error.has_payload() {
        return Ok(());
    }
    Err(error)
}

impl<S: 'static, Y: 'static, R: 'static> Generator<S, Y, R> {
    /// The values it yields, as an iterator that ends when it returns. An error
    /// of the body is the last item.
    pub fn iter(&self) -> Iter<'_, S, Y, R> {
        Iter { generator: self }
    }
}

/// The values that a generator yields; made by [`Generator::iter`].
#[derive(Debug)]
pub struct Iter<'a, S: 'static, Y: 'static, R: 'static> {
    generator: &'a Generator<S, Y, R>,
}

impl<S: Default, Y, R> Iterator for Iter<'_, S, Y, R> {
    type Item = Result<Y>;

    fn next(&mut self) -> Option<Result<Y>> {
        next_item(self.generator)
    }
}

fn next_item<S: Default, Y, R>(generator: &Generator<S, Y, R>) -> Option<Result<Y>> {
    match generator.next() {
        Ok(Resumed::Yielded(value)) => Some(Ok(value)),
        Ok(Resumed::Returned(_)) => None,
        Err(error) if error.kind() == ErrorKind::StopIteration => None,
        Err(error) => Some(Err(error)),
    }
}

impl<'a, S: Default, Y, R> IntoIterator for &'a Generator<S, Y, R> {
    type Item = Result<Y>;
    type IntoIter = Iter<'a, S, Y, R>;

    fn into_iter(self) -> Iter<'a, S, Y, R> {
        self.iter()
    }
}

impl<S: Default, Y, R> IntoIterator for Generator<S, Y, R> {
    type Item = Result<Y>;
    type IntoIter = IntoIter<S, Y, R>;

    fn into_iter(self) -> IntoIter<S, Y, R> {
        IntoIter { generator: self }
    }
}

/// The values that a generator yields, owning it.
#[derive(Debug)]
pub struct IntoIter<S: 'static, Y: 'static, R: 'static> {
    generator: Generator<S, Y, R>,
}

impl<S: Default, Y, R> Iterator for IntoIter<S, Y, R> {
    type Item = Result<Y>;

    fn next(&mut self) -> Option<Result<Y>> {
        next_item(&self.generator)
    }
}
