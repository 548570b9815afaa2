//! Handshakes that succeed: what both sides know then.

use std::io::{Read, Write};
use std::sync::Arc;

use stackio::tls::{ClientConfig, Roots, ServerConfig, TlsStream, Version};
use stackio::{Result, spawn};

use super::{
    Authority, acquainted, assert_refused, connected, failure, only_tls12, pem, play,
    play_virtually, shake, shake_over, sockets,
};

/// A byte there and a byte back.
fn exchange(
    near: &mut TlsStream<super::Pipe>,
    far: &mut TlsStream<super::Pipe>,
) -> std::io::Result<()> {
    let mut byte = [0];
    near.write_all(b"?")?;
    far.read_exact(&mut byte)?;
    assert_eq!(&byte, b"?");
    far.write_all(b"!")?;
    near.read_exact(&mut byte)?;
    assert_eq!(&byte, b"!");
    Ok(())
}

#[test]
fn both_sides_know_what_was_agreed_on() {
    play(|| {
        let authority = Authority::new();
        let made = authority.issue("localhost");
        let server = ServerConfig::new(made.identity())?;
        let client = ClientConfig::builder().roots(authority.roots()).build()?;
        let (near, far) = shake_over(sockets()?, &client, "localhost", &server)?;
        let (near, far) = (near?, far?);
        for info in [near.info(), far.info()] {
            assert_eq!(info.version(), Version::Tls13);
            assert!(
                ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"].contains(&info.cipher()),
                "{}",
                info.cipher()
            );
            assert_eq!(info.alpn(), None);
            assert_eq!(info.server_name(), Some("localhost"));
            assert!(!info.resumed());
        }
        assert_eq!(near.info().peer_certificates(), pem(&made.certificate));
        assert!(far.info().peer_certificates().is_empty());
        Ok(())
    });
}

#[test]
fn tls_1_2_is_spoken_with_those_who_know_no_better() {
    play_virtually(|_| {
        let authority = Authority::new();
        let server = ServerConfig::new(authority.issue("localhost").identity())?;
        let client = only_tls12(&authority)?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        assert_eq!(near.info().version().to_string(), "TLSv1.2");
        assert_eq!(far.info().version(), Version::Tls12);
        Ok(exchange(&mut near, &mut far)?)
    });
}

#[test]
fn an_old_version_can_be_refused() {
    play_virtually(|_| {
        let authority = Authority::new();
        let server = ServerConfig::builder(authority.issue("localhost").identity())
            .min_version(Version::Tls13)
            .build()?;
        let (near, far) = shake(&only_tls12(&authority)?, "localhost", &server)?;
        assert_refused(near, &["localhost", "ProtocolVersion"]);
        assert_refused(far, &["a client"]);
        Ok(())
    });
}

#[test]
fn the_protocol_is_the_first_of_the_server_that_the_client_offers() {
    play_virtually(|_| {
        let authority = Authority::new();
        let server = ServerConfig::builder(authority.issue("localhost").identity())
            .alpn(["h2", "http/1.1"])
            .build()?;
        let offering =
            |names: &[&str]| ClientConfig::builder().roots(authority.roots()).alpn(names).build();
        let (near, far) = connected(64 * 1024, &offering(&["http/1.1", "h2", "x"])?, &server)?;
        assert_eq!(near.info().alpn(), Some(&b"h2"[..]));
        assert_eq!(far.info().alpn(), Some(&b"h2"[..]));

        let (near, _far) = connected(64 * 1024, &offering(&[])?, &server)?;
        assert_eq!(near.info().alpn(), None, "who offers nothing gets in without");

        let (near, far) = shake(&offering(&["spdy"])?, "localhost", &server)?;
        assert_refused(near, &["localhost", "NoApplicationProtocol"]);
        assert_refused(far, &["protocol"]);
        Ok(())
    });
}

#[test]
fn a_server_can_be_asked_for_by_its_address() {
    play_virtually(|_| {
        let authority = Authority::new();
        let client = ClientConfig::builder().roots(authority.roots()).build()?;
        for name in ["127.0.0.1", "::1"] {
            let server = ServerConfig::new(authority.issue(name).identity())?;
            let (near, far) = shake(&client, name, &server)?;
            assert_eq!(near?.info().server_name(), Some(name));
            assert_eq!(far?.info().server_name(), None, "an address is not told");
        }
        Ok(())
    });
}

#[test]
fn a_server_of_many_names_shows_the_certificate_that_is_asked_for() {
    play_virtually(|_| {
        let authority = Authority::new();
        let (main, shop) = (authority.issue("example.org"), authority.issue("shop.example.org"));
        let server = ServerConfig::builder(main.identity())
            .identity_for("Shop.Example.org", shop.identity())
            .build()?;
        let client = ClientConfig::builder().roots(authority.roots()).build()?;
        for (name, made) in [("example.org", &main), ("shop.example.org", &shop)] {
            let (near, far) = shake(&client, name, &server)?;
            assert_eq!(near?.info().peer_certificates(), pem(&made.certificate));
            assert_eq!(far?.info().server_name(), Some(name));
        }
        let (near, _far) = shake(&client, "unknown.example.org", &server)?;
        assert_refused(near, &["unknown.example.org", "not valid for name"]);
        Ok(())
    });
}

/// A server that wants clients' certificates, and the authority that issues them.
fn exclusive(optional: bool) -> Result<(Authority, Authority, ServerConfig)> {
    let (authority, club) = (Authority::new(), Authority::new());
    let builder = ServerConfig::builder(authority.issue("localhost").identity());
    let server = if optional {
        builder.request_client_certificates(club.roots()).build()?
    } else {
        builder.require_client_certificates(club.roots()).build()?
    };
    Ok((authority, club, server))
}

#[test]
fn a_client_shows_its_certificate_to_a_server_that_wants_it() {
    play_virtually(|_| {
        for optional in [false, true] {
            let (authority, club, server) = exclusive(optional)?;
            let member = club.issue("member");
            let client = ClientConfig::builder()
                .roots(authority.roots())
                .identity(member.identity())
                .build()?;
            let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
            assert_eq!(far.info().peer_certificates(), pem(&member.certificate));
            exchange(&mut near, &mut far)?;
        }
        Ok(())
    });
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    play_virtually(|_| {
        let (authority, _club, server) = exclusive(false)?;
        let client = ClientConfig::builder().roots(authority.roots()).build()?;
        // In TLS 1.3 the client is done before the server has looked.
        let (near, far) = shake(&client, "localhost", &server)?;
        let heard = near?.read(&mut [0]);
        assert_refused(heard, &["localhost", "the connection failed", "CertificateRequired"]);
        assert!(failure(far).to_string().contains("no certificates"));

        let (near, far) = shake(&only_tls12(&authority)?, "localhost", &server)?;
        assert_refused(near, &["the handshake failed"]);
        assert_refused(far, &["a client", "no certificates"]);
        Ok(())
    });
}

#[test]
fn a_client_without_a_certificate_gets_in_where_it_is_a_wish() {
    play_virtually(|_| {
        let (authority, _club, server) = exclusive(true)?;
        let client = ClientConfig::builder().roots(authority.roots()).build()?;
        let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
        assert!(far.info().peer_certificates().is_empty());
        Ok(exchange(&mut near, &mut far)?)
    });
}

#[test]
fn a_stranger_is_refused_even_where_a_certificate_is_a_wish() {
    play_virtually(|_| {
        let (authority, _club, server) = exclusive(true)?;
        let client = ClientConfig::builder()
            .roots(authority.roots())
            .identity(Authority::new().issue("member").identity())
            .build()?;
        let (near, far) = shake(&client, "localhost", &server)?;
        assert_refused(far, &["a client", "UnknownIssuer"]);
        assert_refused(near?.read(&mut [0]), &["alert", "UnknownCA"]);
        Ok(())
    });
}

#[test]
fn a_session_is_resumed_unless_either_side_does_not_want_it() {
    play_virtually(|_| {
        for (client_would, server_would) in [(true, true), (false, true), (true, false)] {
            let authority = Authority::new();
            let server = ServerConfig::builder(authority.issue("localhost").identity())
                .resumption(server_would)
                .build()?;
            let client = ClientConfig::builder()
                .roots(authority.roots())
                .resumption(client_would)
                .build()?;
            for expected in [false, client_would && server_would] {
                let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
                assert_eq!(near.info().resumed(), expected);
                assert_eq!(far.info().resumed(), expected);
                // The tickets come with the first data.
                exchange(&mut near, &mut far)?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_session_of_tls_1_2_is_resumed_too() {
    play_virtually(|_| {
        let authority = Authority::new();
        let server = ServerConfig::new(authority.issue("localhost").identity())?;
        let client = only_tls12(&authority)?;
        for expected in [false, true] {
            let (mut near, mut far) = connected(64 * 1024, &client, &server)?;
            assert_eq!((near.info().resumed(), far.info().resumed()), (expected, expected));
            exchange(&mut near, &mut far)?;
        }
        Ok(())
    });
}

#[test]
fn a_handshake_comes_through_a_narrow_wire() {
    play_virtually(|_| {
        let (client, server) = acquainted()?;
        // Less than a flight of the server, more than what a client says in between.
        let (near, far) = super::wires::pipes(100);
        let serving = spawn(move || {
            let mut far = TlsStream::accept(&server, far)?;
            far.write_all(b"!")?;
            Ok(far.read(&mut [0])?)
        });
        let mut near = TlsStream::connect(&client, "localhost", near)?;
        near.read_exact(&mut [0])?;
        near.close_write()?;
        assert_eq!(serving.join()?, 0);
        Ok(())
    });
}

#[test]
fn a_configuration_of_rustls_is_taken_as_it_is() {
    let authority = Authority::new();
    let config = only_tls12(&authority).expect("a configuration");
    let inner = config.rustls().clone();
    assert!(Arc::ptr_eq(ClientConfig::from(inner.clone()).rustls(), &inner));
    assert_eq!(Roots::empty().len(), 0);
}
