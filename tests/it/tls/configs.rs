//! Configurations that cannot be say what is wrong with them.

use std::path::Path;

use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig};
use stackio::{Error, ErrorKind};

use super::Authority;

#[track_caller]
fn assert_invalid<T>(made: Result<T, Error>, words: &[&str]) {
    let Err(error) = made else { panic!("it should not have been made") };
    assert_eq!(error.kind(), ErrorKind::Value, "{error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "no {word:?} in {error}");
    }
}

#[test]
fn pem_without_what_is_looked_for_is_refused() {
    let made = Authority::new().issue("localhost");
    assert_invalid(Roots::from_pem(""), &["no certificate in the PEM text"]);
    assert_invalid(Roots::from_pem(&made.key), &["no certificate"]);
    assert_invalid(Identity::from_pem(&made.certificate, ""), &["no private key"]);
    assert_invalid(Identity::from_pem(&made.key, &made.key), &["no certificate"]);
}

#[test]
fn damaged_pem_is_refused() {
    let made = Authority::new().issue("localhost");
    let cut = &made.certificate[..made.certificate.len() / 2];
    assert_invalid(Roots::from_pem(cut), &["not valid PEM"]);
    let scribbled = made.certificate.replacen("\nM", "\n!", 1);
    assert_invalid(Identity::from_pem(scribbled, &made.key), &["not valid PEM"]);
    let of_nothing = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_invalid(Roots::from_pem(of_nothing), &["a root certificate cannot be used"]);
    assert_invalid(Identity::from_pem(of_nothing, &made.key), &["certificate cannot be used"]);
}

#[test]
fn a_key_that_belongs_to_another_certificate_is_refused() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("localhost"), authority.issue("localhost"));
    let words = ["the private key does not fit the certificate"];
    assert_invalid(Identity::from_pem(&one.certificate, &other.key), &words);
}

#[test]
fn an_encrypted_key_is_named_as_such() {
    let made = Authority::new().issue("localhost");
    let key = made.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_invalid(Identity::from_pem(&made.certificate, key), &["is encrypted"]);
}

#[test]
fn certificate_and_key_may_be_in_one_text() {
    let made = Authority::new().issue("localhost");
    let both = format!("a comment\n{}\n{}", made.key, made.certificate);
    assert!(Identity::from_pem(&both, &both).is_ok());
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let missing = Path::new("no such directory/own.pem");
    for error in [
        Roots::from_pem_file(missing).unwrap_err(),
        Identity::from_pem_files(missing, missing).unwrap_err(),
    ] {
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
        assert!(error.to_string().contains("no such directory/own.pem"), "{error}");
    }
    let this = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    assert_invalid(Roots::from_pem_file(&this), &["no certificate in", "Cargo.toml"]);
}

#[test]
fn nobody_can_be_trusted_without_roots() {
    assert_invalid(ClientConfig::builder().roots(Roots::empty()).build(), &["root certificate"]);
    let made = Authority::new().issue("localhost");
    let builder = ServerConfig::builder(made.identity());
    let asking = builder.require_client_certificates(Roots::empty());
    assert_invalid(asking.build(), &["root certificate"]);
}

#[test]
fn an_identity_must_be_one_for_its_name() {
    let authority = Authority::new();
    let made = authority.issue("example.org");
    let for_name = |name: &str| {
        ServerConfig::builder(made.identity()).identity_for(name, made.identity()).build()
    };
    assert!(for_name("example.org").is_ok());
    assert_invalid(for_name("example.com"), &["not one for example.com", "example.org"]);
    assert_invalid(for_name("no name"), &["not the name of a server"]);
}

#[test]
fn what_is_shown_of_an_identity_says_nothing_of_its_key() {
    let made = Authority::new().issue("localhost");
    assert_eq!(format!("{:?}", made.identity()), "Identity(1 certificates)");
}
