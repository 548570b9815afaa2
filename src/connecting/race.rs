//! Attempts that overlap, of which the first to succeed wins (RFC 8305).
//!
//! ```text
//!   attempt 1 |----------------------------- cancelled, closed
//!   attempt 2 |<- delay ->|------ fails
//!   attempt 3                    |---- succeeds: taken
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::failures::Failures;
use crate::conversions::carries_error;
use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::spawning::TaskBuilder;
use crate::taskgroups::TaskGroup;
use crate::tasks::Task;
use crate::waits::{ReturnWhen, wait};

/// Reorders addresses so that their families alternate, after `count` of the family
/// of the first one; zero leaves them as they are. Within a family the order stays.
pub(crate) fn interleave(addresses: &[SocketAddr], count: usize) -> Vec<SocketAddr> {
    let (Some(first), true) = (addresses.first(), count > 0) else { return addresses.to_vec() };
    let (mut same, mut other): (VecDeque<SocketAddr>, VecDeque<SocketAddr>) =
        addresses.iter().partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut ordered: Vec<_> = same.drain(..same.len().min(count - 1)).collect();
    while !same.is_empty() || !other.is_empty() {
        ordered.extend(same.pop_front());
        ordered.extend(other.pop_front());
    }
    ordered
}

/// Starts attempts in turn, each in a task of its own: the next one as soon as the one
/// before it has failed, or after `delay`. The first that succeeds wins; the others
/// are cancelled, and have ended when this returns.
///
/// # Errors
///
/// The inner ones are those of all attempts, with the address that each was for. The
/// outer one is a cancellation, or that nothing can be suspended here.
#[track_caller]
pub(crate) fn staggered_race<T: 'static, A>(
    attempts: impl IntoIterator<Item = (SocketAddr, A)>,
    delay: Duration,
) -> io::Result<std::result::Result<T, Failures>>
where
    A: FnOnce() -> io::Result<T> + 'static,
{
    let ended = TaskGroup::new().scope(|group| {
        let mut race = Race { group, running: Vec::new(), failures: Failures::default() };
        let mut attempts = attempts.into_iter().peekable();
        while let Some((address, attempt)) = attempts.next() {
            race.start(address, attempt)?;
            let patience = attempts.peek().map(|_| delay);
            if let Some(winner) = race.watch(patience)? {
                race.running.iter().for_each(|(_, task)| _ = task.cancel());
                return Ok(Ok(winner));
            }
        }
        Ok(Err(race.failures))
    });
    Ok(ended?)
}

struct Race<'a, T: 'static> {
    group: &'a TaskGroup,
    /// In the order in which they began.
    running: Vec<(SocketAddr, Task<io::Result<T>>)>,
    failures: Failures,
}

impl<T: 'static> Race<'_, T> {
    #[track_caller]
    fn start<A>(&mut self, address: SocketAddr, attempt: A) -> Result
    where
        A: FnOnce() -> io::Result<T> + 'static,
    {
        let body = move || match attempt() {
            Err(error) if carries_error(&error) => Err(error.into()),
            ended => Ok(ended),
        };
        let builder = TaskBuilder::new().name(format!("attempt to connect to {address}"));
        self.running.push((address, self.group.spawn_built(builder, body)?));
        Ok(())
    }

    /// Waits for a winner, until the latest attempt has failed or patience is at its
    /// end; without a bound, until all have failed.
    #[track_caller]
    fn watch(&mut self, patience: Option<Duration>) -> Result<Option<T>> {
        let scheduler = Scheduler::running()?;
        let until = patience.map(|patience| scheduler.now() + patience);
        let latest = self.running.last().map(|(_, task)| task.clone());
        while !self.running.is_empty() {
            let left = until.map(|until| until - scheduler.now());
            let tasks: Vec<_> = self.running.iter().map(|(_, task)| task.clone()).collect();
            wait(&tasks, left, ReturnWhen::FirstCompleted)?;
            if let Some(winner) = self.collect()? {
                return Ok(Some(winner));
            }
            let failed = latest.as_ref().is_none_or(|latest| latest.done());
            let late = until.is_some_and(|until| until <= scheduler.now());
            if until.is_some() && (failed || late) {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Takes those out that have ended; the first that has succeeded.
    fn collect(&mut self) -> Result<Option<T>> {
        let mut at = 0;
        while let Some((address, task)) = self.running.get(at) {
            if !task.done() {
                at += 1;
                continue;
            }
            let (address, task) = (*address, self.running.remove(at).1);
            match task.join()? {
                Ok(winner) => return Ok(Some(winner)),
                Err(error) => self.failures.note(address, error)?,
            }
        }
        Ok(None)
    }
}
