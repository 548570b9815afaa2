//! DNS by datagrams: a client with its retries, and a server of one zone that `dig` can ask.
//!
//! ```text
//!   lookup(name, kind)                        a function that waits
//!      |        ^
//!   try_send    | Future                      a try for each wait that is over
//!      v        |
//!   DatagramTransport --> Answers             gives each answer to whoever asked
//! ```
//!
//! The messages (`message.rs`, `name.rs`) are without I/O, and tested with bytes that mean nothing.
//! What is too long for a datagram is asked for again by a connection.
//!
//! Run it: `cargo run --example dns_lookup`, where both talk to each other. Or for real:
//! `... serve 127.0.0.1:5300`, and `... www.stackio.example A @127.0.0.1:5300`, or
//! `dig @127.0.0.1 -p 5300 www.stackio.example`.

mod client;
mod message;
mod name;
mod server;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use stackio::net::ToAddrs;
use stackio::{Error, ErrorKind, Result, millis, run, secs};

use self::client::{Answer, Resolver};
use self::message::{Data, Flags, Kind, Message, Record};
use self::name::Name;
use self::server::{Zone, serve};

/// How many texts one name has: more than goes into a datagram.
const VERSES: usize = 30;

fn zone() -> Result<Zone> {
    let apex = "stackio.example";
    let name = |text: &str| Name::parse(&format!("{text}.{apex}"));
    let text = |text: &str| Data::Txt(vec![text.as_bytes().to_vec()]);
    let soa = Data::Soa {
        server: name("ns")?,
        mailbox: name("hostmaster")?,
        numbers: [1, 7200, 900, 1_209_600, 300],
    };
    let mut records = vec![
        ("@", soa),
        ("@", Data::A([192, 0, 2, 1].into())),
        ("@", Data::Aaaa("2001:db8::1".parse()?)),
        ("@", text("one thread, no async, no await")),
        ("ns", Data::A([192, 0, 2, 53].into())),
        ("www", Data::Cname(Name::parse(apex)?)),
        ("w3", Data::Cname(name("www")?)),
        ("deep.down", Data::A([192, 0, 2, 2].into())),
        ("lost", Data::A([192, 0, 2, 3].into())),
    ];
    for verse in 1..=VERSES {
        records.push(("long", text(&format!("verse {verse:2}: {}", "la ".repeat(15)))));
    }
    Ok(Zone::new(apex, 300, records)?)
}

/// The transfer of a zone, which this server does not do.
const AXFR: Kind = Kind(252);

/// As dig prints records.
fn show(record: &Record) {
    let Record { name, kind, ttl, data, .. } = record;
    println!("   {name} {ttl} IN {kind} {data}");
}

fn show_answer(name: &str, kind: Kind, answer: &Answer) {
    let Answer { message, by_stream, .. } = answer;
    let authority = if message.flags.has(Flags::AUTHORITATIVE) { ", authoritative" } else { "" };
    let stream = if *by_stream { ", by a connection" } else { "" };
    println!("{name} {kind}: {}{authority}{stream}", message.flags.code());
    message.answers.iter().for_each(show);
    message.authorities.iter().for_each(show);
}

/// A server and a client, and everything that can be asked.
fn demonstrate() -> Result {
    let authority = serve(zone()?, "127.0.0.1:0")?;
    let address = authority.streams.local_addrs()[0];
    let resolver = Resolver::new(address, secs(2))?;
    let queries = [
        ("stackio.example", Kind::A),
        ("stackio.example", Kind::AAAA),
        ("stackio.example", Kind::TXT),
        ("W3.Stackio.Example", Kind::A),
        ("www.stackio.example", Kind::CNAME),
        ("deep.down.stackio.example", Kind::TXT),
        ("down.stackio.example", Kind::A),
        ("nobody.stackio.example", Kind::A),
        ("example.org", Kind::A),
        ("www.stackio.example", Kind::ANY),
        ("stackio.example", Kind::NS),
        ("stackio.example", AXFR),
    ];
    for (name, kind) in queries {
        show_answer(name, kind, &resolver.lookup(name, kind)?);
    }

    let answer = resolver.lookup("long.stackio.example", Kind::TXT)?;
    let verses = answer.message.answers.len();
    println!("long.stackio.example TXT: {verses} records, by a connection: {}", answer.by_stream);

    authority.deaf_for.set(1);
    let hasty = Resolver::new(address, millis(50))?;
    let answer = hasty.lookup("lost.stackio.example", Kind::A)?;
    println!("lost.stackio.example A: asked again: {}", answer.queries > 1);
    answer.message.answers.iter().for_each(show);

    say_nonsense(address)?;
    authority.datagrams.close();
    authority.streams.close();
    nobody_listens(address)?;
    match resolver.lookup("not a name..", Kind::A) {
        Err(error) => println!("not a name..: {error}"),
        Ok(_) => println!("not a name..: it was found"),
    }
    Ok(())
}

/// Bytes that are no query, and a socket of the crate that waits for what is said to them.
fn say_nonsense(server: SocketAddr) -> Result {
    let socket = stackio::net::UdpSocket::bind("127.0.0.1:0")?;
    let short_of_a_question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03abc";
    let a_name_that_points_to_itself =
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01";
    let a_status_request = b"\x12\x34\x11\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    for (what, bytes) in [
        ("a question that ends too early", &short_of_a_question[..]),
        ("a name that points to itself", a_name_that_points_to_itself),
        ("another operation", a_status_request),
    ] {
        socket.send_to(bytes, server)?;
        let mut buffer = [0; 512];
        let (length, _) = socket.recv_from(&mut buffer)?;
        println!("{what}: {}", Message::decode(&buffer[..length])?.flags.code());
    }
    Ok(())
}

/// The system says at once that there is no server, instead of after all tries.
fn nobody_listens(closed: SocketAddr) -> Result {
    // Whether it is closed already is the loop's affair: wait until the port is free.
    while UdpSocket::bind(closed).is_err() {
        stackio::yield_now()?;
    }
    let resolver = Resolver::new(closed, secs(2))?;
    match resolver.lookup("stackio.example", Kind::A) {
        Err(error) if error.io_kind() == Some(std::io::ErrorKind::ConnectionRefused) => {
            println!("where nobody listens: refused");
        }
        Err(error) => println!("where nobody listens: {error}"),
        Ok(_) => println!("where nobody listens: an answer"),
    }
    Ok(())
}

fn serve_for_ever(address: &str) -> Result {
    let authority = serve(zone()?, address)?;
    println!("serving stackio.example at {}", authority.streams.local_addrs()[0]);
    authority.streams.serve_forever()
}

fn ask(name: &str, kind: &str, server: &str, wait: Duration) -> Result {
    let Some(kind) = Kind::parse(kind) else {
        return Err(Error::with_message(ErrorKind::Value, format!("no type is called {kind}")));
    };
    // By its name as well; there is at least one address.
    let answer = Resolver::new(server.to_addrs()?[0], wait)?.lookup(name, kind)?;
    show_answer(name, kind, &answer);
    Ok(())
}

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&'static str> = arguments.into_iter().map(|a| &*a.leak()).collect();
    match arguments[..] {
        [] => run(demonstrate),
        ["serve", address] => run(move || serve_for_ever(address)),
        [name, kind, server] if server.starts_with('@') => {
            run(move || ask(name, kind, &server[1..], secs(1)))
        }
        _ => {
            let text = "usage: dns_lookup [serve ADDRESS:PORT | NAME TYPE @ADDRESS:PORT]";
            Err(Error::with_message(ErrorKind::Value, text))
        }
    }
}
