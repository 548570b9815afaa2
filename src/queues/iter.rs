//! [`Queue::iter`]: a consumer's loop.

use std::fmt;
use std::iter::FusedIterator;

use super::queue::Queue;
use crate::exceptions::{ErrorKind, Result};

impl<T> Queue<T> {
    /// The items as they come, taken out one by one: a consumer's loop, which ends
    /// when the queue has been shut down and is empty.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use stackio::{Queue, spawn};
    ///
    /// stackio::run(|| {
    ///     let words = Rc::new(Queue::new(1));
    ///     let theirs = words.clone();
    ///     let consumer = spawn(move || {
    ///         let mut length = 0;
    ///         for word in theirs.iter() {
    ///             let word: &str = word?;
    ///             length += word.len();
    ///         }
    ///         Ok(length)
    ///     });
    ///     for word in ["one", "two", "three"] {
    ///         words.put(word)?;
    ///     }
    ///     words.shutdown(false); // no more; what is in it is still taken out
    ///     assert_eq!(consumer.join()?, 11);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// Several consumers share the items; each is given to one. Call
    /// [`task_done`](Queue::task_done) as after [`get`](Queue::get).
    ///
    /// # Errors
    ///
    /// An error of [`get`](Queue::get), such as a cancellation, is the last item: `?`
    /// passes it on. Where the loop is to go on in spite of it, ask for a new iterator.
    pub fn iter(&self) -> QueueIter<'_, T> {
        QueueIter { queue: self, failed: false }
    }
}

/// The items of a queue, each waited for; made by [`Queue::iter`].
#[must_use = "it takes nothing out before it is asked to"]
pub struct QueueIter<'a, T> {
    queue: &'a Queue<T>,
    failed: bool,
}

impl<T> Iterator for QueueIter<'_, T> {
    type Item = Result<T>;

    #[track_caller]
    fn next(&mut self) -> Option<Result<T>> {
        if self.failed {
            return None;
        }
        let item = self.queue.get();
        self.failed = item.is_err();
        Some(item)
            .filter(|item| !matches!(item, Err(error) if error.kind() == ErrorKind::QueueShutDown))
    }
}

impl<T> FusedIterator for QueueIter<'_, T> {}

impl<T> fmt::Debug for QueueIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueIter").field("queue", self.queue).finish()
    }
}
