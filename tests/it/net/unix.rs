//! Unix streams and datagrams: what TCP and UDP do is done here too, and what is different.

mod datagrams;
mod files;
mod names;

use std::io::{self, BufRead, BufReader, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{MsgHdr, SockRef};
use stackio::net::{UnixListener, UnixStream};
use stackio::{millis, secs, spawn, timeout};

use super::{pattern, play, play_asking_often, settle};

/// A directory of its own for a test, which goes with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("stackio-it-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory of its own");
        Place(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// A name of its own that is not in the file system.
fn abstract_name() -> SocketAddr {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("stackio-it-{}-{number}", std::process::id());
    SocketAddr::from_abstract_name(name).expect("a short name")
}

/// Both ends of a connection; the far one is std's.
fn pair_with_std() -> io::Result<(UnixStream, net::UnixStream)> {
    let (near, far) = net::UnixStream::pair()?;
    Ok((UnixStream::from_std(near)?, far))
}

#[test]
fn a_server_answers_a_client_by_a_path() {
    play(|| {
        let place = Place::new();
        let path = place.path("echo");
        let listener = UnixListener::bind(&path)?;
        assert_eq!(listener.local_addr()?.as_pathname(), Some(path.as_path()));
        let server = spawn(move || {
            for stream in listener.incoming().take(2) {
                let stream = stream?;
                io::copy(&mut &stream, &mut &stream)?;
            }
            Ok(())
        });
        for text in ["one", "two"] {
            let mut client = UnixStream::connect(&path)?;
            assert_eq!(client.peer_addr()?.as_pathname(), Some(path.as_path()));
            assert!(client.local_addr()?.is_unnamed());
            client.write_all(text.as_bytes())?;
            client.shutdown(Shutdown::Write)?;
            let mut answer = String::new();
            client.read_to_string(&mut answer)?;
            assert_eq!(answer, text);
        }
        server.join()
    });
}

#[test]
fn an_abstract_name_needs_no_file() {
    play(|| {
        let name = abstract_name();
        let listener = UnixListener::bind_addr(&name)?;
        assert_eq!(listener.local_addr()?.as_abstract_name(), name.as_abstract_name());
        let mut client = UnixStream::connect_addr(&name)?;
        let (mut server, peer) = listener.accept()?;
        assert!(peer.is_unnamed());
        client.write_all(b"hi")?;
        let mut text = [0; 2];
        server.read_exact(&mut text)?;
        assert_eq!(&text, b"hi");
        assert_eq!(UnixListener::bind_addr(&name).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(listener);
        let error = UnixStream::connect_addr(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        UnixListener::bind_addr(&name)?;
        Ok(())
    });
}

#[test]
fn an_address_without_a_name_is_refused() {
    play(|| {
        let (near, _far) = UnixStream::pair()?;
        let unnamed = near.local_addr()?;
        assert_eq!(UnixStream::connect_addr(&unnamed).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(UnixListener::bind_addr(&unnamed).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(UnixStream::connect("a\0b").unwrap_err().kind(), ErrorKind::InvalidInput);
        let long = Path::new("/").join("x".repeat(200));
        assert_eq!(UnixListener::bind(long).unwrap_err().kind(), ErrorKind::InvalidInput);
        Ok(())
    });
}

#[test]
fn a_large_transfer_waits_and_arrives_whole() {
    play(|| {
        let (near, far) = UnixStream::pair()?;
        let data = pattern(3_000_000);
        let sent = data.clone();
        let writer = spawn(move || {
            (&near).write_all(&sent)?;
            Ok(near.shutdown(Shutdown::Write)?)
        });
        settle()?;
        assert!(!writer.done(), "nobody reads yet");
        let mut received = Vec::new();
        (&far).read_to_end(&mut received)?;
        assert!(received == data, "the bytes differ");
        writer.join()
    });
}

#[test]
fn one_byte_at_a_time_gives_the_same_lines() {
    play_asking_often(|| {
        let (near, mut far) = pair_with_std()?;
        let reader = spawn(move || {
            let lines: io::Result<Vec<String>> = BufReader::new(near).lines().collect();
            Ok(lines?)
        });
        for byte in b"one\ntwo\n\nthree" {
            far.write_all(&[*byte])?;
            settle()?;
        }
        drop(far);
        assert_eq!(reader.join()?, ["one", "two", "", "three"]);
        Ok(())
    });
}

#[test]
fn several_buffers_at_once() {
    play(|| {
        let (near, far) = UnixStream::pair()?;
        let pieces = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!((&near).write_vectored(&pieces)?, 5);
        let (mut one, mut two) = ([0; 3], [0; 9]);
        let mut buffers = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!((&far).read_vectored(&mut buffers)?, 5);
        assert_eq!((&one, &two[..2]), (b"abc", &b"de"[..]));
        Ok(())
    });
}

#[test]
fn after_a_cancelled_read_the_next_one_gets_the_data() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let waiting = near.try_clone()?;
        let reader = spawn(move || Ok((&waiting).read(&mut [0; 8])?));
        settle()?;
        far.write_all(b"early")?;
        reader.cancel();
        assert!(reader.join().unwrap_err().is_cancelled());
        let mut text = [0; 8];
        assert_eq!((&near).read(&mut text)?, 5);
        assert_eq!(&text[..5], b"early");
        Ok(())
    });
}

#[test]
fn a_second_reader_is_refused() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let first = near.try_clone()?;
        let reader = spawn(move || Ok((&first).read(&mut [0; 8])?));
        settle()?;
        let error = (&near).read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
        far.write_all(b"x")?;
        assert_eq!(reader.join()?, 1);
        Ok(())
    });
}

#[test]
fn a_read_times_out_and_the_stream_goes_on() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        near.set_read_timeout(Some(millis(5)))?;
        assert_eq!((&near).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!((near.read_timeout(), near.write_timeout()), (Some(millis(5)), None));
        let zero = near.set_write_timeout(Some(millis(0)));
        assert_eq!(zero.unwrap_err().kind(), ErrorKind::InvalidInput);
        far.write_all(b"late")?;
        assert_eq!((&near).read(&mut [0; 8])?, 4);
        Ok(())
    });
}

#[test]
fn a_peer_that_vanishes_ends_reading_and_breaks_writing() {
    play(|| {
        let (near, far) = pair_with_std()?;
        let waiting = near.try_clone()?;
        let reader = spawn(move || Ok((&waiting).read(&mut [0; 8])?));
        settle()?;
        drop(far);
        assert_eq!(reader.join()?, 0);
        assert_eq!((&near).write(b"anybody?").unwrap_err().kind(), ErrorKind::BrokenPipe);
        Ok(())
    });
}

#[test]
fn a_peer_that_vanishes_without_reading_is_a_reset() {
    play(|| {
        let (near, far) = pair_with_std()?;
        (&near).write_all(b"unread")?;
        drop(far);
        assert_eq!((&near).read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert_eq!((&near).read(&mut [0; 8])?, 0, "once");
        Ok(())
    });
}

#[test]
fn after_half_a_close_the_other_direction_goes_on() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        near.shutdown(Shutdown::Write)?;
        assert_eq!(far.read(&mut [0; 8])?, 0);
        far.write_all(b"still here")?;
        let mut text = [0; 10];
        (&near).read_exact(&mut text)?;
        assert_eq!(&text, b"still here");
        assert!(near.take_error()?.is_none());
        Ok(())
    });
}

/// A message with a descriptor along, as only a Unix socket takes it.
fn send_with_descriptor(stream: &net::UnixStream, text: &[u8]) -> io::Result<usize> {
    let mut control = Vec::new();
    control.extend((size_of::<usize>() + 12).to_ne_bytes());
    control.extend(libc::SOL_SOCKET.to_ne_bytes());
    control.extend(libc::SCM_RIGHTS.to_ne_bytes());
    control.extend(stream.as_raw_fd().to_ne_bytes());
    control.extend([0; 4]);
    let text = [IoSlice::new(text)];
    SockRef::from(stream).sendmsg(&MsgHdr::new().with_buffers(&text).with_control(&control), 0)
}

#[test]
fn what_follows_a_message_with_a_descriptor_is_read_without_a_further_event() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        let reader = spawn(move || {
            let mut buffer = [0; 64];
            let first = (&near).read(&mut buffer)?;
            let second = timeout(secs(5), |_| Ok((&near).read(&mut buffer)?))?;
            Ok((first, second))
        });
        settle()?;
        send_with_descriptor(&far, b"with one")?;
        far.write_all(b"behind")?;
        assert_eq!(reader.join()?, (8, 6));
        Ok(())
    });
}

#[test]
fn the_credentials_are_those_of_the_peer() {
    play(|| {
        let (near, _far) = UnixStream::pair()?;
        let found = near.peer_cred()?;
        let own = std::fs::metadata("/proc/self")?;
        use std::os::unix::fs::MetadataExt;
        assert_eq!((found.uid, found.gid), (own.uid(), own.gid()));
        assert_eq!(found.pid, Some(std::process::id() as i32));
        Ok(())
    });
}

#[test]
fn connecting_waits_while_the_queue_of_the_listener_is_full() {
    play(|| {
        let address = abstract_name();
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
        let name = address.as_abstract_name().expect("one");
        let name = std::ffi::OsString::from(format!("\0{}", String::from_utf8_lossy(name)));
        socket.bind(&socket2::SockAddr::unix(name)?)?;
        socket.listen(0)?;
        let _first = UnixStream::connect_addr(&address)?;
        let limited = timeout(millis(20), |_| Ok(UnixStream::connect_addr(&address)?));
        assert!(limited.unwrap_err().is_timeout(), "nobody accepts");
        let second = spawn(move || Ok(UnixStream::connect_addr(&address)?));
        settle()?;
        assert!(!second.done());
        let listener = UnixListener::from_std(socket.into())?;
        listener.accept()?;
        second.join()?;
        Ok(())
    });
}

#[test]
fn sockets_go_to_std_and_back() {
    play(|| {
        let (near, far) = UnixStream::pair()?;
        let other = near.try_clone()?;
        let copied = near.into_std()?;
        assert_ne!(copied.as_raw_fd(), other.as_raw_fd(), "a handle is left");
        let number = other.as_raw_fd();
        let moved = other.into_std()?;
        assert_eq!(moved.as_raw_fd(), number);
        drop(copied);
        let mut back = UnixStream::from_std(moved)?;
        back.write_all(b"x")?;
        assert_eq!((&far).read(&mut [0; 8])?, 1);
        assert_eq!(back.as_fd().as_raw_fd(), number);
        assert!(format!("{back:?}").contains("UnixStream"));
        Ok(())
    });
}

#[test]
fn acceptors_are_served_in_turn() {
    play_asking_often(|| {
        let address = abstract_name();
        let listener = UnixListener::bind_addr(&address)?;
        let acceptor = |number: usize| {
            let listener = listener.try_clone()?;
            Ok::<_, io::Error>(spawn(move || {
                listener.accept()?;
                Ok(number)
            }))
        };
        let tasks = [acceptor(0)?, acceptor(1)?, acceptor(2)?];
        settle()?;
        tasks[0].cancel();
        for expected in [1, 2] {
            let _client = net::UnixStream::connect_addr(&address)?;
            settle()?;
            let done = tasks.iter().filter(|task| task.done()).count();
            assert_eq!(done, expected + 1);
        }
        let [_, one, two] = tasks;
        assert_eq!((one.join()?, two.join()?), (1, 2));
        Ok(())
    });
}
