//! A task that does nothing but give way starves nobody: on the real clock, whatever the budget.

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::mpsc;

use stackio::net::{TcpListener, TcpStream};
use stackio::{Result, Runner, call_later, millis, sleep, spawn, timeout, to_thread, yield_now};

use stackio::secs;

/// Spins until `work`, a task of its own, is done; with both select budgets.
fn spins_while(work: fn() -> Result) {
    for budget in [64, 1] {
        let mut runner = Runner::builder().select_budget(budget).build().unwrap();
        let ended = runner.run(move || {
            let done = Rc::new(Cell::new(false));
            let finish = done.clone();
            spawn(move || {
                let worked = work();
                finish.set(true);
                worked
            });
            // Without this a starved task would be a test that hangs.
            let ticks = Cell::new(0_u64);
            timeout(secs(20), |_| {
                while !done.get() {
                    ticks.set(ticks.get() + 1);
                    yield_now()?;
                }
                Ok(())
            })?;
            assert!(ticks.get() > 0);
            Ok(())
        });
        ended.unwrap();
    }
}

#[test]
fn a_spinning_task_does_not_starve_fresh_tasks() {
    spins_while(|| {
        for _ in 0..10 {
            spawn(|| spawn(yield_now).join()).join()?;
        }
        Ok(())
    });
}

#[test]
fn a_spinning_task_does_not_starve_timers() {
    spins_while(|| {
        let fired = Rc::new(Cell::new(false));
        let fire = fired.clone();
        call_later(millis(1), move || fire.set(true));
        sleep(millis(3))?;
        assert!(fired.get());
        Ok(())
    });
}

#[test]
fn a_spinning_task_does_not_starve_sockets() {
    spins_while(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = spawn(move || {
            let (mut peer, _) = listener.accept()?;
            let mut byte = [0];
            while peer.read(&mut byte)? > 0 {
                peer.write_all(&byte)?;
            }
            Ok(())
        });
        let mut client = TcpStream::connect(address)?;
        for n in 0..20 {
            client.write_all(&[n])?;
            let mut byte = [0];
            client.read_exact(&mut byte)?;
            assert_eq!(byte, [n]);
        }
        drop(client);
        server.join()
    });
}

#[test]
fn a_spinning_task_does_not_starve_threads() {
    spins_while(|| {
        let (send, receive) = mpsc::channel();
        let waiting = spawn(move || to_thread(move || receive.recv()));
        to_thread(move || send.send(5))??;
        assert_eq!(waiting.join()??, 5);
        Ok(())
    });
}

#[test]
fn a_stream_that_is_always_ready_does_not_starve_the_others() {
    stackio::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut client = TcpStream::connect(listener.local_addr()?)?;
        let (mut peer, _) = listener.accept()?;
        let turns = Rc::new(Cell::new(0));
        let count = turns.clone();
        let other = spawn(move || {
            loop {
                count.set(count.get() + 1);
                yield_now()?;
            }
            #[expect(unreachable_code, reason = "it gives the body its type")]
            Ok(())
        });
        // A byte at a time: each write and each read succeeds at once.
        for n in 0..2000_u32 {
            client.write_all(&[n as u8])?;
            let mut byte = [0];
            peer.read_exact(&mut byte)?;
            assert_eq!(byte, [n as u8]);
        }
        other.cancel();
        assert!(turns.get() >= 10, "{} turns", turns.get());
        Ok(())
    })
    .unwrap();
}
