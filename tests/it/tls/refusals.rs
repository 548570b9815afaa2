//! Handshakes that must not succeed, and peers that do not know how.

use std::io::{ErrorKind, Read, Write};

use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig, TlsStream};
use stackio::{Result, millis, secs, sleep, spawn};

use super::wires::pipes;
use super::{
    Authority, Made, acquainted, assert_refused, connected, failure, play_virtually, shake,
};

/// The words of a client that trusts the authority, and of the server that showed it that
/// certificate.
#[track_caller]
fn refuses(authority: &Authority, made: &Made, name: &str, words: &[&str]) -> Result {
    let server = ServerConfig::new(made.identity())?;
    let client = ClientConfig::builder().roots(authority.roots()).build()?;
    let (near, far) = shake(&client, name, &server)?;
    assert_refused(near, &[&format!("TLS with {name}: the handshake failed"), "certificate"]);
    assert_refused(far, words);
    Ok(())
}

#[test]
fn an_expired_certificate_is_refused() {
    play_virtually(|_| {
        let authority = Authority::new();
        let made = authority.issue_with("localhost", |params| {
            params.not_before = rcgen::date_time_ymd(2000, 1, 1);
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        });
        refuses(&authority, &made, "localhost", &["CertificateExpired"])
    });
}

#[test]
fn a_certificate_from_the_future_is_refused() {
    play_virtually(|_| {
        let authority = Authority::new();
        let made = authority.issue_with("localhost", |params| {
            params.not_before = rcgen::date_time_ymd(3000, 1, 1);
            params.not_after = rcgen::date_time_ymd(3001, 1, 1);
        });
        refuses(&authority, &made, "localhost", &["CertificateExpired"])
    });
}

#[test]
fn the_certificate_of_another_server_is_refused() {
    play_virtually(|_| {
        let authority = Authority::new();
        let made = authority.issue("example.org");
        refuses(&authority, &made, "localhost", &["alert"])
    });
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    play_virtually(|_| {
        let made = Authority::new().issue("localhost");
        refuses(&Authority::new(), &made, "localhost", &["UnknownCA"])
    });
}

#[test]
fn a_certificate_that_somebody_issued_to_himself_is_refused_until_it_is_trusted() {
    play_virtually(|_| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let itself = Made { certificate: certificate.clone(), key };
        refuses(&Authority::new(), &itself, "localhost", &["UnknownCA"])?;

        let client = ClientConfig::builder().roots(Roots::from_pem(certificate)?).build()?;
        let server = ServerConfig::new(itself.identity())?;
        let (near, far) = shake(&client, "localhost", &server)?;
        near?;
        far?;
        Ok(())
    });
}

#[test]
fn a_certificate_refusal_can_be_told_from_other_failures() {
    play_virtually(|_| {
        let server = ServerConfig::new(Authority::new().issue("localhost").identity())?;
        let client = ClientConfig::builder().roots(Authority::new().roots()).build()?;
        let (near, far) = shake(&client, "localhost", &server)?;
        let is_certificate = |error: &stackio::Error| {
            error.downcast_ref::<stackio::tls::TlsError>().is_some_and(|e| e.is_certificate())
        };
        assert!(is_certificate(&failure(near)));
        assert!(!is_certificate(&failure(far)), "an alert came");
        Ok(())
    });
}

#[test]
fn what_is_no_name_is_an_error_before_anything_is_sent() {
    play_virtually(|_| {
        let (client, _server) = acquainted()?;
        for name in ["", "two words", "-", "a..b"] {
            let (near, far) = pipes(1024);
            let error = failure(TlsStream::connect(&client, name, near));
            assert_eq!(error.kind(), stackio::ErrorKind::Value, "{name:?}: {error}");
            assert_eq!((&far).read(&mut [0])?, 0);
        }
        Ok(())
    });
}

#[test]
fn garbage_from_the_server_fails_the_handshake() {
    play_virtually(|_| {
        let (client, _server) = acquainted()?;
        let (near, mut far) = pipes(64 * 1024);
        far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
        assert_refused(TlsStream::connect(&client, "localhost", near), &["the handshake failed"]);
        Ok(())
    });
}

#[test]
fn garbage_from_the_client_fails_the_handshake_and_is_answered_by_an_alert() {
    play_virtually(|_| {
        let (_client, server) = acquainted()?;
        for garbage in [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &[0; 100], &[255; 9]] {
            let (mut near, far) = pipes(64 * 1024);
            near.write_all(garbage)?;
            assert_refused(TlsStream::accept(&server, far), &["a client", "the handshake failed"]);
            let mut answer = Vec::new();
            near.read_to_end(&mut answer)?;
            assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
        }
        Ok(())
    });
}

#[test]
fn a_peer_that_goes_in_the_handshake_is_an_unexpected_end() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        let (near, far) = pipes(64 * 1024);
        drop(far);
        let gone = failure(TlsStream::connect(&client, "localhost", near));
        assert_eq!(gone.io_kind(), Some(ErrorKind::BrokenPipe), "{gone}");

        let (near, far) = pipes(64 * 1024);
        far.shut();
        let gone = failure(TlsStream::connect(&client, "localhost", near));
        assert_eq!(gone.io_kind(), Some(ErrorKind::UnexpectedEof), "{gone}");
        assert!(gone.to_string().contains("TLS with localhost"), "{gone}");

        let (mut near, far) = pipes(64 * 1024);
        near.write_all(&[22, 3, 1, 2])?;
        near.shut();
        let gone = failure(TlsStream::accept(&server, far));
        assert_eq!(gone.io_kind(), Some(ErrorKind::UnexpectedEof), "{gone}");
        Ok(())
    });
}

#[test]
fn a_silent_peer_gets_a_minute() {
    play_virtually(|clock| {
        let (client, server) = acquainted()?;
        let (near, _far) = pipes(64 * 1024);
        let late = failure(TlsStream::connect(&client, "localhost", near));
        assert!(late.is_timeout(), "{late:?}");
        assert_eq!(late.to_string(), "TLS with localhost: the handshake took longer than 60s");
        assert_eq!(clock.now().as_millis() / 1000, 60);

        let (_near, far) = pipes(64 * 1024);
        let late = failure(TlsStream::accept(&server, far));
        assert!(late.is_timeout(), "{late:?}");
        assert_eq!(clock.now().as_millis() / 1000, 120);
        Ok(())
    });
}

#[test]
fn a_peer_that_drips_gets_no_more_time_than_a_silent_one() {
    play_virtually(|clock| {
        let authority = Authority::new();
        let server = ServerConfig::builder(authority.issue("localhost").identity())
            .handshake_timeout(secs(5))
            .build()?;
        let (mut near, far) = pipes(64 * 1024);
        let dripping = spawn(move || -> Result {
            // The head of a long record.
            near.write_all(&[22, 3, 1, 32, 0])?;
            loop {
                sleep(millis(100))?;
                near.write_all(&[1])?;
            }
        });
        let late = failure(TlsStream::accept(&server, far));
        assert_eq!(late.io_kind(), Some(ErrorKind::TimedOut), "{late:?}");
        assert_eq!(clock.now().as_millis(), 5000);
        let gone = dripping.join().unwrap_err();
        assert_eq!(gone.io_kind(), Some(ErrorKind::BrokenPipe), "the stream is closed");
        Ok(())
    });
}

#[test]
fn a_cancelled_handshake_is_a_cancellation() {
    play_virtually(|_| {
        let (client, _server) = acquainted()?;
        let (near, far) = pipes(64 * 1024);
        let connecting = spawn(move || Ok(TlsStream::connect(&client, "localhost", near)?));
        (&far).read_exact(&mut [0; 5])?;
        connecting.cancel_with("enough");
        let error = connecting.join().unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        assert_eq!(error.message(), Some("enough"));
        Ok(())
    });
}

#[test]
fn an_identity_of_many_certificates_is_sent_whole() {
    play_virtually(|_| {
        let authority = Authority::new();
        let made = authority.issue("localhost");
        let chain = format!("{}{}", made.certificate, authority.pem);
        let server = ServerConfig::new(Identity::from_pem(chain, &made.key)?)?;
        let client = ClientConfig::builder().roots(authority.roots()).build()?;
        let (near, _far) = shake(&client, "localhost", &server)?;
        assert_eq!(near?.info().peer_certificates().len(), 2);
        Ok(())
    });
}

#[test]
fn a_peer_that_does_not_say_that_it_ends_is_waited_for_as_long_as_was_said() {
    play_virtually(|clock| {
        let authority = Authority::new();
        let server = ServerConfig::builder(authority.issue("localhost").identity())
            .shutdown_timeout(secs(3))
            .build()?;
        let client =
            ClientConfig::builder().roots(authority.roots()).shutdown_timeout(secs(2)).build()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        let late = failure(near.close());
        assert_eq!(late.io_kind(), Some(ErrorKind::TimedOut), "{late:?}");
        assert_eq!(clock.now().as_millis(), 2000);
        // The other one has been told that this one ends, and needs not wait.
        far.close()?;
        Ok(())
    });
}
