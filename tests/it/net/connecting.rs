//! Connecting: by address, by name, and all the ways in which it does not come about.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use stackio::net::{TcpListener, TcpStream, ToAddrs, UdpSocket};
use stackio::{Error, Result, millis, secs, spawn, timeout};

use super::{ANY, play, refusing, settle};

/// A listener that does not answer any more, since nobody accepts what waits there.
pub fn full_backlog() -> io::Result<(net::TcpListener, SocketAddr, Vec<net::TcpStream>)> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(0)?;
    let listener = net::TcpListener::from(socket);
    let address = listener.local_addr()?;
    let mut queued = Vec::new();
    while let Ok(stream) = net::TcpStream::connect_timeout(&address, millis(250)) {
        queued.push(stream);
        assert!(queued.len() < 20, "the backlog is no limit here");
    }
    Ok((listener, address, queued))
}

#[track_caller]
fn greet(mut client: TcpStream, listener: &TcpListener) -> Result {
    let (mut server, peer) = listener.accept()?;
    assert_eq!(peer, client.local_addr()?);
    server.write_all(b"hello")?;
    drop(server);
    let mut greeting = String::new();
    client.read_to_string(&mut greeting)?;
    assert_eq!(greeting, "hello");
    Ok(())
}

#[test]
fn nobody_listening_is_connection_refused() {
    play(|| {
        let (_bound, address) = refusing()?;
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
        let error = TcpStream::connect_timeout(&address, secs(10)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED), "the same through a timeout");
        Ok(())
    });
}

#[test]
fn a_listener_that_does_not_answer_times_out() {
    play(|| {
        let (_listener, address, _queued) = full_backlog()?;
        let others = Rc::new(Cell::new(0));
        let seen = others.clone();
        spawn(move || -> Result {
            loop {
                stackio::sleep(millis(5))?;
                seen.set(seen.get() + 1);
            }
        });
        let started = Instant::now();
        let error = TcpStream::connect_timeout(&address, millis(60)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(Error::from(error).is_timeout());
        assert!(started.elapsed() >= millis(60), "it gave up early");
        assert!(others.get() > 0, "connecting must not stop the loop");
        let error = timeout(millis(20), |_| Ok(TcpStream::connect(address)?)).unwrap_err();
        assert_eq!(error.kind(), stackio::ErrorKind::Timeout);
        Ok(())
    });
}

#[test]
fn a_timeout_that_is_long_enough_changes_nothing() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        for limit in [secs(20), Duration::MAX] {
            greet(TcpStream::connect_timeout(&listener.local_addr()?, limit)?, &listener)?;
        }
        Ok(())
    });
}

#[test]
fn a_timeout_of_zero_is_refused() {
    play(|| {
        let (_bound, address) = refusing()?;
        let error = TcpStream::connect_timeout(&address, Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn a_name_is_resolved_without_stopping_the_loop() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let port = listener.local_addr()?.port();
        let client = spawn(move || Ok(TcpStream::connect(format!("localhost:{port}"))?));
        settle()?;
        greet(client.join()?, &listener)?;
        greet(TcpStream::connect(("localhost", port))?, &listener)?;
        greet(TcpStream::connect(("localhost".to_owned(), port))?, &listener)?;
        greet(TcpStream::connect((Ipv4Addr::LOCALHOST, port))?, &listener)?;
        greet(TcpStream::connect((IpAddr::V4(Ipv4Addr::LOCALHOST), port))?, &listener)?;
        greet(TcpStream::connect(("127.0.0.1", port))?, &listener)
    });
}

#[test]
fn a_name_to_bind_to_is_resolved_as_well() {
    play(|| {
        let listener = TcpListener::bind("localhost:0")?;
        assert!(listener.local_addr()?.ip().is_loopback());
        greet(TcpStream::connect(listener.local_addr()?)?, &listener)
    });
}

/// A label of more than 63 letters is no name: no server needs to be asked.
#[test]
fn a_name_that_does_not_resolve_is_named_in_the_error() {
    play(|| {
        let name = "x".repeat(64);
        let text = TcpStream::connect((&*name, 80)).unwrap_err().to_string();
        assert!(text.starts_with(&format!("cannot resolve the host name `{name}`: ")), "{text}");
        let text = TcpListener::bind(format!("{name}:80")).unwrap_err().to_string();
        assert!(text.starts_with("cannot resolve"), "{text}");
        let sender = UdpSocket::bind(ANY)?;
        let text = sender.send_to(b"?", (name, 80)).unwrap_err().to_string();
        assert!(text.starts_with("cannot resolve"), "{text}");
        Ok(())
    });
}

#[test]
fn what_is_no_address_is_invalid_input() {
    play(|| {
        for (text, what) in [
            ("", "no port"),
            ("localhost", "no port"),
            ("localhost:", "is no port"),
            ("localhost:http", "`http` is no port"),
            ("localhost:65536", "the port 65536 of `localhost:65536` is out of range"),
            ("127.0.0.1:99999", "out of range, which ends at 65535"),
            ("localhost:-1", "`-1` is no port"),
            ("/run/some.socket", "a path"),
        ] {
            let error = TcpStream::connect(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}: {error}");
            assert!(error.to_string().contains(what), "{text}: {error}");
        }
        let none: &[SocketAddr] = &[];
        assert_eq!(TcpStream::connect(none).unwrap_err().kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn literal_addresses_need_no_lookup() {
    // Outside of a loop a lookup would be an error.
    let v4 = "127.0.0.1:7".to_addrs().expect("no lookup");
    assert_eq!(v4, [SocketAddr::from(([127, 0, 0, 1], 7))]);
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 7));
    for addresses in [("::1", 7).to_addrs(), ("[::1]", 7).to_addrs(), "[::1]:7".to_addrs()] {
        assert_eq!(addresses.expect("no lookup"), [v6]);
    }
    let error = "localhost:7".to_addrs().unwrap_err();
    assert_eq!(Error::from(error).kind(), stackio::ErrorKind::Runtime);
}

#[test]
fn addresses_are_tried_in_turn_and_the_last_error_counts() {
    play(|| {
        let (_one, refused) = refusing()?;
        let listener = TcpListener::bind(ANY)?;
        greet(TcpStream::connect(&[refused, listener.local_addr()?][..])?, &listener)?;
        let no_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let error = TcpStream::connect(&[no_port, refused][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn an_address_in_use_is_reported() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let error = TcpListener::bind(listener.local_addr()?).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        Ok(())
    });
}

#[test]
fn a_server_can_be_started_again_at_once_on_the_same_port() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let address = listener.local_addr()?;
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        // Closed first, so that its address is in TIME_WAIT.
        drop((server, client, listener));
        let listener = TcpListener::bind(address)?;
        greet(TcpStream::connect(address)?, &listener)
    });
}

#[test]
fn ipv6_works_where_there_is_any() {
    if let Err(error) = net::TcpListener::bind("[::1]:0") {
        eprintln!("no IPv6 here: {error}");
        return;
    }
    play(|| {
        let listener = TcpListener::bind("[::1]:0")?;
        let address = listener.local_addr()?;
        assert!(address.is_ipv6());
        greet(TcpStream::connect(address)?, &listener)?;
        greet(TcpStream::connect(address.to_string())?, &listener)?;
        greet(TcpStream::connect((Ipv6Addr::LOCALHOST, address.port()))?, &listener)
    });
}

#[test]
fn many_connect_at_once() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let address = listener.local_addr()?;
        let clients: Vec<_> = (0..100)
            .map(|number| {
                spawn(move || {
                    let mut client = TcpStream::connect(address)?;
                    client.write_all(&[number])?;
                    Ok(client.local_addr()?)
                })
            })
            .collect();
        let mut from = Vec::new();
        for _ in 0..100 {
            let (mut server, peer) = listener.accept()?;
            let mut number = [0];
            server.read_exact(&mut number)?;
            from.push((number[0], peer));
        }
        from.sort();
        for (number, client) in (0..).zip(clients) {
            assert_eq!(from[usize::from(number)], (number, client.join()?));
        }
        Ok(())
    });
}
