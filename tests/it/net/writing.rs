//! Writing: std's `Write` and its adapters over a stream, and a peer that does not read.

use std::cell::Cell;
use std::io::{self, BufWriter, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;

use stackio::net::TcpStream;
use stackio::spawn;

use super::{pair, pair_with_std, pattern, play, settle};

/// More than the buffers of both ends hold.
const FLOOD: usize = 24_000_000;

#[test]
fn a_write_that_the_peer_does_not_read_waits_until_it_does() {
    play(|| {
        let (near, mut far) = pair()?;
        let data = pattern(FLOOD);
        let sent = data.clone();
        let writer = spawn(move || Ok((&near).write_all(&sent)?));
        settle()?;
        assert!(!writer.done(), "so much cannot have gone into the buffers");
        let mut all = Vec::new();
        far.read_to_end(&mut all)?;
        assert!(all == data, "the bytes differ");
        writer.join()
    });
}

#[test]
fn another_task_that_starts_to_write_is_refused_and_the_first_goes_on() {
    play(|| {
        let (near, mut far) = pair()?;
        let writing = near.try_clone()?;
        let writer = spawn(move || Ok((&writing).write_all(&vec![7; FLOOD])?));
        settle()?;
        let error = (&near).write(b"me too").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        assert_eq!(error.to_string(), "another task is already waiting to write to this socket");
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all)?;
        assert!(all == vec![7; FLOOD], "the refused bytes must not be among the others");
        writer.join()
    });
}

#[test]
fn a_buffered_writer_sends_when_it_is_full_flushed_or_dropped() {
    play(|| {
        let (near, mut far) = pair()?;
        let mut buffered = BufWriter::with_capacity(8, near);
        buffered.write_all(b"12345")?;
        buffered.write_all(b"6789")?;
        let mut five = [0; 5];
        far.read_exact(&mut five)?;
        assert_eq!(&five, b"12345");
        buffered.flush()?;
        let mut four = [0; 4];
        far.read_exact(&mut four)?;
        assert_eq!(&four, b"6789");
        buffered.write_all(b"end")?;
        drop(buffered);
        let mut rest = String::new();
        far.read_to_string(&mut rest)?;
        assert_eq!(rest, "end");
        Ok(())
    });
}

#[test]
fn a_vectored_write_sends_the_buffers_in_order() {
    play(|| {
        let (mut near, mut far) = pair()?;
        let parts = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defg")];
        assert_eq!(near.write_vectored(&parts)?, 7);
        drop(near);
        let mut all = String::new();
        far.read_to_string(&mut all)?;
        assert_eq!(all, "abcdefg");
        Ok(())
    });
}

/// The system takes 1,024 buffers at a time: having taken these it has room for more.
#[test]
fn a_vectored_write_of_too_many_buffers_does_not_wait_for_room_that_is_there() {
    play(|| {
        let (mut near, mut far) = pair()?;
        // What had to wait once is watched, and then a short write counts.
        let flood = near.try_clone()?;
        let writer = spawn(move || Ok((&flood).write_all(&vec![0; FLOOD])?));
        settle()?;
        io::copy(&mut (&far).take(FLOOD as u64), &mut io::sink())?;
        writer.join()?;

        let data = pattern(3000);
        let buffers: Vec<_> = data.chunks(1).map(IoSlice::new).collect();
        let mut sent = 0;
        while sent < buffers.len() {
            sent += near.write_vectored(&buffers[sent..])?;
        }
        let mut all = vec![0; data.len()];
        far.read_exact(&mut all)?;
        assert!(all == data, "the bytes differ");
        Ok(())
    });
}

#[test]
fn io_copy_relays_between_two_connections() {
    play(|| {
        let (client, inner) = pair()?;
        let (outer, server) = pair()?;
        let data = pattern(1_200_000);
        let sent = data.clone();
        let relay = spawn(move || {
            let copied = io::copy(&mut &inner, &mut &outer)?;
            outer.shutdown(Shutdown::Write)?;
            Ok(copied)
        });
        let writer = spawn(move || {
            (&client).write_all(&sent)?;
            Ok(client.shutdown(Shutdown::Write)?)
        });
        let mut all = Vec::new();
        (&server).read_to_end(&mut all)?;
        assert!(all == data, "the bytes differ");
        assert_eq!(relay.join()?, data.len() as u64);
        writer.join()
    });
}

#[test]
fn half_closed_connections_still_answer() {
    play(|| {
        let (near, far) = pair()?;
        let server = spawn(move || {
            let mut question = String::new();
            (&far).read_to_string(&mut question)?;
            (&far).write_all(format!("you said: {question}").as_bytes())?;
            Ok(())
        });
        (&near).write_all(b"that is all")?;
        near.shutdown(Shutdown::Write)?;
        let error = (&near).write(b"no, wait").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        let mut answer = String::new();
        (&near).read_to_string(&mut answer)?;
        assert_eq!(answer, "you said: that is all");
        server.join()
    });
}

/// A task that writes, and counts what the stream took, until there is an error.
fn count_written(stream: TcpStream) -> (Rc<Cell<usize>>, stackio::Task<()>) {
    let written = Rc::new(Cell::new(0));
    let counted = written.clone();
    let task = spawn(move || {
        let chunk = pattern(65_536);
        loop {
            let from = counted.get() % chunk.len();
            let n = (&stream).write(&chunk[from..])?;
            counted.set(counted.get() + n);
        }
    });
    (written, task)
}

#[test]
fn a_cancelled_write_has_sent_exactly_what_it_said() {
    play(|| {
        let (near, mut far) = pair()?;
        let (written, writer) = count_written(near.try_clone()?);
        settle()?;
        assert!(written.get() > 0 && !writer.done());
        writer.cancel();
        assert!(writer.join().unwrap_err().is_cancelled());
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all)?;
        let cycle = pattern(65_536);
        assert_eq!(all.len(), written.get());
        assert!(all.iter().zip(cycle.iter().cycle()).all(|(a, b)| a == b), "the bytes differ");
        Ok(())
    });
}

#[test]
fn after_a_cancelled_write_another_goes_on() {
    play(|| {
        let (near, far) = pair()?;
        let (written, writer) = count_written(near.try_clone()?);
        settle()?;
        writer.cancel();
        settle()?;
        assert!(writer.cancelled());
        let next = spawn(move || Ok((&near).write_all(b"the end")?));
        settle()?;
        assert!(!next.done(), "there is still no room");
        io::copy(&mut (&far).take(written.get() as u64), &mut io::sink())?;
        let mut rest = String::new();
        (&far).read_to_string(&mut rest)?;
        assert_eq!(rest, "the end");
        next.join()
    });
}

#[test]
fn the_options_of_a_stream_are_the_systems() {
    play(|| {
        let (near, far) = pair_with_std()?;
        assert!(!near.nodelay()?);
        near.set_nodelay(true)?;
        assert!(near.nodelay()?);
        assert_eq!(near.peer_addr()?, far.local_addr()?);
        assert_eq!(near.local_addr()?, far.peer_addr()?);
        assert!(near.take_error()?.is_none());
        Ok(())
    });
}
