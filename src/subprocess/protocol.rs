//! [`SubprocessProtocol`]: what is done about a process as it goes on.

use std::marker::PhantomData;
use std::rc::Rc;

use super::transport::{Receiver, SubprocessProtocolRef, SubprocessTransport};
use crate::exceptions::{Error, Result};
use crate::protocols::{Holder, ProtocolHandle};
use crate::reports::CallbackOutput;
use crate::transports::interface::Held;

/// What is done about a child process as it goes on (`asyncio.SubprocessProtocol`).
///
/// The calls come in this order:
///
/// ```text
/// connection_made
///     for each pipe to read:   pipe_data_received*  pipe_connection_lost
///     for the pipe to write:   (pause_writing resume_writing)*  pipe_connection_lost
///     for the process:         process_exited
/// connection_lost
/// ```
///
/// where the lines in the middle go on side by side. So output may come after
/// `process_exited`, and `connection_lost` comes when the process has ended and every
/// pipe is lost. A pipe has its end when everybody has closed it who inherited it: the
/// children of the process, too.
///
/// As with a [`Protocol`](crate::Protocol) the methods are called in the loop and outside
/// of any task, never within each other, and return nothing or a `Result`. An error of
/// `pipe_data_received` ends that pipe and is given to `pipe_connection_lost`; one of
/// `connection_made` closes the transport; both go to the exception handler, as do the
/// others.
pub trait SubprocessProtocol<R: CallbackOutput = ()>: 'static {
    /// The process has been started; this is called once and first.
    fn connection_made(&mut self, transport: &SubprocessTransport) -> R {
        let _ = transport;
        R::done()
    }

    /// The process has written: to its standard output if `fd` is 1, to its standard
    /// error if it is 2. There is always at least one byte.
    fn pipe_data_received(&mut self, fd: i32, data: &[u8]) -> R {
        let _ = (fd, data);
        R::done()
    }

    /// A pipe is closed, by either side, or by an error; 0 is the standard input.
    fn pipe_connection_lost(&mut self, fd: i32, error: Option<Error>) -> R {
        let _ = (fd, error);
        R::done()
    }

    /// The process has ended, and
    /// [`get_returncode`](SubprocessTransport::get_returncode) says how.
    fn process_exited(&mut self) -> R {
        R::done()
    }

    /// What waits to be written to the standard input is more than the high-water mark.
    fn pause_writing(&mut self) -> R {
        R::done()
    }

    /// It has fallen to the low-water mark.
    fn resume_writing(&mut self) -> R {
        R::done()
    }

    /// Nothing more will happen. This is called once and last, with no error.
    fn connection_lost(&mut self, error: Option<Error>) -> R {
        let _ = error;
        R::done()
    }
}

/// A protocol without its type.
struct Plain<P, R>(P, PhantomData<R>);

impl<P: SubprocessProtocol<R>, R: CallbackOutput> Receiver for Plain<P, R> {
    fn connection_made(&mut self, transport: &SubprocessTransport) -> Result {
        self.0.connection_made(transport).into_result()
    }

    fn pipe_data_received(&mut self, fd: i32, data: &[u8]) -> Result {
        self.0.pipe_data_received(fd, data).into_result()
    }

    fn pipe_connection_lost(&mut self, fd: i32, error: Option<Error>) -> Result {
        self.0.pipe_connection_lost(fd, error).into_result()
    }

    fn process_exited(&mut self) -> Result {
        self.0.process_exited().into_result()
    }

    fn pause_writing(&mut self) -> Result {
        self.0.pause_writing().into_result()
    }

    fn resume_writing(&mut self) -> Result {
        self.0.resume_writing().into_result()
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        self.0.connection_lost(error).into_result()
    }
}

impl<P: SubprocessProtocol<R>, R: CallbackOutput> Holder<P> for Held<Plain<P, R>> {
    fn with(&self, look: &mut dyn FnMut(&mut P)) -> Option<Result> {
        self.call(|plain| {
            look(&mut plain.0);
            Ok(())
        })
    }

    fn into_inner(self: Rc<Self>) -> Option<P> {
        Rc::into_inner(self).map(|held| held.into_inner().0)
    }
}

/// A protocol that belongs to a process, for its owner to look at.
pub type SubprocessHandle<P> = ProtocolHandle<P, SubprocessProtocolRef>;

impl<P: 'static> SubprocessHandle<P> {
    /// For [`set_protocol`](SubprocessTransport::set_protocol).
    pub fn new<R: CallbackOutput>(protocol: P) -> SubprocessHandle<P>
    where
        P: SubprocessProtocol<R>,
    {
        let held = Rc::new(Held::new(Plain(protocol, PhantomData)));
        ProtocolHandle::of(held.clone(), SubprocessProtocolRef(held))
    }
}

impl<P> From<&SubprocessHandle<P>> for SubprocessProtocolRef {
    fn from(handle: &SubprocessHandle<P>) -> SubprocessProtocolRef {
        handle.erased()
    }
}
