//! Protocols without a loop: the order of calls, ends, errors; the same protocol as in a loop.

mod beside_a_loop;

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;

use stackio::blocking::{self, Connection, Pair, ReadWrite};
use stackio::{BufferedProtocol, Error, ErrorKind, Protocol, Result, Transport};

/// What a protocol does in a callback.
type Reaction = Box<dyn FnMut(&Transport, &[u8]) -> Result>;

/// Notes its calls, and reacts to some.
struct Noting {
    calls: Rc<RefCell<Vec<String>>>,
    transport: Option<Transport>,
    on_made: Reaction,
    on_data: Reaction,
    keep_open: bool,
}

impl Noting {
    fn new(on_data: impl FnMut(&Transport, &[u8]) -> Result + 'static) -> Noting {
        Noting {
            calls: Rc::default(),
            transport: None,
            on_made: Box::new(|_, _| Ok(())),
            on_data: Box::new(on_data),
            keep_open: false,
        }
    }

    fn quiet() -> Noting {
        Noting::new(|_, _| Ok(()))
    }

    fn on_made(mut self, made: impl FnMut(&Transport, &[u8]) -> Result + 'static) -> Noting {
        self.on_made = Box::new(made);
        self
    }

    fn note(&self, call: impl Into<String>) {
        self.calls.borrow_mut().push(call.into());
    }

    fn calls(&self) -> String {
        self.calls.borrow().join(" ")
    }
}

impl Protocol<Result> for Noting {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.note("made");
        self.transport = Some(transport.clone());
        (self.on_made)(transport, b"")
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        self.note(String::from_utf8_lossy(data));
        let transport = self.transport.clone().expect("it has been made");
        (self.on_data)(&transport, data)
    }

    fn eof_received(&mut self) -> bool {
        self.note("eof");
        self.keep_open
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        self.note(format!("lost {:?}", error.map(|error| error.kind())));
        Ok(())
    }
}

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// A stream on which this has come, and nothing more will.
fn with(data: &[u8]) -> UnixStream {
    let (mut peer, stream) = pair();
    peer.write_all(data).unwrap();
    stream
}

/// What is noted, and how it ends.
fn played(protocol: Noting, stream: UnixStream) -> (String, Result) {
    let calls = protocol.calls.clone();
    let outcome = blocking::run(protocol, stream).map(drop);
    let calls = calls.borrow().join(" ");
    (calls, outcome)
}

fn read_all(mut stream: impl Read) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_calls_come_in_the_order_of_the_grammar() {
    let (calls, outcome) = played(Noting::quiet(), with(b"one"));
    assert_eq!(calls, "made one eof lost None");
    outcome.unwrap();

    let (calls, outcome) = played(Noting { keep_open: true, ..Noting::quiet() }, with(b""));
    assert_eq!(calls, "made eof lost None", "nobody is left who could write");
    outcome.unwrap();

    let closes = Noting::new(|transport, _| {
        transport.close();
        assert!(transport.is_closing() && !transport.is_reading());
        Ok(())
    });
    let (calls, outcome) = played(closes, with(b"one"));
    assert_eq!(calls, "made one lost None");
    outcome.unwrap();

    let at_once = Noting::quiet().on_made(|transport, _| {
        transport.abort();
        Ok(())
    });
    let (calls, outcome) = played(at_once, with(b"one"));
    assert_eq!(calls, "made lost None");
    outcome.unwrap();
}

#[test]
fn errors_end_the_connection_and_come_to_the_owner() {
    let value = || Error::new(ErrorKind::Value, "no number");
    let (calls, outcome) = played(Noting::new(move |_, _| Err(value())), with(b"one"));
    assert_eq!(calls, "made one lost Some(Value)");
    assert_eq!(outcome.unwrap_err().to_string(), "no number");

    let (calls, outcome) = played(Noting::quiet().on_made(move |_, _| Err(value())), with(b""));
    assert_eq!(calls, "made lost Some(Value)");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Value);

    let (calls, outcome) = played(Noting::new(|_, _| panic!("oh")), with(b"one"));
    assert_eq!(calls, "made one lost Some(Panic)");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Panic);

    let aborts = Noting::new(move |transport, _| {
        transport.abort_with(value());
        transport.abort_with(ErrorKind::Timeout);
        Ok(())
    });
    let (calls, outcome) = played(aborts, with(b"one"));
    assert_eq!(calls, "made one lost Some(Value)", "the first reason counts");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Value);

    // It has been closed as it should, but the error is not lost.
    let after = Noting::new(move |transport, _| {
        transport.close();
        Err(value())
    });
    let (calls, outcome) = played(after, with(b"one"));
    assert_eq!(calls, "made one lost None");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Value);
}

#[test]
fn a_reset_is_the_error_of_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"unread").unwrap();
    client.peek(&mut [0]).unwrap();
    drop(client); // with bytes unread, which resets
    let protocol = Noting::quiet();
    let calls = protocol.calls.clone();
    let error = blocking::run(protocol, server).map(drop).unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::ConnectionReset));
    assert_eq!(calls.borrow().join(" "), "made lost Some(Io)");
}

#[test]
fn a_write_that_fails_ends_the_connection() {
    let (peer, stream) = pair();
    drop(peer);
    let protocol = Noting::quiet().on_made(|transport, _| {
        let error = transport.try_write(b"nobody reads this").unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::BrokenPipe));
        assert!(transport.is_closing());
        Ok(())
    });
    let (calls, outcome) = played(protocol, stream);
    assert_eq!(calls, "made lost Some(Io)");
    assert_eq!(outcome.unwrap_err().io_kind(), Some(io::ErrorKind::BrokenPipe));
}

#[test]
fn a_stream_that_does_not_block_is_an_error_and_no_loop() {
    let (_peer, stream) = pair();
    stream.set_nonblocking(true).unwrap();
    let error = blocking::run(Noting::quiet(), stream).map(drop).unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::WouldBlock));
}

#[test]
fn to_pause_with_nobody_to_resume_is_an_error_that_says_so() {
    let (_peer, stream) = pair();
    let pauses = Noting::quiet().on_made(|transport, _| {
        transport.pause_reading();
        Ok(())
    });
    let (calls, outcome) = played(pauses, stream);
    assert_eq!(calls, "made lost Some(Runtime)");
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains("nobody can resume it"), "{error}");

    let briefly = Noting::new(|transport, _| {
        transport.pause_reading();
        transport.resume_reading();
        Ok(())
    });
    let (calls, outcome) = played(briefly, with(b"one"));
    assert_eq!(calls, "made one eof lost None");
    outcome.unwrap();
}

#[test]
fn whoever_waits_can_pause_in_between() {
    let (mut peer, stream) = pair();
    let mut connection = Connection::new(Noting::quiet(), stream).unwrap();
    peer.write_all(b"one").unwrap();
    let text = |protocol: &mut Noting| {
        let calls = protocol.calls();
        calls.ends_with("one").then_some(calls)
    };
    connection.transport().pause_reading();
    assert_eq!(connection.wait_for(text).unwrap_err().kind(), ErrorKind::Runtime);
    connection.transport().resume_reading();
    assert_eq!(connection.wait_for(text).unwrap(), "made one");
    // It is there already, so nothing has to be read.
    assert_eq!(connection.wait_for(text).unwrap(), "made one");
    drop(peer);
    let error = connection.wait_for(|_| None::<()>).unwrap_err();
    assert_eq!(error.io_kind(), Some(io::ErrorKind::UnexpectedEof));
    assert_eq!(connection.run().unwrap().calls(), "made one eof lost None");
}

#[test]
fn a_connection_that_is_dropped_is_closed_and_the_protocol_knows() {
    let (peer, stream) = pair();
    let connection = Connection::new(Noting::quiet(), stream).unwrap();
    let (transport, handle) = (connection.transport().clone(), connection.protocol().clone());
    drop(connection);
    assert_eq!(handle.with(|protocol| protocol.calls()).unwrap(), "made lost None");
    assert_eq!(read_all(peer), "", "the stream is closed, though there is a transport");
    assert_eq!(transport.try_write(b"late").unwrap_err().kind(), ErrorKind::Io);
    transport.write(b"late");
    assert!(transport.get_protocol().is_none());
}

#[test]
fn what_is_written_after_the_end_is_refused() {
    let (peer, stream) = pair();
    let protocol = Noting::quiet().on_made(|transport, _| {
        assert!(transport.can_write_eof());
        transport.writelines(["on", "e"]);
        transport.write_eof();
        transport.write_eof();
        let error = transport.try_write(b"two").unwrap_err();
        assert!(error.to_string().contains("write after write_eof"), "{error}");
        transport.close();
        assert_eq!(transport.try_write(b"two").unwrap_err().kind(), ErrorKind::Runtime);
        Ok(())
    });
    let (calls, outcome) = played(protocol, stream);
    assert_eq!(calls, "made lost None");
    outcome.unwrap();
    assert_eq!(read_all(peer), "one");
}

#[test]
fn one_direction_may_end_before_the_other() {
    let (mut peer, stream) = pair();
    let asks = Noting::quiet().on_made(|transport, _| {
        transport.write(b"question");
        transport.try_write_eof()
    });
    let peer = thread::spawn(move || {
        let question = read_all(&peer);
        peer.write_all(b"answer").unwrap();
        question
    });
    let (calls, outcome) = played(asks, stream);
    assert_eq!(calls, "made answer eof lost None");
    outcome.unwrap();
    assert_eq!(peer.join().unwrap(), "question");
}

#[test]
fn a_pair_ends_its_writing_by_letting_go_and_what_cannot_says_so() {
    let (reader, mut input) = io::pipe().unwrap();
    let (output, writer) = io::pipe().unwrap();
    input.write_all(b"in").unwrap();
    drop(input);
    let ends = Noting::new(|transport, _| {
        transport.write(b"out");
        transport.try_write_eof()
    });
    let ended = blocking::run(ends, Pair::new(reader, writer)).unwrap();
    assert_eq!(ended.calls(), "made in eof lost None");
    assert_eq!(read_all(output), "out");

    let cannot = Noting::new(|transport, _| {
        assert!(!transport.can_write_eof());
        transport.try_write_eof()
    });
    let error = blocking::run(cannot, ReadWrite(with(b"in"))).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
}

#[test]
fn another_protocol_takes_over() {
    let (mut peer, stream) = pair();
    let mut connection = Connection::new(Noting::quiet(), stream).unwrap();
    peer.write_all(b"one").unwrap();
    connection.wait_for(|protocol| protocol.calls().ends_with("one").then_some(())).unwrap();
    let second = stackio::IntoProtocol::into_handle(Noting::quiet());
    connection.transport().set_protocol(&second);
    second.with(|second| second.transport = Some(connection.transport().clone())).unwrap();
    peer.write_all(b"two").unwrap();
    drop(peer);
    assert_eq!(connection.run().unwrap().calls(), "made one");
    assert_eq!(second.into_inner().unwrap().calls(), "two eof lost None");
}

/// Reads into a buffer of three bytes.
#[derive(Default)]
struct Narrow {
    buffer: [u8; 3],
    pieces: Vec<String>,
}

impl BufferedProtocol for Narrow {
    fn get_buffer(&mut self, _: usize) -> &mut [u8] {
        &mut self.buffer
    }

    fn buffer_updated(&mut self, length: usize) {
        self.pieces.push(String::from_utf8_lossy(&self.buffer[..length]).into_owned());
    }
}

#[test]
fn a_buffered_protocol_reads_into_its_own() {
    let narrow = blocking::run(Narrow::default(), with(b"abcdefg")).unwrap();
    assert_eq!(narrow.pieces, ["abc", "def", "g"]);
}
