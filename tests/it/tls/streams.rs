//! Data over TLS: whole, in order, in both directions at once, and to a proper end.

use std::io::{self, BufRead, ErrorKind, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use stackio::tls::{ClientConfig, ServerConfig, TlsStream};
use stackio::{secs, sleep, spawn};

use super::wires::pipes;
use super::{
    Authority, acquainted, assert_refused, connected, failure, pattern, play, play_virtually,
    shake_over, sockets,
};

#[test]
fn a_big_transfer_arrives_whole() {
    play(|| {
        let (client, server) = acquainted()?;
        let (near, far) = shake_over(sockets()?, &client, "localhost", &server)?;
        let (mut near, mut far) = (near?, far?);
        let sending = spawn(move || {
            near.write_all(&pattern(5_000_000))?;
            near.close()?;
            Ok(())
        });
        let mut received = Vec::new();
        far.read_to_end(&mut received)?;
        assert!(received == pattern(5_000_000), "{} bytes came", received.len());
        far.close()?;
        sending.join()
    });
}

#[test]
fn data_comes_through_the_narrowest_wire() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        for capacity in [1, 7, 16 * 1024 + 5] {
            let (mut near, mut far) = connected(capacity, &client, &server)?;
            let sending = spawn(move || {
                near.write_all(&pattern(40_000))?;
                Ok(near.close()?)
            });
            let mut received = Vec::new();
            far.read_to_end(&mut received)?;
            assert!(received == pattern(40_000));
            far.close()?;
            sending.join()?;
        }
        Ok(())
    });
}

#[test]
fn both_halves_work_at_the_same_time() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (near, far) = connected(1000, &client, &server)?;
        // Each side sends more than the wire holds before it could have read anything.
        let sides = [near, far].map(|stream| {
            let (mut reader, mut writer) = stream.split();
            let sending = spawn(move || {
                writer.write_all(&pattern(100_000))?;
                Ok(writer.close()?)
            });
            let receiving = spawn(move || {
                let mut received = Vec::new();
                reader.read_to_end(&mut received)?;
                Ok(received == pattern(100_000))
            });
            (sending, receiving)
        });
        for (sending, receiving) in sides {
            sending.join()?;
            assert!(receiving.join()?);
        }
        Ok(())
    });
}

#[test]
fn lines_can_be_read_without_another_buffer() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64, &client, &server)?;
        let sending = spawn(move || {
            write!(near, "one\ntw")?;
            writeln!(near, "o\n{}", "x".repeat(40_000))?;
            near.close_write()?;
            Ok(near)
        });
        let mut lines = (&mut far).lines();
        assert_eq!(lines.next().transpose()?.as_deref(), Some("one"));
        assert_eq!(lines.next().transpose()?.as_deref(), Some("two"));
        assert_eq!(lines.next().transpose()?.map(|line| line.len()), Some(40_000));
        assert!(lines.next().is_none());
        sending.join()?;
        Ok(())
    });
}

#[test]
fn pieces_of_a_vectored_write_share_a_record() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        far.write_all(b"!")?;
        near.read_exact(&mut [0])?;
        let before = near.get_ref().unread_by_peer();
        let pieces = [IoSlice::new(b"one"), IoSlice::new(b""), IoSlice::new(b"two")];
        assert_eq!(near.write_vectored(&pieces)?, 6);
        // A record of TLS 1.3 has 22 bytes around its content.
        assert_eq!(near.get_ref().unread_by_peer() - before, 22 + 6);
        let mut received = [0; 6];
        far.read_exact(&mut received)?;
        assert_eq!(&received, b"onetwo");
        Ok(())
    });
}

#[test]
fn nothing_is_nothing() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        assert_eq!(near.write(&[])?, 0);
        assert_eq!(far.read(&mut [])?, 0, "and does not wait");
        near.write_all(b"x")?;
        let mut byte = [0];
        assert_eq!((far.read(&mut [])?, far.read(&mut byte)?), (0, 1));
        Ok(())
    });
}

#[test]
fn a_stream_that_is_cut_is_not_taken_for_whole() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        near.write_all(b"half of")?;
        drop(near);
        let mut received = Vec::new();
        let error = failure(far.read_to_end(&mut received));
        assert_eq!(received, b"half of", "what came is given before the error");
        assert_eq!(error.io_kind(), Some(ErrorKind::UnexpectedEof));
        assert!(error.to_string().contains("truncated"), "{error}");
        assert_eq!(failure(far.read(&mut [0])).io_kind(), Some(ErrorKind::UnexpectedEof));
        assert_eq!(failure(far.fill_buf()).io_kind(), Some(ErrorKind::UnexpectedEof));
        Ok(())
    });
}

#[test]
fn garbage_within_a_connection_ends_it_after_what_came_before() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        near.write_all(b"good")?;
        (&mut near.get_ref())
            .write_all(b"\x17\x03\x03\x00\x20 this is not encrypted, you know!")?;
        let mut received = [0; 4];
        far.read_exact(&mut received)?;
        assert_eq!(&received, b"good");
        assert_refused(far.read(&mut [0]), &["a client", "the connection failed"]);
        assert_refused(far.read(&mut [0]), &["a client"]);
        assert_refused(far.write(b"x"), &["a client"]);
        assert_refused(near.read(&mut [0]), &["localhost", "BadRecordMac"]);
        Ok(())
    });
}

#[test]
fn garbage_after_our_own_end_is_an_error_and_no_panic() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, far) = connected(64 * 1024, &client, &server)?;
        near.close_write()?;
        (&mut far.get_ref()).write_all(b"\x17\x03\x03\x00\x20 this is not encrypted, you know!")?;
        assert_refused(near.read(&mut [0]), &["localhost"]);
        Ok(())
    });
}

#[test]
fn each_direction_ends_by_itself() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        near.write_all(b"question")?;
        near.close_write()?;
        let mut question = String::new();
        far.read_to_string(&mut question)?;
        assert_eq!(question, "question");
        assert_eq!(far.read(&mut [0])?, 0, "the end stays the end");

        let error = failure(near.write(b"more"));
        assert_eq!(error.io_kind(), Some(ErrorKind::BrokenPipe), "{error}");

        far.write_all(b"answer")?;
        far.close()?;
        let mut answer = String::new();
        near.read_to_string(&mut answer)?;
        assert_eq!(answer, "answer");
        near.close()?;
        Ok(())
    });
}

#[test]
fn closing_waits_for_the_peer_and_drops_what_it_still_sends() {
    play_virtually(|clock| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        let slow = spawn(move || {
            far.write_all(&pattern(200_000))?;
            sleep(secs(7))?;
            Ok(far.close()?)
        });
        near.close()?;
        assert_eq!(clock.now().as_millis() / 1000, 7);
        slow.join()
    });
}

#[test]
fn closing_gives_up_after_half_a_minute() {
    play_virtually(|clock| {
        let (client, server) = acquainted()?;
        let (mut near, far) = connected(64 * 1024, &client, &server)?;
        let error = failure(near.close());
        assert_eq!(error.io_kind(), Some(ErrorKind::TimedOut));
        assert_eq!(error.to_string(), "TLS with localhost: the shutdown took longer than 30s");
        assert_eq!(clock.now().as_millis() / 1000, 30);
        drop(far);
        Ok(())
    });
}

#[test]
fn a_peer_that_closes_without_a_word_is_told_by_close() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, far) = connected(64 * 1024, &client, &server)?;
        let leaving = spawn(move || {
            sleep(secs(1))?;
            drop(far);
            Ok(())
        });
        assert_eq!(failure(near.close()).io_kind(), Some(ErrorKind::UnexpectedEof));
        leaving.join()
    });
}

#[test]
fn closing_after_a_peer_that_closed_properly_is_no_error_even_if_it_is_gone() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        far.close_write()?;
        drop(far);
        assert_eq!(near.read(&mut [0])?, 0);
        Ok(near.close()?)
    });
}

#[test]
fn what_the_peer_said_before_it_refused_more_can_be_read() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        far.write_all(b"413")?;
        far.close_write()?;
        drop(far);
        let error = failure(near.write_all(&pattern(100_000)));
        assert_eq!(error.io_kind(), Some(ErrorKind::BrokenPipe));
        let mut answer = String::new();
        near.read_to_string(&mut answer)?;
        assert_eq!(answer, "413");
        Ok(())
    });
}

#[test]
fn a_slow_reader_bounds_what_is_held() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (mut near, mut far) = connected(10_000, &client, &server)?;
        let sent = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = sent.clone();
        let sending = spawn(move || {
            for _ in 0..100 {
                near.write_all(&[7; 10_000])?;
                count.set(count.get() + 10_000);
            }
            Ok(near.close_write()?)
        });
        far.read_exact(&mut [0])?;
        sleep(secs(60))?;
        // The wire, a read and the plaintext of another.
        assert!(sent.get() <= 10_000 + 2 * (16 * 1024) + 10_000, "{}", sent.get());
        io::copy(&mut far, &mut io::sink())?;
        sending.join()
    });
}

#[test]
fn blocking_sockets_need_no_loop() {
    let authority = Authority::new();
    let server = ServerConfig::new(authority.issue("localhost").identity()).expect("a server");
    let client = ClientConfig::builder().roots(authority.roots()).build().expect("a client");
    let (near, far) = UnixStream::pair().expect("a pair");
    let serving = thread::spawn(move || -> io::Result<()> {
        let mut far = TlsStream::accept(&server, far)?;
        let mut data = Vec::new();
        far.read_to_end(&mut data)?;
        far.write_all(&data)?;
        far.close()
    });
    let (mut reader, mut writer) =
        TlsStream::connect(&client, "localhost", near).expect("a handshake").split();
    writer.write_all(&pattern(300_000)).expect("room");
    writer.close().expect("room");
    let mut data = Vec::new();
    reader.read_to_end(&mut data).expect("data");
    assert!(data == pattern(300_000));
    serving.join().expect("no panic").expect("no error");
}

#[test]
fn a_wire_that_gives_a_byte_at_a_time_will_do() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (near, far) = pipes(64 * 1024);
        near.at_most.set(1);
        far.at_most.set(1);
        let (near, far) = shake_over((near, far), &client, "localhost", &server)?;
        let (mut near, mut far) = (near?, far?);
        near.write_all(&pattern(1000))?;
        near.close_write()?;
        let mut received = Vec::new();
        far.read_to_end(&mut received)?;
        assert!(received == pattern(1000));
        Ok(())
    });
}
