//! Processes for protocols: the loop's methods.

use std::ffi::OsStr;
use std::panic::Location;
use std::rc::Rc;

use super::command::Command;
use super::protocol::{SubprocessHandle, SubprocessProtocol};
use super::stdio::Ends;
use super::transport::{Core, SubprocessTransport};
use super::watching::Child;
use crate::base_events::EventLoop;
use crate::connections::attach;
use crate::exceptions::Result;
use crate::protocols::IntoProtocol;
use crate::reports::CallbackOutput;
use crate::transports::making::make;
use crate::transports::source::Source;
use crate::transports::stream::Carrier;

impl EventLoop {
    /// Starts a process and tells the protocol that `factory` makes what it does
    /// (`loop.subprocess_exec`). Its three standard streams are pipes, unless they have
    /// been set. When this returns, `connection_made` has been called.
    ///
    /// ```
    /// use stackio::subprocess::{Command, SubprocessProtocol, SubprocessTransport};
    /// use stackio::{Error, Future, get_running_loop};
    ///
    /// struct Sort {
    ///     sorted: Vec<u8>,
    ///     done: Future<Vec<u8>>,
    /// }
    ///
    /// impl SubprocessProtocol for Sort {
    ///     fn connection_made(&mut self, transport: &SubprocessTransport) {
    ///         if let Some(stdin) = transport.get_pipe_transport(0) {
    ///             stdin.write(b"pear\napple\n");
    ///             stdin.close();
    ///         }
    ///     }
    ///
    ///     fn pipe_data_received(&mut self, fd: i32, data: &[u8]) {
    ///         assert_eq!(fd, 1);
    ///         self.sorted.extend_from_slice(data);
    ///     }
    ///
    ///     fn connection_lost(&mut self, _: Option<Error>) {
    ///         let _ = self.done.set_result(std::mem::take(&mut self.sorted));
    ///     }
    /// }
    ///
    /// stackio::run(|| {
    ///     let done = Future::new();
    ///     let protocol = Sort { sorted: Vec::new(), done: done.clone() };
    ///     let (transport, _) =
    ///         get_running_loop()?.subprocess_exec(|| protocol, &mut Command::new("sort"))?;
    ///     assert_eq!(done.wait()?, b"apple\npear\n");
    ///     assert_eq!(transport.get_returncode(), Some(0));
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Command::spawn`]; kind `Cancelled`, in which case the process is killed; kind
    /// `Runtime` outside of a task of this loop.
    #[track_caller]
    pub fn subprocess_exec<P: SubprocessProtocol<R>, R: CallbackOutput>(
        &self,
        factory: impl FnOnce() -> P,
        command: &mut Command,
    ) -> Result<(SubprocessTransport, SubprocessHandle<P>)> {
        self.check_current("subprocess_exec")?;
        let made_at = Location::caller();
        let begin = |waiter| {
            let handle = SubprocessHandle::new(factory());
            let (child, ends) = command.pipes_by_default().start()?;
            let child = Child::watch(self, child)?;
            let core = Core::new(self.scheduler().clone(), child, (&handle).into());
            core.begin(waiter);
            let connected = connect(self, &core, ends, made_at);
            connected.inspect_err(|_| core.close())?;
            Ok((SubprocessTransport(core), handle))
        };
        make(self, "a process to be started", begin, |(transport, _)| transport.close())
    }

    /// The same, with a command line for `/bin/sh` (`loop.subprocess_shell`), as
    /// [`Command::shell`].
    ///
    /// # Errors
    ///
    /// As [`subprocess_exec`](EventLoop::subprocess_exec).
    #[track_caller]
    pub fn subprocess_shell<P: SubprocessProtocol<R>, R: CallbackOutput>(
        &self,
        factory: impl FnOnce() -> P,
        line: impl AsRef<OsStr>,
    ) -> Result<(SubprocessTransport, SubprocessHandle<P>)> {
        self.subprocess_exec(factory, &mut Command::shell(line))
    }
}

/// Gives each pipe a transport.
fn connect(
    event_loop: &EventLoop,
    core: &Rc<Core>,
    ends: Ends,
    made_at: &'static Location<'static>,
) -> Result {
    let sources = [
        (0, ends.stdin.map(Source::writing)),
        (1, ends.stdout.map(Source::reading)),
        (2, ends.stderr.map(Source::reading)),
    ];
    for (fd, source) in sources {
        let Some(source) = source.transpose()? else { continue };
        let protocol = core.pipe(fd).into_handle().erased();
        let carrier = Carrier { source, is_shared: true, peer: None, made_at };
        let transport = attach(event_loop, carrier, protocol, None, None, None)?;
        core.add_pipe(fd, transport);
    }
    Ok(())
}
