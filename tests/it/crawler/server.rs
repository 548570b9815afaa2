//! A web server on threads, for what the example's own site does not do; each test says what
//! it answers, byte for byte.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// What to do with the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Keep,
    Close,
    /// Leave it open and never answer again.
    Stall,
}

/// A server that lives as long as the test process.
pub struct Server {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the target of each request and gives the bytes to send.
    pub fn start(answer: impl Fn(&str) -> (Vec<u8>, Then) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Server::serve(listener, answer)
    }

    pub fn serve(
        listener: TcpListener,
        answer: impl Fn(&str) -> (Vec<u8>, Then) + Send + Sync + 'static,
    ) -> Server {
        let address = listener.local_addr().expect("a bound socket");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&heads), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || connection(&stream, &log, &*answer));
            }
        });
        Server { address, heads }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The request heads so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The targets asked for so far.
    pub fn targets(&self) -> Vec<String> {
        let target = |head: &String| head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.heads().iter().map(target).collect()
    }
}

fn connection(
    mut stream: &TcpStream,
    log: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str) -> (Vec<u8>, Then),
) {
    let mut input = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match input.read_line(&mut head) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        }
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        log.lock().unwrap_or_else(PoisonError::into_inner).push(head);
        let (bytes, then) = answer(&target);
        // The client may hang up early: some answers are meant to make it.
        if stream.write_all(&bytes).is_err() {
            return;
        }
        match then {
            Then::Keep => {}
            Then::Close => return,
            Then::Stall => loop {
                thread::park();
            },
        }
    }
}

/// An HTML page by its length.
pub fn html(body: &str) -> (Vec<u8>, Then) {
    let head = format!("Content-Type: text/html\r\nContent-Length: {}\r\n", body.len());
    (format!("HTTP/1.1 200 OK\r\n{head}\r\n{body}").into_bytes(), Then::Keep)
}

/// An answer given as it is, after which the connection is closed.
pub fn raw(text: impl Into<Vec<u8>>) -> (Vec<u8>, Then) {
    (text.into(), Then::Close)
}

pub fn not_found() -> (Vec<u8>, Then) {
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), Then::Keep)
}

pub fn redirect(to: &str) -> (Vec<u8>, Then) {
    let head = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
    (head.into_bytes(), Then::Keep)
}

/// A page of links.
pub fn links(to: &[&str]) -> (Vec<u8>, Then) {
    let body: String = to.iter().map(|to| format!("<a href='{to}'>{to}</a>\n")).collect();
    html(&body)
}
