//! Datagrams: whole, in order of arrival, and refused.

use std::io::ErrorKind;
use std::net::{self, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use stackio::net::UdpSocket;
use stackio::{Error, Result, Task, millis, spawn, timeout};

use super::{ANY, play, settle};

/// Two sockets, each connected to the other.
fn peers() -> Result<(UdpSocket, UdpSocket)> {
    let (near, far) = (UdpSocket::bind(ANY)?, UdpSocket::bind(ANY)?);
    near.connect(far.local_addr()?)?;
    far.connect(near.local_addr()?)?;
    Ok((near, far))
}

/// A task that receives one datagram.
fn receiver(socket: &UdpSocket) -> Result<Task<Vec<u8>>> {
    let socket = socket.try_clone()?;
    Ok(spawn(move || {
        let mut buffer = [0; 2048];
        let n = socket.recv(&mut buffer)?;
        Ok(buffer[..n].to_vec())
    }))
}

/// An address at which nobody receives.
fn nobody() -> Result<SocketAddr> {
    Ok(net::UdpSocket::bind(ANY)?.local_addr()?)
}

#[test]
fn a_datagram_goes_to_an_address_and_says_where_it_came_from() {
    play(|| {
        let (near, far) = (UdpSocket::bind(ANY)?, UdpSocket::bind(ANY)?);
        let address = far.local_addr()?;
        let echo = spawn(move || {
            let mut buffer = [0; 64];
            let (n, from) = far.recv_from(&mut buffer)?;
            Ok(far.send_to(&buffer[..n], from)?)
        });
        settle()?;
        assert!(!echo.done());
        assert_eq!(near.send_to(b"hello", address)?, 5);
        let mut buffer = [0; 64];
        assert_eq!(near.recv_from(&mut buffer)?, (5, address));
        assert_eq!(&buffer[..5], b"hello");
        assert_eq!(echo.join()?, 5);
        Ok(())
    });
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    play(|| {
        let (near, far) = peers()?;
        assert_eq!(near.peer_addr()?, far.local_addr()?);
        let reader = receiver(&near)?;
        settle()?;
        let stranger = UdpSocket::bind(ANY)?;
        stranger.send_to(b"psst", near.local_addr()?)?;
        settle()?;
        assert!(!reader.done());
        far.send(b"hello")?;
        assert_eq!(reader.join()?, b"hello");
        assert_eq!(stranger.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        Ok(())
    });
}

#[test]
fn datagrams_keep_their_borders_and_an_empty_one_is_no_end() {
    play(|| {
        let (near, far) = peers()?;
        let first = receiver(&near)?;
        settle()?;
        for datagram in [&b"one"[..], b"", b"three"] {
            assert_eq!(far.send(datagram)?, datagram.len());
        }
        assert_eq!(first.join()?, b"one");
        assert_eq!(receiver(&near)?.join()?, b"");
        assert_eq!(receiver(&near)?.join()?, b"three");
        Ok(())
    });
}

/// A datagram smaller than the buffer does not mean that it was the last.
#[test]
fn all_datagrams_that_came_with_one_event_are_received() {
    play(|| {
        let (near, far) = peers()?;
        let reader = {
            let near = near.try_clone()?;
            spawn(move || {
                let mut all = Vec::new();
                for _ in 0..60 {
                    let mut buffer = [0; 2048];
                    let n = near.recv(&mut buffer)?;
                    all.push(buffer[..n].to_vec());
                }
                Ok(all)
            })
        };
        settle()?;
        for number in 0..60_u8 {
            far.send(&[number; 10])?;
        }
        let expected: Vec<_> = (0..60).map(|number| vec![number; 10]).collect();
        assert_eq!(reader.join()?, expected);
        Ok(())
    });
}

#[test]
fn what_does_not_fit_into_the_buffer_is_lost_and_the_next_is_whole() {
    play(|| {
        let (near, far) = peers()?;
        far.send(b"too long for it")?;
        far.send(b"next")?;
        let mut buffer = [0; 8];
        assert_eq!(near.recv(&mut buffer)?, 8);
        assert_eq!(&buffer, b"too long");
        assert_eq!(near.recv(&mut buffer)?, 4);
        assert_eq!(&buffer[..4], b"next");
        Ok(())
    });
}

#[test]
fn peeking_leaves_the_datagram_there() {
    play(|| {
        let (near, far) = peers()?;
        let peeker = {
            let near = near.try_clone()?;
            spawn(move || Ok(near.peek_from(&mut [0; 64])?))
        };
        settle()?;
        assert!(!peeker.done());
        far.send(b"look")?;
        assert_eq!(peeker.join()?, (4, far.local_addr()?));
        assert_eq!(near.peek_from(&mut [0; 2])?.0, 2);
        assert_eq!(near.recv(&mut [0; 64])?, 4);
        Ok(())
    });
}

#[test]
fn a_refusal_reaches_a_waiting_receiver() {
    play(|| {
        let near = UdpSocket::bind(ANY)?;
        near.connect(nobody()?)?;
        let reader = receiver(&near)?;
        settle()?;
        near.send(b"anybody there?")?;
        let error = reader.join().unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::ConnectionRefused));
        Ok(())
    });
}

#[test]
fn after_a_refusal_the_socket_is_usable() {
    play(|| {
        let near = UdpSocket::bind(ANY)?;
        let address = nobody()?;
        near.connect(address)?;
        for _ in 0..3 {
            near.send(b"anybody there?")?;
            let error = near.recv(&mut [0; 8]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
        let reader = receiver(&near)?;
        settle()?;
        assert!(!reader.done(), "an error is told once");
        let far = UdpSocket::bind(ANY)?;
        far.connect(near.local_addr()?)?;
        near.connect(far.local_addr()?)?;
        far.send(b"I am")?;
        assert_eq!(reader.join()?, b"I am");
        Ok(())
    });
}

#[test]
fn a_datagram_that_is_too_large_is_refused() {
    play(|| {
        let (near, _far) = peers()?;
        let error = near.send(&vec![0; 70_000]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        let error = near.send_to(b"?", &[][..] as &[SocketAddr]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn timeouts_leave_the_socket_usable() {
    play(|| {
        let (near, far) = peers()?;
        let late = timeout(millis(10), |_| Ok(near.recv(&mut [0; 8])?)).unwrap_err();
        assert_eq!(late.kind(), stackio::ErrorKind::Timeout);
        near.set_read_timeout(Some(millis(10)))?;
        assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(near.recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(near.peek_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        far.send(b"data")?;
        assert_eq!(near.recv(&mut [0; 8])?, 4);
        let zero = Some(Duration::ZERO);
        assert_eq!(near.set_read_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(near.set_write_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn a_cancelled_receive_loses_no_datagram() {
    play(|| {
        let (near, far) = peers()?;
        for _ in 0..3 {
            let reader = receiver(&near)?;
            settle()?;
            reader.cancel();
            far.send(b"data")?;
            assert!(reader.join().unwrap_err().is_cancelled());
            assert_eq!(receiver(&near)?.join()?, b"data");
        }
        Ok(())
    });
}

#[test]
fn a_second_receiver_is_refused_and_the_first_goes_on() {
    play(|| {
        let (near, far) = peers()?;
        let first = receiver(&near)?;
        settle()?;
        assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ResourceBusy);
        assert_eq!(near.peek_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ResourceBusy);
        assert!(!first.done());
        far.send(b"data")?;
        assert_eq!(first.join()?, b"data");
        Ok(())
    });
}

#[test]
fn one_task_receives_while_another_sends() {
    play(|| {
        let (near, far) = peers()?;
        let near = Rc::new(near);
        let echo = spawn(move || -> Result {
            let mut buffer = [0; 64];
            loop {
                let n = far.recv(&mut buffer)?;
                far.send(&buffer[..n])?;
            }
        });
        let receiving = near.clone();
        let receiver = spawn(move || {
            let mut sum = 0;
            for _ in 0..100 {
                let mut number = [0; 4];
                receiving.recv(&mut number)?;
                sum += u32::from_be_bytes(number);
            }
            Ok(sum)
        });
        for number in 0..100_u32 {
            near.send(&number.to_be_bytes())?;
        }
        assert_eq!(receiver.join()?, 4950);
        echo.cancel();
        assert!(echo.join().unwrap_err().is_cancelled());
        Ok(())
    });
}

#[test]
fn a_name_is_resolved_for_a_datagram_too() {
    play(|| {
        let (near, far) = (UdpSocket::bind(ANY)?, UdpSocket::bind(ANY)?);
        near.send_to(b"by name", ("localhost", far.local_addr()?.port()))?;
        assert_eq!(far.recv_from(&mut [0; 64])?, (7, near.local_addr()?));
        near.connect(format!("localhost:{}", far.local_addr()?.port()))?;
        assert_eq!(near.peer_addr()?, far.local_addr()?);
        Ok(())
    });
}

#[test]
fn a_socket_of_stds_can_be_taken_over() {
    play(|| {
        let near = UdpSocket::from_std(net::UdpSocket::bind(ANY)?)?;
        let reader = receiver(&near)?;
        settle()?;
        let sender = net::UdpSocket::bind(ANY)?;
        sender.send_to(b"from std", near.local_addr()?)?;
        assert_eq!(reader.join()?, b"from std");
        Ok(())
    });
}

#[test]
fn ipv6_datagrams_work_where_there_are_any() {
    if let Err(error) = net::UdpSocket::bind("[::1]:0") {
        eprintln!("no IPv6 here: {error}");
        return;
    }
    play(|| {
        let (near, far) = (UdpSocket::bind("[::1]:0")?, UdpSocket::bind("[::1]:0")?);
        near.send_to(b"six", far.local_addr()?)?;
        assert_eq!(far.recv_from(&mut [0; 8])?, (3, near.local_addr()?));
        Ok(())
    });
}

#[test]
fn a_receive_outside_of_a_task_says_so() {
    let socket = UdpSocket::bind(ANY).unwrap();
    let error = Error::from(socket.recv(&mut [0; 8]).unwrap_err());
    assert_eq!(error.kind(), stackio::ErrorKind::Runtime);
}
