//! Servers with a task for each connection: whose error is whose, and what ends when.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::{
    ErrorKind, ExceptionSource, Result, Runner, Server, ServerBuilder, StreamReader, StreamWriter,
    VirtualClock, current_task, get_running_loop, millis, open_connection, secs, sleep,
    start_server, yield_now,
};

use super::{reported, rest, run};

fn echo(reader: StreamReader, writer: StreamWriter) -> Result {
    loop {
        let data = reader.read(4096)?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write(&data);
        writer.drain()?;
    }
}

#[test]
fn connections_are_served_at_once_and_each_in_its_own_task() {
    run(|| {
        let names: Rc<RefCell<Vec<String>>> = Rc::default();
        let seen = names.clone();
        let server = start_server(
            move |reader, writer| {
                seen.borrow_mut().extend(current_task().map(|task| task.name()));
                echo(reader, writer)
            },
            "127.0.0.1:0",
        )?;
        let address = server.local_addrs()[0];
        let open = |_| open_connection(address);
        let clients: Vec<_> = (0..20).map(open).collect::<Result<_>>()?;
        for (number, (reader, writer)) in clients.iter().enumerate().rev() {
            writer.write(format!("{number}\n").as_bytes());
            assert_eq!(reader.readline()?, format!("{number}\n").as_bytes());
        }
        names.borrow_mut().sort();
        names.borrow_mut().dedup();
        assert_eq!((names.borrow().len(), server.client_count()), (20, 20));
        drop(clients);
        server.close();
        server.wait_closed()
    })
    .unwrap();
}

/// Serves what ends in `outcome` on "end" and echoes otherwise; what the handler was told,
/// when one connection has ended and another is still echoed to.
fn ended_by(outcome: fn() -> Result, eager: bool) -> Vec<(Option<ErrorKind>, String)> {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).eager(eager).build().unwrap();
    let ended = runner.run(move || {
        let reports = reported()?;
        let kept: Rc<RefCell<Vec<StreamWriter>>> = Rc::default();
        let server = start_server(
            move |reader, writer| {
                // Other handles do not keep a connection open whose task has failed.
                kept.borrow_mut().push(writer.clone());
                match &reader.readline()?[..] {
                    b"end\n" => outcome(),
                    line => {
                        writer.write(line);
                        echo(reader, writer)
                    }
                }
            },
            "127.0.0.1:0",
        )?;
        let address = server.local_addrs()[0];
        let (other, speaks) = open_connection(address)?;
        let (reader, writer) = open_connection(address)?;
        writer.write(b"end\n");
        assert_eq!(reader.read_to_end()?, b"");
        speaks.write(b"still here\n");
        assert_eq!(other.readline()?, b"still here\n");
        let reports = reports.take();
        let told = reports.iter().map(|report| {
            assert_eq!(report.source, ExceptionSource::Callback);
            assert!(report.created_at.unwrap().file().ends_with("serving.rs"));
            assert!(report.task.as_ref().unwrap().starts_with("Task-"));
            (report.exception.as_ref().map(|error| error.kind()), report.message.clone())
        });
        Ok(told.collect())
    });
    ended.unwrap()
}

#[test]
fn an_error_of_a_callback_is_reported_and_closes_its_connection_only() {
    for eager in [false, true] {
        let told = ended_by(|| Err(ErrorKind::Value.into()), eager);
        let expected = "Unhandled exception in client_connected_cb".to_owned();
        assert_eq!(told, [(Some(ErrorKind::Value), expected)]);
    }
}

#[test]
fn a_panic_of_a_callback_is_one_of_its_errors() {
    let told = ended_by(|| panic!("on purpose"), false);
    assert_eq!(told[0].0, Some(ErrorKind::Panic));
    assert_eq!(told.len(), 1);
}

#[test]
fn a_cancelled_callback_closes_without_a_report() {
    let cancel = || -> Result {
        current_task().unwrap().cancel();
        stackio::yield_now()
    };
    assert_eq!(ended_by(cancel, false), []);
}

#[test]
fn what_a_callback_wrote_is_sent_when_it_returns() {
    run(|| {
        let server = start_server(
            |_, writer| {
                writer.write(&[7; 3_000_000]);
                Ok(())
            },
            "127.0.0.1:0",
        )?;
        let (reader, _writer) = open_connection(server.local_addrs()[0])?;
        assert_eq!(reader.read_to_end()?.len(), 3_000_000);
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_callback_may_keep_the_connection_for_another_task() {
    run(|| {
        let waiting: Rc<RefCell<Vec<StreamWriter>>> = Rc::default();
        let kept = waiting.clone();
        let server = start_server(
            move |_, writer| {
                kept.borrow_mut().push(writer);
                Ok(())
            },
            "127.0.0.1:0",
        )?;
        let (reader, _writer) = open_connection(server.local_addrs()[0])?;
        while waiting.borrow().is_empty() {
            stackio::yield_now()?;
        }
        waiting.borrow()[0].write(b"later");
        waiting.borrow_mut().clear();
        assert_eq!(reader.read_to_end()?, b"later");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_server_can_close_who_does_not_leave() {
    run(|| {
        let server = ServerBuilder::new().start_server(echo, "127.0.0.1:0")?;
        let address = server.local_addrs()[0];
        let (reader, writer) = open_connection(address)?;
        writer.write(b"hello");
        assert_eq!(reader.read(5)?, b"hello");
        server.close();
        server.close_clients();
        server.wait_closed()?;
        assert_eq!(reader.read(1)?, b"");
        assert_eq!(open_connection(address).unwrap_err().kind(), ErrorKind::Io);
        Ok(())
    })
    .unwrap();
}

/// Has a handler begin its work for a client that is gone then, by a reset.
fn work_for_nobody(work: fn() -> Result) -> Result<(Server, Rc<Cell<bool>>)> {
    let done = Rc::new(Cell::new(false));
    let (begun, ended) = (Rc::new(Cell::new(false)), done.clone());
    let begins = begun.clone();
    let server = start_server(
        move |reader, _writer| {
            reader.readline()?;
            begins.set(true);
            work()?;
            ended.set(true);
            Ok(())
        },
        "127.0.0.1:0",
    )?;
    let mut client = std::net::TcpStream::connect(server.local_addrs()[0])?;
    socket2::SockRef::from(&client).set_linger(Some(secs(0)))?;
    std::io::Write::write_all(&mut client, b"work\n")?;
    while !begun.get() {
        yield_now()?;
    }
    drop(client);
    while server.client_count() > 0 {
        yield_now()?;
    }
    Ok((server, done))
}

#[test]
fn draining_waits_for_a_handler_whose_client_has_gone() {
    run(|| {
        let (server, done) = work_for_nobody(|| sleep(millis(300)))?;
        assert_eq!(server.drain(secs(5))?, 0);
        assert!(done.get());
        Ok(())
    })
    .unwrap();
}

#[test]
fn draining_waits_no_longer_for_a_handler_than_it_is_to_and_counts_it() {
    run(|| {
        let (server, done) = work_for_nobody(|| sleep(secs(20)))?;
        let event_loop = get_running_loop()?;
        let start = event_loop.time();
        assert_eq!(server.drain(secs(5))?, 1);
        assert_eq!((event_loop.time() - start, done.get()), (secs(5), false));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_handler_counts_once_with_its_client_who_is_aborted() {
    // A connection is something real, for which a virtual clock would wait.
    stackio::run(|| {
        let server = start_server(|_reader, _writer| sleep(secs(1000)), "127.0.0.1:0")?;
        let (reader, _writer) = open_connection(server.local_addrs()[0])?;
        rest()?;
        assert_eq!((server.client_count(), server.drain(millis(5))?), (1, 1));
        assert_eq!(reader.read(1)?, b"");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_server_is_closed_when_its_last_client_has_gone_whatever_its_handlers_do() {
    run(|| {
        let (server, done) = work_for_nobody(|| sleep(millis(300)))?;
        server.close();
        server.wait_closed()?;
        assert!(!done.get(), "as in asyncio");
        Ok(())
    })
    .unwrap();
}
