//! Protocols of messages: over every transport, with errors of the peer and of the callable.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use stackio::framing::{Chunks, Frames, Lines, Prefix};
use stackio::{
    ChunkProtocol, Error, ErrorKind, FrameProtocol, Future, LineProtocol, MessageProtocol,
    MessageWriter, Protocol, Result, Runner, Transport, VirtualClock, blocking, get_running_loop,
    yield_now,
};

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

/// Writes something when it is connected, and gives what came when it has ended.
struct Peer {
    writes: Vec<u8>,
    ends: bool,
    received: Vec<u8>,
    done: Future<Vec<u8>>,
}

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(&self.writes);
        if self.ends {
            transport.write_eof();
        }
    }

    fn data_received(&mut self, data: &[u8]) {
        self.received.extend_from_slice(data);
    }

    fn connection_lost(&mut self, _: Option<Error>) {
        let _ = self.done.set_result(std::mem::take(&mut self.received));
    }
}

/// What the peer of `protocol` gets if it writes `data`, some bytes at a time.
fn answers<P: Protocol<Result>>(
    protocol: P,
    data: &[u8],
    ends: bool,
    chunk: Option<usize>,
) -> Result<Vec<u8>> {
    let done = Future::new();
    let peer = Peer { writes: data.to_vec(), ends, received: vec![], done: done.clone() };
    get_running_loop()?.create_pair(|| protocol, || peer, chunk)?;
    done.join()
}

/// Where the end of a connection is noted, and what is reported meanwhile.
type Ends = Rc<RefCell<Vec<Option<ErrorKind>>>>;

fn note(ends: &Ends) -> impl FnOnce(Option<Error>) + 'static {
    let ends = ends.clone();
    move |error| ends.borrow_mut().push(error.map(|error| error.kind()))
}

fn reports() -> Result<Rc<RefCell<Vec<ErrorKind>>>> {
    let reported: Rc<RefCell<Vec<ErrorKind>>> = Rc::default();
    let reports = reported.clone();
    get_running_loop()?.set_exception_handler(move |context| {
        reports.borrow_mut().extend(context.exception.as_ref().map(Error::kind));
    });
    Ok(reported)
}

fn shouting() -> impl Protocol<Result> {
    ChunkProtocol::new(b"--", |chunk, to| to.write(&chunk.to_ascii_uppercase())).unwrap()
}

#[test]
fn the_answers_are_the_same_however_the_bytes_come() {
    run(|| {
        for chunk in [Some(1), Some(2), Some(3), None] {
            let answers = answers(shouting(), b"one--t-wo----three--", true, chunk)?;
            assert_eq!(answers, b"ONE--T-WO----THREE--");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_same_protocol_answers_over_sockets_and_without_a_loop() {
    fn ask(mut stream: impl Read + Write, shutdown: impl FnOnce(), question: &[u8]) -> Vec<u8> {
        stream.write_all(question).unwrap();
        shutdown();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }
    let (stream, other) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || blocking::run(shouting(), other).map(drop));
    let answer = ask(&stream, || stream.shutdown(Shutdown::Write).unwrap(), b"one--two--");
    assert_eq!(answer, b"ONE--TWO--");
    server.join().unwrap().unwrap();

    stackio::run(move || {
        let chunks = Chunks::new(b"--")?;
        let factory = move || {
            ChunkProtocol::with(chunks.clone(), |chunk, to| to.write(&chunk.to_ascii_uppercase()))
        };
        let server = get_running_loop()?.create_server(factory, "127.0.0.1:0")?;
        let stream = stackio::net::TcpStream::connect(server.local_addrs()[0])?;
        let answer = ask(&stream, || stream.shutdown(Shutdown::Write).unwrap(), b"one--two--");
        assert_eq!(answer, b"ONE--TWO--");
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_the_peer_does_wrong_ends_its_connection_and_is_told_to_nobody_else() {
    run(|| {
        let reported = reports()?;
        let ends = Ends::default();
        let lines = || {
            let lines = Lines::strict_crlf().max_size(3);
            MessageProtocol::with(lines, |line, to| to.write(line)).on_lost(note(&ends))
        };
        assert_eq!(answers(lines(), b"one\r\nfour\r\ntwo\r\n", false, None)?, b"one\r\n");
        assert_eq!(answers(lines(), b"one\r\ntwo\n", false, None)?, b"one\r\n");
        assert_eq!(answers(lines(), b"one\r\ntwo", true, None)?, b"one\r\n");
        assert_eq!(answers(lines(), b"one\r\n", true, None)?, b"one\r\n");
        assert_eq!(
            *ends.borrow(),
            [
                Some(ErrorKind::LimitOverrun),
                Some(ErrorKind::Value),
                Some(ErrorKind::IncompleteRead),
                None
            ]
        );
        assert_eq!(*reported.borrow(), []);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_was_answered_before_a_mistake_of_the_peer_still_arrives() {
    const SIZE: usize = 4_000_000;
    stackio::run(|| {
        let ends = Ends::default();
        let noted = ends.clone();
        let factory = move || {
            let frames = Frames::new(Prefix::U32Be).max_size(SIZE);
            let answer = |_: &[u8], to: &MessageWriter<Frames>| to.write(&[7; SIZE]);
            FrameProtocol::with(frames, answer).on_lost(note(&noted))
        };
        let server = get_running_loop()?.create_server(factory, "127.0.0.1:0")?;
        let mut stream = stackio::net::TcpStream::connect(server.local_addrs()[0])?;
        stream.write_all(b"\0\0\0\0\xff\xff\xff\xff")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        assert_eq!(answer.len(), 4 + SIZE);
        while ends.borrow().is_empty() {
            yield_now()?;
        }
        assert_eq!(*ends.borrow(), [Some(ErrorKind::LimitOverrun)]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_the_callable_does_wrong_ends_the_connection_and_is_reported() {
    run(|| {
        let reported = reports()?;
        let ends = Ends::default();
        let sum = Rc::new(RefCell::new(0));
        let total = sum.clone();
        let numbers = LineProtocol::new(move |line, _| -> Result {
            *total.borrow_mut() += std::str::from_utf8(line)?.parse::<i32>()?;
            Ok(())
        });
        answers(numbers.on_lost(note(&ends)), b"1\n2\nthree\n4\n", false, None)?;
        assert_eq!(*sum.borrow(), 3);
        let refuses = LineProtocol::new(|_, _| {})
            .on_made(|_| Err(Error::from(ErrorKind::Timeout)))
            .on_lost(note(&ends));
        answers(refuses, b"", false, None)?;
        assert_eq!(*ends.borrow(), [Some(ErrorKind::Other), Some(ErrorKind::Timeout)]);
        assert_eq!(*reported.borrow(), [ErrorKind::Other, ErrorKind::Timeout]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn after_a_close_no_message_is_given() {
    run(|| {
        let closes = FrameProtocol::new(Prefix::U8, |frame, to| {
            to.write(frame)?;
            to.transport().close();
            Ok(())
        });
        assert_eq!(answers(closes, b"\x03one\x03two", false, None)?, b"\x03one");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_protocol_that_is_not_connected_cannot_write() {
    let lines = LineProtocol::new(|_, _| {});
    assert_eq!(lines.write_line("one").unwrap_err().kind(), ErrorKind::Runtime);
    let chunks = ChunkProtocol::new(";", |_, _| {}).unwrap();
    assert_eq!(chunks.write_chunk(b"one").unwrap_err().kind(), ErrorKind::Runtime);
    run(|| {
        let event_loop = get_running_loop()?;
        let received: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
        let noted = received.clone();
        let frames = || {
            let frames = Frames::new(Prefix::Varint).max_size(3);
            FrameProtocol::with(frames, move |frame, _| noted.borrow_mut().push(frame.to_vec()))
        };
        let sender = || FrameProtocol::new(Prefix::Varint, |_, _| {});
        let ((_, sender), _) = event_loop.create_pair(sender, frames, None)?;
        sender.with(|sender| sender.write_frame(b"one"))??;
        sender.with(|sender| sender.write_frame(b""))??;
        while received.borrow().len() < 2 {
            yield_now()?;
        }
        assert_eq!(*received.borrow(), [&b"one"[..], b""]);
        let noted = received.clone();
        let chunks = || ChunkProtocol::new(";", |_, _| {}).expect("it is not empty");
        let read = move || {
            let note = move |chunk: &[u8], _: &MessageWriter<Chunks>| {
                noted.borrow_mut().push(chunk.to_vec());
            };
            ChunkProtocol::new(";", note).expect("it is not empty")
        };
        let ((_, sender), _) = event_loop.create_pair(chunks, read, None)?;
        sender.with(|sender| sender.write_chunk(b"two"))??;
        while received.borrow().len() < 3 {
            yield_now()?;
        }
        assert_eq!(received.borrow()[2], b"two");
        Ok(())
    })
    .unwrap();
}

/// Writes without end, a bit in each iteration, and reads nothing until it is told to.
#[derive(Clone, Default)]
struct Greedy(Rc<RefCell<(Option<Transport>, usize)>>);

impl Protocol for Greedy {
    fn connection_made(&mut self, transport: &Transport) {
        transport.pause_reading();
        self.0.borrow_mut().0 = Some(transport.clone());
    }

    fn data_received(&mut self, data: &[u8]) {
        self.0.borrow_mut().1 += data.len();
    }
}

#[test]
fn a_peer_that_asks_and_never_reads_is_held_back() {
    const ROUNDS: usize = 2_000;
    let most_waiting = |hold_back: bool| {
        run(move || {
            let greedy = Greedy::default();
            let answer = [b'x'; 1000];
            let answers =
                move || LineProtocol::new(move |_, to| to.write(&answer)).hold_back(hold_back);
            let peer = greedy.clone();
            let event_loop = get_running_loop()?;
            let ((transport, _), _) = event_loop.create_pair(answers, move || peer, None)?;
            let asks = greedy.0.borrow().0.clone().expect("it is connected");
            let mut most = 0;
            for _ in 0..ROUNDS {
                asks.write(b"?\n");
                yield_now()?;
                most = most.max(transport.get_write_buffer_size());
            }
            asks.resume_reading();
            while greedy.0.borrow().1 < ROUNDS * 1001 {
                yield_now()?;
            }
            Ok(most)
        })
    };
    // At its high-water mark it has one answer too many, and reads no more.
    assert_eq!(most_waiting(true).unwrap(), 66 * 1001);
    assert!(most_waiting(false).unwrap() > 1_000_000);
}
