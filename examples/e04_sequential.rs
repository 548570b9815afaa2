//! Lesson 4: code that reads as if it blocked, and does not.
//!
//! An echo server and its guests, on one thread. Compare `echo` with the same function over
//! `std::net`: it is the same function. In Python's asyncio it would be
//!
//! ```python
//! async def echo(reader, writer):
//!     while data := await reader.read(1024):
//!         writer.write(data)
//!         await writer.drain()
//! ```
//!
//! and everything that calls it, up to the top, would have to be `async` too. Here `read` is
//! `std::io::Read::read`, so that what the standard library builds on it (`BufReader::read_line`
//! below) waits without knowing that it does.
//!
//! What happens at each `stream.read(&mut buf)`:
//!
//! 1. The socket is asked at once, unless the last read is known to have emptied it. If bytes are
//!    there, `read` returns them like any function: no future, no loop.
//! 2. If not (the system says "would block"), `read` makes a Future, tells the loop "this socket,
//!    when it is readable", and yields the Future to its Task. The task's stack, with `buf` and
//!    `read` itself on it, stays as it is.
//! 3. The Task adds its wake-up to the Future's callbacks and returns to the loop, which runs
//!    whoever else is ready, and with nobody ready waits in the selector for any socket at all.
//! 4. The selector says that bytes have come. The loop sets the Future's result, whose callback
//!    makes the task ready again.
//! 5. On its turn the task goes on inside `read`, which asks the socket again and returns.
//!
//! `write_all`, `accept` and `connect` wait in the same way, and so does `task.join()`, without a
//! socket: what it yields is the task itself, for a Task is a Future.
//!
//! The guests all connect first. Then the *last* one speaks first. A server that really blocked
//! would sit in `read` for the first guest and never hear the others.
//!
//! Exercises:
//!
//! - Take `TcpListener` and `TcpStream` from `std::net`. How far does the program get, and who
//!   waits for whom?
//! - Leave `server.cancel()` out. Why does the program not end, and how could you find out which
//!   task is in the way? (Lesson 5 tells.)
//!
//! Run it: `cargo run --example e04_sequential`

use std::io::{self, BufRead, BufReader, Read, Write};

use stackio::net::{TcpListener, TcpStream};
use stackio::{Result, Task, run, spawn};

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buf = [0; 1024];
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(()),
            n => stream.write_all(&buf[..n])?,
        }
    }
}

/// Accepts until it is cancelled: the cancellation comes out of `accept` as an error.
fn serve(listener: &TcpListener) -> Result {
    loop {
        let (stream, _) = listener.accept()?;
        spawn(move || Ok(echo(stream)?));
    }
}

fn talk(name: &str, stream: &TcpStream) -> Result {
    let mut replies = BufReader::new(stream);
    for word in ["hello", "goodbye"] {
        let mut stream = stream; // `&TcpStream` writes too, as in std
        writeln!(stream, "{word} from {name}")?;
        let mut reply = String::new();
        replies.read_line(&mut reply)?;
        println!("{name} hears: {}", reply.trim_end());
    }
    Ok(())
}

fn party() -> Result {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = spawn(move || serve(&listener));

    let mut guests = Vec::new();
    for name in ["ann", "bob", "cleo"] {
        guests.push((name, TcpStream::connect(address)?));
        println!("{name} is connected");
    }

    let mut before: Option<Task<()>> = None;
    for (name, stream) in guests.into_iter().rev() {
        let earlier = before.take();
        before = Some(spawn(move || {
            if let Some(guest) = earlier {
                guest.join()?;
            }
            talk(name, &stream)
        }));
    }
    if let Some(last) = before {
        last.join()?;
    }

    server.cancel();
    match server.join() {
        Err(error) if error.is_cancelled() => println!("the server was cancelled as it waited"),
        other => println!("the server ended by itself: {other:?}"),
    }
    Ok(())
}

fn main() -> Result {
    run(party)
}
