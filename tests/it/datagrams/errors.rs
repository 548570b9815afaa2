//! What goes wrong with one datagram, or in a callback, ends nothing.

use std::cell::RefCell;
use std::io::ErrorKind as IoKind;
use std::net::UdpSocket;
use std::rc::Rc;

use stackio::{
    Address, DatagramEndpoint, DatagramProtocol, DatagramTransport, Error, ErrorKind,
    ExceptionSource, Future, Result, get_running_loop, yield_now,
};

use super::{ANY, Note, at_any, noted, play};

/// What the exception handler is told from now on.
fn reports() -> Result<Rc<RefCell<Vec<String>>>> {
    let reports = Rc::new(RefCell::new(Vec::new()));
    let told = reports.clone();
    get_running_loop()?.set_exception_handler(move |context| {
        assert_eq!(context.source, ExceptionSource::Transport);
        let error = context.exception.as_ref().map(ToString::to_string).unwrap_or_default();
        told.borrow_mut().push(format!("{}: {error}", context.message));
    });
    Ok(reports)
}

#[test]
fn a_refusal_is_told_and_the_transport_goes_on() {
    play(|| {
        let socket = UdpSocket::bind(ANY)?;
        let address = socket.local_addr()?;
        drop(socket);
        let (client, note) = noted(DatagramEndpoint::new().remote_addr(address)?)?;
        for _ in 0..3 {
            client.send(b"anybody there?");
            assert_eq!(note.error()?.io_kind(), Some(IoKind::ConnectionRefused));
        }
        let socket = UdpSocket::bind(address)?;
        client.send(b"and now?");
        let (length, from) = socket.recv_from(&mut [0; 16])?;
        assert_eq!((length, from.into()), (8, client.get_extra_info().local_addr.expect("bound")));
        socket.send_to(b"yes", from)?;
        assert_eq!(note.datagram()?.0, b"yes");
        Ok(())
    });
}

#[test]
fn one_that_is_too_large_is_told_at_once() {
    play(|| {
        let (transport, note) = at_any()?;
        let address = transport.local_addr().expect("it is bound");
        transport.sendto(&vec![0; 70_000], address);
        let error = note.0.get_nowait().expect("nothing has to be waited for");
        let super::Call::Error(error) = error else { panic!("{error:?}") };
        let error = error.downcast_ref::<std::io::Error>().expect("the system's");
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        assert!(!transport.is_closing());
        Ok(())
    });
}

#[test]
fn an_address_of_another_family_is_an_error_of_that_datagram() {
    play(|| {
        let (transport, note) = at_any()?;
        let path = std::os::unix::net::SocketAddr::from_pathname("/nowhere")?;
        transport.sendto(b"?", path);
        let error = note.error()?;
        let error = error.downcast_ref::<std::io::Error>().expect("the system's");
        assert_eq!(error.raw_os_error(), Some(libc::EAFNOSUPPORT));
        Ok(())
    });
}

#[test]
fn broadcasting_has_to_be_allowed() {
    play(|| {
        let everybody = "127.255.255.255:9".parse::<std::net::SocketAddr>()?;
        let (transport, note) = at_any()?;
        transport.sendto(b"all", everybody);
        assert_eq!(note.error()?.io_kind(), Some(IoKind::PermissionDenied));

        let allowed = DatagramEndpoint::new().allow_broadcast(true);
        let (transport, note) = noted(allowed.clone().local_addr(ANY)?)?;
        transport.sendto(b"all", everybody);
        note.assert_nothing();

        // It sends to them all, and hears whoever answers.
        let (transport, note) = noted(allowed.remote_addr(everybody)?)?;
        transport.send(b"all");
        let port = transport.local_addr().expect("it has sent").port();
        UdpSocket::bind(ANY)?.send_to(b"here", ("127.0.0.1", port))?;
        assert_eq!(note.datagram()?.0, b"here");
        Ok(())
    });
}

/// What it does with a datagram is in the datagram.
#[derive(Default)]
struct Moody(Option<DatagramTransport>);

impl DatagramProtocol<Result> for Moody {
    fn connection_made(&mut self, transport: &DatagramTransport) -> Result {
        self.0 = Some(transport.clone());
        Err(Error::new(ErrorKind::Other, "made"))
    }

    fn datagram_received(&mut self, data: &[u8], from: &Address) -> Result {
        match data {
            b"err" => Err(Error::new(ErrorKind::Other, "received")),
            b"panic" => panic!("at the datagram"),
            data => {
                self.0.iter().for_each(|transport| transport.sendto(data, from));
                Ok(())
            }
        }
    }

    fn error_received(&mut self, _: Error) -> Result {
        Err(Error::new(ErrorKind::Other, "error"))
    }

    fn connection_lost(&mut self, _: Option<Error>) -> Result {
        Err(Error::new(ErrorKind::Other, "lost"))
    }
}

#[test]
fn what_a_callback_raises_is_reported_and_the_transport_goes_on() {
    play(|| {
        let reports = reports()?;
        let (moody, _) = DatagramEndpoint::new().local_addr(ANY)?.create(Moody::default)?;
        let address = moody.local_addr().expect("it is bound");
        let (client, note) = at_any()?;
        for data in [&b"err"[..], b"panic", b"still there?"] {
            client.sendto(data, address);
        }
        assert_eq!(note.datagram()?.0, b"still there?");
        moody.sendto(&[0; 70_000], address);
        moody.close();
        yield_now()?;
        yield_now()?;
        assert_eq!(
            *reports.borrow(),
            [
                "protocol.connection_made() failed: made",
                "protocol.datagram_received() failed: received",
                "protocol.datagram_received() failed: a protocol panicked: at the datagram",
                "protocol.error_received() failed: error",
                "protocol.connection_lost() failed: lost",
            ]
        );
        Ok(())
    });
}

/// Sends what is too large while it is being called.
struct Greedy {
    calls: Vec<&'static str>,
    transport: Option<DatagramTransport>,
    done: Future<Vec<&'static str>>,
}

impl DatagramProtocol for Greedy {
    fn connection_made(&mut self, transport: &DatagramTransport) {
        self.transport = Some(transport.clone());
    }

    fn datagram_received(&mut self, _: &[u8], from: &Address) {
        self.calls.push("received");
        if let Some(transport) = &self.transport {
            transport.sendto(&[0; 70_000], from);
        }
        self.calls.push("returned");
    }

    fn error_received(&mut self, _: Error) {
        self.calls.push("error");
        let _ = self.done.set_result(std::mem::take(&mut self.calls));
    }
}

#[test]
fn an_error_within_a_callback_is_told_after_it() {
    play(|| {
        let done = Future::new();
        let greedy = Greedy { calls: vec![], transport: None, done: done.clone() };
        let (transport, _) = DatagramEndpoint::new().local_addr(ANY)?.create(|| greedy)?;
        transport.sendto(b"to itself", transport.local_addr().expect("it is bound"));
        assert_eq!(done.wait()?, ["received", "returned", "error"]);
        Ok(())
    });
}

#[test]
fn what_is_sent_after_closing_is_reported_once() {
    play(|| {
        let reports = reports()?;
        let (transport, note) = at_any()?;
        let address = transport.local_addr().expect("it is bound");
        transport.close();
        // It still is closing until the loop goes on.
        transport.sendto(b"late", address);
        note.lost()?;
        transport.sendto(b"later", address);
        assert!(reports.borrow().len() <= 1, "{reports:?}");
        Ok(())
    });
}

#[test]
fn whoever_gives_up_while_it_is_made_leaves_nothing_open() {
    play(|| {
        let address = UdpSocket::bind(ANY)?.local_addr()?;
        let making = stackio::spawn(move || {
            DatagramEndpoint::new().local_addr(address)?.create(Note::new).map(|_| ())
        });
        yield_now()?;
        making.cancel();
        assert!(making.join().unwrap_err().is_cancelled());
        yield_now()?;
        yield_now()?;
        UdpSocket::bind(address)?;
        Ok(())
    });
}
