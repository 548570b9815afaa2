//! [`Signal`]: the number of a signal, by its name.

use std::fmt;

use crate::exceptions::{Error, ErrorKind, Result};

/// A signal, as `signal.SIGTERM` is in Python. It prints as `SIGTERM`.
///
/// ```
/// use stackio::signals::Signal;
/// assert_eq!(Signal::TERM.to_string(), "SIGTERM");
/// assert_eq!(Signal::from_raw(Signal::TERM.as_raw()), Signal::TERM);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCHLD"))]
pub struct Signal(i32);

impl Signal {
    /// The terminal has hung up; servers take it for "read the settings again".
    pub const HUP: Signal = Signal(libc::SIGHUP);
    /// Ctrl-C.
    pub const INT: Signal = Signal(libc::SIGINT);
    /// Ctrl-\\.
    pub const QUIT: Signal = Signal(libc::SIGQUIT);
    /// An instruction that does not exist. Not to be handled here.
    pub const ILL: Signal = Signal(libc::SIGILL);
    /// A breakpoint.
    pub const TRAP: Signal = Signal(libc::SIGTRAP);
    /// The process aborts. Handling it does not keep `abort` from ending it.
    pub const ABRT: Signal = Signal(libc::SIGABRT);
    /// Memory that is not there. Not to be handled here.
    pub const BUS: Signal = Signal(libc::SIGBUS);
    /// A division by zero. Not to be handled here.
    pub const FPE: Signal = Signal(libc::SIGFPE);
    /// The end, at once. No process can handle it.
    pub const KILL: Signal = Signal(libc::SIGKILL);
    /// For the program's own use.
    pub const USR1: Signal = Signal(libc::SIGUSR1);
    /// Memory that may not be touched. Not to be handled here.
    pub const SEGV: Signal = Signal(libc::SIGSEGV);
    /// For the program's own use.
    pub const USR2: Signal = Signal(libc::SIGUSR2);
    /// A write that nobody will read; Rust programs ignore it from the start.
    pub const PIPE: Signal = Signal(libc::SIGPIPE);
    /// The timer of `alarm`.
    pub const ALRM: Signal = Signal(libc::SIGALRM);
    /// The request to end: what `kill` and service managers send first.
    pub const TERM: Signal = Signal(libc::SIGTERM);
    /// A child process has ended or stopped.
    pub const CHLD: Signal = Signal(libc::SIGCHLD);
    /// The process goes on after a stop.
    pub const CONT: Signal = Signal(libc::SIGCONT);
    /// The process is stopped. No process can handle it.
    pub const STOP: Signal = Signal(libc::SIGSTOP);
    /// Ctrl-Z.
    pub const TSTP: Signal = Signal(libc::SIGTSTP);
    /// A background process has read from the terminal.
    pub const TTIN: Signal = Signal(libc::SIGTTIN);
    /// A background process has written to the terminal.
    pub const TTOU: Signal = Signal(libc::SIGTTOU);
    /// An urgent byte has come to a socket.
    pub const URG: Signal = Signal(libc::SIGURG);
    /// The limit of processor time is used up.
    pub const XCPU: Signal = Signal(libc::SIGXCPU);
    /// A file would become larger than the limit.
    pub const XFSZ: Signal = Signal(libc::SIGXFSZ);
    /// A timer of the process's own processor time.
    pub const VTALRM: Signal = Signal(libc::SIGVTALRM);
    /// A timer of profilers.
    pub const PROF: Signal = Signal(libc::SIGPROF);
    /// The terminal's window has another size.
    pub const WINCH: Signal = Signal(libc::SIGWINCH);
    /// A descriptor is ready.
    pub const IO: Signal = Signal(libc::SIGIO);
    /// A system call that does not exist.
    pub const SYS: Signal = Signal(libc::SIGSYS);

    /// The signal of that number, such as a process's status tells or a real-time
    /// signal has. Whether there is one shows where it is used.
    pub const fn from_raw(number: i32) -> Signal {
        Signal(number)
    }

    /// Its number on this system.
    pub const fn as_raw(self) -> i32 {
        self.0
    }

    fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(signal, _)| *signal == self).map(|(_, name)| *name)
    }

    /// Refuses the signals that cannot or must not be listened for.
    pub(super) fn check(self) -> Result {
        match self {
            Signal::KILL | Signal::STOP => Err(self.refused("no process can handle it")),
            Signal::SEGV | Signal::BUS | Signal::ILL | Signal::FPE => Err(self.refused(
                "it reports a fault of the instruction that runs, which cannot wait for a loop",
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn refused(self, why: &str) -> Error {
        Error::text(ErrorKind::Value, format!("cannot listen for {self}: {why}"))
    }
}

const NAMES: [(Signal, &str); 29] = [
    (Signal::HUP, "SIGHUP"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABRT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::KILL, "SIGKILL"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::ALRM, "SIGALRM"),
    (Signal::TERM, "SIGTERM"),
    (Signal::CHLD, "SIGCHLD"),
    (Signal::CONT, "SIGCONT"),
    (Signal::STOP, "SIGSTOP"),
    (Signal::TSTP, "SIGTSTP"),
    (Signal::TTIN, "SIGTTIN"),
    (Signal::TTOU, "SIGTTOU"),
    (Signal::URG, "SIGURG"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
    (Signal::VTALRM, "SIGVTALRM"),
    (Signal::PROF, "SIGPROF"),
    (Signal::WINCH, "SIGWINCH"),
    (Signal::IO, "SIGIO"),
    (Signal::SYS, "SIGSYS"),
];

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
