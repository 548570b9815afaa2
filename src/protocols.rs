//! Protocols: what bytes mean.
//!
//! ```text
//!   connection_made  data_received*  eof_received?  connection_lost
//!                    \___________________________/
//!          pause_writing and resume_writing in turn, at any place
//! ```
//!
//! A protocol is an object whose methods are called as a connection goes on. It knows
//! nothing of what carries the bytes: that is its [`Transport`]. Its methods are called
//! in the loop and outside of any task, so they cannot wait; what takes time is a task
//! that they spawn. They are never called within each other: a `pause_writing` that a
//! `write` of `data_received` causes comes when `data_received` has returned.

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::exceptions::{Error, ErrorKind, Result};
use crate::reports::CallbackOutput;
use crate::transports::interface::{Fetcher, Filled, Held, ProtocolRef, Receiver, Transport, busy};

/// What is done with the bytes of a connection (`asyncio.Protocol`).
///
/// The calls come in this order:
///
/// ```text
/// connection_made  data_received*  eof_received?  connection_lost
/// ```
///
/// with `pause_writing` and `resume_writing` in turn between the first and the last. All
/// have a default that does nothing.
///
/// `R` is what the methods return. Nothing, if it is not mentioned. Or a
/// [`Result`](crate::Result): then an error ends the connection at once, as an exception
/// does in asyncio: `connection_lost` gets it, and so does the exception handler, unless
/// it is an I/O error. A panic does the same.
///
/// ```
/// use stackio::{Protocol, Result, Transport};
///
/// #[derive(Default)]
/// struct Echo {
///     transport: Option<Transport>,
/// }
///
/// impl Protocol for Echo {
///     fn connection_made(&mut self, transport: &Transport) {
///         self.transport = Some(transport.clone());
///     }
///
///     fn data_received(&mut self, data: &[u8]) {
///         if let Some(transport) = &self.transport {
///             transport.write(data);
///         }
///     }
/// }
///
/// /// Numbers in text, and their sum at the end.
/// #[derive(Default)]
/// struct Sum {
///     transport: Option<Transport>,
///     sum: i64,
/// }
///
/// impl Protocol<Result> for Sum {
///     fn connection_made(&mut self, transport: &Transport) -> Result {
///         self.transport = Some(transport.clone());
///         Ok(())
///     }
///
///     fn data_received(&mut self, data: &[u8]) -> Result {
///         for number in std::str::from_utf8(data)?.split_whitespace() {
///             self.sum += number.parse::<i64>()?; // what is no number ends the connection
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Protocol<R: CallbackOutput = ()>: 'static {
    /// The connection is there; this is called once and first.
    fn connection_made(&mut self, transport: &Transport) -> R {
        let _ = transport;
        R::done()
    }

    /// Bytes have come: as many as the system had, which says nothing of how they were
    /// written. There is always at least one.
    fn data_received(&mut self, data: &[u8]) -> R {
        let _ = data;
        R::done()
    }

    /// The peer will send nothing more. True keeps the transport open for writing, false
    /// closes it. TLS closes in any case.
    fn eof_received(&mut self) -> bool {
        false
    }

    /// What waits to be sent is more than the high-water mark: better write nothing until
    /// `resume_writing`.
    fn pause_writing(&mut self) -> R {
        R::done()
    }

    /// What waits to be sent has fallen to the low-water mark.
    fn resume_writing(&mut self) -> R {
        R::done()
    }

    /// The connection is closed: by `close` or `abort`, or by the peer (both `None`), or
    /// by an error. This is called once and last.
    fn connection_lost(&mut self, error: Option<Error>) -> R {
        let _ = error;
        R::done()
    }

    /// Who comes for the bytes, instead of `data_received`.
    #[doc(hidden)]
    fn fetcher(&self) -> Option<Rc<dyn Fetcher>> {
        None
    }
}

/// A [`Protocol`] that has bytes read into a buffer of its own
/// (`asyncio.BufferedProtocol`), without a copy.
///
/// ```text
/// connection_made  (get_buffer buffer_updated)*  get_buffer?  eof_received?  connection_lost
/// ```
///
/// `get_buffer` may be called without a `buffer_updated` to follow: nothing had come.
pub trait BufferedProtocol<R: CallbackOutput = ()>: 'static {
    /// As [`Protocol::connection_made`].
    fn connection_made(&mut self, transport: &Transport) -> R {
        let _ = transport;
        R::done()
    }

    /// Where to read to; at least one byte long. `size_hint` is a length that would suit,
    /// in bytes; another will do.
    fn get_buffer(&mut self, size_hint: usize) -> &mut [u8];

    /// So many bytes have come, at the beginning of the buffer that `get_buffer` gave.
    fn buffer_updated(&mut self, length: usize) -> R;

    /// As [`Protocol::eof_received`].
    fn eof_received(&mut self) -> bool {
        false
    }

    /// As [`Protocol::pause_writing`].
    fn pause_writing(&mut self) -> R {
        R::done()
    }

    /// As [`Protocol::resume_writing`].
    fn resume_writing(&mut self) -> R {
        R::done()
    }

    /// As [`Protocol::connection_lost`].
    fn connection_lost(&mut self, error: Option<Error>) -> R {
        let _ = error;
        R::done()
    }
}

/// What a buffered protocol is told would suit.
const SIZE_HINT: usize = 64 * 1024;

/// A protocol without its type.
struct Plain<P, R>(P, PhantomData<R>);

impl<P: Protocol<R>, R: CallbackOutput> Receiver for Plain<P, R> {
    const BUFFERED: bool = false;

    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.connection_made(transport).into_result()
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        self.0.data_received(data).into_result()
    }

    fn fill(&mut self, _: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> Result<Filled> {
        Err(Error::text(ErrorKind::Type, "the protocol has no buffer of its own"))
    }

    fn fetcher(&self) -> Option<Rc<dyn Fetcher>> {
        self.0.fetcher()
    }

    fn eof_received(&mut self) -> bool {
        self.0.eof_received()
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

/// The same of one with a buffer.
struct Buffered<P, R>(P, PhantomData<R>);

impl<P: BufferedProtocol<R>, R: CallbackOutput> Receiver for Buffered<P, R> {
    const BUFFERED: bool = true;

    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.connection_made(transport).into_result()
    }

    fn data_received(&mut self, _: &[u8]) -> Result {
        Err(Error::text(ErrorKind::Type, "the protocol reads into a buffer of its own"))
    }

    fn fill(&mut self, read: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>) -> Result<Filled> {
        let buffer = self.0.get_buffer(SIZE_HINT);
        if buffer.is_empty() {
            let text = "get_buffer() gave an empty buffer";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        let (room, read) = (buffer.len(), read(buffer));
        if let Ok(length @ 1..) = read {
            self.0.buffer_updated(length).into_result()?;
        }
        Ok(Filled { room, read })
    }

    fn fetcher(&self) -> Option<Rc<dyn Fetcher>> {
        None
    }

    fn eof_received(&mut self) -> bool {
        self.0.eof_received()
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

/// A protocol, seen from outside by its type.
pub(crate) trait Holder<P> {
    fn with(&self, look: &mut dyn FnMut(&mut P)) -> Option<Result>;
    /// The protocol, if this is the only handle.
    fn into_inner(self: Rc<Self>) -> Option<P>;
}

macro_rules! holds {
    ($($shell:ident of $protocol:ident),+) => {$(
        impl<P: $protocol<R>, R: CallbackOutput> Holder<P> for Held<$shell<P, R>> {
            fn with(&self, look: &mut dyn FnMut(&mut P)) -> Option<Result> {
                self.call(|shell| {
                    look(&mut shell.0);
                    Ok(())
                })
            }

            fn into_inner(self: Rc<Self>) -> Option<P> {
                Rc::into_inner(self).map(|held| held.into_inner().0)
            }
        }

        impl<P: $protocol<R>, R: CallbackOutput> IntoProtocol<kinds::$shell<R>> for P {
            fn into_handle(self) -> ProtocolHandle<P> {
                let held = Rc::new(Held::new($shell(self, PhantomData)));
                ProtocolHandle { typed: held.clone(), erased: ProtocolRef::new(held) }
            }
        }
    )+};
}

holds!(Plain of Protocol, Buffered of BufferedProtocol);

/// The two sorts of protocols, so that one method takes both.
#[doc(hidden)]
pub mod kinds {
    use std::marker::PhantomData;

    /// [`Protocol<R>`](super::Protocol).
    #[derive(Debug)]
    pub struct Plain<R>(PhantomData<R>);

    /// [`BufferedProtocol<R>`](super::BufferedProtocol).
    #[derive(Debug)]
    pub struct Buffered<R>(PhantomData<R>);
}

/// What a protocol factory may give: a [`Protocol`] or a [`BufferedProtocol`], with
/// methods that return nothing or a `Result`. `K` tells which; it is inferred.
pub trait IntoProtocol<K>: Sized + 'static {
    /// The protocol as a transport and its owner hold it.
    fn into_handle(self) -> ProtocolHandle<Self>;
}

/// A protocol that belongs to a transport, for its owner to look at.
///
/// `E` is what it is without its type: a [`ProtocolRef`], or for datagrams a
/// [`DatagramProtocolRef`](crate::DatagramProtocolRef), or for a process a
/// `SubprocessProtocolRef`. A handle; clones are the same protocol.
pub struct ProtocolHandle<P, E = ProtocolRef> {
    typed: Rc<dyn Holder<P>>,
    erased: E,
}

impl<P, E: Clone> ProtocolHandle<P, E> {
    pub(crate) fn of(typed: Rc<dyn Holder<P>>, erased: E) -> ProtocolHandle<P, E> {
        ProtocolHandle { typed, erased }
    }

    /// Calls `look` with the protocol. It cannot wait meanwhile, and what happens to the
    /// connection is told to the protocol after it.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` from within a callback of this protocol; kind `Panic` if `look`
    /// panics.
    pub fn with<T>(&self, look: impl FnOnce(&mut P) -> T) -> Result<T> {
        let (mut look, mut seen) = (Some(look), None);
        let looked = self.typed.with(&mut |protocol| {
            seen = look.take().map(|look| look(protocol));
        });
        looked.ok_or_else(busy)??;
        seen.ok_or_else(busy)
    }

    /// The protocol itself, once its connection is lost.
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if a transport or another handle still has it.
    pub fn into_inner(self) -> Result<P> {
        drop(self.erased);
        self.typed.into_inner().ok_or_else(|| {
            let text = "into_inner: a transport or another handle has the protocol as well";
            Error::text(ErrorKind::Runtime, text)
        })
    }

    /// Without its type, as a transport knows it.
    pub fn erased(&self) -> E {
        self.erased.clone()
    }
}

impl<P, E: Clone> Clone for ProtocolHandle<P, E> {
    fn clone(&self) -> ProtocolHandle<P, E> {
        ProtocolHandle { typed: self.typed.clone(), erased: self.erased.clone() }
    }
}

impl<P> From<ProtocolHandle<P>> for ProtocolRef {
    fn from(handle: ProtocolHandle<P>) -> ProtocolRef {
        handle.erased
    }
}

impl<P> From<&ProtocolHandle<P>> for ProtocolRef {
    fn from(handle: &ProtocolHandle<P>) -> ProtocolRef {
        handle.erased()
    }
}

impl<P, E> fmt::Debug for ProtocolHandle<P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProtocolHandle")
    }
}
