//! The pipes of a process as one connection.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use stackio::subprocess::{Command, Process, Stdio};
use stackio::{
    Error, ErrorKind, Future, Protocol, Result, Runner, Transport, get_running_loop, yield_now,
};

use super::{endless, play};

/// Notes what is called, and keeps what comes.
struct Recorder {
    calls: Rc<RefCell<Vec<String>>>,
    came: Rc<RefCell<Vec<u8>>>,
    lost: Future<Option<String>>,
    send: Vec<u8>,
    keep_open: bool,
    fail: bool,
}

impl Recorder {
    fn new(send: &[u8]) -> Recorder {
        let (calls, came) = (Rc::default(), Rc::default());
        let lost = Future::new();
        Recorder { calls, came, lost, send: send.to_vec(), keep_open: false, fail: false }
    }

    fn note(&self, call: &str) {
        let mut calls = self.calls.borrow_mut();
        if call != "data" || calls.last().is_none_or(|last| last != "data") {
            calls.push(call.to_owned());
        }
    }
}

impl Protocol<Result> for Recorder {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.note("made");
        transport.try_write(&self.send)
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        self.note("data");
        self.came.borrow_mut().extend_from_slice(data);
        if self.fail { Err(Error::with_message(ErrorKind::Value, "raised")) } else { Ok(()) }
    }

    fn eof_received(&mut self) -> bool {
        self.note("eof");
        self.keep_open
    }

    fn pause_writing(&mut self) -> Result {
        self.note("pause");
        Ok(())
    }

    fn resume_writing(&mut self) -> Result {
        self.note("resume");
        Ok(())
    }

    fn connection_lost(&mut self, error: Option<Error>) -> Result {
        self.note("lost");
        self.lost.set_result(error.map(|error| error.to_string()))
    }
}

/// Starts a program and talks to it by its pipes.
fn connect(command: &mut Command, recorder: Recorder) -> Result<(Transport, Process)> {
    let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let reader: OwnedFd = process.stdout.take().expect("it is piped").into_blocking()?;
    let writer: OwnedFd = process.stdin.take().expect("it is piped").into_blocking()?;
    let (transport, handle) = get_running_loop()?.connect_pipes(|| recorder, reader, writer)?;
    assert_eq!(handle.with(|recorder| recorder.calls.borrow()[0].clone())?, "made");
    Ok((transport, process))
}

#[test]
fn what_is_written_is_echoed_and_the_end_is_too() {
    play(|| {
        let input: Vec<u8> = (0..1_000_000).map(|at| (at ^ (at >> 8)) as u8).collect();
        let recorder = Recorder::new(&input);
        let (calls, came) = (recorder.calls.clone(), recorder.came.clone());
        let lost = recorder.lost.clone();
        let (transport, process) = connect(&mut Command::new("cat"), recorder)?;
        transport.write_eof();
        assert!(transport.try_write(b"late").is_err());
        assert_eq!(lost.wait()?, None);
        assert!(*came.borrow() == input);
        let calls = calls.borrow();
        assert_eq!(calls[..2], ["made", "pause"]);
        assert!(calls.contains(&"resume".to_owned()));
        assert_eq!(calls[calls.len() - 2..], ["eof", "lost"]);
        assert!(process.wait()?.success());
        assert_eq!(transport.try_write(b"lost").unwrap_err().kind(), ErrorKind::Io);
        Ok(())
    });
}

#[test]
fn a_connection_can_be_kept_open_for_writing() {
    play(|| {
        let mut recorder = Recorder::new(b"");
        recorder.keep_open = true;
        let (calls, lost) = (recorder.calls.clone(), recorder.lost.clone());
        let mut command = Command::shell("exec >&-; read line; test \"$line\" = still");
        let (transport, process) = connect(&mut command, recorder)?;
        while calls.borrow().len() < 2 {
            yield_now()?;
        }
        assert_eq!(*calls.borrow(), ["made", "eof"]);
        assert!(!transport.is_closing());
        transport.write(b"still\n");
        transport.close();
        assert_eq!(lost.wait()?, None);
        assert!(process.wait()?.success());
        Ok(())
    });
}

#[test]
fn a_process_that_ends_is_the_end_of_the_connection() {
    play(|| {
        let recorder = Recorder::new(&vec![0; 1_000_000]);
        let lost = recorder.lost.clone();
        let (_, process) = connect(&mut endless(), recorder)?;
        process.kill()?;
        // What it has not read is an error, unless its output was seen to end before.
        lost.wait()?;
        process.wait()?;
        Ok(())
    });
}

#[test]
fn aborting_does_not_wait_for_what_is_not_read() {
    play(|| {
        let recorder = Recorder::new(&vec![0; 1_000_000]);
        let (calls, lost) = (recorder.calls.clone(), recorder.lost.clone());
        let (transport, process) = connect(&mut endless(), recorder)?;
        assert!(transport.get_write_buffer_size() > 500_000);
        transport.abort_with(Error::with_message(ErrorKind::Value, "enough"));
        assert_eq!(lost.wait()?.as_deref(), Some("enough"));
        assert_eq!(*calls.borrow(), ["made", "pause", "lost"]);
        assert!(transport.is_closing() && transport.get_protocol().is_none());
        process.kill()?;
        process.wait()?;
        Ok(())
    });
}

#[test]
fn the_water_marks_are_those_of_the_connection() {
    play(|| {
        let recorder = Recorder::new(b"");
        let calls = recorder.calls.clone();
        let (transport, _process) = connect(&mut endless(), recorder)?;
        transport.set_write_buffer_limits(1_000_000, 10)?;
        assert_eq!(transport.get_write_buffer_limits(), (10, 1_000_000));
        transport.write(&vec![0; 900_000]);
        assert_eq!(*calls.borrow(), ["made"]);
        transport.write(&vec![0; 900_000]);
        assert_eq!(*calls.borrow(), ["made", "pause"]);
        transport.abort();
        Ok(())
    });
}

#[test]
fn an_error_of_the_protocol_ends_the_connection_and_is_reported() {
    let reported = Rc::new(RefCell::new(Vec::new()));
    let hears = reported.clone();
    let builder = Runner::builder()
        .exception_handler(move |report| hears.borrow_mut().push(report.message.clone()));
    let lost = builder.build().expect("a loop").run(|| {
        let mut recorder = Recorder::new(b"input");
        recorder.fail = true;
        let lost = recorder.lost.clone();
        let (_, process) = connect(&mut Command::new("cat"), recorder)?;
        let lost = lost.wait()?;
        assert!(process.wait()?.success());
        Ok(lost)
    });
    assert_eq!(lost.expect("it ends").as_deref(), Some("raised"));
    assert_eq!(*reported.borrow(), ["Fatal error: protocol.data_received() call failed."]);
}

#[test]
fn what_a_program_has_said_before_it_ended_is_read_though_it_cannot_be_written_to() {
    play(|| {
        let recorder = Recorder::new(b"");
        let (came, lost) = (recorder.came.clone(), recorder.lost.clone());
        let mut command = Command::shell("exec 0<&-; head -c 60000 /dev/zero");
        let (transport, process) = connect(&mut command, recorder)?;
        transport.pause_reading();
        // It has ended, and nothing was looked at since.
        process.wait()?;
        transport.write(b"too late");
        let refused = loop {
            match transport.try_write(b"still") {
                Ok(()) => yield_now()?,
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::BrokenPipe));
        while !transport.is_closing() {
            yield_now()?;
        }
        transport.resume_reading();
        lost.wait()?;
        assert_eq!(came.borrow().len(), 60_000);
        Ok(())
    });
}
