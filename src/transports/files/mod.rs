//! Files through transports (`loop.sendfile`).

mod by_hand;
mod by_system;

use std::fs::File;
use std::io::{Seek, SeekFrom};

use self::by_hand::send_by_hand;
use self::by_system::send_by_system;
use crate::base_events::EventLoop;
use crate::coroutines::check_suspendable;
use crate::exceptions::Result;
use crate::transports::interface::Transport;

impl EventLoop {
    /// Sends a part of a file, to its end without `count`, after what was written before
    /// (`loop.sendfile`). How many bytes that were.
    ///
    /// Into a plain socket the system sends it by `sendfile(2)`, and meanwhile nothing
    /// else can be written and nothing is received. Into any other transport, and where
    /// the system refuses, the file is read on a thread and written in parts, no faster
    /// than they are sent. The file's position is behind what was sent, after an error too.
    ///
    /// ```
    /// use std::io::Write;
    /// use stackio::{Error, Future, Protocol, get_running_loop};
    ///
    /// struct Collect(Vec<u8>, Future<Vec<u8>>);
    /// impl Protocol for Collect {
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         self.0.extend_from_slice(data);
    ///     }
    ///     fn connection_lost(&mut self, _: Option<Error>) {
    ///         let _ = self.1.set_result(std::mem::take(&mut self.0));
    ///     }
    /// }
    ///
    /// stackio::run(|| {
    ///     let event_loop = get_running_loop()?;
    ///     let path = std::env::temp_dir().join(format!("stackio-doc-{}", std::process::id()));
    ///     std::fs::write(&path, b"once upon a time")?;
    ///     let file = std::fs::File::open(&path)?;
    ///     std::fs::remove_file(&path)?;
    ///
    ///     let all = Future::new();
    ///     let collect = Collect(Vec::new(), all.clone());
    ///     let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ///     event_loop.connect_accepted_socket(|| collect, theirs)?;
    ///     struct Silent;
    ///     impl Protocol for Silent {}
    ///     let (transport, _) = event_loop.connect_accepted_socket(|| Silent, ours)?;
    ///     assert_eq!(event_loop.sendfile(&transport, &file, 5, None)?, 11);
    ///     transport.close();
    ///     assert_eq!(all.wait()?, b"upon a time");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the file and of the connection; kind `Runtime` if the transport is
    /// closing, or a file is being sent on it already; kind `Cancelled`, after which a
    /// part may have been sent.
    #[track_caller]
    pub fn sendfile(
        &self,
        transport: &Transport,
        file: &File,
        offset: u64,
        count: impl Into<Option<u64>>,
    ) -> Result<u64> {
        check_suspendable()?;
        let mut part = Part { offset, left: count.into().unwrap_or(u64::MAX), sent: 0 };
        let sent = send(transport, file, &mut part);
        if part.sent > 0 {
            let mut file = file;
            file.seek(SeekFrom::Start(part.offset))?;
        }
        sent.map(|()| part.sent)
    }
}

#[track_caller]
fn send(transport: &Transport, file: &File, part: &mut Part) -> Result {
    if let Some(sink) = transport.0.file_sink()
        && send_by_system(transport, sink, file, part)?
    {
        return Ok(());
    }
    send_by_hand(transport, file, part)
}

/// What of the file is still to be sent.
struct Part {
    offset: u64,
    left: u64,
    sent: u64,
}

impl Part {
    fn sent(&mut self, count: usize) {
        self.left -= count as u64;
        self.sent += count as u64;
    }

    /// How much to send next, at most so much.
    fn next(&self, most: usize) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(most)
    }
}
