//! The HTTP client of the example, fed from memory: what it sends, reads, and refuses.

use std::io::{self, Cursor, Read, Write};

use super::http::{Connection, Fault, Limits, Request, Response, is_no_response};

const LIMITS: Limits = Limits { head: 200, body: 100 };
const GET: Request<'_> = Request { method: "GET", host: "[::1]:8000", target: "/a%20b?q=1" };

/// A server whose answers are known before it is asked.
struct Wire {
    answers: Cursor<Vec<u8>>,
    sent: Vec<u8>,
    /// The most bytes that one read gives.
    piece: usize,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.piece);
        self.answers.read(&mut buffer[..most])
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn wire(answers: impl AsRef<[u8]>, piece: usize) -> Wire {
    Wire { answers: Cursor::new(answers.as_ref().to_vec()), sent: Vec::new(), piece }
}

/// The same answer in pieces of every size has to mean the same.
fn ask(method: &str, answer: impl AsRef<[u8]>) -> Result<Response, Fault> {
    let answer = answer.as_ref();
    let request = Request { method, ..GET };
    let mut results = Vec::new();
    for piece in [usize::MAX, 1, 2, 3, 7] {
        let mut wire = wire(answer, piece);
        let result = Connection::new(&mut wire).exchange(&request, LIMITS);
        results.push(result.map_err(|error| fault(&error)));
    }
    let first = results.swap_remove(0);
    for result in results {
        match (&first, &result) {
            (Ok(a), Ok(b)) => assert_eq!((a.status, &a.body), (b.status, &b.body)),
            (a, b) => assert_eq!(a.as_ref().err(), b.as_ref().err()),
        }
    }
    first
}

fn get(answer: impl AsRef<[u8]>) -> Result<Response, Fault> {
    ask("GET", answer)
}

fn fault(error: &io::Error) -> Fault {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    let payload = error.get_ref().expect("a fault is inside");
    payload.downcast_ref::<Fault>().expect("a fault is inside").clone()
}

#[track_caller]
fn assert_body(answer: impl AsRef<[u8]>, body: &str, keep_alive: bool) {
    let response = get(answer).expect("it is a good answer");
    assert_eq!(String::from_utf8_lossy(&response.body), body);
    assert_eq!(response.keep_alive, keep_alive);
}

#[track_caller]
fn assert_fault(answer: impl AsRef<[u8]>, expected: Fault) {
    match get(answer) {
        Ok(response) => panic!("taken for good: {response:?}"),
        Err(fault) => assert_eq!(fault, expected),
    }
}

fn invalid_head(answer: impl AsRef<[u8]>) -> bool {
    matches!(get(answer), Err(Fault::HeadInvalid(_)))
}

#[test]
fn a_request_names_its_host_and_asks_for_plain_bytes() {
    let mut wire = wire("HTTP/1.1 204 No Content\r\n\r\n", 100);
    Connection::new(&mut wire).exchange(&GET, LIMITS).expect("a good answer");
    let sent = String::from_utf8(wire.sent).expect("ASCII");
    assert!(sent.starts_with("GET /a%20b?q=1 HTTP/1.1\r\nHost: [::1]:8000\r\n"), "{sent}");
    assert!(sent.contains("\r\nAccept-Encoding: identity\r\n"), "{sent}");
    assert!(sent.ends_with("\r\n\r\n"), "{sent}");
}

#[test]
fn bodies_end_by_length_by_chunks_or_by_the_connection() {
    assert_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true);
    assert_body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", true);
    assert_body("HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello", "hello", true);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
    assert_body(format!("{chunked}3;a=b\r\nhel\r\n02\r\nlo\r\n0\r\nX: y\r\n\r\n"), "hello", true);
    assert_body(format!("{chunked}0\r\n\r\n"), "", true);
    assert_body("HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", false);
    assert_body("HTTP/1.1 200\nContent-Length: 2\n\nok", "ok", true);
}

#[test]
fn a_connection_is_kept_only_when_both_sides_agree_where_the_answer_ends() {
    let closing = "HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\nContent-Length: 2\r\n\r\nok";
    assert_body(closing, "ok", false);
    assert_body("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false);
    let kept = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
    assert_body(kept, "ok", true);
    // What nobody asked for would be taken for the next answer.
    let more = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 408 Timeout\r\n\r\n";
    let mut wire = wire(more, usize::MAX);
    let response = Connection::new(&mut wire).exchange(&GET, LIMITS).expect("a good answer");
    assert!(!response.keep_alive);
    let both = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n\
                2\r\nok\r\n0\r\n\r\n";
    assert_body(both, "ok", false);
}

#[test]
fn one_connection_carries_one_answer_after_another() {
    let answers = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none\
                   HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n";
    let mut wire = wire(answers, 1);
    let mut connection = Connection::new(&mut wire);
    let mut body = || connection.exchange(&GET, LIMITS).map(|response| response.body);
    assert_eq!(body().expect("the first"), b"one");
    assert_eq!(body().expect("the second"), b"two");
    assert!(is_no_response(&body().expect_err("there is no third")));
}

#[test]
fn interim_answers_are_passed_over_and_some_answers_have_no_body() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_body(format!("{interim}{last}"), "ok", true);
    assert_body(format!("\r\n{last}"), "ok", true);
    for status in ["204 No Content", "304 Not Modified"] {
        assert_body(format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n"), "", true);
    }
    let head = ask("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    assert!(head.expect("a good answer").body.is_empty());
    assert_fault("HTTP/1.1 100 Continue\r\n\r\n".repeat(20), Fault::TooManyInterim);
    assert!(invalid_head("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
}

#[test]
fn headers_are_found_by_any_case_and_need_not_be_utf8() {
    let response = get(b"HTTP/1.1 302 Found\r\nLOCATION: /caf\xe9\r\nContent-Length: 0\r\n\r\n");
    let response = response.expect("a good answer");
    assert_eq!(response.header("Location"), Some("/caf\u{fffd}"));
    assert_eq!(response.header("Server"), None);
}

#[test]
fn a_head_has_to_be_one_and_to_end() {
    assert_fault("", Fault::NoResponse);
    assert_fault("HTTP/1.1 200 OK\r\nContent-", Fault::HeadTruncated);
    assert_fault("\r\n\r\n", Fault::HeadTruncated);
    assert_fault("HTTP/1.1 200 OK\r\n".to_owned() + &"A: b\r\n".repeat(99), too_large_head());
    assert_fault("x".repeat(1000), too_large_head());
    assert_fault("\r\n".repeat(1000), too_large_head());
    assert!(invalid_head("SSH-2.0-OpenSSH\r\n\r\n"));
    assert!(invalid_head("HTTP/1.1 2x0 OK\r\n\r\n"));
    assert!(invalid_head("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"));
}

fn too_large_head() -> Fault {
    Fault::HeadTooLarge(LIMITS.head)
}

#[test]
fn lengths_that_are_none_are_refused() {
    for text in ["-1", "+5", "5x", "", "0x5", "99999999999999999999", "4, 5"] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {text}\r\n\r\nhello");
        assert_fault(answer, Fault::BadLength(text.to_owned()));
    }
    let twice = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhello";
    assert_fault(twice, Fault::BadLength("4, 5".to_owned()));
    let coded = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
    assert_fault(coded, Fault::UnknownCoding("gzip, chunked".to_owned()));
}

#[test]
fn chunks_that_are_none_are_refused() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless_line = "0".repeat(5000);
    for body in ["x\r\n", "-1\r\n", "\r\n", "2\r\nokay\r\n", "fffffffffffffffff\r\n", &endless_line]
    {
        assert_fault(format!("{chunked}{body}"), Fault::BadChunk);
    }
    let trailers = format!("{chunked}0\r\n{}", "A: b\r\n".repeat(99));
    assert_fault(trailers, too_large_head());
}

#[test]
fn bodies_that_stop_short_are_no_bodies() {
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello";
    assert_fault(short, Fault::BodyTruncated { got: 5, want: Some(50) });
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in ["a\r\nhello", "5\r\nhello", "5\r\nhello\r", "5\r\nhello\r\n"] {
        let expected = Fault::BodyTruncated { got: 5, want: None };
        assert_fault(format!("{chunked}{body}"), expected);
    }
    assert_fault(format!("{chunked}0\r\n"), Fault::HeadTruncated);
}

#[test]
fn bodies_over_the_bound_are_refused_however_they_are_sent() {
    let too_large = || Fault::BodyTooLarge(LIMITS.body);
    let body = "x".repeat(101);
    assert_fault(format!("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n{body}"), too_large());
    assert_fault(format!("HTTP/1.1 200 OK\r\n\r\n{body}"), too_large());
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_fault(format!("{chunked}2\r\nok\r\nffffffffffffffff\r\n"), too_large());
    assert_fault(format!("{chunked}{}", "1\r\nx\r\n".repeat(101)), too_large());
    let fits = format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", &body[1..]);
    assert_body(fits, &body[1..], true);
}
