//! Threads: what blocks runs on them, and what they want of a loop they ask for.
//!
//! Below: `concurrent` is the future that threads wait for, `executor` the pool, `border` what
//! a thread gets from a loop, `wrapping` the other way, `default_executor` a loop's own pool.

mod border;
mod concurrent;
mod default_executor;
mod executor;
mod wrapping;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use stackio::{
    ConcurrentFuture, Future, LoopHandle, Result, Runner, ThreadPoolExecutor, VirtualClock,
    get_running_loop, secs,
};

/// Far more than anything here takes, on a busy machine.
const LIMIT: Duration = secs(30);

fn virtual_runner() -> (Runner, VirtualClock) {
    let clock = VirtualClock::new();
    (Runner::builder().virtual_clock(&clock).build().unwrap(), clock)
}

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    virtual_runner().0.run(main)
}

fn this_loop() -> LoopHandle {
    get_running_loop().unwrap().handle()
}

/// A body that waits for ever and says, by hanging up, that it has begun.
fn waits(begun: Sender<()>) -> impl FnOnce() -> Result + Send {
    move || {
        begun.send(()).unwrap();
        Future::<()>::new().wait()
    }
}

/// Blocks whoever has the other half, until it is dropped.
struct Gate(#[expect(dead_code, reason = "it is the hanging up that counts")] Sender<()>);

struct Gated(Receiver<()>);

impl Gated {
    /// # Panics
    ///
    /// When the gate stays shut.
    fn pass(&self) {
        assert_eq!(self.0.recv_timeout(LIMIT), Err(RecvTimeoutError::Disconnected));
    }
}

fn gate() -> (Gate, Gated) {
    let (sender, receiver) = channel();
    (Gate(sender), Gated(receiver))
}

/// A job that has begun and does not end before the gate is opened; then it gives 1.
fn begun_job(executor: &ThreadPoolExecutor) -> (Gate, ConcurrentFuture<u32>) {
    let ((gate, gated), (begin, begun)) = (gate(), channel());
    let job = executor.submit(move || {
        begin.send(()).unwrap();
        gated.pass();
        1
    });
    begun.recv_timeout(LIMIT).unwrap();
    (gate, job.unwrap())
}

/// Panics when it is dropped, on whatever thread.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bomb");
        }
    }
}
