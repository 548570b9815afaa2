//! Connections kept open from one request to the next, per host; with TLS or without.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;

use stackio::Result;
use stackio::net::{TcpStream, ToAddrs};
use stackio::tls::{ClientConfig, TlsStream};
use url::{Host, Position, Url};

use crate::http::{self, Connection, Limits, Request, Response};

/// What an HTTP connection runs over.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

/// The connections of one crawl.
pub struct Pool {
    limits: Limits,
    /// For sites that are served by https.
    tls: Option<ClientConfig>,
    idle: RefCell<HashMap<String, Vec<Connection<Stream>>>>,
    /// A name is resolved once: the answer outlives a crawl.
    addresses: RefCell<HashMap<String, Vec<SocketAddr>>>,
    pub opened: Cell<u64>,
    pub reused: Cell<u64>,
    pub retried: Cell<u64>,
}

impl Pool {
    pub fn new(limits: Limits, tls: Option<ClientConfig>) -> Pool {
        Pool {
            limits,
            tls,
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

    fn exchange(&self, mut connection: Connection<Stream>, url: &Url) -> io::Result<Response> {
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

    fn connect(&self, url: &Url) -> Result<Connection<Stream>> {
        let addresses = self.resolve(url)?;
        let stream = TcpStream::connect(addresses.as_slice())?;
        bump(&self.opened);
        stream.set_nodelay(true)?;
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(config) => {
                let name = url.host_str().unwrap_or_default();
                // An IPv6 address has brackets in a URL, and none in a certificate.
                let name = name.trim_start_matches('[').trim_end_matches(']');
                Stream::Tls(Box::new(TlsStream::connect(config, name, stream)?))
            }
        };
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

    fn take(&self, url: &Url) -> Option<Connection<Stream>> {
        self.idle.borrow_mut().get_mut(key(url))?.pop()
    }

    fn keep(&self, url: &Url, connection: Connection<Stream>) {
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
