//! Lesson 1: a function that can be left in the middle and entered again.
//!
//! **Asynchronous I/O is not threads.** Reading from a socket takes no work of the processor: it
//! starts the operation, the hardware does the rest and tells the operating system when it is
//! done. A program that waits for a thousand sockets therefore needs no thousand threads. It
//! needs one, and a way to put a function aside while its data is under way. Python found that
//! way in its generators.
//!
//! **A generator** is a function with `yield` in it. Calling it runs nothing and gives an object;
//! `send` runs the function to its next `yield`, hands out what it yields, and leaves it there,
//! locals and all. The next `send` goes on from that spot, and its argument is what `yield`
//! evaluates to. `yield from` hands the outside over to another generator until that returns: the
//! delegating function stands still while values pass through it both ways.
//!
//! **What a stackful coroutine changes.** Python can leave a function in the middle because its
//! frames live on the heap, one object per call, so `yield` parks one frame, and every caller in
//! between has to say `yield from` (later: `await`). Here each generator has a stack of its own
//! and parks all of it. A plain function, called from the body as deep as you like, may call
//! `co.yield_`, and no signature on the way mentions it: see `ask` below.
//!
//! The transcript is Python's, with `send(None)`, which starts a generator, spelled `start()`:
//!
//! ```python
//! def gen_fn():                                       def caller_fn():
//!     result = yield 1                                    gen = gen_fn()
//!     print('result of yield: {}'.format(result))         rv = yield from gen
//!     result2 = yield 2                                   print('return value of yield-from: {}'
//!     print('result of 2nd yield: {}'.format(result2))          .format(rv))
//!     return 'done'
//! ```
//!
//! Exercises:
//!
//! - Call `ask` in a thread of its own, by `std::thread::scope`. What does the compiler say, and
//!   which stack would have to be left in the middle?
//! - Let `main` send "hello" to a generator that has not been started. Why can that not work, in
//!   Python neither?
//!
//! Run it: `cargo run --example e01_generator`

use stackio::{Generator, Result, Resumed, Yielder};

/// Takes strings in, yields numbers out.
type Co = Yielder<&'static str, u32>;

fn gen_fn() -> Generator<&'static str, u32, &'static str> {
    Generator::named("gen_fn", |co| {
        let result = co.yield_(1)?;
        println!("result of yield: {result}");
        let result2 = ask(co, 2)?;
        println!("result of 2nd yield: {result2}");
        Ok("done")
    })
}

/// Yields from one call deeper; in Python this would have to be a generator as well.
fn ask(co: &Co, question: u32) -> Result<&'static str> {
    co.yield_(question)
}

const CALLER_FN: u32 = line!() + 2; // where the next function begins

fn caller_fn() -> Generator<&'static str, u32, ()> {
    Generator::named("caller_fn", |co| {
        let inner = gen_fn();
        let rv = co.yield_from(&inner)?;
        println!("return value of yield-from: {}", rv.unwrap_or("nothing"));
        Ok(())
    })
}

/// Where a generator stands, counted from the first line of `caller_fn`: Python's `f_lasti`
/// counts from the beginning of the function too, in bytes of its code.
fn line_of_caller_fn<R>(generator: &Generator<&'static str, u32, R>) -> Option<u32> {
    generator.suspended_at().map(|place| place.line() - CALLER_FN + 1)
}

/// Prints an expression as one types it at the prompt, then evaluates it.
macro_rules! prompt {
    ($expression:expr) => {{
        println!(">>> {}", stringify!($expression));
        $expression
    }};
}

/// Prints what a `send` came back with. Python raises `StopIteration` to say that a generator
/// has returned; here that is a variant of the result.
fn show<R: std::fmt::Debug>(resumed: Resumed<u32, R>) {
    match resumed {
        Resumed::Yielded(number) => println!("{number}"),
        Resumed::Returned(value) => println!("StopIteration: {value:?}"),
    }
}

fn main() -> Result {
    println!("-- a generator");
    let generator = gen_fn(); // nothing has run yet
    show(prompt!(generator.start())?);
    show(prompt!(generator.send("hello"))?);
    show(prompt!(generator.send("goodbye"))?);

    println!("-- a generator that delegates");
    let caller = caller_fn();
    show(prompt!(caller.start())?);
    println!("{:?}", prompt!(line_of_caller_fn(&caller)));
    show(prompt!(caller.send("hello"))?);
    println!("{:?}", prompt!(line_of_caller_fn(&caller))); // it has not moved
    println!("{:?}", prompt!(caller.yielding_from().and_then(|inner| inner.name())));
    show(prompt!(caller.send("goodbye"))?);
    println!("{:?}", prompt!(line_of_caller_fn(&caller))); // it has ended
    Ok(())
}
