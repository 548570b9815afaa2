//! Flow control: what waits to be read holds the peer back, and nothing holds up for ever.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;
use stackio::{
    BufferedProtocol, ErrorKind, Result, StreamReader, StreamWriter, get_running_loop, millis,
    sleep, spawn, stream_pair, stream_pair_with,
};

use super::{rest, run};

/// A byte for each place, so that a lost or doubled one shows.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn reading_pauses_above_twice_the_limit_and_resumes_at_the_limit() {
    run(|| {
        let ((_near, writer), (reader, peer)) = stream_pair_with(8, 4)?;
        writer.write(&pattern(100));
        rest()?;
        let state = || (writer.transport().get_write_buffer_size(), peer.transport().is_reading());
        assert_eq!(state(), (80, false));
        assert_eq!(reader.readexactly(11)?, &pattern(11)[..]);
        assert_eq!(state(), (80, false));
        reader.readexactly(1)?;
        assert_eq!(state(), (80, true));
        rest()?;
        assert_eq!(state(), (68, false));
        Ok(())
    })
    .unwrap();
}

#[test]
fn who_wants_more_than_fits_gets_it() {
    run(|| {
        let ((_near, writer), (reader, _peer)) = stream_pair_with(8, 4)?;
        writer.write(&pattern(1000));
        rest()?;
        assert_eq!(reader.readexactly(500)?, &pattern(500)[..]);
        writer.close();
        assert_eq!(reader.read_to_end()?, &pattern(1000)[500..]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_line_over_the_limit_that_is_dropped_makes_room() {
    run(|| {
        let ((_near, writer), (reader, peer)) = stream_pair_with(8, 4)?;
        writer.write(&[b'x'; 30]);
        writer.write(b"\nshort\n");
        rest()?;
        assert!(!peer.transport().is_reading());
        // Each time everything that is there is dropped, until the end of the line is.
        let mut errors = 0;
        let line = loop {
            match reader.readline() {
                Ok(line) if line.ends_with(b"t\n") => break line,
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Value);
                    errors += 1;
                }
            }
        };
        assert_eq!(line, b"short\n");
        assert!((1..4).contains(&errors), "{errors}");
        Ok(())
    })
    .unwrap();
}

/// Writes as fast as it may; what waited at most.
fn flood(writer: &StreamWriter, pieces: usize, length: usize) -> Result<usize> {
    let mut peak = 0;
    for _ in 0..pieces {
        writer.write(&pattern(length));
        peak = peak.max(writer.transport().get_write_buffer_size());
        writer.drain()?;
    }
    Ok(peak)
}

#[test]
fn a_fast_writer_and_a_slow_reader_hold_bounded_memory() {
    const HIGH: usize = 4096;
    const PIECE: usize = 1000;
    run(|| {
        let ((_near, writer), (reader, peer)) = stream_pair_with(2048, 512)?;
        writer.transport().set_write_buffer_limits(HIGH, None)?;
        let held = Rc::new(Cell::new(0));
        let slow = spawn({
            let held = held.clone();
            move || {
                let _open = peer;
                let mut all = Vec::new();
                loop {
                    sleep(millis(1))?;
                    let waiting = format!("{reader:?}");
                    let waiting = waiting.split("buffered: ").nth(1).unwrap();
                    let waiting = waiting.split(',').next().unwrap().parse::<usize>()?;
                    held.set(held.get().max(waiting));
                    let data = reader.read(700)?;
                    if data.is_empty() {
                        return Ok(all);
                    }
                    all.extend(data);
                }
            }
        });
        let peak = flood(&writer, 200, PIECE)?;
        drop(writer);
        assert_eq!(slow.join()?, pattern(PIECE).repeat(200));
        assert!((HIGH..=HIGH + PIECE).contains(&peak), "{peak}");
        assert!((4096..=4096 + 512).contains(&held.get()), "{}", held.get());
        Ok(())
    })
    .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever the chunks and the limit, and however it is written and read.
    #[test]
    fn every_byte_comes_through_in_order(
        limit in 1..200usize,
        chunk in 1..100usize,
        pieces in prop::collection::vec(0..300usize, 0..20),
        reads in prop::collection::vec(1..150usize, 1..20),
        high in 0..300usize,
    ) {
        let total: usize = pieces.iter().sum();
        let read = run(move || {
            let ((_near, writer), (reader, peer)) = stream_pair_with(limit, chunk)?;
            writer.transport().set_write_buffer_limits(high, None)?;
            let reading = spawn(move || {
                let (_open, mut all) = (peer, Vec::new());
                for (turn, length) in reads.into_iter().cycle().enumerate() {
                    let data = match turn % 2 {
                        0 => reader.read(length)?,
                        _ => match reader.readexactly(length) {
                            Ok(data) => data,
                            Err(error) => {
                                let early: Option<&stackio::IncompleteRead> = error.downcast_ref();
                                early.map(|early| early.partial.clone()).ok_or(error)?
                            }
                        },
                    };
                    if data.is_empty() {
                        break;
                    }
                    all.extend(data);
                }
                Ok(all)
            });
            let (all, mut written) = (pattern(pieces.iter().sum()), 0);
            for length in pieces {
                writer.write(&all[written..written + length]);
                written += length;
                writer.drain()?;
            }
            drop(writer);
            reading.join()
        });
        prop_assert_eq!(read.unwrap(), pattern(total));
    }
}

/// Reads into a buffer of its own and throws it away.
struct Discard([u8; 16]);

impl BufferedProtocol for Discard {
    fn get_buffer(&mut self, _: usize) -> &mut [u8] {
        &mut self.0
    }

    fn buffer_updated(&mut self, _: usize) {}
}

#[test]
fn a_transport_can_be_set_once() {
    run(|| {
        let ((_, writer), (_reader, _peer)) = stream_pair()?;
        let reader = StreamReader::default();
        reader.set_transport(&writer.transport())?;
        let again = reader.set_transport(&writer.transport());
        assert_eq!(again.unwrap_err().kind(), ErrorKind::Runtime);
        let event_loop = get_running_loop()?;
        let discard = || Discard([0; 16]);
        let ((transport, _), _other) = event_loop.create_pair(discard, discard, None)?;
        let fed = StreamReader::new(2)?;
        fed.set_transport(&transport)?;
        fed.feed_data(b"12345")?;
        assert!(!transport.is_reading());
        fed.read(3)?;
        assert!(transport.is_reading());
        Ok(())
    })
    .unwrap();
}
