//! Protocols that write down what they are told, and the grammar it is held against.
//!
//! ```text
//! connection_made  data_received*  eof_received?  connection_lost
//! ```
//!
//! with `pause_writing` and `resume_writing` in turn between the first and the last.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::{BufferedProtocol, Error, Future, Protocol, Result, Transport};

/// One call of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Made,
    Data,
    Eof,
    Pause,
    Resume,
    Lost,
}

/// What is done within a call; the log knows the transport.
type Reaction = Rc<dyn Fn(Call, &Log) -> Result>;

/// What a protocol was told, for others to look at; clones are the same log.
#[derive(Clone)]
pub struct Log(Rc<Inner>);

struct Inner {
    calls: RefCell<Vec<Call>>,
    data: RefCell<Vec<u8>>,
    /// The longest piece that came at once.
    longest: Cell<usize>,
    transport: RefCell<Option<Transport>>,
    running: Cell<bool>,
    reentered: Cell<bool>,
    keep_open: Cell<bool>,
    reaction: RefCell<Option<Reaction>>,
    buffer: Cell<usize>,
    error: RefCell<Option<Error>>,
    lost: Future<()>,
}

impl Log {
    pub fn new() -> Log {
        Log(Rc::new(Inner {
            calls: RefCell::default(),
            data: RefCell::default(),
            longest: Cell::new(0),
            transport: RefCell::default(),
            running: Cell::new(false),
            reentered: Cell::new(false),
            keep_open: Cell::new(false),
            reaction: RefCell::default(),
            buffer: Cell::new(1000),
            error: RefCell::default(),
            lost: Future::new(),
        }))
    }

    /// One whose protocol does something in its calls, after it has written them down.
    pub fn reacting(reaction: impl Fn(Call, &Log) -> Result + 'static) -> Log {
        let log = Log::new();
        *log.0.reaction.borrow_mut() = Some(Rc::new(reaction));
        log
    }

    /// Has the protocol keep its side open after the end of the other.
    pub fn keep_open(self) -> Log {
        self.0.keep_open.set(true);
        self
    }

    /// Gives a buffered protocol a buffer of that length.
    pub fn buffer(self, length: usize) -> Log {
        self.0.buffer.set(length);
        self
    }

    pub fn calls(&self) -> Vec<Call> {
        self.0.calls.borrow().clone()
    }

    pub fn count(&self, call: Call) -> usize {
        self.0.calls.borrow().iter().filter(|other| **other == call).count()
    }

    pub fn has(&self, call: Call) -> bool {
        self.count(call) > 0
    }

    pub fn data(&self) -> Vec<u8> {
        self.0.data.borrow().clone()
    }

    pub fn received(&self) -> usize {
        self.0.data.borrow().len()
    }

    pub fn longest(&self) -> usize {
        self.0.longest.get()
    }

    /// The transport, also within a call.
    pub fn transport(&self) -> Transport {
        self.0.transport.borrow().clone().expect("connection_made has been called")
    }

    /// Forgets the transport, so that the log does not keep it.
    pub fn let_go(&self) {
        self.0.transport.take();
    }

    /// What `connection_lost` was given.
    pub fn error(&self) -> Option<Error> {
        self.0.error.borrow().clone()
    }

    /// Waits for `connection_lost`.
    #[track_caller]
    pub fn wait_lost(&self) -> Result<Option<Error>> {
        self.0.lost.wait()?;
        Ok(self.error())
    }

    /// How many there are that look at the same log: a protocol is one.
    pub fn holders(&self) -> usize {
        Rc::strong_count(&self.0)
    }

    fn note(&self, call: Call) -> Result {
        if self.0.running.replace(true) {
            self.0.reentered.set(true);
        }
        let _ended = Ended(&self.0.running);
        self.0.calls.borrow_mut().push(call);
        if call == Call::Lost && !self.0.lost.done() {
            self.0.lost.set_result(())?;
        }
        let reaction = self.0.reaction.borrow().clone();
        match reaction {
            Some(reaction) => reaction(call, self),
            None => Ok(()),
        }
    }

    fn made(&self, transport: &Transport) -> Result {
        *self.0.transport.borrow_mut() = Some(transport.clone());
        self.note(Call::Made)
    }

    fn came(&self, data: &[u8]) -> Result {
        assert!(!data.is_empty());
        self.0.data.borrow_mut().extend_from_slice(data);
        self.0.longest.set(self.0.longest.get().max(data.len()));
        self.note(Call::Data)
    }

    fn eof(&self) -> bool {
        self.note(Call::Eof).expect("eof_received cannot raise but by a panic");
        self.0.keep_open.get()
    }

    fn gone(&self, error: Option<Error>) -> Result {
        *self.0.error.borrow_mut() = error;
        self.note(Call::Lost)
    }

    /// Holds it against the grammar; the connection has ended.
    #[track_caller]
    pub fn check(&self) {
        assert!(!self.0.reentered.get(), "a call within another in {:?}", self.calls());
        if let Err(text) = check(&self.calls()) {
            panic!("{text} in {:?}", self.calls());
        }
    }
}

struct Ended<'a>(&'a Cell<bool>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Whether the calls are those of a whole connection; what is wrong if not.
pub fn check(calls: &[Call]) -> std::result::Result<(), String> {
    let (mut paused, mut stage) = (false, None);
    for (at, call) in calls.iter().enumerate() {
        let wrong = |what: &str| Err(format!("call {at}: {what}"));
        match (stage, call) {
            (None, Call::Made) | (Some(Call::Made | Call::Data), Call::Data) => stage = Some(*call),
            (None, _) => return wrong("connection_made is not the first"),
            (Some(Call::Lost), _) => return wrong("something after connection_lost"),
            (_, Call::Made) => return wrong("connection_made again"),
            (_, Call::Lost) => stage = Some(Call::Lost),
            (Some(Call::Made | Call::Data), Call::Eof) => stage = Some(Call::Eof),
            (_, Call::Data | Call::Eof) => return wrong("something after eof_received"),
            (_, Call::Pause) if paused => return wrong("paused twice"),
            (_, Call::Resume) if !paused => return wrong("resumed without a pause"),
            (_, Call::Pause | Call::Resume) => paused = !paused,
        }
    }
    match stage {
        Some(Call::Lost) => Ok(()),
        _ => Err("no connection_lost".to_owned()),
    }
}

/// What the methods of a protocol return, made of a result.
trait Given {
    fn given(result: Result) -> Self;
}

impl Given for () {
    fn given(result: Result) {
        result.expect("a protocol that returns nothing raises nothing but panics");
    }
}

impl Given for Result {
    fn given(result: Result) -> Result {
        result
    }
}

/// A protocol that returns nothing.
pub struct Plain(pub Log);

/// A protocol that returns results.
pub struct Raising(pub Log);

macro_rules! records {
    ($($protocol:ident -> $output:ty),+) => {$(
        impl Protocol<$output> for $protocol {
            fn connection_made(&mut self, transport: &Transport) -> $output {
                Given::given(self.0.made(transport))
            }

            fn data_received(&mut self, data: &[u8]) -> $output {
                Given::given(self.0.came(data))
            }

            fn eof_received(&mut self) -> bool {
                self.0.eof()
            }

            fn pause_writing(&mut self) -> $output {
                Given::given(self.0.note(Call::Pause))
            }

            fn resume_writing(&mut self) -> $output {
                Given::given(self.0.note(Call::Resume))
            }

            fn connection_lost(&mut self, error: Option<Error>) -> $output {
                Given::given(self.0.gone(error))
            }
        }
    )+};
}

records!(Plain -> (), Raising -> Result);

/// The same with a buffer of its own.
pub struct Buffered {
    pub log: Log,
    buffer: Vec<u8>,
}

/// The same that returns results.
pub struct BufferedRaising(Buffered);

impl Buffered {
    pub fn new(log: Log) -> Buffered {
        let buffer = vec![0; log.0.buffer.get()];
        Buffered { log, buffer }
    }

    pub fn raising(log: Log) -> BufferedRaising {
        BufferedRaising(Buffered::new(log))
    }

    fn inner(&mut self) -> &mut Buffered {
        self
    }
}

impl BufferedRaising {
    fn inner(&mut self) -> &mut Buffered {
        &mut self.0
    }
}

macro_rules! records_buffered {
    ($($protocol:ident -> $output:ty),+) => {$(
        impl BufferedProtocol<$output> for $protocol {
            fn connection_made(&mut self, transport: &Transport) -> $output {
                Given::given(self.inner().log.made(transport))
            }

            fn get_buffer(&mut self, _: usize) -> &mut [u8] {
                &mut self.inner().buffer
            }

            fn buffer_updated(&mut self, length: usize) -> $output {
                let Buffered { log, buffer } = self.inner();
                Given::given(log.came(&buffer[..length]))
            }

            fn eof_received(&mut self) -> bool {
                self.inner().log.eof()
            }

            fn pause_writing(&mut self) -> $output {
                Given::given(self.inner().log.note(Call::Pause))
            }

            fn resume_writing(&mut self) -> $output {
                Given::given(self.inner().log.note(Call::Resume))
            }

            fn connection_lost(&mut self, error: Option<Error>) -> $output {
                Given::given(self.inner().log.gone(error))
            }
        }
    )+};
}

records_buffered!(Buffered -> (), BufferedRaising -> Result);

#[test]
fn the_grammar_is_recognized() {
    use Call::{Data, Eof, Lost, Made, Pause, Resume};

    for good in [
        &[Made, Lost][..],
        &[Made, Data, Data, Eof, Lost],
        &[Made, Eof, Pause, Resume, Lost],
        &[Made, Pause, Data, Resume, Data, Pause, Lost],
    ] {
        assert_eq!(check(good), Ok(()), "{good:?}");
    }
    for bad in [
        &[][..],
        &[Lost],
        &[Data, Made, Lost],
        &[Made, Made, Lost],
        &[Made, Data],
        &[Made, Eof, Data, Lost],
        &[Made, Eof, Eof, Lost],
        &[Made, Pause, Pause, Lost],
        &[Made, Resume, Lost],
        &[Made, Lost, Lost],
        &[Made, Lost, Resume],
        &[Pause, Made, Lost],
    ] {
        assert!(check(bad).is_err(), "{bad:?}");
    }
}
