//! The site that is crawled when no other is named: a few hundred pages, good ones and bad ones,
//! sent in every way that HTTP/1.1 has, by a server with a task for each connection; over TLS too.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};

use stackio::net::{TcpListener, TcpStream};
use stackio::tls::{ServerConfig, TlsStream};
use stackio::{Error, Result, millis, secs, sleep, spawn};

/// Pages of the tree: number `n` links to the ten from `10 * n` on.
const PAGES: u32 = 300;
const MAX_REQUEST: u64 = 16 * 1024;

/// Serves until cancelled, by https if there is a configuration for it.
pub fn serve(listener: &TcpListener, tls: Option<&ServerConfig>) -> Result {
    loop {
        let stream = match listener.accept().map_err(Error::from) {
            Ok((stream, _)) => stream,
            Err(e) if e.is_cancelled() => return Err(e),
            // Out of descriptors, most likely: connections that end give some back.
            Err(_) => {
                sleep(millis(50))?;
                continue;
            }
        };
        let tls = tls.cloned();
        spawn(move || match connection(stream, tls.as_ref()) {
            Err(e) if e.is_cancelled() => Err(e),
            // The client went away, or sends what is no request: not our trouble.
            Ok(()) | Err(_) => Ok(()),
        });
    }
}

fn connection(stream: TcpStream, tls: Option<&ServerConfig>) -> Result {
    stream.set_nodelay(true)?;
    let Some(config) = tls else { return requests(stream).map(drop) };
    let mut stream = requests(TlsStream::accept(config, stream)?)?;
    Ok(stream.close_write()?)
}

/// One request after another, until either side has had enough; the stream is given back.
fn requests<S: Read + Write>(stream: S) -> Result<S> {
    let mut stream = BufReader::new(stream);
    while let Some(target) = read_request(&mut stream)? {
        if !respond(stream.get_mut(), &target)? {
            break;
        }
    }
    Ok(stream.into_inner())
}

/// The target of the next request, or none when there is no further one.
fn read_request(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut input = input.take(MAX_REQUEST);
    while !head.ends_with(b"\r\n\r\n") {
        if input.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(&head) {
        Ok(_) => Ok(request.path.map(str::to_owned)),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// How a body is sent.
#[derive(Clone, Copy)]
enum Delivery {
    Length,
    Chunked,
    /// A length, and the connection is closed as announced.
    LengthAndClose,
    /// The end of the connection is the end of the body.
    UntilClose,
    /// The connection is closed though nothing was said.
    Abandon,
}

/// Answers one request; false when that was the last on this connection.
fn respond(stream: &mut dyn Write, target: &str) -> Result<bool> {
    let mut parts = target.trim_start_matches('/').splitn(2, '/');
    let section = parts.next().unwrap_or_default();
    let rest = parts.next().unwrap_or_default();
    let number: u32 = rest.split('?').next().unwrap_or_default().parse().unwrap_or(0);
    let keep = match section {
        "" => html(stream, &index(), Delivery::Length)?,
        "page" if (1..PAGES).contains(&number) => html(stream, &page(number), delivery(number))?,
        "caf%C3%A9?q=a%20b&r=1" => html(stream, "<p>Coffee", Delivery::Length)?,
        "slow" => {
            sleep(millis(100 + 25 * u64::from(number)))?;
            html(stream, "<p>Finally.", Delivery::Length)?
        }
        "moved" => redirect(stream, 301, &format!("/page/{}", number.saturating_sub(1)))?,
        "chain" if number < 5 => redirect(stream, 302, &format!("{}", number + 1))?,
        "chain" => html(stream, "<p>The end of the chain.", Delivery::Length)?,
        "loop" => redirect(stream, 307, if rest == "a" { "b" } else { "a" })?,
        "self" => redirect(stream, 308, "/self")?,
        "endless" => redirect(stream, 302, &format!("/endless/{}", number.wrapping_add(1)))?,
        "away" => redirect(stream, 302, "http://other.invalid/")?,
        "old" => redirect(stream, 303, "/missing/30")?,
        "never" => {
            sleep(secs(3600))?;
            false
        }
        _ => return Ok(asset(stream, section)? || broken(stream, section)?),
    };
    Ok(keep)
}

/// What is there and is no page; false if this is none of it.
fn asset(stream: &mut dyn Write, name: &str) -> io::Result<bool> {
    // Were these parsed as HTML, the links in them would be found missing.
    let trap = "<a href=/missing/trap>a link to nobody</a>";
    let kind = match name {
        "style.css" => "text/css",
        "app.js" => "text/javascript",
        "logo.png" => "image/png",
        "data.json" => "application/json",
        "notes.txt" => "text/plain; charset=utf-8",
        "empty" => {
            send(stream, "HTTP/1.1 204 No Content\r\n\r\n")?;
            return Ok(true);
        }
        "hints" => {
            send(stream, "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")?;
            return html(stream, "<p>It was no secret.", Delivery::Length);
        }
        _ => return Ok(false),
    };
    write_response(stream, "200 OK", kind, trap, Delivery::Chunked)
}

/// What does not work: errors the server admits to, and some that break the protocol.
fn broken(stream: &mut dyn Write, name: &str) -> io::Result<bool> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
    let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
    match name {
        "error" => return status(stream, "500 Internal Server Error"),
        "busy" => return status(stream, "503 Service Unavailable"),
        "locked" => return status(stream, "403 Forbidden"),
        "truncated" => send(stream, &format!("{head}Content-Length: 1000\r\n\r\n<p>So far")),
        "bad-chunk" => send(stream, &format!("{chunked}5\r\nhello\r\nx\r\n")),
        "two-lengths" => {
            send(stream, &format!("{head}Content-Length: 4\r\nContent-Length: 5\r\n\r\nhello"))
        }
        "huge" => send(stream, &format!("{head}Content-Length: 1000000000000\r\n\r\n")),
        // These two go on until the client hangs up.
        "flood" => send(stream, &chunked).and_then(|()| flood(stream, b"400\r\n", 0x400, b"\r\n")),
        "endless-head" => send(stream, head).and_then(|()| flood(stream, b"X-Pad: ", 100, b"\r\n")),
        "hang-up" => Ok(()),
        _ => return status(stream, "404 Not Found"),
    }?;
    Ok(false)
}

fn flood(stream: &mut dyn Write, before: &[u8], length: usize, after: &[u8]) -> io::Result<()> {
    let one = [before, &vec![b'x'; length], after].concat();
    let many = one.repeat(32);
    loop {
        stream.write_all(&many)?;
    }
}

fn send(stream: &mut dyn Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())
}

fn html(stream: &mut dyn Write, body: &str, delivery: Delivery) -> io::Result<bool> {
    write_response(stream, "200 OK", "text/html; charset=utf-8", body, delivery)
}

fn status(stream: &mut dyn Write, status: &str) -> io::Result<bool> {
    let body = format!("<h1>{status}</h1><a href=/missing/error-page>not a page, no link</a>");
    write_response(stream, status, "text/html", &body, Delivery::Length)
}

fn redirect(stream: &mut dyn Write, status: u16, to: &str) -> io::Result<bool> {
    let head = format!("HTTP/1.1 {status} Elsewhere\r\nLocation: {to}\r\n");
    send(stream, &format!("{head}Content-Length: 0\r\n\r\n"))?;
    Ok(true)
}

/// Every way of sending a page has its turn.
fn delivery(number: u32) -> Delivery {
    match number % 10 {
        1 | 4 | 8 => Delivery::Chunked,
        3 => Delivery::LengthAndClose,
        6 => Delivery::UntilClose,
        9 => Delivery::Abandon,
        _ => Delivery::Length,
    }
}

fn write_response(
    stream: &mut dyn Write,
    status: &str,
    kind: &str,
    body: &str,
    delivery: Delivery,
) -> io::Result<bool> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n");
    let framing = match delivery {
        Delivery::Chunked => "Transfer-Encoding: chunked".to_owned(),
        Delivery::UntilClose => "Connection: close".to_owned(),
        Delivery::LengthAndClose => format!("Connection: close\r\nContent-Length: {}", body.len()),
        Delivery::Length | Delivery::Abandon => format!("Content-Length: {}", body.len()),
    };
    text += &framing;
    text += "\r\n\r\n";
    if matches!(delivery, Delivery::Chunked) {
        // Cut anywhere, between two bytes of one character as well.
        for chunk in body.as_bytes().chunks(64) {
            send(stream, &std::mem::take(&mut text))?;
            send(stream, &format!("{:x};part\r\n", chunk.len()))?;
            stream.write_all(chunk)?;
            text += "\r\n";
        }
        text += "0\r\nX-Trailer: done\r\n\r\n";
    } else {
        text += body;
    }
    send(stream, &text)?;
    Ok(matches!(delivery, Delivery::Length | Delivery::Chunked))
}

fn index() -> String {
    let mut text = String::from(
        "<!doctype html><title>Start <a href=/missing/title></title>\
         <link rel=stylesheet href=style.css><link rel=dns-prefetch href=//cdn.invalid>\
         <script src=app.js>'<a href=/missing/script>'</script>\
         <!-- <a href=/missing/comment> --><img src=logo.png>\
         <a href='mailto:nobody@example.invalid'>mail</a> <a href='javascript:void(0)'>script</a>\
         <a href='https://other.invalid/'>elsewhere</a> <a href='http://[bad/'>bad</a>\
         <a href='caf%C3%A9?q=a%20b&amp;r=1#menu'>coffee</a>",
    );
    let special = [
        "never",
        "loop/a",
        "self",
        "endless/1",
        "away",
        "old",
        "chain/1",
        "empty",
        "hints",
        "notes.txt",
        "data.json",
        "error",
        "busy",
        "locked",
        "truncated",
        "bad-chunk",
        "two-lengths",
        "huge",
        "flood",
        "endless-head",
        "hang-up",
    ];
    for name in special {
        let _ = write!(text, "<a href='/{name}'>{name}</a> ");
    }
    for number in 1..=8 {
        let _ = write!(text, "<a href='/slow/{number}'>slow</a> ");
    }
    for number in 1..10 {
        let _ = write!(text, "<A HREF = page/{number} >page {number}</A> ");
    }
    text
}

fn page(number: u32) -> String {
    let mut text = format!("<title>Page {number}</title><p>Gr\u{fc}\u{df}e<a href='/#top'>up</a>");
    // With a base, the relative links that follow are as good as without.
    let up = if number.is_multiple_of(7) {
        text += "<base href='/page/deeper/'>";
        "../"
    } else {
        "./"
    };
    let children = (10 * number..10 * number + 10).take_while(|n| *n < PAGES);
    let next = (number + 1) % PAGES;
    for target in children.chain([next.max(1)]) {
        let _ = write!(text, "<a href='{up}{target}#part'>page {target}</a> ");
    }
    if number.is_multiple_of(20) {
        let _ = write!(text, "<a href='/moved/{number}'>moved</a>");
    }
    if number.is_multiple_of(30) {
        let _ = write!(text, "<a href='/missing/{number}'>missing</a>");
    }
    if number.is_multiple_of(50) {
        let _ = write!(text, "<a href='{up}{number}?print=1'>print</a>");
    }
    text
}
