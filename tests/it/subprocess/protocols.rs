//! Processes with protocols: what is called, in which order, and what ends it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use stackio::subprocess::{
    Command, Stdio, SubprocessHandle, SubprocessProtocol, SubprocessTransport,
};
use stackio::{Error, Future, Result, get_running_loop, run, spawn};

use super::{endless, exists, play, until};
use crate::net::alone::alone;

#[derive(Clone, Debug, PartialEq)]
enum Call {
    Made,
    Data(i32, Vec<u8>),
    PipeLost(i32, Option<String>),
    Exited(Option<i32>),
    Paused,
    Resumed,
    Lost,
}

/// Notes every call, and says when there is no further one, or the process has ended.
struct Recorder {
    calls: Rc<RefCell<Vec<Call>>>,
    transport: Option<SubprocessTransport>,
    input: Vec<u8>,
    close_input: bool,
    lost: Future<()>,
    exited: Future<()>,
}

impl Recorder {
    fn new(input: &[u8]) -> Recorder {
        Recorder {
            calls: Rc::default(),
            transport: None,
            input: input.to_vec(),
            close_input: true,
            lost: Future::new(),
            exited: Future::new(),
        }
    }

    fn note(&self, call: Call) {
        self.calls.borrow_mut().push(call);
    }
}

impl SubprocessProtocol for Recorder {
    fn connection_made(&mut self, transport: &SubprocessTransport) {
        self.note(Call::Made);
        self.transport = Some(transport.clone());
        if let Some(stdin) = transport.get_pipe_transport(0) {
            stdin.write(&self.input);
            if self.close_input {
                stdin.close();
            }
        }
    }

    fn pipe_data_received(&mut self, fd: i32, data: &[u8]) {
        self.note(Call::Data(fd, data.to_vec()));
    }

    fn pipe_connection_lost(&mut self, fd: i32, error: Option<Error>) {
        self.note(Call::PipeLost(fd, error.map(|error| error.to_string())));
    }

    fn process_exited(&mut self) {
        let code = self.transport.as_ref().and_then(SubprocessTransport::get_returncode);
        self.note(Call::Exited(code));
        let _ = self.exited.set_result(());
    }

    fn pause_writing(&mut self) {
        self.note(Call::Paused);
    }

    fn resume_writing(&mut self) {
        self.note(Call::Resumed);
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        assert!(error.is_none());
        self.note(Call::Lost);
        self.transport = None;
        let _ = self.lost.set_result(());
    }
}

type Started = (SubprocessTransport, SubprocessHandle<Recorder>);

fn start(command: &mut Command, protocol: Recorder) -> Result<Started> {
    let started = get_running_loop()?.subprocess_exec(|| protocol, command)?;
    // It knows before anybody else does.
    assert_eq!(started.1.with(|protocol| protocol.calls.borrow()[0].clone())?, Call::Made);
    Ok(started)
}

/// Runs a command line to the end of its connection; gives every call.
fn calls_of(line: &str, input: &[u8]) -> Result<Vec<Call>> {
    let recorder = Recorder::new(input);
    let (calls, lost) = (recorder.calls.clone(), recorder.lost.clone());
    start(&mut Command::shell(line), recorder)?;
    lost.wait()?;
    let calls = calls.borrow().clone();
    check_order(&calls, 3);
    Ok(calls)
}

/// The grammar that heads `SubprocessProtocol`.
#[track_caller]
fn check_order(calls: &[Call], pipes: usize) {
    let [Call::Made, middle @ .., Call::Lost] = calls else {
        panic!("it does not begin and end well: {calls:?}");
    };
    let count = |wanted: fn(&Call) -> bool| middle.iter().filter(|call| wanted(call)).count();
    assert_eq!(count(|call| matches!(call, Call::Made | Call::Lost)), 0, "{calls:?}");
    assert_eq!(count(|call| matches!(call, Call::Exited(_))), 1, "{calls:?}");
    assert_eq!(count(|call| matches!(call, Call::PipeLost(..))), pipes, "{calls:?}");
    for fd in [1, 2] {
        let of_pipe = middle.iter().filter(|call| match call {
            Call::Data(number, data) => *number == fd && !data.is_empty(),
            Call::PipeLost(number, _) => *number == fd,
            _ => false,
        });
        let lost_at = of_pipe.clone().position(|call| matches!(call, Call::PipeLost(..)));
        assert!(lost_at.is_none_or(|at| at + 1 == of_pipe.count()), "{calls:?}");
    }
    let flow = middle.iter().filter(|call| matches!(call, Call::Paused | Call::Resumed));
    for (at, call) in flow.enumerate() {
        assert_eq!(*call == Call::Paused, at % 2 == 0, "{calls:?}");
    }
}

/// All that came from a pipe.
fn data(calls: &[Call], fd: i32) -> Vec<u8> {
    let pieces = calls.iter().filter_map(|call| match call {
        Call::Data(number, data) if *number == fd => Some(data.as_slice()),
        _ => None,
    });
    pieces.collect::<Vec<_>>().concat()
}

#[test]
fn calls_come_in_the_order_of_the_grammar() {
    play(|| {
        let calls = calls_of("cat; echo err >&2; exit 3", b"input")?;
        assert_eq!(data(&calls, 1), b"input");
        assert_eq!(data(&calls, 2), b"err\n");
        assert!(calls.contains(&Call::Exited(Some(3))));
        let calls = calls_of("exit 0", b"")?;
        assert_eq!(calls.len(), 6);
        let calls = calls_of("exec cat >&2", &[b'x'; 300_000])?;
        assert!(data(&calls, 2) == [b'x'; 300_000]);
        let calls = calls_of("kill -9 $$", b"")?;
        assert!(calls.contains(&Call::Exited(Some(-9))));
        Ok(())
    });
}

#[test]
fn the_same_where_there_is_no_pidfd() {
    let name = "subprocess::protocols::the_same_where_there_is_no_pidfd";
    if alone(name, "export STACKIO_PIDFD=none") {
        play(|| {
            for _ in 0..20 {
                let calls = calls_of("cat; echo err >&2; exit 3", b"input")?;
                assert_eq!(data(&calls, 1), b"input");
                assert!(calls.contains(&Call::Exited(Some(3))));
            }
            Ok(())
        });
        let (transport, _) =
            run(|| start(&mut endless(), Recorder::new(b""))).expect("it has started");
        transport.kill().expect("it runs");
    }
}

#[test]
fn output_after_the_end_of_the_process_comes_before_connection_lost() {
    play(|| {
        let mut recorder = Recorder::new(b"");
        recorder.close_input = false;
        let (calls, lost) = (recorder.calls.clone(), recorder.lost.clone());
        let exited = recorder.exited.clone();
        // The shell ends, and its child has the pipes.
        let mut command = Command::shell("exec 3<&0; cat <&3 & exit 3");
        let (transport, _) = start(&mut command, recorder)?;
        exited.wait()?;
        assert_eq!(transport.get_returncode(), Some(3));
        assert_eq!(*calls.borrow(), [Call::Made, Call::Exited(Some(3))]);
        let stdin = transport.get_pipe_transport(0).expect("it is a pipe");
        stdin.write(b"late");
        stdin.close();
        lost.wait()?;
        check_order(&calls.borrow(), 3);
        assert_eq!(data(&calls.borrow(), 1), b"late");
        assert!(transport.is_closing() && transport.get_protocol().is_none());
        Ok(())
    });
}

#[test]
fn what_is_no_pipe_has_no_transport() {
    play(|| {
        let recorder = Recorder::new(b"");
        let (calls, lost) = (recorder.calls.clone(), recorder.lost.clone());
        let mut command = Command::new("true");
        command.stdin(Stdio::null()).stdout(Stdio::inherit()).stderr(Stdio::null());
        let (transport, _) = start(&mut command, recorder)?;
        for fd in 0..4 {
            assert!(transport.get_pipe_transport(fd).is_none());
        }
        lost.wait()?;
        assert_eq!(*calls.borrow(), [Call::Made, Call::Exited(Some(0)), Call::Lost]);
        let error = transport.terminate().unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
        Ok(())
    });
}

#[test]
fn closing_kills_and_everything_is_told() {
    play(|| {
        let recorder = Recorder::new(b"");
        let (calls, lost) = (recorder.calls.clone(), recorder.lost.clone());
        let (transport, _) = start(&mut endless(), recorder)?;
        assert!(!transport.is_closing());
        transport.close();
        transport.close();
        assert!(transport.is_closing());
        lost.wait()?;
        check_order(&calls.borrow(), 3);
        assert!(calls.borrow().contains(&Call::Exited(Some(-9))));
        assert!(!exists(transport.get_pid()));
        Ok(())
    });
}

#[test]
fn a_process_that_does_not_read_pauses_the_protocol_also_from_within_a_callback() {
    play(|| {
        // It is written in `connection_made`, which cannot be told meanwhile.
        let calls = calls_of("cat >/dev/null", &vec![0; 1_000_000])?;
        assert_eq!(calls[..2], [Call::Made, Call::Paused]);
        assert!(calls.contains(&Call::Resumed));
        let recorder = Recorder::new(&vec![0; 1_000_000]);
        let (calls, lost) = (recorder.calls.clone(), recorder.lost.clone());
        let (transport, _) = start(&mut endless(), recorder)?;
        let stdin = transport.get_pipe_transport(0).expect("it is a pipe");
        assert!(stdin.get_write_buffer_size() > 500_000);
        transport.kill()?;
        lost.wait()?;
        check_order(&calls.borrow(), 3);
        let broken = calls.borrow().iter().any(|call| matches!(call, Call::PipeLost(0, Some(_))));
        assert!(broken, "what was not read is lost, which is an error: {:?}", calls.borrow());
        Ok(())
    });
}

#[test]
fn a_program_that_is_missing_is_the_callers_error_and_nothing_is_called() {
    play(|| {
        let recorder = Recorder::new(b"");
        let calls = recorder.calls.clone();
        let error = start(&mut Command::new("no-such-program"), recorder).unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
        assert!(calls.borrow().is_empty());
        Ok(())
    });
}

#[test]
fn whoever_is_cancelled_while_it_starts_leaves_no_process() {
    play(|| {
        let recorder = Recorder::new(b"");
        let (calls, lost) = (recorder.calls.clone(), recorder.lost.clone());
        let event_loop = get_running_loop()?;
        let started =
            spawn(move || event_loop.subprocess_exec(|| recorder, &mut endless()).map(drop));
        // After its first step, and before the protocol has been told.
        stackio::call_soon({
            let started = started.clone();
            move || {
                started.cancel();
            }
        });
        assert!(started.join().unwrap_err().is_cancelled());
        lost.wait()?;
        assert!(calls.borrow().contains(&Call::Exited(Some(-9))));
        Ok(())
    });
}

#[test]
fn another_protocol_can_take_over() {
    play(|| {
        let mut first = Recorder::new(b"");
        first.close_input = false;
        let first_calls = first.calls.clone();
        let (transport, _) = start(&mut Command::new("cat"), first)?;
        let second = Recorder::new(b"");
        let (calls, lost) = (second.calls.clone(), second.lost.clone());
        transport.set_protocol(&SubprocessHandle::new(second));
        let stdin = transport.get_pipe_transport(0).expect("it is a pipe");
        stdin.write(b"for the second");
        stdin.close();
        lost.wait()?;
        assert_eq!(*first_calls.borrow(), [Call::Made]);
        assert_eq!(data(&calls.borrow(), 1), b"for the second");
        Ok(())
    });
}

/// Owns its transport, and notes that it is dropped and that its process has ended.
struct Owner {
    dropped: Rc<Cell<bool>>,
    exited: stackio::Future<()>,
    transport: Option<SubprocessTransport>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.dropped.set(true);
    }
}

impl SubprocessProtocol for Owner {
    fn connection_made(&mut self, transport: &SubprocessTransport) {
        self.transport = Some(transport.clone());
    }

    fn process_exited(&mut self) {
        self.exited.set_result(()).expect("it ends once");
    }
}

#[test]
fn a_loop_that_is_closed_lets_go_of_the_protocol_and_waits_for_the_process() {
    let dropped = Rc::new(Cell::new(false));
    let noted = dropped.clone();
    let transport = run(move || {
        let event_loop = get_running_loop()?;
        let exited = event_loop.create_future();
        let owner = Owner { dropped: noted, exited, transport: None };
        Ok(event_loop.subprocess_exec(|| owner, &mut endless())?.0)
    })
    .expect("it has started");
    assert!(dropped.get());
    assert!(transport.is_closing());
    assert!(exists(transport.get_pid()));
    transport.kill().expect("it runs");
    until("it has been waited for", || transport.get_returncode() == Some(-9));
}

#[test]
fn the_same_if_only_a_pipe_is_left_that_a_grandchild_has() {
    let dropped = Rc::new(Cell::new(false));
    let noted = dropped.clone();
    run(move || {
        let event_loop = get_running_loop()?;
        let exited = event_loop.create_future();
        let owner = Owner { dropped: noted, exited: exited.clone(), transport: None };
        event_loop.subprocess_shell(|| owner, "sleep 2 & exit 0")?;
        exited.join()
    })
    .expect("it has ended");
    assert!(dropped.get());
}
