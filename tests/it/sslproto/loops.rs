//! TLS by the loop's methods: who is told of a handshake that fails, and who is not.

use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream};
use stackio::tls::{ClientConfig, ServerConfig, TlsError, TlsStream};
use stackio::{Connector, Result, Server, ServerBuilder, secs, spawn, to_thread};

use super::{Plain, Recorder, play};
use crate::tls::{Authority, acquainted, only_tls12};

/// An echo by TLS, and how often its protocol was told of a connection.
fn echo(config: &ServerConfig) -> Result<(Server, Rc<std::cell::Cell<usize>>)> {
    let made = Rc::new(std::cell::Cell::new(0));
    let count = made.clone();
    let factory = move || {
        let count = count.clone();
        let mut recorder = Recorder::doing(|transport, data| transport.write(data));
        recorder.on_made = Box::new(move |_| count.set(count.get() + 1));
        recorder
    };
    let server = ServerBuilder::new().tls(config).create_server(factory, "127.0.0.1:0")?;
    Ok((server, made))
}

/// Gives way to the loop and what is real until it is so.
fn until(mut is_so: impl FnMut() -> bool) -> Result {
    while !is_so() {
        to_thread(|| ())?;
    }
    Ok(())
}

#[test]
fn protocols_and_sequential_streams_understand_each_other() {
    play(|_| {
        let authority = Authority::new();
        let config = ServerConfig::new(authority.issue("localhost").identity())?;
        let (server, made) = echo(&config)?;
        let modern = ClientConfig::builder().roots(authority.roots()).build()?;
        for client in [modern, only_tls12(&authority)?] {
            let stream = TcpStream::connect(server.local_addrs()[0])?;
            let mut stream = TlsStream::connect(&client, "localhost", stream)?;
            stream.write_all(b"hello")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            assert_eq!(&answer, b"hello");
            stream.close()?;
        }
        until(|| server.client_count() == 0)?;
        assert_eq!(made.get(), 2);
        Ok(())
    });
}

#[test]
fn a_client_refuses_and_the_server_goes_on() {
    play(|_| {
        let authority = Authority::new();
        let config = ServerConfig::new(authority.issue("localhost").identity())?;
        let (server, made) = echo(&config)?;
        let address = server.local_addrs()[0];
        let stranger = ClientConfig::builder().roots(Authority::new().roots()).build()?;
        let friend = ClientConfig::builder().roots(authority.roots()).build()?;
        for (client, name) in [(&stranger, "localhost"), (&friend, "example.org")] {
            let connector = Connector::new().tls(client).server_hostname(name);
            let error = connector.create_connection(Recorder::new, address).unwrap_err();
            assert!(error.downcast_ref::<TlsError>().is_some_and(TlsError::is_certificate));
            assert!(error.to_string().contains(name), "{error}");
        }
        until(|| server.client_count() == 0)?;
        assert_eq!(made.get(), 0, "no protocol hears of a handshake that failed");

        let connector = Connector::new().tls(&friend).server_hostname("localhost");
        let (transport, _) = connector.create_connection(Recorder::new, address)?;
        // The client is done with its handshake first.
        until(|| made.get() == 1)?;
        transport.close();
        server.close();
        server.wait_closed()
    });
}

#[test]
fn the_host_that_is_connected_to_is_the_name_that_is_expected() {
    play(|_| {
        let authority = Authority::new();
        let config = ServerConfig::new(authority.issue("127.0.0.1").identity())?;
        let (server, _) = echo(&config)?;
        let client = ClientConfig::builder().roots(authority.roots()).build()?;
        let connector = Connector::new().tls(&client);
        let address = server.local_addrs()[0];
        for transport in [
            connector.create_connection(Recorder::new, address)?.0,
            connector.create_connection(Recorder::new, ("127.0.0.1", address.port()))?.0,
            connector.create_connection(Recorder::new, address.to_string())?.0,
        ] {
            transport.close();
        }
        let named = ("localhost", address.port());
        let error = connector.create_connection(Recorder::new, named).unwrap_err();
        assert!(error.to_string().contains("localhost"), "{error}");

        let socket = std::net::TcpStream::connect(address)?;
        let error = connector.adopt(Recorder::new, socket).unwrap_err();
        assert_eq!(error.kind(), stackio::ErrorKind::Value);
        assert!(error.to_string().contains("server_hostname"), "{error}");
        Ok(())
    });
}

#[test]
fn garbage_and_silence_reach_no_protocol_of_the_server() {
    play(|_| {
        let (client, config) = acquainted()?;
        let (server, made) = echo(&config)?;
        let address = server.local_addrs()[0];
        let mut garbage = TcpStream::connect(address)?;
        garbage.write_all(b"GET / HTTP/1.1\r\n\r\n")?;
        let mut answer = Vec::new();
        garbage.read_to_end(&mut answer)?;
        assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");

        let silent = TcpStream::connect(address)?;
        until(|| server.client_count() == 1)?;
        let connector = Connector::new().tls(&client).server_hostname("localhost");
        let (transport, _) = connector.create_connection(Recorder::new, address)?;
        // The client is done with its handshake first.
        until(|| made.get() == 1)?;
        transport.close();
        drop(silent);
        until(|| server.client_count() == 0)?;
        assert_eq!(made.get(), 1);
        Ok(())
    });
}

#[test]
fn a_server_ends_handshakes_with_its_connections() {
    play(|_| {
        let (_, config) = acquainted()?;
        let (server, made) = echo(&config)?;
        let mut silent = TcpStream::connect(server.local_addrs()[0])?;
        until(|| server.client_count() == 1)?;
        server.close();
        server.close_clients();
        server.wait_closed()?;
        assert_eq!(silent.read(&mut [0])?, 0);
        assert_eq!(made.get(), 0);
        Ok(())
    });
}

#[test]
fn a_peer_that_goes_in_the_handshake_is_told_to_whoever_connects() {
    play(|_| {
        let (client, _) = acquainted()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let leaving = spawn(move || {
            let (mut stream, _) = listener.accept()?;
            stream.read_exact(&mut [0; 20])?;
            Ok(())
        });
        let connector = Connector::new().tls(&client).server_hostname("localhost");
        let error = connector.create_connection(Recorder::new, address).unwrap_err();
        let gone = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe];
        assert!(error.io_kind().is_some_and(|kind| gone.contains(&kind)), "{error:?}");
        leaving.join()
    });
}

#[test]
fn a_cancelled_connection_is_gone() {
    play(|_| {
        let (client, _) = acquainted()?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let connecting = spawn(move || {
            let connector = Connector::new().tls(&client).server_hostname("localhost");
            connector.create_connection(|| Plain, address).map(|_| ())
        });
        let (mut stream, _) = listener.accept()?;
        stream.read_exact(&mut [0; 20])?;
        connecting.cancel();
        assert!(connecting.join().unwrap_err().is_cancelled());
        let mut rest = Vec::new();
        let _reset_or_end = stream.read_to_end(&mut rest);
        Ok(())
    });
}

#[test]
fn unix_sockets_speak_tls_too() {
    play(|_| {
        let (client, config) = acquainted()?;
        let (near, far) = std::os::unix::net::UnixStream::pair()?;
        let serving = std::thread::spawn(move || -> std::io::Result<()> {
            let mut far = TlsStream::accept(&config, far)?;
            let mut byte = [0];
            far.read_exact(&mut byte)?;
            far.write_all(&byte)?;
            far.close()
        });
        let recorder = Recorder::beginning(|transport| transport.write(b"!"));
        let (heard, ended) = (recorder.heard.clone(), recorder.ended.clone());
        let connector = Connector::new().tls(&client).server_hostname("localhost");
        connector.adopt(|| recorder, near)?;
        ended.wait()?;
        assert_eq!(heard.borrow().data, b"!");
        assert_eq!(heard.borrow().calls.join(" "), "made data eof lost");
        serving.join().expect("no panic")?;
        Ok(())
    });
}

#[test]
fn limits_of_time_are_those_of_the_configuration() {
    play(|_| {
        let authority = Authority::new();
        let config = ServerConfig::builder(authority.issue("localhost").identity())
            .handshake_timeout(secs(0))
            .build()?;
        let (server, made) = echo(&config)?;
        let mut silent = TcpStream::connect(server.local_addrs()[0])?;
        assert_eq!(silent.read(&mut [0])?, 0);
        assert_eq!(made.get(), 0);
        Ok(())
    });
}

/// A protocol that owns something, and does not know its transport.
struct Keeper(#[expect(dead_code, reason = "it is counted")] Rc<()>);
impl stackio::Protocol for Keeper {}

#[test]
fn connections_that_are_left_open_go_with_their_loop() {
    let token = Rc::new(());
    let held = token.clone();
    play(move |_| {
        let (client, config) = acquainted()?;
        let (server, made) = echo(&config)?;
        let connector = Connector::new().tls(&client).server_hostname("localhost");
        let keeper = Keeper(held);
        connector.create_connection(|| keeper, server.local_addrs()[0])?;
        until(|| made.get() == 1)
    });
    assert_eq!(Rc::strong_count(&token), 1, "the protocol is still there");
}
