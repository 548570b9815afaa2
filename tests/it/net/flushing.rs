//! Buffers that are written out by their destructor, which must not hold up a cancelled task.

use std::io::{BufWriter, Read, Write};
use std::rc::Rc;

use stackio::net::UnixStream;
use stackio::{ErrorKind, Result, millis, run, secs, sleep, spawn, timeout, yield_now};

use super::{pair, pair_with_std, play, settle};

#[test]
fn a_timeout_ends_a_task_whose_buffer_the_peer_does_not_take() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        let mut lines = BufWriter::new(near);
        let late = timeout(secs(10), |_| {
            timeout(millis(20), move |_| -> Result {
                loop {
                    lines.write_all(&[0; 5000])?;
                }
            })
        });
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
        Ok(())
    });
}

#[test]
fn a_run_ends_though_a_task_has_such_a_buffer() {
    let ended = run(|| {
        let (near, far) = pair_with_std()?;
        let task = spawn(move || -> Result {
            let mut lines = BufWriter::new(near);
            loop {
                lines.write_all(&[0; 5000])?;
            }
        });
        settle()?;
        assert!(!task.done());
        Ok((task, far))
    });
    assert!(ended.unwrap().0.cancelled());
}

#[test]
fn a_cancellation_that_was_taken_back_lets_the_task_write_on() {
    play(|| {
        let (near, far) = pair()?;
        let near = Rc::new(near);
        let message = vec![7; 8 << 20];
        let sent = timeout(millis(20), |_| Ok((&*near).write_all(&message)?));
        assert_eq!(sent.unwrap_err().kind(), ErrorKind::Timeout);
        let reader = spawn(move || {
            let mut all = Vec::new();
            (&far).read_to_end(&mut all)?;
            Ok(all.len())
        });
        (&*near).write_all(&message)?;
        drop(near);
        assert!(reader.join()? > message.len());
        Ok(())
    });
}

#[test]
fn another_task_may_wait_to_write_meanwhile() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let near = Rc::new(near);
        let (shared, again) = (near.clone(), near.clone());
        let task = spawn(move || Ok((&*shared).write_all(&vec![7; 8 << 20])?));
        settle()?;
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        let other = spawn(move || Ok((&*again).write_all(b"end")?));
        yield_now()?;
        drop(near);
        far.set_nonblocking(true)?;
        let mut last = 0;
        while !other.done() || last != b'd' {
            let mut some = [0; 65536];
            if let Ok(count @ 1..) = far.read(&mut some) {
                last = some[count - 1];
            }
            yield_now()?;
        }
        other.join()
    });
}

/// Fills what the peer does not read, until the time is up.
fn fill(near: &UnixStream) -> Result {
    let filled = timeout(millis(20), |_| Ok((&mut &*near).write_all(&vec![7; 4 << 20])?));
    assert_eq!(filled.unwrap_err().kind(), ErrorKind::Timeout);
    Ok(())
}

/// Sleeps until it is cancelled, which it keeps to itself.
fn be_cancelled() {
    assert!(sleep(secs(60)).unwrap_err().is_cancelled());
}

#[test]
fn a_cancellation_of_long_ago_does_not_count() {
    play(|| {
        let (near, mut far) = UnixStream::pair()?;
        let writer = spawn(move || {
            be_cancelled();
            fill(&near)?;
            Ok((&near).write_all(&vec![7; 4 << 20])?)
        });
        yield_now()?;
        writer.cancel();
        sleep(millis(40))?;
        let reader = spawn(move || Ok(std::io::copy(&mut far, &mut std::io::sink())?));
        writer.join()?;
        assert!(reader.join()? > 4 << 20);
        Ok(())
    });
}

#[test]
fn a_later_cancellation_of_something_else_does_not_count() {
    play(|| {
        let (near, mut far) = UnixStream::pair()?;
        let writer = spawn(move || {
            fill(&near)?;
            be_cancelled();
            Ok((&near).write_all(&vec![7; 4 << 20])?)
        });
        sleep(millis(40))?;
        writer.cancel();
        let reader = spawn(move || Ok(std::io::copy(&mut far, &mut std::io::sink())?));
        writer.join()?;
        assert!(reader.join()? > 4 << 20);
        Ok(())
    });
}
