//! What goes wrong while a server accepts: no descriptors, clients that are gone, bad factories.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

use stackio::{
    FlowEvent, Instrument, Result, Runner, Server, ServerBuilder, get_running_loop, run, secs,
    spawn, yield_now,
};

use super::{Echo, Says};
use crate::net::alone::alone;

const ANY: &str = "127.0.0.1:0";

type Reports = Rc<RefCell<Vec<String>>>;

fn reports() -> Result<Reports> {
    let reports = Reports::default();
    let told = reports.clone();
    get_running_loop()?
        .set_exception_handler(move |context| told.borrow_mut().push(context.message.clone()));
    Ok(reports)
}

fn is_served(server: &Server) -> Result {
    let (says, heard) = Says::new(b"hello");
    get_running_loop()?.create_connection(|| says, server.local_addrs()[0])?;
    assert_eq!(heard.wait()?, b"hello");
    Ok(())
}

#[test]
fn a_factory_that_panics_loses_its_connection_only() -> Result {
    run(|| {
        let reports = reports()?;
        let count = Cell::new(0);
        let factory = move || {
            count.set(count.get() + 1);
            assert!(count.get() != 2, "the second one");
            Echo::default()
        };
        let server = get_running_loop()?.create_server(factory, ANY)?;
        is_served(&server)?;
        let (says, heard) = Says::new(b"hello");
        get_running_loop()?.create_connection(|| says, server.local_addrs()[0])?;
        // It is closed without a word; as to what was sent, with a reset.
        if let Ok(heard) = heard.wait() {
            assert_eq!(heard, b"");
        }
        is_served(&server)?;
        assert_eq!(*reports.borrow(), ["a connection could not be given to its protocol"]);
        while server.client_count() > 0 {
            yield_now()?;
        }
        server.close();
        server.wait_closed()
    })
}

#[test]
fn a_factory_may_close_its_server() -> Result {
    run(|| {
        let server = Rc::new(RefCell::new(None::<Server>));
        let closing = server.clone();
        let factory = move || {
            closing.borrow().iter().for_each(Server::close);
            Echo::default()
        };
        let builder = ServerBuilder::new();
        *server.borrow_mut() = Some(builder.create_server(factory, ANY)?);
        let made = server.borrow().clone().expect("made above");
        is_served(&made)?;
        made.wait_closed()?;
        let _breaks_the_circle = server.take();
        Ok(())
    })
}

#[test]
fn clients_that_are_gone_before_they_are_accepted_are_nobodys_business() -> Result {
    run(|| {
        let reports = reports()?;
        let server = ServerBuilder::new().start_serving(false).create_server(Echo::default, ANY)?;
        server.start_serving()?;
        // All of this is before the loop looks at the server for the first time.
        for number in 0..300 {
            let client = TcpStream::connect(server.local_addrs()[0])?;
            if number % 2 == 0 {
                socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
            }
        }
        is_served(&server)?;
        while server.client_count() > 0 {
            yield_now()?;
        }
        assert_eq!(*reports.borrow(), Vec::<String>::new());
        Ok(())
    })
}

/// Counts how often the selector is asked.
#[derive(Default)]
struct Selects(Cell<usize>);

impl Instrument for Selects {
    fn event(&self, event: &FlowEvent<'_>) {
        if matches!(event, FlowEvent::Select { .. }) {
            self.0.set(self.0.get() + 1);
        }
    }
}

/// Opens files until there are no descriptors left but one.
fn use_up() -> Vec<File> {
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    files.pop();
    files
}

#[test]
fn without_descriptors_it_rests_and_says_so_once_in_a_while() {
    let name = "servers::trouble::without_descriptors_it_rests_and_says_so_once_in_a_while";
    if !alone(name, "ulimit -n 64") {
        return;
    }
    let selects = Rc::new(Selects::default());
    let runner = Runner::builder().instrument(selects.clone()).build();
    let played = runner.and_then(|mut runner| {
        runner.run(move || {
            let reports = reports()?;
            let server = get_running_loop()?.create_server(Echo::default, ANY)?;
            let address = server.local_addrs()[0];
            is_served(&server)?;
            while server.client_count() > 0 {
                yield_now()?;
            }
            let mut files = use_up();
            let before = selects.0.get();
            let started = Instant::now();
            let mut clients = Vec::new();
            // Each of them is an event of its own, none of which is to wake the server.
            for _ in 0..10 {
                clients.push(TcpStream::connect(address)?);
                stackio::sleep(stackio::millis(1))?;
                assert_eq!(server.client_count(), 0, "there was a descriptor");
                files.pop();
            }
            files.extend(File::open("/dev/null"));
            let release = spawn(move || {
                stackio::sleep(secs(1) + secs(1) / 2)?;
                drop(files);
                Ok(())
            });
            while server.client_count() < 1 {
                stackio::sleep(stackio::millis(50))?;
            }
            assert!(started.elapsed() >= secs(1), "it did not rest");
            release.join()?;
            while server.client_count() < clients.len() {
                stackio::sleep(stackio::millis(50))?;
            }
            let text = "accept is out of system resources; it tries again in a second";
            assert!(reports.borrow().iter().all(|report| report == text));
            assert!(
                (1..=3).contains(&reports.borrow().len()),
                "{} reports",
                reports.borrow().len()
            );
            assert!(selects.0.get() - before < 200, "{} selects", selects.0.get() - before);
            Ok(())
        })
    });
    played.expect("the server gets over it");
}

#[test]
fn several_servers_without_descriptors_say_so_once() {
    let name = "servers::trouble::several_servers_without_descriptors_say_so_once";
    if !alone(name, "ulimit -n 64") {
        return;
    }
    let played = run(|| {
        let reports = reports()?;
        let event_loop = get_running_loop()?;
        let servers: Vec<_> =
            (0..5).map(|_| event_loop.create_server(Echo::default, ANY)).collect::<Result<_>>()?;
        servers.iter().try_for_each(is_served)?;
        while servers.iter().any(|server| server.client_count() > 0) {
            yield_now()?;
        }
        let mut files = use_up();
        let started = Instant::now();
        let mut clients = Vec::new();
        for server in &servers {
            clients.push(TcpStream::connect(server.local_addrs()[0])?);
            files.pop();
        }
        files.extend(File::open("/dev/null"));
        for _ in 0..100 {
            stackio::sleep(stackio::millis(1))?;
        }
        let (count, seconds) = (reports.borrow().len() as u64, started.elapsed().as_secs());
        assert!(count >= 1 && count <= 1 + seconds, "{count} reports in {seconds} s");
        drop(files);
        Ok(())
    });
    played.expect("the servers get over it");
}

#[test]
fn a_socket_that_somebody_else_shuts_down_ends_the_accepting_with_one_report() -> Result {
    run(|| {
        let reports = reports()?;
        let listener = TcpListener::bind(ANY)?;
        let same = socket2::Socket::from(listener.try_clone()?);
        let server = ServerBuilder::new().adopt(Echo::default, listener)?;
        is_served(&server)?;
        same.shutdown(std::net::Shutdown::Both)?;
        while reports.borrow().is_empty() {
            yield_now()?;
        }
        for _ in 0..1000 {
            yield_now()?;
        }
        assert_eq!(*reports.borrow(), ["a server cannot accept any more"]);
        server.close();
        Ok(())
    })
}
