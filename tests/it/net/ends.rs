//! How connections end: the peer's FIN, with data or without, resets, and closing at home.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Shutdown};
use std::rc::Rc;

use stackio::net::TcpStream;
use stackio::{Result, Task, spawn};

use super::{pair, pair_with_std, play, play_asking_often, reset_on_close, settle};

/// Reads with buffers of that size until the end, and once more.
fn read_out(mut stream: TcpStream, size: usize) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buffer = vec![0; size];
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            n => all.extend_from_slice(&buffer[..n]),
        }
    }
    assert_eq!(stream.read(&mut buffer)?, 0, "the end stays the end");
    assert_eq!(stream.peek(&mut buffer)?, 0);
    Ok(all)
}

/// Smaller than the data, just as large, and larger.
const SIZES: [usize; 5] = [1, 3, 4, 5, 4096];

#[test]
fn the_end_is_seen_when_it_comes_with_the_data_while_a_task_waits() {
    for size in SIZES {
        play(move || {
            let (near, mut far) = pair_with_std()?;
            let reader = spawn(move || read_out(near, size));
            settle()?;
            // Both are there before the loop looks again.
            far.write_all(b"data")?;
            far.shutdown(Shutdown::Write)?;
            assert_eq!(reader.join()?, b"data");
            Ok(())
        });
    }
}

#[test]
fn the_end_is_seen_when_it_was_there_before_anybody_waited() {
    for size in SIZES {
        play(move || {
            let (near, mut far) = pair_with_std()?;
            far.write_all(b"data")?;
            drop(far);
            assert_eq!(read_out(near, size)?, b"data");
            Ok(())
        });
    }
}

/// The event for the data has been seen, or has not, when the end comes; nobody waits meanwhile.
#[test]
fn the_end_is_seen_whenever_the_loop_looked_in_between() {
    for size in SIZES {
        for (look_after_data, look_after_end) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            play_asking_often(move || {
                let (near, mut far) = pair_with_std()?;
                watch(&near)?;
                far.write_all(b"data")?;
                if look_after_data {
                    settle()?;
                }
                far.shutdown(Shutdown::Write)?;
                if look_after_end {
                    settle()?;
                }
                assert_eq!(read_out(near, size)?, b"data");
                Ok(())
            });
        }
    }
}

/// Has the loop watch a stream, by a read that is given up.
fn watch(stream: &TcpStream) -> Result {
    let reading = stream.try_clone()?;
    let reader = spawn(move || Ok((&reading).read(&mut [0; 1])?));
    settle()?;
    reader.cancel();
    settle()?;
    assert!(reader.cancelled());
    Ok(())
}

#[test]
fn the_end_is_seen_when_it_comes_between_two_reads() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let reader = {
            let near = near.try_clone()?;
            spawn(move || Ok((&near).read(&mut [0; 64])?))
        };
        settle()?;
        far.write_all(b"data")?;
        // The short read says that there is no more; the end comes after it.
        assert_eq!(reader.join()?, 4);
        drop(far);
        assert_eq!((&near).read(&mut [0; 64])?, 0);
        Ok(())
    });
}

#[test]
fn the_end_alone_wakes_a_reader() {
    play(|| {
        let (near, far) = pair()?;
        let reader = spawn(move || read_out(near, 16));
        settle()?;
        assert!(!reader.done());
        drop(far);
        assert_eq!(reader.join()?, b"");
        Ok(())
    });
}

#[test]
fn a_reader_at_the_end_can_still_write() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let answering = spawn(move || {
            let mut question = Vec::new();
            (&near).read_to_end(&mut question)?;
            (&near).write_all(b"an answer after the end")?;
            Ok(near.shutdown(Shutdown::Both)?)
        });
        settle()?;
        far.write_all(b"a question")?;
        far.shutdown(Shutdown::Write)?;
        answering.join()?;
        let mut answer = String::new();
        far.read_to_string(&mut answer)?;
        assert_eq!(answer, "an answer after the end");
        Ok(())
    });
}

#[test]
fn a_reset_reaches_a_waiting_reader() {
    play(|| {
        let (near, far) = pair_with_std()?;
        let reader = spawn(move || {
            let first = (&near).read(&mut [0; 8]).unwrap_err();
            // The error has been told; what follows is the end, as with std.
            Ok((first.kind(), (&near).read(&mut [0; 8])?))
        });
        settle()?;
        reset_on_close(&far)?;
        drop(far);
        assert_eq!(reader.join()?, (ErrorKind::ConnectionReset, 0));
        Ok(())
    });
}

#[test]
fn a_reset_reaches_a_reader_that_comes_later() {
    play(|| {
        let (mut near, mut far) = pair_with_std()?;
        watch(&near)?;
        far.write_all(b"never to be read")?;
        reset_on_close(&far)?;
        drop(far);
        settle()?;
        let mut all = Vec::new();
        assert_eq!(near.read_to_end(&mut all).unwrap_err().kind(), ErrorKind::ConnectionReset);
        Ok(())
    });
}

fn fail_writing(stream: TcpStream) -> Task<ErrorKind> {
    spawn(move || {
        loop {
            if let Err(error) = (&stream).write(&[0; 65_536]) {
                return Ok(error.kind());
            }
        }
    })
}

#[test]
fn a_reset_reaches_a_waiting_writer() {
    play(|| {
        let (near, far) = pair_with_std()?;
        let writer = fail_writing(near);
        settle()?;
        assert!(!writer.done());
        reset_on_close(&far)?;
        drop(far);
        assert_eq!(writer.join()?, ErrorKind::ConnectionReset);
        Ok(())
    });
}

#[test]
fn a_peer_that_closes_with_unread_data_ends_a_waiting_writer() {
    play(|| {
        let (near, far) = pair()?;
        let writer = fail_writing(near);
        settle()?;
        drop(far);
        let kind = writer.join()?;
        let ends = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(ends.contains(&kind), "{kind:?}");
        Ok(())
    });
}

#[test]
fn a_reset_reaches_reader_and_writer_at_once() {
    play(|| {
        let (near, far) = pair_with_std()?;
        let reading = near.try_clone()?;
        let reader = spawn(move || Ok((&reading).read(&mut [0; 8]).map_err(|e| e.kind())));
        let writer = fail_writing(near);
        settle()?;
        reset_on_close(&far)?;
        drop(far);
        let (read, wrote) = (reader.join()?, writer.join()?);
        let told = [read == Err(ErrorKind::ConnectionReset), wrote == ErrorKind::ConnectionReset];
        // The system tells the error once; the other one sees the end.
        assert!(told.contains(&true), "{read:?}, {wrote:?}");
        assert!(matches!(read, Err(ErrorKind::ConnectionReset) | Ok(0)), "{read:?}");
        assert!(matches!(wrote, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{wrote:?}");
        Ok(())
    });
}

#[test]
fn shutting_the_reading_down_wakes_ones_own_reader() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        let reading = near.try_clone()?;
        let reader = spawn(move || Ok((&reading).read(&mut [0; 8])?));
        settle()?;
        near.shutdown(Shutdown::Read)?;
        assert_eq!(reader.join()?, 0);
        Ok(())
    });
}

#[test]
fn shutting_the_writing_down_wakes_ones_own_writer() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        let writer = fail_writing(near.try_clone()?);
        settle()?;
        assert!(!writer.done());
        near.shutdown(Shutdown::Write)?;
        assert_eq!(writer.join()?, ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn a_watched_stream_that_nobody_waits_for_can_be_dropped() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        watch(&near)?;
        drop(near);
        settle()?;
        assert_eq!(far.read(&mut [0; 1])?, 0);
        Ok(())
    });
}

#[test]
fn dropping_one_of_two_handles_closes_nothing() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        watch(&near)?;
        let clone = near.try_clone()?;
        drop(near);
        far.write_all(b"still open")?;
        drop(far);
        assert_eq!(read_out(clone, 64)?, b"still open");
        Ok(())
    });
}

#[test]
fn a_handle_dropped_while_another_waits_disturbs_nobody() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let reading = near.try_clone()?;
        let reader = spawn(move || read_out(reading, 64));
        settle()?;
        drop(near);
        settle()?;
        assert!(!reader.done());
        far.write_all(b"on it goes")?;
        drop(far);
        assert_eq!(reader.join()?, b"on it goes");
        Ok(())
    });
}

#[test]
fn a_task_that_panics_closes_its_sockets() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let messages = Rc::new(RefCell::new(Vec::new()));
        let kept = messages.clone();
        let server = spawn(move || -> Result {
            let mut buffer = [0; 8];
            let n = (&near).read(&mut buffer)?;
            kept.borrow_mut().push(buffer[..n].to_vec());
            panic!("a bug in the server, on purpose");
        });
        settle()?;
        far.write_all(b"ping")?;
        let error = server.join().unwrap_err();
        assert_eq!(error.kind(), stackio::ErrorKind::Panic);
        assert_eq!(*messages.borrow(), [b"ping".to_vec()]);
        assert_eq!(far.read(&mut [0; 1])?, 0);
        Ok(())
    });
}

/// Closing while the task unwinds must not try to suspend: a buffered writer flushes there.
#[test]
fn a_buffered_writer_dropped_in_a_panic_does_not_suspend() {
    play(|| {
        let (near, far) = pair_with_std()?;
        let server = spawn(move || -> Result {
            let mut buffered = io::BufWriter::with_capacity(32_000_000, near);
            buffered.write_all(&vec![0; 24_000_000])?;
            panic!("a bug in the server, on purpose");
        });
        let error = server.join().unwrap_err();
        assert_eq!(error.kind(), stackio::ErrorKind::Panic);
        let mut received = 0;
        let mut far: net::TcpStream = far;
        let mut buffer = vec![0; 1 << 20];
        while let n @ 1.. = far.read(&mut buffer)? {
            received += n;
        }
        assert!(received < 24_000_000, "to send so much it would have had to wait");
        Ok(())
    });
}
