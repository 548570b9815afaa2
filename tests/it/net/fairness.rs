//! A peer that is always ready starves nobody: operations are counted.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net;
use std::rc::Rc;

use stackio::net::{TcpListener, TcpStream, UdpSocket};
use stackio::{Result, Task, millis, sleep, spawn, to_thread, yield_now};

use super::{ANY, pair, pair_with_std, play};

/// After so many operations without an end somebody has been starved.
const FAR_TOO_MANY: usize = 2_000_000;

/// More operations than a task may do in one step.
const ONE_STEP: usize = 200;

/// A task that does one operation after the other, none of which has to wait, until it is told
/// that the others are done.
struct Greedy {
    operations: Rc<Cell<usize>>,
    enough: Rc<Cell<bool>>,
    task: Task<()>,
}

impl Greedy {
    fn start(mut operation: impl FnMut() -> io::Result<()> + 'static) -> Greedy {
        let (operations, enough) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let (count, stop) = (operations.clone(), enough.clone());
        let task = spawn(move || {
            while !stop.get() {
                operation()?;
                count.set(count.get() + 1);
                assert!(count.get() < FAR_TOO_MANY, "the others were starved");
            }
            Ok(())
        });
        Greedy { operations, enough, task }
    }

    fn stop(self) -> Result {
        assert!(self.operations.get() > 0, "it was to be busy");
        self.enough.set(true);
        self.task.join()
    }
}

/// Reads a byte that is there already.
fn greedy_reader() -> Result<Greedy> {
    let (mut near, mut far) = pair_with_std()?;
    Ok(Greedy::start(move || {
        far.write_all(b".")?;
        near.read_exact(&mut [0; 1])
    }))
}

fn greedy_writer() -> Result<Greedy> {
    let (mut near, mut far) = pair_with_std()?;
    Ok(Greedy::start(move || {
        near.write_all(b".")?;
        far.read_exact(&mut [0; 1])
    }))
}

fn greedy_sender() -> Result<Greedy> {
    let (sender, receiver) = (UdpSocket::bind(ANY)?, net::UdpSocket::bind(ANY)?);
    sender.connect(receiver.local_addr()?)?;
    Ok(Greedy::start(move || {
        sender.send(b".")?;
        receiver.recv(&mut [0; 1]).map(drop)
    }))
}

fn greedy_receiver() -> Result<Greedy> {
    let (receiver, sender) = (UdpSocket::bind(ANY)?, net::UdpSocket::bind(ANY)?);
    sender.connect(receiver.local_addr()?)?;
    Ok(Greedy::start(move || {
        sender.send(b".")?;
        receiver.recv(&mut [0; 1]).map(drop)
    }))
}

fn greedy_acceptor() -> Result<Greedy> {
    let listener = TcpListener::bind(ANY)?;
    let address = listener.local_addr()?;
    Ok(Greedy::start(move || {
        let client = net::TcpStream::connect(address)?;
        // Leaves no address in TIME_WAIT behind.
        super::reset_on_close(&client)?;
        listener.accept().map(drop)
    }))
}

const KINDS: [fn() -> Result<Greedy>; 5] =
    [greedy_reader, greedy_writer, greedy_sender, greedy_receiver, greedy_acceptor];

#[test]
fn a_freshly_spawned_task_gets_its_step() {
    for start in KINDS {
        play(move || {
            let greedy = start()?;
            let operations = greedy.operations.clone();
            let seen = spawn(move || Ok(operations.get())).join()?;
            assert!(0 < seen && seen < ONE_STEP, "it came after {seen} operations");
            greedy.stop()
        });
    }
}

#[test]
fn a_task_that_gives_way_comes_back_each_time() {
    for start in KINDS {
        play(move || {
            let greedy = start()?;
            yield_now()?;
            for _ in 0..20 {
                let before = greedy.operations.get();
                yield_now()?;
                assert!(greedy.operations.get() - before < ONE_STEP);
            }
            greedy.stop()
        });
    }
}

#[test]
fn a_timer_fires() {
    for start in KINDS {
        play(move || {
            let greedy = start()?;
            sleep(millis(2))?;
            greedy.stop()
        });
    }
}

#[test]
fn another_connection_is_served() {
    for start in KINDS {
        play(move || {
            let greedy = start()?;
            let (mut near, far) = pair()?;
            let echo = spawn(move || Ok(io::copy(&mut &far, &mut &far)?));
            for _ in 0..10 {
                near.write_all(b"ping")?;
                let mut answer = [0; 4];
                near.read_exact(&mut answer)?;
                assert_eq!(&answer, b"ping");
            }
            drop(near);
            assert_eq!(echo.join()?, 40);
            greedy.stop()
        });
    }
}

#[test]
fn another_thread_gets_its_answer_in() {
    for start in KINDS {
        play(move || {
            let greedy = start()?;
            assert_eq!(to_thread(|| 6 * 7)?, 42);
            greedy.stop()
        });
    }
}

#[test]
fn a_cancel_arrives() {
    for start in KINDS {
        play(move || {
            let greedy = start()?;
            yield_now()?;
            let before = greedy.operations.get();
            greedy.task.cancel();
            assert!(greedy.task.clone().join().unwrap_err().is_cancelled());
            assert!(greedy.operations.get() - before < ONE_STEP);
            Ok(())
        });
    }
}

/// Two ends that always have something to read and room to write.
#[test]
fn large_data_that_goes_to_and_fro_does_not_stop_a_timer() {
    fn player(stream: TcpStream, rounds: Rc<Cell<usize>>) -> Task<()> {
        spawn(move || {
            let mut buffer = vec![0; 65_536];
            loop {
                let n = (&stream).read(&mut buffer)?;
                if n == 0 {
                    return Ok(());
                }
                (&stream).write_all(&buffer[..n])?;
                rounds.set(rounds.get() + 1);
                assert!(rounds.get() < FAR_TOO_MANY, "the timer was starved");
            }
        })
    }
    play(|| {
        let (near, far) = pair()?;
        let rounds = Rc::new(Cell::new(0));
        (&near).write_all(&vec![1; 400_000])?;
        let one = player(near, rounds.clone());
        let other = player(far, rounds.clone());
        for _ in 0..5 {
            let before = rounds.get();
            sleep(millis(2))?;
            assert!(rounds.get() > before, "the players go on meanwhile");
        }
        one.cancel();
        other.cancel();
        Ok(())
    });
}

/// A busy peer gets no more than its share of the steps.
#[test]
fn readers_of_equal_appetite_get_on_equally() {
    play(|| {
        let readers = (0..4).map(|_| greedy_reader()).collect::<Result<Vec<_>>>()?;
        for _ in 0..50 {
            yield_now()?;
        }
        let counts: Vec<_> = readers.iter().map(|reader| reader.operations.get()).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 0 && most - least <= ONE_STEP, "{counts:?}");
        readers.into_iter().try_for_each(Greedy::stop)
    });
}
