//! Streams over TLS: from the beginning, and from the middle on.

use std::io::BufRead;

use stackio::tls::TlsInfo;
use stackio::{Connector, Error, ErrorKind, ServerBuilder, spawn, stream_pair, stream_pair_with};

use super::flow::pattern;
use super::{rest, run};
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
        assert_eq!(refused.kind(), ErrorKind::Runtime);
        assert!(!writer.is_closing());
        reader.consume(3);
        writer.close();
        let late = writer.start_tls((&client, "localhost")).unwrap_err();
        assert_eq!(late.io_kind(), Some(std::io::ErrorKind::ConnectionReset));
        Ok(())
    })
    .unwrap();
}
