//! Streams over each sort of connection, with options.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use stackio::{
    Connector, ErrorKind, Result, ServerBuilder, StreamReader, StreamReaderProtocol, StreamWriter,
    open_connection, open_unix_connection, start_unix_server, stream_pair_with,
};

use super::run;

fn shout(reader: StreamReader, writer: StreamWriter) -> Result {
    while let line @ [_, ..] = &reader.readline()?[..] {
        writer.write(&line.to_ascii_uppercase());
        writer.drain()?;
    }
    Ok(())
}

/// A path that no other test uses.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("stackio-{}-{name}", std::process::id()))
}

#[test]
fn a_server_of_std_is_spoken_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = [0; 4];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(b"pong").unwrap();
        question
    });
    run(move || {
        let (reader, writer) = open_connection(address)?;
        assert_eq!(writer.get_extra_info().peer_addr.unwrap().inet(), Some(address));
        writer.write(b"ping");
        assert_eq!(reader.read_to_end()?, b"pong");
        writer.close();
        writer.wait_closed()
    })
    .unwrap();
    assert_eq!(server.join().unwrap(), *b"ping");
}

#[test]
fn a_refused_connection_is_an_error() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(move || open_connection(gone)).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::ConnectionRefused));
    let error = run(move || open_unix_connection(path("nobody"))).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
}

#[test]
fn a_unix_socket_is_served_and_connected_to() {
    run(|| {
        let path = path("served");
        let server = start_unix_server(shout, &path)?;
        let (reader, writer) = open_unix_connection(&path)?;
        writer.write(b"hello\n");
        assert_eq!(reader.readline()?, b"HELLO\n");
        drop((reader, writer));
        server.close();
        server.wait_closed()?;
        assert!(!path.exists());
        Ok(())
    })
    .unwrap();
}

#[test]
fn sockets_that_there_are_become_streams() {
    run(|| {
        let listener = std::os::unix::net::UnixListener::bind(path("adopted"))?;
        let server = ServerBuilder::new().start_server_on(shout, listener)?;
        let socket = UnixStream::connect(path("adopted"))?;
        std::fs::remove_file(path("adopted"))?;
        let (reader, writer) = Connector::new().open_socket(socket)?;
        writer.write(b"hello\n");
        assert_eq!(reader.readline()?, b"HELLO\n");
        server.close();
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_limit_is_that_of_the_builders() {
    run(|| {
        let (send, receive) = (path("limit"), path("limit"));
        let server = ServerBuilder::new().limit(4).start_unix_server(
            |reader, writer| {
                assert_eq!(reader.readline().unwrap_err().kind(), ErrorKind::Value);
                writer.write(b"123456789\n");
                Ok(())
            },
            send,
        )?;
        let (reader, writer) = Connector::new().limit(8).open_unix_connection(receive)?;
        writer.write(b"12345\n");
        assert_eq!(reader.readuntil(b"\n").unwrap_err().kind(), ErrorKind::LimitOverrun);
        server.close();
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_limit_of_0_is_refused_before_anybody_connects() {
    run(|| {
        let refused = [
            Connector::new().limit(0).open_connection("127.0.0.1:1").map(drop),
            Connector::new().limit(0).open_unix_connection(path("none")).map(drop),
            ServerBuilder::new().limit(0).start_server(shout, "127.0.0.1:0").map(drop),
            stream_pair_with(0, None).map(drop),
        ];
        for outcome in refused {
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Value);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_writer_of_ones_own_making_writes_as_the_others() {
    run(|| {
        let event_loop = stackio::get_running_loop()?;
        let (near, far) = (StreamReader::default(), StreamReader::default());
        let (first, second) = (StreamReaderProtocol::new(&near), StreamReaderProtocol::new(&far));
        let (one, two) = event_loop.create_pair(|| first, || second, 3)?;
        let (here, there) = (StreamWriter::new(one.0, &one.1)?, StreamWriter::new(two.0, &two.1)?);
        here.write(b"ping\n");
        assert_eq!(far.readline()?, b"ping\n");
        there.write_bytes(bytes::Bytes::from_static(b"pong\n"));
        assert_eq!(near.readline()?, b"pong\n");
        Ok(())
    })
    .unwrap();
}
