//! Writing: every byte that was accepted arrives, in order, however it was written.

use std::io::Read;
use std::os::unix::net::UnixStream;

use stackio::{Result, Transport, get_running_loop};

use super::recorder::{Call, Log, Plain};
use super::{elsewhere, narrow, pattern, play, reports, until, with_std};

/// A Unix connection that takes little at a time, and its other end.
fn narrow_pair(log: &Log) -> Result<(Transport, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    narrow(&ours)?;
    let protocol = Plain(log.clone());
    let (transport, _) = get_running_loop()?.connect_accepted_socket(|| protocol, ours)?;
    Ok((transport, theirs))
}

fn read_all(mut stream: impl Read) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("all arrives");
    all
}

#[test]
fn the_order_is_kept_between_all_ways_to_write() {
    play(|| {
        for narrowly in [false, true] {
            let log = Log::new();
            let (transport, theirs) = match narrowly {
                true => narrow_pair(&log)?,
                false => {
                    let (ours, theirs) = UnixStream::pair()?;
                    let protocol = Plain(log.clone());
                    let event_loop = get_running_loop()?;
                    (event_loop.connect_accepted_socket(|| protocol, ours)?.0, theirs)
                }
            };
            let expected = pattern(2_000_000);
            let (mut rest, mut length, mut way) = (&expected[..], 1, 0);
            while !rest.is_empty() {
                let (data, left) = rest.split_at(length.min(rest.len()));
                match way % 3 {
                    0 => transport.write(data),
                    1 => transport.write_bytes(data.to_vec().into()),
                    _ => transport.writelines(data.chunks(1 + length / 5)),
                }
                (rest, length, way) = (left, length * 7 % 30_011, way + 1);
            }
            transport.close();
            assert!(elsewhere(|| read_all(theirs)).wait()? == expected);
            assert!(log.wait_lost()?.is_none());
            log.check();
        }
        Ok(())
    });
}

#[test]
fn more_pieces_than_go_into_one_call_are_all_sent() {
    play(|| {
        for (count, length) in [(65, 1), (1000, 3), (200, 0), (300, 5000)] {
            let log = Log::new();
            let (transport, theirs) = with_std(&log)?;
            // What the selector had to say of a new connection has been said.
            super::settle()?;
            let pieces: Vec<Vec<u8>> = (0..count).map(|n| vec![n as u8; length]).collect();
            transport.writelines(&pieces);
            let all = elsewhere(|| read_all(theirs));
            // Nothing else is written, and nothing closed, that would send them.
            until(|| transport.get_write_buffer_size() == 0)?;
            transport.close();
            assert!(all.wait()? == pieces.concat(), "{count} pieces of {length}");
        }
        Ok(())
    });
}

#[test]
fn much_is_flushed_to_a_peer_that_begins_to_read_after_close() {
    play(|| {
        const LENGTH: usize = 64 << 20;
        let log = Log::new();
        let (transport, theirs) = with_std(&log)?;
        transport.write_bytes(pattern(LENGTH).into());
        transport.close();
        transport.close();
        assert!(transport.is_closing());
        super::settle()?;
        assert!(!log.has(Call::Lost), "it cannot be flushed yet");
        let all = elsewhere(|| read_all(theirs));
        assert!(log.wait_lost()?.is_none());
        assert!(all.wait()? == pattern(LENGTH));
        log.check();
        Ok(())
    });
}

#[test]
fn after_close_a_write_is_an_error_for_who_wants_it_and_reported_once_for_others() {
    play(|| {
        let reports = reports()?;
        let ends: [fn(&Transport); 2] = [Transport::close, Transport::write_eof];
        for end in ends {
            let log = Log::new();
            let (transport, theirs) = with_std(&log)?;
            transport.write(b"before");
            end(&transport);
            let tries = [
                transport.try_write(b"late"),
                transport.try_write(b""),
                transport.try_write_bytes(b"late"[..].into()),
                transport.try_writelines(["la", "te"]),
            ];
            for tried in tries {
                assert_eq!(tried.unwrap_err().kind(), stackio::ErrorKind::Runtime);
            }
            assert_eq!(reports.borrow().len(), 0);
            transport.write(b"late");
            transport.writelines(["la", "te"]);
            transport.write_bytes(b"late"[..].into());
            assert_eq!(reports.take(), ["a write to a transport was refused"]);
            assert_eq!(elsewhere(|| read_all(theirs)).wait()?, b"before");
            transport.close();
            log.wait_lost()?;
            log.check();
        }
        Ok(())
    });
}

#[test]
fn after_the_peer_is_gone_writes_are_dropped_in_silence() {
    play(|| {
        let reports = reports()?;
        let log = Log::new();
        let (transport, theirs) = with_std(&log)?;
        super::reset_on_close(&theirs)?;
        drop(theirs);
        let error = log.wait_lost()?.expect("it was reset");
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionReset));
        transport.write(b"nobody reads this");
        transport.writelines(["nor", "this"]);
        transport.write_eof();
        assert_eq!(transport.try_write(b"").unwrap_err().kind(), stackio::ErrorKind::Io);
        assert_eq!(transport.get_write_buffer_size(), 0);
        assert_eq!(*reports.borrow(), Vec::<String>::new());
        log.check();
        Ok(())
    });
}

#[test]
fn nothing_is_written_by_a_write_of_nothing() {
    play(|| {
        let log = Log::new();
        let (transport, theirs) = with_std(&log)?;
        transport.try_write(b"")?;
        transport.try_write_bytes(b""[..].into())?;
        transport.try_writelines(["", ""])?;
        transport.try_writelines([""; 100])?;
        transport.try_writelines::<&str>([])?;
        assert_eq!(transport.get_write_buffer_size(), 0);
        transport.close();
        assert_eq!(elsewhere(|| read_all(theirs)).wait()?, b"");
        Ok(())
    });
}

#[test]
fn a_protocol_may_write_in_every_call() {
    play(|| {
        let log = Log::reacting(|call, log| {
            let tried = log.transport().try_write(format!("{call:?} ").as_bytes());
            assert_eq!(tried.is_err(), call == Call::Lost);
            if call == Call::Data {
                log.transport().write(&[b'.'; 200_000]);
            }
            Ok(())
        })
        .keep_open();
        let (transport, mut theirs) = narrow_pair(&log)?;
        std::io::Write::write_all(&mut theirs, b"!")?;
        until(|| log.has(Call::Pause))?;
        theirs.shutdown(std::net::Shutdown::Write)?;
        until(|| log.has(Call::Eof))?;
        let all = elsewhere(|| read_all(theirs));
        until(|| log.has(Call::Resume))?;
        transport.close();
        let text = String::from_utf8(all.wait()?)?;
        log.wait_lost()?;
        log.check();
        let words: Vec<&str> = text.split([' ', '.']).filter(|word| !word.is_empty()).collect();
        assert_eq!(words, ["Made", "Data", "Pause", "Eof", "Resume"]);
        Ok(())
    });
}

#[test]
fn what_tasks_write_is_not_mixed_up() {
    play(|| {
        let log = Log::new();
        let (transport, theirs) = narrow_pair(&log)?;
        let tasks = (0..20_u8).map(|number| {
            let transport = transport.clone();
            move || {
                for _ in 0..20 {
                    transport.write(&[number; 1000]);
                    stackio::yield_now()?;
                }
                Ok(())
            }
        });
        let all = elsewhere(|| read_all(theirs));
        stackio::gather(tasks.collect::<Vec<_>>()).join()?;
        transport.close();
        let all = all.wait()?;
        assert_eq!(all.len(), 20 * 20 * 1000);
        assert!(all.chunks(1000).all(|piece| piece.iter().all(|byte| *byte == piece[0])));
        Ok(())
    });
}
