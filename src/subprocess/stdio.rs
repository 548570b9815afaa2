//! [`Stdio`]: what a child process has as its standard input, output and error, and
//! this process's ends of it.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use crate::pipes::{PipeReader, PipeWriter};

/// What a child process reads from or writes to (`std::process::Stdio`).
///
/// It is made from a [`File`], from any [`OwnedFd`], from a pipe of std's, and from the
/// [`PipeReader`] that reads what another child writes:
///
/// ```
/// use std::io::Read;
/// use stackio::subprocess::{Command, Stdio};
///
/// stackio::run(|| {
///     let mut words = Command::new("printf")
///         .arg("pear\napple\n")
///         .stdout(Stdio::piped())
///         .spawn()?;
///     let words = words.stdout.take().expect("it is piped");
///     let sorted = Command::new("sort").stdin(words).output()?;
///     assert_eq!(sorted.stdout, b"apple\npear\n");
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
pub struct Stdio(Kind);

enum Kind {
    Inherit,
    Null,
    Piped,
    Descriptor(OwnedFd),
    /// It could not be had.
    Failed(io::Error),
}

impl Stdio {
    /// A new pipe, whose other end the [`Process`](super::Process) has (`PIPE`).
    pub fn piped() -> Stdio {
        Stdio(Kind::Piped)
    }

    /// The one of this process. It is the default.
    pub fn inherit() -> Stdio {
        Stdio(Kind::Inherit)
    }

    /// Nothing to read, and what is written is thrown away (`DEVNULL`).
    pub fn null() -> Stdio {
        Stdio(Kind::Null)
    }

    pub(super) fn is_piped(&self) -> bool {
        matches!(self.0, Kind::Piped)
    }

    /// For one more child.
    pub(super) fn to_std(&self) -> io::Result<std::process::Stdio> {
        Ok(match &self.0 {
            Kind::Inherit => std::process::Stdio::inherit(),
            Kind::Null => std::process::Stdio::null(),
            Kind::Piped => std::process::Stdio::piped(),
            Kind::Descriptor(descriptor) => descriptor.try_clone()?.into(),
            Kind::Failed(error) => return Err(io::Error::new(error.kind(), error.to_string())),
        })
    }

    /// The same for its standard error, where this is its standard output.
    pub(super) fn to_std_for_stderr(&self) -> io::Result<std::process::Stdio> {
        match &self.0 {
            Kind::Inherit => Ok(io::stdout().into()),
            _ => self.to_std(),
        }
    }
}

/// This process's ends of the pipes to a child.
pub(super) struct Ends {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

impl Ends {
    /// Takes those that std's child has.
    pub(super) fn of(child: &mut std::process::Child) -> Ends {
        Ends {
            stdin: child.stdin.take().map(Into::into),
            stdout: child.stdout.take().map(Into::into),
            stderr: child.stderr.take().map(Into::into),
        }
    }
}

impl From<OwnedFd> for Stdio {
    fn from(descriptor: OwnedFd) -> Stdio {
        Stdio(Kind::Descriptor(descriptor))
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Stdio {
        Stdio::from(OwnedFd::from(file))
    }
}

impl From<io::PipeReader> for Stdio {
    fn from(pipe: io::PipeReader) -> Stdio {
        Stdio::from(OwnedFd::from(pipe))
    }
}

impl From<io::PipeWriter> for Stdio {
    fn from(pipe: io::PipeWriter) -> Stdio {
        Stdio::from(OwnedFd::from(pipe))
    }
}

/// The child gets it in blocking mode. If that cannot be, no child can be started.
impl From<PipeReader> for Stdio {
    fn from(pipe: PipeReader) -> Stdio {
        Stdio(pipe.into_blocking().map_or_else(Kind::Failed, Kind::Descriptor))
    }
}

/// The child gets it in blocking mode. If that cannot be, no child can be started.
impl From<PipeWriter> for Stdio {
    fn from(pipe: PipeWriter) -> Stdio {
        Stdio(pipe.into_blocking().map_or_else(Kind::Failed, Kind::Descriptor))
    }
}

impl fmt::Debug for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Kind::Inherit => "inherit",
            Kind::Null => "null",
            Kind::Piped => "piped",
            Kind::Descriptor(_) => "a descriptor",
            Kind::Failed(_) => "a descriptor that failed",
        })
    }
}
