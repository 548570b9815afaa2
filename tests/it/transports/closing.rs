//! How connections end: by their owner, by the peer, by a reset in whatever state.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use stackio::{Error, ErrorKind, Result, get_running_loop};

use super::carriers::{self, Carrier, Tcp};
use super::recorder::{Call, Log, Plain};
use super::{elsewhere, pattern, play, reports, reset_on_close, settle, until, with_std};

#[test]
fn the_loop_keeps_a_connection_whose_handles_are_dropped() {
    play(|| {
        // Also one that is paused, so that the selector does not know of it.
        let log = Log::reacting(|call, log| {
            if call == Call::Made {
                log.transport().pause_reading();
            }
            Ok(())
        });
        let (transport, mut theirs) = with_std(&log)?;
        let protocol = transport.get_protocol().expect("it is open");
        log.let_go();
        drop((transport, protocol));
        settle()?;
        theirs.set_nonblocking(true)?;
        let read = theirs.read(&mut [0]).expect_err("nothing has come, not even the end");
        assert_eq!(read.kind(), io::ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn an_abort_while_it_closes_drops_what_waits() {
    play(|| {
        let log = Log::new();
        let (transport, mut theirs) = with_std(&log)?;
        transport.write(&pattern(20_000_000));
        transport.close();
        settle()?;
        transport.abort_with(Error::with_message(ErrorKind::Value, "too slow"));
        assert_eq!(transport.get_write_buffer_size(), 0);
        let error = log.wait_lost()?.expect("a reason was given");
        assert_eq!(error.to_string(), "too slow");
        let mut all = Vec::new();
        let _reset_or_not = theirs.read_to_end(&mut all);
        assert!(all.len() < 20_000_000 && pattern(20_000_000).starts_with(&all));
        log.check();
        Ok(())
    });
}

#[test]
fn a_reason_to_close_is_given_when_all_is_sent() {
    play(|| {
        let log = Log::new();
        let (transport, mut theirs) = with_std(&log)?;
        transport.write(&pattern(10_000_000));
        transport.close_with(Error::with_message(ErrorKind::Value, "wrong"));
        transport.close_with(Error::with_message(ErrorKind::Value, "the second reason"));
        let all = elsewhere(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).map(|_| all)
        });
        assert_eq!(log.wait_lost()?.expect("a reason was given").to_string(), "wrong");
        assert!(all.join()?? == pattern(10_000_000));
        log.check();
        Ok(())
    });
}

#[test]
fn a_reset_is_the_owners_to_know_in_every_state() {
    play(|| {
        let reports = reports()?;
        for state in ["new", "idle", "paused", "writing", "half closed", "closing", "kept open"] {
            let log = if state == "kept open" { Log::new().keep_open() } else { Log::new() };
            let (transport, theirs) = with_std(&log)?;
            if state != "new" {
                settle()?;
            }
            match state {
                "paused" => transport.pause_reading(),
                "writing" => transport.write(&pattern(10_000_000)),
                "half closed" => transport.write_eof(),
                "closing" => {
                    transport.write(&pattern(10_000_000));
                    transport.close();
                }
                "kept open" => {
                    theirs.shutdown(Shutdown::Write)?;
                    until(|| log.has(Call::Eof))?;
                }
                _ => {}
            }
            reset_on_close(&theirs)?;
            drop(theirs);
            settle()?;
            match state {
                // Nobody looks at a connection that is paused, or has been read to its end.
                "paused" => {
                    assert!(!log.has(Call::Lost));
                    transport.resume_reading();
                }
                "kept open" => transport.write(b"x"),
                _ => {}
            }
            let error = log.wait_lost()?.unwrap_or_else(|| panic!("{state}: no error"));
            let kind = error.io_kind();
            let expected = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
            assert!(kind.is_some_and(|kind| expected.contains(&kind)), "{state}: {error}");
            log.check();
        }
        assert_eq!(*reports.borrow(), Vec::<String>::new());
        Ok(())
    });
}

#[test]
fn it_is_known_whose_connection_was_reset() {
    play(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = std::rc::Rc::new(std::cell::RefCell::new(None));
        let note = seen.clone();
        let log = Log::reacting(move |call, log| {
            if call == Call::Lost {
                let info = log.transport().get_extra_info();
                *note.borrow_mut() = info.peer_addr.and_then(|peer| peer.inet());
            }
            Ok(())
        });
        let protocol = Plain(log.clone());
        let task = stackio::spawn(move || {
            get_running_loop()?.create_connection(|| protocol, address).map(drop)
        });
        let theirs = elsewhere(move || listener.accept()).join()??.0;
        task.join()?;
        reset_on_close(&theirs)?;
        drop(theirs);
        assert!(log.wait_lost()?.is_some());
        assert_eq!(*seen.borrow(), Some(address));
        Ok(())
    });
}

/// What is known of the addresses afterwards: who asked is told the same as before.
fn ends_with_its_addresses<C: Carrier>() -> Result {
    let (near, far) = (Log::new(), Log::new());
    let sides = ((Plain(near.clone()), &near), (Plain(far.clone()), &far));
    let (asked, never_asked) = carriers::open::<C, _, _, _, _>(sides.0, sides.1)?;
    let before = asked.get_extra_info();
    assert!(before.local_addr.is_some() && before.peer_addr.is_some(), "{}", C::NAME);
    asked.close();
    assert!(near.wait_lost()?.is_none() && far.wait_lost()?.is_none());
    let after = asked.get_extra_info();
    assert_eq!(after.peer_addr, before.peer_addr, "{}", C::NAME);
    assert_eq!(after.local_addr, before.local_addr, "{}", C::NAME);
    let after = never_asked.get_extra_info();
    assert_eq!(after.peer_addr, before.local_addr, "{}", C::NAME);
    assert!(after.local_addr.is_none_or(|address| Some(address) == before.peer_addr));
    Ok(())
}

#[test]
fn it_is_known_whose_connection_it_was() {
    play(|| {
        ends_with_its_addresses::<Tcp>()?;
        #[cfg(feature = "tls")]
        ends_with_its_addresses::<super::carriers::Tls>()?;
        Ok(())
    });
}

#[test]
fn a_peer_that_closes_with_something_unread_loses_nothing_of_ours_to_read() {
    play(|| {
        let log = Log::new();
        let (transport, mut theirs) = with_std(&log)?;
        transport.write(b"it will not read this");
        settle()?;
        theirs.write_all(b"but says this")?;
        drop(theirs);
        log.wait_lost()?;
        assert_eq!(log.data(), b"but says this");
        log.check();
        Ok(())
    });
}

#[test]
fn the_protocol_is_given_back_when_the_connection_is_lost() {
    play(|| {
        let log = Log::new();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let protocol = Plain(log.clone());
        let (transport, handle) = get_running_loop()?.connect_accepted_socket(|| protocol, ours)?;
        let other = handle.clone();
        assert!(other.into_inner().is_err(), "the transport has it");
        drop(theirs);
        log.wait_lost()?;
        stackio::yield_now()?;
        let Plain(log) = handle.into_inner()?;
        log.check();
        assert!(transport.get_protocol().is_none());
        Ok(())
    });
}

#[test]
fn a_cancelled_connect_leaves_nothing_behind() {
    play(|| {
        let log = Log::new();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair()?;
        let protocol = Plain(log.clone());
        let task = stackio::spawn(move || {
            get_running_loop()?.connect_accepted_socket(|| protocol, ours).map(drop)
        });
        stackio::yield_now()?;
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
        let end = elsewhere(move || theirs.read(&mut [0])).join()??;
        assert_eq!(end, 0);
        // Either it was told of nothing, or of all.
        if log.has(Call::Made) {
            log.wait_lost()?;
            log.check();
        }
        log.let_go();
        settle()?;
        assert_eq!(log.holders(), 1);
        Ok(())
    });
}
