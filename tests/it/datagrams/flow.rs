//! What cannot be sent at once waits, in order, and the protocol is told when it is much.

use std::cell::Cell;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::rc::Rc;

use stackio::{
    DatagramEndpoint, DatagramTransport, FlowEvent, Instrument, Result, get_running_loop, millis,
    sleep, yield_now,
};

use super::{Call, Note, noted, play};

/// A transport whose peer, a socket of std's, takes nothing unless the test does.
fn slow() -> Result<(DatagramTransport, Note, UnixDatagram)> {
    let (near, far) = UnixDatagram::pair()?;
    far.set_nonblocking(true)?;
    let note = Note::new();
    let (transport, _) = DatagramEndpoint::adopt(|| note.clone(), near)?;
    assert!(matches!(note.next()?, Call::Made));
    Ok((transport, note, far))
}

/// Sends numbered datagrams until some wait; how many there were.
fn fill(transport: &DatagramTransport) -> u32 {
    let mut count = 0;
    while transport.get_write_buffer_size() == 0 {
        transport.send(&u32::to_be_bytes(count));
        count += 1;
    }
    count
}

/// The number of the next datagram, once it is there.
fn receive(far: &UnixDatagram) -> Result<u32> {
    let mut buffer = [0; 1024];
    loop {
        match far.recv(&mut buffer) {
            Ok(length) => {
                assert_eq!(length, 4);
                return Ok(u32::from_be_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]));
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => yield_now()?,
            Err(error) => return Err(error.into()),
        }
    }
}

#[test]
fn a_full_buffer_pauses_and_an_empty_one_resumes_and_the_order_stays() {
    play(|| {
        let (transport, note, far) = slow()?;
        // Twelve bytes each, with what a datagram counts for itself.
        transport.set_write_buffer_limits(48, 12)?;
        let mut count = fill(&transport);
        assert_eq!(transport.get_write_buffer_size(), 12);
        while transport.get_write_buffer_size() <= 48 {
            note.assert_nothing();
            transport.send(&count.to_be_bytes());
            count += 1;
        }
        assert!(matches!(note.next()?, Call::Pause));
        assert_eq!(transport.get_write_buffer_size(), 60);
        for number in 0..count {
            assert_eq!(receive(&far)?, number);
        }
        assert!(matches!(note.next()?, Call::Resume));
        assert_eq!(transport.get_write_buffer_size(), 0);
        note.assert_nothing();
        Ok(())
    });
}

#[test]
fn empty_datagrams_count_too() {
    play(|| {
        let (transport, note, _far) = slow()?;
        transport.set_write_buffer_limits(16, 0)?;
        fill(&transport);
        transport.send(b"");
        assert_eq!(transport.get_write_buffer_size(), 20);
        assert!(matches!(note.next()?, Call::Pause));
        Ok(())
    });
}

#[test]
fn limits_that_are_lowered_are_told_at_once() {
    play(|| {
        let (transport, note, _far) = slow()?;
        fill(&transport);
        note.assert_nothing();
        transport.set_write_buffer_limits(4, 4)?;
        assert!(matches!(note.next()?, Call::Pause));
        transport.set_write_buffer_limits(100, 12)?;
        assert!(matches!(note.next()?, Call::Resume));
        assert_eq!(transport.get_write_buffer_limits(), (12, 100));
        Ok(())
    });
}

#[test]
fn closing_sends_what_waits() {
    play(|| {
        let (transport, note, far) = slow()?;
        let count = fill(&transport);
        transport.close();
        assert!(transport.try_send(b"more").is_err());
        far.send(b"not heard any more")?;
        for number in 0..count {
            assert_eq!(receive(&far)?, number);
        }
        assert!(note.lost()?.is_none());
        Ok(())
    });
}

#[test]
fn aborting_does_not() {
    play(|| {
        let (transport, note, far) = slow()?;
        let count = fill(&transport);
        transport.abort();
        assert_eq!(transport.get_write_buffer_size(), 0);
        assert!(note.lost()?.is_none());
        for number in 0..count - 1 {
            assert_eq!(receive(&far)?, number);
        }
        let error = far.recv(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        Ok(())
    });
}

#[test]
fn a_peer_that_goes_away_is_told_for_each_that_waits() {
    play(|| {
        let (transport, note, far) = slow()?;
        fill(&transport);
        transport.send(b"one more");
        drop(far);
        for _ in 0..2 {
            let error = note.error()?;
            assert_eq!(error.kind(), stackio::ErrorKind::Io);
        }
        assert_eq!(transport.get_write_buffer_size(), 0);
        transport.close();
        assert!(note.lost()?.is_none());
        Ok(())
    });
}

fn directory(name: &str) -> PathBuf {
    let directory = format!("stackio-dgram-{name}-{}", std::process::id());
    let directory = std::env::temp_dir().join(directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// The system gives no sign to one that is not connected when others have filled the queue.
#[test]
fn a_queue_that_others_have_filled_is_tried_again() {
    let directory = directory("full");
    let path = directory.join("reader");
    play(move || {
        let reader = UnixDatagram::bind(&path)?;
        reader.set_nonblocking(true)?;
        let filler = UnixDatagram::unbound()?;
        filler.set_nonblocking(true)?;
        let mut others = 0;
        while filler.send_to(&u32::to_be_bytes(7), &path).is_ok() {
            others += 1;
        }
        let (transport, note) =
            noted(DatagramEndpoint::new().local_path(path.with_extension("sender"))?)?;
        let to = std::os::unix::net::SocketAddr::from_pathname(&path)?;
        transport.sendto(&u32::to_be_bytes(8), to);
        assert_eq!(transport.get_write_buffer_size(), 12);
        for _ in 0..others {
            assert_eq!(receive(&reader)?, 7);
        }
        assert_eq!(receive(&reader)?, 8);
        note.assert_nothing();
        transport.close();
        assert!(note.lost()?.is_none());
        Ok(())
    });
    std::fs::remove_dir_all(directory).expect("it was made above");
}

/// Counts how often the loop asks the selector.
#[derive(Default)]
struct Asked(Cell<usize>);

impl Instrument for Asked {
    fn event(&self, event: &FlowEvent<'_>) {
        if matches!(event, FlowEvent::Select { .. }) {
            self.0.set(self.0.get() + 1);
        }
    }
}

#[test]
fn a_peer_whose_queue_others_have_filled_does_not_keep_the_loop_busy() {
    play(|| {
        let place = directory("busy");
        let far = UnixDatagram::bind(place.join("far"))?;
        let others = UnixDatagram::unbound()?;
        others.set_nonblocking(true)?;
        while others.send_to(b"x", place.join("far")).is_ok() {}
        let endpoint = DatagramEndpoint::new().local_path(place.join("near"))?;
        let (transport, _) = endpoint.create(Note::new)?;
        let asked = Rc::new(Asked::default());
        get_running_loop()?.add_instrument(asked.clone());
        transport.sendto(b"y", std::os::unix::net::SocketAddr::from_pathname(place.join("far"))?);
        sleep(millis(200))?;
        assert!(asked.0.get() < 100, "asked {} times", asked.0.get());
        transport.abort();
        drop(far);
        std::fs::remove_dir_all(place)?;
        Ok(())
    });
}
