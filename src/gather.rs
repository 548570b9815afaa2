//! [`gather`]: many awaitables, one future.

mod gathering;

use std::rc::Rc;

use self::gathering::Children;
use crate::awaitable::Awaitable;
use crate::exceptions::{Error, Result};
use crate::future_core::AnyFuture;
use crate::futures::Future;

/// What [`gather`] takes: a `Vec` or an array of awaitables of one sort, or a
/// tuple of up to eight of any sorts.
pub trait Gather {
    /// The results together: a `Vec` or a tuple.
    type Output: 'static;

    /// The future of all of them.
    fn gather(self) -> Future<Self::Output>;
}

/// Runs awaitables together; the future gives all their results, in the order of
/// the arguments (`asyncio.gather`).
///
/// Closures become tasks. The first error is the gather's error, at once, while
/// the others go on. Cancelling the gather cancels all of them; one of them being
/// cancelled is an error like any other. The same future given several times
/// counts once.
///
/// ```
/// use stackio::{gather, millis, sleep};
///
/// stackio::run(|| {
///     let (name, number) = gather((
///         || { sleep(millis(2))?; Ok("zwei") },
///         || { sleep(millis(1))?; Ok(1) },
///     )).join()?;
///     assert_eq!((name, number), ("zwei", 1));
///
///     let squares: Vec<_> = (1..4).map(|n| move || Ok(n * n)).collect();
///     assert_eq!(gather(squares).join()?, [1, 4, 9]);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Panics
///
/// If no loop is running; for futures and tasks theirs serves.
#[track_caller]
pub fn gather<G: Gather>(awaitables: G) -> Future<G::Output> {
    awaitables.gather()
}

/// The same, with an error of a child as its result in the list instead of as the
/// error of all (`asyncio.gather(..., return_exceptions=True)`).
///
/// # Panics
///
/// If no loop is running; for futures and tasks theirs serves.
#[track_caller]
#[doc(alias = "return_exceptions")]
pub fn gather_results<A: Awaitable>(awaitables: Vec<A>) -> Future<Vec<Result<A::Output>>> {
    gather_results_with(awaitables, |outcomes| outcomes)
}

/// A future that is done when all of them are, however they end.
pub(crate) fn gather_erased(futures: Vec<Rc<dyn AnyFuture>>) -> Future<()> {
    let mut children = Children::default();
    futures.into_iter().for_each(|future| children.add_erased(future));
    children.gather(true, Box::new(|| Ok(())))
}

/// [`gather`], with the results put together by a function: a future of whatever
/// type one needs, without a task that waits for the list and converts it.
///
/// ```
/// use stackio::gather_with;
///
/// stackio::run(|| {
///     let parts = vec![|| Ok(1), || Ok(2)];
///     let sum = gather_with(parts, |parts: Vec<i32>| parts.into_iter().sum::<i32>());
///     assert_eq!(sum.join()?, 3);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Panics
///
/// If no loop is running; for futures and tasks theirs serves.
#[track_caller]
pub fn gather_with<A: Awaitable, R: 'static>(
    awaitables: Vec<A>,
    assemble: impl FnOnce(Vec<A::Output>) -> R + 'static,
) -> Future<R> {
    let mut children = Children::default();
    let futures: Vec<_> = awaitables.into_iter().map(|a| children.add(a.ensure_future())).collect();
    let results = move || futures.iter().map(A::obtain).collect::<Result<_>>();
    children.gather(false, Box::new(move || results().map(assemble)))
}

/// [`gather_results`], with the outcomes put together by a function.
///
/// # Panics
///
/// If no loop is running; for futures and tasks theirs serves.
#[track_caller]
pub fn gather_results_with<A: Awaitable, R: 'static>(
    awaitables: Vec<A>,
    assemble: impl FnOnce(Vec<Result<A::Output>>) -> R + 'static,
) -> Future<R> {
    let mut children = Children::default();
    let futures: Vec<_> = awaitables.into_iter().map(|a| children.add(a.ensure_future())).collect();
    let assemble = move || Ok(assemble(futures.iter().map(settled::<A>).collect()));
    children.gather(true, Box::new(assemble))
}

/// A finished child's result or error. Its cancellation is left for whoever reads
/// it first elsewhere; here it is a new one, with the message all may see.
fn settled<A: Awaitable>(future: &Future<A::Output>) -> Result<A::Output> {
    if future.cancelled() {
        return Err(match future.core().cancel_message() {
            Some(message) => Error::cancelled_with(message),
            None => Error::cancelled(),
        });
    }
    A::obtain(future)
}

impl<A: Awaitable> Gather for Vec<A> {
    type Output = Vec<A::Output>;

    #[track_caller]
    fn gather(self) -> Future<Vec<A::Output>> {
        gather_with(self, |results| results)
    }
}

impl<A: Awaitable, const N: usize> Gather for [A; N] {
    type Output = Vec<A::Output>;

    #[track_caller]
    fn gather(self) -> Future<Vec<A::Output>> {
        Vec::from(self).gather()
    }
}

macro_rules! gather_tuples {
    ($(($($name:ident $index:tt),+))+) => {$(
        impl<$($name: Awaitable),+> Gather for ($($name,)+) {
            type Output = ($($name::Output,)+);

            #[track_caller]
            fn gather(self) -> Future<Self::Output> {
                let mut children = Children::default();
                let futures = ($(children.add(self.$index.ensure_future()),)+);
                let assemble = move || Ok(($($name::obtain(&futures.$index)?,)+));
                children.gather(false, Box::new(assemble))
            }
        }
    )+};
}

gather_tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}
