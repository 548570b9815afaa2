//! How connections end, and what the protocols are told of it.

use std::io::ErrorKind;

use stackio::tls::TlsError;
use stackio::{Protocol, Result, Transport, get_running_loop, secs, sleep};

use super::{Recorder, info, play, play_reporting, secured, secured_by};
use crate::tls::{Authority, acquainted, pattern};

#[test]
fn what_was_written_before_close_arrives_and_then_the_end() {
    for chunk in [1, 1000, usize::MAX] {
        play(move |_| {
            let (near, far) = secured(chunk, Recorder::new(), Recorder::new())?;
            near.transport.write(&pattern(50_000));
            near.transport.writelines([b"one", &b""[..], b"two"]);
            near.transport.close();
            assert!(near.transport.is_closing());
            assert!(far.lost()?.is_none());
            assert!(near.lost()?.is_none());
            assert!(far.heard.borrow().data == [&pattern(50_000)[..], b"onetwo"].concat());
            assert_eq!(far.calls(), "made data eof lost");
            Ok(())
        });
    }
}

#[test]
fn a_protocol_that_wants_to_go_on_after_the_end_is_closed_all_the_same() {
    play(|_| {
        // The recorder's `eof_received` gives true.
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        far.transport.write(b"answer");
        near.transport.close();
        assert!(far.lost()?.is_none());
        assert!(near.lost()?.is_none());
        assert_eq!(near.calls(), "made lost", "nothing is received after close");
        Ok(())
    });
}

#[test]
fn both_sides_may_close_at_once() {
    play(|_| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        near.transport.close();
        far.transport.close();
        assert!(near.lost()?.is_none());
        assert!(far.lost()?.is_none());
        Ok(())
    });
}

#[test]
fn what_is_written_at_the_end_of_the_peer_is_sent() {
    struct Last(Option<Transport>);
    impl Protocol for Last {
        fn connection_made(&mut self, transport: &Transport) {
            self.0 = Some(transport.clone());
        }
        fn eof_received(&mut self) -> bool {
            self.0.iter().for_each(|transport| transport.write(&pattern(100_000)));
            false
        }
    }
    play(|_| {
        let (client, server) = acquainted()?;
        let event_loop = get_running_loop()?;
        let server = stackio::ServerBuilder::new()
            .tls(&server)
            .create_server(|| Last(None), "127.0.0.1:0")?;
        let connector = stackio::Connector::new().tls(&client).server_hostname("localhost");
        let (transport, _) =
            connector.create_connection(|| super::Plain, server.local_addrs()[0])?;
        // A client that ends its half and reads on, as openssl's does, is std's stream here.
        transport.abort();
        let below = stackio::net::TcpStream::connect(server.local_addrs()[0])?;
        let mut stream = stackio::tls::TlsStream::connect(&client, "localhost", below)?;
        stream.close_write()?;
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer)?;
        assert!(answer == pattern(100_000));
        server.close();
        drop(event_loop);
        server.wait_closed()
    });
}

#[test]
fn a_connection_that_is_cut_is_an_error_after_the_data() {
    play(|_| {
        let (near, far) = secured(1000, Recorder::new(), Recorder::new())?;
        near.transport.write(&pattern(5000));
        // The transport below ends as one does whose process is killed.
        near.below.write_eof();
        let error = far.lost()?.expect("an error");
        assert_eq!(error.io_kind(), Some(ErrorKind::UnexpectedEof), "{error}");
        assert!(error.to_string().contains("truncated"), "{error}");
        assert!(far.heard.borrow().data == pattern(5000));
        assert_eq!(far.calls(), "made data lost");
        near.lost()?;
        Ok(())
    });
}

#[test]
fn abort_ends_at_once_and_the_peer_knows_that_it_was_no_end() {
    play(|_| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        near.transport.write(&pattern(100_000));
        near.transport.abort();
        assert!(near.lost()?.is_none());
        let error = far.lost()?.expect("an error");
        assert_eq!(error.io_kind(), Some(ErrorKind::UnexpectedEof), "{error}");
        Ok(())
    });
}

#[test]
fn abort_and_close_for_a_reason_tell_it() {
    play(|_| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        near.transport.abort_with(stackio::ErrorKind::Timeout);
        assert_eq!(near.lost()?.map(|error| error.kind()), Some(stackio::ErrorKind::Timeout));
        far.lost()?;

        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        near.transport.write(b"bye");
        near.transport.close_with(stackio::ErrorKind::Value);
        assert_eq!(near.lost()?.map(|error| error.kind()), Some(stackio::ErrorKind::Value));
        assert!(far.lost()?.is_none());
        assert_eq!(far.heard.borrow().data, b"bye");
        Ok(())
    });
}

#[test]
fn garbage_ends_both_sides_with_an_error_each() {
    play(|_| {
        let (near, far) = secured(1000, Recorder::new(), Recorder::new())?;
        near.transport.write(b"good");
        near.below.write(b"\x17\x03\x03\x00\x20 this is not encrypted, you know!");
        let error = far.lost()?.expect("an error");
        assert!(error.downcast_ref::<TlsError>().is_some(), "{error:?}");
        assert_eq!(far.heard.borrow().data, b"good");
        let alert = near.lost()?.expect("an error");
        assert!(alert.to_string().contains("BadRecordMac"), "{alert}");
        Ok(())
    });
}

#[test]
fn a_peer_that_never_says_goodbye_is_given_up_after_half_a_minute() {
    play(|clock| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        far.transport.pause_reading();
        let begun = clock.now().as_millis();
        near.transport.close();
        let error = near.lost()?.expect("an error");
        assert_eq!(error.to_string(), "TLS with localhost: the shutdown took longer than 30s");
        assert_eq!(error.io_kind(), Some(ErrorKind::TimedOut));
        assert_eq!(clock.now().as_millis() - begun, 30_000);
        far.transport.resume_reading();
        far.lost()?;
        Ok(())
    });
}

#[test]
fn a_protocol_that_raises_ends_its_connection_and_no_other() {
    struct Strict;
    impl Protocol<Result> for Strict {
        fn data_received(&mut self, data: &[u8]) -> Result {
            std::str::from_utf8(data)?;
            Ok(())
        }
    }
    let (_, reports) = play_reporting(|_| {
        let (client, server) = acquainted()?;
        let server =
            stackio::ServerBuilder::new().tls(&server).create_server(|| Strict, "127.0.0.1:0")?;
        let connector = stackio::Connector::new().tls(&client).server_hostname("localhost");
        let connect = || {
            let recorder = Recorder::new();
            let ended = recorder.ended.clone();
            let made = connector.create_connection(|| recorder, server.local_addrs()[0])?;
            Ok::<_, stackio::Error>((made.0, ended))
        };
        let ((bad, ended), (good, _)) = (connect()?, connect()?);
        bad.write(b"\xff");
        ended.wait()?;
        assert!(!good.is_closing());
        assert_eq!(server.client_count(), 1);
        good.close();
        server.close();
        server.wait_closed()
    });
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0].contains("protocol.data_received() call failed"), "{reports:?}");
}

#[test]
fn writes_after_close_are_refused_and_there_is_no_half_close() {
    let (_, reports) = play_reporting(|_| {
        let (near, far) = secured(usize::MAX, Recorder::new(), Recorder::new())?;
        assert!(!near.transport.can_write_eof());
        let error = near.transport.try_write_eof().unwrap_err();
        assert_eq!(error.kind(), stackio::ErrorKind::Runtime);
        near.transport.write(b"before");
        near.transport.close();
        let error = near.transport.try_write(b"after").unwrap_err();
        assert_eq!(error.kind(), stackio::ErrorKind::Runtime, "{error}");
        near.transport.write(b"after");
        near.lost()?;
        far.lost()?;
        assert_eq!(far.heard.borrow().data, b"before");
        let error = near.transport.try_write(b"long after").unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::BrokenPipe));
        Ok(())
    });
    assert_eq!(reports.len(), 1, "{reports:?}");
}

#[test]
fn closing_while_reading_is_paused_still_ends_in_order() {
    play(|clock| {
        let (near, far) = secured(1000, Recorder::new(), Recorder::new())?;
        near.transport.pause_reading();
        far.transport.write(&pattern(200_000));
        sleep(secs(1))?;
        near.transport.close();
        assert!(near.lost()?.is_none());
        assert!(far.lost()?.is_none());
        assert_eq!(clock.now().as_millis() / 1000, 1, "nobody waited for a limit");
        Ok(())
    });
}

#[test]
fn sessions_are_resumed_among_transports() {
    play(|_| {
        let authority = Authority::new();
        let server = stackio::tls::ServerConfig::new(authority.issue("localhost").identity())?;
        let client = stackio::tls::ClientConfig::builder().roots(authority.roots()).build()?;
        for resumed in [false, true] {
            let (one, two) = (Recorder::new(), Recorder::new());
            let (near, far) = secured_by(&client, &server, usize::MAX, one, two)?;
            let known = info(&near.transport).expect("a session");
            assert_eq!(known.resumed(), resumed);
            assert_eq!(known.server_name(), Some("localhost"));
            far.transport.close();
            near.lost()?;
            far.lost()?;
        }
        Ok(())
    });
}
