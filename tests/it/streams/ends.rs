//! How streams end: handles that are dropped, readers that are left, loops that are closed.

use std::io::Read;
use std::os::unix::net::UnixStream;

use stackio::{
    Connector, ErrorKind, Protocol, Result, StreamReader, StreamReaderProtocol, get_running_loop,
    millis, open_read_pipe, open_write_pipe, sleep, spawn, stream_pair,
};

use super::flow::pattern;
use super::{rest, run};

#[test]
fn the_last_writer_that_is_dropped_closes_and_loses_nothing() {
    run(|| {
        let ((near, writer), (reader, peer)) = stream_pair()?;
        let clone = writer.clone();
        clone.write(&pattern(500_000));
        drop(clone);
        rest()?;
        assert!(!writer.is_closing());
        let transport = writer.transport();
        drop(writer);
        assert!(transport.is_closing());
        let mut all = Vec::new();
        while all.len() < 500_000 {
            sleep(millis(1))?;
            all.extend(reader.read(10_000)?);
        }
        assert_eq!(all, pattern(500_000));
        // The reader of the side that closed comes to its end as well.
        assert_eq!(near.read(1)?, b"");
        assert!(reader.read(1)?.is_empty());
        drop(peer);
        Ok(())
    })
    .unwrap();
}

#[test]
fn closing_gives_an_end_to_the_own_reader_that_waits() {
    run(|| {
        let ((near, writer), (_far, _peer)) = stream_pair()?;
        let waits = spawn(move || near.readline());
        rest()?;
        writer.close();
        writer.wait_closed()?;
        assert_eq!(waits.join()?, b"");
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_came_before_the_close_can_still_be_read() {
    run(|| {
        let ((near, writer), (_far, peer)) = stream_pair()?;
        peer.write(b"unread");
        rest()?;
        writer.close();
        writer.wait_closed()?;
        assert_eq!(near.read_to_end()?, b"unread");
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_dropped_reader_leaves_the_connection_to_its_writer() {
    run(|| {
        let ((near, writer), (reader, peer)) = stream_pair()?;
        drop(near);
        peer.write(b"nobody reads this");
        rest()?;
        writer.write(b"still here\n");
        assert_eq!(reader.readline()?, b"still here\n");
        writer.close();
        writer.wait_closed()
    })
    .unwrap();
}

#[test]
fn a_protocol_whose_reader_is_gone_before_it_has_a_connection_gives_it_up() {
    run(|| {
        struct Silent;
        impl Protocol for Silent {}
        let reader = StreamReader::default();
        let protocol = StreamReaderProtocol::new(&reader);
        drop(reader);
        let event_loop = get_running_loop()?;
        let ((transport, _), _far) = event_loop.create_pair(|| protocol, || Silent, None)?;
        rest()?;
        assert!(transport.is_closing());
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_pipe_is_closed_with_its_reader_or_its_last_writer() {
    run(|| {
        let (from, to) = std::io::pipe()?;
        let (reader, writer) = (open_read_pipe(from)?, open_write_pipe(to)?);
        writer.write(b"1\n");
        assert_eq!(reader.readline()?, b"1\n");
        drop(reader);
        // The writer hears of it even if it does not write.
        writer.wait_closed()?;
        let (from, to) = std::io::pipe()?;
        let (reader, writer) = (open_read_pipe(from)?, open_write_pipe(to)?);
        writer.write(&pattern(300_000));
        drop(writer);
        assert_eq!(reader.read_to_end()?, pattern(300_000));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_pipe_whose_reader_leaves_in_the_middle_breaks() {
    run(|| {
        let (from, to) = std::io::pipe()?;
        let (reader, writer) = (open_read_pipe(from)?, open_write_pipe(to)?);
        writer.write(&pattern(10_000_000));
        reader.readexactly(100)?;
        drop(reader);
        let error = writer.drain().unwrap_err();
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::BrokenPipe));
        assert!(writer.wait_closed().is_err());
        Ok(())
    })
    .unwrap();
}

/// That the other end of what `open` has left open is closed.
#[track_caller]
fn assert_closed<T: 'static>(open: impl FnOnce(UnixStream) -> Result<T> + 'static) {
    let (one, mut two) = UnixStream::pair().unwrap();
    let kept = run(move || open(one)).unwrap();
    drop(kept);
    // Blocks for ever if it is not.
    assert_eq!(two.read(&mut [0]).unwrap(), 0);
}

#[test]
fn what_is_open_when_its_loop_ends_is_closed_with_the_last_handle() {
    assert_closed(|socket| Connector::new().open_socket(socket));
    assert_closed(|socket| {
        let (reader, writer) = Connector::new().open_socket(socket)?;
        spawn(move || {
            let _keep = writer;
            reader.read(1)
        });
        rest()
    });
    assert_closed(|socket| open_read_pipe(socket));
    assert_closed(|socket| {
        drop(Connector::new().open_socket(socket)?);
        Ok(())
    });
}

#[test]
fn a_stream_that_was_closed_says_so_and_not_that_it_waits() {
    run(|| {
        let ((near, writer), (_far, _peer)) = stream_pair()?;
        writer.close();
        writer.wait_closed()?;
        assert!(near.at_eof());
        assert_eq!(near.readexactly(1).unwrap_err().kind(), ErrorKind::IncompleteRead);
        Ok(())
    })
    .unwrap();
}
