//! Timeouts of sockets: around a block, and set on the socket as std's are.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use stackio::{Error, millis, secs, spawn, timeout};

use super::{pair, pair_with_std, play, settle};

const SHORT: Duration = millis(15);

#[test]
fn a_timeout_around_a_read_leaves_the_stream_usable() {
    play(|| {
        let (mut near, mut far) = pair_with_std()?;
        for text in [b"one", b"two"] {
            let started = Instant::now();
            let late = timeout(SHORT, |_| Ok(near.read(&mut [0; 3])?)).unwrap_err();
            assert_eq!(late.kind(), stackio::ErrorKind::Timeout);
            assert!(started.elapsed() >= SHORT, "it fired early");
            far.write_all(text)?;
            let mut got = [0; 3];
            timeout(secs(20), |_| Ok(near.read_exact(&mut got)?))?;
            assert_eq!(&got, text);
        }
        Ok(())
    });
}

#[test]
fn a_timeout_around_several_reads_counts_them_together() {
    play(|| {
        let (mut near, far) = pair()?;
        let drip = spawn(move || -> stackio::Result {
            loop {
                (&far).write_all(b".")?;
                stackio::sleep(millis(2))?;
            }
        });
        let mut all = Vec::new();
        let late = timeout(SHORT, |_| Ok(near.read_to_end(&mut all)?)).unwrap_err();
        assert_eq!(late.kind(), stackio::ErrorKind::Timeout);
        assert!(!all.is_empty(), "what had been read until then is there");
        drip.cancel();
        Ok(())
    });
}

#[test]
fn a_read_timeout_is_an_io_error_and_the_stream_goes_on() {
    play(|| {
        let (mut near, mut far) = pair_with_std()?;
        near.set_read_timeout(Some(SHORT))?;
        assert_eq!(near.read_timeout(), Some(SHORT));
        for text in [b"one", b"two"] {
            let started = Instant::now();
            let error = near.read(&mut [0; 3]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(started.elapsed() >= SHORT, "it fired early");
            assert_eq!(near.peek(&mut [0; 3]).unwrap_err().kind(), ErrorKind::TimedOut);
            far.write_all(text)?;
            let mut got = [0; 3];
            near.read_exact(&mut got)?;
            assert_eq!(&got, text);
        }
        let error = Error::from(near.read(&mut [0; 3]).unwrap_err());
        assert!(error.is_timeout() && !error.is_cancelled());
        assert_eq!(error.kind(), stackio::ErrorKind::Io);
        Ok(())
    });
}

#[test]
fn a_read_timeout_is_one_of_the_socket_and_counts_for_its_clones() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        let mut clone = near.try_clone()?;
        near.set_read_timeout(Some(SHORT))?;
        assert_eq!(clone.read_timeout(), Some(SHORT));
        assert_eq!(clone.read(&mut [0; 3]).unwrap_err().kind(), ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn a_read_timeout_can_be_taken_back() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        near.set_read_timeout(Some(SHORT))?;
        assert_eq!((&near).read(&mut [0; 3]).unwrap_err().kind(), ErrorKind::TimedOut);
        near.set_read_timeout(None)?;
        let reader = spawn(move || Ok((&near).read(&mut [0; 3])?));
        let started = Instant::now();
        while started.elapsed() < SHORT * 2 {
            settle()?;
        }
        assert!(!reader.done());
        far.write_all(b"at last")?;
        assert_eq!(reader.join()?, 3);
        Ok(())
    });
}

#[test]
fn a_write_timeout_ends_a_write_that_nobody_reads() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        near.set_write_timeout(Some(SHORT))?;
        assert_eq!(near.write_timeout(), Some(SHORT));
        let error = (&near).write_all(&vec![0; 24_000_000]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!((&near).write(b"more").unwrap_err().kind(), ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn timeouts_of_zero_are_refused_as_std_does() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        let zero = Some(Duration::ZERO);
        assert_eq!(near.set_read_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(near.set_write_timeout(zero).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!((near.read_timeout(), near.write_timeout()), (None, None));
        Ok(())
    });
}

#[test]
fn a_read_timeout_beyond_the_end_of_time_is_for_ever() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        near.set_read_timeout(Some(Duration::MAX))?;
        let reader = spawn(move || Ok((&near).read(&mut [0; 4])?));
        settle()?;
        far.write_all(b"data")?;
        assert_eq!(reader.join()?, 4);
        Ok(())
    });
}

#[test]
fn a_read_that_need_not_wait_sets_no_timer() {
    play(|| {
        let (mut near, mut far) = pair_with_std()?;
        near.set_read_timeout(Some(Duration::from_nanos(1)))?;
        for _ in 0..1000 {
            far.write_all(b"there")?;
            near.read_exact(&mut [0; 5])?;
        }
        Ok(())
    });
}

#[test]
fn a_cancel_and_a_read_timeout_are_told_apart() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        near.set_read_timeout(Some(secs(20)))?;
        let reader = spawn(move || Ok((&near).read(&mut [0; 4])?));
        settle()?;
        reader.cancel();
        assert!(reader.join().unwrap_err().is_cancelled());
        Ok(())
    });
}
