//! Steps that block, and the thread that says so while they do.
//!
//! The step itself waits until it has been spoken of, so that no test depends on how fast the
//! machine is.

use std::fmt::Write as _;
use std::iter;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use stackio::{Runner, TaskBuilder, call_soon, millis, sleep, yield_now};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span, subscriber};

use crate::children;

/// Far longer than anybody has to wait.
const LIMIT: Duration = Duration::from_secs(20);

/// A subscriber that sends each event on as `message [task]`, and may panic at first.
struct Listener {
    heard: Mutex<Sender<String>>,
    panics_left: Mutex<u32>,
}

impl Listener {
    fn new(panics: u32) -> (Listener, Receiver<String>) {
        let (sender, heard) = channel();
        (Listener { heard: Mutex::new(sender), panics_left: Mutex::new(panics) }, heard)
    }
}

#[derive(Default)]
struct Text(String, String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => write!(self.0, "{value:?}").unwrap(),
            "task" => write!(self.1, "{value:?}").unwrap(),
            _ => {}
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("stackio")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut left = self.panics_left.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            drop(left);
            panic!("the listener is broken");
        }
        let mut text = Text::default();
        event.record(&mut text);
        // Whoever listened may be gone when the loop is closed.
        let _ = self.heard.lock().unwrap().send(format!("{} [{}]", text.0, text.1));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// A runner whose steps may not take a moment.
fn impatient() -> Runner {
    let runner = Runner::debug(true).exception_handler(|_| {}).build().unwrap();
    runner.event_loop().set_slow_callback_duration(Duration::ZERO);
    runner
}

#[test]
fn a_blocked_step_is_reported_while_it_blocks() {
    let (listener, heard) = Listener::new(0);
    subscriber::with_default(listener, || {
        let (said, line) = impatient()
            .run(move || {
                let task = TaskBuilder::new().name("culprit").spawn(move || {
                    let line = line!() + 1;
                    sleep(millis(1))?;
                    Ok((heard.recv_timeout(LIMIT).expect("somebody says so meanwhile"), line))
                });
                task.join()
            })
            .unwrap();
        assert!(
            said.starts_with("the task `culprit` has been blocking the event loop for "),
            "{said}"
        );
        assert!(said.contains(&format!("since it went on from {}:{line}:", file!())), "{said}");
        assert!(said.ends_with("[\"culprit\"]"), "{said}");
    });
}

#[test]
fn a_first_step_that_blocks_is_named_by_where_it_was_spawned() {
    let (listener, heard) = Listener::new(0);
    subscriber::with_default(listener, || {
        let (said, line) = impatient()
            .run(move || {
                let line = line!() + 1;
                let task = TaskBuilder::new().spawn(move || Ok(heard.recv_timeout(LIMIT).unwrap()));
                Ok((task.join()?, line))
            })
            .unwrap();
        let place = format!("since it began; it was spawned at {}:{line}:", file!());
        assert!(said.contains(&place), "{said}");
    });
}

#[test]
fn a_callback_that_blocks_is_named_by_where_it_was_scheduled() {
    let (listener, heard) = Listener::new(0);
    subscriber::with_default(listener, || {
        let (said, line) = impatient()
            .run(move || {
                let said = stackio::Future::new();
                let tells = said.clone();
                let line = line!() + 1;
                call_soon(move || tells.set_result(heard.recv_timeout(LIMIT).unwrap()));
                Ok((said.wait()?, line))
            })
            .unwrap();
        let place = format!("it was scheduled at {}:{line}:", file!());
        assert!(said.starts_with("a callback has been blocking the event loop for "), "{said}");
        assert!(said.contains(&place), "{said}");
    });
}

#[test]
fn it_is_said_again_if_it_goes_on_and_a_listener_may_panic() {
    let (listener, heard) = Listener::new(1);
    subscriber::with_default(listener, || {
        let said =
            impatient().run(move || Ok([(); 2].map(|()| heard.recv_timeout(LIMIT).unwrap())));
        let [first, second] = said.unwrap();
        assert_ne!(first, second, "it has been longer since then");
    });
}

#[test]
fn who_listens_is_asked_anew_for_each_step() {
    let mut runner = impatient();
    runner.run(yield_now).unwrap(); // the thread is there, and nobody listens
    for _ in 0..2 {
        let (listener, heard) = Listener::new(0);
        subscriber::with_default(listener, || {
            runner.run(move || Ok(heard.recv_timeout(LIMIT).unwrap())).unwrap();
        });
    }
}

#[test]
fn after_a_step_that_was_given_long_the_next_one_is_watched_as_closely() {
    let (listener, heard) = Listener::new(0);
    subscriber::with_default(listener, || {
        let mut runner = impatient();
        let event_loop = runner.event_loop().clone();
        let said = runner.run(move || {
            heard.recv_timeout(LIMIT).unwrap(); // the thread is awake, and sees the next step
            event_loop.set_slow_callback_duration(Duration::from_secs(3600));
            yield_now()?;
            thread::sleep(millis(50));
            event_loop.set_slow_callback_duration(Duration::ZERO);
            yield_now()?;
            let mut heard = iter::from_fn(|| heard.recv_timeout(LIMIT).ok());
            Ok(heard.find(|said| said.contains("since it went on from")))
        });
        assert!(said.unwrap().is_some());
    });
}

#[test]
fn of_steps_that_do_not_block_nothing_is_said() {
    let (listener, heard) = Listener::new(0);
    subscriber::with_default(listener, || {
        let mut runner = Runner::debug(true).build().unwrap();
        runner.event_loop().set_slow_callback_duration(Duration::from_secs(3600));
        runner.run(|| (0..1000).try_for_each(|_| yield_now())).unwrap();
    });
    assert_eq!(heard.try_iter().count(), 0);
}

/// How many threads of this process look on. Their names are cut to 15 bytes.
#[cfg(target_os = "linux")]
fn watchdogs() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |thread: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(thread.ok()?.path().join("comm")).ok()
    };
    threads.filter_map(name).filter(|name| name.starts_with("stackio-watchdo")).count()
}

/// Lets other threads go on until so many look on.
#[cfg(target_os = "linux")]
fn until_watchdogs_are(count: usize) {
    let begin = Instant::now();
    while watchdogs() != count {
        assert!(begin.elapsed() < LIMIT, "{} look on, and not {count}", watchdogs());
        thread::yield_now();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_thread_ends_with_the_loop_and_when_debug_mode_is_turned_off() {
    if children::is_child() {
        let mut runner = impatient();
        assert_eq!(watchdogs(), 0, "none before it is needed");
        // A thread gives itself its name when it begins, so it is let speak first.
        let (listener, heard) = Listener::new(0);
        subscriber::with_default(listener, || {
            runner.run(move || Ok(heard.recv_timeout(LIMIT).unwrap())).unwrap();
        });
        assert_eq!(watchdogs(), 1);
        runner.event_loop().set_debug(false);
        until_watchdogs_are(0);
        runner.event_loop().set_debug(true);
        runner.run(yield_now).unwrap();
        drop(runner);
        until_watchdogs_are(0);
        return;
    }
    children::assert_played_well(&children::play());
}

/// Says that it was told, and then waits for a lock, as for that of a file.
struct Waiting {
    told: Mutex<Sender<()>>,
    lock: Arc<Mutex<()>>,
}

impl Subscriber for Waiting {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {
        let _ = self.told.lock().unwrap().send(());
        let _locked = self.lock.lock();
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_loop_can_end_while_the_thread_waits_for_what_the_loops_thread_has() {
    if children::is_child() {
        let ((told, tells), lock) = (channel(), Arc::default());
        let listener = Waiting { told: Mutex::new(told), lock: Arc::clone(&lock) };
        let mut runner = impatient();
        let locked = lock.lock().unwrap();
        subscriber::with_default(listener, || {
            let told = runner.run(move || Ok(tells.recv_timeout(LIMIT).is_ok()));
            assert!(told.unwrap());
        });
        drop(runner);
        drop(locked);
        return;
    }
    children::assert_played_well(&children::play());
}

#[test]
fn the_thread_does_not_keep_the_process_alive() {
    if children::is_child() {
        let mut runner = impatient();
        runner.run(yield_now).unwrap();
        std::mem::forget(runner);
        return;
    }
    children::assert_played_well(&children::play());
}
