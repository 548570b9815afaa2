//! Names of Unix sockets that are out of the ordinary: as long as they can be, abstract, none.

use std::cell::RefCell;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use socket2::{Domain, SockAddr, Socket, Type};
use stackio::{
    Address, ExtraInfo, Protocol, Result, Server, Transport, get_running_loop, run, yield_now,
};

use super::{Place, Says};

/// Keeps what is known of each connection, and closes it.
struct Notes(Rc<RefCell<Vec<ExtraInfo>>>);

impl Protocol for Notes {
    fn connection_made(&mut self, transport: &Transport) {
        self.0.borrow_mut().push(transport.get_extra_info());
        transport.close();
    }
}

type Noted = Rc<RefCell<Vec<ExtraInfo>>>;

fn noting(name: impl AsRef<Path>) -> Result<(Server, Noted)> {
    let noted = Noted::default();
    let notes = noted.clone();
    let factory = move || Notes(notes.clone());
    Ok((get_running_loop()?.create_unix_server(factory, name)?, noted))
}

/// The address of a path that leaves no room for the zero byte at its end, as C programs may have
/// it.
fn full(path: &Path) -> SockAddr {
    let path = path.as_os_str().as_bytes();
    // SAFETY: the storage has room for an address of every family, any bytes are a valid
    // one, and its length is not more than that.
    let made = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = &mut *storage.cast::<libc::sockaddr_un>();
            assert_eq!(address.sun_path.len(), path.len());
            address.sun_family = libc::AF_UNIX as libc::sa_family_t;
            for (place, byte) in address.sun_path.iter_mut().zip(path) {
                *place = *byte as libc::c_char;
            }
            *length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
            Ok(())
        })
    };
    made.expect("an address").1
}

fn longest(place: &Place) -> PathBuf {
    let room = 108 - place.0.as_os_str().len() - 1;
    place.0.join("x".repeat(room))
}

#[test]
fn a_client_with_a_long_path_does_not_stop_the_server() -> Result {
    let place = Place::new("long-path");
    let (path, long) = (place.socket(), longest(&place));
    run(move || {
        let (server, noted) = noting(&path)?;
        // All of them are there before the loop looks at the server.
        let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        client.bind(&full(&long))?;
        client.connect(&SockAddr::unix(&path)?)?;
        let _others = [UnixStream::connect(&path)?, UnixStream::connect(&path)?];
        while noted.borrow().len() < 3 {
            yield_now()?;
        }
        let peer = noted.borrow()[0].peer_addr.clone().expect("it has one");
        assert_eq!(peer.to_string(), long.to_string_lossy());
        server.close();
        Ok(())
    })
}

#[test]
fn a_socket_with_a_long_path_can_be_served_on() -> Result {
    let place = Place::new("long-server");
    let long = longest(&place);
    run(move || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&full(&long))?;
        let noted = Noted::default();
        let notes = noted.clone();
        let server = stackio::ServerBuilder::new().adopt(move || Notes(notes.clone()), socket)?;
        assert_eq!(server.addresses()[0].to_string(), long.to_string_lossy());
        let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        client.connect(&full(&long))?;
        while noted.borrow().is_empty() {
            yield_now()?;
        }
        assert_eq!(noted.borrow()[0].local_addr, Some(server.addresses()[0].clone()));
        Ok(())
    })
}

#[test]
fn abstract_names_and_none_at_all_are_addresses_too() -> Result {
    let name = format!("stackio-named-{}", std::process::id());
    run(move || {
        let address = Address::from(SocketAddr::from_abstract_name(&name)?);
        let (server, noted) = noting(format!("\0{name}"))?;
        assert_eq!(server.addresses(), std::slice::from_ref(&address));
        let (says, heard) = Says::new(b"");
        let event_loop = get_running_loop()?;
        let (transport, _) = event_loop.create_unix_connection(|| says, format!("\0{name}"))?;
        let unnamed = Address::from(SocketAddr::from_pathname("")?);
        let known = transport.get_extra_info();
        assert_eq!(known.peer_addr.as_ref(), Some(&address));
        assert_eq!(known.local_addr.as_ref(), Some(&unnamed));
        heard.wait()?;
        let seen = noted.borrow()[0].clone();
        assert_eq!((seen.peer_addr, seen.local_addr), (Some(unnamed), Some(address)));
        Ok(())
    })
}
