//! [`Process`]: a child process that has been started.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;

use super::stdio::Ends;
use super::talking::{Pipes, Talk};
use super::watching::Child;
use super::{ExitStatus, Output};
use crate::base_events::{EventLoop, get_running_loop};
use crate::exceptions::Result;
use crate::pipes::{PipeReader, PipeWriter};
use crate::signals::Signal;

/// A child process (`asyncio.subprocess.Process`); made by
/// [`Command::spawn`](super::Command::spawn).
///
/// It is waited for in the background in any case, also if this is dropped or the loop
/// is closed while it runs: there are no zombies. Dropping closes the pipes and lets the
/// process go on, unless [`kill_on_drop`](super::Command::kill_on_drop) is set.
///
/// Every method takes `&self`, so several tasks can have it, in an [`Rc`].
///
/// Under a virtual clock a process that somebody has is something real: time does not
/// jump while it runs.
pub struct Process {
    /// The pipe to its standard input, if there is one.
    pub stdin: Option<PipeWriter>,
    /// The pipe from its standard output, if there is one.
    pub stdout: Option<PipeReader>,
    /// The pipe from its standard error, if there is one.
    pub stderr: Option<PipeReader>,
    talk: Talk,
    held: Held,
}

impl Process {
    pub(super) fn new(
        event_loop: &EventLoop,
        child: std::process::Child,
        ends: Ends,
        kill_on_drop: bool,
    ) -> Result<Process> {
        let child = Child::watch(event_loop, child)?;
        // One whose pipes cannot be had is nobody's, and ends here.
        let mut held = Held { child, kill_on_drop: true };
        let stdin = ends.stdin.map(PipeWriter::from_fd).transpose()?;
        let stdout = ends.stdout.map(PipeReader::from_fd).transpose()?;
        let stderr = ends.stderr.map(PipeReader::from_fd).transpose()?;
        held.kill_on_drop = kill_on_drop;
        Ok(Process { stdin, stdout, stderr, talk: Talk::default(), held })
    }

    /// Takes over a child that std has started, on the loop that is running.
    ///
    /// ```
    /// use stackio::subprocess::Process;
    ///
    /// stackio::run(|| {
    ///     let child = std::process::Command::new("true").spawn()?;
    ///     assert!(Process::from_std(child)?.wait()?.success());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if no loop is running; kind `Io` if the system refuses, in which
    /// case the child is killed.
    pub fn from_std(mut child: std::process::Child) -> Result<Process> {
        let event_loop = get_running_loop()?;
        let ends = Ends::of(&mut child);
        Process::new(&event_loop, child, ends, false)
    }

    /// Its number. Once it has ended, that may be another's.
    #[doc(alias = "id")]
    pub fn pid(&self) -> u32 {
        self.held.child.process().pid()
    }

    /// How it ended; `None` as long as the loop has not heard that it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.held.child.status()
    }

    /// The same by [Python's rule](super::returncode).
    pub fn returncode(&self) -> Option<i32> {
        self.status().map(returncode)
    }

    /// Suspends the task until the process has ended. Several tasks may wait, and one
    /// that is cancelled loses nothing.
    ///
    /// A process that writes much into pipes that nobody reads never ends:
    /// [`communicate`](Process::communicate) reads. Nor does one that reads its input to
    /// the end while that is a pipe that is here: std's `wait` closes it, this does not,
    /// since another task may be writing. Call [`close`](PipeWriter::close) before.
    ///
    /// ```
    /// use stackio::signals::Signal;
    /// use stackio::subprocess::{Command, returncode};
    ///
    /// stackio::run(|| {
    ///     let process = Command::new("sleep").arg("1000").spawn()?;
    ///     assert_eq!(process.returncode(), None);
    ///     process.send_signal(Signal::TERM)?;
    ///     assert_eq!(returncode(process.wait()?), -15);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` where nothing can be suspended, or on another
    /// loop than that of the process.
    #[track_caller]
    pub fn wait(&self) -> Result<ExitStatus> {
        self.held.child.wait()
    }

    /// Writes all of `input` to the process and closes its input, reads its outputs to
    /// their ends, and waits until it has ended. What is no pipe is left out.
    ///
    /// A process that does not read all of its input is no error. If the call is
    /// cancelled, also by a [`timeout`](crate::timeout), nothing is lost: call it again,
    /// without input, when the process has been killed for instance.
    ///
    /// ```
    /// use stackio::{millis, timeout};
    /// use stackio::subprocess::{Command, Stdio};
    ///
    /// stackio::run(|| {
    ///     let mut command = Command::shell("echo so far; exec sleep 1000");
    ///     let process = command.stdout(Stdio::piped()).spawn()?;
    ///     let late = timeout(millis(100), |_| process.communicate(b"")).unwrap_err();
    ///     assert!(late.is_timeout());
    ///     process.kill()?;
    ///     let output = process.communicate(b"")?;
    ///     println!("{}, it said {:?}", output.status, output.stdout);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// An output has its end when everybody has closed it who inherited it: the children
    /// of the process, too.
    ///
    /// # Errors
    ///
    /// Kind `Value` if there is input and nowhere to write it; kind `Cancelled`; kind `Io`
    /// for what goes wrong with a pipe.
    #[track_caller]
    pub fn communicate(&self, input: &[u8]) -> Result<Output> {
        self.communicate_within(input, usize::MAX)
    }

    /// The same, with a limit for each output, in bytes.
    ///
    /// # Errors
    ///
    /// As [`communicate`](Process::communicate), and kind `LimitOverrun` if an output is
    /// longer. The process goes on, and may have to be killed.
    #[track_caller]
    pub fn communicate_within(&self, input: &[u8], limit: usize) -> Result<Output> {
        let (stdin, stdout, stderr) =
            (self.stdin.as_ref(), self.stdout.as_ref(), self.stderr.as_ref());
        self.talk.go_on(&Pipes { stdin, stdout, stderr }, input, limit)?;
        let status = self.wait()?;
        let (stdout, stderr) = self.talk.take();
        Ok(Output { status, stdout, stderr })
    }

    /// Sends it a signal. It never reaches a process that got the same number later.
    ///
    /// # Errors
    ///
    /// Kind `Io`, of I/O kind `NotFound`, if the process has ended and has been waited
    /// for (`ProcessLookupError`); those of the system, as for a process of another user.
    pub fn send_signal(&self, signal: Signal) -> Result {
        self.held.child.send_signal(signal)
    }

    /// Sends a signal to the process and to all that it has started, if it leads a group of
    /// its own ([`process_group(0)`](super::Command::process_group)): the commands of a
    /// shell, the workers of a server. Who has left the group is not reached.
    ///
    /// ```
    /// use std::io::Read;
    /// use stackio::signals::Signal;
    /// use stackio::subprocess::{Command, Stdio};
    ///
    /// stackio::run(|| {
    ///     let mut command = Command::shell("sleep 1000 & wait");
    ///     let mut process = command.process_group(0).stdout(Stdio::piped()).spawn()?;
    ///     process.send_signal_to_group(Signal::KILL)?;
    ///     // It ends when `sleep`, which has inherited it, is gone as well.
    ///     process.stdout.take().expect("a pipe").read_to_end(&mut Vec::new())?;
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Io`, of I/O kind `NotFound`, if it leads no group, or has ended and has been
    /// waited for: its group may go on then, and its number be another's. Those of the
    /// system.
    pub fn send_signal_to_group(&self, signal: Signal) -> Result {
        self.held.child.send_signal_to_group(signal)
    }

    /// Asks it to end, by SIGTERM.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Process::send_signal).
    pub fn terminate(&self) -> Result {
        self.send_signal(Signal::TERM)
    }

    /// Ends it at once, by SIGKILL.
    ///
    /// # Errors
    ///
    /// As [`send_signal`](Process::send_signal).
    pub fn kill(&self) -> Result {
        self.send_signal(Signal::KILL)
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, returncode) = (self.pid(), self.returncode());
        f.debug_struct("Process").field("pid", &pid).field("returncode", &returncode).finish()
    }
}

/// That somebody has the process.
struct Held {
    child: Rc<Child>,
    kill_on_drop: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.kill_on_drop {
            // One that has ended needs none.
            let _ = self.child.process().send_signal(Signal::KILL.as_raw());
        }
        self.child.detach();
    }
}

/// How a process ended, as a number by Python's rule: what it gave to `exit`, or the
/// negative number of the signal that ended it.
///
/// ```
/// use stackio::subprocess::{Command, returncode};
///
/// stackio::run(|| {
///     assert_eq!(returncode(Command::shell("exit 7").status()?), 7);
///     assert_eq!(returncode(Command::shell("kill -9 $$").status()?), -9);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub fn returncode(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| -signal)).unwrap_or_default()
}
