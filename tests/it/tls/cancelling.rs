//! A read or write that is given up half-way leaves the stream whole.

use std::io::{ErrorKind, Read, Write};

use stackio::{millis, sleep, spawn, timeout, yield_now};

use super::{acquainted, connected, failure, pattern, play_virtually};

#[test]
fn a_cancelled_read_has_lost_nothing() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        // Records come in many pieces, so that reads are given up in the middle of them.
        let (mut near, mut far) = connected(100, &client, &server)?;
        let sending = spawn(move || {
            for piece in pattern(30_000).chunks(700) {
                near.write_all(piece)?;
                sleep(millis(10))?;
            }
            Ok(near.close_write()?)
        });
        let mut received = Vec::new();
        let mut given_up = 0;
        loop {
            let mut buffer = [0; 512];
            match timeout(millis(3), |_| Ok(far.read(&mut buffer)?)) {
                Ok(0) => break,
                Ok(count) => received.extend_from_slice(&buffer[..count]),
                Err(error) if error.is_timeout() => given_up += 1,
                Err(error) => return Err(error),
            }
        }
        assert!(received == pattern(30_000));
        assert!(given_up > 20, "{given_up}");
        sending.join()
    });
}

#[test]
fn a_cancelled_write_leaves_the_records_whole() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(1000, &client, &server)?;
        let error = timeout(millis(5), |_| Ok(near.write_all(&[b'a'; 30_000])?)).unwrap_err();
        assert!(error.is_timeout());
        // All of it fitted, and so it was taken: the rest goes first.
        let sending = spawn(move || {
            near.write_all(b"the next")?;
            Ok(near.close_write()?)
        });
        let mut received = Vec::new();
        far.read_to_end(&mut received)?;
        let (first, next) = received.split_at(30_000);
        assert!(first.iter().all(|byte| *byte == b'a'));
        assert_eq!(next, b"the next");
        sending.join()
    });
}

#[test]
fn after_a_cancelled_write_the_peer_can_be_read_before_it_reads() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(1000, &client, &server)?;
        assert!(timeout(millis(5), |_| Ok(near.write_all(&[b'a'; 30_000])?)).is_err());
        // The peer writes first, and reads only when that is out.
        let peer = spawn(move || {
            far.write_all(&pattern(30_000))?;
            far.read_exact(&mut [0; 30_000])?;
            Ok(())
        });
        let mut received = vec![0; 30_000];
        near.read_exact(&mut received)?;
        assert!(received == pattern(30_000));
        near.flush()?;
        peer.join()
    });
}

#[test]
fn a_cancelled_close_can_be_repeated() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        let error = timeout(millis(5), |_| Ok(near.close()?)).unwrap_err();
        assert!(error.is_timeout());
        let mut ended = Vec::new();
        far.read_to_end(&mut ended)?;
        far.close_write()?;
        Ok(near.close()?)
    });
}

#[test]
fn a_cancelled_writer_frees_the_line_for_the_reader() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (near, mut far) = connected(1000, &client, &server)?;
        let (mut reader, mut writer) = near.split();
        let writing = spawn(move || {
            let ended = writer.write_all(&[b'a'; 30_000]);
            assert!(ended.is_err());
            Ok(writer)
        });
        let reading = spawn(move || {
            let mut byte = [0];
            reader.read_exact(&mut byte)?;
            Ok(byte[0])
        });
        for _ in 0..8 {
            yield_now()?;
        }
        writing.cancel();
        let mut writer = writing.join()?;
        far.write_all(b"!")?;
        assert_eq!(reading.join()?, b'!');
        let flushing = spawn(move || Ok(writer.close()?));
        let mut received = Vec::new();
        far.read_to_end(&mut received)?;
        assert_eq!(received.len(), 30_000);
        flushing.join()
    });
}

#[test]
fn a_time_limit_of_the_socket_below_is_passed_on() {
    super::play(|| {
        let (client, server) = acquainted()?;
        let (near, far) = super::shake_over(super::sockets()?, &client, "localhost", &server)?;
        let (mut near, mut far) = (near?, far?);
        near.get_ref().set_read_timeout(Some(millis(5)))?;
        assert_eq!(failure(near.read(&mut [0])).io_kind(), Some(ErrorKind::TimedOut));
        far.write_all(b"x")?;
        near.get_ref().set_read_timeout(None)?;
        near.read_exact(&mut [0])?;
        Ok(())
    });
}
