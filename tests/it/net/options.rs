//! What can be set: how addresses are shared, groups of receivers, silent connections.

use std::io::{ErrorKind, Write};
use std::net::{self, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::SockRef;
use stackio::net::{Keepalive, SocketBuilder, TcpListener, TcpStream, UdpSocket};
use stackio::{Result, millis, secs, spawn};

use super::{ANY, pair, play, settle};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 42, 42);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0x4242, 1);

fn has_ipv6() -> bool {
    let bound = net::TcpListener::bind("[::1]:0");
    bound.inspect_err(|error| eprintln!("no IPv6 here: {error}")).is_ok()
}

#[test]
fn listeners_that_all_say_so_share_a_port() {
    play(|| {
        let shared = SocketBuilder::new().reuse_port(true);
        let one = shared.listen(ANY)?;
        let two = shared.listen(one.local_addr()?)?;
        let other = TcpListener::bind(one.local_addr()?);
        assert_eq!(other.unwrap_err().kind(), ErrorKind::AddrInUse);
        let address = one.local_addr()?;
        let accepting = [one, two].map(|listener| {
            spawn(move || -> Result {
                loop {
                    listener.accept()?;
                }
            })
        });
        for _ in 0..20 {
            TcpStream::connect(address)?;
        }
        for task in accepting {
            assert!(task.cancel());
        }
        Ok(())
    });
}

#[test]
fn a_listener_may_leave_the_other_family_alone() {
    if !has_ipv6() {
        return;
    }
    play(|| {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let alone = SocketBuilder::new().v6only(true).listen(any)?;
        let port = alone.local_addr()?.port();
        let v4 = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
        TcpStream::connect((Ipv6Addr::LOCALHOST, port))?;
        assert!(alone.accept()?.1.is_ipv6());
        TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        assert!(v4.accept()?.1.is_ipv4());
        let both = SocketBuilder::new().v6only(false).listen(any)?;
        TcpStream::connect((Ipv4Addr::LOCALHOST, both.local_addr()?.port()))?;
        both.accept()?;
        SocketBuilder::new().v6only(true).listen(ANY)?;
        Ok(())
    });
}

#[test]
fn a_short_backlog_fills_up() {
    play(|| {
        let listener = SocketBuilder::new().backlog(1).listen(ANY)?;
        let address = listener.local_addr()?;
        let mut queued = Vec::new();
        let error = loop {
            match TcpStream::connect_timeout(&address, millis(100)) {
                Ok(stream) => queued.push(stream),
                Err(error) => break error,
            }
            assert!(queued.len() < 20, "the backlog is no limit here");
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn an_address_may_be_kept_from_being_used_again() {
    play(|| {
        let strict = SocketBuilder::new().reuse_address(false);
        let listener = strict.listen(ANY)?;
        let address = listener.local_addr()?;
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        // Closed first, so that its address waits for stragglers.
        drop((server, client, listener));
        assert_eq!(strict.listen(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        Ok(())
    });
}

#[test]
fn receivers_in_a_group_all_get_what_is_sent_to_it() {
    play(|| {
        let shared = SocketBuilder::new().reuse_address(true);
        let here = Ipv4Addr::LOCALHOST;
        let one = shared.bind("0.0.0.0:0")?;
        let port = one.local_addr()?.port();
        let two = shared.bind((Ipv4Addr::UNSPECIFIED, port))?;
        one.join_multicast_v4(&GROUP, &here)?;
        two.join_multicast_v4(&GROUP, &here)?;
        let receiving = [one.try_clone()?, two.try_clone()?].map(|socket| {
            spawn(move || {
                let mut buffer = [0; 16];
                let length = socket.recv(&mut buffer)?;
                Ok(buffer[..length].to_vec())
            })
        });
        settle()?;
        let sender = UdpSocket::bind("127.0.0.1:0")?;
        sender.set_multicast_if_v4(&here)?;
        sender.send_to(b"all", (GROUP, port))?;
        for task in receiving {
            assert_eq!(task.join()?, b"all");
        }
        two.leave_multicast_v4(&GROUP, &here)?;
        let again = two.leave_multicast_v4(&GROUP, &here).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AddrNotAvailable);
        one.leave_multicast_v4(&GROUP, &here)?;
        sender.send_to(b"nobody is here", (GROUP, port))?;
        one.set_read_timeout(Some(millis(20)))?;
        assert_eq!(one.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn a_group_of_ipv6_receives_too() {
    if !has_ipv6() {
        return;
    }
    play(|| {
        // The first interface is the loopback one.
        let socket = SocketBuilder::new().v6only(true).bind("[::]:0")?;
        socket.join_multicast_v6(&GROUP_V6, 1)?;
        socket.set_multicast_if_v6(1)?;
        socket.set_multicast_hops_v6(3)?;
        assert_eq!(socket.multicast_hops_v6()?, 3);
        assert!(socket.multicast_loop_v6()?);
        match socket.send_to(b"six", (GROUP_V6, socket.local_addr()?.port())) {
            Ok(_) => assert_eq!(socket.recv(&mut [0; 16])?, 3),
            Err(error) => {
                eprintln!("no groups on the loopback interface: {error}");
                assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
            }
        }
        socket.leave_multicast_v6(&GROUP_V6, 1)?;
        socket.set_multicast_loop_v6(false)?;
        assert!(!socket.multicast_loop_v6()?);
        Ok(())
    });
}

#[test]
fn broadcasting_has_to_be_allowed() {
    play(|| {
        let everybody = SocketAddr::from(([127, 255, 255, 255], 9));
        let socket = UdpSocket::bind(ANY)?;
        assert!(!socket.broadcast()?);
        let error = socket.send_to(b"hello", everybody).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        socket.set_broadcast(true)?;
        assert_eq!(socket.send_to(b"hello", everybody)?, 5);
        assert!(SocketBuilder::new().broadcast(true).bind(ANY)?.broadcast()?);
        Ok(())
    });
}

#[test]
fn how_far_datagrams_go_can_be_set() {
    play(|| {
        let socket = UdpSocket::bind(ANY)?;
        socket.set_ttl(7)?;
        assert_eq!(socket.ttl()?, 7);
        assert_eq!(socket.multicast_ttl_v4()?, 1);
        socket.set_multicast_ttl_v4(4)?;
        assert_eq!(socket.multicast_ttl_v4()?, 4);
        assert!(socket.multicast_loop_v4()?);
        socket.set_multicast_loop_v4(false)?;
        assert!(!socket.multicast_loop_v4()?);
        assert_eq!((socket.read_timeout(), socket.write_timeout()), (None, None));
        assert!(socket.take_error()?.is_none());
        Ok(())
    });
}

#[test]
fn a_silent_connection_is_probed_as_it_was_said() {
    play(|| {
        let (near, _far) = pair()?;
        assert!(!near.keepalive()?);
        let keepalive =
            Keepalive { idle: Some(secs(60)), interval: Some(secs(5)), retries: Some(3) };
        near.set_keepalive(keepalive)?;
        let socket = SockRef::from(&near);
        assert!(near.keepalive()?);
        assert_eq!(socket.tcp_keepalive_time()?, secs(60));
        assert_eq!(socket.tcp_keepalive_interval()?, secs(5));
        assert_eq!(socket.tcp_keepalive_retries()?, 3);
        near.set_keepalive(None)?;
        assert!(!near.keepalive()?);
        near.set_keepalive(Keepalive::default())?;
        assert!(near.keepalive()?);
        Ok(())
    });
}

#[test]
fn sockets_go_to_std_and_back() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let clone = listener.try_clone()?;
        let (copied, moved) = (listener.into_std()?, clone.into_std()?);
        assert_eq!(copied.local_addr()?, moved.local_addr()?);
        let listener = TcpListener::from_std(moved)?;
        drop(copied);
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        let near = near.into_std()?;
        near.set_nonblocking(false)?;
        far.write_all(b"x")?;
        assert_eq!(std::io::Read::read(&mut &near, &mut [0; 8])?, 1);
        Ok(())
    });
}
