//! Sockets and loops: none, another one, one that is closed.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net;
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream, UdpSocket};
use stackio::{Error, EventLoop, Result, VirtualClock, call_soon, secs, sleep, spawn};

use super::{ANY, pair, pair_with_std, play, play_on, settle};

#[track_caller]
fn assert_nothing_to_suspend<T>(result: io::Result<T>) {
    let Err(error) = result else { panic!("it would have had to wait") };
    assert_ne!(error.kind(), ErrorKind::WouldBlock, "a library would try again for ever");
    let error = Error::from(error);
    assert_eq!(error.kind(), stackio::ErrorKind::Runtime, "{error:?}");
}

#[test]
fn outside_of_a_loop_what_need_not_wait_works() {
    let listener = TcpListener::bind(ANY).unwrap();
    let mut far = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut near, peer) = listener.accept().unwrap();
    assert_eq!(peer, far.local_addr().unwrap());
    // More often than a task may without giving way.
    for _ in 0..1000 {
        near.write_all(b"ping").unwrap();
        far.read_exact(&mut [0; 4]).unwrap();
        far.write_all(b"pong").unwrap();
        near.read_exact(&mut [0; 4]).unwrap();
    }
    let datagrams = UdpSocket::bind(ANY).unwrap();
    datagrams.send_to(b"to myself", datagrams.local_addr().unwrap()).unwrap();
    assert_eq!(datagrams.recv(&mut [0; 64]).unwrap(), 9);
    drop(far);
    assert_eq!(near.read(&mut [0; 4]).unwrap(), 0);
}

#[test]
fn outside_of_a_loop_what_has_to_wait_is_an_error() {
    let listener = TcpListener::bind(ANY).unwrap();
    assert_nothing_to_suspend(listener.accept());
    let (mut near, mut far) = pair_with_std().unwrap();
    assert_nothing_to_suspend(near.read(&mut [0; 1]));
    assert_nothing_to_suspend(near.peek(&mut [0; 1]));
    assert_nothing_to_suspend(near.write_all(&vec![0; 24_000_000]));
    assert_nothing_to_suspend(TcpStream::connect("localhost:80"));
    let address = listener.local_addr().unwrap();
    assert_nothing_to_suspend(TcpStream::connect_timeout(&address, secs(1)));
    assert_nothing_to_suspend(UdpSocket::bind(ANY).unwrap().recv(&mut [0; 1]));
    far.write_all(b"x").unwrap();
    assert_eq!(near.read(&mut [0; 1]).unwrap(), 1, "it is as good as before");
}

#[test]
fn in_a_callback_what_has_to_wait_is_an_error_and_nobody_is_in_the_way() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let listener = TcpListener::bind(ANY)?;
        let (reading, accepting) = (near.try_clone()?, listener.try_clone()?);
        let called = Rc::new(RefCell::new(Vec::new()));
        let results = called.clone();
        call_soon(move || {
            results.borrow_mut().push((&reading).read(&mut [0; 1]).map(drop));
            results.borrow_mut().push(accepting.accept().map(drop));
            results.borrow_mut().push((&reading).write(b"this need not wait").map(drop));
        });
        settle()?;
        let mut results = called.take();
        assert!(results.pop().unwrap().is_ok());
        results.into_iter().for_each(assert_nothing_to_suspend);
        let reader = spawn(move || Ok((&near).read(&mut [0; 4])?));
        settle()?;
        far.write_all(b"data")?;
        assert_eq!(reader.join()?, 4);
        let client = net::TcpStream::connect(listener.local_addr()?)?;
        assert_eq!(listener.accept()?.1, client.local_addr()?);
        Ok(())
    });
}

#[test]
fn a_callback_is_told_that_it_cannot_wait() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let reading = near.try_clone()?;
        let reader = spawn(move || Ok((&reading).read(&mut [0; 4])?));
        settle()?;
        let errors = Rc::new(RefCell::new(Vec::new()));
        let seen = errors.clone();
        call_soon(move || {
            seen.borrow_mut().push((&near).read(&mut [0; 4]).unwrap_err().to_string());
        });
        settle()?;
        let errors = errors.take();
        assert!(errors[0].starts_with("cannot suspend here"), "{errors:?}");
        far.write_all(b"data")?;
        assert_eq!(reader.join()?, 4);
        Ok(())
    });
}

/// A stream that has been waited for, with data or without, from a loop that is closed by now.
fn from_another_loop() -> (TcpStream, net::TcpStream) {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let reading = near.try_clone()?;
        let reader = spawn(move || Ok((&reading).read(&mut [0; 64])?));
        settle()?;
        far.write_all(b"first")?;
        assert_eq!(reader.join()?, 5);
        Ok((near, far))
    })
}

#[test]
fn a_stream_can_be_used_in_another_loop_after_the_first() {
    let (mut near, mut far) = from_another_loop();
    far.write_all(b"in between").unwrap();
    let (near, mut far) = play(move || {
        near.read_exact(&mut [0; 10])?;
        Ok((near, far))
    });
    play(move || {
        let reader = spawn(move || Ok((&near).read(&mut [0; 64])?));
        settle()?;
        assert!(!reader.done());
        far.write_all(b"third")?;
        assert_eq!(reader.join()?, 5);
        Ok(())
    });
}

#[test]
fn a_stream_of_a_closed_loop_can_be_used_without_one_and_dropped() {
    let (mut near, mut far) = from_another_loop();
    near.write_all(b"good bye").unwrap();
    drop(near);
    let mut all = String::new();
    far.read_to_string(&mut all).unwrap();
    assert_eq!(all, "good bye");
}

#[test]
fn a_stream_can_go_to_and_fro_between_two_loops() {
    let (one, two) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (near, mut far) = pair_with_std().unwrap();
    let near = Rc::new(near);
    for round in 0..6 {
        let event_loop = if round % 2 == 0 { &one } else { &two };
        let (stream, mut sender) = (near.clone(), far.try_clone().unwrap());
        let got = event_loop.run_until_complete(move || {
            let reader = spawn(move || Ok((&*stream).read(&mut [0; 64])?));
            settle()?;
            sender.write_all(b"data")?;
            reader.join()
        });
        assert_eq!(got.unwrap(), 4, "in round {round}");
    }
    drop(one);
    far.write_all(b"the last").unwrap();
    let got = two.run_until_complete(move || Ok((&*near).read(&mut [0; 64])?));
    assert_eq!(got.unwrap(), 8);
}

#[test]
fn closing_a_loop_cancels_who_waits_for_a_socket() {
    let event_loop = EventLoop::new().unwrap();
    let (near, mut far) = pair_with_std().unwrap();
    let listener = Rc::new(TcpListener::bind(ANY).unwrap());
    let near = Rc::new(near);
    let ended: Rc<RefCell<Vec<(&str, Error)>>> = Rc::default();
    let (reading, accepting, log) = (near.clone(), listener.clone(), ended.clone());
    let started = event_loop.run_until_complete(move || {
        let (reader, acceptor, next) = (log.clone(), log.clone(), log);
        let also_accepting = accepting.clone();
        spawn(move || {
            let error = Error::from((&*reading).read(&mut [0; 1]).unwrap_err());
            reader.borrow_mut().push(("read", error));
            Ok(())
        });
        for (listener, log) in [(accepting, acceptor), (also_accepting, next)] {
            spawn(move || {
                let error = Error::from(listener.accept().map(drop).unwrap_err());
                log.borrow_mut().push(("accept", error));
                Ok(())
            });
        }
        settle()
    });
    started.unwrap();
    assert!(ended.borrow().is_empty(), "they wait");
    event_loop.close().unwrap();
    let names: Vec<_> = ended.borrow().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["read", "accept", "accept"]);
    assert!(ended.borrow().iter().all(|(_, error)| error.is_cancelled()), "{ended:?}");

    // The sockets outlive it.
    far.write_all(b"later").unwrap();
    let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    play(move || {
        assert_eq!((&*near).read(&mut [0; 64])?, 5);
        assert_eq!(listener.accept()?.1, client.local_addr()?);
        Ok(())
    });
}

#[test]
fn a_task_that_reads_again_after_each_error_does_not_keep_a_loop_from_closing() {
    let event_loop = EventLoop::new().unwrap();
    let (near, mut far) = pair_with_std().unwrap();
    let started = event_loop.run_until_complete(move || {
        spawn(move || -> Result {
            loop {
                let _stubborn = (&near).read(&mut [0; 1]);
            }
        });
        settle()
    });
    started.unwrap();
    event_loop.close().unwrap();
    assert_eq!(far.read(&mut [0; 1]).unwrap(), 0, "its stack was unwound, its socket closed");
}

#[test]
fn under_a_virtual_clock_time_stands_still_while_a_socket_is_waited_for() {
    let clock = VirtualClock::new();
    let runner = stackio::Runner::builder().virtual_clock(&clock).build().unwrap();
    let before = clock.now();
    play_on(runner, || {
        let (near, far) = pair()?;
        let echo = spawn(move || Ok(io::copy(&mut &far, &mut &far)?));
        let sleeper = spawn(|| sleep(secs(3600)));
        for _ in 0..100 {
            (&near).write_all(b"ping")?;
            (&near).read_exact(&mut [0; 4])?;
        }
        assert!(!sleeper.done());
        near.shutdown(net::Shutdown::Write)?;
        assert_eq!(echo.join()?, 400);
        // Nothing is waited for any more: now it may pass.
        sleeper.cancel();
        Ok(())
    });
    assert_eq!(clock.now(), before);
}

#[test]
fn a_read_in_time_leaves_no_timer_behind() {
    let clock = VirtualClock::new();
    let mut runner = stackio::Runner::builder().virtual_clock(&clock).build().unwrap();
    let before = clock.now();
    let ended = runner.run(|| {
        let (near, mut far) = pair_with_std()?;
        near.set_read_timeout(Some(secs(3600)))?;
        for _ in 0..3 {
            let reading = near.try_clone()?;
            let reader = spawn(move || Ok((&reading).read(&mut [0; 8])?));
            settle()?;
            far.write_all(b"data")?;
            assert_eq!(reader.join()?, 4);
        }
        // With a timer left, time would pass before this is found out.
        stackio::Future::<()>::new().wait()
    });
    assert_eq!(ended.unwrap_err().kind(), stackio::ErrorKind::Deadlock);
    assert_eq!(clock.now(), before);
}

#[test]
fn under_a_virtual_clock_time_passes_again_after_a_cancelled_read() {
    let clock = VirtualClock::new();
    let mut runner = stackio::Runner::builder().virtual_clock(&clock).build().unwrap();
    let slept = runner.run(|| {
        let (near, _far) = pair()?;
        for _ in 0..3 {
            let reading = near.try_clone()?;
            let reader = spawn(move || Ok((&reading).read(&mut [0; 1])?));
            settle()?;
            reader.cancel();
            assert!(reader.join().unwrap_err().is_cancelled());
        }
        // Were a waiter still counted, the loop would wait for it in real time.
        sleep(secs(3600))
    });
    slept.unwrap();
}
