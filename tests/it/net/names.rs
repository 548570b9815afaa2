//! Names and numbers: the system's resolver in both directions.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::channel;

use stackio::net::{AddrHints, NameFlags, SocketKind, ToAddrs, getaddrinfo, getnameinfo};
use stackio::{Error, Result, ThreadPoolExecutor, get_running_loop, spawn, yield_now};

use super::play;

/// Names of services that the system knows, if it has a table of them.
fn knows_services() -> bool {
    let known = std::fs::read_to_string("/etc/services").is_ok_and(|table| table.contains("http"));
    if !known {
        eprintln!("no services here");
    }
    known
}

fn addresses(host: &str, hints: AddrHints) -> Result<Vec<SocketAddr>> {
    let found = getaddrinfo(host, 7, hints)?;
    Ok(found.into_iter().map(|info| info.address).collect())
}

#[test]
fn a_lookup_gives_the_family_and_the_kind_that_were_asked_for() {
    play(|| {
        let v4 = addresses("localhost", AddrHints::new().v4())?;
        assert_eq!(v4, [SocketAddr::from(([127, 0, 0, 1], 7))], "and each once");
        let found = getaddrinfo("127.0.0.1", 7, AddrHints::new().kind(SocketKind::Datagram))?;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, SocketKind::Datagram);
        assert_eq!(addresses("::1", AddrHints::new().v6())?, ["[::1]:7".parse::<SocketAddr>()?]);
        Ok(())
    });
}

#[test]
fn no_host_is_this_machine() {
    play(|| {
        let found = getaddrinfo(None, 7, AddrHints::new().v4())?;
        assert_eq!(found[0].address, "127.0.0.1:7".parse()?);
        let found = getaddrinfo(None, 7, AddrHints::new().v6().passive())?;
        assert_eq!(found[0].address, "[::]:7".parse()?);
        Ok(())
    });
}

#[test]
fn the_proper_name_comes_if_it_was_asked_for() {
    play(|| {
        let hints = AddrHints::new().numeric_host().v4();
        assert_eq!(getaddrinfo("127.0.0.1", 7, hints)?[0].canonical_name, None);
        let found = getaddrinfo("127.0.0.1", 7, hints.canonical_name())?;
        assert_eq!(found[0].canonical_name.as_deref(), Some("127.0.0.1"));
        Ok(())
    });
}

#[test]
fn a_service_may_be_a_name() {
    if !knows_services() {
        return;
    }
    play(|| {
        let found = getaddrinfo("127.0.0.1", "http", AddrHints::new())?;
        assert_eq!(found[0].address.port(), 80);
        let (_, service) = getnameinfo(found[0].address, NameFlags::NUMERIC_HOST)?;
        assert_eq!(service, "http");
        let numbers = NameFlags::NUMERIC_HOST | NameFlags::NUMERIC_SERVICE;
        let (host, service) = getnameinfo(found[0].address, numbers)?;
        assert_eq!((&*host, &*service), ("127.0.0.1", "80"));
        Ok(())
    });
}

#[test]
fn an_address_has_the_name_of_its_host() {
    play(|| {
        let numeric = NameFlags::NUMERIC_SERVICE;
        let (host, service) = getnameinfo(SocketAddr::from(([127, 0, 0, 1], 9)), numeric)?;
        assert!(host.starts_with("localhost"), "{host}");
        assert_eq!(service, "9");
        Ok(())
    });
}

#[test]
fn what_cannot_be_resolved_is_named_in_the_error() {
    play(|| {
        let error = getaddrinfo("localhost", 7, AddrHints::new().numeric_host()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let text = error.to_string();
        assert!(text.starts_with("cannot resolve localhost, service 7: "), "{text}");
        let error = getaddrinfo("127.0.0.1", 7, AddrHints::new().v6()).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        let error = getaddrinfo("a\0b", 7, AddrHints::new()).unwrap_err();
        assert!(error.to_string().contains("cannot resolve"), "{error}");
        let error = getaddrinfo("127.0.0.1", "no such service", AddrHints::new()).unwrap_err();
        assert!(error.to_string().contains("no such service"), "{error}");
        Ok(())
    });
}

#[test]
fn a_lookup_lets_others_run_and_can_be_cancelled() {
    play(|| {
        let steps = Rc::new(Cell::new(0));
        let counted = steps.clone();
        let other = spawn(move || -> Result {
            loop {
                counted.set(counted.get() + 1);
                yield_now()?;
            }
        });
        getaddrinfo("localhost", 7, AddrHints::new())?;
        assert!(steps.get() > 1, "the thread was blocked");
        other.cancel();
        let address = SocketAddr::from(([127, 0, 0, 1], 9));
        let asking = spawn(move || Ok(getnameinfo(address, NameFlags::NONE)?));
        yield_now()?;
        asking.cancel();
        assert!(asking.join().unwrap_err().is_cancelled());
        Ok(())
    });
}

#[test]
fn outside_of_a_task_a_lookup_is_refused() {
    let error = getaddrinfo("127.0.0.1", 7, AddrHints::new()).unwrap_err();
    assert_eq!(Error::from(error).kind(), stackio::ErrorKind::Runtime);
    let error = getnameinfo(SocketAddr::from(([127, 0, 0, 1], 9)), NameFlags::NONE).unwrap_err();
    assert_eq!(Error::from(error).kind(), stackio::ErrorKind::Runtime);
}

#[test]
fn lookups_do_not_stand_in_line_behind_jobs() {
    play(|| {
        let event_loop = get_running_loop()?;
        event_loop.set_default_executor(ThreadPoolExecutor::new(1)?);
        let (open, gate) = channel::<()>();
        let stuck = event_loop.run_in_executor(None, move || gate.recv().is_err());
        assert_eq!(("localhost", 7).to_addrs()?[0].port(), 7);
        getaddrinfo("localhost", 7, AddrHints::new())?;
        let numbers = NameFlags::NUMERIC_HOST | NameFlags::NUMERIC_SERVICE;
        getnameinfo(SocketAddr::from(([127, 0, 0, 1], 9)), numbers)?;
        assert!(!stuck.done());
        drop(open);
        assert!(stuck.join()?);
        Ok(())
    });
}
