//! The engine by itself: whatever pieces the ciphertext comes in, the events are the same.

use proptest::prelude::*;
use stackio::tls::engine::{Engine, Event, State};
use stackio::tls::{ClientConfig, ServerConfig};

use super::{Authority, only_tls12, pattern};

/// What happened on one side, its data in one piece.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    handshake: Option<(String, Option<Vec<u8>>, Option<String>)>,
    data: Vec<u8>,
    end: Option<String>,
}

impl Heard {
    /// Takes note of all events; the plaintext is read in pieces of that size.
    fn listen(&mut self, engine: &mut Engine, piece: usize) {
        while let Some(event) = engine.next_event() {
            assert!(self.end.is_none(), "{event:?} after the end");
            match event {
                Event::HandshakeDone(info) => {
                    assert!(self.handshake.is_none() && self.data.is_empty());
                    let name = info.server_name().map(str::to_owned);
                    let alpn = info.alpn().map(<[u8]>::to_vec);
                    self.handshake = Some((info.version().to_string(), alpn, name));
                }
                Event::Data => {
                    assert!(self.handshake.is_some(), "data before the handshake");
                    let mut buffer = vec![0; piece.min(100_000)];
                    let count = engine.read(&mut buffer);
                    assert!(count > 0, "data without any");
                    self.data.extend_from_slice(&buffer[..count]);
                }
                Event::CloseNotify => self.end = Some("close_notify".to_owned()),
                Event::Truncated => self.end = Some("truncated".to_owned()),
                Event::Failed(error) => self.end = Some(error.to_string()),
            }
        }
    }
}

/// Both sides of a connection.
struct Talk {
    client: Engine,
    server: Engine,
    heard_by_client: Heard,
    heard_by_server: Heard,
    /// Sizes of the pieces in which everything is delivered, over and over.
    pieces: Vec<usize>,
    next: usize,
}

impl Talk {
    fn new(tls12: bool, pieces: &[usize]) -> Talk {
        let authority = Authority::new();
        let made = authority.issue("localhost");
        let server = ServerConfig::builder(made.identity()).alpn(["x"]).build().expect("a server");
        let client = if tls12 {
            only_tls12(&authority)
        } else {
            ClientConfig::builder().roots(authority.roots()).alpn(["y", "x"]).build()
        };
        let client = client.expect("a client");
        Talk {
            client: Engine::client(&client, "localhost").expect("an engine"),
            server: Engine::server(&server).expect("an engine"),
            heard_by_client: Heard::default(),
            heard_by_server: Heard::default(),
            pieces: pieces.to_vec(),
            next: 0,
        }
    }

    /// Delivers until neither side has anything to say.
    fn settle(&mut self) {
        loop {
            let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
            self.client.take_ciphertext(&mut to_server);
            self.server.take_ciphertext(&mut to_client);
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            let pieces = &mut (&self.pieces[..], &mut self.next);
            deliver(&mut self.server, &mut self.heard_by_server, &to_server, pieces);
            deliver(&mut self.client, &mut self.heard_by_client, &to_client, pieces);
        }
    }
}

fn deliver(
    engine: &mut Engine,
    heard: &mut Heard,
    mut bytes: &[u8],
    (pieces, next): &mut (&[usize], &mut usize),
) {
    while !bytes.is_empty() {
        let piece = pieces[**next % pieces.len()];
        **next += 1;
        let taken = engine.feed(&bytes[..piece.min(bytes.len())]);
        heard.listen(engine, piece);
        bytes = &bytes[taken..];
    }
}

/// What the server hears of a client that sends this and, if a place is named, of a wire that
/// changes a byte of it.
fn heard(tls12: bool, pieces: &[usize], data: &[usize], damage: Option<usize>) -> Heard {
    let mut talk = Talk::new(tls12, pieces);
    talk.settle();
    let mut sent = Vec::new();
    for length in data {
        let mut rest = &pattern(*length)[..];
        while !rest.is_empty() {
            let taken = talk.client.write(rest).expect("an open connection");
            talk.client.take_ciphertext(&mut sent);
            rest = &rest[taken..];
        }
    }
    talk.client.close();
    talk.client.take_ciphertext(&mut sent);
    if let Some(place) = damage {
        let place = place % sent.len();
        sent[place] ^= 0x40;
    }
    let pieces = &mut (pieces, &mut talk.next);
    deliver(&mut talk.server, &mut talk.heard_by_server, &sent, pieces);
    talk.server.feed_eof();
    talk.heard_by_server.listen(&mut talk.server, 100);
    talk.heard_by_server
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_pieces_give_the_same_events(
        pieces in prop::collection::vec(1usize..3000, 1..20),
        data in prop::collection::vec(1usize..40_000, 0..5),
        damage in prop::option::of(0usize..100_000),
        tls12: bool,
    ) {
        let whole = heard(tls12, &[usize::MAX / 2], &data, damage);
        prop_assert_eq!(&heard(tls12, &pieces, &data, damage), &whole);
        if damage.is_none() {
            let all: Vec<u8> = data.iter().flat_map(|length| pattern(*length)).collect();
            prop_assert_eq!(&whole.data, &all);
            prop_assert_eq!(whole.end.as_deref(), Some("close_notify"));
        }
    }
}

/// The two sides after a handshake.
fn open() -> (Engine, Engine) {
    let mut talk = Talk::new(false, &[usize::MAX]);
    talk.settle();
    (talk.client, talk.server)
}

/// Takes what one side has to say to the other; how many bytes.
fn carry(from: &mut Engine, to: &mut Engine) -> usize {
    let mut bytes = Vec::new();
    let count = from.take_ciphertext(&mut bytes);
    assert_eq!(to.feed(&bytes), count);
    count
}

#[test]
fn the_states_follow_each_other() {
    let mut talk = Talk::new(false, &[usize::MAX]);
    assert_eq!((talk.client.state(), talk.server.state()), (State::Handshake, State::Handshake));
    talk.settle();
    let (mut client, mut server) = (talk.client, talk.server);
    assert_eq!((client.state(), server.state()), (State::Open, State::Open));
    client.close();
    assert_eq!((client.state(), server.state()), (State::Closing, State::Open));
    carry(&mut client, &mut server);
    assert_eq!((client.state(), server.state()), (State::Closing, State::Closing));
    server.close();
    carry(&mut server, &mut client);
    assert_eq!((client.state(), server.state()), (State::Closed, State::Closed));
}

#[test]
fn nothing_is_written_before_the_handshake_or_after_the_end() {
    let mut talk = Talk::new(false, &[usize::MAX]);
    assert_eq!(talk.client.write(b"early").expect("no error"), 0);
    talk.settle();
    talk.client.close();
    let error = talk.client.write(b"late").unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::BrokenPipe));
}

#[test]
fn plaintext_that_nobody_reads_stops_the_ciphertext() {
    let (mut client, mut server) = open();
    let mut sent = Vec::new();
    for _ in 0..10 {
        assert_eq!(client.write(&[7; 60_000]).expect("open"), 60_000);
        client.take_ciphertext(&mut sent);
    }
    let mut taken = server.feed(&sent);
    assert!(taken < 50_000, "{taken}");
    assert_eq!(server.feed(&sent[taken..]), 0, "it is full");
    let mut read = 0;
    while taken < sent.len() {
        let count = server.read(&mut [0; 5000]);
        assert!(count > 0);
        read += count;
        taken += server.feed(&sent[taken..]);
        assert!(taken < read + 50_000 + 22 * 100, "{taken} for {read}");
    }
    while server.has_plaintext() {
        read += server.read(&mut [0; 5000]);
    }
    assert_eq!(read, 600_000);
}

#[test]
fn ciphertext_that_nobody_takes_stops_the_plaintext() {
    let (mut client, _server) = open();
    let first = client.write(&[7; 1_000_000]).expect("open");
    assert_eq!(first, 64 * 1024);
    assert_eq!(client.write(b"more").expect("open"), 0);
    let mut sent = Vec::new();
    client.take_ciphertext(&mut sent);
    assert!(sent.len() < 65 * 1024, "{}", sent.len());
    assert_eq!(client.write(b"more").expect("open"), 4);
}

#[test]
fn plaintext_can_be_looked_at_in_place() {
    let (mut client, mut server) = open();
    client.write(b"hello").expect("open");
    carry(&mut client, &mut server);
    assert_eq!(server.peek(), b"hello");
    server.consume(2);
    assert_eq!(server.peek(), b"llo");
    server.consume(100);
    assert!(!server.has_plaintext());
}

#[test]
fn the_end_waits_until_the_data_before_it_has_been_read() {
    let (mut client, mut server) = open();
    assert!(server.next_event().is_none());
    client.write(b"last words").expect("open");
    client.close();
    carry(&mut client, &mut server);
    assert!(matches!(server.next_event(), Some(Event::Data)));
    assert!(server.next_event().is_none());
    server.read(&mut [0; 4]);
    assert!(matches!(server.next_event(), Some(Event::Data)));
    server.read(&mut [0; 100]);
    assert!(matches!(server.next_event(), Some(Event::CloseNotify)));
    assert!(server.next_event().is_none());
}

#[test]
fn a_change_of_keys_goes_unnoticed() {
    let (mut client, mut server) = open();
    for round in 0..3u8 {
        assert_eq!(client.write(&[round; 1000]).expect("open"), 1000);
        client.refresh_keys().expect("TLS 1.3");
        assert_eq!(client.write(&[round; 1000]).expect("open"), 1000);
        carry(&mut client, &mut server);
        assert_eq!(server.read(&mut [0; 3000]), 2000);
        // The other side changes its own with its next record.
        assert_eq!(server.write(&[round; 10]).expect("open"), 10);
        carry(&mut server, &mut client);
        assert_eq!(client.read(&mut [0; 3000]), 10);
    }
    assert_eq!((client.state(), server.state()), (State::Open, State::Open));
}

#[test]
fn what_comes_after_the_end_is_dropped() {
    let (mut client, mut server) = open();
    client.close();
    carry(&mut client, &mut server);
    assert_eq!(server.feed(b"what is this?"), 13);
    assert!(matches!(server.next_event(), Some(Event::CloseNotify)));
    assert!(server.next_event().is_none());
    server.feed_eof();
    assert!(server.next_event().is_none());
}

#[test]
fn the_same_ends_a_client_and_a_server() {
    for (bytes, eof) in [(&b"garbage, and a lot of it"[..], false), (b"", true)] {
        let talk = Talk::new(false, &[usize::MAX]);
        for mut engine in [talk.client, talk.server] {
            engine.feed(bytes);
            if eof {
                engine.feed_eof();
            }
            assert_eq!(engine.state(), State::Closed);
            assert!(matches!(engine.next_event(), Some(Event::Failed(_))));
            assert!(engine.next_event().is_none());
            assert!(engine.write(b"x").is_err());
            engine.close();
        }
    }
}
