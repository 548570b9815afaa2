//! The messages of the DNS example, with whatever bytes: its parts that do no I/O.

#[allow(dead_code, reason = "the client's part is not used here")]
#[path = "../../examples/dns_lookup/message.rs"]
mod message;
#[path = "../../examples/dns_lookup/name.rs"]
mod name;
#[allow(dead_code, reason = "no server is started here")]
#[path = "../../examples/dns_lookup/server.rs"]
mod server;

use proptest::prelude::*;

use self::message::{Code, Data, Flags, Kind, Malformed, Message, Question, Record};
use self::name::Name;
use self::server::Zone;

/// A query with one question, and what is told by EDNS.
fn query(name: &str, kind: Kind, edns_size: Option<u16>) -> Message {
    let opt = |class| Record {
        name: Name::default(),
        kind: Kind::OPT,
        class,
        ttl: 0,
        data: Data::Other(Vec::new()),
    };
    Message {
        id: 7,
        flags: Flags(Flags::RECURSION_DESIRED),
        questions: vec![Question { name: Name::parse(name).expect("a name"), kind, class: 1 }],
        additionals: edns_size.map(opt).into_iter().collect(),
        ..Message::default()
    }
}

fn zone() -> Zone {
    let name = |text| Name::parse(text).expect("a name");
    let soa = Data::Soa { server: name("ns.zone"), mailbox: name("me.zone"), numbers: [1; 5] };
    let mut records = vec![
        ("@", soa),
        ("@", Data::A([192, 0, 2, 1].into())),
        ("www", Data::Cname(name("zone"))),
        ("away", Data::Cname(name("elsewhere"))),
        ("round", Data::Cname(name("about.zone"))),
        ("about", Data::Cname(name("round.zone"))),
    ];
    records.extend((0..100).map(|n| ("many", Data::A([192, 0, 2, n].into()))));
    Zone::new("zone", 60, records).expect("a zone")
}

/// What the zone says to a query by datagram.
fn ask(name: &str, kind: Kind, edns_size: Option<u16>) -> (Message, usize) {
    let query = query(name, kind, edns_size).encode().expect("it is not long");
    let answer = zone().answer(&query, 0).expect("a query is answered");
    let length = answer.len();
    (Message::decode(&answer).expect("an answer is a message"), length)
}

#[test]
fn aliases_are_followed_as_far_as_the_zone_goes_and_not_for_ever() {
    let (answer, _) = ask("www.zone", Kind::A, None);
    assert_eq!(answer.answers.len(), 2);
    let (answer, _) = ask("away.zone", Kind::A, None);
    assert_eq!((answer.answers.len(), answer.flags.code()), (1, Code(0)));
    let (answer, _) = ask("round.zone", Kind::A, None);
    assert_eq!(answer.answers.len(), 8);
    let (answer, _) = ask("nobody.zone", Kind::A, None);
    assert_eq!((answer.authorities.len(), answer.flags.code()), (1, Code::NAME_ERROR));
    let (answer, _) = ask("elsewhere", Kind::A, None);
    assert_eq!(answer.flags.code(), Code::REFUSED);
}

#[test]
fn an_answer_is_as_long_as_the_asker_takes() {
    for (edns_size, limit) in [(None, 512), (Some(100), 512), (Some(600), 600), (Some(9000), 1232)]
    {
        let (answer, length) = ask("many.zone", Kind::A, edns_size);
        assert!(answer.flags.has(Flags::TRUNCATED), "{edns_size:?}");
        assert!(length <= limit && answer.answers.is_empty());
        assert_eq!(answer.additionals.len(), usize::from(edns_size.is_some()));
    }
    let query = query("many.zone", Kind::A, None).encode().expect("it is not long");
    let answer = zone().answer(&query, 65_535).expect("a query is answered");
    let answer = Message::decode(&answer).expect("an answer is a message");
    assert_eq!((answer.answers.len(), answer.flags.has(Flags::TRUNCATED)), (100, false));
}

#[test]
fn an_answer_is_not_answered() {
    let mut message = query("zone", Kind::A, None);
    message.flags.0 |= Flags::RESPONSE;
    assert_eq!(zone().answer(&message.encode().expect("it is not long"), 0), None);
    assert_eq!(zone().answer(b"short", 0), None);
}

/// A header with one question, and the bytes that are to be its name.
fn with_name(bytes: &[u8]) -> Result<Message, Malformed> {
    Message::decode(&[b"\0\x07\0\0\0\x01\0\0\0\0\0\0", bytes].concat())
}

#[test]
fn names_that_lead_in_circles_or_nowhere_are_refused() {
    let backwards = Malformed("the address of a name does not point backwards");
    let itself = with_name(b"\xc0\x0c\0\x01\0\x01");
    assert_eq!(itself, Err(backwards));
    // Its first label, and then itself again.
    assert_eq!(with_name(b"\x01a\xc0\x0c\0\x01\0\x01"), Err(backwards));
    assert_eq!(with_name(b"\xc0\xff\0\x01\0\x01"), Err(backwards));
    assert_eq!(with_name(b"\x80"), Err(Malformed("a label of an unknown sort")));
    assert_eq!(with_name(b"\x05ab"), Err(Malformed("a name ends too early")));
    let long = [&b"\x3f"[..], &[b'a'; 63]].concat().repeat(4);
    assert_eq!(with_name(&long), Err(Malformed("a name is too long")));
}

/// Addresses that each point to the one before.
#[test]
fn a_chain_of_addresses_has_an_end() {
    let mut message = b"\x01a\0".to_vec();
    let mut last = 0;
    for length in 1..=200_u16 {
        let address = 0xc000 | last;
        last = message.len() as u16;
        message.extend_from_slice(&address.to_be_bytes());
        let name = name::read(&message, usize::from(last)).map(|(name, _)| name.to_string());
        match length {
            ..=128 => assert_eq!(name.as_deref(), Ok("a.")),
            _ => assert_eq!(name, Err(Malformed("a name has too many addresses"))),
        }
    }
}

fn any_name() -> impl Strategy<Value = Name> {
    let label = prop::collection::vec(any::<u8>(), 1..20).prop_map(Vec::into_boxed_slice);
    prop::collection::vec(label, 0..6).prop_filter_map("too long", |labels| Name::new(labels).ok())
}

fn any_data() -> impl Strategy<Value = (Kind, Data)> {
    let text = prop::collection::vec(any::<u8>(), 0..256);
    prop_oneof![
        any::<[u8; 4]>().prop_map(|bytes| (Kind::A, Data::A(bytes.into()))),
        any::<[u8; 16]>().prop_map(|bytes| (Kind::AAAA, Data::Aaaa(bytes.into()))),
        any_name().prop_map(|name| (Kind::CNAME, Data::Cname(name))),
        prop::collection::vec(text, 0..4).prop_map(|texts| (Kind::TXT, Data::Txt(texts))),
        (any_name(), any_name(), any::<[u32; 5]>()).prop_map(|(server, mailbox, numbers)| (
            Kind::SOA,
            Data::Soa { server, mailbox, numbers }
        )),
        (1000u16.., prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, bytes)| (Kind(kind), Data::Other(bytes))),
    ]
}

fn any_records() -> impl Strategy<Value = Vec<Record>> {
    let record = (any_name(), any_data(), any::<u16>(), any::<u32>())
        .prop_map(|(name, (kind, data), class, ttl)| Record { name, kind, class, ttl, data });
    prop::collection::vec(record, 0..4)
}

fn any_message() -> impl Strategy<Value = Message> {
    let question = (any_name(), any::<u16>(), any::<u16>())
        .prop_map(|(name, kind, class)| Question { name, kind: Kind(kind), class });
    let questions = prop::collection::vec(question, 0..3);
    let lists = (any_records(), any_records(), any_records());
    (any::<u16>(), any::<u16>(), questions, lists).prop_map(
        |(id, flags, questions, (answers, authorities, additionals))| {
            let flags = Flags(flags);
            Message { id, flags, questions, answers, authorities, additionals }
        },
    )
}

proptest! {
    #[test]
    fn a_message_comes_back_as_it_was(message in any_message()) {
        let bytes = message.encode().expect("nothing is too long");
        prop_assert_eq!(Message::decode(&bytes).expect("it is a message"), message);
    }

    #[test]
    fn a_message_that_ends_too_early_is_refused(message in any_message(), part in 0.0..1.0f64) {
        let bytes = message.encode().expect("nothing is too long");
        let length = (bytes.len() as f64 * part) as usize;
        prop_assert!(Message::decode(&bytes[..length]).is_err());
    }

    #[test]
    fn whatever_bytes_come_there_is_an_answer_or_none(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = Message::decode(&bytes);
        if let Some(answer) = zone().answer(&bytes, 0) {
            let answer = Message::decode(&answer).expect("an answer is a message");
            prop_assert!(answer.flags.has(Flags::RESPONSE));
            prop_assert_eq!(answer.id, u16::from_be_bytes([bytes[0], bytes[1]]));
        }
    }

    /// Nearer to what can be: a message with some bytes changed.
    #[test]
    fn a_damaged_message_does_no_harm(
        message in any_message(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = message.encode().expect("nothing is too long");
        for (place, byte) in damage {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(decoded) = Message::decode(&bytes) {
            decoded.encode().expect("what was read can be written");
        }
        let _ = zone().answer(&bytes, 0);
    }
}
