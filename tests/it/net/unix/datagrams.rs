//! Unix datagrams: kept apart, in order, and waited for when the other side is full.

use std::io::ErrorKind;
use std::net::Shutdown;

use stackio::net::UnixDatagram;
use stackio::{millis, spawn};

use super::{Place, abstract_name, play, settle};

/// More than any system keeps.
const MANY: u64 = 5_000;

#[test]
fn datagrams_stay_apart_and_in_order() {
    play(|| {
        let (near, far) = UnixDatagram::pair()?;
        let receiver = spawn(move || {
            let mut buffer = [0; 8];
            let mut received = Vec::new();
            for _ in 0..3 {
                let length = far.recv(&mut buffer)?;
                received.push(buffer[..length].to_vec());
            }
            Ok(received)
        });
        settle()?;
        for datagram in ["one", "", "three"] {
            near.send(datagram.as_bytes())?;
        }
        assert_eq!(receiver.join()?, [&b"one"[..], b"", b"three"]);
        Ok(())
    });
}

#[test]
fn an_answer_finds_its_way_by_name() {
    play(|| {
        let place = Place::new();
        let (server_path, client_path) = (place.path("server"), place.path("client"));
        let server = UnixDatagram::bind(&server_path)?;
        let answering = spawn(move || {
            let mut buffer = [0; 8];
            let (length, peer) = server.recv_from(&mut buffer)?;
            assert_eq!(server.send_to_addr(&buffer[..length], &peer)?, length);
            let (_, peer) = server.recv_from(&mut buffer)?;
            assert!(peer.is_unnamed());
            Ok(())
        });
        let client = UnixDatagram::bind(&client_path)?;
        client.send_to(b"ping", &server_path)?;
        let mut buffer = [0; 8];
        let (length, peer) = client.recv_from(&mut buffer)?;
        assert_eq!(&buffer[..length], b"ping");
        assert_eq!(peer.as_pathname(), Some(server_path.as_path()));
        let nobody = UnixDatagram::unbound()?;
        nobody.connect(&server_path)?;
        assert_eq!(nobody.peer_addr()?.as_pathname(), Some(server_path.as_path()));
        nobody.send(b"last")?;
        answering.join()?;
        let error = client.send_to(b"ping", &server_path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        Ok(())
    });
}

#[test]
fn a_sender_waits_while_its_peer_is_full() {
    play(|| {
        let (near, far) = UnixDatagram::pair()?;
        let sender = spawn(move || {
            for number in 0..MANY {
                near.send(&number.to_ne_bytes())?;
            }
            Ok(())
        });
        settle()?;
        assert!(!sender.done(), "the queue has no bound here");
        let mut buffer = [0; 8];
        for number in 0..MANY {
            far.recv(&mut buffer)?;
            assert_eq!(buffer, number.to_ne_bytes());
        }
        sender.join()
    });
}

#[test]
fn a_sender_waits_while_whom_it_names_is_full() {
    play(|| {
        let address = abstract_name();
        let server = UnixDatagram::bind_addr(&address)?;
        let sender = spawn(move || {
            let socket = UnixDatagram::unbound()?;
            for number in 0..MANY {
                socket.send_to_addr(&number.to_ne_bytes(), &address)?;
            }
            socket.set_write_timeout(Some(millis(20)))?;
            loop {
                if let Err(error) = socket.send_to_addr(b"more", &address) {
                    break Ok(error);
                }
            }
        });
        settle()?;
        let mut buffer = [0; 8];
        for number in 0..MANY {
            server.recv(&mut buffer)?;
            assert_eq!(buffer, number.to_ne_bytes());
        }
        assert_eq!(sender.join()?.kind(), ErrorKind::TimedOut, "nobody receives any more");
        Ok(())
    });
}

#[test]
fn a_cancelled_receiver_loses_nothing() {
    play(|| {
        let (near, far) = UnixDatagram::pair()?;
        let waiting = far.try_clone()?;
        let receiver = spawn(move || Ok(waiting.recv(&mut [0; 8])?));
        settle()?;
        near.send(b"here")?;
        receiver.cancel();
        assert!(receiver.join().unwrap_err().is_cancelled());
        assert_eq!(far.recv(&mut [0; 8])?, 4);
        far.set_read_timeout(Some(millis(5)))?;
        assert_eq!(far.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn a_receiver_that_is_shut_down_gets_nothing_more() {
    play(|| {
        let (near, far) = UnixDatagram::pair()?;
        far.shutdown(Shutdown::Read)?;
        assert_eq!(near.send(b"?").unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert!(far.take_error()?.is_none());
        Ok(())
    });
}
