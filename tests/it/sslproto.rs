//! TLS between transports and protocols: the order of the calls, data that stays whole, and every
//! way in which a connection can end.

mod ends;
mod flow;
mod loops;
mod upgrades;

use std::cell::RefCell;
use std::rc::Rc;

use stackio::tls::{ClientConfig, ServerConfig, Side, TlsInfo};
use stackio::{
    Error, EventLoop, Future, Protocol, ProtocolHandle, Result, Runner, Transport, VirtualClock,
    get_running_loop, spawn,
};

use crate::tls::acquainted;

/// Runs the body on a virtual clock; one that hangs is a deadlock. Nothing may be reported.
#[track_caller]
fn play<T: 'static>(body: impl FnOnce(&VirtualClock) -> Result<T> + 'static) -> T {
    let (value, reports) = play_reporting(body);
    assert_eq!(reports, [""; 0]);
    value
}

/// The same, and what the exception handler was told.
#[track_caller]
fn play_reporting<T: 'static>(
    body: impl FnOnce(&VirtualClock) -> Result<T> + 'static,
) -> (T, Vec<String>) {
    let clock = VirtualClock::new();
    let reports = Rc::new(RefCell::new(Vec::new()));
    let told = reports.clone();
    let handler = move |context: &stackio::ExceptionContext| {
        let error = context.exception.as_ref().map(|error| error.to_string()).unwrap_or_default();
        told.borrow_mut().push(format!("{}: {error}", context.message));
    };
    let runner = Runner::builder().virtual_clock(&clock).exception_handler(handler).build();
    let mut runner = runner.expect("a loop");
    let ended = runner.run(move || body(&clock));
    drop(runner);
    let value = ended.unwrap_or_else(|error| panic!("the test's main task failed: {error:?}"));
    (value, reports.take())
}

/// What a protocol was told, in order; data that came in a row is in one piece.
#[derive(Default)]
struct Heard {
    calls: Vec<&'static str>,
    data: Vec<u8>,
    /// The most data that came in one call.
    largest: usize,
    lost: Option<Option<Error>>,
}

/// What a protocol does with data.
type OnData = Box<dyn FnMut(&Transport, &[u8])>;

/// A protocol that notes what it is told, and holds its transport to the grammar.
struct Recorder {
    heard: Rc<RefCell<Heard>>,
    transport: Option<Transport>,
    /// What to do with data, and with the beginning.
    on_data: OnData,
    on_made: Box<dyn FnMut(&Transport)>,
    ended: Future<()>,
}

impl Recorder {
    fn new() -> Recorder {
        Recorder {
            heard: Rc::default(),
            transport: None,
            on_data: Box::new(|_, _| {}),
            on_made: Box::new(|_| {}),
            ended: Future::new(),
        }
    }

    fn doing(on_data: impl FnMut(&Transport, &[u8]) + 'static) -> Recorder {
        Recorder { on_data: Box::new(on_data), ..Recorder::new() }
    }

    fn beginning(on_made: impl FnMut(&Transport) + 'static) -> Recorder {
        Recorder { on_made: Box::new(on_made), ..Recorder::new() }
    }

    /// One that was told of its connection before it was TLS.
    fn knowing(mut self) -> Recorder {
        self.heard.borrow_mut().calls.push("made");
        self.on_made = Box::new(|_| panic!("it is told a second time"));
        self
    }

    fn note(&mut self, call: &'static str) {
        let mut heard = self.heard.borrow_mut();
        assert!(heard.lost.is_none(), "{call} after connection_lost");
        let last = heard.calls.last().copied();
        match call {
            "made" => assert_eq!(last, None),
            "data" => assert!(!heard.calls.contains(&"eof"), "data after the end"),
            "pause" => assert!(!is_paused(&heard.calls), "paused twice"),
            "resume" => assert!(is_paused(&heard.calls), "resumed without a pause"),
            _ => {}
        }
        assert!(call == "made" || last.is_some(), "{call} before connection_made");
        if call != "data" || last != Some("data") {
            heard.calls.push(call);
        }
    }
}

fn is_paused(calls: &[&str]) -> bool {
    calls.iter().rev().find(|call| ["pause", "resume"].contains(call)) == Some(&"pause")
}

impl Protocol for Recorder {
    fn connection_made(&mut self, transport: &Transport) {
        self.note("made");
        self.transport = Some(transport.clone());
        (self.on_made)(transport);
    }

    fn data_received(&mut self, data: &[u8]) {
        assert!(!data.is_empty());
        self.note("data");
        {
            let mut heard = self.heard.borrow_mut();
            heard.data.extend_from_slice(data);
            heard.largest = heard.largest.max(data.len());
        }
        if let Some(transport) = &self.transport {
            (self.on_data)(transport, data);
        }
    }

    fn eof_received(&mut self) -> bool {
        self.note("eof");
        true
    }

    fn pause_writing(&mut self) {
        self.note("pause");
    }

    fn resume_writing(&mut self) {
        self.note("resume");
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        self.note("lost");
        self.heard.borrow_mut().lost = Some(error);
        let _ = self.ended.set_result(());
    }
}

/// One side of a connection.
struct End {
    transport: Transport,
    /// The transport below.
    below: Transport,
    heard: Rc<RefCell<Heard>>,
    ended: Future<()>,
}

impl End {
    /// Waits until its connection is lost; why it was.
    #[track_caller]
    fn lost(&self) -> Result<Option<Error>> {
        self.ended.wait()?;
        Ok(self.heard.borrow().lost.clone().expect("it is lost"))
    }

    fn calls(&self) -> String {
        self.heard.borrow().calls.join(" ")
    }

    /// How much has been heard.
    fn length(&self) -> usize {
        self.heard.borrow().data.len()
    }
}

/// Nothing of a connection, before it is TLS.
struct Plain;
impl Protocol for Plain {}

/// The two sides of a connection through memory, over which the protocols speak TLS; the first is
/// the client. Every transport gives at most so many bytes at a time.
fn secured(chunk: usize, near: Recorder, far: Recorder) -> Result<(End, End)> {
    let (client, server) = acquainted()?;
    secured_by(&client, &server, chunk, near, far)
}

fn secured_by(
    client: &ClientConfig,
    server: &ServerConfig,
    chunk: usize,
    near: Recorder,
    far: Recorder,
) -> Result<(End, End)> {
    let event_loop = get_running_loop()?;
    let ((below_near, _), (below_far, _)) = event_loop.create_pair(|| Plain, || Plain, chunk)?;
    let server = Side::from(server);
    let upgrading = spawn(move || upgrade(&get_running_loop()?, below_far, far, server));
    let near = upgrade(&event_loop, below_near, near, Side::from((client, "localhost")))?;
    Ok((near, upgrading.join()?))
}

fn upgrade(
    event_loop: &EventLoop,
    below: Transport,
    protocol: Recorder,
    side: Side,
) -> Result<End> {
    let (heard, ended) = (protocol.heard.clone(), protocol.ended.clone());
    let protocol = Rc::new(RefCell::new(Some(protocol.knowing())));
    // `start_tls` tells nothing of the connection, so the transport is given by hand.
    let handle: ProtocolHandle<Recorder> = handle(protocol.take().expect("it is there"));
    let transport = event_loop.start_tls(&below, &handle, side)?;
    handle.with(|recorder| recorder.transport = Some(transport.clone()))?;
    Ok(End { transport, below, heard, ended })
}

fn handle(protocol: Recorder) -> ProtocolHandle<Recorder> {
    stackio::IntoProtocol::into_handle(protocol)
}

fn info(transport: &Transport) -> Option<Rc<TlsInfo>> {
    transport.get_extra_info().get::<TlsInfo>()
}
