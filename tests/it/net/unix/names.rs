//! Names in Linux's abstract namespace, written as paths.

use std::io::{ErrorKind, Read, Write};

use stackio::net::{UnixDatagram, UnixListener, UnixStream};

use super::{abstract_name, play};

/// A name of its own as a path.
fn name() -> String {
    let address = abstract_name();
    let name = std::os::linux::net::SocketAddrExt::as_abstract_name(&address).expect("one");
    format!("\0{}", String::from_utf8_lossy(name))
}

#[test]
fn a_path_that_begins_with_zero_is_an_abstract_name() {
    play(|| {
        let name = name();
        let listener = UnixListener::bind(&name)?;
        let mut client = UnixStream::connect(&name)?;
        client.write_all(b"hi")?;
        let (mut server, _) = listener.accept()?;
        let mut text = [0; 2];
        server.read_exact(&mut text)?;
        assert_eq!(&text, b"hi");
        let twice = UnixStream::connect(format!("{name}\0"));
        assert_eq!(twice.unwrap_err().kind(), ErrorKind::ConnectionRefused, "another name");
        Ok(())
    });
}

#[test]
fn datagrams_go_to_a_path_that_begins_with_zero() {
    play(|| {
        let name = name();
        let receiver = UnixDatagram::bind(&name)?;
        let sender = UnixDatagram::unbound()?;
        sender.send_to(b"one", &name)?;
        sender.connect(&name)?;
        sender.send(b"two")?;
        let mut buffer = [0; 8];
        for text in [b"one", b"two"] {
            assert_eq!(receiver.recv(&mut buffer)?, 3);
            assert_eq!(&buffer[..3], text);
        }
        Ok(())
    });
}
