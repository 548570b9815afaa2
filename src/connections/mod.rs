//! Connections for protocols: made by the loop, or of a socket that there is.

mod attaching;
mod connector;
mod joint;
mod pair;
mod pipes;
#[cfg(feature = "tls")]
mod secure;

pub use attaching::Connected;
pub(crate) use attaching::{Layer, attach};
pub use connector::Connector;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use crate::base_events::{EventLoop, get_running_loop};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::protocols::IntoProtocol;
use crate::resolver::ToAddrs;

impl EventLoop {
    /// Connects by TCP and gives the connection to the protocol that `factory` makes
    /// (`loop.create_connection`). With options: [`Connector`].
    ///
    /// ```
    /// use stackio::{Error, Future, Protocol, Transport, get_running_loop};
    ///
    /// struct Echo(Option<Transport>);
    /// impl Protocol for Echo {
    ///     fn connection_made(&mut self, transport: &Transport) {
    ///         self.0 = Some(transport.clone());
    ///     }
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         self.0.iter().for_each(|transport| transport.write(data));
    ///     }
    /// }
    ///
    /// struct Client {
    ///     answer: Vec<u8>,
    ///     done: Future<Vec<u8>>,
    /// }
    /// impl Protocol for Client {
    ///     fn connection_made(&mut self, transport: &Transport) {
    ///         transport.write(b"hello");
    ///         transport.write_eof();
    ///     }
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         self.answer.extend_from_slice(data);
    ///     }
    ///     fn connection_lost(&mut self, _: Option<Error>) {
    ///         let _ = self.done.set_result(std::mem::take(&mut self.answer));
    ///     }
    /// }
    ///
    /// stackio::run(|| {
    ///     let event_loop = get_running_loop()?;
    ///     let server = event_loop.create_server(|| Echo(None), "127.0.0.1:0")?;
    ///     let done = Future::new();
    ///     let client = Client { answer: vec![], done: done.clone() };
    ///     event_loop.create_connection(|| client, server.local_addrs()[0])?;
    ///     assert_eq!(done.wait()?, b"hello");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Connector::create_connection`].
    #[track_caller]
    pub fn create_connection<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        address: impl ToAddrs,
    ) -> Result<Connected<P>> {
        self.check_current("create_connection")?;
        Connector::new().create_connection(factory, address)
    }

    /// Connects to a Unix socket (`loop.create_unix_connection`).
    ///
    /// # Errors
    ///
    /// As [`Connector::create_unix_connection`].
    #[track_caller]
    pub fn create_unix_connection<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        path: impl AsRef<Path>,
    ) -> Result<Connected<P>> {
        self.check_current("create_unix_connection")?;
        Connector::new().create_unix_connection(factory, path)
    }

    /// Gives a connection that was accepted elsewhere to a protocol
    /// (`loop.connect_accepted_socket`).
    ///
    /// # Errors
    ///
    /// As [`Connector::adopt`].
    #[track_caller]
    pub fn connect_accepted_socket<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnOnce() -> P,
        socket: impl Into<OwnedFd>,
    ) -> Result<Connected<P>> {
        self.check_current("connect_accepted_socket")?;
        Connector::new().adopt(factory, socket)
    }

    /// That this is the loop that runs: what waits can only wait in its own.
    pub(crate) fn check_current(&self, operation: &str) -> Result {
        let running = get_running_loop()?;
        if Rc::ptr_eq(running.scheduler(), self.scheduler()) {
            return Ok(());
        }
        let text = format!("{operation}: another loop is running; call it on that one");
        Err(Error::text(ErrorKind::Runtime, text))
    }
}
