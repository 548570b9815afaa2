//! How a server is made.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::panic::Location;
use std::path::Path;
use std::rc::{Rc, Weak};

use socket2::{Socket, Type};

use super::accepting::{Acceptor, Reception};
use super::{ClosedWithLoop, Handlers, Inner, Server, give_way};
use crate::base_events::{EventLoop, get_running_loop};
use crate::connecting::{BindOptions, SocketFile, open_bound, open_unix_bound, unix_name};
use crate::connections::Layer;
use crate::constants::BACKLOG;
use crate::exceptions::Result;
use crate::protocols::IntoProtocol;
use crate::resolver::ToAddrs;
use crate::transports::extra::Address;
use crate::waiters::Waiters;

/// How to serve: the keyword arguments of asyncio's `create_server`.
///
/// ```
/// use stackio::{Protocol, ServerBuilder};
///
/// struct Silent;
/// impl Protocol for Silent {}
///
/// stackio::run(|| {
///     let builder = ServerBuilder::new().backlog(16).start_serving(false);
///     let server = builder.create_server(|| Silent, "127.0.0.1:0")?;
///     assert!(!server.is_serving());
///     server.start_serving()?;
///     assert!(server.is_serving());
///     server.close();
///     Ok(())
/// })?;
/// # Ok::<(), stackio::Error>(())
/// ```
#[derive(Clone)]
pub struct ServerBuilder {
    bind: BindOptions,
    keep_alive: bool,
    nagle: bool,
    start_serving: bool,
    cleanup_socket: bool,
    layer: Option<Rc<dyn Layer>>,
    /// The limit of a stream's reader, in bytes.
    pub(crate) stream_limit: Option<usize>,
    /// Those of the one server that this is for, if it has any.
    pub(crate) handlers: Rc<Handlers>,
}

impl Default for ServerBuilder {
    fn default() -> ServerBuilder {
        ServerBuilder::new()
    }
}

impl ServerBuilder {
    /// As asyncio serves if nothing else is said: the address can be used again at once
    /// after a server has ended, and IPv6 addresses are for IPv6 only.
    pub fn new() -> ServerBuilder {
        let bind = BindOptions { v6only: Some(true), ..BindOptions::default() };
        ServerBuilder {
            bind,
            keep_alive: false,
            nagle: false,
            start_serving: true,
            cleanup_socket: true,
            layer: None,
            stream_limit: None,
            handlers: Rc::default(),
        }
    }

    /// Whether the address may still be that of connections that have ended
    /// (`SO_REUSEADDR`); it may if this is not set.
    #[must_use]
    pub fn reuse_address(mut self, reuse: bool) -> ServerBuilder {
        self.bind.reuse_address = Some(reuse);
        self
    }

    /// Whether other servers may listen at the same address, if all say so; the system
    /// shares out the connections (`SO_REUSEPORT`). This is how one loop a core works.
    #[must_use]
    pub fn reuse_port(mut self, reuse: bool) -> ServerBuilder {
        self.bind.reuse_port = reuse;
        self
    }

    /// How many connections may wait to be accepted; 1,024 if this is not set.
    #[must_use]
    pub fn backlog(mut self, count: u32) -> ServerBuilder {
        self.bind.backlog = Some(count);
        self
    }

    /// Whether the system looks from time to time if idle peers are still there
    /// (`SO_KEEPALIVE`).
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: bool) -> ServerBuilder {
        self.keep_alive = keep_alive;
        self
    }

    /// Whether small writes may be put together by the system (Nagle's algorithm). As in
    /// asyncio they are sent at once if this is not set.
    #[must_use]
    pub fn nagle(mut self, nagle: bool) -> ServerBuilder {
        self.nagle = nagle;
        self
    }

    /// Whether connections are accepted at once. If not,
    /// [`Server::start_serving`] or [`serve_forever`](Server::serve_forever) begins.
    #[must_use]
    pub fn start_serving(mut self, start: bool) -> ServerBuilder {
        self.start_serving = start;
        self
    }

    /// Whether the file of a Unix socket is removed when the server is closed; it is if
    /// this is not set.
    #[must_use]
    pub fn cleanup_socket(mut self, cleanup: bool) -> ServerBuilder {
        self.cleanup_socket = cleanup;
        self
    }

    /// Serves by TLS (`ssl`). A protocol is told of its connection when the handshake is
    /// done; of one whose handshake fails it is told nothing. When the client says that it
    /// will write no more (`close_notify`) the connection ends, as in asyncio: unlike TCP,
    /// TLS has no half that stays open here.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: &crate::tls::ServerConfig) -> ServerBuilder {
        self.layer = Some(Rc::new(crate::tls::Side::from(config)));
        self
    }

    /// Listens at the address, all of them if it has several (`loop.create_server`).
    ///
    /// # Errors
    ///
    /// As [`EventLoop::create_server`].
    #[track_caller]
    pub fn create_server<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnMut() -> P + 'static,
        address: impl ToAddrs,
    ) -> Result<Server> {
        let mut addresses = address.to_addrs()?;
        addresses.sort_unstable();
        addresses.dedup();
        let (mut sockets, mut unavailable) = (Vec::new(), None);
        for address in addresses {
            match open_bound(&address.into(), &self.bind) {
                Ok(socket) => sockets.push(socket),
                Err(error) => {
                    let text = format!("cannot bind to {address}: {error}");
                    let failure = io::Error::new(error.kind(), text);
                    // A family that the machine does not have, as asyncio assumes.
                    if error.kind() != io::ErrorKind::AddrNotAvailable {
                        return Err(failure.into());
                    }
                    unavailable = Some(failure);
                }
            }
        }
        match unavailable {
            Some(failure) if sockets.is_empty() => Err(failure.into()),
            _ => {
                let inherited = self.bequeath(&sockets)?;
                self.serve(factory, sockets, None, inherited)
            }
        }
    }

    /// Listens at a Unix socket (`loop.create_unix_server`).
    ///
    /// # Errors
    ///
    /// As [`EventLoop::create_unix_server`].
    #[track_caller]
    pub fn create_unix_server<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnMut() -> P + 'static,
        path: impl AsRef<Path>,
    ) -> Result<Server> {
        let (socket, mut file) = open_unix_bound(&unix_name(path.as_ref())?, &self.bind)?;
        if !self.cleanup_socket {
            file.iter_mut().for_each(SocketFile::leave);
        }
        self.serve(factory, vec![socket], file, false)
    }

    /// Serves on a socket that there is, bound or listening (`create_server` with
    /// `sock`).
    ///
    /// # Errors
    ///
    /// Those of the system; `InvalidInput` for what is no stream socket.
    #[track_caller]
    pub fn adopt<P: IntoProtocol<K>, K>(
        &self,
        factory: impl FnMut() -> P + 'static,
        socket: impl Into<OwnedFd>,
    ) -> Result<Server> {
        let socket = Socket::from(socket.into());
        if socket.r#type()? != Type::STREAM {
            let text = "a stream socket was expected";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text).into());
        }
        self.serve(factory, vec![socket], None, false)
    }

    /// Sets on listeners of our own what holds for their connections then, where the
    /// system has it so; whether it has.
    fn bequeath(&self, listeners: &[Socket]) -> io::Result<bool> {
        let inherited = cfg!(any(target_os = "linux", target_os = "android"));
        for listener in listeners.iter().filter(|_| inherited) {
            listener.set_tcp_nodelay(!self.nagle)?;
            listener.set_keepalive(self.keep_alive)?;
        }
        Ok(inherited)
    }

    /// `inherited` are options that connections have of these listeners.
    #[track_caller]
    pub(super) fn serve<P: IntoProtocol<K>, K>(
        &self,
        mut factory: impl FnMut() -> P + 'static,
        sockets: Vec<Socket>,
        file: Option<SocketFile>,
        inherited: bool,
    ) -> Result<Server> {
        let event_loop = get_running_loop()?;
        let factory = Rc::new(RefCell::new(move || factory().into_handle().erased()));
        let reception = Rc::new(Reception {
            factory,
            layer: self.layer.clone(),
            nodelay: (!inherited).then_some(!self.nagle),
            keep_alive: self.keep_alive && !inherited,
            made_at: Location::caller(),
        });
        for socket in &sockets {
            socket.set_nonblocking(true)?;
        }
        let server = self.assemble(&event_loop, &reception, sockets)?;
        *server.0.file.borrow_mut() = file;
        let closing = Rc::new(ClosedWithLoop(Rc::downgrade(&server.0)));
        server.0.place.set(Some(server.0.scheduler.keep(closing)));
        if self.start_serving
            && let Err(error) = server.start_serving().and_then(|()| give_way())
        {
            // Nobody gets a handle to close it by.
            server.close();
            return Err(error);
        }
        Ok(server)
    }

    fn assemble(
        &self,
        event_loop: &EventLoop,
        reception: &Rc<Reception>,
        sockets: Vec<Socket>,
    ) -> Result<Server> {
        let backlog =
            self.bind.backlog.map_or(BACKLOG, |count| count.try_into().unwrap_or(i32::MAX));
        let addresses = sockets.iter().filter_map(Address::local).collect();
        let make = |home: &Weak<Inner>| {
            let acceptor = |socket| {
                let home_loop = (event_loop.scheduler().clone(), event_loop.driver().clone());
                Acceptor::new(home, reception.clone(), home_loop, (socket, backlog))
            };
            Inner {
                event_loop: Rc::downgrade(&event_loop.0),
                scheduler: event_loop.scheduler().clone(),
                acceptors: RefCell::new(Some(sockets.into_iter().map(acceptor).collect())),
                addresses,
                file: RefCell::new(None),
                place: Cell::new(None),
                serving: Cell::new(false),
                clients: RefCell::default(),
                next_client: Cell::new(0),
                handlers: self.handlers.clone(),
                closed: Waiters::default(),
                forever: RefCell::new(None),
            }
        };
        Ok(Server(Rc::new_cyclic(make)))
    }
}
