//! Several acceptors on one listener, and a process that has no descriptors left.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net;
use std::rc::Rc;
use std::time::Instant;

use stackio::net::TcpListener;
use stackio::{
    FlowEvent, Instrument, Result, Runner, Task, VirtualClock, millis, secs, spawn, timeout,
};

use super::alone::alone;
use super::{ANY, play, play_on, settle};

type Log = Rc<RefCell<Vec<String>>>;

/// Accepts that many connections, one after the other, and says so.
fn acceptor(listener: &TcpListener, name: &str, count: usize, log: &Log) -> Task<()> {
    let (listener, log) = (listener.try_clone().expect("it cannot fail"), log.clone());
    let name = name.to_owned();
    spawn(move || {
        for _ in 0..count {
            listener.accept()?;
            log.borrow_mut().push(name.clone());
        }
        Ok(())
    })
}

fn connect(listener: &TcpListener) -> io::Result<net::TcpStream> {
    net::TcpStream::connect(listener.local_addr()?)
}

#[test]
fn acceptors_are_served_in_turn() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let log = Log::default();
        let tasks = ["a", "b", "c"].map(|name| acceptor(&listener, name, 3, &log));
        settle()?;
        for _ in 0..9 {
            connect(&listener)?;
            settle()?;
        }
        for task in tasks {
            task.join()?;
        }
        assert_eq!(log.borrow().concat(), "abcabcabc");
        Ok(())
    });
}

#[test]
fn connections_that_come_together_are_shared_out_as_well() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let log = Log::default();
        let tasks = ["a", "b", "c"].map(|name| acceptor(&listener, name, 3, &log));
        settle()?;
        let _clients =
            (0..9).map(|_| connect(&listener)).collect::<io::Result<Vec<net::TcpStream>>>()?;
        for task in tasks {
            task.join()?;
        }
        assert_eq!(log.borrow().concat(), "abcabcabc");
        Ok(())
    });
}

#[test]
fn a_cancelled_acceptor_passes_its_turn_on() {
    for gone in 0..3 {
        play(move || {
            let listener = TcpListener::bind(ANY)?;
            let log = Log::default();
            let tasks = ["a", "b", "c"].map(|name| acceptor(&listener, name, 1, &log));
            settle()?;
            tasks[gone].cancel();
            settle()?;
            assert!(tasks[gone].cancelled());
            let late = acceptor(&listener, "d", 1, &log);
            for _ in 0..3 {
                connect(&listener)?;
            }
            late.join()?;
            assert_eq!(log.borrow().concat(), ["bcd", "acd", "abd"][gone]);
            Ok(())
        });
    }
}

#[test]
fn all_acceptors_cancelled_at_once_leave_the_listener_free() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let log = Log::default();
        let tasks = ["a", "b", "c"].map(|name| acceptor(&listener, name, 1, &log));
        settle()?;
        for task in &tasks {
            task.cancel();
        }
        settle()?;
        assert!(tasks.iter().all(|task| task.cancelled()));
        let client = connect(&listener)?;
        assert_eq!(listener.accept()?.1, client.local_addr()?);
        Ok(())
    });
}

#[test]
fn incoming_gives_one_connection_after_the_other() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let clients = (0..3).map(|_| connect(&listener)).collect::<io::Result<Vec<_>>>()?;
        for (client, accepted) in clients.iter().zip(listener.incoming()) {
            assert_eq!(accepted?.peer_addr()?, client.local_addr()?);
        }
        Ok(())
    });
}

#[test]
fn a_client_that_is_gone_again_does_not_end_the_accepting() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        for _ in 0..3 {
            let client = connect(&listener)?;
            super::reset_on_close(&client)?;
        }
        let client = connect(&listener)?;
        // Whether the system still hands the others out is its own affair.
        while listener.accept()?.0.peer_addr().ok() != Some(client.local_addr()?) {}
        Ok(())
    });
}

#[test]
fn a_listener_of_stds_can_be_taken_over() {
    play(|| {
        let listener = TcpListener::from_std(net::TcpListener::bind(ANY)?)?;
        let log = Log::default();
        let task = acceptor(&listener, "a", 1, &log);
        settle()?;
        connect(&listener)?;
        task.join()
    });
}

/// What a rest looks like from outside, and whether there is any peace.
#[derive(Default)]
struct Watch {
    selects: Cell<usize>,
    sends: Cell<usize>,
}

impl Instrument for Watch {
    fn event(&self, event: &FlowEvent<'_>) {
        match event {
            FlowEvent::Select { .. } => self.selects.set(self.selects.get() + 1),
            FlowEvent::Send { .. } => self.sends.set(self.sends.get() + 1),
            _ => {}
        }
    }
}

/// Opens files until there are no descriptors left.
fn use_all_up() -> Vec<File> {
    let mut files = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                return files;
            }
        }
    }
}

fn without_descriptors(body: impl FnOnce(Rc<Watch>, TcpListener) -> Result + 'static) {
    let watch = Rc::new(Watch::default());
    let runner = Runner::builder().instrument(watch.clone()).build().expect("a loop");
    play_on(runner, move || body(watch, TcpListener::bind(ANY)?));
}

const FEW_DESCRIPTORS: &str = "ulimit -n 48";

#[test]
fn an_acceptor_without_descriptors_rests_and_goes_on_when_there_are_some() {
    let name = "net::accepting::\
                an_acceptor_without_descriptors_rests_and_goes_on_when_there_are_some";
    if !alone(name, FEW_DESCRIPTORS) {
        return;
    }
    without_descriptors(|watch, listener| {
        let log = Log::default();
        let waiting = acceptor(&listener, "a", 1, &log);
        settle()?;
        let mut files = use_all_up();
        files.pop();
        let client = connect(&listener)?;
        assert_eq!(File::open("/dev/null").unwrap_err().raw_os_error(), Some(libc::EMFILE));
        let started = Instant::now();
        let before = (watch.selects.get(), watch.sends.get());
        // Two rests: descriptors come back in the second.
        let release = spawn(move || {
            stackio::sleep(secs(1) + secs(1) / 2)?;
            drop(files);
            Ok(())
        });
        waiting.join()?;
        assert!(started.elapsed() >= secs(2), "it did not rest");
        assert!(release.done(), "there was no descriptor before");
        let selects = watch.selects.get() - before.0;
        let sends = watch.sends.get() - before.1;
        assert!(selects < 20 && sends < 20, "{selects} selects, {sends} steps while it rested");
        drop(client);
        Ok(())
    });
}

#[test]
fn a_resting_acceptor_that_is_cancelled_passes_its_turn_on() {
    let name = "net::accepting::a_resting_acceptor_that_is_cancelled_passes_its_turn_on";
    if !alone(name, FEW_DESCRIPTORS) {
        return;
    }
    without_descriptors(|_, listener| {
        let log = Log::default();
        let mut files = use_all_up();
        files.pop();
        let _client = connect(&listener)?;
        let reports = Rc::new(RefCell::new(Vec::new()));
        let told = reports.clone();
        stackio::get_running_loop()?
            .set_exception_handler(move |context| told.borrow_mut().push(context.clone()));
        let first = acceptor(&listener, "first", 1, &log);
        let second = acceptor(&listener, "second", 1, &log);
        settle()?;
        assert!(!first.done(), "it rests");
        let told: Vec<_> = reports.borrow().iter().map(|report| report.source).collect();
        assert_eq!(told, [stackio::ExceptionSource::Loop], "the handler is told once");
        drop(files);
        let started = Instant::now();
        first.cancel();
        second.join()?;
        assert!(started.elapsed() < secs(1), "the second one has nothing to rest for");
        assert!(first.cancelled());
        Ok(())
    });
}

#[test]
fn a_shortage_is_reported_once_a_second_however_often_it_is_met() {
    let name = "net::accepting::a_shortage_is_reported_once_a_second_however_often_it_is_met";
    if !alone(name, FEW_DESCRIPTORS) {
        return;
    }
    let clock = VirtualClock::new();
    let runner = Runner::builder().virtual_clock(&clock).build().expect("a loop");
    play_on(runner, || {
        let listeners = [TcpListener::bind(ANY)?, TcpListener::bind(ANY)?];
        let mut files = use_all_up();
        files.truncate(files.len() - listeners.len());
        let _clients: Vec<_> = listeners.iter().map(connect).collect::<io::Result<_>>()?;
        let reports = Rc::new(RefCell::new(Vec::new()));
        let told = reports.clone();
        stackio::get_running_loop()?.set_exception_handler(move |_| {
            told.borrow_mut().push(clock.now().as_millis());
        });
        for _ in 0..25 {
            for listener in &listeners {
                // It is met at once, so that nothing is waited for but the time.
                let attempt = timeout(millis(50), |_| Ok(listener.accept()?));
                assert_eq!(attempt.unwrap_err().kind(), stackio::ErrorKind::Timeout);
            }
        }
        assert_eq!(*reports.borrow(), [0, 1000, 2000]);
        Ok(())
    });
}

#[test]
fn without_descriptors_connecting_and_binding_fail_at_once() {
    let name = "net::accepting::without_descriptors_connecting_and_binding_fail_at_once";
    if !alone(name, FEW_DESCRIPTORS) {
        return;
    }
    without_descriptors(|_, listener| {
        let address = listener.local_addr()?;
        let _files = use_all_up();
        let connected = stackio::net::TcpStream::connect(address).map(drop);
        let bound = TcpListener::bind(ANY).map(drop);
        let datagrams = stackio::net::UdpSocket::bind(ANY).map(drop);
        for result in [connected, bound, datagrams] {
            let error = result.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE), "{error}");
            assert_ne!(error.kind(), ErrorKind::WouldBlock);
        }
        Ok(())
    });
}
