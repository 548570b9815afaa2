//! What belongs to whom: values of the user's that a transport keeps, and ends that come before
//! their beginnings.

use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;

use bytes::Bytes;
use stackio::{
    ContextVar, ErrorKind, Protocol, Server, Transport, call_soon, current_task, get_running_loop,
    run, spawn, to_thread,
};

use super::recorder::{Call, Log, Plain};
use super::{play, settle, until};

/// Calls it in each of the next iterations.
fn again_and_again(server: Server, end: fn(&Server), left: u32) {
    if left > 0 {
        call_soon(move || {
            end(&server);
            again_and_again(server, end, left - 1);
        });
    }
}

#[test]
fn a_client_that_is_closed_at_once_has_been_told_of_the_connection() {
    for end in [Server::close_clients, Server::abort_clients] {
        play(move || {
            let log = Log::new();
            let seen = log.clone();
            let server =
                get_running_loop()?.create_server(move || Plain(seen.clone()), "127.0.0.1:0")?;
            let _client = TcpStream::connect(server.local_addrs()[0])?;
            again_and_again(server, end, 2000);
            log.wait_lost()?;
            assert_eq!(log.calls(), [Call::Made, Call::Lost]);
            Ok(())
        });
    }
}

thread_local! {
    static ASKED: RefCell<Option<Transport>> = const { RefCell::new(None) };
    static ANSWERS: Cell<usize> = const { Cell::new(0) };
}

/// Asks the transport how much waits in it, when it is dropped.
struct Asking(Vec<u8>);

impl AsRef<[u8]> for Asking {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let transport = ASKED.with_borrow(Clone::clone).expect("the test has set it");
        let _waiting = transport.get_write_buffer_size();
        ANSWERS.set(ANSWERS.get() + 1);
    }
}

#[test]
fn a_buffer_may_look_at_its_transport_when_it_is_dropped() {
    for abort in [false, true] {
        play(move || {
            let (ours, mut theirs) = UnixStream::pair()?;
            let log = Log::new();
            let plain = Plain(log.clone());
            let (transport, _) = get_running_loop()?.connect_accepted_socket(|| plain, ours)?;
            ASKED.set(Some(transport.clone()));
            transport.write_bytes(Bytes::from_owner(Asking(vec![1; 1 << 20])));
            transport.write_bytes(Bytes::from_owner(Asking(vec![2; 1 << 20])));
            if abort {
                transport.abort();
            } else {
                transport.close();
                let read = thread::spawn(move || theirs.read_to_end(&mut Vec::new()));
                assert_eq!(to_thread(move || read.join().expect("it reads"))??, 2 << 20);
            }
            log.wait_lost()?;
            ASKED.set(None);
            assert_eq!(ANSWERS.replace(0), 2);
            Ok(())
        });
    }
}

static CONNECTION: ContextVar<Option<Rc<Kept>>> = ContextVar::new("connection");

/// Notes that it is dropped.
struct Kept(Option<Transport>, Rc<Cell<bool>>);

impl Drop for Kept {
    fn drop(&mut self) {
        self.1.set(true);
        drop(self.0.take());
    }
}

/// Makes its transport the value of a context variable.
struct Remembers(Option<Transport>, Rc<Cell<bool>>);

impl Protocol for Remembers {
    fn connection_made(&mut self, transport: &Transport) {
        self.0 = Some(transport.clone());
    }

    fn data_received(&mut self, _: &[u8]) {
        CONNECTION.set(Some(Rc::new(Kept(self.0.clone(), self.1.clone()))));
    }
}

#[test]
fn a_context_variable_may_hold_the_connection_that_has_the_context() {
    play(|| {
        let event_loop = get_running_loop()?;
        let (over_socket, over_memory) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
        let (ours, mut theirs) = UnixStream::pair()?;
        let protocol = Remembers(None, over_socket.clone());
        event_loop.connect_accepted_socket(|| protocol, ours)?;
        theirs.write_all(b"x")?;
        drop(theirs);
        let protocol = Remembers(None, over_memory.clone());
        let ((near, _), _) = event_loop.create_pair(|| Plain(Log::new()), || protocol, None)?;
        near.write(b"x");
        near.close();
        until(|| over_socket.get() && over_memory.get())
    });
}

#[test]
fn a_factory_may_own_its_server() {
    for serving in [true, false] {
        let address: SocketAddr = run(move || {
            let own: Rc<RefCell<Option<Server>>> = Rc::default();
            let owned = own.clone();
            let factory = move || {
                assert!(owned.borrow().is_some());
                Plain(Log::new())
            };
            let builder = stackio::ServerBuilder::new().start_serving(serving);
            let server = builder.create_server(factory, "127.0.0.1:0")?;
            let address = server.local_addrs()[0];
            *own.borrow_mut() = Some(server);
            Ok(address)
        })
        .unwrap();
        // The loop is closed, and so is what listened.
        std::net::TcpListener::bind(address).expect("nobody has the address");
    }
}

#[test]
fn a_pair_that_nobody_waits_for_is_ended() {
    play(|| {
        let (near, far) = (Log::new(), Log::new());
        let (first, second) = (Plain(near.clone()), Plain(far.clone()));
        let task = spawn(move || {
            current_task().expect("it is one").cancel();
            get_running_loop()?.create_pair(|| first, || second, None).map(drop)
        });
        assert!(task.join().unwrap_err().is_cancelled());
        near.wait_lost()?;
        far.wait_lost()?;
        Ok(())
    });
}

#[test]
fn two_pipes_that_are_closed_for_a_reason_send_what_was_written() {
    play(|| {
        let (reader, _their_writer) = io::pipe()?;
        let (mut their_reader, writer) = io::pipe()?;
        let log = Log::new();
        let plain = Plain(log.clone());
        let (transport, _) = get_running_loop()?.connect_pipes(|| plain, reader, writer)?;
        transport.write(&vec![1; 300_000]);
        transport.close_with(ErrorKind::Timeout);
        let read = to_thread(move || their_reader.read_to_end(&mut Vec::new()))??;
        assert_eq!(read, 300_000);
        let error = log.wait_lost()?.expect("the reason");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        settle()
    });
}
