//! Lesson 6: one chat, written twice.
//!
//! `protocol.rs` is called: an object whose methods the loop calls when something has come.
//! `streams.rs` asks: a function that reads line after line. Both speak to the same guests, who
//! play the same script over TCP, in this process, and hear the same.
//!
//! Read the two side by side, and ask of each:
//!
//! - Where is it written that a guest's first line is a name? There in a `match` on a field, here
//!   in the order of two statements.
//! - Where does a guest leave? There in `connection_lost`, here behind the loop, however it ended.
//! - What happens to one who does not read? There nothing, unless `pause_writing` is written, and
//!   what is said to them is kept; here the same `write`, and who wants to wait says `drain`.
//! - What does an idle guest cost? There the object; here the object and a stack.
//!
//! So asyncio has both, and so has this crate: protocols for what is called often and decides at
//! once, streams for what takes its turns in an order.
//!
//! Exercises:
//!
//! - Refuse a guest whose name is taken already. Where does that go in each of the two?
//! - Send a guest away who has said nothing for a minute. In one of the two this is a `timeout`
//!   around a line; what is it in the other?
//!
//! Run it: `cargo run --example e06_protocol`

mod protocol;
mod script;
mod streams;

use stackio::{Result, Server, run};

const ANY: &str = "127.0.0.1:0";

/// What the guests of a server hear.
fn heard(server: &Server) -> Result<Vec<String>> {
    let heard = script::play(server.local_addrs()[0])?;
    server.close();
    server.wait_closed()?;
    Ok(heard)
}

fn main() -> Result {
    run(|| {
        let by_protocol = heard(&protocol::serve(ANY)?)?;
        for line in &by_protocol {
            println!("{line}");
        }
        let by_streams = heard(&streams::serve(ANY)?)?;
        let same = if by_protocol == by_streams { "the same" } else { "something else" };
        println!("by streams they hear {same}");
        Ok(())
    })
}
