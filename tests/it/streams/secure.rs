//! Streams over TLS: from the beginning, and from the middle on.

use std::cell::Cell;
use std::io::{BufRead, ErrorKind, Read, Write};
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream};
use stackio::tls::{TlsInfo, TlsStream};
use stackio::{
    Connector, Error, Result, ServerBuilder, StreamReader, StreamWriter, spawn, stream_pair,
    stream_pair_with, yield_now,
};

use super::flow::pattern;
use super::{reported, rest, run};
use crate::tls::acquainted;

#[test]
fn servers_and_connections_speak_tls() {
    run(|| {
        let (client, server) = acquainted()?;
        let serve = ServerBuilder::new().tls(&server);
        let server = serve.start_server(
            |reader, writer| {
                // The end of the stream is told by TLS as well.
                let all = reader.read_to_end()?;
                assert_eq!(all, pattern(300_000));
                assert!(!writer.can_write_eof());
                Ok(())
            },
            "127.0.0.1:0",
        )?;
        let connector = Connector::new().tls(&client).server_hostname("localhost");
        let (reader, writer) = connector.open_connection(server.local_addrs()[0])?;
        assert!(writer.get_extra_info().get::<TlsInfo>().is_some());
        writer.write(&pattern(300_000));
        writer.close();
        writer.wait_closed()?;
        assert_eq!(reader.read(1)?, b"");
        server.close();
        server.wait_closed()
    })
    .unwrap();
}

#[test]
fn a_stream_goes_over_to_tls_and_back_pressure_with_it() {
    run(|| {
        let (client, server) = acquainted()?;
        let ((reader, writer), (from, to)) = stream_pair_with(100, None)?;
        let before = writer.transport();
        let sending = spawn(move || {
            to.start_tls(&server)?;
            for piece in pattern(200_000).chunks(1000) {
                to.write(piece);
                to.drain()?;
            }
            Ok(())
        });
        writer.start_tls((&client, "localhost"))?;
        assert!(writer.transport() != before);
        rest()?;
        // More than twice the limit waits to be read.
        assert!(!writer.transport().is_reading());
        assert_eq!(reader.read_to_end()?, pattern(200_000));
        sending.join()?;
        drop(from);
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_a_peer_sends_in_clear_is_not_taken_for_encrypted() {
    run(|| {
        let (client, _) = acquainted()?;
        let ((reader, writer), (_from, to)) = stream_pair()?;
        to.write(b"go ahead\nand this was put in between\n");
        assert_eq!(reader.readline()?, b"go ahead\n");
        let refused = writer.start_tls((&client, "localhost")).unwrap_err();
        assert_eq!(refused.io_kind(), Some(std::io::ErrorKind::InvalidData));
        assert!(reader.readline().is_err());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_handshake_that_comes_early_is_not_lost() {
    run(|| {
        let (client, server) = acquainted()?;
        let ((reader, writer), (from, to)) = stream_pair()?;
        let shaking = spawn(move || {
            writer.start_tls((&client, "localhost"))?;
            writer.write(b"hello\n");
            writer.drain()?;
            reader.readline()
        });
        rest()?;
        to.start_tls(&server)?;
        to.write(&from.readline()?);
        assert_eq!(shaking.join()?, b"hello\n");
        Ok(())
    })
    .unwrap();
}

#[test]
fn bytes_that_are_being_looked_at_are_in_the_way() {
    run(|| {
        let (client, _) = acquainted()?;
        let ((mut reader, writer), (_from, to)) = stream_pair()?;
        to.write(b"abc");
        reader.fill_buf()?;
        let refused: Error = writer.start_tls((&client, "localhost")).unwrap_err();
        assert_eq!(refused.kind(), stackio::ErrorKind::Runtime);
        assert!(!writer.is_closing());
        reader.consume(3);
        writer.close();
        let late = writer.start_tls((&client, "localhost")).unwrap_err();
        assert_eq!(late.io_kind(), Some(std::io::ErrorKind::ConnectionReset));
        Ok(())
    })
    .unwrap();
}

/// A server that does `serve` with its one connection, and a stream to it.
fn stream_to(
    serve: impl FnOnce(TlsStream<TcpStream>) -> Result + 'static,
) -> Result<(StreamReader, StreamWriter)> {
    let (client, server) = acquainted()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    spawn(move || serve(TlsStream::accept(&server, listener.accept()?.0)?));
    Connector::new().tls(&client).server_hostname("localhost").open_connection(address)
}

#[test]
fn what_came_before_a_stream_was_cut_can_be_read() {
    run(|| {
        for operation in ["read", "readexactly", "readline"] {
            let (reader, _writer) = stream_to(|mut peer| {
                peer.write_all(b"one\ntwo\nand ")?;
                // Without a word.
                drop(peer);
                Ok(())
            })?;
            assert_eq!(reader.readline()?, b"one\n");
            // The end of the connection has been seen when this goes on.
            while reader.exception().is_none() {
                yield_now()?;
            }
            assert_eq!(reader.readline()?, b"two\n");
            let cut = match operation {
                "read" => {
                    assert_eq!(reader.read(100)?, b"and ");
                    reader.read(100)
                }
                "readexactly" => reader.readexactly(5),
                _ => reader.readline(),
            };
            let cut = cut.unwrap_err();
            assert_eq!(cut.io_kind(), Some(ErrorKind::UnexpectedEof), "{operation}: {cut}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn who_waits_for_more_hears_that_the_stream_was_cut() {
    run(|| {
        let (reader, _writer) = stream_to(|peer| {
            rest()?;
            drop(peer);
            Ok(())
        })?;
        let cut = reader.read(100).unwrap_err();
        assert_eq!(cut.io_kind(), Some(ErrorKind::UnexpectedEof), "{cut}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_writer_hears_that_its_peer_has_closed() {
    run(|| {
        let (_reader, writer) = stream_to(|mut peer| {
            peer.close_write()?;
            let mut wire = peer.get_ref();
            while wire.read(&mut [0; 1000])? > 0 {
                yield_now()?;
            }
            Ok(())
        })?;
        let ended = (0..1000).try_for_each(|_| {
            writer.write(&[b'x'; 64 * 1024]);
            writer.drain()
        });
        let ended = ended.unwrap_err().io_kind();
        assert!(matches!(ended, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)));
        Ok(())
    })
    .unwrap();
}

#[test]
fn how_a_peer_ends_is_nobodys_mistake() {
    run(|| {
        let reports = reported()?;
        let (client, server) = acquainted()?;
        let served = Rc::new(Cell::new(0));
        let count = served.clone();
        let handler = move |reader: StreamReader, writer: StreamWriter| {
            count.set(count.get() + 1);
            let line = reader.readline()?;
            writer.write(&line);
            writer.drain()?;
            reader.readline().map(drop)
        };
        let server = ServerBuilder::new().tls(&server).start_server(handler, "127.0.0.1:0")?;
        for says_goodbye in [true, false] {
            let stream = TcpStream::connect(server.local_addrs()[0])?;
            let mut stream = TlsStream::connect(&client, "localhost", stream)?;
            stream.write_all(b"hello\n")?;
            if says_goodbye {
                stream.close_write()?;
            }
        }
        server.close();
        server.wait_closed()?;
        rest()?;
        assert_eq!(served.get(), 2);
        assert!(reports.borrow().is_empty(), "{:?}", reports.borrow());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_peer_that_has_ended_is_not_asked_for_a_handshake() {
    run(|| {
        let (client, _) = acquainted()?;
        let ((reader, writer), (_from, to)) = stream_pair()?;
        to.write_eof();
        assert_eq!(reader.read(1)?, b"");
        let refused = writer.start_tls((&client, "localhost")).unwrap_err();
        assert_eq!(refused.io_kind(), Some(ErrorKind::ConnectionReset), "{refused}");
        Ok(())
    })
    .unwrap();
}
