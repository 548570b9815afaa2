//! The HTTP/1.1 client: one request out, one response in, over anything that reads and writes.
//!
//! Nothing here knows of stackio: the code is what one writes for a blocking socket, which is
//! why it can be tried on a byte slice. A server is not trusted: every length is bounded, and
//! what breaks the protocol is an error that says so.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};

/// More header lines than this in one response is no honest server.
const MAX_HEADERS: usize = 128;
/// A chunk's size line, with its extensions.
const MAX_CHUNK_LINE: u64 = 4 * 1024;
/// Interim (1xx) responses before the real one.
const MAX_INTERIM: usize = 16;

/// What a response may cost at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub head: u64,
    pub body: u64,
}

/// What to ask for: `target` is the path with the query, `host` the value of the Host header.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    pub host: &'a str,
    pub target: &'a str,
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
}

impl Response {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        values(&self.headers, name).next()
    }
}

/// What a server did wrong; the payload of an `io::Error` of kind `InvalidData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Closed before a byte of a response; on a connection used before it is merely stale.
    NoResponse,
    HeadTruncated,
    HeadTooLarge(u64),
    HeadInvalid(String),
    TooManyInterim,
    BadLength(String),
    UnknownCoding(String),
    BadChunk,
    BodyTruncated {
        got: u64,
        want: Option<u64>,
    },
    BodyTooLarge(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoResponse => f.write_str("connection closed without a response"),
            Fault::HeadTruncated => f.write_str("connection closed within the response header"),
            Fault::HeadTooLarge(limit) => write!(f, "response header over {limit} bytes"),
            Fault::HeadInvalid(why) => write!(f, "invalid response header: {why}"),
            Fault::TooManyInterim => write!(f, "more than {MAX_INTERIM} interim responses"),
            Fault::BadLength(text) => write!(f, "bad content-length {text:?}"),
            Fault::UnknownCoding(text) => write!(f, "unknown transfer-encoding {text:?}"),
            Fault::BadChunk => f.write_str("bad chunk in the body"),
            Fault::BodyTruncated { got, want: Some(n) } => {
                write!(f, "body ended after {got} of {n} bytes")
            }
            Fault::BodyTruncated { got, want: None } => {
                write!(f, "body ended after {got} bytes, within a chunk")
            }
            Fault::BodyTooLarge(limit) => write!(f, "body over {limit} bytes"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

/// Whether the peer had hung up before it answered at all.
pub fn is_no_response(error: &io::Error) -> bool {
    let fault = error.get_ref().and_then(|e| e.downcast_ref::<Fault>());
    fault == Some(&Fault::NoResponse)
}

/// A connection to one server, good for one exchange after another.
#[derive(Debug)]
pub struct Connection<S> {
    stream: BufReader<S>,
}

impl<S: Read + Write> Connection<S> {
    pub fn new(stream: S) -> Self {
        let stream = BufReader::with_capacity(16 * 1024, stream);
        Connection { stream }
    }

    /// Sends the request and reads the whole response.
    pub fn exchange(&mut self, request: &Request<'_>, limits: Limits) -> io::Result<Response> {
        self.send(request).and_then(|()| self.stream.fill_buf().map(drop)).map_err(hung_up)?;
        let head = self.final_head(limits.head)?;
        let framing = head.framing(request.method)?;
        let body = match framing {
            Framing::None => Vec::new(),
            Framing::Length(length) => self.sized_body(length, limits.body)?,
            Framing::Chunked => self.chunked_body(limits)?,
            Framing::Close => self.rest(limits.body)?,
        };
        // Bytes nobody asked for would be taken for the next answer.
        let quiet = self.stream.buffer().is_empty();
        Ok(Response {
            status: head.status,
            keep_alive: quiet && framing != Framing::Close && head.persistent(),
            headers: head.headers,
            body,
        })
    }

    fn send(&mut self, request: &Request<'_>) -> io::Result<()> {
        let Request { method, host, target } = request;
        let text = format!(
            "{method} {target} HTTP/1.1\r\n\
             Host: {host}\r\n\
             User-Agent: stackio-crawler/0.1\r\n\
             Accept: text/html, */*;q=0.5\r\n\
             Accept-Encoding: identity\r\n\
             \r\n"
        );
        let stream = self.stream.get_mut();
        stream.write_all(text.as_bytes())?;
        stream.flush()
    }

    /// The head of the response itself; the 1xx before it are passed over.
    fn final_head(&mut self, limit: u64) -> io::Result<Head> {
        for _ in 0..MAX_INTERIM {
            let head = Head::parse(&self.read_head(limit)?)?;
            match head.status {
                101 => {
                    let why = "switches protocols unasked".to_owned();
                    return Err(Fault::HeadInvalid(why).into());
                }
                100..=199 => {}
                _ => return Ok(head),
            }
        }
        Err(Fault::TooManyInterim.into())
    }

    /// Bytes up to and with the empty line. Blank lines in front are legal, and count.
    fn read_head(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut head = Vec::with_capacity(512);
        let mut started = false;
        loop {
            let before = head.len();
            let room = (limit + 1).saturating_sub(before as u64);
            let mut source = self.stream.by_ref().take(room);
            let got = source.read_until(b'\n', &mut head)?;
            if head.len() as u64 > limit {
                return Err(Fault::HeadTooLarge(limit).into());
            }
            match &head[before..] {
                _ if got == 0 && before == 0 => return Err(Fault::NoResponse.into()),
                [] => return Err(Fault::HeadTruncated.into()),
                b"\n" | b"\r\n" if started => return Ok(head),
                b"\n" | b"\r\n" => {}
                _ => started = true,
            }
        }
    }

    fn sized_body(&mut self, length: u64, limit: u64) -> io::Result<Vec<u8>> {
        if length > limit {
            return Err(Fault::BodyTooLarge(limit).into());
        }
        let mut body = Vec::new();
        let got = self.stream.by_ref().take(length).read_to_end(&mut body)? as u64;
        if got < length {
            let want = Some(length);
            return Err(Fault::BodyTruncated { got, want }.into());
        }
        Ok(body)
    }

    fn rest(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut source = self.stream.by_ref().take(limit.saturating_add(1));
        if source.read_to_end(&mut body)? as u64 > limit {
            return Err(Fault::BodyTooLarge(limit).into());
        }
        Ok(body)
    }

    fn chunked_body(&mut self, limits: Limits) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.chunk_size(body.len())?;
            if size == 0 {
                self.trailers(limits.head)?;
                return Ok(body);
            }
            // Compared this way round, a size near 2^64 does not wrap.
            if size > limits.body.saturating_sub(body.len() as u64) {
                return Err(Fault::BodyTooLarge(limits.body).into());
            }
            let got = self.stream.by_ref().take(size).read_to_end(&mut body)?;
            if (got as u64) < size {
                return Err(ended_in_chunk(body.len()));
            }
            let mut end = [0; 2];
            match self.stream.read_exact(&mut end) {
                Ok(()) if end == *b"\r\n" => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(ended_in_chunk(body.len()));
                }
                Err(e) => return Err(e),
                Ok(()) => return Err(Fault::BadChunk.into()),
            }
        }
    }

    fn chunk_size(&mut self, so_far: usize) -> io::Result<u64> {
        let mut line = Vec::new();
        let mut source = self.stream.by_ref().take(MAX_CHUNK_LINE);
        if source.read_until(b'\n', &mut line)? == 0 {
            return Err(ended_in_chunk(so_far));
        }
        // To httparse no digits at all are a zero.
        let digits = line.first().is_some_and(u8::is_ascii_hexdigit);
        match httparse::parse_chunk_size(&line) {
            Ok(httparse::Status::Complete((_, size))) if digits => Ok(size),
            _ => Err(Fault::BadChunk.into()),
        }
    }

    /// Header lines after the last chunk are read and dropped.
    fn trailers(&mut self, limit: u64) -> io::Result<()> {
        let mut left = limit;
        loop {
            let mut line = Vec::new();
            let mut source = self.stream.by_ref().take(left);
            left -= source.read_until(b'\n', &mut line)? as u64;
            match line.as_slice() {
                b"\n" | b"\r\n" => return Ok(()),
                line if line.ends_with(b"\n") => {}
                _ if left == 0 => return Err(Fault::HeadTooLarge(limit).into()),
                _ => return Err(Fault::HeadTruncated.into()),
            }
        }
    }
}

fn ended_in_chunk(got: usize) -> io::Error {
    let got = got as u64;
    Fault::BodyTruncated { got, want: None }.into()
}

/// A peer that closed while we wrote, or before its first byte, gave no response.
fn hung_up(error: io::Error) -> io::Error {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
    };
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof => {
            Fault::NoResponse.into()
        }
        _ => error,
    }
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    Close,
}

struct Head {
    status: u16,
    minor: u8,
    headers: Vec<(String, String)>,
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    let named = headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_str())
}

impl Head {
    fn parse(bytes: &[u8]) -> io::Result<Head> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let invalid = |why: String| io::Error::from(Fault::HeadInvalid(why));
        match response.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(invalid("incomplete".to_owned())),
            Err(error) => return Err(invalid(error.to_string())),
        }
        let (Some(status), Some(minor)) = (response.code, response.version) else {
            return Err(invalid("no status line".to_owned()));
        };
        let owned = |h: &httparse::Header<'_>| {
            let value = String::from_utf8_lossy(h.value).into_owned();
            (h.name.to_owned(), value)
        };
        let headers = response.headers.iter().map(owned).collect();
        Ok(Head { status, minor, headers })
    }

    /// The comma-separated members of every header of that name.
    fn tokens<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let members = values(&self.headers, name).flat_map(|value| value.split(','));
        members.map(str::trim)
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|t| t.eq_ignore_ascii_case(token))
    }

    fn persistent(&self) -> bool {
        // Both a coding and a length: somebody on the way may have split it otherwise.
        let doubtful = self.tokens("transfer-encoding").next().is_some()
            && self.tokens("content-length").next().is_some();
        let kept = self.minor >= 1 || self.has_token("connection", "keep-alive");
        kept && !doubtful && !self.has_token("connection", "close")
    }

    /// RFC 9112, section 6.3.
    fn framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || matches!(self.status, 204 | 304) {
            return Ok(Framing::None);
        }
        let codings: Vec<&str> = self.tokens("transfer-encoding").collect();
        match codings.as_slice() {
            [] => {}
            [only] if only.eq_ignore_ascii_case("chunked") => return Ok(Framing::Chunked),
            [only] if only.eq_ignore_ascii_case("identity") => {}
            other => return Err(Fault::UnknownCoding(other.join(", ")).into()),
        }
        let mut lengths = self.tokens("content-length");
        let Some(first) = lengths.next() else {
            return Ok(Framing::Close);
        };
        // The same length twice is one length; two different ones are an attack or a defect.
        if let Some(other) = lengths.find(|other| *other != first) {
            return Err(Fault::BadLength(format!("{first}, {other}")).into());
        }
        // Digits only: `parse` would let a sign pass.
        let digits = !first.is_empty() && first.bytes().all(|b| b.is_ascii_digit());
        match first.parse() {
            Ok(length) if digits => Ok(Framing::Length(length)),
            _ => Err(Fault::BadLength(first.to_owned()).into()),
        }
    }
}
