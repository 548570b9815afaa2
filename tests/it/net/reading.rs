//! Reading: std's `Read` and its adapters over a stream, and what is read when.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, ErrorKind, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

use proptest::prelude::*;
use stackio::net::TcpStream;
use stackio::{Result, spawn};

use super::{pair, pair_with_std, pattern, play, play_asking_often, settle};

fn echo<S: Read + Write>(mut stream: S) -> io::Result<u64> {
    let mut buffer = [0; 4096];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(total),
            n => stream.write_all(&buffer[..n])?,
        }
        total += 1;
    }
}

#[test]
fn a_stream_and_a_reference_to_one_echo_alike() {
    play(|| {
        let (mut near, far) = pair()?;
        let server = spawn(move || {
            let mut by_reference = &far;
            let mut first = [0; 5];
            by_reference.read_exact(&mut first)?;
            by_reference.write_all(&first)?;
            by_reference.flush()?;
            Ok(echo(far)?)
        });
        near.write_all(b"first")?;
        let mut answer = [0; 5];
        near.read_exact(&mut answer)?;
        assert_eq!(&answer, b"first");
        near.write_all(b"second")?;
        let mut answer = [0; 6];
        (&near).read_exact(&mut answer)?;
        assert_eq!(&answer, b"second");
        near.flush()?;
        near.shutdown(Shutdown::Write)?;
        assert_eq!(near.read(&mut answer)?, 0);
        server.join()?;
        Ok(())
    });
}

#[test]
fn a_read_waits_for_the_first_byte_and_gives_what_is_there() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let reader = spawn(move || {
            let mut buffer = [0; 64];
            let n = (&near).read(&mut buffer)?;
            Ok(buffer[..n].to_vec())
        });
        settle()?;
        assert!(!reader.done(), "there was nothing to read");
        far.write_all(b"some of it")?;
        assert_eq!(reader.join()?, b"some of it");
        Ok(())
    });
}

#[test]
fn read_to_end_takes_all_that_comes_before_the_end() {
    play(|| {
        let (mut near, far) = pair()?;
        let data = pattern(700_001);
        let sent = data.clone();
        let writer = spawn(move || Ok((&far).write_all(&sent)?));
        let mut all = Vec::new();
        assert_eq!(near.read_to_end(&mut all)?, data.len());
        assert!(all == data, "the bytes differ");
        writer.join()
    });
}

#[test]
fn a_buffered_reader_gives_lines_that_come_in_pieces() {
    play(|| {
        let (near, far) = pair()?;
        let reader =
            spawn(move || Ok(BufReader::new(near).lines().collect::<io::Result<Vec<_>>>()?));
        for piece in ["on", "e\ntwo\nth", "r", "ee\n", "four"] {
            (&far).write_all(piece.as_bytes())?;
            settle()?;
        }
        drop(far);
        assert_eq!(reader.join()?, ["one", "two", "three", "four"]);
        Ok(())
    });
}

#[test]
fn a_vectored_read_fills_one_buffer_after_the_other() {
    play(|| {
        let (mut near, mut far) = pair_with_std()?;
        far.write_all(b"abcdefg")?;
        let (mut one, mut two, mut three) = ([0; 3], [0; 2], [0; 9]);
        let mut buffers =
            [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two), IoSliceMut::new(&mut three)];
        assert_eq!(near.read_vectored(&mut buffers)?, 7);
        assert_eq!((&one, &two, &three[..2]), (b"abc", b"de", &b"fg"[..]));
        Ok(())
    });
}

/// The system takes 1,024 buffers at a time: having filled these it may have more.
#[test]
fn a_vectored_read_of_too_many_buffers_does_not_hide_the_rest() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let data = pattern(1500);
        let sent = data.clone();
        let reader = spawn(move || {
            let mut all: Vec<u8> = Vec::new();
            while all.len() < 1500 {
                let mut bytes = vec![[0; 1]; 1500];
                let mut buffers: Vec<_> = bytes.iter_mut().map(|b| IoSliceMut::new(b)).collect();
                let n = (&near).read_vectored(&mut buffers)?;
                all.extend(bytes[..n].iter().flatten());
            }
            Ok(all)
        });
        settle()?;
        far.write_all(&sent)?;
        assert!(reader.join()? == data, "the bytes differ");
        Ok(())
    });
}

/// A read ends at the place of an urgent byte, though there is more behind it.
#[test]
fn an_urgent_byte_does_not_hide_what_comes_after_it() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let reader = spawn(move || {
            let mut text = [0; 6];
            let mut got = 0;
            while got < text.len() {
                let mut buffer = [0; 64];
                let n = (&near).read(&mut buffer)?;
                text[got..got + n].copy_from_slice(&buffer[..n]);
                got += n;
            }
            Ok(text)
        });
        settle()?;
        far.write_all(b"abc")?;
        socket2::SockRef::from(&far).send_out_of_band(b"!")?;
        far.write_all(b"def")?;
        assert_eq!(&reader.join()?, b"abcdef");
        Ok(())
    });
}

#[test]
fn peeking_leaves_the_bytes_there() {
    play(|| {
        let (mut near, mut far) = pair_with_std()?;
        let peeker = {
            let near = near.try_clone()?;
            spawn(move || {
                let mut buffer = [0; 64];
                let n = near.peek(&mut buffer)?;
                Ok(buffer[..n].to_vec())
            })
        };
        settle()?;
        assert!(!peeker.done());
        far.write_all(b"look")?;
        assert_eq!(peeker.join()?, b"look");
        let mut buffer = [0; 64];
        assert_eq!(near.peek(&mut buffer[..2])?, 2);
        assert_eq!(near.read(&mut buffer)?, 4);
        assert_eq!(&buffer[..4], b"look");
        drop(far);
        assert_eq!(near.peek(&mut buffer)?, 0);
        Ok(())
    });
}

/// Every size of read that may leave something behind, or just not.
#[test]
fn nothing_is_left_behind_whatever_the_size_of_the_reads() {
    for size in [1, 9, 10, 11, 19, 20, 21, 4096] {
        play_asking_often(move || {
            let (near, mut far) = pair_with_std()?;
            let reader = spawn(move || {
                let mut all = Vec::new();
                let mut buffer = vec![0; size];
                while all.len() < 40 {
                    let n = (&near).read(&mut buffer)?;
                    all.extend_from_slice(&buffer[..n]);
                }
                Ok(all)
            });
            settle()?;
            for _ in 0..2 {
                // Two arrivals before the reader looks, then a pause.
                far.write_all(b"0123456789")?;
                far.write_all(b"0123456789")?;
                settle()?;
            }
            assert_eq!(reader.join()?, b"0123456789".repeat(4));
            Ok(())
        });
    }
}

#[test]
fn another_task_that_starts_to_read_is_refused_and_the_first_goes_on() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let near = Rc::new(near);
        let first = {
            let near = near.clone();
            spawn(move || {
                let mut buffer = [0; 8];
                let n = (&*near).read(&mut buffer)?;
                Ok(buffer[..n].to_vec())
            })
        };
        settle()?;
        for _ in 0..2 {
            let error = (&*near).read(&mut [0; 8]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            let text = error.to_string();
            assert_eq!(text, "another task is already waiting to read from this socket");
            let error = near.peek(&mut [0; 8]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        }
        (&*near).write_all(b"writing is another matter")?;
        assert!(!first.done());
        far.write_all(b"data")?;
        assert_eq!(first.join()?, b"data");
        Ok(())
    });
}

#[test]
fn one_task_reads_while_another_writes() {
    const SIZE: usize = 3_000_000;
    fn exchange(stream: &TcpStream, data: Vec<u8>) -> Result<Vec<u8>> {
        let writing = stream.try_clone()?;
        let writer = spawn(move || {
            (&writing).write_all(&data)?;
            Ok(writing.shutdown(Shutdown::Write)?)
        });
        let mut all = Vec::new();
        let mut stream = stream;
        stream.read_to_end(&mut all)?;
        writer.join()?;
        Ok(all)
    }
    play(|| {
        let (near, far) = pair()?;
        // More than all buffers hold, in both directions: who only wrote would wait for ever.
        let there = pattern(SIZE);
        let back: Vec<u8> = there.iter().map(|byte| !byte).collect();
        let (sent, answer) = (there.clone(), back.clone());
        let other = spawn(move || exchange(&far, answer));
        assert!(exchange(&near, sent)? == back, "what came back differs");
        assert!(other.join()? == there, "what arrived differs");
        Ok(())
    });
}

#[test]
fn a_generator_in_a_task_reads_from_a_socket() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let lines = stackio::Generator::<(), String, ()>::new(move |co| {
            for line in BufReader::new(near).lines() {
                co.yield_(line?)?;
            }
            Ok(())
        });
        let other_ran = Rc::new(Cell::new(false));
        let seen = other_ran.clone();
        spawn(move || {
            seen.set(true);
            far.write_all(b"one\ntwo\n")?;
            Ok(())
        });
        let all = lines.iter().collect::<Result<Vec<_>>>()?;
        assert!(other_ran.get());
        assert_eq!(all, ["one", "two"]);
        Ok(())
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_chunking_gives_the_same_bytes(
        writes in prop::collection::vec(1..9_000_usize, 1..40),
        reads in prop::collection::vec(1..9_000_usize, 1..40),
        select_budget in prop::sample::select(vec![1, 7, 64]),
    ) {
        let runner = stackio::Runner::builder().select_budget(select_budget).build().unwrap();
        super::play_on(runner, move || {
            let (near, far) = pair()?;
            let data = pattern(writes.iter().sum());
            let sent = data.clone();
            let writer = spawn(move || {
                let mut rest = &sent[..];
                for size in writes {
                    let (chunk, others) = rest.split_at(size);
                    (&far).write_all(chunk)?;
                    rest = others;
                }
                Ok(())
            });
            let mut all = Vec::new();
            let mut buffer = vec![0; 9_000];
            for size in reads.into_iter().cycle() {
                match (&near).read(&mut buffer[..size])? {
                    0 => break,
                    n => all.extend_from_slice(&buffer[..n]),
                }
            }
            assert!(all == data, "the bytes differ");
            writer.join()
        });
    }
}

#[test]
fn a_read_into_nothing_does_not_wait() {
    play(|| {
        let (near, _far) = pair()?;
        assert_eq!((&near).read(&mut [])?, 0);
        assert_eq!((&near).read_vectored(&mut [])?, 0);
        assert_eq!((&near).read_vectored(&mut [IoSliceMut::new(&mut [])])?, 0);
        assert_eq!(near.peek(&mut [])?, 0);
        let (near, _far) = stackio::net::UnixStream::pair()?;
        assert_eq!((&near).read(&mut [])?, 0);
        assert_eq!((&near).read_vectored(&mut [IoSliceMut::new(&mut [])])?, 0);
        Ok(())
    });
}
