//! Errors that nobody asked for, and what outlives its loop.

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream};
use stackio::{
    ErrorKind, EventLoop, ExceptionContext, ExceptionSource, Future, Result, TaskBuilder,
    VirtualClock, gather, millis, sleep, spawn, yield_now,
};

use super::Told;

#[track_caller]
fn assert_made_at(report: &ExceptionContext, line: u32) {
    let place = report.created_at.map(|place| (place.file(), place.line()));
    assert_eq!(place, Some((file!(), line)), "{report:?}");
}

#[test]
fn an_error_that_nobody_retrieved_names_where_its_future_was_made() {
    let told = Told::default();
    let line = told
        .runner(false) // it is not a matter of debug mode
        .run(|| {
            let line = line!() + 1;
            let future = Future::<()>::new();
            future.set_exception(ErrorKind::Value)?;
            drop(future);
            Ok(line)
        })
        .unwrap();
    let reports = told.of(ExceptionSource::NeverRetrieved);
    assert_eq!(reports.len(), 1);
    assert_made_at(&reports[0], line);
    assert_eq!(reports[0].exception.as_ref().map(|error| error.kind()), Some(ErrorKind::Value));
}

#[test]
fn an_error_that_nobody_retrieved_names_where_its_task_was_spawned() {
    let told = Told::default();
    let line = told
        .runner(true)
        .run(|| {
            let line = line!() + 1;
            let task = TaskBuilder::new().name("lost").spawn(fails);
            sleep(millis(1))?;
            drop(task);
            Ok(line)
        })
        .unwrap();
    let reports = told.of(ExceptionSource::NeverRetrieved);
    assert_eq!(reports.len(), 1);
    assert_made_at(&reports[0], line);
    assert_eq!(reports[0].task.as_deref(), Some("lost"));
}

fn fails() -> Result {
    Err(ErrorKind::Value.into())
}

#[test]
fn an_error_that_nobody_retrieved_names_where_its_gather_was_made() {
    let told = Told::default();
    let line = told
        .runner(true)
        .run(|| {
            let line = line!() + 1;
            let all = gather([spawn(fails)]);
            sleep(millis(1))?;
            drop(all);
            Ok(line)
        })
        .unwrap();
    let reports = told.of(ExceptionSource::NeverRetrieved);
    assert_eq!(reports.len(), 1, "the child's was: {reports:?}");
    assert_made_at(&reports[0], line);
}

/// A loop in debug mode whose reports come there.
fn event_loop(told: &Told, clock: bool) -> EventLoop {
    let reports = told.0.clone();
    let mut builder = EventLoop::builder()
        .debug(true)
        .exception_handler(move |context| reports.borrow_mut().push(context.clone()));
    if clock {
        builder = builder.virtual_clock(&VirtualClock::new());
    }
    let event_loop = builder.build().unwrap();
    event_loop.set_slow_callback_duration(std::time::Duration::from_secs(3600));
    event_loop
}

#[test]
fn a_task_that_is_pending_when_its_loop_is_closed_is_reported_with_its_places() {
    let told = Told::default();
    let event_loop = event_loop(&told, true);
    let spawned = line!() + 1;
    let task = event_loop.spawn(|| sleep(millis(5)));
    task.set_name("pending");
    event_loop.run_until_complete(yield_now).unwrap();
    event_loop.close().unwrap();
    let reports = told.of(ExceptionSource::Leaked);
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_made_at(&reports[0], spawned);
    assert_eq!(reports[0].task.as_deref(), Some("pending"));
    let text = &reports[0].message;
    let suspended = format!("it was suspended at {}:{}:", file!(), spawned);
    assert!(text.starts_with("a task was still pending when its loop was closed"), "{text}");
    assert!(text.contains(&suspended), "{text}");
    assert!(task.cancelled(), "it has been ended all the same");
}

#[test]
fn a_socket_that_is_forgotten_is_reported_with_where_it_was_waited_for() {
    let told = Told::default();
    let event_loop = event_loop(&told, false);
    let line = event_loop
        .run_until_complete(|| {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            let line = line!() + 1;
            let mut stream = TcpStream::connect(address)?;
            let (_peer, _) = listener.accept()?;
            let read = stackio::timeout(millis(1), |_| Ok(stream.read(&mut [0; 8])?));
            assert!(read.unwrap_err().is_timeout());
            // A circle keeps it alive, as one of callbacks might.
            let circle = Rc::new(Circle { _stream: stream, me: RefCell::default() });
            *circle.me.borrow_mut() = Some(circle.clone());
            Ok(line)
        })
        .unwrap();
    event_loop.close().unwrap();
    let reports = told.of(ExceptionSource::Leaked);
    assert_eq!(reports.len(), 1, "{reports:?}");
    let text = &reports[0].message;
    assert!(text.contains("was still open when its loop was closed"), "{text}");
    assert!(text.contains(&format!("first waited for at {}:{line}:", file!())), "{text}");
}

struct Circle {
    _stream: TcpStream,
    me: RefCell<Option<Rc<Circle>>>,
}

/// Two ends of a connection.
fn connected() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    Ok((stream, listener.accept()?.0))
}

#[test]
fn a_socket_that_goes_with_its_task_is_not_reported() {
    let told = Told::default();
    let event_loop = event_loop(&told, false);
    event_loop
        .run_until_complete(|| {
            let (mut stream, peer) = connected()?;
            let reader = spawn(move || Ok(stream.read(&mut [0; 8])?));
            yield_now()?;
            reader.cancel();
            assert!(reader.join().unwrap_err().is_cancelled());
            drop(peer);
            Ok(())
        })
        .unwrap();
    event_loop.close().unwrap();
    assert!(told.0.borrow().is_empty(), "{:?}", told.0.borrow());
}
