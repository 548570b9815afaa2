//! Who waits for bytes comes for them in his own step. Between being woken and that step
//! anything may happen: each test does it after every number of steps.

use std::cell::RefCell;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use stackio::{
    ErrorKind, IntoProtocol, Protocol, Result, StreamReader, StreamReaderProtocol, StreamWriter,
    Task, get_running_loop, spawn, yield_now,
};

use super::{rest, run};

/// More than the steps after which the selector is asked.
const STEPS: usize = 150;

/// A stream over a socket, and the other end.
fn over_a_socket() -> Result<(Rc<StreamReader>, StreamWriter, UnixStream)> {
    let (one, two) = UnixStream::pair()?;
    let reader = StreamReader::default();
    let protocol = StreamReaderProtocol::new(&reader);
    let (transport, protocol) = get_running_loop()?.connect_accepted_socket(|| protocol, one)?;
    Ok((Rc::new(reader), StreamWriter::new(transport, &protocol)?, two))
}

/// A task that waits for bytes.
fn reading(reader: &Rc<StreamReader>) -> Result<Task<Vec<u8>>> {
    let theirs = reader.clone();
    let task = spawn(move || theirs.read(100));
    rest()?;
    Ok(task)
}

fn steps(count: usize) -> Result {
    (0..count).try_for_each(|_| yield_now())
}

#[test]
fn bytes_for_a_reader_that_was_cancelled_are_for_the_next() {
    run(|| {
        let (reader, _writer, mut peer) = over_a_socket()?;
        let mut cancelled = 0;
        for count in 0..STEPS {
            let task = reading(&reader)?;
            peer.write_all(b"abc")?;
            steps(count)?;
            task.cancel();
            let read = match task.join() {
                Err(error) if error.kind() == ErrorKind::Cancelled => {
                    cancelled += 1;
                    reader.read(100)?
                }
                read => read?,
            };
            assert_eq!(read, b"abc");
        }
        assert!(0 < cancelled && cancelled < STEPS);
        Ok(())
    })
    .unwrap();
}

/// Keeps what comes.
struct Keeps(Rc<RefCell<Vec<u8>>>);

impl Protocol for Keeps {
    fn data_received(&mut self, data: &[u8]) {
        self.0.borrow_mut().extend_from_slice(data);
    }
}

#[test]
fn bytes_for_a_protocol_that_was_replaced_are_for_the_next() {
    run(|| {
        let mut kept_ones = 0;
        for count in 0..STEPS {
            let (reader, writer, mut peer) = over_a_socket()?;
            let task = reading(&reader)?;
            peer.write_all(b"abc")?;
            steps(count)?;
            let kept = Rc::new(RefCell::default());
            let next = Keeps(kept.clone()).into_handle();
            writer.transport().set_protocol(next);
            while !task.done() && kept.borrow().is_empty() {
                yield_now()?;
            }
            if task.done() {
                assert_eq!(task.join()?, b"abc");
            } else {
                kept_ones += 1;
                assert_eq!(*kept.borrow(), b"abc");
                task.cancel();
            }
        }
        assert!(0 < kept_ones && kept_ones < STEPS);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_reader_that_is_woken_while_reading_is_paused_waits_on() {
    run(|| {
        for count in 0..STEPS {
            let (reader, writer, mut peer) = over_a_socket()?;
            let task = reading(&reader)?;
            peer.write_all(b"abc")?;
            steps(count)?;
            let transport = writer.transport();
            transport.pause_reading();
            steps(STEPS)?;
            transport.resume_reading();
            assert_eq!(task.join()?, b"abc");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn bytes_are_for_the_first_who_is_there_and_the_rest_for_who_was_woken() {
    run(|| {
        let mut overtaken = 0;
        for count in 0..STEPS {
            let (reader, _writer, mut peer) = over_a_socket()?;
            let theirs = reader.clone();
            let first = spawn(move || theirs.read(3));
            rest()?;
            peer.write_all(b"abcdef")?;
            steps(count)?;
            // Who waits already is in the way of another.
            let second = match reader.read(3) {
                Err(error) if error.kind() == ErrorKind::Runtime => {
                    assert_eq!(first.join()?, b"abc");
                    continue;
                }
                read => read?,
            };
            overtaken += usize::from(second == b"abc");
            assert_eq!([second, first.join()?].concat().len(), 6);
        }
        assert!(0 < overtaken && overtaken < STEPS, "{overtaken}");
        Ok(())
    })
    .unwrap();
}
