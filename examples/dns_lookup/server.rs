//! A server that is the authority for one zone: what it answers, and the protocols for it.

use std::cell::Cell;
use std::io::ErrorKind;
use std::rc::Rc;

use stackio::framing::{Frames, Framing, Prefix};
use stackio::{
    Address, DatagramEndpoint, DatagramProtocol, DatagramTransport, Protocol, Server, Transport,
    get_running_loop,
};

use super::message::{Code, Data, Flags, INTERNET, Kind, Message, Question, Record, Result};
use super::name::Name;

/// What a datagram may have if nothing else is said, and what it may have at most; in bytes. The
/// second passes every network in one piece.
const SMALL: usize = 512;
const LARGE: usize = 1232;

/// How many names an alias may lead through.
const MOST_ALIASES: usize = 8;

/// The length of a header, in bytes.
const HEADER: usize = 12;

/// The names of a zone.
pub struct Zone {
    apex: Name,
    records: Vec<Record>,
}

impl Zone {
    /// Records of this zone, all to be kept for so many seconds; the first is its SOA.
    pub fn new(apex: &str, ttl: u32, records: Vec<(&str, Data)>) -> Result<Zone> {
        let apex_name = Name::parse(apex)?;
        let record = |(name, data): (&str, Data)| {
            let name = match name {
                "@" => apex_name.clone(),
                name => Name::parse(&format!("{name}.{apex}"))?,
            };
            let kind = match &data {
                Data::A(_) => Kind::A,
                Data::Aaaa(_) => Kind::AAAA,
                Data::Cname(_) => Kind::CNAME,
                Data::Txt(_) => Kind::TXT,
                Data::Soa { .. } => Kind::SOA,
                Data::Other(_) => Kind(0),
            };
            Ok(Record { name, kind, class: INTERNET, ttl, data })
        };
        let records: Result<Vec<Record>> = records.into_iter().map(record).collect();
        Ok(Zone { records: records?, apex: apex_name })
    }

    /// What is to be said to these bytes, in at most so many; nothing to what is no query.
    pub fn answer(&self, bytes: &[u8], transport_limit: usize) -> Option<Vec<u8>> {
        let head = bytes.get(..HEADER)?;
        let (id, flags) =
            (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
        let flags = Flags(flags);
        if flags.has(Flags::RESPONSE) {
            return None; // else two servers could go on for ever
        }
        let kept = flags.0 & (Flags::RECURSION_DESIRED | 0x7800);
        let mut response =
            Message { id, flags: Flags(kept | Flags::RESPONSE), ..Message::default() };
        if flags.opcode() != 0 {
            response.flags = response.flags.with_code(Code::NOT_IMPLEMENTED);
            return response.encode().ok();
        }
        let Some((question, edns)) = understand(bytes) else {
            response.flags = response.flags.with_code(Code::FORMAT_ERROR);
            return response.encode().ok();
        };
        let limit = match edns {
            Some(edns) => usize::from(edns.size).clamp(SMALL, LARGE),
            None => SMALL,
        };
        response.questions.push(question.clone());
        if edns.is_none_or(|edns| edns.version == 0) {
            self.resolve(question, &mut response);
        }
        response.additionals.extend(edns.map(Edns::answer));
        fit(response, limit.max(transport_limit))
    }

    fn resolve(&self, question: Question, response: &mut Message) {
        if question.class != INTERNET || !question.name.is_in(&self.apex) {
            response.flags = response.flags.with_code(Code::REFUSED);
            return;
        }
        if question.kind.is_operation() {
            response.flags = response.flags.with_code(Code::NOT_IMPLEMENTED);
            return;
        }
        response.flags.0 |= Flags::AUTHORITATIVE;
        let mut name = question.name;
        for _ in 0..MOST_ALIASES {
            let here: Vec<&Record> = self.records.iter().filter(|r| r.name == name).collect();
            let wanted = |kind| kind == question.kind || question.kind == Kind::ANY;
            let found = here.iter().filter(|record| wanted(record.kind));
            let before = response.answers.len();
            response.answers.extend(found.map(|record| (*record).clone()));
            if response.answers.len() > before {
                return;
            }
            if let Some(alias) = here.iter().find(|record| record.kind == Kind::CNAME)
                && let Data::Cname(target) = &alias.data
            {
                response.answers.push((*alias).clone());
                name = target.clone();
                if name.is_in(&self.apex) {
                    continue;
                }
                return;
            }
            if !self.records.iter().any(|record| record.name.is_in(&name)) {
                response.flags = response.flags.with_code(Code::NAME_ERROR);
            }
            // That there is nothing is to be kept as long as the SOA says.
            response.authorities.extend(self.records.first().cloned());
            return;
        }
    }
}

/// What a sender says of itself by EDNS.
#[derive(Clone, Copy)]
struct Edns {
    size: u16,
    version: u8,
}

impl Edns {
    fn answer(self) -> Record {
        // The upper part of the code: the version is not known.
        let ttl = if self.version == 0 { 0 } else { 1 << 24 };
        let (name, data) = (Name::default(), Data::Other(Vec::new()));
        Record { name, kind: Kind::OPT, class: LARGE as u16, ttl, data }
    }
}

/// The one question of a query, and what is said by EDNS; `None` for what cannot be.
fn understand(bytes: &[u8]) -> Option<(Question, Option<Edns>)> {
    let mut query = Message::decode(bytes).ok()?;
    let question = query.questions.pop()?;
    let mut edns = query.additionals.iter().filter(|record| record.kind == Kind::OPT);
    let (first, second) = (edns.next(), edns.next());
    if !query.questions.is_empty() || second.is_some() {
        return None;
    }
    let edns = first.map(|opt| Edns { size: opt.class, version: (opt.ttl >> 16) as u8 });
    Some((question, edns))
}

/// A response that is too long says so, and nothing else.
fn fit(mut response: Message, limit: usize) -> Option<Vec<u8>> {
    let bytes = response.encode().ok()?;
    if bytes.len() <= limit {
        return Some(bytes);
    }
    response.flags.0 |= Flags::TRUNCATED;
    response.answers.clear();
    response.authorities.clear();
    response.encode().ok()
}

/// The server of datagrams.
struct Datagrams {
    zone: Rc<Zone>,
    transport: Option<DatagramTransport>,
    /// How many queries it does not hear, to show what a client does then.
    deaf_for: Rc<Cell<u32>>,
}

impl DatagramProtocol for Datagrams {
    fn connection_made(&mut self, transport: &DatagramTransport) {
        self.transport = Some(transport.clone());
    }

    fn datagram_received(&mut self, query: &[u8], from: &Address) {
        if self.deaf_for.get() > 0 {
            return self.deaf_for.set(self.deaf_for.get() - 1);
        }
        if let (Some(transport), Some(answer)) = (&self.transport, self.zone.answer(query, 0)) {
            transport.sendto(&answer, from);
        }
    }
}

/// The server of connections, for what is too long: each message has its length in front.
struct Stream {
    zone: Rc<Zone>,
    transport: Option<Transport>,
    frames: Frames,
}

impl Protocol<stackio::Result> for Stream {
    fn connection_made(&mut self, transport: &Transport) -> stackio::Result {
        self.transport = Some(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, mut data: &[u8]) -> stackio::Result {
        let Some(transport) = self.transport.clone() else { return Ok(()) };
        loop {
            let answer = match self.frames.decode(&mut data)? {
                None => return Ok(()),
                Some(query) => self.zone.answer(query, usize::from(u16::MAX)),
            };
            match answer {
                Some(answer) => transport.write(&self.frames.encode(&answer)?),
                None => {
                    transport.close();
                    return Ok(());
                }
            }
        }
    }

    /// Whoever asks and does not read the answers is not listened to meanwhile.
    fn pause_writing(&mut self) -> stackio::Result {
        self.transport.iter().for_each(Transport::pause_reading);
        Ok(())
    }

    fn resume_writing(&mut self) -> stackio::Result {
        self.transport.iter().for_each(Transport::resume_reading);
        Ok(())
    }
}

/// Both of them, at the same address.
pub struct Authority {
    pub datagrams: DatagramTransport,
    pub streams: Server,
    pub deaf_for: Rc<Cell<u32>>,
}

/// How often another port is tried, where any will do: a free one of TCP may not be one of UDP.
const PORTS: u32 = 16;

pub fn serve(zone: Zone, address: &str) -> stackio::Result<Authority> {
    let zone = Rc::new(zone);
    let mut tries = 0;
    loop {
        tries += 1;
        match serve_at(&zone, address) {
            Err(error)
                if error.io_kind() == Some(ErrorKind::AddrInUse)
                    && address.ends_with(":0")
                    && tries < PORTS => {}
            served => return served,
        }
    }
}

fn serve_at(zone: &Rc<Zone>, address: &str) -> stackio::Result<Authority> {
    let deaf_for = Rc::new(Cell::new(0));
    let datagrams = Datagrams { zone: zone.clone(), transport: None, deaf_for: deaf_for.clone() };
    let zone = zone.clone();
    let stream =
        move || Stream { zone: zone.clone(), transport: None, frames: Frames::new(Prefix::U16Be) };
    let streams = get_running_loop()?.create_server(stream, address)?;
    let endpoint = DatagramEndpoint::new().local_addr(streams.local_addrs()[0])?;
    match endpoint.create(|| datagrams) {
        Ok((datagrams, _)) => Ok(Authority { datagrams, streams, deaf_for }),
        Err(error) => {
            streams.close();
            Err(error)
        }
    }
}
