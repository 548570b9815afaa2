//! HTTP used as a transport: what is written is the body of a message, and the body of a message
//! is what is received.
//!
//! ```text
//!             data_received              data_received
//!   TCP  ----------------------> Http ---------------------->  protocol above
//!    ^                                                              |
//!    +------- write, with head ------- HttpTransport <--- write ----+
//! ```
//!
//! A client sends a request for each write. A server answers a request with what the protocol
//! above wrote while it was given the body; it cannot say anything by itself, as HTTP is.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use stackio::transports::{BaseTransport, ReadTransport, WriteTransport};
use stackio::{
    Error, ErrorKind, ExtraInfo, FlowControl, IntoProtocol, Protocol, ProtocolRef, Result,
    Transport,
};

/// The largest head and body, in bytes, and how many lines a head may have.
const LARGEST_HEAD: usize = 16 * 1024;
const LARGEST_BODY: usize = 1024 * 1024;
const MOST_HEADERS: usize = 32;

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Client,
    Server,
}

/// The protocol of HTTP/1.1 messages with a length, on whatever transport there is.
pub struct Http {
    buffer: Vec<u8>,
    above: Rc<HttpTransport>,
}

impl Http {
    pub fn client<P: IntoProtocol<K>, K>(protocol: P) -> Http {
        Http::new(Side::Client, protocol.into_handle().into())
    }

    pub fn server<P: IntoProtocol<K>, K>(protocol: P) -> Http {
        Http::new(Side::Server, protocol.into_handle().into())
    }

    fn new(side: Side, protocol: ProtocolRef) -> Http {
        let above = Rc::new(HttpTransport {
            side,
            below: OnceCell::new(),
            protocol: RefCell::new(Some(protocol)),
            flow: FlowControl::default(),
            answer: RefCell::new(None),
            refused: Cell::new(false),
        });
        Http { buffer: Vec::new(), above }
    }

    fn with_protocol(&self, call: impl FnOnce(&ProtocolRef) -> Result) -> Result {
        let protocol = self.above.protocol.borrow().clone();
        protocol.map_or(Ok(()), |protocol| call(&protocol))
    }

    /// Takes the next message off the buffer, if it is complete: its body.
    fn next_body(&mut self) -> Result<Option<Vec<u8>>> {
        let Some((head, body)) = lengths(self.above.side, &self.buffer)? else { return Ok(None) };
        if self.buffer.len() < head + body {
            return Ok(None);
        }
        let message: Vec<u8> = self.buffer.drain(..head + body).collect();
        Ok(Some(message[head..].to_vec()))
    }
}

/// The length of the head and that of the body; `None` if the head is not complete.
fn lengths(side: Side, data: &[u8]) -> Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let (parsed, headers) = match side {
        Side::Client => {
            let mut response = httparse::Response::new(&mut headers);
            let parsed = response.parse(data)?;
            if response.code.is_some_and(|code| !(200..300).contains(&code)) {
                return Err(invalid("the server refuses"));
            }
            (parsed, response.headers)
        }
        Side::Server => {
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(data)?;
            if request.method.is_some_and(|method| method != "POST") {
                return Err(invalid("only POST is served"));
            }
            (parsed, request.headers)
        }
    };
    let httparse::Status::Complete(head) = parsed else {
        return if data.len() > LARGEST_HEAD {
            Err(invalid("the head is too large"))
        } else {
            Ok(None)
        };
    };
    let mut length = 0;
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value)?.trim().parse()?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(invalid("only bodies with a length are understood"));
        }
    }
    if length > LARGEST_BODY {
        return Err(invalid("the body is too large"));
    }
    Ok(Some((head, length)))
}

fn invalid(text: &str) -> Error {
    Error::with_message(ErrorKind::Value, text)
}

impl Protocol<Result> for Http {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let _made_once = self.above.below.set(transport.clone());
        let above = Transport::new(self.above.clone());
        self.with_protocol(|protocol| protocol.connection_made(&above))
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        self.buffer.extend_from_slice(data);
        while let Some(body) = self.next_body()? {
            if self.above.side == Side::Server {
                *self.above.answer.borrow_mut() = Some(Vec::new());
            }
            let received = match body.is_empty() {
                true => Ok(()),
                false => self.with_protocol(|protocol| protocol.data_received(&body)),
            };
            let answer = self.above.answer.take();
            received?;
            if let Some(answer) = answer {
                self.above.respond(&answer)?;
            }
        }
        Ok(())
    }

    fn eof_received(&mut self) -> bool {
        let protocol = self.above.protocol.borrow().clone();
        protocol.is_some_and(|protocol| protocol.eof_received().unwrap_or(false))
    }

    fn pause_writing(&mut self) -> Result {
        self.above.look_at_flow();
        self.with_protocol(ProtocolRef::pause_writing)
    }

    fn resume_writing(&mut self) -> Result {
        self.above.look_at_flow();
        self.with_protocol(ProtocolRef::resume_writing)
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        self.above.flow.stop();
        let protocol = self.above.protocol.take();
        protocol.map_or(Ok(()), |protocol| protocol.connection_lost(error))
    }
}

/// The transport that the protocol above gets.
struct HttpTransport {
    side: Side,
    below: OnceCell<Transport>,
    protocol: RefCell<Option<ProtocolRef>>,
    /// With the marks of the transport below, for producers.
    flow: FlowControl,
    /// What a server says to the request that it deals with.
    answer: RefCell<Option<Vec<u8>>>,
    refused: Cell<bool>,
}

impl HttpTransport {
    /// The one below, which is there when a protocol is told of this one.
    fn below(&self) -> &Transport {
        self.below.get().expect("the protocol above learns of this after the one below")
    }

    /// Has a producer told to pause or to go on, if it is time.
    fn look_at_flow(&self) {
        // The protocol above is told by the one below.
        let _crossed = self.flow.update(self.get_write_buffer_size());
    }

    fn respond(&self, body: &[u8]) -> Result {
        let head = match body.is_empty() {
            true => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            false => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            ),
        };
        self.below().try_writelines([head.as_bytes(), body])
    }
}

impl BaseTransport for HttpTransport {
    fn close(&self) {
        self.below().close();
    }

    fn is_closing(&self) -> bool {
        self.below().is_closing()
    }

    fn get_extra_info(&self) -> ExtraInfo {
        self.below().get_extra_info()
    }

    fn set_protocol(&self, protocol: ProtocolRef) {
        let former = self.protocol.replace(Some(protocol));
        drop(former);
    }

    fn get_protocol(&self) -> Option<ProtocolRef> {
        self.protocol.borrow().clone()
    }
}

impl ReadTransport for HttpTransport {
    fn is_reading(&self) -> bool {
        self.below().is_reading()
    }

    fn pause_reading(&self) {
        self.below().pause_reading();
    }

    fn resume_reading(&self) {
        self.below().resume_reading();
    }
}

impl WriteTransport for HttpTransport {
    fn try_write(&self, data: &[u8]) -> Result {
        match (self.side, &mut *self.answer.borrow_mut()) {
            (Side::Client, _) => {}
            (Side::Server, Some(answer)) => {
                answer.extend_from_slice(data);
                return Ok(());
            }
            (Side::Server, None) => {
                let text = "write: a server of HTTP can only answer";
                return Err(Error::with_message(ErrorKind::Runtime, text));
            }
        }
        let head = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            data.len()
        );
        self.below().try_writelines([head.as_bytes(), data])?;
        self.look_at_flow();
        Ok(())
    }

    fn try_write_eof(&self) -> Result {
        self.below().try_write_eof()
    }

    fn can_write_eof(&self) -> bool {
        self.below().can_write_eof()
    }

    fn get_write_buffer_size(&self) -> usize {
        self.below().get_write_buffer_size()
    }

    fn flow_control(&self) -> &FlowControl {
        &self.flow
    }

    fn limits_changed(&self) {
        let (low, high) = self.flow.limits();
        if let Err(error) = self.below().set_write_buffer_limits(high, low) {
            self.write_refused(error);
        }
        self.look_at_flow();
    }

    fn abort_with(&self, error: Option<Error>) {
        match error {
            Some(error) => self.below().abort_with(error),
            None => self.below().abort(),
        }
    }

    fn write_refused(&self, error: Error) {
        if !self.refused.replace(true) {
            eprintln!("{error}");
        }
    }
}
