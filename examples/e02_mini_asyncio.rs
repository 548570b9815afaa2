//! Lesson 2: asyncio in a hundred lines: a `Future`, a `Task` and a loop around a selector.
//!
//! Lesson 1 left functions in the middle by hand. Here a machine decides who goes on, and it
//! knows only three things:
//!
//! - a **Future** is a result that is not there yet, and who wants to hear of it (`callbacks`);
//! - a **Task** drives one coroutine: it sends in a future's result, gets the next future back,
//!   and asks that one to call `step` again;
//! - the **loop** asks the selector which sockets are ready, and calls what was registered for
//!   them. (`select`, `epoll` and `kqueue` are the system calls for it; mio picks one, as
//!   `selectors.DefaultSelector` does in Python.)
//!
//! In Python, much shortened, with the same names:
//!
//! ```python
//! class Future:                                class Task:
//!     def __init__(self):                          def __init__(self, coro):
//!         self.result = None                           self.coro = coro
//!         self._callbacks = []                         f = Future()
//!                                                      f.set_result(None)
//!     def add_done_callback(self, fn):                 self.step(f)
//!         self._callbacks.append(fn)
//!                                                  def step(self, future):
//!     def set_result(self, result):                    try:
//!         self.result = result                             next_future = self.coro.send(future.result)
//!         for fn in self._callbacks:                   except StopIteration:
//!             fn(self)                                     return
//!                                                      next_future.add_done_callback(self.step)
//! ```
//!
//! Follow the numbers through the code for one turn of the wheel. Lesson 3 has the same ones:
//!
//! 1. *send*: a Task wraps a coroutine and sends, which starts it;
//! 2. *yield*: the coroutine begins some I/O, registers a callback for it, and yields a Future;
//! 3. *add_done_callback*: the Task receives the Future and has it call `step` when it is done;
//! 4. *select*: the loop waits in the selector, and calls the callback of what is ready;
//! 5. *set_result*: the callback sets the Future's result to that of the I/O;
//! 6. the Future calls what was added to it, the Task's `step`;
//! 7. *send*: the step sends the result in, and the coroutine goes on: to 2, until it returns.
//!
//! **The main difference to asyncio** is in 6. Here `set_result` calls `step` directly, so whoever
//! completes a future is held up by all who waited for it, and their calls pile up on its stack.
//! asyncio's futures call nobody: they hand their callbacks to the loop by *call_soon*, which puts
//! them into a queue, and the loop runs that in order, one after the other.
//!
//! The crate's own `Future`, `Task` and loop are this model, plus errors, cancellation, timers
//! and an order of calls that is exactly asyncio's. Where to find it there:
//!
//! | here | in `src` |
//! |---|---|
//! | `Future` | `future_core.rs`, and with a type `futures.rs` |
//! | `Task::step` | `run_pending`, and behind it `wait_for`, in `steps.rs` |
//! | `EventLoop::run` | `run_once` in `base_events.rs` |
//! | `co.yield_` | `suspend` in `coroutines.rs` |
//!
//! The coroutines below fetch three pages from a server that answers the *last* request first: all
//! three have to be under way at once.
//!
//! Exercises:
//!
//! - Add a timer: `sleep(co, event_loop, delay)`. Which argument of `poll` is it for, and what does
//!   the loop need to know to find it?
//! - Give the loop a queue, and have `set_result` put its callbacks there. What has `run` to do
//!   before it asks the selector, and how long may it wait there?
//!
//! Run it: `cargo run --example e02_mini_asyncio`

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{self, SocketAddr};
use std::rc::Rc;
use std::thread;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use stackio::{Generator, Result, Resumed, Yielder};

/// What a future holds: bytes that were read, or Python's `None`.
type Value = Option<Vec<u8>>;
type Callback = Box<dyn FnOnce(&Future) -> Result>;
type Co = Yielder<Value, Rc<Future>>;

#[derive(Default)]
struct Future {
    result: RefCell<Value>,
    callbacks: RefCell<Vec<Callback>>,
}

impl Future {
    fn add_done_callback(&self, callback: impl FnOnce(&Future) -> Result + 'static) {
        self.callbacks.borrow_mut().push(Box::new(callback));
    }

    fn set_result(&self, result: Value) -> Result {
        self.result.replace(result);
        let callbacks = self.callbacks.take();
        callbacks.into_iter().try_for_each(|callback| callback(self)) // 6, without call_soon
    }
}

struct Task {
    coro: Generator<Value, Rc<Future>, ()>,
}

impl Task {
    fn start(coro: impl FnOnce(&Co) -> Result + 'static) -> Result {
        let task = Rc::new(Task { coro: Generator::new(coro) });
        task.step(&Future::default()) // 1
    }

    fn step(self: Rc<Task>, future: &Future) -> Result {
        let resumed = match future.result.take() {
            None => self.coro.next()?, // 1 and 7: Python's send(None), which also starts it
            value => self.coro.send(value)?, // 7
        };
        match resumed {
            Resumed::Yielded(next_future) => {
                next_future.add_done_callback(move |future| self.step(future)); // 3
            }
            Resumed::Returned(()) => {}
        }
        Ok(())
    }
}

/// The loop: a selector, and what to call for each socket that becomes ready.
struct EventLoop {
    poll: RefCell<Poll>,
    callbacks: RefCell<HashMap<Token, Box<dyn FnOnce() -> Result>>>,
    last_token: Cell<usize>,
}

impl EventLoop {
    fn new() -> Result<Rc<EventLoop>> {
        let (poll, callbacks) = (RefCell::new(Poll::new()?), RefCell::default());
        Ok(Rc::new(EventLoop { poll, callbacks, last_token: Cell::new(0) }))
    }

    /// Runs until nobody waits for a socket any more.
    fn run(&self) -> Result {
        let mut events = Events::with_capacity(8);
        while !self.callbacks.borrow().is_empty() {
            self.poll.borrow_mut().poll(&mut events, None)?; // 4
            for event in &events {
                let callback = self.callbacks.borrow_mut().remove(&event.token());
                callback.map_or(Ok(()), |callback| callback())?;
            }
        }
        Ok(())
    }

    /// Suspends the coroutine until `socket` is ready for `interest` and `io` has been done.
    fn wait(
        self: &Rc<EventLoop>,
        co: &Co,
        socket: &Rc<RefCell<TcpStream>>,
        interest: Interest,
        io: impl FnOnce(&mut TcpStream) -> io::Result<Value> + 'static,
    ) -> Result<Value> {
        let token = Token(self.last_token.get() + 1);
        self.last_token.set(token.0);
        self.poll.borrow().registry().register(&mut *socket.borrow_mut(), token, interest)?;

        let future = Rc::new(Future::default());
        let (event_loop, ready, socket) = (self.clone(), future.clone(), socket.clone());
        let callback = move || {
            event_loop.poll.borrow().registry().deregister(&mut *socket.borrow_mut())?;
            let result = io(&mut socket.borrow_mut())?;
            ready.set_result(result) // 5
        };
        self.callbacks.borrow_mut().insert(token, Box::new(callback));
        co.yield_(future) // 2
    }
}

/// The coroutine, as its author reads it. It yields from within `wait`, and nothing here says so.
fn fetch(co: &Co, event_loop: &Rc<EventLoop>, server: SocketAddr, page: &str) -> Result {
    println!("{page}: asked for");
    let socket = Rc::new(RefCell::new(TcpStream::connect(server)?));
    let request = format!("{page}\n");
    event_loop.wait(co, &socket, Interest::WRITABLE, move |socket| {
        socket.write_all(request.as_bytes())?;
        Ok(None)
    })?;
    let mut body = Vec::new();
    while let Some(chunk) = event_loop.wait(co, &socket, Interest::READABLE, read)? {
        body.extend(chunk);
    }
    println!("{page}: {}", String::from_utf8(body)?);
    Ok(())
}

/// The bytes that have arrived, or `None` at the end of the stream.
fn read(socket: &mut TcpStream) -> io::Result<Value> {
    let mut chunk = vec![0; 1024];
    let length = socket.read(&mut chunk)?;
    chunk.truncate(length);
    Ok((length > 0).then_some(chunk))
}

/// Takes three requests before it answers any, and then answers the last one first.
fn serve(listener: &net::TcpListener) -> io::Result<()> {
    let mut guests = Vec::new();
    for _ in 0..3 {
        let (guest, _) = listener.accept()?;
        let mut page = String::new();
        BufReader::new(&guest).read_line(&mut page)?;
        guests.push((page, guest));
    }
    guests.sort_by(|(a, _), (b, _)| b.cmp(a));
    for (page, mut guest) in guests {
        write!(guest, "this is {}", page.trim_end())?;
        guest.shutdown(net::Shutdown::Write)?;
        guest.read_to_end(&mut Vec::new())?; // until the guest has left, so that they go in order
    }
    Ok(())
}

fn main() -> Result {
    let listener = net::TcpListener::bind("127.0.0.1:0")?;
    let server = listener.local_addr()?;
    let serving = thread::spawn(move || serve(&listener));

    let event_loop = EventLoop::new()?;
    for page in ["/1", "/2", "/3"] {
        let event_loop = event_loop.clone();
        Task::start(move |co| fetch(co, &event_loop, server, page))?;
    }
    println!("all are under way, nobody has blocked");
    event_loop.run()?;
    serving.join().expect("the server does not panic")?;
    Ok(())
}
