//! Pipes and terminals: one direction each, and ends of their own.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;

use stackio::{Result, Transport, get_running_loop};

use super::recorder::{Buffered, Call, Log, Plain};
use super::{elsewhere, pattern, play, reports, settle, until};

pub fn to_write(log: &Log, descriptor: impl Into<OwnedFd>) -> Result<Transport> {
    let protocol = Plain(log.clone());
    Ok(get_running_loop()?.connect_write_pipe(|| protocol, descriptor)?.0)
}

pub fn to_read(log: &Log, descriptor: impl Into<OwnedFd>) -> Result<Transport> {
    let protocol = Plain(log.clone());
    Ok(get_running_loop()?.connect_read_pipe(|| protocol, descriptor)?.0)
}

#[test]
fn a_fifo_waits_for_its_first_writer() {
    let path = std::env::temp_dir().join(format!("stackio-fifo-{}", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&path).status().expect("it runs");
    assert!(made.success());
    let opened = path.clone();
    play(move || {
        let reading = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&opened)?;
        let log = Log::new();
        let transport = to_read(&log, reading)?;
        transport.pause_reading();
        transport.resume_reading();
        settle()?;
        assert_eq!(log.calls(), [Call::Made], "nobody has written, so nothing has ended");
        OpenOptions::new().write(true).open(&opened)?.write_all(b"late")?;
        assert!(log.wait_lost()?.is_none());
        assert_eq!(log.calls(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
        Ok(())
    });
    std::fs::remove_file(path).expect("it was made above");
}

#[test]
fn a_reader_that_leaves_an_idle_writer_ends_it_without_an_error() {
    play(|| {
        for used in [false, true] {
            let log = Log::new();
            let (mut reader, writer) = io::pipe()?;
            let transport = to_write(&log, writer)?;
            if used {
                transport.write(b"abc");
                reader.read_exact(&mut [0; 3])?;
            }
            settle()?;
            drop(reader);
            assert!(log.wait_lost()?.is_none());
            assert_eq!(log.calls(), [Call::Made, Call::Lost]);
            transport.write(b"late");
        }
        Ok(())
    });
}

#[test]
fn a_reader_that_leaves_while_something_waits_is_a_broken_pipe() {
    play(|| {
        for closing in [false, true] {
            let log = Log::new();
            let (reader, writer) = io::pipe()?;
            let transport = to_write(&log, writer)?;
            transport.write(&pattern(1_000_000));
            if closing {
                transport.close();
            }
            settle()?;
            drop(reader);
            let error = log.wait_lost()?.expect("not all was read");
            assert_eq!(error.io_kind(), Some(ErrorKind::BrokenPipe));
            log.check();
        }
        Ok(())
    });
}

#[test]
fn the_end_of_a_pipe_is_sent_after_what_waits() {
    play(|| {
        let log = Log::new();
        let (mut reader, writer) = io::pipe()?;
        let transport = to_write(&log, writer)?;
        assert!(transport.can_write_eof());
        transport.write(&pattern(1_000_000));
        transport.write_eof();
        assert_eq!(transport.try_write(b"x").unwrap_err().kind(), stackio::ErrorKind::Runtime);
        let all = elsewhere(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        assert!(log.wait_lost()?.is_none());
        assert!(all.join()?? == pattern(1_000_000));
        log.check();
        Ok(())
    });
}

#[test]
fn what_is_only_read_refuses_to_be_written() {
    play(|| {
        let reports = reports()?;
        let log = Log::new();
        let (reader, writer) = io::pipe()?;
        let transport = to_read(&log, reader)?;
        assert!(!transport.can_write_eof());
        assert_eq!(transport.try_write(b"x").unwrap_err().kind(), stackio::ErrorKind::Runtime);
        assert_eq!(transport.try_write_eof().unwrap_err().kind(), stackio::ErrorKind::Runtime);
        transport.write(b"x");
        assert_eq!(reports.borrow().len(), 1);
        drop(writer);
        assert!(log.wait_lost()?.is_none());
        assert_eq!(log.calls(), [Call::Made, Call::Eof, Call::Lost]);
        Ok(())
    });
}

#[test]
fn the_end_comes_also_to_who_would_keep_a_read_pipe_open() {
    play(|| {
        let log = Log::new().keep_open();
        let (reader, mut writer) = io::pipe()?;
        let protocol = Buffered::new(log.clone());
        get_running_loop()?.connect_read_pipe(|| protocol, reader)?;
        writer.write_all(b"last words")?;
        drop(writer);
        assert!(log.wait_lost()?.is_none());
        assert_eq!(log.data(), b"last words");
        log.check();
        Ok(())
    });
}

#[test]
fn the_null_device_takes_everything_and_is_at_its_end() {
    play(|| {
        let log = Log::new();
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        let transport = to_write(&log, null.try_clone()?)?;
        settle()?;
        assert!(!log.has(Call::Lost), "{:?}", log.error());
        transport.write(&pattern(1_000_000));
        assert_eq!(transport.get_write_buffer_size(), 0);
        transport.close();
        assert!(log.wait_lost()?.is_none());
        log.check();

        let log = Log::new();
        to_read(&log, null)?;
        assert!(log.wait_lost()?.is_none());
        assert_eq!(log.calls(), [Call::Made, Call::Eof, Call::Lost]);
        Ok(())
    });
}

#[test]
fn a_device_without_end_gives_others_their_turn() {
    play(|| {
        let log = Log::new();
        let zero = OpenOptions::new().read(true).open("/dev/zero")?;
        let transport = to_read(&log, zero)?;
        until(|| log.count(Call::Data) >= 10)?;
        transport.pause_reading();
        let before = log.count(Call::Data);
        settle()?;
        assert_eq!(log.count(Call::Data), before);
        transport.close();
        assert!(log.wait_lost()?.is_none());
        Ok(())
    });
}

#[test]
fn regular_files_and_directories_are_refused() {
    play(|| {
        for path in [concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "/"] {
            let file = OpenOptions::new().read(true).open(path)?;
            let refused = to_read(&Log::new(), file).unwrap_err();
            assert_eq!(refused.io_kind(), Some(ErrorKind::InvalidInput), "{refused}");
        }
        Ok(())
    });
}

#[test]
fn an_end_that_is_for_the_other_direction_is_refused() {
    play(|| {
        let event_loop = get_running_loop()?;
        let (reader, writer) = io::pipe()?;
        let plain = || Plain(Log::new());
        let refused = event_loop.connect_read_pipe(plain, writer).map(drop).unwrap_err();
        assert_eq!(refused.io_kind(), Some(io::ErrorKind::InvalidInput));
        let refused = event_loop.connect_write_pipe(plain, reader).map(drop).unwrap_err();
        assert_eq!(refused.io_kind(), Some(io::ErrorKind::InvalidInput));
        Ok(())
    });
}
