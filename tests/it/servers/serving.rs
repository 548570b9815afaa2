//! Where a server listens, when it begins, and how it ends: `asyncio.Server` of 3.13.

use std::net::{SocketAddr, TcpListener, TcpStream};

use stackio::{
    ErrorKind, Protocol, Result, Server, ServerBuilder, Transport, get_running_loop, millis, run,
    secs, spawn, yield_now,
};

use super::Echo;

const ANY: &str = "127.0.0.1:0";

struct Silent;

impl Protocol for Silent {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(b"hello");
    }
}

fn silent() -> Result<Server> {
    get_running_loop()?.create_server(|| Silent, ANY)
}

/// Connects, and waits until the server knows of it.
fn client(server: &Server) -> Result<TcpStream> {
    let count = server.client_count();
    let stream = TcpStream::connect(server.local_addrs()[0])?;
    while server.client_count() == count {
        yield_now()?;
    }
    Ok(stream)
}

#[test]
fn all_addresses_are_served() -> Result {
    run(|| {
        let ports: Vec<SocketAddr> = (0..3)
            .map(|_| TcpListener::bind(ANY).and_then(|listener| listener.local_addr()))
            .collect::<std::io::Result<_>>()?;
        // The same one twice is one.
        let addresses = [ports.clone(), ports.clone()].concat();
        let server = get_running_loop()?.create_server(|| Silent, &addresses[..])?;
        let mut listening = server.local_addrs();
        listening.sort_unstable();
        let mut expected = ports.clone();
        expected.sort_unstable();
        assert_eq!(listening, expected);
        for address in ports {
            drop(TcpStream::connect(address)?);
        }
        server.close();
        assert_eq!(server.local_addrs(), []);
        server.wait_closed()
    })
}

#[test]
fn one_address_that_is_taken_leaves_none_behind() -> Result {
    run(|| {
        let taken = TcpListener::bind(ANY)?;
        let free = TcpListener::bind(ANY)?.local_addr()?;
        let addresses = [free, taken.local_addr()?];
        let refused = get_running_loop()?.create_server(|| Silent, &addresses[..]).unwrap_err();
        assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::AddrInUse));
        assert!(refused.to_string().contains(&taken.local_addr()?.to_string()), "{refused}");
        TcpListener::bind(free)?;
        Ok(())
    })
}

#[test]
fn several_servers_share_a_port_if_all_say_so() -> Result {
    run(|| {
        let builder = ServerBuilder::new().reuse_port(true);
        let first = builder.create_server(|| Silent, ANY)?;
        let address = first.local_addrs()[0];
        let second = builder.create_server(|| Silent, address)?;
        let refused = get_running_loop()?.create_server(|| Silent, address).unwrap_err();
        assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::AddrInUse));
        let _clients =
            (0..50).map(|_| TcpStream::connect(address)).collect::<std::io::Result<Vec<_>>>()?;
        while first.client_count() + second.client_count() < 50 {
            yield_now()?;
        }
        assert!(first.client_count() > 0 && second.client_count() > 0);
        Ok(())
    })
}

#[test]
fn it_begins_when_it_is_told_to() -> Result {
    run(|| {
        let builder = ServerBuilder::new().start_serving(false);
        let server = builder.create_server(|| Silent, ANY)?;
        assert!(!server.is_serving());
        let address = server.local_addrs()[0];
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        server.start_serving()?;
        server.start_serving()?;
        assert!(server.is_serving());
        drop(client(&server)?);
        server.close();
        server.close();
        assert!(!server.is_serving());
        assert_eq!(server.start_serving().unwrap_err().kind(), ErrorKind::Runtime);
        assert_eq!(server.serve_forever().unwrap_err().kind(), ErrorKind::Runtime);
        Ok(())
    })
}

#[test]
fn what_cannot_listen_does_not_serve_and_may_try_again() -> Result {
    run(|| {
        // Two may have the address as long as none listens.
        let builder = ServerBuilder::new().start_serving(false);
        let first = builder.create_server(|| Silent, ANY)?;
        let address = first.local_addrs()[0];
        let second = builder.create_server(|| Silent, address)?;
        first.start_serving()?;
        let refused = second.start_serving().unwrap_err();
        assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::AddrInUse));
        assert!(!second.is_serving());
        first.close();
        second.start_serving()?;
        assert!(second.is_serving());
        drop(client(&second)?);
        Ok(())
    })
}

#[test]
fn a_creation_that_is_cancelled_leaves_no_server() -> Result {
    run(|| {
        let address = TcpListener::bind(ANY)?.local_addr()?;
        let task = spawn(move || get_running_loop()?.create_server(|| Silent, address).map(drop));
        yield_now()?;
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
        TcpListener::bind(address)?;
        Ok(())
    })
}

#[test]
fn closing_lets_connections_go_on_and_waiting_waits_for_them() -> Result {
    run(|| {
        let server = silent()?;
        let stream = client(&server)?;
        let waiting = server.clone();
        let task = spawn(move || waiting.wait_closed());
        yield_now()?;
        server.close();
        for _ in 0..100 {
            yield_now()?;
        }
        assert!(!task.done() && server.client_count() == 1);
        drop(stream);
        task.join()?;
        assert_eq!(server.client_count(), 0);
        server.wait_closed()
    })
}

#[test]
fn clients_are_closed_or_aborted_together() -> Result {
    run(|| {
        for end in [Server::close_clients, Server::abort_clients] {
            let server = silent()?;
            let streams = (client(&server)?, client(&server)?);
            end(&server);
            while server.client_count() > 0 {
                yield_now()?;
            }
            assert!(server.is_serving());
            server.close();
            server.wait_closed()?;
            drop(streams);
        }
        Ok(())
    })
}

#[test]
fn draining_waits_for_those_that_end_and_aborts_the_others() -> Result {
    run(|| {
        let server = silent()?;
        let (ends, stays) = (client(&server)?, client(&server)?);
        let task = spawn(move || {
            stackio::sleep(millis(5))?;
            drop(ends);
            Ok(())
        });
        assert_eq!(server.drain(millis(100))?, 1);
        task.join()?;
        drop(stays);
        let server = silent()?;
        let ends = client(&server)?;
        drop(ends);
        assert_eq!(server.drain(secs(25))?, 0);
        Ok(())
    })
}

#[test]
fn it_serves_until_it_is_cancelled_or_closed() -> Result {
    run(|| {
        for by_closing in [false, true] {
            let server = ServerBuilder::new().start_serving(false).create_server(|| Silent, ANY)?;
            let serving = server.clone();
            let task = spawn(move || serving.serve_forever());
            yield_now()?;
            assert!(server.is_serving());
            assert_eq!(server.serve_forever().unwrap_err().kind(), ErrorKind::Runtime);
            let stream = client(&server)?;
            if by_closing {
                server.close();
            } else {
                task.cancel();
            }
            yield_now()?;
            yield_now()?;
            assert!(!server.is_serving());
            assert!(!task.done(), "a connection is left");
            drop(stream);
            assert!(task.wait().unwrap_err().is_cancelled());
        }
        Ok(())
    })
}

#[test]
fn it_goes_on_without_handles() -> Result {
    run(|| {
        let address = {
            let server = get_running_loop()?.create_server(Echo::default, ANY)?;
            server.local_addrs()[0]
        };
        let (says, heard) = super::Says::new(b"still there");
        get_running_loop()?.create_connection(|| says, address)?;
        assert_eq!(heard.wait()?, b"still there");
        Ok(())
    })
}

#[test]
fn an_address_that_the_machine_does_not_have_is_left_out() -> Result {
    run(|| {
        let here: std::net::SocketAddr = "127.0.0.1:0".parse()?;
        // TEST-NET-1, of RFC 5737.
        let nowhere: std::net::SocketAddr = "192.0.2.1:0".parse()?;
        let event_loop = get_running_loop()?;
        let server = event_loop.create_server(Echo::default, &[here, nowhere][..])?;
        assert_eq!(server.local_addrs().len(), 1);
        let refused = event_loop.create_server(Echo::default, nowhere).unwrap_err();
        assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::AddrNotAvailable));
        Ok(())
    })
}
