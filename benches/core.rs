//! What the parts cost, one by one.
//!
//!     cargo bench --bench core
//!     cargo bench --bench core -- timer
//!
//! Each figure is the time of one operation, in a task of a loop of its own. What they are good
//! for is a comparison with themselves: criterion keeps the last run and says what has changed.
//! How they compare to others, `benches/peers` tells.

use std::time::{Duration, Instant};

use criterion::Criterion;
use stackio::{
    Future, Generator, Lock, Protocol, Queue, Result, Runner, Semaphore, Transport, VirtualClock,
    call_later, call_soon, get_running_loop, millis, secs, sleep, spawn, stream_pair, timeout,
    yield_now,
};

/// How many tasks, callbacks or timers there are at a time, where there are several.
const CROWD: u64 = 1000;

/// Does it so often; gives how long that took.
type Part = fn(u64) -> Result<Duration>;

const PARTS: &[(&str, Part)] = &[
    ("generator: send", generator_send),
    ("spawn and join, one by one", |n| timed(n, || spawn(|| Ok(())).join())),
    ("spawn and join, 1000 at a time", spawn_many),
    ("yield, alone", |n| timed(n, yield_now)),
    ("yield, among 1000", yield_among_many),
    ("future: resolved, then awaited", resolve_and_wait),
    ("future: awaited, then resolved", wait_and_resolve),
    ("lock, free", lock),
    ("semaphore, free", semaphore),
    ("queue: put and get", queue),
    ("call_soon", callbacks),
    ("timer: armed and cancelled", arm_and_cancel),
    ("timer: fired, 1000 at a time", timers),
    ("sleep, alone", |n| timed(n, || sleep(millis(1)))),
    ("timeout around nothing", |n| timed(n, || timeout(secs(60), |_| Ok(())))),
    ("transports in memory: 64 bytes there and back", transports),
    ("streams in memory: 64 bytes there and back", streams),
];

fn timed(n: u64, mut operation: impl FnMut() -> Result) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..n {
        operation()?;
    }
    Ok(start.elapsed())
}

/// The same for what does many at once, and is told how many.
fn timed_in_crowds(n: u64, mut operation: impl FnMut(u64) -> Result) -> Result<Duration> {
    let start = Instant::now();
    for done in (0..n).step_by(CROWD as usize) {
        operation(CROWD.min(n - done))?;
    }
    Ok(start.elapsed())
}

fn generator_send(n: u64) -> Result<Duration> {
    let counter: Generator<u64, u64, ()> = Generator::new(|co| {
        let mut next = 0;
        loop {
            next = co.yield_(next)? + 1;
        }
    });
    counter.start()?;
    timed(n, || counter.send(1).map(drop))
}

fn spawn_many(n: u64) -> Result<Duration> {
    timed_in_crowds(n, |crowd| {
        let tasks: Vec<_> = (0..crowd).map(|_| spawn(|| Ok(()))).collect();
        tasks.into_iter().try_for_each(|task| task.join())
    })
}

fn yield_among_many(n: u64) -> Result<Duration> {
    let rounds = n.div_ceil(CROWD);
    let spinners: Vec<_> =
        (0..CROWD).map(|_| spawn(move || (0..rounds).try_for_each(|_| yield_now()))).collect();
    let start = Instant::now();
    spinners.into_iter().try_for_each(|task| task.join())?;
    Ok(start.elapsed().mul_f64(n as f64 / (rounds * CROWD) as f64))
}

fn resolve_and_wait(n: u64) -> Result<Duration> {
    timed(n, || {
        let future = Future::new();
        future.set_result(())?;
        future.wait()
    })
}

fn wait_and_resolve(n: u64) -> Result<Duration> {
    timed(n, || {
        let future = Future::new();
        let promise = future.clone();
        call_soon(move || promise.set_result(()));
        future.wait()
    })
}

fn lock(n: u64) -> Result<Duration> {
    let lock = Lock::new();
    timed(n, || lock.lock().map(drop))
}

fn semaphore(n: u64) -> Result<Duration> {
    let semaphore = Semaphore::new(1);
    timed(n, || semaphore.guard().map(drop))
}

fn queue(n: u64) -> Result<Duration> {
    let queue = Queue::new(1);
    timed(n, || {
        queue.put(1)?;
        queue.get().map(drop)
    })
}

fn callbacks(n: u64) -> Result<Duration> {
    timed_in_crowds(n, |crowd| {
        for _ in 0..crowd {
            call_soon(|| ());
        }
        yield_now()
    })
}

fn arm_and_cancel(n: u64) -> Result<Duration> {
    timed(n, || {
        call_later(secs(60), || ()).cancel();
        Ok(())
    })
}

fn timers(n: u64) -> Result<Duration> {
    timed_in_crowds(n, |crowd| {
        for after in 0..crowd {
            // In no order: 7 and 1000 have no common divisor.
            call_later(millis(after * 7 % CROWD), || ());
        }
        sleep(millis(CROWD))
    })
}

#[derive(Default)]
struct Echo(Option<Transport>);

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) {
        self.0 = Some(transport.clone());
    }
    fn data_received(&mut self, data: &[u8]) {
        self.0.iter().for_each(|transport| transport.write(data));
    }
}

/// Sends on what it gets, until it has been asked often enough.
struct Pinger {
    transport: Option<Transport>,
    left: u64,
    done: Future<()>,
}

impl Protocol for Pinger {
    fn connection_made(&mut self, transport: &Transport) {
        self.transport = Some(transport.clone());
    }
    fn data_received(&mut self, data: &[u8]) {
        self.left -= 1;
        match (&self.transport, self.left) {
            (Some(transport), 1..) => transport.write(data),
            _ => drop(self.done.set_result(())),
        }
    }
}

fn transports(n: u64) -> Result<Duration> {
    let done = Future::new();
    let pinger = Pinger { transport: None, left: n, done: done.clone() };
    let ((near, _), _) = get_running_loop()?.create_pair(|| pinger, Echo::default, 1024)?;
    let start = Instant::now();
    near.write(&[b'x'; 64]);
    done.wait()?;
    Ok(start.elapsed())
}

fn streams(n: u64) -> Result<Duration> {
    let ((near, to_far), (far, to_near)) = stream_pair()?;
    let echo = spawn(move || {
        loop {
            let data = far.read(1024)?;
            if data.is_empty() {
                return Ok(());
            }
            to_near.write(&data);
            to_near.drain()?;
        }
    });
    let took = timed(n, || {
        to_far.write(&[b'x'; 64]);
        to_far.drain()?;
        near.readexactly(64).map(drop)
    })?;
    to_far.close();
    echo.join()?;
    Ok(took)
}

/// Under a virtual clock nobody sleeps in earnest.
fn in_a_loop(n: u64, part: Part) -> Duration {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).build().expect("a loop");
    runner.run(move || part(n)).expect("it ends well")
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for &(name, part) in PARTS {
        criterion.bench_function(name, |bencher| bencher.iter_custom(|n| in_a_loop(n, part)));
    }
    criterion.final_summary();
}
