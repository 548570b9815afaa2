//! Child processes, in the shape of `std::process` and with asyncio's guarantees.
//!
//! [`Command`] starts a [`Process`], whose pipes are read and written as sockets are, and
//! which suspends the task that waits for it. With both outputs in pipes, read them at
//! the same time: [`Process::communicate`] does.
//!
//! ```
//! use std::io::{BufRead, BufReader};
//! use stackio::subprocess::{Command, Stdio};
//!
//! stackio::run(|| {
//!     let mut command = Command::shell("for n in 1 2 3; do echo line $n; done");
//!     let mut process = command.stdout(Stdio::piped()).spawn()?;
//!     let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
//!     for (line, n) in lines.zip(1..) {
//!         assert_eq!(line?, format!("line {n}"));
//!     }
//!     assert!(process.wait()?.success());
//!     Ok(())
//! })?;
//! # Ok::<(), stackio::Error>(())
//! ```
//!
//! # Whose end it is
//!
//! The loop hears of the end of a process by a descriptor of it on Linux; elsewhere, and
//! where the system refuses that, a thread waits for each. Nothing is done about SIGCHLD.
//! Code of the program's own that waits for *any* child (`waitpid(-1)`), and a SIGCHLD
//! that is ignored, take the status away: it is then reported, and taken to be 255.

mod reaper;
mod watching;
mod stdio;
mod process;
mod talking;
mod command;
mod transport;
mod protocol;
mod starting;

pub use command::Command;
pub use process::{Process, returncode};
pub use protocol::{SubprocessHandle, SubprocessProtocol};
pub use std::process::{ExitStatus, Output};
pub use stdio::Stdio;
pub use transport::{SubprocessProtocolRef, SubprocessTransport};

use std::ffi::OsStr;

use crate::exceptions::Result;

/// Starts a program, with the standard input, output and error of this process
/// (`asyncio.create_subprocess_exec`). [`Command`] has more to set.
///
/// ```
/// use stackio::subprocess::create_subprocess_exec;
///
/// stackio::run(|| {
///     let process = create_subprocess_exec("test", ["-d", "/"])?;
///     assert_eq!(process.wait()?.code(), Some(0));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// As [`Command::spawn`].
pub fn create_subprocess_exec<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Process> {
    Command::new(program).args(arguments).spawn()
}

/// Has `/bin/sh` run a command line (`asyncio.create_subprocess_shell`), as
/// [`Command::shell`].
///
/// ```
/// use stackio::subprocess::create_subprocess_shell;
///
/// stackio::run(|| {
///     assert_eq!(create_subprocess_shell("test -d / && exit 4")?.wait()?.code(), Some(4));
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// # Errors
///
/// As [`Command::spawn`].
pub fn create_subprocess_shell(line: impl AsRef<OsStr>) -> Result<Process> {
    Command::shell(line).spawn()
}
