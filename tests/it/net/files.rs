//! Files into streams: by the system, by hand where it refuses, and how that ends.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use stackio::net::UnixStream;
use stackio::{millis, spawn};

use super::{pair, pair_with_std, pattern, play, settle};

/// A file with that in it. It has no name any more.
fn file_of(content: &[u8]) -> std::io::Result<File> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name: PathBuf = format!("stackio-it-file-{}-{number}", std::process::id()).into();
    let path = std::env::temp_dir().join(name);
    fs::write(&path, content)?;
    let file = File::open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[test]
fn a_whole_file_arrives_while_others_run() {
    play(|| {
        let data = pattern(5_000_000);
        let mut file = file_of(&data)?;
        let (near, mut far) = pair()?;
        let sender = spawn(move || {
            let sent = near.send_file(&file, 0, None)?;
            Ok((sent, file.stream_position()?))
        });
        settle()?;
        assert!(!sender.done(), "nobody reads yet");
        let mut received = Vec::new();
        far.read_to_end(&mut received)?;
        assert!(received == data, "the bytes differ");
        assert_eq!(sender.join()?, (5_000_000, 5_000_000));
        Ok(())
    });
}

#[test]
fn a_part_of_a_file_is_what_was_asked_for() {
    play(|| {
        let mut file = file_of(b"0123456789")?;
        let (near, mut far) = UnixStream::pair()?;
        assert_eq!(near.send_file(&file, 3, 4)?, 4);
        assert_eq!(file.stream_position()?, 7);
        assert_eq!(near.send_file(&file, 8, 100)?, 2, "the file ends there");
        assert_eq!(file.stream_position()?, 10);
        assert_eq!(near.send_file(&file, 5, 0)?, 0);
        assert_eq!(near.send_file(&file, 50, None)?, 0, "behind the end");
        assert_eq!(file.stream_position()?, 10, "nothing was sent");
        drop(near);
        let mut received = String::new();
        far.read_to_string(&mut received)?;
        assert_eq!(received, "345689");
        Ok(())
    });
}

/// The memory of this process as a file, which `sendfile` does not take.
fn memory() -> std::io::Result<File> {
    File::open("/proc/self/mem")
}

static REMEMBERED: [u8; 600_000] = {
    let mut bytes = [0; 600_000];
    let mut at = 0;
    while at < bytes.len() {
        bytes[at] = (at % 251) as u8;
        at += 1;
    }
    bytes
};

#[test]
fn what_the_system_refuses_is_read_and_written() {
    play(|| {
        let file = memory()?;
        let place = REMEMBERED.as_ptr() as u64;
        let (near, far) = pair_with_std()?;
        let refused = socket2::SockRef::from(&far).sendfile(&file, place as usize, None);
        let code = refused.unwrap_err().raw_os_error();
        assert!(matches!(code, Some(libc::EINVAL | libc::EOVERFLOW)), "{code:?}");
        let sender = spawn(move || {
            let mut file = file;
            let sent = near.send_file(&file, place, REMEMBERED.len() as u64)?;
            Ok((sent, file.stream_position()? - place))
        });
        let received = stackio::to_thread(move || {
            let mut received = Vec::new();
            (&far).read_to_end(&mut received).map(|_| received)
        })??;
        assert!(received == REMEMBERED, "the bytes differ");
        assert_eq!(sender.join()?, (600_000, 600_000));
        Ok(())
    });
}

#[test]
fn what_cannot_be_read_is_an_error_of_the_file() {
    play(|| {
        let (near, _far) = pair()?;
        let error = near.send_file(&File::open("/")?, 0, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
        let file = File::options().write(true).open("/dev/null")?;
        let error = near.send_file(&file, 0, None).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        Ok(())
    });
}

#[test]
fn a_cancelled_sender_says_by_the_position_how_far_it_came() {
    play(|| {
        let data = pattern(5_000_000);
        let mut file = file_of(&data)?;
        let sent = file.try_clone()?;
        let (near, far) = UnixStream::pair()?;
        let sender = spawn(move || Ok(near.send_file(&sent, 0, None)?));
        settle()?;
        sender.cancel();
        assert!(sender.join().unwrap_err().is_cancelled());
        let position = file.stream_position()?;
        let mut received = Vec::new();
        (&far).read_to_end(&mut received)?;
        assert!(position > 0 && position < 5_000_000, "{position}");
        assert!(received == data[..position as usize], "{} of {position}", received.len());
        Ok(())
    });
}

#[test]
fn a_sender_times_out_and_another_is_refused_meanwhile() {
    play(|| {
        let file = file_of(&pattern(5_000_000))?;
        let (near, _far) = UnixStream::pair()?;
        near.set_write_timeout(Some(millis(30)))?;
        let other = near.try_clone()?;
        let sender = spawn(move || Ok(near.send_file(&file, 0, None).unwrap_err().kind()));
        settle()?;
        assert_eq!((&other).write(b"x").unwrap_err().kind(), ErrorKind::ResourceBusy);
        assert_eq!(sender.join()?, ErrorKind::TimedOut);
        Ok(())
    });
}

#[test]
fn a_peer_that_is_gone_breaks_the_sending() {
    play(|| {
        let file = file_of(&pattern(5_000_000))?;
        let (near, far) = UnixStream::pair()?;
        let sender = spawn(move || Ok(near.send_file(&file, 0, None).unwrap_err().kind()));
        settle()?;
        drop(far);
        assert_eq!(sender.join()?, ErrorKind::BrokenPipe);
        Ok(())
    });
}
