//! Protocols of processes whose callbacks fail.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::subprocess::{Command, Stdio, SubprocessProtocol, SubprocessTransport};
use stackio::{Error, ErrorKind, Future, Result, Runner, get_running_loop, yield_now};

/// Raises at a call of its choice.
struct Raiser {
    at: &'static str,
    ended: Rc<RefCell<Vec<(i32, String)>>>,
    lost: Future<()>,
}

impl Raiser {
    fn raise(&self, here: &str) -> Result {
        if here == self.at {
            return Err(Error::with_message(ErrorKind::Value, "raised"));
        }
        Ok(())
    }
}

impl SubprocessProtocol<Result> for Raiser {
    fn connection_made(&mut self, _: &SubprocessTransport) -> Result {
        self.raise("connection_made")
    }

    fn pipe_data_received(&mut self, _: i32, _: &[u8]) -> Result {
        self.raise("pipe_data_received")
    }

    fn pipe_connection_lost(&mut self, fd: i32, error: Option<Error>) -> Result {
        let said = error.map(|error| error.to_string()).unwrap_or_default();
        self.ended.borrow_mut().push((fd, said));
        self.raise("pipe_connection_lost")
    }

    fn process_exited(&mut self) -> Result {
        self.raise("process_exited")
    }

    fn connection_lost(&mut self, _: Option<Error>) -> Result {
        let _ = self.lost.set_result(());
        self.raise("connection_lost")
    }
}

#[test]
fn an_error_of_a_callback_is_reported_and_ends_what_it_is_about() {
    let expected = [
        ("connection_made", 1, Some(-9)),
        ("pipe_data_received", 1, Some(-13)),
        ("pipe_connection_lost", 2, Some(0)),
        ("process_exited", 1, Some(0)),
        ("connection_lost", 1, Some(0)),
    ];
    for (at, reports, returncode) in expected {
        let reported = Rc::new(Cell::new(0));
        let hears = reported.clone();
        let builder = Runner::builder().exception_handler(move |report| {
            assert!(report.message.contains(at), "{}", report.message);
            hears.set(hears.get() + 1);
        });
        let mut runner = builder.build().expect("a loop");
        let (ended, code) = runner
            .run(move || {
                let (ended, lost) = (Rc::default(), Future::new());
                let raiser = Raiser { at, ended: Rc::clone(&ended), lost: lost.clone() };
                let line = match at {
                    "connection_made" => "exec sleep 1000000",
                    "pipe_data_received" => "exec yes",
                    _ => "exit 0",
                };
                let mut command = Command::shell(line);
                command.stdin(Stdio::null());
                let event_loop = get_running_loop()?;
                let (transport, _) = event_loop.subprocess_exec(|| raiser, &mut command)?;
                lost.wait()?;
                yield_now()?;
                let ended = ended.borrow().clone();
                Ok((ended, transport.get_returncode()))
            })
            .expect("it ends");
        assert_eq!((reported.get(), code), (reports, returncode), "{at}");
        let raised = ended.contains(&(1, "raised".to_owned()));
        assert_eq!(raised, at == "pipe_data_received", "{at}: {ended:?}");
    }
}
