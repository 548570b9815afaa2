//! Events, cancels and other tasks that meet in one iteration of the loop.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{self, SocketAddr};
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream};
use stackio::{Result, Task, call_later, call_soon, millis, spawn};

use super::{ANY, pair_with_std, play, settle};

/// A connection whose event lets the main task go on, in the same iteration as other events that
/// come after it.
struct Starter {
    near: TcpStream,
    far: net::TcpStream,
}

impl Starter {
    fn new() -> Result<Starter> {
        let (near, far) = watched_and_empty()?;
        Ok(Starter { near, far })
    }

    /// To be called before what is to be ready together with it.
    fn shoot(&mut self) -> Result {
        Ok(self.far.write_all(b".")?)
    }

    fn wait(&mut self) -> Result {
        Ok(self.near.read_exact(&mut [0; 1])?)
    }
}

/// A connection that the loop watches and knows to be empty, since a read that waited got less than
/// it asked for: whoever reads next has to wait for an event.
fn watched_and_empty() -> Result<(TcpStream, net::TcpStream)> {
    let (near, mut far) = pair_with_std()?;
    let reading = near.try_clone()?;
    let reader = spawn(move || Ok((&reading).read(&mut [0; 8])?));
    settle()?;
    far.write_all(b".")?;
    assert_eq!(reader.join()?, 1);
    Ok((near, far))
}

fn reader(stream: &Rc<TcpStream>) -> (Task<Vec<u8>>, Rc<Cell<bool>>) {
    let (stream, ran) = (stream.clone(), Rc::new(Cell::new(false)));
    let flag = ran.clone();
    let task = spawn(move || {
        let mut buffer = [0; 8];
        let read = (&*stream).read(&mut buffer);
        flag.set(true);
        let n = read?;
        Ok(buffer[..n].to_vec())
    });
    (task, ran)
}

/// A reader is ready, its step is in the queue, and before that it is cancelled and another task
/// takes its data and waits for more.
#[test]
fn a_reader_cancelled_when_it_is_ready_does_not_take_the_next_ones_place() {
    play(|| {
        let mut starter = Starter::new()?;
        let (near, mut far) = watched_and_empty()?;
        let near = Rc::new(near);
        let (first, ran) = reader(&near);
        settle()?;
        starter.shoot()?;
        far.write_all(b"one")?;
        starter.wait()?;

        assert!(!ran.get() && !first.done(), "the reader was to be ready, not to have run");
        let mut buffer = [0; 8];
        // Had its event not come yet, this would be refused.
        assert_eq!((&*near).read(&mut buffer)?, 3);
        first.cancel();
        call_later(millis(1), move || Ok(far.write_all(b"two")?));
        assert_eq!((&*near).read(&mut buffer)?, 3);
        assert_eq!(&buffer[..3], b"two");
        assert!(first.cancelled());
        Ok(())
    });
}

#[test]
fn the_data_of_a_reader_cancelled_when_it_is_ready_goes_to_the_next() {
    play(|| {
        let mut starter = Starter::new()?;
        let (near, mut far) = watched_and_empty()?;
        let near = Rc::new(near);
        let (first, ran) = reader(&near);
        settle()?;
        starter.shoot()?;
        far.write_all(b"one")?;
        starter.wait()?;
        assert!(!ran.get());
        // Had its event not come yet, this would be refused.
        assert_eq!(near.peek(&mut [0; 8])?, 3);
        first.cancel();
        let (second, _) = reader(&near);
        assert_eq!(second.join()?, b"one");
        assert!(first.cancelled());
        Ok(())
    });
}

/// Cancelled while it waits, and another waits in its place before it is told.
#[test]
fn a_reader_that_gives_up_does_not_take_the_next_ones_place() {
    play(|| {
        let (near, mut far) = watched_and_empty()?;
        let near = Rc::new(near);
        let (first, ran) = reader(&near);
        settle()?;
        first.cancel();
        assert!(!ran.get());
        call_later(millis(1), move || Ok(far.write_all(b"data")?));
        let mut buffer = [0; 8];
        assert_eq!((&*near).read(&mut buffer)?, 4);
        assert!(ran.get() && first.cancelled());
        Ok(())
    });
}

/// The same in the other order: the event comes after the cancel, in the same iteration.
#[test]
fn an_event_for_a_reader_that_gave_up_is_kept_for_the_next() {
    play(|| {
        let (near, mut far) = watched_and_empty()?;
        let near = Rc::new(near);
        let (first, _) = reader(&near);
        settle()?;
        let cancelled = first.clone();
        call_soon(move || {
            cancelled.cancel();
        });
        far.write_all(b"data")?;
        assert!(first.join().unwrap_err().is_cancelled());
        let (second, _) = reader(&near);
        assert_eq!(second.join()?, b"data");
        Ok(())
    });
}

#[test]
fn a_read_timeout_and_the_data_in_one_iteration_lose_nothing() {
    play(|| {
        for _ in 0..30 {
            let (near, mut far) = watched_and_empty()?;
            near.set_read_timeout(Some(millis(1)))?;
            let blocking = spawn(move || {
                let mut text = Vec::new();
                let mut buffer = [0; 8];
                while text.len() < 4 {
                    match (&near).read(&mut buffer) {
                        Ok(n) => text.extend_from_slice(&buffer[..n]),
                        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::TimedOut),
                    }
                }
                Ok(text)
            });
            settle()?;
            // The loop does not come round until the timer is due as well.
            let due = std::time::Instant::now() + millis(1);
            while std::time::Instant::now() < due {}
            far.write_all(b"data")?;
            assert_eq!(blocking.join()?, b"data");
        }
        Ok(())
    });
}

/// The first is cancelled when its event has come, the second when it has been given the turn.
#[test]
fn the_connection_of_acceptors_cancelled_when_they_are_ready_goes_to_the_next() {
    play(|| {
        let mut starter = Starter::new()?;
        let listener = Rc::new(TcpListener::bind(ANY)?);
        let victim = Rc::new(Cell::new(None::<Task<SocketAddr>>));
        let (accepting, next) = (listener.clone(), victim.clone());
        let first = spawn(move || {
            let accepted = accepting.accept();
            if let Some(next) = next.take() {
                next.cancel();
            }
            Ok(accepted?.1)
        });
        let accepting = listener.clone();
        let second = spawn(move || Ok(accepting.accept()?.1));
        victim.set(Some(second.clone()));
        let accepting = listener.clone();
        let third = spawn(move || Ok(accepting.accept()?.1));
        settle()?;
        starter.shoot()?;
        let client = net::TcpStream::connect(listener.local_addr()?)?;
        starter.wait()?;
        first.cancel();
        assert_eq!(third.join()?, client.local_addr()?);
        assert!(first.cancelled() && second.cancelled());
        Ok(())
    });
}

#[test]
fn an_accepted_connection_belongs_to_one_task_only() {
    play(|| {
        let listener = Rc::new(TcpListener::bind(ANY)?);
        let acceptors: Vec<_> = (0..10)
            .map(|_| {
                let listener = listener.clone();
                spawn(move || Ok(listener.accept()?.1))
            })
            .collect();
        settle()?;
        let clients = (0..5)
            .map(|_| net::TcpStream::connect(listener.local_addr()?))
            .collect::<std::io::Result<Vec<_>>>()?;
        for (acceptor, client) in acceptors.iter().zip(&clients) {
            assert_eq!(acceptor.wait()?, client.local_addr()?, "first come, first served");
        }
        assert!(acceptors[5..].iter().all(|acceptor| !acceptor.done()));
        Ok(())
    });
}
