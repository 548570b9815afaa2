//! From one endpoint to another: addresses, peers, the sockets of others, the end.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use stackio::{
    Address, DatagramEndpoint, ErrorKind, ProtocolHandle, Runner, VirtualClock, get_running_loop,
    millis, sleep, yield_now,
};

use super::{ANY, Call, Note, at_any, echo, noted, play};

#[test]
fn a_datagram_says_where_it_came_from_and_the_answer_comes_back() {
    play(|| {
        let (server, _) = echo()?;
        let address = server.local_addr().expect("it is bound");
        let (client, note) = at_any()?;
        client.sendto(b"hello", address);
        assert_eq!(note.datagram()?, (b"hello".to_vec(), Address::from(address)));
        assert_eq!(client.get_extra_info().peer_addr, None);
        Ok(())
    });
}

#[test]
fn one_with_a_peer_sends_to_it_and_hears_nobody_else() {
    play(|| {
        let (server, _) = echo()?;
        let address = server.local_addr().expect("it is bound");
        let (client, note) = noted(DatagramEndpoint::new().remote_addr(address)?)?;
        assert_eq!(client.get_extra_info().peer_addr, Some(address.into()));
        let stranger = UdpSocket::bind(ANY)?;
        stranger.send_to(b"psst", client.local_addr().expect("it is connected"))?;
        client.send(b"one");
        client.sendto(b"two", address); // the peer's address may be said
        assert_eq!(note.datagram()?.0, b"one");
        assert_eq!(note.datagram()?.0, b"two");

        let error = client.try_sendto(b"three", stranger.local_addr()?).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value);
        let error = server.try_send(b"to whom?").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value);
        Ok(())
    });
}

#[test]
fn both_ends_can_be_given() {
    play(|| {
        let (server, note) = at_any()?;
        let address = server.local_addr().expect("it is bound");
        let own = UdpSocket::bind(ANY)?.local_addr()?;
        let endpoint = DatagramEndpoint::new().local_addr(own)?.remote_addr(address)?;
        let (client, _) = noted(endpoint)?;
        client.send(b"from here");
        assert_eq!(note.datagram()?.1, own.into());
        Ok(())
    });
}

#[test]
fn datagrams_keep_their_borders_and_an_empty_one_is_one() {
    play(|| {
        let (server, note) = at_any()?;
        let (client, _) = at_any()?;
        let sent: [&[u8]; 4] = [b"one", b"", b"three", &[7; 60_000]];
        for data in sent {
            client.sendto(data, server.local_addr().expect("it is bound"));
        }
        for data in sent {
            assert_eq!(note.datagram()?.0, data);
        }
        Ok(())
    });
}

/// More than are received in one turn.
#[test]
fn what_came_with_one_event_arrives_and_others_get_their_turn_in_between() {
    play(|| {
        let (server, note) = at_any()?;
        let other = UdpSocket::bind(ANY)?;
        yield_now()?;
        for number in 0..100_u8 {
            other.send_to(&[number], server.local_addr().expect("it is bound"))?;
        }
        let mut most = 0;
        let mut next = 0;
        while next < 100 {
            most = most.max(note.0.qsize());
            while let Ok(Call::Datagram(data, _)) = note.0.get_nowait() {
                assert_eq!(data, [next]);
                next += 1;
            }
            yield_now()?;
        }
        assert!(most <= 16, "{most} at a time");
        Ok(())
    });
}

#[test]
fn names_are_resolved_and_the_families_have_to_meet() {
    play(|| {
        let event_loop = get_running_loop()?;
        let (server, _) =
            event_loop.create_datagram_endpoint(Note::new, Some(&"localhost:0"), None)?;
        assert!(server.local_addr().expect("it is bound").ip().is_loopback());

        let endpoint = DatagramEndpoint::new().local_addr("127.0.0.1:0")?.remote_addr("[::1]:9")?;
        let error = endpoint.create(Note::new).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value);
        assert!(error.to_string().contains("no family in common"), "{error}");
        let error = event_loop.create_datagram_endpoint(Note::new, None, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value);

        let taken = server.local_addr().expect("it is bound");
        let error = DatagramEndpoint::new().local_addr(taken)?.create(Note::new).unwrap_err();
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::AddrInUse));
        assert!(error.to_string().contains(&taken.to_string()), "{error}");
        Ok(())
    });
}

#[test]
fn an_address_can_be_shared_if_all_say_so() {
    play(|| {
        let shared = DatagramEndpoint::new().reuse_port(true);
        let (first, _) = noted(shared.clone().local_addr(ANY)?)?;
        let address = first.local_addr().expect("it is bound");
        noted(shared.local_addr(address)?)?;
        Ok(())
    });
}

#[test]
fn a_socket_of_ones_own_is_taken_over_with_its_peer() {
    play(|| {
        let (near, far) = UnixDatagram::pair()?;
        let note = Note::new();
        let (transport, _) = DatagramEndpoint::adopt(|| note.clone(), near)?;
        assert!(matches!(note.next()?, Call::Made));
        far.send(b"in")?;
        assert_eq!(note.datagram()?.0, b"in");
        transport.send(b"out");
        let mut buffer = [0; 8];
        assert_eq!(far.recv(&mut buffer)?, 3);

        let stream = std::net::TcpListener::bind(ANY)?;
        let error = DatagramEndpoint::adopt(Note::new, stream).unwrap_err();
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::InvalidInput));
        Ok(())
    });
}

#[test]
fn unix_sockets_have_paths_and_a_stale_one_is_removed() {
    let directory = std::env::temp_dir().join(format!("stackio-dgram-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (server, client) = (directory.join("server"), directory.join("client"));
    drop(UnixDatagram::bind(&server).expect("it is left there"));
    let (at, from) = (server.clone(), client.clone());
    play(move || {
        let (_server, note) = noted(DatagramEndpoint::new().local_path(&at)?)?;
        let both = DatagramEndpoint::new().local_path(&from)?.remote_path(&at)?;
        let (transport, _) = noted(both)?;
        transport.send(b"by path");
        let (data, sender) = note.datagram()?;
        assert_eq!((data, sender.to_string()), (b"by path".to_vec(), from.display().to_string()));
        // Larger than any of UDP.
        transport.send(&[1; 150_000]);
        assert_eq!(note.datagram()?.0, [1; 150_000]);
        transport.close();
        yield_now()?;
        yield_now()?;
        assert!(!from.exists(), "the file goes with its socket");
        Ok(())
    });
    assert!(!server.exists());
    std::fs::remove_dir_all(directory).expect("it was made above");
}

#[test]
fn closing_is_told_once_and_last_and_the_port_is_free() {
    play(|| {
        let (transport, note) = at_any()?;
        let address = transport.local_addr().expect("it is bound");
        let other = UdpSocket::bind(ANY)?;
        other.send_to(b"too late", address)?;
        transport.close();
        transport.close();
        transport.abort();
        assert!(transport.is_closing());
        assert!(note.lost()?.is_none());
        assert!(transport.get_protocol().is_none());
        assert_eq!(transport.local_addr(), Some(address), "it was asked for before");
        UdpSocket::bind(address)?;
        yield_now()?;
        note.assert_nothing();
        let error = transport.try_sendto(b"after the end", address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        Ok(())
    });
}

#[test]
fn aborting_can_say_why() {
    play(|| {
        let (transport, note) = at_any()?;
        transport.abort_with(stackio::Error::new(ErrorKind::Value, "enough"));
        assert_eq!(note.lost()?.expect("the reason").to_string(), "enough");
        Ok(())
    });
}

#[test]
fn another_protocol_can_take_over_and_is_not_told_of_the_beginning() {
    play(|| {
        let (transport, first) = at_any()?;
        let address = transport.local_addr().expect("it is bound");
        let second = Note::new();
        transport.set_protocol(ProtocolHandle::for_datagrams(second.clone()));
        transport.sendto(b"to itself", address);
        assert_eq!(second.datagram()?.0, b"to itself");
        transport.close();
        assert!(second.lost()?.is_none());
        first.assert_nothing();
        Ok(())
    });
}

#[test]
fn the_protocol_can_be_looked_at_from_outside() {
    play(|| {
        let (_transport, handle) = echo()?;
        assert!(handle.with(|echo| echo.0.is_some())?);
        Ok(())
    });
}

#[test]
fn an_open_endpoint_holds_a_virtual_clock_and_a_closed_one_does_not() {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).build().expect("a loop");
    runner
        .run(|| {
            let (transport, note) = at_any()?;
            let other = UdpSocket::bind(ANY)?;
            let address = transport.local_addr().expect("it is bound");
            let sender = std::thread::spawn(move || other.send_to(b"from outside", address));
            assert_eq!(note.datagram()?.0, b"from outside");
            sender.join().expect("it does not panic")?;
            transport.close();
            note.lost()?;
            sleep(millis(1_000))
        })
        .expect("the clock is not jumped while something real may come");
    assert_eq!(clock.now().as_millis(), 1_000);
}

#[test]
fn addresses_can_be_keys() {
    let inet = |text: &str| Address::from(text.parse::<std::net::SocketAddr>().expect("one"));
    let unix = |path: &str| {
        Address::from(std::os::unix::net::SocketAddr::from_pathname(path).expect("one"))
    };
    let known: HashSet<Address> = [inet("127.0.0.1:1"), unix("/a"), unix("/a")].into();
    assert_eq!(known.len(), 2);
    assert!(known.contains(&unix("/a")) && !known.contains(&inet("127.0.0.1:2")));
}
