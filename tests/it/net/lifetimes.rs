//! Descriptors: none is left behind, and a number used again is a new socket.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream, UdpSocket};
use stackio::{EventLoop, FlowEvent, Instrument, Result, Runner, spawn};

use super::alone::{MANY_DESCRIPTORS, alone, open_descriptors};
use super::connecting::full_backlog;
use super::{ANY, pair, pair_with_std, play, play_asking_often, play_on, settle};

#[test]
fn a_thousand_connections_leave_no_descriptor() {
    let name = "net::lifetimes::a_thousand_connections_leave_no_descriptor";
    if !alone(name, MANY_DESCRIPTORS) {
        return;
    }
    let before_the_loop = open_descriptors();
    play(|| {
        let before = open_descriptors();
        let listener = TcpListener::bind(ANY)?;
        let address = listener.local_addr()?;
        let mut streams = Vec::new();
        for _ in 0..1000 {
            let near = TcpStream::connect(address)?;
            let (far, _) = listener.accept()?;
            streams.push((near, far));
        }
        assert_eq!(open_descriptors(), before + 2001);
        // Half of them watched and with a task that waits, the others as they are.
        let readers: Vec<_> = streams
            .iter()
            .step_by(2)
            .map(|(near, _)| {
                let near = near.try_clone().expect("it cannot fail");
                spawn(move || Ok((&near).read(&mut [0; 1])?))
            })
            .collect();
        settle()?;
        assert_eq!(open_descriptors(), before + 2001, "a clone needs no descriptor");
        for (place, reader) in readers.into_iter().enumerate() {
            if place % 2 == 0 {
                reader.cancel();
                assert!(reader.join().unwrap_err().is_cancelled());
            } else {
                (&streams[place * 2].1).write_all(b".")?;
                assert_eq!(reader.join()?, 1);
            }
        }
        drop((streams, listener));
        assert_eq!(open_descriptors(), before);
        Ok(())
    });
    assert_eq!(open_descriptors(), before_the_loop, "the loop has its own, too");
}

#[test]
fn what_fails_or_is_cancelled_leaves_no_descriptor() {
    let name = "net::lifetimes::what_fails_or_is_cancelled_leaves_no_descriptor";
    if !alone(name, "") {
        return;
    }
    play(|| {
        let (_bound, refused) = super::refusing()?;
        let (_listener, full, _queued) = full_backlog()?;
        let before = open_descriptors();
        for _ in 0..50 {
            assert!(TcpStream::connect(refused).is_err());
            assert!(TcpStream::connect_timeout(&full, stackio::millis(1)).is_err());
            let connecting = spawn(move || Ok(TcpStream::connect(full)?));
            settle()?;
            connecting.cancel();
            assert!(connecting.join().is_err_and(|error| error.is_cancelled()));
        }
        assert_eq!(open_descriptors(), before);
        Ok(())
    });
}

#[test]
fn a_loop_that_is_dropped_with_waiting_tasks_leaves_no_descriptor() {
    let name = "net::lifetimes::a_loop_that_is_dropped_with_waiting_tasks_leaves_no_descriptor";
    if !alone(name, "") {
        return;
    }
    let before = open_descriptors();
    for _ in 0..20 {
        play(|| {
            for _ in 0..20 {
                let (near, far) = pair()?;
                spawn(move || {
                    let _other_end = far;
                    Ok((&near).read(&mut [0; 1])?)
                });
            }
            settle()
        });
    }
    assert_eq!(open_descriptors(), before);
}

/// Unlike a runner, a loop that is only dropped runs nobody out.
#[test]
fn a_bare_loop_that_is_dropped_leaves_no_descriptor() {
    let name = "net::lifetimes::a_bare_loop_that_is_dropped_leaves_no_descriptor";
    if !alone(name, "") {
        return;
    }
    let before = open_descriptors();
    let event_loop = EventLoop::new().expect("a loop");
    let started = event_loop.run_until_complete(|| {
        let (near, far) = pair()?;
        spawn(move || {
            let _other_end = far;
            Ok((&near).read(&mut [0; 1])?)
        });
        settle()
    });
    started.expect("nothing fails");
    assert!(open_descriptors() > before);
    drop(event_loop);
    assert_eq!(open_descriptors(), before);
}

/// Leaves no free number below that one, so that it is the next to be given out once it is free.
fn use_up_below(number: RawFd) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    loop {
        let file = File::open("/dev/null")?;
        if file.as_raw_fd() > number {
            return Ok(files);
        }
        files.push(file);
    }
}

#[test]
fn old_events_do_not_reach_a_socket_with_the_same_number() {
    let name = "net::lifetimes::old_events_do_not_reach_a_socket_with_the_same_number";
    if !alone(name, "") {
        return;
    }
    play_asking_often(|| {
        let (near, mut far) = pair_with_std()?;
        let near = Rc::new(near);
        let reading = near.clone();
        let reader = spawn(move || Ok((&*reading).read(&mut [0; 1])?));
        settle()?;
        reader.cancel();
        settle()?;
        let number = near.as_raw_fd();
        let _lower_ones = use_up_below(number)?;
        // Data and the end are on their way to the old socket when it is closed.
        far.write_all(b"for the old one")?;
        far.shutdown(net::Shutdown::Write)?;
        drop((near, reader));

        let listener = net::TcpListener::bind(ANY)?;
        assert_eq!(listener.as_raw_fd(), number, "the system gives the lowest free number");
        let listener = TcpListener::from_std(listener)?;
        let accepting = listener.try_clone()?;
        let acceptor = spawn(move || Ok(accepting.accept()?.1));
        settle()?;
        assert!(!acceptor.done());
        let client = net::TcpStream::connect(listener.local_addr()?)?;
        assert_eq!(acceptor.join()?, client.local_addr()?);
        Ok(())
    });
}

/// In one iteration a task closes a socket whose event has been seen, and opens another.
#[test]
fn a_socket_closed_and_replaced_in_the_iteration_of_its_event_is_a_new_one() {
    let name = "net::lifetimes::\
                a_socket_closed_and_replaced_in_the_iteration_of_its_event_is_a_new_one";
    if !alone(name, "") {
        return;
    }
    play_asking_often(|| {
        for _ in 0..50 {
            let (near, mut far) = pair_with_std()?;
            let near = Rc::new(near);
            let reading = near.clone();
            let reader = spawn(move || Ok((&*reading).read(&mut [0; 16])?));
            settle()?;
            far.write_all(b"one")?;
            assert_eq!(reader.join()?, 3);
            // Another event for it is there, and is never looked at.
            far.write_all(b"two")?;
            let number = near.as_raw_fd();
            let _lower_ones = use_up_below(number)?;
            drop(near);
            let fresh = UdpSocket::bind(ANY)?;
            assert_eq!(fresh.as_raw_fd(), number, "the system gives the lowest free number");
            let address = fresh.local_addr()?;
            let reader = spawn(move || {
                let mut buffer = [0; 16];
                let n = fresh.recv(&mut buffer)?;
                Ok(buffer[..n].to_vec())
            });
            settle()?;
            assert!(!reader.done(), "nothing has been sent to it");
            UdpSocket::bind(ANY)?.send_to(b"three", address)?;
            assert_eq!(reader.join()?, b"three");
        }
        Ok(())
    });
}

#[derive(Default)]
struct ReadyEvents(Cell<usize>);

impl Instrument for ReadyEvents {
    fn event(&self, event: &FlowEvent<'_>) {
        if let FlowEvent::Ready { .. } = event {
            self.0.set(self.0.get() + 1);
        }
    }
}

/// A duplicate keeps what the system watches alive, so closing alone would not end the watching.
#[test]
fn a_duplicate_of_a_descriptor_does_not_keep_a_closed_socket_watched() {
    let seen = Rc::new(ReadyEvents::default());
    let builder = Runner::builder().select_budget(1).instrument(seen.clone());
    play_on(builder.build().expect("a loop"), move || {
        let (near, mut far) = pair_with_std()?;
        let _duplicate = near.as_fd().try_clone_to_owned()?;
        let reading = near.try_clone()?;
        let reader = spawn(move || Ok((&reading).read(&mut [0; 8])?));
        settle()?;
        far.write_all(b"data")?;
        assert_eq!(reader.join()?, 4);
        let before = seen.0.get();
        assert!(before > 0, "it was watched");
        drop(near);
        far.write_all(b"more")?;
        settle()?;
        assert_eq!(seen.0.get(), before, "events of a closed socket");
        Ok(())
    });
}

#[test]
fn sockets_are_not_inherited_by_child_processes() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (far, _) = listener.accept()?;
        let datagrams = UdpSocket::bind(ANY)?;
        for fd in [listener.as_fd(), near.as_fd(), far.as_fd(), datagrams.as_fd()] {
            let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = i32::from_str_radix(flags.unwrap_or_default().trim(), 8)?;
            assert_ne!(flags & libc::O_CLOEXEC, 0, "{fd:?}");
            assert_ne!(flags & libc::O_NONBLOCK, 0, "{fd:?}");
        }
        Ok(())
    });
}

/// The results of tasks that nobody joins are dropped with what they hold.
#[test]
fn a_stream_that_is_a_tasks_result_is_closed_with_the_task() {
    play(|| -> Result {
        let (near, mut far) = pair_with_std()?;
        let holder = spawn(move || Ok(near));
        settle()?;
        assert!(holder.done());
        drop(holder);
        settle()?;
        assert_eq!(far.read(&mut [0; 1])?, 0);
        Ok(())
    });
}
