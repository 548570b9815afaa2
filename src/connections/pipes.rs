//! Pipes, terminals and other devices for protocols.

use std::os::fd::OwnedFd;

use super::attaching::{Connected, establish};
use crate::base_events::EventLoop;
use crate::exceptions::Result;
use crate::protocols::IntoProtocol;
use crate::transports::source::Source;

impl EventLoop {
    /// Has a protocol read from a descriptor: a pipe, a FIFO, a socket, a terminal, a
    /// serial line (`loop.connect_read_pipe`). Its transport cannot be written to.
    ///
    /// The descriptor is put into non-blocking mode, which whoever shares it (standard
    /// input, a terminal) will notice; and it is closed with the transport. One that is
    /// also written to is duplicated first (`try_clone`).
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
    ///     let (reader, mut writer) = std::io::pipe()?;
    ///     let all = Future::new();
    ///     let protocol = Collect(Vec::new(), all.clone());
    ///     get_running_loop()?.connect_read_pipe(|| protocol, reader)?;
    ///     writer.write_all(b"through the pipe")?;
    ///     drop(writer);
    ///     assert_eq!(all.wait()?, b"through the pipe");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a regular file, which cannot be waited for; kind `Cancelled`;
    /// kind `Runtime` outside of a task.
    #[track_caller]
    pub fn connect_read_pipe<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        pipe: impl Into<OwnedFd>,
    ) -> Result<Connected<P>> {
        self.check_current("connect_read_pipe")?;
        establish(self, Source::reading(pipe.into())?, None, factory, None)
    }

    /// Has a protocol write to a descriptor (`loop.connect_write_pipe`). It is told by
    /// `connection_lost` when the other side is closed: with an error of kind
    /// `BrokenPipe` if something was waiting to be written.
    ///
    /// # Errors
    ///
    /// As [`connect_read_pipe`](EventLoop::connect_read_pipe).
    #[track_caller]
    pub fn connect_write_pipe<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        pipe: impl Into<OwnedFd>,
    ) -> Result<Connected<P>> {
        self.check_current("connect_write_pipe")?;
        establish(self, Source::writing(pipe.into())?, None, factory, None)
    }
}
