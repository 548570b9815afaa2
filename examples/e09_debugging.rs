//! Lesson 9: how mistakes come to light that do not stop a program.
//!
//! One thread runs everything, and a loop lives on whatever becomes of a task. So three sorts of
//! mistake do no harm at once, and are hard to find later:
//!
//! - **An error that nobody looks at.** A task failed, and its handle was dropped. When the last
//!   handle of such a task is gone the loop's *exception handler* is told, with the place at which
//!   the task was made. Without a handler of one's own it is a line on standard error.
//! - **A step that blocks.** A task that computes for long, or sleeps by `std::thread::sleep`,
//!   holds everybody up. In *debug mode* each step is timed, and the handler is told when a long
//!   one has ended. One that does not end cannot tell anybody, so a second thread, the *watchdog*,
//!   says so while it blocks; that is no business of the handler, which belongs to the blocked
//!   thread.
//! - **Something that was forgotten.** A lock that is held for long, a task that is still pending
//!   when its loop is closed: debug mode reports these as well. (A `Runner` cancels such tasks
//!   before it closes its loop, as `asyncio.run` does; the lesson has a bare loop.)
//!
//! Debug mode is `debug(true)` of a loop's builder, and `STACKIO_DEBUG=1` for a program. For what
//! does stop a program, see lesson 5.
//!
//! The blocking step below does not last for a time, but until the watchdog has spoken, whose words
//! a `tracing` subscriber catches: so the lesson prints the same on a slow machine.
//!
//! Exercises:
//!
//! - Keep the task of `forget` in a variable to the end of the function. When is its error
//!   reported? And if it is joined?
//! - Let `culprit` do nothing but `to_thread(|| std::thread::sleep(4 * LONG))`. Which reports are
//!   gone?
//!
//! Run it: `cargo run --example e09_debugging`, and once without a handler, to see where the
//! reports go by themselves: `cargo run --example e09_debugging -- --plain`

use std::fmt::{Debug, Write as _};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use stackio::{
    Error, ErrorKind, EventLoop, ExceptionContext, ExceptionSource, Lock, Result, Task,
    TaskBuilder, VirtualClock, millis, secs, sleep, yield_now,
};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// What debug mode is to find long.
const LONG: Duration = Duration::from_millis(15);

#[track_caller] // so that a report names the caller's line
fn spawn_named<T: 'static>(name: &str, body: impl FnOnce() -> Result<T> + 'static) -> Task<T> {
    TaskBuilder::new().name(name).spawn(body)
}

// -- what is reported ------------------------------------------------------------------------

/// An exception handler. Of the times that a text has it keeps none, for they differ in each run.
fn tell(report: &ExceptionContext) {
    let task = report.task.as_deref().unwrap_or("no task");
    match (report.source, &report.exception) {
        (ExceptionSource::NeverRetrieved, Some(error)) => {
            println!("lost: `{task}` failed with: {error}");
            let line = report.created_at.map_or(0, |place| place.line());
            println!("   it was made in line {} of `forget`", line - FORGET);
        }
        // Where the machine is busy others may take long as well.
        (ExceptionSource::SlowStep, _) if task != "culprit" => {}
        (ExceptionSource::SlowStep, _) => println!("slow: a step of `{task}` that has ended"),
        (ExceptionSource::HeldLock, _) => {
            println!("held: {}", report.message.split(',').next().unwrap_or_default());
        }
        (ExceptionSource::Leaked, _) => {
            let what = report.message.split(';').next().unwrap_or_default();
            println!("left: `{task}`: {what}");
        }
        (source, _) => println!("{source:?}: {}", report.message),
    }
}

/// Hears the watchdog, which speaks from a thread of its own.
struct Listener(Mutex<Sender<String>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _into_a_string = write!(self.0, "{value:?}");
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("stackio")
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        if let Ok(heard) = self.0.lock() {
            let _nobody_listens = heard.send(text.0);
        }
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

// -- the mistakes ----------------------------------------------------------------------------

const FORGET: u32 = line!() + 1; // the line before that of `forget`

fn forget() -> Result {
    drop(spawn_named("forgotten", || -> Result {
        Err(Error::with_message(ErrorKind::Value, "nobody looks at this"))
    }));
    yield_now()
}

/// Blocks the thread, and not only its task, until it is spoken of.
fn block(heard: Receiver<String>) -> Result {
    let culprit = spawn_named("culprit", move || {
        sleep(millis(1))?;
        while let Ok(said) = heard.recv() {
            if said.contains("`culprit`") {
                let said = said.split(" for ").next().unwrap_or_default();
                println!("the watchdog, meanwhile: {said}");
                return Ok(());
            }
        }
        std::thread::sleep(4 * LONG); // nobody listens
        Ok(())
    });
    culprit.join()
}

fn hold() -> Result {
    let lock = Lock::new();
    let holder = spawn_named("holder", move || {
        let _guard = lock.lock()?;
        sleep(millis(20)) // suspended, so it blocks nobody but those who want the lock
    });
    holder.join()
}

/// It is still pending when the loop is closed.
fn leave() -> Result {
    drop(spawn_named("left", || sleep(secs(60))));
    yield_now()
}

fn lesson(heard: Receiver<String>) -> Result {
    println!("-- an error that nobody looks at");
    forget()?;
    println!("-- a step that blocks");
    block(heard)?;
    println!("-- a lock that is held for long");
    hold()?;
    println!("-- a task that is left");
    leave()
}

fn main() -> Result {
    let plain = std::env::args().any(|argument| argument == "--plain");
    let (sender, heard) = channel();
    // Under a virtual clock nobody waits for the sleeps; steps are timed by the real one.
    let mut builder = EventLoop::builder().debug(true).virtual_clock(&VirtualClock::new());
    if plain {
        drop(sender);
    } else {
        builder = builder.exception_handler(tell);
        tracing::subscriber::set_global_default(Listener(Mutex::new(sender)))
            .map_err(|error| Error::new(ErrorKind::Runtime, error))?;
    }
    let event_loop = builder.build()?;
    event_loop.set_slow_callback_duration(LONG);
    event_loop.set_slow_lock_duration(LONG);
    event_loop.run_until_complete(move || lesson(heard))?;
    event_loop.close()
}
