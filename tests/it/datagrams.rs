//! Datagrams for protocols: each as a whole, errors that end nothing, and what waits to be sent.

mod errors;
mod flow;
mod groups;
mod ways;

use std::rc::Rc;

use stackio::{
    Address, DatagramConnected, DatagramEndpoint, DatagramProtocol, DatagramTransport, Error,
    Queue, Result, Runner, secs, timeout,
};

/// Any free port of the loopback interface.
const ANY: &str = "127.0.0.1:0";

/// Runs the body as a loop's main task; one that hangs fails.
#[track_caller]
fn play<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> T {
    match Runner::new().expect("a loop").run(move || timeout(secs(25), |_| body())) {
        Ok(value) => value,
        Err(error) => panic!("the test's main task failed: {error:?}"),
    }
}

/// What a protocol was called with.
#[derive(Debug)]
enum Call {
    Made,
    Datagram(Vec<u8>, Address),
    Error(Error),
    Pause,
    Resume,
    Lost(Option<Error>),
}

/// A protocol that notes each call, for the test to wait for.
#[derive(Clone)]
struct Note(Rc<Queue<Call>>);

impl Note {
    fn new() -> Note {
        Note(Rc::new(Queue::new(0)))
    }

    fn put(&self, call: Call) {
        self.0.put_nowait(call).expect("the queue takes any number");
    }

    #[track_caller]
    fn next(&self) -> Result<Call> {
        self.0.get()
    }

    #[track_caller]
    fn datagram(&self) -> Result<(Vec<u8>, Address)> {
        match self.next()? {
            Call::Datagram(data, from) => Ok((data, from)),
            call => panic!("a datagram was expected, not {call:?}"),
        }
    }

    #[track_caller]
    fn error(&self) -> Result<Error> {
        match self.next()? {
            Call::Error(error) => Ok(error),
            call => panic!("an error was expected, not {call:?}"),
        }
    }

    #[track_caller]
    fn lost(&self) -> Result<Option<Error>> {
        match self.next()? {
            Call::Lost(error) => Ok(error),
            call => panic!("the end was expected, not {call:?}"),
        }
    }

    #[track_caller]
    fn assert_nothing(&self) {
        assert!(self.0.empty(), "{:?}", self.0.get_nowait());
    }
}

impl DatagramProtocol for Note {
    fn connection_made(&mut self, _: &DatagramTransport) {
        self.put(Call::Made);
    }

    fn datagram_received(&mut self, data: &[u8], from: &Address) {
        self.put(Call::Datagram(data.to_vec(), from.clone()));
    }

    fn error_received(&mut self, error: Error) {
        self.put(Call::Error(error));
    }

    fn pause_writing(&mut self) {
        self.put(Call::Pause);
    }

    fn resume_writing(&mut self) {
        self.put(Call::Resume);
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        self.put(Call::Lost(error));
    }
}

/// An endpoint, and what its protocol notes from now on.
#[track_caller]
fn noted(endpoint: DatagramEndpoint) -> Result<(DatagramTransport, Note)> {
    let note = Note::new();
    let (transport, _) = endpoint.create(|| note.clone())?;
    assert!(matches!(note.next()?, Call::Made), "the first call");
    Ok((transport, note))
}

/// The same, at any port of the loopback interface.
#[track_caller]
fn at_any() -> Result<(DatagramTransport, Note)> {
    noted(DatagramEndpoint::new().local_addr(ANY)?)
}

/// A protocol that answers each datagram with the same.
#[derive(Default)]
struct Echo(Option<DatagramTransport>);

impl DatagramProtocol for Echo {
    fn connection_made(&mut self, transport: &DatagramTransport) {
        self.0 = Some(transport.clone());
    }

    fn datagram_received(&mut self, data: &[u8], from: &Address) {
        self.0.as_ref().expect("it was called first").sendto(data, from);
    }
}

fn echo() -> Result<DatagramConnected<Echo>> {
    DatagramEndpoint::new().local_addr(ANY)?.create(Echo::default)
}
