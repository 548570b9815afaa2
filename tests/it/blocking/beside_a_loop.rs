//! Beside a loop: the same protocol in both, and a driver within a task.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;

use stackio::blocking::{self, ReadWrite};
use stackio::{ErrorKind, Protocol, Transport, get_running_loop};

use super::Noting;

/// Sends back what comes, and adds up.
#[derive(Default)]
struct Echo {
    transport: Option<Transport>,
    count: u64,
}

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) {
        self.transport = Some(transport.clone());
    }

    fn data_received(&mut self, data: &[u8]) {
        self.count += data.len() as u64;
        self.transport.iter().for_each(|transport| transport.write(data));
    }
}

/// Sends much and reads it back at the same time.
fn send_and_compare(stream: TcpStream) {
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), stream);
    let sent = data.clone();
    let sender = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    reader.read_to_end(&mut back).unwrap();
    sender.join().unwrap();
    assert!(back == data);
}

#[test]
fn the_same_protocol_serves_a_thread_and_a_loop() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || send_and_compare(TcpStream::connect(address).unwrap()));
    let echo = blocking::run(Echo::default(), listener.accept().unwrap().0).unwrap();
    assert_eq!(echo.count, 3_000_000);
    let info = echo.transport.unwrap().get_extra_info();
    assert_eq!(info.local_addr.unwrap().inet(), Some(address));
    client.join().unwrap();

    stackio::run(|| {
        let server = get_running_loop()?.create_server(Echo::default, "127.0.0.1:0")?;
        let address = server.local_addrs()[0];
        stackio::to_thread(move || send_and_compare(TcpStream::connect(address).unwrap()))
    })
    .unwrap();
}

#[test]
fn over_a_stream_that_suspends_nobody_else_writes() {
    stackio::run(|| {
        let (ours, theirs) = stackio::net::UnixStream::pair()?;
        let kept = Rc::new(RefCell::new(None));
        let keep = kept.clone();
        let noting = Noting::quiet().on_made(move |transport, _| {
            *keep.borrow_mut() = Some(transport.clone());
            Ok(())
        });
        let driver = stackio::spawn(move || blocking::run(noting, ReadWrite(ours)).map(drop));
        stackio::yield_now()?;
        let transport = kept.borrow().clone().expect("the connection is made");
        assert_eq!(transport.try_write(b"meanwhile").unwrap_err().kind(), ErrorKind::Runtime);
        drop(theirs);
        driver.join()
    })
    .unwrap();
}
