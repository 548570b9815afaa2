//! Cancelling what waits for a socket: nothing is lost, and the cancel arrives through any library.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net;
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream};
use stackio::{Error, ErrorKind, Result, Task, millis, spawn, timeout, to_thread, yield_now};

use super::connecting::full_backlog;
use super::{ANY, pair_with_std, play, settle};

/// A task that has come to wait in `body`.
fn waiting<T: 'static>(body: impl FnOnce() -> Result<T> + 'static) -> Result<Task<T>> {
    let task = spawn(body);
    settle()?;
    assert!(!task.done(), "it was to wait: {task:?}");
    Ok(task)
}

fn error_of<T: 'static>(task: Task<T>) -> Error {
    match task.join() {
        Ok(_) => panic!("it was cancelled"),
        Err(error) => error,
    }
}

#[test]
fn after_a_cancelled_read_the_next_one_gets_the_data() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let near = Rc::new(near);
        for round in 0..3 {
            let stream = near.clone();
            let reader = waiting(move || Ok((&*stream).read(&mut [0; 8])?))?;
            reader.cancel();
            if round == 1 {
                // Comes after the cancel and before the task is told of it.
                far.write_all(b"early ")?;
            }
            assert!(error_of(reader).is_cancelled());
        }
        far.write_all(b"late")?;
        let mut text = [0; 10];
        (&*near).read_exact(&mut text)?;
        assert_eq!(&text, b"early late");
        Ok(())
    });
}

#[test]
fn a_buffered_reader_survives_a_cancelled_read_line() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let mut near = BufReader::new(near);
        far.write_all(b"half a li")?;
        let mut line = String::new();
        let ended = timeout(millis(10), |_| Ok(near.read_line(&mut line)?));
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
        far.write_all(b"ne\n")?;
        near.read_line(&mut line)?;
        // `read_line` keeps what it had, as std documents for any error in between.
        assert_eq!(line, "half a line\n");
        Ok(())
    });
}

#[test]
fn after_a_cancelled_accept_the_next_one_gets_the_connection() {
    play(|| {
        let listener = Rc::new(TcpListener::bind(ANY)?);
        let address = listener.local_addr()?;
        let accepting = listener.clone();
        let acceptor = waiting(move || Ok(accepting.accept()?.1))?;
        acceptor.cancel();
        let client = net::TcpStream::connect(address)?;
        assert!(error_of(acceptor).is_cancelled());
        assert_eq!(listener.accept()?.1, client.local_addr()?);
        Ok(())
    });
}

#[test]
fn a_cancelled_connect_leaves_the_way_free_for_another() {
    play(|| {
        let (listener, address, _queued) = full_backlog()?;
        let connecting = waiting(move || Ok(TcpStream::connect(address)?))?;
        connecting.cancel();
        let error = error_of(connecting);
        assert!(error.is_cancelled(), "not even the last of several addresses: {error:?}");
        drop(listener);
        let error = TcpStream::connect(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        Ok(())
    });
}

#[test]
fn a_cancelled_connect_tries_no_further_address() {
    play(|| {
        let (_listener, full, _queued) = full_backlog()?;
        let other = net::TcpListener::bind(ANY)?;
        other.set_nonblocking(true)?;
        let addresses = [full, other.local_addr()?];
        let connecting = waiting(move || Ok(TcpStream::connect(&addresses[..])?))?;
        connecting.cancel_with("enough");
        let error = error_of(connecting);
        assert_eq!((error.kind(), error.message()), (ErrorKind::Cancelled, Some("enough")));
        assert_eq!(other.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn a_cancelled_lookup_connects_to_nobody() {
    play(|| {
        let listener = net::TcpListener::bind(ANY)?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let connecting = spawn(move || Ok(TcpStream::connect(("localhost", port))?));
        // Its first step ends with the question to another thread.
        yield_now()?;
        connecting.cancel();
        assert!(error_of(connecting).is_cancelled());
        assert_eq!(to_thread(|| "the thread is free again")?, "the thread is free again");
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn a_cancel_is_an_io_error_that_std_does_not_retry() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        let reader = waiting(move || {
            let error = (&near).read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Other);
            assert_eq!(error.to_string(), "cancelled: go home");
            let error = Error::from(error);
            assert_eq!((error.kind(), error.message()), (ErrorKind::Cancelled, Some("go home")));
            Ok("caught")
        })?;
        reader.cancel_with("go home");
        assert_eq!(reader.join()?, "caught");
        Ok(())
    });
}

#[test]
fn a_cancel_that_is_caught_leaves_the_task_and_the_stream_usable() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let reader = waiting(move || {
            let error = Error::from((&near).read(&mut [0; 8]).unwrap_err());
            assert!(error.is_cancelled());
            let mut text = String::new();
            (&near).read_to_string(&mut text)?;
            Ok(text)
        })?;
        reader.cancel();
        settle()?;
        far.write_all(b"still here")?;
        drop(far);
        assert_eq!(reader.join()?, "still here");
        Ok(())
    });
}

/// What libraries do with I/O errors: an enum of their own that keeps it as its source.
#[derive(Debug)]
enum CodecError {
    Io(io::Error),
    Nested(Box<CodecError>),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the codec failed")
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            CodecError::Io(error) => error,
            CodecError::Nested(error) => error,
        })
    }
}

fn decode(mut from: impl Read) -> std::result::Result<u8, CodecError> {
    let mut byte = [0];
    let read = from.read_exact(&mut byte).map_err(CodecError::Io);
    read.map_err(|error| CodecError::Nested(Box::new(error)))?;
    Ok(byte[0])
}

#[test]
fn a_cancel_comes_out_of_a_users_error_type() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        let decoder = waiting(move || Ok(decode(&near)?))?;
        decoder.cancel_with("enough");
        let error = error_of(decoder);
        assert_eq!((error.kind(), error.message()), (ErrorKind::Cancelled, Some("enough")));
        Ok(())
    });
}

#[test]
fn a_cancel_comes_out_of_io_error_other() {
    play(|| {
        let (near, _far) = pair_with_std()?;
        let decoder = waiting(move || Ok(decode(&near).map_err(io::Error::other)?))?;
        decoder.cancel();
        assert!(error_of(decoder).is_cancelled());
        Ok(())
    });
}

#[test]
fn a_cancel_comes_out_of_serde_json() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        far.write_all(b"123")?;
        let parser = waiting(move || Ok(serde_json::from_reader::<_, u32>(near)?))?;
        parser.cancel_with("enough");
        let error = error_of(parser);
        assert_eq!((error.kind(), error.message()), (ErrorKind::Cancelled, Some("enough")));
        Ok(())
    });
}

/// A reader that goes on failing once it has failed.
///
/// Inside a list or a map `serde_json` looks for the closing bracket even after an error: it reads
/// on, and a cancel is told only once, as in asyncio.
struct Failing<R>(R, bool);

impl<R: Read> Read for Failing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0.read(buffer).inspect_err(|_| self.1 = true)
    }
}

#[test]
fn a_cancel_comes_out_of_a_parser_that_reads_on_after_an_error() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        far.write_all(b"{\"numbers\": [1, 2,")?;
        let near = Failing(near, false);
        let parser = waiting(move || Ok(serde_json::from_reader::<_, serde_json::Value>(near)?))?;
        parser.cancel_with("enough");
        let error = error_of(parser);
        assert_eq!((error.kind(), error.message()), (ErrorKind::Cancelled, Some("enough")));
        Ok(())
    });
}

#[test]
fn a_timeout_sees_its_own_cancel_through_any_library() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let late = timeout(millis(10), |_| Ok(decode(&near)?));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
        far.write_all(b"123")?;
        let late = timeout(millis(10), |_| Ok(serde_json::from_reader::<_, u32>(&near)?));
        assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
        // A string instead of a number: the parser's own error stays what it is.
        far.write_all(b"\"123\"")?;
        let wrong = timeout(millis(10), |_| Ok(serde_json::from_reader::<_, u32>(&near)?));
        let wrong = wrong.unwrap_err();
        assert!(
            wrong.downcast_ref::<serde_json::Error>().is_some_and(|e| e.is_data()),
            "{wrong:?}"
        );
        Ok(())
    });
}

#[test]
fn other_io_errors_keep_their_wrapping() {
    play(|| {
        let (near, far) = pair_with_std()?;
        drop(far);
        let error = Error::from(decode(&near).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Other);
        assert!(matches!(error.downcast_ref(), Some(CodecError::Nested(_))));
        Ok(())
    });
}

#[test]
fn a_task_cancelled_before_its_first_step_does_not_touch_the_socket() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        far.write_all(b"whole")?;
        let near = Rc::new(near);
        let touched = Rc::new(Cell::new(false));
        let (stream, flag) = (near.clone(), touched.clone());
        let reader = spawn(move || {
            flag.set(true);
            Ok((&*stream).read(&mut [0; 2])?)
        });
        reader.cancel();
        assert!(error_of(reader).is_cancelled());
        assert!(!touched.get());
        let mut text = [0; 5];
        (&*near).read_exact(&mut text)?;
        assert_eq!(&text, b"whole");
        Ok(())
    });
}

/// The pause that a task is made to take between operations is a place for a cancel too.
#[test]
fn a_cancel_in_the_pause_between_operations_loses_nothing() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let sent = super::pattern(10_000);
        far.write_all(&sent)?;
        let near = Rc::new(near);
        let stream = near.clone();
        let got = Rc::new(Cell::new(0));
        let counted = got.clone();
        let reader = spawn(move || -> Result {
            loop {
                (&*stream).read_exact(&mut [0; 1])?;
                counted.set(counted.get() + 1);
            }
        });
        settle()?;
        let before = got.get();
        assert!(0 < before && before < 10_000, "it pauses: {before}");
        reader.cancel();
        assert!(error_of(reader).is_cancelled());
        drop(far);
        let mut rest = Vec::new();
        (&*near).read_to_end(&mut rest)?;
        assert!(rest == sent[got.get()..], "bytes were lost");
        Ok(())
    });
}
