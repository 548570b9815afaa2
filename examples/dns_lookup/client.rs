//! The client: a protocol that brings answers and queries together, and sequential code on top.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use stackio::net::TcpStream;
use stackio::{
    Address, DatagramEndpoint, DatagramProtocol, DatagramTransport, Error, ErrorKind, Future,
    Result, timeout, wait_for,
};

use super::message::{Data, Flags, INTERNET, Kind, Message, Question, Record};
use super::name::Name;

/// How often a query is sent, and how long the first is waited for; each wait is twice as long as
/// the one before.
const TRIES: u32 = 4;

/// How long a connection may take.
const STREAM_LIMIT: Duration = Duration::from_secs(10);

/// The largest datagram that is taken, in bytes.
const LARGEST: u16 = 1232;

/// The queries that wait, by their numbers.
type Waiting = Rc<RefCell<HashMap<u16, (Question, Future<Message>)>>>;

/// Gives each answer to whoever asked.
struct Answers(Waiting);

impl DatagramProtocol for Answers {
    /// What is no answer to a query is left alone: anybody can send anything.
    fn datagram_received(&mut self, data: &[u8], _: &Address) {
        let Ok(message) = Message::decode(data) else { return };
        let mut waiting = self.0.borrow_mut();
        let Entry::Occupied(query) = waiting.entry(message.id) else { return };
        // A server that did not understand the question does not repeat it.
        let (question, _) = query.get();
        let matches = message.questions.first().is_none_or(|asked| asked == question);
        if message.flags.has(Flags::RESPONSE) && matches {
            let (_, answered) = query.remove();
            let _given_up = answered.set_result(message);
        }
    }

    /// Nobody listens there.
    fn error_received(&mut self, error: Error) {
        for (_, (_, answered)) in self.0.take() {
            let _given_up = answered.set_exception(error.clone());
        }
    }
}

/// Asks one server.
pub struct Resolver {
    server: SocketAddr,
    transport: DatagramTransport,
    waiting: Waiting,
    first_wait: Duration,
}

/// What came of a lookup.
pub struct Answer {
    pub message: Message,
    /// How many queries it took.
    pub queries: u32,
    /// Whether it was too long for a datagram.
    pub by_stream: bool,
}

impl Resolver {
    pub fn new(server: SocketAddr, first_wait: Duration) -> Result<Resolver> {
        let waiting = Waiting::default();
        let answers = Answers(waiting.clone());
        let (transport, _) = DatagramEndpoint::new().remote_addr(server)?.create(|| answers)?;
        Ok(Resolver { server, transport, waiting, first_wait })
    }

    /// Asks until there is an answer.
    ///
    /// # Errors
    ///
    /// Kind `Timeout` if there is none; that nobody listens; what is wrong with the name; a
    /// cancellation.
    pub fn lookup(&self, name: &str, kind: Kind) -> Result<Answer> {
        let question = Question { name: Name::parse(name)?, kind, class: INTERNET };
        let mut patience = self.first_wait;
        for queries in 1..=TRIES {
            match self.ask(&question, patience) {
                Err(error) if error.kind() == ErrorKind::Timeout => patience *= 2,
                Err(error) => return Err(error),
                Ok(message) if message.flags.has(Flags::TRUNCATED) => {
                    let message = self.ask_by_stream(&question)?;
                    return Ok(Answer { message, queries, by_stream: true });
                }
                Ok(message) => return Ok(Answer { message, queries, by_stream: false }),
            }
        }
        let text = format!("{} does not answer", self.server);
        Err(Error::with_message(ErrorKind::Timeout, text))
    }

    /// One query, and a while for its answer.
    fn ask(&self, question: &Question, patience: Duration) -> Result<Message> {
        let answered = Future::new();
        let id = self.enlist(question, &answered);
        let asked = query(id, question).and_then(|query| self.transport.try_send(&query));
        let answer = asked.and_then(|()| wait_for(answered, Some(patience)));
        self.waiting.borrow_mut().remove(&id);
        answer
    }

    /// A number that nobody can guess and no other query has.
    fn enlist(&self, question: &Question, answered: &Future<Message>) -> u16 {
        let mut waiting = self.waiting.borrow_mut();
        loop {
            if let Entry::Vacant(place) = waiting.entry(random()) {
                let id = *place.key();
                place.insert((question.clone(), answered.clone()));
                return id;
            }
        }
    }

    /// The same by a connection.
    fn ask_by_stream(&self, question: &Question) -> Result<Message> {
        let id = random();
        let query = query(id, question)?;
        let bytes = timeout(STREAM_LIMIT, |_| {
            let mut stream = TcpStream::connect(self.server)?;
            let length = u16::try_from(query.len())?;
            stream.write_all(&[&length.to_be_bytes()[..], &query].concat())?;
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes)?;
            Ok(bytes)
        })?;
        let message = Message::decode(&bytes)?;
        let is_answer = message.id == id && message.questions.first() == Some(question);
        match is_answer {
            true => Ok(message),
            false => Err(Error::with_message(ErrorKind::Value, "the answer is to something else")),
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.transport.close();
    }
}

fn query(id: u16, question: &Question) -> Result<Vec<u8>> {
    let (name, data) = (Name::default(), Data::Other(Vec::new()));
    let edns = Record { name, kind: Kind::OPT, class: LARGEST, ttl: 0, data };
    let query = Message {
        id,
        flags: Flags(Flags::RECURSION_DESIRED),
        questions: vec![question.clone()],
        additionals: vec![edns],
        ..Message::default()
    };
    Ok(query.encode()?)
}

/// std's maps are seeded by the system, each differently.
fn random() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}
