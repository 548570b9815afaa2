//! A loop that is closed lets go of its connections: no call, no descriptor, no memory.

use std::cell::RefCell;
use std::net;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use stackio::{Result, Runner, get_running_loop, run};

use super::recorder::{Buffered, Call, Log, Plain};
use crate::net::alone::{alone, open_descriptors};

/// Leaves connections of all sorts open: what their protocols know, and what peers hold.
fn leave_open(logs: &Rc<RefCell<Vec<Log>>>) -> Result<Vec<UnixStream>> {
    let event_loop = get_running_loop()?;
    let log = || {
        let log = Log::new();
        logs.borrow_mut().push(log.clone());
        log
    };
    let mut peers = Vec::new();
    for stage in 0..4 {
        let (ours, theirs) = UnixStream::pair()?;
        let protocol = Plain(log());
        let (transport, _) = event_loop.connect_accepted_socket(|| protocol, ours)?;
        match stage {
            0 => {}
            1 => super::settle()?,
            2 => transport.write(&[0; 1_000_000]),
            _ => transport.pause_reading(),
        }
        peers.push(theirs);
    }
    let served = logs.clone();
    let factory = move || {
        let log = Log::new();
        served.borrow_mut().push(log.clone());
        Buffered::new(log)
    };
    let server = event_loop.create_server(factory, "127.0.0.1:0")?;
    let protocol = Plain(log());
    event_loop.create_connection(|| protocol, server.local_addrs()[0])?;
    let (near, far) = (Plain(log()), Plain(log()));
    let ((near, _), _) = event_loop.create_pair(|| near, || far, None)?;
    near.write(b"in memory");
    let (reader, writer) = std::io::pipe()?;
    let (reading, writing) = (Plain(log()), Plain(log()));
    event_loop.connect_read_pipe(|| reading, reader)?;
    event_loop.connect_write_pipe(|| writing, writer)?;
    super::until(|| logs.borrow().len() == 10)?;
    Ok(peers)
}

#[test]
fn connections_that_are_open_when_the_loop_is_closed_are_let_go_in_silence() {
    if !alone(
        "transports::shutdown::\
         connections_that_are_open_when_the_loop_is_closed_are_let_go_in_silence",
        "",
    ) {
        return;
    }
    let before = open_descriptors();
    for _ in 0..3 {
        let logs = Rc::new(RefCell::new(Vec::new()));
        let told = logs.clone();
        let peers = run(move || leave_open(&told)).expect("nothing fails here");
        for log in logs.take() {
            assert!(!log.has(Call::Lost), "closing a loop calls nobody: {:?}", log.calls());
            assert_eq!(log.holders(), 1, "the protocol of {:?} lives on", log.calls());
        }
        drop(peers);
        assert_eq!(open_descriptors(), before);
    }
}

#[test]
fn a_handle_that_outlives_its_loop_does_nothing() {
    let log = Rc::new(RefCell::new(None));
    let told = log.clone();
    let (transport, theirs) = super::play(move || {
        let log = Log::new();
        *told.borrow_mut() = Some(log.clone());
        super::with_std(&log)
    });
    assert_eq!(transport.try_write(b"late").unwrap_err().kind(), stackio::ErrorKind::Io);
    transport.write(&[0; 10_000_000]);
    transport.pause_reading();
    transport.resume_reading();
    transport.write_eof();
    transport.close();
    transport.abort();
    assert!(transport.is_closing() && transport.get_protocol().is_none());
    let mut all = Vec::new();
    std::io::Read::read_to_end(&mut &theirs, &mut all).expect("the peer sees an end");
    let log = log.take().expect("set above");
    assert_eq!(log.calls(), [Call::Made]);
}

#[test]
fn a_server_is_closed_with_its_loop() {
    let address = Runner::new().and_then(|mut runner| {
        runner.run(|| {
            let server = get_running_loop()?.create_server(|| Plain(Log::new()), "127.0.0.1:0")?;
            Ok(server.local_addrs()[0])
        })
    });
    let address = address.expect("nothing fails here");
    let refused = net::TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
