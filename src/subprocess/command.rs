//! [`Command`]: how a child process is started.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, PipeReader as StdReader};
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::process::Process;
use super::stdio::{Ends, Stdio};
use super::{ExitStatus, Output};
use crate::base_events::get_running_loop;
use crate::exceptions::Result;
use crate::pipes::PipeWriter;

/// How a child process is started, in the shape of `std::process::Command`.
///
/// ```
/// use stackio::subprocess::Command;
///
/// stackio::run(|| {
///     let output = Command::new("echo").arg("hello").output()?;
///     assert!(output.status.success());
///     assert_eq!(output.stdout, b"hello\n");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// Descriptors of this process other than the three are not inherited: everything of
/// this crate and of std is opened so.
///
/// Files and pipes that were given for the three stay open here as long as the command
/// does. Who reads what the child writes into such a pipe has come to the end only when
/// the command is dropped, too.
pub struct Command {
    command: std::process::Command,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stderr>,
    kill_on_drop: bool,
}

enum Stderr {
    Own(Stdio),
    /// The same as the standard output.
    Stdout,
}

impl Command {
    /// A program, looked for in `PATH` if its name has no slash.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command::from(std::process::Command::new(program))
    }

    /// A command line for `/bin/sh`. What comes from elsewhere must not be put into it
    /// unquoted; arguments that are added become `$0`, `$1` and so on, which is safe.
    ///
    /// ```
    /// use stackio::subprocess::Command;
    ///
    /// stackio::run(|| {
    ///     let output = Command::shell("echo $((6 * 7)); exit 3").output()?;
    ///     assert_eq!(output.stdout, b"42\n");
    ///     assert_eq!(output.status.code(), Some(3));
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn shell(line: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line);
        command
    }

    /// Adds an argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Command {
        self.command.arg(argument);
        self
    }

    /// Adds several arguments.
    pub fn args<A: AsRef<OsStr>>(
        &mut self,
        arguments: impl IntoIterator<Item = A>,
    ) -> &mut Command {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of the child's environment, which otherwise is this process's.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.command.env(name, value);
        self
    }

    /// Sets several variables.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Command {
        self.command.envs(variables);
        self
    }

    /// Takes a variable out of the child's environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Command {
        self.command.env_remove(name);
        self
    }

    /// Has the child inherit no variables.
    pub fn env_clear(&mut self) -> &mut Command {
        self.command.env_clear();
        self
    }

    /// The directory in which the child begins.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Command {
        self.command.current_dir(directory);
        self
    }

    /// The child's standard input; inherited if it is not set, and nothing for
    /// [`output`](Command::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Command {
        self.stdin = Some(stdin.into());
        self
    }

    /// The child's standard output; inherited if it is not set, and a pipe for
    /// [`output`](Command::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Command {
        self.stdout = Some(stdout.into());
        self
    }

    /// The child's standard error, as its output.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Command {
        self.stderr = Some(Stderr::Own(stderr.into()));
        self
    }

    /// Has the child's standard error go where its standard output goes (`STDOUT`).
    ///
    /// ```
    /// use stackio::subprocess::Command;
    ///
    /// stackio::run(|| {
    ///     let output = Command::shell("echo one; echo two >&2").stderr_to_stdout().output()?;
    ///     assert_eq!(output.stdout, b"one\ntwo\n");
    ///     assert_eq!(output.stderr, b"");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    pub fn stderr_to_stdout(&mut self) -> &mut Command {
        self.stderr = Some(Stderr::Stdout);
        self
    }

    /// The process group of the child; 0 is a new one of its own, which the Ctrl-C of the
    /// terminal does not reach. What the child starts is in its group as well, and
    /// [`Process::send_signal_to_group`] reaches all of them.
    pub fn process_group(&mut self, group: i32) -> &mut Command {
        self.command.process_group(group);
        self
    }

    /// Whether the child is killed when its [`Process`] is dropped. By default it goes on,
    /// and is waited for in the background.
    ///
    /// Only the child itself is: what it has started goes on, as the commands of a shell
    /// do. For those give it a [group](Command::process_group) of its own.
    pub fn kill_on_drop(&mut self, kill: bool) -> &mut Command {
        self.kill_on_drop = kill;
        self
    }

    /// What this is made on, for settings that std has and this has not, such as a user
    /// or a `pre_exec`. The three standard streams are set here only.
    pub fn as_std_mut(&mut self) -> &mut std::process::Command {
        &mut self.command
    }

    /// Starts the child.
    ///
    /// ```
    /// use stackio::subprocess::{Command, Stdio};
    ///
    /// stackio::run(|| {
    ///     let mut command = Command::new("cat");
    ///     command.stdin(Stdio::piped()).stdout(Stdio::piped());
    ///     let output = command.spawn()?.communicate(b"there and back")?;
    ///     assert_eq!(output.stdout, b"there and back");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if no loop is running; kind `Io` if the program cannot be started,
    /// with [`io_kind`](crate::Error::io_kind) `NotFound` if there is none of that name.
    pub fn spawn(&mut self) -> Result<Process> {
        let event_loop = get_running_loop()?;
        let (child, ends) = self.start()?;
        Process::new(&event_loop, child, ends, self.kill_on_drop)
    }

    /// The child, and this process's ends of the pipes to it.
    pub(super) fn start(&mut self) -> Result<(std::process::Child, Ends)> {
        let started = self.start_with_streams();
        // Or this process would have the children's ends of pipes open.
        self.command.stdin(std::process::Stdio::null());
        self.command.stdout(std::process::Stdio::null());
        self.command.stderr(std::process::Stdio::null());
        let (mut child, joint) = started.map_err(|error| self.failed(&error))?;
        let mut ends = Ends::of(&mut child);
        ends.stdout = ends.stdout.or(joint.map(Into::into));
        Ok((child, ends))
    }

    /// The child, and its output if that is joint with its errors.
    fn start_with_streams(&mut self) -> io::Result<(std::process::Child, Option<StdReader>)> {
        let inherit = Stdio::inherit();
        let stdout = self.stdout.as_ref().unwrap_or(&inherit);
        self.command.stdin(self.stdin.as_ref().unwrap_or(&inherit).to_std()?);
        let mut joint = None;
        match &self.stderr {
            Some(Stderr::Stdout) if stdout.is_piped() => {
                let (reader, writer) = io::pipe()?;
                self.command.stdout(writer.try_clone()?).stderr(writer);
                joint = Some(reader);
            }
            stderr => {
                self.command.stdout(stdout.to_std()?);
                self.command.stderr(match stderr {
                    None => inherit.to_std()?,
                    Some(Stderr::Own(stderr)) => stderr.to_std()?,
                    Some(Stderr::Stdout) => stdout.to_std_for_stderr()?,
                });
            }
        }
        Ok((self.command.spawn()?, joint))
    }

    /// Makes pipes of the streams that have not been set.
    pub(super) fn pipes_by_default(&mut self) -> &mut Command {
        self.stdin.get_or_insert_with(Stdio::piped);
        self.stdout.get_or_insert_with(Stdio::piped);
        self.stderr.get_or_insert_with(|| Stderr::Own(Stdio::piped()));
        self
    }

    fn failed(&self, error: &io::Error) -> io::Error {
        let mut text = format!("cannot start {:?}", self.command.get_program());
        if let Some(directory) = self.command.get_current_dir() {
            text += &format!(" in {directory:?}");
        }
        io::Error::new(error.kind(), format!("{text}: {error}"))
    }

    /// Starts the child and waits for its end.
    ///
    /// ```
    /// use stackio::subprocess::Command;
    ///
    /// stackio::run(|| {
    ///     assert!(Command::new("true").status()?.success());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn) and [`Process::wait`].
    #[track_caller]
    pub fn status(&mut self) -> Result<ExitStatus> {
        let process = self.spawn()?;
        process.stdin.iter().for_each(PipeWriter::close);
        process.wait()
    }

    /// Starts the child, reads all that it writes, and waits for its end. Its outputs are
    /// pipes, and its input is empty, unless they have been set.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Command::spawn) and [`Process::communicate`].
    #[track_caller]
    pub fn output(&mut self) -> Result<Output> {
        self.stdin.get_or_insert_with(Stdio::null);
        self.pipes_by_default().spawn()?.communicate(b"")
    }
}

/// The three standard streams are inherited, whatever they were set to.
impl From<std::process::Command> for Command {
    fn from(command: std::process::Command) -> Command {
        Command { command, stdin: None, stdout: None, stderr: None, kill_on_drop: false }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.command, f)
    }
}
