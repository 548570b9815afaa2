//! Servers: what they listen on, and how they end.

mod serving;
mod trouble;
mod unix_names;

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::rc::Rc;

use stackio::{
    Connector, Error, Future, Protocol, Result, ServerBuilder, Transport, get_running_loop, run,
};

/// A path for a socket, in a directory that goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let directory = std::env::temp_dir().join(format!("stackio-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        Place(directory)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Default)]
struct Echo(Option<Transport>);

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) {
        self.0 = Some(transport.clone());
    }

    fn data_received(&mut self, data: &[u8]) {
        self.0.iter().for_each(|transport| transport.write(data));
    }
}

/// Says something, ends its side and gives what it hears until the end.
struct Says {
    what: &'static [u8],
    heard: Vec<u8>,
    all: Future<Vec<u8>>,
}

impl Says {
    fn new(what: &'static [u8]) -> (Says, Future<Vec<u8>>) {
        let all = Future::new();
        (Says { what, heard: Vec::new(), all: all.clone() }, all)
    }
}

impl Protocol for Says {
    fn connection_made(&mut self, transport: &Transport) {
        transport.write(self.what);
        transport.write_eof();
    }

    fn data_received(&mut self, data: &[u8]) {
        self.heard.extend_from_slice(data);
    }

    fn connection_lost(&mut self, error: Option<Error>) {
        let _ = match error {
            None => self.all.set_result(std::mem::take(&mut self.heard)),
            Some(error) => self.all.set_exception(error),
        };
    }
}

#[test]
fn a_unix_server_replaces_a_stale_socket_and_removes_its_own() -> Result {
    let place = Place::new("stale");
    let path = place.socket();
    drop(std::os::unix::net::UnixListener::bind(&path)?);
    assert!(path.exists(), "std leaves the file behind");
    let socket = path.clone();
    run(move || {
        let event_loop = get_running_loop()?;
        let server = event_loop.create_unix_server(Echo::default, &socket)?;
        let (says, heard) = Says::new(b"by path");
        let (transport, _) = event_loop.create_unix_connection(|| says, &socket)?;
        assert_eq!(
            transport.get_extra_info().peer_addr.unwrap().to_string(),
            socket.to_str().unwrap()
        );
        assert_eq!(heard.wait()?, b"by path");
        server.close();
        server.wait_closed()
    })?;
    assert!(!path.exists());
    Ok(())
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() -> Result {
    let place = Place::new("file");
    let path = place.socket();
    fs::write(&path, "precious")?;
    let socket = path.clone();
    let error =
        run(move || get_running_loop()?.create_unix_server(Echo::default, socket)).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::AddrInUse));
    assert_eq!(fs::read_to_string(&path)?, "precious");
    Ok(())
}

#[test]
fn the_file_of_a_successor_is_left_alone() -> Result {
    let place = Place::new("successor");
    let path = place.socket();
    let socket = path.clone();
    run(move || {
        let event_loop = get_running_loop()?;
        let first = event_loop.create_unix_server(Echo::default, &socket)?;
        let second = event_loop.create_unix_server(Echo::default, &socket)?;
        first.close();
        let (says, heard) = Says::new(b"still there");
        event_loop.create_unix_connection(|| says, &socket)?;
        assert_eq!(heard.wait()?, b"still there");
        second.close();
        Ok(())
    })?;
    assert!(!path.exists());
    Ok(())
}

#[test]
fn the_file_stays_if_that_is_asked_for() -> Result {
    let place = Place::new("stays");
    let path = place.socket();
    let socket = path.clone();
    run(move || {
        let builder = ServerBuilder::new().cleanup_socket(false);
        builder.create_unix_server(Echo::default, &socket)?.close();
        Ok(())
    })?;
    assert!(fs::metadata(&path)?.file_type().is_socket());
    Ok(())
}

#[test]
#[cfg(target_os = "linux")]
fn a_name_that_begins_with_zero_is_no_file() -> Result {
    let name = format!("\0stackio-abstract-{}", std::process::id());
    run(move || {
        let event_loop = get_running_loop()?;
        let _server = event_loop.create_unix_server(Echo::default, &name)?;
        let (says, heard) = Says::new(b"abstract");
        event_loop.create_unix_connection(|| says, &name)?;
        assert_eq!(heard.wait()?, b"abstract");
        Ok(())
    })
}

#[test]
fn a_factory_is_called_for_each_connection_and_may_count_them() -> Result {
    run(|| {
        let event_loop = get_running_loop()?;
        let made = Rc::new(Cell::new(0));
        let count = made.clone();
        let factory = move || {
            count.set(count.get() + 1);
            Echo::default()
        };
        let server = event_loop.create_server(factory, "127.0.0.1:0")?;
        for number in 1..=3 {
            let (says, heard) = Says::new(b"hello");
            Connector::new().create_connection(|| says, server.local_addrs()[0])?;
            assert_eq!(heard.wait()?, b"hello");
            assert_eq!(made.get(), number);
        }
        Ok(())
    })
}
