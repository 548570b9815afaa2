//! stackio, on its public API, with its default features, stacks and guards.
//!
//! Servers take `--style net|protocol|streams`: sequential sockets, a protocol on a transport, or
//! streams.

mod batch;
mod messages;
mod servers;

use bench::Args;
use stackio::{Result, run, spawn};

fn main() -> Result {
    let args = Args::parse("stackio");
    run(move || {
        let work = move || match args.workload.as_str() {
            "echo" => servers::echo(&args),
            "http" => servers::serve(&args, messages::http),
            "redis" => servers::redis(&args),
            _ => batch::run(&args),
        };
        spawn(work).join()
    })
}
