//! Connections kept open from one request to the next, per host.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use stackio::Result;
use stackio::net::{TcpStream, ToAddrs};
use url::{Host, Position, Url};

use crate::http::{self, Connection, Limits, Request, Response};

/// The connections of one crawl.
pub struct Pool {
    limits: Limits,
    idle: RefCell<HashMap<String, Vec<Connection<TcpStream>>>>,
    /// A name is resolved once: the answer outlives a crawl.
    addresses: RefCell<HashMap<String, Vec<SocketAddr>>>,
    pub opened: Cell<u64>,
    pub reused: Cell<u64>,
    pub retried: Cell<u64>,
}

impl Pool {
    pub fn new(limits: Limits) -> Pool {
        Pool {
            limits,
            idle: RefCell::default(),
            addresses: RefCell::default(),
            opened: Cell::new(0),
            reused: Cell::new(0),
            retried: Cell::new(0),
        }
    }

    /// GETs one URL.
    ///
    /// A connection kept open may have been closed by the server in the meantime, which shows
    /// only when it is used: then a fresh one gets its chance.
    pub fn get(&self, url: &Url) -> Result<Response> {
        if let Some(kept) = self.take(url) {
            bump(&self.reused);
            match self.exchange(kept, url) {
                // 408 was on its way before our request was: it is about the idle time.
                Ok(response) if response.status != 408 => return Ok(response),
                Err(error) if !http::is_no_response(&error) => return Err(error.into()),
                Ok(_) | Err(_) => bump(&self.retried),
            }
        }
        let fresh = self.connect(url)?;
        Ok(self.exchange(fresh, url)?)
    }

    /// Opens a connection to the server of `url` before there is anything to ask for.
    pub fn warm(&self, url: &Url) -> Result {
        let connection = self.connect(url)?;
        self.keep(url, connection);
        Ok(())
    }

    fn exchange(&self, mut connection: Connection<TcpStream>, url: &Url) -> io::Result<Response> {
        let request = Request {
            method: "GET",
            // As the URL has it: brackets around IPv6, and the port unless it is the usual one.
            host: &url[Position::BeforeHost..Position::AfterPort],
            target: &url[Position::BeforePath..Position::AfterQuery],
        };
        let response = connection.exchange(&request, self.limits)?;
        if response.keep_alive {
            self.keep(url, connection);
        }
        Ok(response)
    }

    fn connect(&self, url: &Url) -> Result<Connection<TcpStream>> {
        let addresses = self.resolve(url)?;
        let stream = TcpStream::connect(addresses.as_slice())?;
        bump(&self.opened);
        stream.set_nodelay(true)?;
        Ok(Connection::new(stream))
    }

    fn resolve(&self, url: &Url) -> Result<Vec<SocketAddr>> {
        let port = url.port_or_known_default().unwrap_or(80);
        let name = match url.host() {
            Some(Host::Ipv4(address)) => return Ok(vec![(address, port).into()]),
            Some(Host::Ipv6(address)) => return Ok(vec![(address, port).into()]),
            Some(Host::Domain(name)) => name.to_owned(),
            None => return Err(io::Error::other("a URL without a host").into()),
        };
        if let Some(known) = self.addresses.borrow().get(key(url)) {
            return Ok(known.clone());
        }
        let found = (name, port).to_addrs()?;
        let mut addresses = self.addresses.borrow_mut();
        addresses.insert(key(url).to_owned(), found.clone());
        Ok(found)
    }

    fn take(&self, url: &Url) -> Option<Connection<TcpStream>> {
        self.idle.borrow_mut().get_mut(key(url))?.pop()
    }

    fn keep(&self, url: &Url, connection: Connection<TcpStream>) {
        let mut idle = self.idle.borrow_mut();
        idle.entry(key(url).to_owned()).or_default().push(connection);
    }
}

/// What connections of one server have in common.
fn key(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

fn bump(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
