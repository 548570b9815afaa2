//! Closing while the peer is still sending: the answer arrives, and nothing is kept for ever.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use stackio::{Result, Transport, get_running_loop, millis, secs};

use super::recorder::{Call, Log, Plain};
use super::{elsewhere, pattern, play, play_virtually, settle, until, with_std};
use crate::net::alone::{alone, open_descriptors};

const MUCH: usize = 8 << 20;

/// Sends much, and only then reads what the answer is.
fn send_much_and_read(mut stream: TcpStream) -> std::io::Result<Vec<u8>> {
    stream.write_all(&pattern(MUCH))?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Answers and closes at the first data.
fn answers() -> Log {
    Log::reacting(|call, log| {
        if call == Call::Data {
            log.transport().write(&pattern(50_000));
            log.transport().close();
        }
        Ok(())
    })
}

#[test]
fn an_answer_arrives_though_more_is_on_its_way() {
    play(|| {
        let log = answers();
        let (transport, mut theirs) = with_std(&log)?;
        transport.pause_reading();
        // More than is read at once is there already, and more will come.
        theirs.write_all(&pattern(200_000))?;
        let answer = elsewhere(move || send_much_and_read(theirs));
        transport.resume_reading();
        assert!(log.wait_lost()?.is_none());
        assert!(answer.join()?.expect("no reset") == pattern(50_000));
        Ok(())
    });
}

#[test]
fn an_answer_of_a_protocol_that_has_paused_reading_arrives() {
    play(|| {
        let log = Log::reacting(|call, log| {
            if call == Call::Data {
                log.transport().pause_reading();
            }
            Ok(())
        });
        let (transport, mut theirs) = with_std(&log)?;
        theirs.write_all(b"question")?;
        until(|| log.has(Call::Data))?;
        theirs.write_all(&pattern(200_000))?;
        let answer = elsewhere(move || send_much_and_read(theirs));
        settle()?;
        transport.write(&pattern(50_000));
        transport.close();
        assert!(log.wait_lost()?.is_none());
        assert!(answer.join()?.expect("no reset") == pattern(50_000));
        Ok(())
    });
}

#[test]
fn the_peer_sees_the_end_at_once() {
    play(|| {
        let log = answers();
        let (transport, mut theirs) = with_std(&log)?;
        transport.pause_reading();
        theirs.write_all(&pattern(200_000))?;
        transport.resume_reading();
        let mut answer = Vec::new();
        let read = elsewhere(move || theirs.read_to_end(&mut answer).map(|_| (answer, theirs)));
        let (answer, theirs) = read.join()??;
        assert!(answer == pattern(50_000));
        assert!(!log.has(Call::Lost), "it is read from until the peer has ended as well");
        drop(theirs);
        assert!(log.wait_lost()?.is_none());
        Ok(())
    });
}

/// A connection that is closed while something unread is there, and what the peer has.
fn closed_too_early() -> Result<(Transport, TcpStream)> {
    let log = answers();
    let (transport, mut theirs) = with_std(&log)?;
    transport.pause_reading();
    theirs.write_all(&pattern(200_000))?;
    transport.resume_reading();
    until(|| transport.is_closing())?;
    settle()?;
    Ok((transport, theirs))
}

#[test]
fn it_is_over_when_the_peer_ends_or_too_late() {
    if !alone("transports::lingering::it_is_over_when_the_peer_ends_or_too_late", "") {
        return;
    }
    play(|| {
        settle()?;
        let before = open_descriptors();
        let (transport, theirs) = closed_too_early()?;
        assert_eq!(open_descriptors(), before + 2, "it lingers");
        assert!(transport.get_protocol().is_some());
        drop(theirs);
        until(|| open_descriptors() == before)?;
        assert!(transport.get_protocol().is_none());

        let (started, (_transport, theirs)) = (Instant::now(), closed_too_early()?);
        stackio::sleep(secs(1))?;
        assert_eq!(open_descriptors(), before + 2, "it lingers");
        while open_descriptors() > before + 1 {
            stackio::sleep(stackio::millis(10))?;
        }
        assert!(started.elapsed() >= secs(2) && started.elapsed() < secs(10));
        drop(theirs);
        Ok(())
    });
}

#[test]
fn it_is_over_when_the_peer_sends_without_end() {
    play(|| {
        let (_transport, mut theirs) = closed_too_early()?;
        let sent = elsewhere(move || {
            let (mut sent, piece) = (0, pattern(1 << 20));
            loop {
                match theirs.write(&piece) {
                    Ok(count) => sent += count,
                    Err(error) => return (sent, error.kind()),
                }
            }
        });
        let (sent, error) = sent.join()?;
        assert!(matches!(error, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
        assert!(sent >= 64 << 20, "{sent} bytes were taken");
        Ok(())
    });
}

#[test]
fn what_was_read_to_its_end_is_closed_at_once() {
    if !alone("transports::lingering::what_was_read_to_its_end_is_closed_at_once", "") {
        return;
    }
    play(|| {
        settle()?;
        let before = open_descriptors();
        for late in [false, true] {
            let log = answers();
            let (transport, mut theirs) = with_std(&log)?;
            if late {
                settle()?; // it has found nothing, and waits
            }
            theirs.write_all(b"question")?;
            log.wait_lost()?;
            assert_eq!(open_descriptors(), before + 1, "only the peer's is left");
            drop((transport, theirs));
        }
        // Nobody has sent anything.
        let log = Log::reacting(|call, log| {
            if call == Call::Made {
                log.transport().write(b"the time is now");
                log.transport().close();
            }
            Ok(())
        });
        let (_transport, theirs) = with_std(&log)?;
        log.wait_lost()?;
        assert_eq!(open_descriptors(), before + 1, "only the peer's is left");
        drop(theirs);
        Ok(())
    });
}

#[test]
fn aborting_does_not_linger() {
    play(|| {
        let log = Log::reacting(|call, log| {
            if call == Call::Data {
                log.transport().abort();
            }
            Ok(())
        });
        let (transport, mut theirs) = with_std(&log)?;
        transport.pause_reading();
        theirs.write_all(&pattern(200_000))?;
        transport.resume_reading();
        log.wait_lost()?;
        let error = elsewhere(move || theirs.read(&mut [0])).join()?.expect_err("it is reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn a_virtual_clock_does_not_move_for_it() {
    play_virtually(|| {
        let started = get_running_loop()?.time();
        let log = answers();
        let (transport, theirs) = with_std(&log)?;
        transport.pause_reading();
        std::io::Write::write_all(&mut &theirs, &pattern(200_000))?;
        transport.resume_reading();
        log.wait_lost()?;
        settle()?;
        assert_eq!(get_running_loop()?.time(), started);
        drop(theirs);
        Ok(())
    });
}

#[test]
fn a_loop_that_is_closed_meanwhile_lets_go() {
    if !alone("transports::lingering::a_loop_that_is_closed_meanwhile_lets_go", "") {
        return;
    }
    play(|| Ok(())); // what a process needs once is there
    let before = open_descriptors();
    let (transport, theirs) = play(closed_too_early);
    // A handle keeps what the loop had to wait by.
    drop(transport);
    assert_eq!(open_descriptors(), before + 1, "only the peer's is left");
    drop(theirs);
}

#[test]
fn a_server_waits_for_clients_that_are_still_being_served() {
    let answer = play(|| {
        let factory = || Plain(answers());
        let server = get_running_loop()?.create_server(factory, "127.0.0.1:0")?;
        let address = server.local_addrs()[0];
        let answer = elsewhere(move || send_much_and_read(TcpStream::connect(address)?));
        until(|| server.client_count() == 1)?;
        server.close();
        server.wait_closed()?;
        Ok(answer)
    });
    drop(answer);
}

/// Reads slowly what somebody else makes come, and sends meanwhile without a pause.
fn read_slowly_and_send(mut stream: TcpStream, pause: Duration) -> std::io::Result<Vec<u8>> {
    let mut sending = stream.try_clone()?;
    let sender = std::thread::spawn(move || while sending.write_all(&[7; 4096]).is_ok() {});
    let mut answer = Vec::new();
    let mut piece = [0; 64 * 1024];
    let end = loop {
        match stream.read(&mut piece) {
            Ok(0) => break Ok(()),
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            Err(error) => break Err(error),
        }
        std::thread::sleep(pause);
    };
    // It may have been reset by now: everything has come.
    let _ended = stream.shutdown(Shutdown::Both);
    sender.join().expect("it does not panic");
    end.map(|()| answer)
}

#[test]
fn a_peer_that_goes_on_sending_after_its_first_request_gets_the_answer() {
    const LONG: usize = 3_000_000;
    let client = play(|| {
        let log = Log::reacting(|call, log| {
            if call == Call::Data {
                log.transport().write(&pattern(LONG));
                log.transport().close();
            }
            Ok(())
        });
        let factory = move || Plain(log.clone());
        let server = get_running_loop()?.create_server(factory, "127.0.0.1:0")?;
        let address = server.local_addrs()[0];
        let client = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(b"question")?;
            // It takes longer than a peer has that takes nothing.
            read_slowly_and_send(stream, millis(50))
        });
        until(|| server.client_count() == 1)?;
        server.drain(secs(60))?;
        Ok(client)
    });
    // The loop is closed.
    assert!(client.join().expect("it does not panic").expect("no reset") == pattern(LONG));
}
