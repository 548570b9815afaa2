//! stackio, on its public API, with its default features, stacks and guards.
//!
//! Servers take `--style net|protocol|streams`: sequential sockets (the default), a protocol on a
//! transport, or streams. `echo` is written three times, once in each; the others are functions
//! from requests to answers (`messages`), that each style calls.

mod batch;
mod echo;
mod messages;
mod requests;

use bench::Args;
use stackio::{Result, run, spawn};

fn main() -> Result {
    let args = Args::parse("stackio");
    run(move || spawn(move || work(&args)).join())
}

fn work(args: &Args) -> Result {
    match args.workload.as_str() {
        "echo" => echo::serve(args),
        "http" => {
            let site = messages::Http::default();
            requests::serve(args, move |input, output| Ok(site.answer(input, output)))
        }
        "redis" => {
            let mut store = messages::Redis::default();
            requests::serve(args, move |input, output| store.answer(input, output))
        }
        _ => batch::run(args),
    }
}

/// What a server's `--style` may be.
#[derive(Clone, Copy)]
enum Style {
    Net,
    Protocol,
    Streams,
}

impl Style {
    fn of(args: &Args) -> Style {
        match args.str("style") {
            "" | "net" => Style::Net,
            "protocol" => Style::Protocol,
            "streams" => Style::Streams,
            _ => args.unsupported(),
        }
    }
}
