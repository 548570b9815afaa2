//! Two protocols, joined by memory.

use super::attaching::Connected;
use crate::base_events::EventLoop;
use crate::exceptions::Result;
use crate::protocols::IntoProtocol;
use crate::transports::making::make;
use crate::transports::memory::pair;

impl EventLoop {
    /// Joins two protocols by memory: what the one writes the other receives. For tests
    /// and simulations, since nothing of it takes time.
    ///
    /// `chunk` is how many bytes a protocol is given at a time at most: with 1 it gets
    /// them one by one, which a protocol must be able to live with; `None` gives them as
    /// they were written.
    ///
    /// ```
    /// use stackio::{Protocol, get_running_loop, yield_now};
    ///
    /// #[derive(Default)]
    /// struct Note(Vec<Vec<u8>>);
    /// impl Protocol for Note {
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         self.0.push(data.to_vec());
    ///     }
    /// }
    ///
    /// stackio::run(|| {
    ///     let event_loop = get_running_loop()?;
    ///     let ((near, _), (_, far)) = event_loop.create_pair(Note::default, Note::default, 2)?;
    ///     near.write(b"abc");
    ///     near.close();
    ///     while far.with(|note| note.0.len())? < 2 {
    ///         yield_now()?;
    ///     }
    ///     assert_eq!(far.with(|note| note.0.concat())?, b"abc");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` outside of a task.
    #[track_caller]
    pub fn create_pair<A: IntoProtocol<K>, B: IntoProtocol<L>, K, L>(
        &self,
        first: impl FnOnce() -> A,
        second: impl FnOnce() -> B,
        chunk: impl Into<Option<usize>>,
    ) -> Result<(Connected<A>, Connected<B>)> {
        self.check_current("create_pair")?;
        let begin = |waiter| {
            let (first, second) = (first().into_handle(), second().into_handle());
            let chunk = chunk.into().unwrap_or(usize::MAX);
            let (near, far) = pair(self, first.erased(), second.erased(), chunk, Some(waiter));
            Ok(((near, first), (far, second)))
        };
        make(self, "a connection to be made", begin, |((near, _), (far, _))| {
            near.abort();
            far.abort();
        })
    }
}
