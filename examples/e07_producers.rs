//! Lesson 7: who holds whom back. The same bytes, through the same slow reader, from a push
//! producer and from a generator.
//!
//! PEP 3153 models producers after Twisted's: an object that writes by itself until it is told to
//! pause. It also looks at the alternative, a generator that yields what is to be written, raises
//! five objections, and closes with the last of them: nobody had shown working code. Here is some.
//!
//! ```text
//!   Push        resume() --> write write write ... <-- pause()
//!   Pump        resume() --> next() write next() write ... <-- pause()
//!   a task      wait until it may; next(); write; again
//! ```
//!
//! Each source has to wait in between, as one that reads a disk has: that is where the objections
//! are about something. Nothing here is real, so that each run prints the same: the connection is
//! memory, and the clock is virtual.
//!
//! Exercises:
//!
//! - Set `HIGH_WATER` to the size of a chunk. What becomes of the number of pauses, and of the
//!   time?
//! - Let each of the sources fail in the middle. Who hears of it, and is what was written before
//!   that still sent?
//!
//! Run it: `cargo run --example e07_producers`

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use stackio::{
    Consumer, Error, Event, Future, Generator, Producer, Protocol, Result, Resumed, Runner,
    Transport, VirtualClock, Yielder, call_later, get_running_loop, millis, sleep,
};

/// All that is sent, and what is sent at a time, in bytes.
const TOTAL: usize = 64 * 1024;
const CHUNK: usize = 1024;

/// What may wait before the source is told to pause, in bytes.
const HIGH_WATER: usize = 8 * 1024;

/// The source has nothing for a while after each of these.
const BLOCK: usize = 16 * 1024;
const SEEK_MS: u64 = 40;

/// The bytes at that place.
fn chunk(at: usize) -> Vec<u8> {
    (at..at + CHUNK).map(|n| (n * n / 7) as u8).collect()
}

// -- 1: a push producer -----------------------------------------------------------------------

/// Writes by itself, and has to remember where it was: its state is in its fields.
struct Push {
    me: std::rc::Weak<Push>,
    consumer: RefCell<Option<Rc<dyn Consumer>>>,
    meter: Rc<Meter>,
    paused: Cell<bool>,
    seeking: Cell<bool>,
    at: Cell<usize>,
}

impl Push {
    fn new(meter: Rc<Meter>) -> Rc<Push> {
        Rc::new_cyclic(|me| Push {
            me: me.clone(),
            consumer: RefCell::new(None),
            meter,
            paused: Cell::new(true),
            seeking: Cell::new(false),
            at: Cell::new(0),
        })
    }

    fn produce(&self) {
        while !self.paused.get() && !self.seeking.get() {
            let Some(consumer) = self.consumer.borrow().clone() else { return };
            let at = self.at.get();
            if at == TOTAL {
                consumer.unregister();
                return self.meter.transport.write_eof();
            }
            self.at.set(at + CHUNK);
            // It may call `pause` before it returns.
            if consumer.consume(&chunk(at)).is_err() {
                return;
            }
            self.meter.note();
            if self.at.get().is_multiple_of(BLOCK) {
                self.seek();
            }
        }
    }

    /// Has nothing for a while.
    fn seek(&self) {
        self.seeking.set(true);
        if let Some(me) = self.me.upgrade() {
            call_later(millis(SEEK_MS), move || {
                me.seeking.set(false);
                me.produce();
            });
        }
    }
}

impl Producer for Push {
    fn half_register(&self, consumer: Rc<dyn Consumer>) {
        *self.consumer.borrow_mut() = Some(consumer);
    }

    fn pause(&self) {
        self.paused.set(true);
    }

    fn resume(&self) {
        self.paused.set(false);
        self.produce();
    }

    fn stop(&self) {
        self.consumer.take();
    }
}

// -- 2: a generator, and what pumps it ----------------------------------------------------------

/// What the generator of a pump yields when it has nothing yet: how long to leave it alone. The
/// PEP calls this the sentinel.
enum Yielded {
    Bytes(Vec<u8>),
    NothingFor(u64),
}

/// The state is where the function stands.
fn blocks(co: &Yielder<(), Yielded>) -> Result {
    for at in (0..TOTAL).step_by(CHUNK) {
        co.yield_(Yielded::Bytes(chunk(at)))?;
        if (at + CHUNK).is_multiple_of(BLOCK) {
            co.yield_(Yielded::NothingFor(SEEK_MS))?;
        }
    }
    Ok(())
}

/// Makes a producer of a generator. It knows nothing of what the generator is about, and the
/// consumer knows nothing of generators.
struct Pump {
    me: std::rc::Weak<Pump>,
    generator: Generator<(), Yielded, ()>,
    consumer: RefCell<Option<Rc<dyn Consumer>>>,
    meter: Rc<Meter>,
    paused: Cell<bool>,
    resting: Cell<bool>,
}

impl Pump {
    fn new(generator: Generator<(), Yielded, ()>, meter: Rc<Meter>) -> Rc<Pump> {
        Rc::new_cyclic(|me| Pump {
            me: me.clone(),
            generator,
            consumer: RefCell::new(None),
            meter,
            paused: Cell::new(true),
            resting: Cell::new(false),
        })
    }

    fn pump(&self) {
        while !self.paused.get() && !self.resting.get() {
            let Some(consumer) = self.consumer.borrow().clone() else { return };
            match self.generator.next() {
                Ok(Resumed::Yielded(Yielded::Bytes(bytes))) => {
                    if consumer.consume(&bytes).is_err() {
                        return;
                    }
                    self.meter.note();
                }
                Ok(Resumed::Yielded(Yielded::NothingFor(ms))) => self.rest(ms),
                Ok(Resumed::Returned(())) => {
                    consumer.unregister();
                    return self.meter.transport.write_eof();
                }
                Err(error) => return self.meter.transport.abort_with(error),
            }
        }
    }

    fn rest(&self, ms: u64) {
        self.resting.set(true);
        if let Some(me) = self.me.upgrade() {
            call_later(millis(ms), move || {
                me.resting.set(false);
                me.pump();
            });
        }
    }
}

impl Producer for Pump {
    fn half_register(&self, consumer: Rc<dyn Consumer>) {
        *self.consumer.borrow_mut() = Some(consumer);
    }

    fn pause(&self) {
        self.paused.set(true);
    }

    fn resume(&self) {
        self.paused.set(false);
        self.pump();
    }

    /// The generator is told by an error at its `yield_`, and cleans up.
    fn stop(&self) {
        self.consumer.take();
        let _ended_or_failed = self.generator.close();
    }
}

// -- 3: a generator in a task --------------------------------------------------------------------

/// The same, without a sentinel: it waits where it has nothing, which suspends the task that asked
/// it and nobody else.
fn waiting_blocks(co: &Yielder<(), Vec<u8>>) -> Result {
    for at in (0..TOTAL).step_by(CHUNK) {
        co.yield_(chunk(at))?;
        if (at + CHUNK).is_multiple_of(BLOCK) {
            sleep(millis(SEEK_MS))?;
        }
    }
    Ok(())
}

fn write_all(generator: &Generator<(), Vec<u8>, ()>, meter: &Meter) -> Result {
    for bytes in generator {
        meter.transport.try_write(&bytes?)?;
        meter.note();
        meter.may_write.wait()?;
    }
    meter.transport.try_write_eof()
}

// -- the connection ------------------------------------------------------------------------------

/// The writing end: what is measured of it.
struct Meter {
    transport: Transport,
    peak: Cell<usize>,
    /// Set while the transport has room, for tasks.
    may_write: Rc<Event>,
}

impl Meter {
    fn note(&self) {
        self.peak.set(self.peak.get().max(self.transport.get_write_buffer_size()));
    }
}

/// The writing end's protocol.
struct Writing {
    may_write: Rc<Event>,
    pauses: Rc<Cell<u32>>,
}

impl Protocol for Writing {
    fn pause_writing(&mut self) {
        self.pauses.set(self.pauses.get() + 1);
        self.may_write.clear();
    }

    fn resume_writing(&mut self) {
        self.may_write.set();
    }
}

/// Takes four chunks and then nothing for ten milliseconds, and checks what came.
struct SlowReader {
    transport: Option<Transport>,
    received: Vec<u8>,
    all: Future<Vec<u8>>,
}

impl Protocol for SlowReader {
    fn connection_made(&mut self, transport: &Transport) {
        self.transport = Some(transport.clone());
    }

    fn data_received(&mut self, data: &[u8]) {
        self.received.extend_from_slice(data);
        if let Some(transport) = self.transport.clone() {
            transport.pause_reading();
            call_later(millis(10), move || transport.resume_reading());
        }
    }

    fn connection_lost(&mut self, _: Option<Error>) {
        let _nobody_waits = self.all.set_result(std::mem::take(&mut self.received));
    }
}

/// Sends everything in one of the ways, and says how that went.
fn measure(name: &str, send: impl FnOnce(&Rc<Meter>) -> Result) -> Result {
    let event_loop = get_running_loop()?;
    let begun = event_loop.time();
    let (may_write, pauses) = (Rc::new(Event::new()), Rc::new(Cell::new(0)));
    may_write.set();
    let writing = Writing { may_write: may_write.clone(), pauses: pauses.clone() };
    let all = Future::new();
    let reader = SlowReader { transport: None, received: Vec::new(), all: all.clone() };
    let ((transport, _), _) = event_loop.create_pair(|| writing, || reader, 4 * CHUNK)?;
    transport.set_write_buffer_limits(HIGH_WATER, HIGH_WATER / 4)?;
    let meter = Rc::new(Meter { transport, peak: Cell::new(0), may_write });
    send(&meter)?;
    let received = all.join()?;

    let expected: Vec<u8> = (0..TOTAL).step_by(CHUNK).flat_map(chunk).collect();
    assert_eq!(received, expected);
    assert!(meter.peak.get() > HIGH_WATER, "the reader was not slow");
    assert!(meter.peak.get() <= HIGH_WATER + CHUNK, "{} bytes waited", meter.peak.get());
    println!(
        "{name:<22} {} bytes arrived, at most {} waited, {} pauses, {} ms",
        received.len(),
        meter.peak.get(),
        pauses.get(),
        (event_loop.time() - begun).as_millis(),
    );
    Ok(())
}

fn lesson() -> Result {
    println!("high-water mark {HIGH_WATER}, chunks of {CHUNK}:");
    measure("a push producer", |meter| meter.transport.register(Push::new(meter.clone())))?;
    measure("a pumped generator", |meter| {
        let generator = Generator::new(blocks);
        meter.transport.register(Pump::new(generator, meter.clone()))
    })?;
    measure("a generator in a task", |meter| write_all(&Generator::new(waiting_blocks), meter))
}

/// What each of the PEP's objections to generators comes to.
const OBJECTIONS: &str = "
A generator is passive, and does not know its consumer.
   So it is, and what is active is the pump, or the task: written once, for all generators. That
   the generator knows nobody is what lets `for` read it in a test.

A push producer may go on after a write; a generator has to be told.
   The pump's loop tells it, and ends when the consumer says `pause`. Both look the same from
   there: the transport cannot tell them apart, and the same number of bytes waits.

It makes the consumer complicated, which has to ask for data as well as to take it.
   The consumer has no line for it. The asking is in the pump.

Nothing to give yet needs a sentinel, as an exception would end the generator.
   Where it is pumped by callbacks it does: `NothingFor`. In a task it does not: the generator
   waits, from any depth, and the task that asked it, and the loop goes on.

Nobody has shown code that works.
   See above.";

fn main() -> Result {
    let mut runner = Runner::builder().virtual_clock(&VirtualClock::new()).build()?;
    runner.run(lesson)?;
    println!("{OBJECTIONS}");
    Ok(())
}
