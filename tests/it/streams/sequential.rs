//! Streams through std's traits: for code that knows nothing of this crate.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use proptest::prelude::*;
use stackio::{
    Error, Result, StreamReader, StreamWriter, millis, secs, sleep, spawn, stream_pair,
    stream_pair_with, timeout,
};

use super::flow::pattern;
use super::{rest, run};

/// What might be in any library: the sum of the numbers on the lines before an empty one.
fn sum(input: &mut impl BufRead) -> io::Result<u64> {
    let (mut sum, mut line) = (0, String::new());
    while input.read_line(&mut line)? > 1 {
        sum += line.trim().parse::<u64>().map_err(io::Error::other)?;
        line.clear();
    }
    Ok(sum)
}

#[test]
fn a_parser_for_blocking_readers_waits_in_the_middle() {
    run(|| {
        let ((mut near, _writer), (_far, mut peer)) = stream_pair_with(8, 1)?;
        let task = spawn(move || Ok((sum(&mut near)?, sum(&mut near)?)));
        for number in 0..10 {
            writeln!(peer, "{number}")?;
            sleep(millis(1))?;
        }
        peer.write_all(b"\n100\n\n")?;
        assert_eq!(task.join()?, (45, 100));
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_end_and_an_error_are_those_of_std() {
    run(|| {
        let ((mut near, _writer), (_far, peer)) = stream_pair()?;
        peer.write(b"abc");
        peer.write_eof();
        let mut four = [0; 4];
        let early = near.read_exact(&mut four).unwrap_err();
        assert_eq!(early.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(near.fill_buf()?, b"");
        assert_eq!(Read::read(&mut near, &mut four)?, 0);
        near.set_exception(io::Error::from(io::ErrorKind::ConnectionAborted));
        let error = near.fill_buf().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        Ok(())
    })
    .unwrap();
}

#[test]
fn copying_to_a_slow_peer_holds_bounded_memory() {
    const HIGH: usize = 10_000;
    run(|| {
        let ((_near, mut writer), (far, peer)) = stream_pair_with(1000, 1000)?;
        writer.transport().set_write_buffer_limits(HIGH, None)?;
        let transport = writer.transport();
        let reading = spawn(move || {
            let (_open, mut peak, mut count) = (peer, 0, 0);
            loop {
                sleep(millis(1))?;
                peak = peak.max(transport.get_write_buffer_size());
                match far.read(5000)?.len() {
                    0 => return Ok((peak, count)),
                    length => count += length,
                }
            }
        });
        // `io::copy` has a buffer of 8 KiB.
        io::copy(&mut io::repeat(1).take(300_000), &mut writer)?;
        // However much is written at once.
        (&writer).write_all(&[1; 700_000])?;
        drop(writer);
        let (peak, count) = reading.join()?;
        assert_eq!(count, 1_000_000);
        assert!((HIGH..=HIGH + 64 * 1024).contains(&peak), "{peak}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_cancellation_comes_out_of_a_foreign_parser_as_what_it_is() {
    run(|| {
        let ((near, _writer), (_far, peer)) = stream_pair()?;
        peer.write(b"\"half a text");
        let parsing = spawn(move || {
            let value: serde_json::Value = serde_json::from_reader(near)?;
            Ok(value)
        });
        rest()?;
        parsing.cancel_with("enough");
        let error = parsing.join().unwrap_err();
        assert!(error.is_cancelled(), "{error}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_cancellation_while_writing_is_one_too_and_nothing_was_written() {
    run(|| {
        let ((_near, mut writer), (far, peer)) = stream_pair()?;
        peer.transport().pause_reading();
        writer.write_all(&pattern(65_537))?;
        let error: Error = match timeout(secs(1), |_| Ok(writer.write_all(b"too late")?)) {
            Err(error) => error,
            Ok(()) => panic!("nobody reads"),
        };
        assert_eq!(error.kind(), stackio::ErrorKind::Timeout);
        peer.transport().resume_reading();
        drop(writer);
        assert_eq!(far.read_to_end()?, pattern(65_537));
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_looked_at_stays_while_more_comes() {
    run(|| {
        let ((mut near, _writer), (_far, peer)) = stream_pair()?;
        peer.write(b"first");
        let looked = near.fill_buf()?;
        peer.write(b" second");
        rest()?;
        assert_eq!(looked, b"first");
        near.consume(2);
        assert!(!near.at_eof());
        assert_eq!(near.read(100)?, b"rst second");
        peer.write(b"line\nrest");
        peer.close();
        assert_eq!(near.fill_buf()?, b"line\nrest");
        near.consume(1);
        assert_eq!(near.readline()?, b"ine\n");
        assert_eq!(near.fill_buf()?, b"rest");
        rest()?;
        assert!(!near.at_eof());
        near.consume(4);
        assert!(near.at_eof());
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_looked_at_counts_as_waiting_to_be_read() {
    run(|| {
        let ((_near, writer), (mut reader, peer)) = stream_pair_with(8, 4)?;
        writer.write(&[0; 100]);
        rest()?;
        assert_eq!(reader.fill_buf()?.len(), 20);
        rest()?;
        assert!(!peer.transport().is_reading());
        reader.consume(11);
        assert!(!peer.transport().is_reading());
        reader.consume(1);
        assert!(peer.transport().is_reading());
        Ok(())
    })
    .unwrap();
}

#[test]
fn buffers_of_std_fit_around_both_ends() {
    run(|| {
        let ((near, writer), (far, peer)) = stream_pair()?;
        let mut buffered = BufWriter::new(&writer);
        let word = "one";
        write!(buffered, "{word} two")?;
        buffered.flush()?;
        drop(buffered);
        writer.write_eof();
        let mut text = String::new();
        BufReader::new(far).read_to_string(&mut text)?;
        assert_eq!(text, "one two");
        let vectors = [io::IoSlice::new(b"a"), io::IoSlice::new(b"b"), io::IoSlice::new(b"\n")];
        assert_eq!((&peer).write_vectored(&vectors)?, 3);
        assert_eq!(near.readline()?, b"ab\n");
        Ok(())
    })
    .unwrap();
}

/// One way to read some bytes.
#[derive(Clone, Debug)]
enum Take {
    Look(usize),
    Into(usize),
    Read(usize),
    Exactly(usize),
    Line,
}

fn take() -> impl Strategy<Value = Take> {
    prop_oneof![
        (0..9usize).prop_map(Take::Look),
        (1..9usize).prop_map(Take::Into),
        (1..9usize).prop_map(Take::Read),
        (0..9usize).prop_map(Take::Exactly),
        Just(Take::Line),
    ]
}

fn taken(reader: &mut StreamReader, take: &Take) -> Result<Vec<u8>> {
    match *take {
        Take::Look(length) => {
            let seen = reader.fill_buf()?;
            let seen = seen[..length.min(seen.len())].to_vec();
            reader.consume(seen.len());
            Ok(seen)
        }
        Take::Into(length) => {
            let mut buffer = vec![0; length];
            let count = Read::read(reader, &mut buffer)?;
            Ok(buffer[..count].to_vec())
        }
        // Through `&mut` the traits come first.
        Take::Read(length) => StreamReader::read(reader, length),
        Take::Exactly(length) => reader.readexactly(length),
        Take::Line => reader.readline(),
    }
}

/// Writes the pieces and the end, giving way in between.
fn speak(writer: &StreamWriter, text: &[u8], sizes: Vec<usize>) -> Result {
    let mut rest = text;
    for size in sizes.into_iter().cycle() {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        writer.write(piece);
        stackio::yield_now()?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    writer.write_eof();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The two ways to read may be mixed as one likes.
    #[test]
    fn looking_and_reading_in_any_order_lose_nothing(
        text in "[abc\n]{0,60}",
        sizes in prop::collection::vec(1..12usize, 1..10),
        takes in prop::collection::vec(take(), 1..20),
    ) {
        let expected = text.clone();
        let read = run(move || {
            let ((_near, writer), (mut reader, _peer)) = stream_pair_with(64, 5)?;
            let _open = spawn(move || speak(&writer, text.as_bytes(), sizes).map(|()| writer));
            let mut all = Vec::new();
            for take in takes.iter().cycle().take(300) {
                match taken(&mut reader, take) {
                    Ok(bytes) => all.extend(bytes),
                    Err(error) => match error.downcast_ref::<stackio::IncompleteRead>() {
                        Some(early) => all.extend(&early.partial),
                        None => return Err(error),
                    },
                }
                if reader.at_eof() {
                    break;
                }
            }
            all.extend(reader.read_to_end()?);
            Ok(all)
        });
        prop_assert_eq!(read.unwrap(), expected.as_bytes());
    }
}
