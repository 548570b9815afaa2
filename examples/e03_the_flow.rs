//! Lesson 3: the flow, step by step, as it happens.
//!
//! One task reads once from a socket on which nothing has arrived yet. Asyncio's model says what
//! must happen then, and every line below is printed by the loop's own event for it, in the
//! order in which it happens:
//!
//! 1. *send*: the Task resumes its coroutine. It runs on a stack of its own until it has to wait.
//! 2. *yield*: the coroutine leaves a Future with its Task and switches back. In Python a
//!    generator's frame stays on the heap; here the whole stack stays where it is.
//! 3. *add_done_callback*: the Task asks the Future to wake it.
//! 4. *select*: nothing else is ready, so the loop asks the system which socket is.
//! 5. *set_result*: the socket is readable, so the Future that stood for it is done.
//! 6. *call_soon*: being done, the Future puts its callbacks into the loop's queue. It runs
//!    nothing itself: what runs, and when, is the loop's affair alone.
//! 7. *send*: the Task resumes its coroutine, which goes on in the middle of `read`.
//!
//! The bytes are sent from another thread, and only once the loop is about to block: the
//! narrator, who sees it coming, gives the word.
//!
//! Exercises:
//!
//! - Have the bytes sent before the loop runs. Which of the steps are left, and whose future is it
//!   that has a result?
//! - Let a second task read from a second socket. Draw which lines belong to which task before you
//!   run it.
//!
//! Run it: `cargo run --example e03_the_flow`, and with `-- --raw` for every event in the crate's
//! own words: the lesson leaves out those that do not belong to the seven steps.

use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use stackio::net::TcpStream;
use stackio::{EventLoop, FlowEvent, Instrument, Result};

/// Tells each event of the flow in one line.
struct Narrator {
    raw: bool,
    sends: Cell<u32>,
    asked: Cell<bool>,
    about_to_block: Sender<()>,
}

impl Instrument for Narrator {
    fn event(&self, event: &FlowEvent<'_>) {
        if self.raw {
            println!("{event}");
        } else {
            self.tell(event);
        }
        if let FlowEvent::Select { timeout: None } = event
            && !self.asked.replace(true)
        {
            // If the thread is gone, the read ends with an error of its own.
            let _ = self.about_to_block.send(());
        }
    }
}

impl Narrator {
    /// The events that belong to the seven steps, in their words.
    fn tell(&self, event: &FlowEvent<'_>) {
        match event {
            FlowEvent::TaskCreated { task, .. } => println!("   Task `{task}` wraps a coroutine"),
            FlowEvent::Send { task } => {
                self.sends.set(self.sends.get() + 1);
                let (step, what) = match self.sends.get() {
                    1 => (1, "starts"),
                    _ => (7, "resumes"),
                };
                println!("{step}. send: Task `{task}` {what} its coroutine");
            }
            FlowEvent::Yield { task, future: Some(_) } => {
                println!("2. yield: the coroutine of `{task}` yields a Future and is suspended");
            }
            FlowEvent::AddDoneCallback { wakes: Some(task), .. } => {
                println!("3. add_done_callback: the Future is to wake Task `{task}`");
            }
            // A new socket is reported as writable once, which concerns nobody; the loop asks
            // again then.
            FlowEvent::Select { timeout: None } if !self.asked.get() => {
                println!("4. select: nothing is ready, the loop asks the selector");
            }
            FlowEvent::Ready { readable: true, .. } => println!("   the socket is readable"),
            FlowEvent::FutureDone { outcome, .. } if self.sends.get() == 1 => {
                println!("5. set_result: the Future has {outcome}");
            }
            FlowEvent::CallSoon { task: Some(task) } if self.sends.get() == 1 => {
                println!("6. call_soon: the wake-up of Task `{task}` is in the queue");
            }
            FlowEvent::Return { task, outcome } => {
                println!("   the coroutine returns: Task `{task}`, itself a Future, has {outcome}");
            }
            _ => {}
        }
    }
}

/// Sends a few bytes when the word is given.
fn speak(mut peer: std::net::TcpStream, word: &Receiver<()>) -> std::io::Result<()> {
    if word.recv().is_ok() {
        peer.write_all(b"hello")?;
    }
    Ok(())
}

fn main() -> Result {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let peer = std::net::TcpStream::connect(listener.local_addr()?)?;
    let mut stream = TcpStream::from_std(listener.accept()?.0)?;
    let (about_to_block, word) = channel();
    let speaker = thread::spawn(move || speak(peer, &word));

    let raw = std::env::args().any(|argument| argument == "--raw");
    let narrator = Narrator { raw, sends: Cell::new(0), asked: Cell::new(false), about_to_block };
    let event_loop = EventLoop::builder().instrument(Rc::new(narrator)).build()?;
    let greeting = event_loop.run_until_complete(move || {
        let mut buffer = [0; 16];
        let length = stream.read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    })?;
    assert_eq!(greeting, "hello");
    if let Ok(spoken) = speaker.join() {
        spoken?;
    }
    Ok(())
}
