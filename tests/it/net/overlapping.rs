//! Attempts to connect that overlap ("happy eyeballs"), and where they come from.

use std::io::{self, ErrorKind};
use std::net::{self, Ipv6Addr, SocketAddr};
use std::time::Instant;

use stackio::net::{SocketBuilder, TcpListener, TcpStream};
use stackio::{Result, Task, all_tasks, millis, secs, spawn};

use super::alone::{MANY_DESCRIPTORS, alone, open_descriptors};
use super::connecting::full_backlog;
use super::{ANY, play, refusing, settle};

fn eager(delay: std::time::Duration) -> SocketBuilder {
    SocketBuilder::new().happy_eyeballs_delay(delay)
}

/// An address at which nothing can be: connecting to it fails at once, and not as being refused.
fn broadcast() -> SocketAddr {
    SocketAddr::from(([255, 255, 255, 255], 9))
}

#[test]
fn an_address_that_does_not_answer_is_overtaken() {
    play(|| {
        let (_full, silent, _queued) = full_backlog()?;
        let listener = TcpListener::bind(ANY)?;
        let good = listener.local_addr()?;
        let started = Instant::now();
        let stream = eager(millis(20)).connect(&[silent, silent, good][..])?;
        assert!(started.elapsed() >= millis(40), "the others had their time");
        assert!(started.elapsed() < secs(1), "the system would try for longer");
        assert_eq!(stream.peer_addr()?, good);
        assert_eq!(listener.accept()?.1, stream.local_addr()?);
        Ok(())
    });
}

#[test]
fn a_refusal_lets_the_next_one_begin_at_once() {
    play(|| {
        let (_bound, refused) = refusing()?;
        let listener = TcpListener::bind(ANY)?;
        let started = Instant::now();
        let stream = eager(secs(3600)).connect(&[refused, refused, listener.local_addr()?][..])?;
        assert_eq!(stream.peer_addr()?, listener.local_addr()?);
        assert!(started.elapsed() < secs(20));
        Ok(())
    });
}

#[test]
fn a_refusal_after_one_that_is_silent_lets_the_next_one_begin_at_once() {
    play(|| {
        let (_full, silent, _queued) = full_backlog()?;
        let (_bound, refused) = refusing()?;
        let listener = TcpListener::bind(ANY)?;
        let started = Instant::now();
        let addresses = [silent, refused, refused, refused, listener.local_addr()?];
        eager(millis(300)).connect(&addresses[..])?;
        assert!(started.elapsed() >= millis(300), "only the first is waited for");
        assert!(started.elapsed() < millis(900), "the others fail at once");
        Ok(())
    });
}

#[test]
fn the_first_is_taken_though_others_have_been_started() {
    play(|| {
        let (full, slow, mut queued) = full_backlog()?;
        let (_other, silent, _queued) = full_backlog()?;
        let connecting = spawn(move || Ok(eager(millis(1)).connect(&[slow, silent][..])?));
        while all_tasks().len() < 4 {
            stackio::sleep(millis(1))?;
        }
        // There is room again: the system tries once more by itself, after a second.
        queued.clear();
        full.set_nonblocking(true)?;
        while full.accept().is_ok() {}
        assert_eq!(connecting.join()?.peer_addr()?, slow);
        assert_eq!(all_tasks().len(), 1, "the other attempt has ended");
        Ok(())
    });
}

#[test]
fn a_single_address_is_not_raced() {
    play(|| {
        let (_full, silent, _queued) = full_backlog()?;
        let connecting = spawn(move || Ok(eager(millis(1)).connect(silent)?));
        settle()?;
        assert_eq!(all_tasks().len(), 2, "the test and who connects");
        connecting.cancel();
        Ok(())
    });
}

#[test]
fn when_all_fail_alike_the_error_is_theirs() {
    play(|| {
        let (_bound, refused) = refusing()?;
        for builder in [SocketBuilder::new(), eager(millis(1))] {
            let error = builder.connect(&[refused, refused][..]).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ECONNREFUSED));
        }
        Ok(())
    });
}

#[test]
fn when_all_fail_differently_the_error_lists_them() {
    play(|| {
        let (_bound, refused) = refusing()?;
        let other = TcpStream::connect(broadcast()).unwrap_err();
        assert_ne!(other.kind(), ErrorKind::ConnectionRefused);
        for builder in [SocketBuilder::new(), eager(secs(60))] {
            let error = builder.connect(&[broadcast(), refused][..]).unwrap_err();
            let text = format!(
                "Multiple exceptions: 255.255.255.255:9: {other}, \
                 {refused}: Connection refused (os error 111)"
            );
            assert_eq!(error.to_string(), text);
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "that of the last");
        }
        Ok(())
    });
}

#[test]
fn families_take_turns_if_that_is_wished() {
    play(|| {
        let (_bound, refused) = refusing()?;
        let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let order = |builder: &SocketBuilder| -> Vec<usize> {
            // Local addresses that cannot be bound: each attempt fails, and says where it went.
            let addresses = [broadcast(), refused, SocketAddr::from(([127, 0, 0, 1], 0)), v6];
            let text = builder.connect(&addresses[..]).unwrap_err().to_string();
            let mut places: Vec<_> =
                (0..4).map(|at| (text.find(&format!(" {}: ", addresses[at])), at)).collect();
            assert!(places.iter().all(|(place, _)| place.is_some()), "{text}");
            places.sort();
            places.into_iter().map(|(_, at)| at).collect()
        };
        let plain = SocketBuilder::new();
        assert_eq!(order(&plain), [0, 1, 2, 3]);
        assert_eq!(order(&plain.clone().interleave(0)), [0, 1, 2, 3]);
        assert_eq!(order(&plain.clone().interleave(1)), [0, 3, 1, 2]);
        assert_eq!(order(&plain.clone().interleave(2)), [0, 1, 3, 2]);
        assert_eq!(order(&plain.clone().interleave(9)), [0, 1, 2, 3]);
        assert_eq!(order(&eager(secs(60))), [0, 3, 1, 2], "the default for those that overlap");
        Ok(())
    });
}

/// A task that has two attempts running.
fn racing(silent: SocketAddr) -> Result<Task<TcpStream>> {
    let connecting = spawn(move || Ok(eager(millis(1)).connect(&[silent, silent][..])?));
    while all_tasks().len() < 4 {
        stackio::sleep(millis(1))?;
    }
    // The last of them may not have taken its first step, in which it makes its socket.
    stackio::yield_now()?;
    Ok(connecting)
}

#[test]
fn a_cancellation_ends_all_attempts() {
    let name = "net::overlapping::a_cancellation_ends_all_attempts";
    if !alone(name, MANY_DESCRIPTORS) {
        return;
    }
    play(|| {
        let (_full, silent, _queued) = full_backlog()?;
        let before = open_descriptors();
        let connecting = racing(silent)?;
        assert_eq!(open_descriptors(), before + 2);
        connecting.cancel_with("enough");
        let error = connecting.join().unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.message(), Some("enough"));
        assert_eq!(all_tasks().len(), 1);
        assert_eq!(open_descriptors(), before, "the sockets are closed");
        Ok(())
    });
}

#[test]
fn the_losers_are_closed_when_there_is_a_winner() {
    let name = "net::overlapping::the_losers_are_closed_when_there_is_a_winner";
    if !alone(name, MANY_DESCRIPTORS) {
        return;
    }
    play(|| {
        let (_full, silent, _queued) = full_backlog()?;
        let listener = net::TcpListener::bind(ANY)?;
        let before = open_descriptors();
        let stream = eager(millis(1)).connect(&[silent, silent, listener.local_addr()?][..])?;
        assert_eq!(open_descriptors(), before + 1);
        assert_eq!(all_tasks().len(), 1);
        drop(stream);
        assert_eq!(open_descriptors(), before);
        Ok(())
    });
}

#[test]
fn a_loop_that_is_left_ends_the_attempts_with_it() {
    let connecting = play(|| {
        let (_full, silent, _queued) = full_backlog()?;
        racing(silent)
    });
    assert!(connecting.cancelled());
}

#[test]
fn a_connection_comes_from_the_local_address() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let from = SocketAddr::from(([127, 0, 0, 7], 0));
        let other_family = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        for builder in [SocketBuilder::new(), eager(millis(5))] {
            let builder = builder.local_address(other_family).local_address(from);
            let target = [listener.local_addr()?, listener.local_addr()?];
            let stream = builder.connect(&target[..])?;
            assert_eq!(stream.local_addr()?.ip(), from.ip());
            assert_eq!(listener.accept()?.1, stream.local_addr()?);
        }
        Ok(())
    });
}

#[test]
fn a_local_address_serves_several_connections_if_that_is_said() {
    play(|| {
        let [one, two] = [TcpListener::bind(ANY)?, TcpListener::bind(ANY)?];
        let builder = SocketBuilder::new().reuse_address(true);
        let from = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = builder.clone().local_address(from).connect(one.local_addr()?)?;
        let from = first.local_addr()?;
        let plain = SocketBuilder::new().local_address(from);
        let error = plain.connect(two.local_addr()?).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let second = builder.local_address(from).connect(two.local_addr()?)?;
        assert_eq!(second.local_addr()?, from);
        Ok(())
    });
}

#[test]
fn a_local_address_that_will_not_do_is_named() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let connect = |local: &str| -> io::Error {
            let local = local.parse().expect("an address");
            let builder = SocketBuilder::new().local_address(local);
            builder.connect(listener.local_addr().expect("bound")).unwrap_err()
        };
        let error = connect("[::1]:0");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(error.to_string().contains("no local address is of the family of"), "{error}");
        let error = connect("192.0.2.1:0");
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(error.to_string().contains("the local address 192.0.2.1:0: "), "{error}");
        Ok(())
    });
}
