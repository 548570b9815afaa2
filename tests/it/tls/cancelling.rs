//! A read or write that is given up half-way leaves the stream whole.

use std::io::{BufWriter, ErrorKind, Read, Write};

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
        // All of it fits, and so it is taken, and goes first.
        timeout(millis(5), |_| Ok(near.write_all(&[b'a'; 30_000])?))?;
        // Nothing of this is.
        let error = timeout(millis(5), |_| Ok(near.write(b"given up")?)).unwrap_err();
        assert!(error.is_timeout());
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
        timeout(millis(5), |_| Ok(near.write_all(&[b'a'; 30_000])?))?;
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
            writer.write_all(&[b'a'; 30_000])?;
            assert!(failure(writer.write(b"more")).is_cancelled());
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

#[test]
fn a_buffer_before_it_writes_nothing_twice() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (near, mut far) = connected(1000, &client, &server)?;
        let mut lines = BufWriter::with_capacity(4000, near);
        let (mut late, message) = (0, pattern(60_000));
        let sending = spawn(move || {
            for piece in message.chunks(3000) {
                lines.write_all(piece)?;
                while timeout(millis(3), |_| Ok(lines.flush()?)).is_err() {
                    late += 1;
                    assert!(late < 1000);
                }
            }
            lines.get_mut().close_write()?;
            Ok(late)
        });
        let mut received = Vec::new();
        let mut some = [0; 500];
        loop {
            sleep(millis(1))?;
            match far.read(&mut some)? {
                0 => break,
                count => received.extend_from_slice(&some[..count]),
            }
        }
        assert!(sending.join()? > 5);
        assert!(received == pattern(60_000));
        Ok(())
    });
}

#[test]
fn a_task_that_is_cancelled_while_it_flushes_hears_of_it_once() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, _far) = connected(1000, &client, &server)?;
        let task = spawn(move || {
            near.write_all(&[b'a'; 30_000])?;
            let told = sleep(millis(1));
            assert_eq!(told.unwrap_err().message(), Some("enough"));
            sleep(millis(1))
        });
        yield_now()?;
        yield_now()?;
        task.cancel_with("enough");
        task.join()
    });
}
