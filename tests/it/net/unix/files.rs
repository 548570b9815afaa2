//! The files of sockets that are bound: which are removed, and when.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net;

use stackio::net::{UdpSocket, UnixDatagram, UnixListener, UnixStream};

use super::{Place, play};

#[test]
fn the_file_of_a_socket_that_is_left_over_is_removed_before_binding() {
    play(|| {
        let place = Place::new();
        let path = place.path("stale");
        drop(net::UnixListener::bind(&path)?);
        assert!(fs::symlink_metadata(&path)?.file_type().is_socket(), "std leaves it");
        let error = UnixStream::connect(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let listener = UnixListener::bind(&path)?;
        let client = UnixStream::connect(&path)?;
        listener.accept()?;
        drop((client, listener));
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
        Ok(())
    });
}

#[test]
fn what_is_not_a_socket_is_left_alone() {
    play(|| {
        let place = Place::new();
        let file = place.path("file");
        fs::write(&file, "precious")?;
        let directory = place.path("directory");
        fs::create_dir(&directory)?;
        let link = place.path("link");
        let socket = place.path("socket");
        let _bound = net::UnixListener::bind(&socket)?;
        std::os::unix::fs::symlink(&socket, &link)?;
        for path in [&file, &directory, &link] {
            let error = UnixListener::bind(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            assert!(error.to_string().contains(path.to_str().expect("UTF-8")), "{error}");
            assert_eq!(UnixDatagram::bind(path).unwrap_err().kind(), ErrorKind::AddrInUse);
        }
        assert_eq!(fs::read_to_string(&file)?, "precious");
        assert!(directory.is_dir() && link.is_symlink() && socket.exists());
        Ok(())
    });
}

#[test]
fn the_file_goes_with_the_last_handle() {
    play(|| {
        let place = Place::new();
        let path = place.path("socket");
        let listener = UnixListener::bind(&path)?;
        let other = listener.try_clone()?;
        drop(listener);
        assert!(path.exists());
        let client = UnixStream::connect(&path)?;
        let accepted = other.accept()?;
        drop(other);
        assert!(!path.exists());
        drop((client, accepted));
        Ok(())
    });
}

#[test]
fn the_file_of_who_came_after_stays() {
    play(|| {
        let place = Place::new();
        let path = place.path("socket");
        let first = UnixListener::bind(&path)?;
        let inode = fs::symlink_metadata(&path)?.ino();
        // As asyncio does: the newer one takes the place, though the first still listens.
        let second = UnixListener::bind(&path)?;
        assert_ne!(fs::symlink_metadata(&path)?.ino(), inode);
        drop(first);
        let _client = UnixStream::connect(&path)?;
        second.accept()?;
        fs::remove_file(&path)?;
        fs::write(&path, "not a socket")?;
        drop(second);
        assert!(path.exists());
        Ok(())
    });
}

#[test]
fn a_file_that_is_gone_already_is_no_trouble() {
    play(|| {
        let place = Place::new();
        let path = place.path("socket");
        let listener = UnixListener::bind(&path)?;
        fs::remove_file(&path)?;
        drop(listener);
        let listener = UnixListener::bind(&path)?;
        drop(listener);
        assert!(!path.exists());
        Ok(())
    });
}

#[test]
fn the_file_of_a_listener_of_stds_is_left_to_who_made_it() {
    play(|| {
        let place = Place::new();
        let path = place.path("socket");
        drop(UnixListener::from_std(net::UnixListener::bind(&path)?)?);
        assert!(path.exists());
        Ok(())
    });
}

#[test]
fn a_datagram_socket_takes_over_and_leaves_as_a_listener_does() {
    play(|| {
        let place = Place::new();
        let path = place.path("socket");
        drop(net::UnixDatagram::bind(&path)?);
        assert!(path.exists());
        let socket = UnixDatagram::bind(&path)?;
        assert_eq!(socket.local_addr()?.as_pathname(), Some(path.as_path()));
        drop(socket);
        assert!(!path.exists());
        Ok(())
    });
}

#[test]
fn a_directory_that_is_missing_is_not_found() {
    play(|| {
        let place = Place::new();
        let error = UnixListener::bind(place.path("missing/socket")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        Ok(())
    });
}

#[test]
fn a_socket_that_goes_to_std_leaves_its_file_there() {
    play(|| {
        for shared in [false, true] {
            let place = Place::new();
            let path = place.path("socket");
            let listener = UnixListener::bind(&path)?;
            let other = shared.then(|| listener.try_clone()).transpose()?;
            let moved = listener.into_std()?;
            drop(other);
            let _client = UnixStream::connect(&path)?;
            moved.accept()?;
            let path = place.path("datagrams");
            let socket = UnixDatagram::bind(&path)?;
            let other = shared.then(|| socket.try_clone()).transpose()?;
            let moved = socket.into_std()?;
            drop(other);
            UnixDatagram::unbound()?.send_to(b"x", &path)?;
            assert_eq!(moved.recv(&mut [0; 8])?, 1);
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let other = shared.then(|| socket.try_clone()).transpose()?;
            let address = socket.local_addr()?;
            let moved = socket.into_std()?;
            drop(other);
            assert_eq!(moved.local_addr()?, address);
        }
        Ok(())
    });
}
