//! Signals of the system, in the loop: a callback for each arrival
//! ([`EventLoop::add_signal_handler`]), or a task that waits ([`wait`],
//! [`Signals`]).
//!
//! # Shutting down gracefully
//!
//! SIGTERM is how a service manager asks a server to end, SIGINT is Ctrl-C. A
//! server then takes no more connections, gives those it has some time, and ends
//! well:
//!
//! ```no_run
//! use std::io::{Read, Write};
//! use stackio::net::{TcpListener, TcpStream};
//! use stackio::signals::{self, Signal};
//! use stackio::{Result, Timeout, get_running_loop, secs, task_group};
//!
//! fn serve(listener: TcpListener) -> Result {
//!     let grace = Timeout::new(None); // no deadline yet
//!     let served = grace.scope(|grace| {
//!         task_group(|connections| {
//!             let acceptor = connections.spawn(move || {
//!                 loop {
//!                     let (stream, _) = listener.accept()?;
//!                     connections.spawn(move || match talk(stream) {
//!                         // The others go on.
//!                         Err(error) if !error.is_cancelled() => {
//!                             Ok(eprintln!("a connection failed: {error}"))
//!                         }
//!                         ended => ended,
//!                     });
//!                 }
//!                 # #[allow(unreachable_code)]
//!                 # Ok(())
//!             });
//!             let signal = signals::wait_any([Signal::INT, Signal::TERM])?;
//!             eprintln!("{signal}: finishing what has begun");
//!             acceptor.cancel(); // closes the listener
//!             grace.reschedule(Some(get_running_loop()?.time() + secs(10)))
//!         }) // waits for the connections; at the deadline they are cancelled
//!     });
//!     match served {
//!         Err(late) if late.is_timeout() => Ok(()),
//!         served => served,
//!     }
//! }
//!
//! fn talk(mut stream: TcpStream) -> Result {
//!     let mut buffer = [0; 4096];
//!     loop {
//!         match stream.read(&mut buffer)? {
//!             0 => return Ok(()),
//!             n => stream.write_all(&buffer[..n])?,
//!         }
//!     }
//! }
//!
//! fn main() -> Result {
//!     stackio::run(|| serve(TcpListener::bind("127.0.0.1:8080")?))
//! }
//! ```
//!
//! `wait_any` has given both signals back when it returns. So whoever cannot wait
//! sends a second one: a SIGTERM ends the process at once, and Ctrl-C cancels the
//! main task, as it does without all this, and a third one ends the run.
//!
//! # Which signals
//!
//! All but SIGKILL and SIGSTOP, which no process can handle, and SIGSEGV, SIGBUS,
//! SIGILL and SIGFPE, which report a fault of the instruction that runs: it cannot
//! wait for a loop. (A stack overflow is reported by two of these.)
//!
//! # Whose signals
//!
//! What a signal does belongs to the process. While anybody here listens, that
//! replaces what it did, a handler that the program installed by other means too,
//! which is not called; when the last one has stopped listening, it is put back.
//!
//! A loop on any thread may listen, where asyncio allows that only on the main
//! thread, the one that runs Python's signal handlers. Several loops may listen for
//! the same signal, and each gets it.
//!
//! On the main thread [`run`](crate::run) has Ctrl-C cancel the main task, unless the program
//! handles or ignores SIGINT by other means. While somebody on that loop listens
//! for [`Signal::INT`], this steps aside.
//!
//! Under a virtual clock a task that waits for a signal waits for something real,
//! as for a socket: time does not jump meanwhile. A handler alone does not hold it.
//!
//! A process that forks and goes on, without executing another program, has what
//! its parent listened for still caught, and its loops are of no use to it.

mod signal;
mod receivers;
mod listening;
mod waiting;

pub use signal::Signal;
pub use waiting::{Signals, wait, wait_any};

pub(crate) use listening::InterruptReaction;

use crate::base_events::EventLoop;
use crate::exceptions::Result;
use crate::repeating::Repeating;
use crate::reports::CallbackOutput;

use listening::Listening;

impl EventLoop {
    /// Has `callback` called at each arrival of the signal, by `call_soon` and in a
    /// copy of the present context (`loop.add_signal_handler`). It replaces this
    /// loop's former handler of the signal, which still gets what has arrived.
    ///
    /// Arrivals in a row may become one, as they do in the system itself. What came
    /// while the loop was not running is handed out when it runs. An error or panic
    /// of the callback goes to the exception handler, and it stays.
    ///
    /// ```
    /// use std::process::Command;
    /// use stackio::signals::Signal;
    /// use stackio::{Future, get_running_loop};
    ///
    /// stackio::run(|| {
    ///     let event_loop = get_running_loop()?;
    ///     let reload = Future::new();
    ///     let asked = reload.clone();
    ///     event_loop.add_signal_handler(Signal::HUP, move || asked.set_result(()))?;
    ///     Command::new("sh").args(["-c", "kill -HUP $PPID"]).status()?;
    ///     reload.wait()?;
    ///     assert!(event_loop.remove_signal_handler(Signal::HUP));
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Kind `Value` for a signal that cannot be listened for
    /// ([which](crate::signals#which-signals)); kind `Runtime` if the loop is
    /// closed; kind `Io` if the system has no descriptors left.
    pub fn add_signal_handler<R: CallbackOutput>(
        &self,
        signal: Signal,
        callback: impl FnMut() -> R + 'static,
    ) -> Result {
        Listening::of(self)?.set_handler(signal, Repeating::new(callback))
    }

    /// Removes this loop's handler of the signal; false if there was none
    /// (`loop.remove_signal_handler`). It is not called any more, even for a signal
    /// that has arrived already.
    ///
    /// If nobody else listens for the signal, it does again what it did before.
    pub fn remove_signal_handler(&self, signal: Signal) -> bool {
        Listening::find(self).is_some_and(|listening| listening.remove_handler(signal))
    }
}
