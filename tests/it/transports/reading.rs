//! Reading: into whose buffer, in what pieces, and when not.

use std::io::Write;
use std::net::Shutdown;

use stackio::{BufferedProtocol, Error, ErrorKind, Future, get_running_loop};

use super::recorder::{Buffered, Call, Log};
use super::{elsewhere, pattern, play, reports, settle, until, with_std};

#[test]
fn a_buffer_of_any_length_gets_every_byte() {
    play(|| {
        for length in [1, 7, 999, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 1 << 20] {
            let sent = pattern(if length == 1 { 5000 } else { 500_000 });
            let log = Log::new().buffer(length);
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            let mut theirs = std::net::TcpStream::connect(listener.local_addr()?)?;
            let protocol = Buffered::new(log.clone());
            let ours = listener.accept()?.0;
            get_running_loop()?.connect_accepted_socket(|| protocol, ours)?;
            let data = sent.clone();
            elsewhere(move || theirs.write_all(&data)).join()??;
            assert!(log.wait_lost()?.is_none());
            assert!(log.data() == sent);
            assert!(log.longest() <= length);
            log.check();
        }
        Ok(())
    });
}

/// A protocol whose buffer has no room.
struct NoRoom(Future<Option<Error>>);

impl BufferedProtocol for NoRoom {
    fn get_buffer(&mut self, size_hint: usize) -> &mut [u8] {
        assert!(size_hint > 0);
        &mut []
    }

    fn buffer_updated(&mut self, _: usize) {
        panic!("nothing was read");
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        self.0.set_result(error).expect("it is called once");
    }
}

#[test]
fn a_buffer_without_room_is_an_error() {
    play(|| {
        let reports = reports()?;
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
        let lost = Future::new();
        let protocol = NoRoom(lost.clone());
        get_running_loop()?.connect_accepted_socket(|| protocol, ours)?;
        let error = lost.join()?.expect("it is an error");
        assert_eq!(error.kind(), ErrorKind::Runtime);
        assert!(error.to_string().contains("empty buffer"), "{error}");
        assert_eq!(reports.borrow().len(), 1);
        Ok(())
    });
}

#[test]
fn bytes_that_come_one_by_one_are_given_as_they_come() {
    play(|| {
        let log = Log::new();
        let (_transport, mut theirs) = with_std(&log)?;
        for (at, byte) in pattern(100).into_iter().enumerate() {
            theirs.write_all(&[byte])?;
            until(|| log.received() == at + 1)?;
        }
        drop(theirs);
        log.wait_lost()?;
        assert_eq!(log.count(Call::Data), 100);
        assert!(log.data() == pattern(100));
        log.check();
        Ok(())
    });
}

#[test]
fn the_end_that_comes_with_the_last_bytes_is_seen() {
    play(|| {
        for late in [false, true] {
            let log = Log::new();
            let (_transport, mut theirs) = with_std(&log)?;
            if late {
                settle()?; // it has found nothing, and waits
            }
            theirs.write_all(b"last words")?;
            drop(theirs);
            assert!(log.wait_lost()?.is_none());
            assert_eq!(log.calls(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
        }
        Ok(())
    });
}

#[test]
fn while_it_is_paused_nothing_comes_and_nothing_is_lost() {
    play(|| {
        let log = Log::reacting(|call, log| {
            if call == Call::Made {
                log.transport().pause_reading();
            }
            Ok(())
        });
        let (transport, mut theirs) = with_std(&log)?;
        assert!(!transport.is_reading());
        theirs.write_all(b"early")?;
        settle()?;
        assert_eq!(log.calls(), [Call::Made]);
        transport.resume_reading();
        transport.resume_reading();
        assert!(transport.is_reading());
        until(|| log.received() == 5)?;
        transport.pause_reading();
        theirs.write_all(b"late")?;
        theirs.shutdown(Shutdown::Write)?;
        settle()?;
        assert_eq!(log.calls(), [Call::Made, Call::Data]);
        transport.resume_reading();
        assert!(log.wait_lost()?.is_none());
        assert_eq!(log.data(), b"earlylate");
        log.check();
        Ok(())
    });
}

#[test]
fn a_pause_within_a_call_holds_from_then_on() {
    play(|| {
        let log = Log::reacting(|call, log| {
            if call == Call::Data {
                log.transport().pause_reading();
            }
            Ok(())
        });
        let (transport, mut theirs) = with_std(&log)?;
        transport.pause_reading();
        theirs.write_all(&pattern(200_000))?;
        drop(theirs);
        let mut rounds = 0;
        while !log.has(Call::Lost) {
            transport.resume_reading();
            let before = log.count(Call::Data);
            settle()?;
            assert!(log.count(Call::Data) <= before + 1);
            rounds += 1;
        }
        assert!(rounds >= 200_000 / (64 * 1024));
        assert!(log.data() == pattern(200_000));
        log.check();
        Ok(())
    });
}

#[test]
fn a_peer_that_is_not_read_is_held_back() {
    play(|| {
        let log = Log::new();
        let (transport, mut theirs) = with_std(&log)?;
        transport.pause_reading();
        theirs.set_nonblocking(true)?;
        let (mut sent, piece) = (0, pattern(100_000));
        while let Ok(count) = theirs.write(&piece) {
            sent += count;
            assert!(sent < 100 << 20, "somebody must be reading");
        }
        transport.resume_reading();
        until(|| log.received() == sent)?;
        transport.close();
        log.wait_lost()?;
        Ok(())
    });
}

#[test]
fn another_protocol_gets_what_comes_from_then_on() {
    play(|| {
        let (first, second) = (Log::new(), Log::new().buffer(3));
        let (transport, mut theirs) = with_std(&first)?;
        theirs.write_all(b"first")?;
        until(|| first.received() == 5)?;
        transport.set_protocol(stackio::IntoProtocol::into_handle(Buffered::new(second.clone())));
        theirs.write_all(b"second")?;
        drop(theirs);
        second.wait_lost()?;
        assert_eq!(first.calls(), [Call::Made, Call::Data]);
        assert_eq!(second.calls(), [Call::Data, Call::Data, Call::Eof, Call::Lost]);
        assert_eq!(second.data(), b"second");
        assert_eq!(first.holders(), 1, "the first protocol is let go");
        Ok(())
    });
}

#[test]
fn reading_can_be_steered_only_while_there_is_something_to_read() {
    play(|| {
        let log = Log::new();
        let (transport, theirs) = with_std(&log)?;
        transport.close();
        assert!(!transport.is_reading());
        transport.resume_reading();
        transport.pause_reading();
        log.wait_lost()?;
        transport.resume_reading();
        assert!(!transport.is_reading());
        drop(theirs);
        Ok(())
    });
}
