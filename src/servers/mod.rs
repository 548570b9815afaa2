//! Servers: a protocol for each connection that comes.

mod handlers;
mod accepting;
mod builder;

pub use builder::ServerBuilder;

pub(crate) use handlers::{Handlers, Served};

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::{Rc, Weak};
use std::time::Duration;

use crate::base_events::{self, EventLoop};
use crate::connecting::SocketFile;
use crate::coroutines::yield_now;
use crate::events::{Kept, Scheduler};
use crate::exceptions::{Error, ErrorKind, Result};
use crate::futures::Future;
use crate::protocols::IntoProtocol;
use crate::resolver::ToAddrs;
use crate::timeouts::timeout;
use crate::transports::extra::Address;
use crate::transports::interface::Transport;
use crate::waiters::Waiters;

use self::accepting::Acceptor;

/// What listens, and makes a protocol for each connection (`asyncio.Server`).
///
/// A handle; clones are the same server, and it goes on without any, until it is closed or
/// its loop is. So its own factory may have one, to close it for instance.
///
/// # To end in order
///
/// A service manager asks by SIGTERM. Whoever waits for that needs no
/// [`serve_forever`](Server::serve_forever), since a server serves while others wait:
///
/// ```
/// use stackio::signals::{self, Signal};
/// use stackio::{StreamReader, StreamWriter, open_connection, secs, start_server};
///
/// fn shout(reader: StreamReader, writer: StreamWriter) -> stackio::Result {
///     loop {
///         let line = reader.readline()?;
///         if line.is_empty() {
///             return Ok(());
///         }
///         writer.write(&line.to_ascii_uppercase());
///         writer.drain()?;
///     }
/// }
///
/// stackio::run(|| {
///     let server = start_server(shout, "127.0.0.1:0")?;
/// #   let address = server.local_addrs()[0];
/// #   let client = stackio::spawn(move || {
/// #       let (reader, writer) = open_connection(address)?;
/// #       writer.write(b"early\n");
/// #       assert_eq!(reader.readline()?, b"EARLY\n");
/// #       std::process::Command::new("sh").args(["-c", "kill -TERM $PPID"]).status()?;
/// #       writer.write(b"late, but not too late\n");
/// #       reader.readline()
/// #   });
///     signals::wait(Signal::TERM)?;
///     // No connections any more; those that there are get ten seconds.
///     let aborted = server.drain(secs(10))?;
/// #   assert_eq!(client.join()?, b"LATE, BUT NOT TOO LATE\n");
///     assert_eq!(aborted, 0);
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
///
/// A task that is in `serve_forever` meanwhile gets an error of kind `Cancelled`, as it
/// would if it were cancelled itself; [`AnyTask::cancelling`](crate::AnyTask::cancelling)
/// tells which: it is 0 if only the server was closed.
pub struct Server(Rc<Inner>);

pub(crate) struct Inner {
    event_loop: Weak<base_events::Inner>,
    scheduler: Rc<Scheduler>,
    /// None once it is closed.
    acceptors: RefCell<Option<Vec<Rc<Acceptor>>>>,
    addresses: Vec<Address>,
    /// The file of a Unix socket, which goes with it.
    file: RefCell<Option<SocketFile>>,
    /// Where the scheduler keeps what closes it with the loop.
    place: Cell<Option<usize>>,
    serving: Cell<bool>,
    clients: RefCell<BTreeMap<u64, Transport>>,
    next_client: Cell<u64>,
    handlers: Rc<Handlers>,
    /// Who waits until it is closed and the last connection has ended.
    closed: Waiters,
    /// What `serve_forever` waits for.
    forever: RefCell<Option<Future<()>>>,
}

impl Inner {
    /// The number of a connection that is about to be made.
    fn new_client_number(&self) -> u64 {
        self.next_client.replace(self.next_client.get() + 1)
    }

    fn attach(&self, number: u64, transport: Transport) {
        self.clients.borrow_mut().insert(number, transport);
    }

    fn detach(&self, number: u64) {
        let client = self.clients.borrow_mut().remove(&number);
        drop(client);
        self.wake_if_ended();
    }

    fn has_ended(&self) -> bool {
        self.acceptors.borrow().is_none() && self.clients.borrow().is_empty()
    }

    fn wake_if_ended(&self) {
        if self.has_ended() {
            self.closed.wake_all();
        }
    }

    fn close(&self) {
        let acceptors = self.acceptors.take();
        let Some(acceptors) = acceptors else { return };
        acceptors.iter().for_each(|acceptor| acceptor.close());
        self.serving.set(false);
        self.leave();
        let file = self.file.take();
        drop(file);
        let forever = self.forever.take();
        if let Some(forever) = forever {
            forever.cancel();
        }
        self.wake_if_ended();
    }

    fn leave(&self) {
        if let Some(place) = self.place.take() {
            self.scheduler.forget(place);
        }
    }

    fn clients(&self) -> Vec<Transport> {
        self.clients.borrow().values().cloned().collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Closes a server with its loop: its factory may own it.
struct ClosedWithLoop(Weak<Inner>);

impl Kept for ClosedWithLoop {
    fn let_go(&self) {
        if let Some(server) = self.0.upgrade() {
            server.place.set(None);
            server.close();
        }
    }
}

impl Server {
    /// Starts to accept connections, if that has not begun (`server.start_serving`).
    ///
    /// # Errors
    ///
    /// Those of the system; kind `Runtime` if the server is closed.
    pub fn start_serving(&self) -> Result {
        let Some(acceptors) = self.0.acceptors.borrow().clone() else {
            return Err(Error::text(ErrorKind::Runtime, "start_serving: the server is closed"));
        };
        acceptors.iter().try_for_each(Acceptor::start)?;
        self.0.serving.set(true);
        Ok(())
    }

    /// Whether it accepts connections (`server.is_serving`).
    pub fn is_serving(&self) -> bool {
        self.0.serving.get()
    }

    /// The addresses it listens on; none once it is closed (`server.sockets`).
    #[doc(alias = "sockets")]
    pub fn addresses(&self) -> Vec<Address> {
        match &*self.0.acceptors.borrow() {
            Some(_) => self.0.addresses.clone(),
            None => Vec::new(),
        }
    }

    /// The same, those of TCP.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.addresses().iter().filter_map(Address::inet).collect()
    }

    /// How many connections there are.
    pub fn client_count(&self) -> usize {
        self.0.clients.borrow().len()
    }

    /// The loop that it serves on (`server.get_loop`).
    ///
    /// # Errors
    ///
    /// Kind `Runtime` if there is no such loop any more.
    pub fn get_loop(&self) -> Result<EventLoop> {
        let gone = || Error::text(ErrorKind::Runtime, "the loop of the server is gone");
        self.0.event_loop.upgrade().map(EventLoop).ok_or_else(gone)
    }

    /// Stops to listen (`server.close`). Connections that there are go on.
    pub fn close(&self) {
        self.0.close();
    }

    /// Closes all connections: what is buffered is sent (`server.close_clients`).
    pub fn close_clients(&self) {
        self.0.clients().iter().for_each(Transport::close);
    }

    /// Ends all connections at once (`server.abort_clients`).
    pub fn abort_clients(&self) {
        self.0.clients().iter().for_each(Transport::abort);
    }

    /// Waits until the server is closed and its last connection has ended
    /// (`server.wait_closed`).
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`; kind `Runtime` outside of a task.
    #[track_caller]
    pub fn wait_closed(&self) -> Result {
        if self.0.has_ended() {
            return Ok(());
        }
        let scheduler = self.0.scheduler.clone();
        self.0.closed.wait(
            &scheduler,
            || "a server to be closed",
            |woken| {
                if woken {
                    self.0.wake_if_ended();
                }
            },
        )
    }

    /// Ends in order: stops to listen, gives the connections so long to end by
    /// themselves, and aborts those that have not. How many that were.
    ///
    /// Of streams it waits for the handlers as well ([`wait_closed`](Server::wait_closed)
    /// does not, as in asyncio): one whose peer has gone may have work to finish. One that
    /// has not ended in time counts, with or without its connection; it is not cancelled,
    /// and as any task it goes on until the end of [`run`](crate::run). A handler that
    /// drains its own server waits for itself.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`, which leaves the connections that there are; kind `Runtime`
    /// outside of a task.
    #[track_caller]
    pub fn drain(&self, grace: Duration) -> Result<usize> {
        self.close();
        let wait = || self.wait_closed().and_then(|()| self.0.handlers.wait(&self.0.scheduler));
        match timeout(grace, |_| wait()) {
            Err(error) if error.kind() == ErrorKind::Timeout => {}
            ended => return ended.map(|()| 0),
        }
        let left = self.client_count() + self.0.handlers.left_alone();
        self.abort_clients();
        self.wait_closed()?;
        Ok(left)
    }

    /// Serves until the task is cancelled or the server closed
    /// (`server.serve_forever`), then closes it and waits until the last connection has
    /// ended.
    ///
    /// # Errors
    ///
    /// Kind `Cancelled`, which is how it ends, also by [`close`](Server::close) and
    /// [`drain`](Server::drain), as in asyncio: there [this](Server#to-end-in-order) is
    /// no failure. Kind `Runtime` if the server is closed, or another task is in here.
    #[track_caller]
    pub fn serve_forever(&self) -> Result {
        if self.0.forever.borrow().is_some() {
            let text = "serve_forever: another task is serving already";
            return Err(Error::text(ErrorKind::Runtime, text));
        }
        self.start_serving()?;
        let forever = Future::about("a server, for ever", self.0.scheduler.clone());
        *self.0.forever.borrow_mut() = Some(forever.clone());
        let ended = forever.join();
        let former = self.0.forever.take();
        drop(former);
        self.close();
        self.wait_closed()?;
        ended
    }
}

impl Clone for Server {
    fn clone(&self) -> Server {
        Server(self.0.clone())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (addresses, clients) = (self.addresses(), self.client_count());
        f.debug_struct("Server").field("addresses", &addresses).field("clients", &clients).finish()
    }
}

impl EventLoop {
    /// Listens at the address, all of them if it has several, and gives each connection
    /// to a protocol that `factory` makes (`loop.create_server`). With options:
    /// [`ServerBuilder`].
    ///
    /// A factory that panics loses its connection, and the exception handler is told.
    ///
    /// # Errors
    ///
    /// Those of the resolver and of the system, with the address; kind `Cancelled`; kind
    /// `Runtime` if another loop is running.
    #[track_caller]
    pub fn create_server<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnMut() -> P + 'static,
        address: impl ToAddrs,
    ) -> Result<Server> {
        self.check_current("create_server")?;
        ServerBuilder::new().create_server(factory, address)
    }

    /// The same at a Unix socket (`loop.create_unix_server`). A socket that somebody left
    /// there is replaced; the file is removed when the server is closed, if it is still
    /// the same. A path that begins with a zero byte is a name in Linux's abstract
    /// namespace.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if something else is there. As
    /// [`create_server`](EventLoop::create_server).
    #[track_caller]
    pub fn create_unix_server<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnMut() -> P + 'static,
        path: impl AsRef<Path>,
    ) -> Result<Server> {
        self.check_current("create_unix_server")?;
        ServerBuilder::new().create_unix_server(factory, path)
    }
}

/// Lets others take their turn once, as asyncio does after it has begun to listen.
#[track_caller]
fn give_way() -> Result {
    yield_now()
}

/// How a client finds the server it belongs to.
type Home = Weak<Inner>;
