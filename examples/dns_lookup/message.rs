//! DNS messages (RFC 1035, with AAAA of RFC 3596 and EDNS of RFC 6891): bytes to values and back.
//! It does no I/O, and whatever bytes come, it neither panics nor runs for long.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::name::{self, Name, Names};

/// Why bytes are no message, or a value cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a malformed DNS message: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

pub type Result<T> = std::result::Result<T, Malformed>;

/// What is asked for, or what a record is: the numbers of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub u16);

impl Kind {
    pub const A: Kind = Kind(1);
    pub const NS: Kind = Kind(2);
    pub const CNAME: Kind = Kind(5);
    pub const SOA: Kind = Kind(6);
    pub const TXT: Kind = Kind(16);
    pub const AAAA: Kind = Kind(28);
    pub const OPT: Kind = Kind(41);
    pub const ANY: Kind = Kind(255);

    const NAMES: [(Kind, &str); 8] = [
        (Kind::A, "A"),
        (Kind::NS, "NS"),
        (Kind::CNAME, "CNAME"),
        (Kind::SOA, "SOA"),
        (Kind::TXT, "TXT"),
        (Kind::AAAA, "AAAA"),
        (Kind::OPT, "OPT"),
        (Kind::ANY, "ANY"),
    ];

    /// Whether it is an operation on a zone rather than a sort of records: a transfer, as
    /// `AXFR`, or mail addresses as they once were.
    pub fn is_operation(self) -> bool {
        (251..=254).contains(&self.0)
    }

    /// By its name, such as `AAAA`.
    pub fn parse(text: &str) -> Option<Kind> {
        let found = Kind::NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
        found.map(|(kind, _)| *kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Kind::NAMES.iter().find(|(kind, _)| kind == self) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// The class of the Internet, which is all that is left of them.
pub const INTERNET: u16 = 1;

/// How a query went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u8);

impl Code {
    pub const FORMAT_ERROR: Code = Code(1);
    pub const NAME_ERROR: Code = Code(3);
    pub const NOT_IMPLEMENTED: Code = Code(4);
    pub const REFUSED: Code = Code(5);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
        match names.get(usize::from(self.0)) {
            Some(name) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

/// The second and third byte of the header but one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u16);

impl Flags {
    pub const RESPONSE: u16 = 0x8000;
    pub const AUTHORITATIVE: u16 = 0x0400;
    pub const TRUNCATED: u16 = 0x0200;
    pub const RECURSION_DESIRED: u16 = 0x0100;

    pub fn has(self, flag: u16) -> bool {
        self.0 & flag != 0
    }

    pub fn opcode(self) -> u16 {
        self.0 >> 11 & 0xf
    }

    pub fn code(self) -> Code {
        Code((self.0 & 0xf) as u8)
    }

    pub fn with_code(self, code: Code) -> Flags {
        Flags(self.0 & !0xf | u16::from(code.0 & 0xf))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub name: Name,
    pub kind: Kind,
    pub class: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub name: Name,
    pub kind: Kind,
    /// For OPT, the largest datagram that the sender takes.
    pub class: u16,
    pub ttl: u32,
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Cname(Name),
    Txt(Vec<Vec<u8>>),
    Soa {
        server: Name,
        mailbox: Name,
        numbers: [u32; 5],
    },
    /// Of another kind, as it came.
    Other(Vec<u8>),
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::A(address) => write!(f, "{address}"),
            Data::Aaaa(address) => write!(f, "{address}"),
            Data::Cname(name) => write!(f, "{name}"),
            Data::Txt(texts) => {
                for (at, text) in texts.iter().enumerate() {
                    let blank = if at == 0 { "" } else { " " };
                    write!(f, "{blank}\"{}\"", text.escape_ascii())?;
                }
                Ok(())
            }
            Data::Soa { server, mailbox, numbers: [serial, refresh, retry, expire, minimum] } => {
                write!(f, "{server} {mailbox} {serial} {refresh} {retry} {expire} {minimum}")
            }
            Data::Other(bytes) => write!(f, "\\# {}", bytes.len()),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub id: u16,
    pub flags: Flags,
    pub questions: Vec<Question>,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Message {
    /// # Errors
    ///
    /// What is wrong with it. Bytes behind the last record are left alone.
    pub fn decode(bytes: &[u8]) -> Result<Message> {
        let mut reader = Reader { bytes, at: 0 };
        let (id, flags) = (reader.u16()?, Flags(reader.u16()?));
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
        // Lists grow with what is really there, whatever the counts promise.
        let mut questions = Vec::new();
        for _ in 0..counts[0] {
            let name = reader.name()?;
            let (kind, class) = (Kind(reader.u16()?), reader.u16()?);
            questions.push(Question { name, kind, class });
        }
        let answers = reader.records(counts[1])?;
        let authorities = reader.records(counts[2])?;
        let additionals = reader.records(counts[3])?;
        Ok(Message { id, flags, questions, answers, authorities, additionals })
    }

    /// # Errors
    ///
    /// What is too long for the protocol.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut writer = Writer { bytes: Vec::new(), names: Names::default() };
        writer.u16(self.id);
        writer.u16(self.flags.0);
        let lists = [&self.answers, &self.authorities, &self.additionals];
        let counts = lists.map(Vec::len);
        for count in [self.questions.len()].into_iter().chain(counts) {
            writer.u16(count.try_into().map_err(|_| Malformed("too many records"))?);
        }
        for question in &self.questions {
            writer.name(&question.name);
            writer.u16(question.kind.0);
            writer.u16(question.class);
        }
        lists.into_iter().flatten().try_for_each(|record| writer.record(record))?;
        Ok(writer.bytes)
    }
}

/// A place in a message.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..count));
        let taken = taken.ok_or(Malformed("it ends too early"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Malformed("it ends too early"))
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn name(&mut self) -> Result<Name> {
        let (name, behind) = name::read(self.bytes, self.at)?;
        self.at = behind;
        Ok(name)
    }

    fn records(&mut self, count: u16) -> Result<Vec<Record>> {
        (0..count).map(|_| self.record()).collect()
    }

    fn record(&mut self) -> Result<Record> {
        let name = self.name()?;
        let (kind, class, ttl) = (Kind(self.u16()?), self.u16()?, self.u32()?);
        let length = usize::from(self.u16()?);
        let end = self.at + length;
        let data = self.data(kind, length)?;
        if self.at != end {
            return Err(Malformed("the length of a record is not that of its data"));
        }
        Ok(Record { name, kind, class, ttl, data })
    }

    fn data(&mut self, kind: Kind, length: usize) -> Result<Data> {
        Ok(match kind {
            Kind::A => Data::A(self.array::<4>()?.into()),
            Kind::AAAA => Data::Aaaa(self.array::<16>()?.into()),
            Kind::CNAME => Data::Cname(self.name()?),
            Kind::TXT => {
                let mut rest = self.take(length)?;
                let mut texts = Vec::new();
                while let Some((&length, behind)) = rest.split_first() {
                    let text = behind.get(..usize::from(length));
                    texts.push(text.ok_or(Malformed("a text ends too early"))?.to_vec());
                    rest = &behind[usize::from(length)..];
                }
                Data::Txt(texts)
            }
            Kind::SOA => {
                let (server, mailbox) = (self.name()?, self.name()?);
                let mut numbers = [0; 5];
                for number in &mut numbers {
                    *number = self.u32()?;
                }
                Data::Soa { server, mailbox, numbers }
            }
            _ => Data::Other(self.take(length)?.to_vec()),
        })
    }
}

/// A message that grows.
struct Writer {
    bytes: Vec<u8>,
    names: Names,
}

impl Writer {
    fn u16(&mut self, number: u16) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn u32(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_be_bytes());
    }

    fn name(&mut self, name: &Name) {
        self.names.write(name, &mut self.bytes);
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        self.name(&record.name);
        self.u16(record.kind.0);
        self.u16(record.class);
        self.u32(record.ttl);
        let length_at = self.bytes.len();
        self.u16(0);
        self.data(&record.data)?;
        let length = self.bytes.len() - length_at - 2;
        let length = u16::try_from(length).map_err(|_| Malformed("a record is too long"))?;
        self.bytes[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    fn data(&mut self, data: &Data) -> Result<()> {
        match data {
            Data::A(address) => self.bytes.extend_from_slice(&address.octets()),
            Data::Aaaa(address) => self.bytes.extend_from_slice(&address.octets()),
            Data::Cname(name) => self.name(name),
            Data::Txt(texts) => {
                for text in texts {
                    let length = text.len().try_into();
                    self.bytes.push(length.map_err(|_| Malformed("a text is too long"))?);
                    self.bytes.extend_from_slice(text);
                }
            }
            Data::Soa { server, mailbox, numbers } => {
                self.name(server);
                self.name(mailbox);
                numbers.iter().for_each(|number| self.u32(*number));
            }
            Data::Other(bytes) => self.bytes.extend_from_slice(bytes),
        }
        Ok(())
    }
}
