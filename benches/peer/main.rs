//! The workloads that runtimes are compared by.
//!
//!     cargo bench --bench peer -- yield --n 5000000 --tasks 2
//!
//! A batch workload prints one line of JSON: how often it did the operation, and
//! wall and CPU time for each. `echo` and `http` serve on `--port` until killed.
//! Run other runtimes' programs of the same work beside it, in turns: the ratio
//! means something, the single figure does not.

mod batch;
mod report;
mod servers;

use report::Args;
use stackio::Result;

fn main() -> Result {
    let args = Args::parse();
    match args.workload.as_str() {
        // `cargo bench` and `cargo test --benches` run it without a workload.
        "" => smoke(args),
        "echo" => stackio::run(move || servers::echo(&args)),
        "http" => stackio::run(move || servers::http(&args)),
        _ => stackio::run(move || stackio::spawn(move || batch::run(&args)).join()),
    }
}

/// All batch workloads, small: that they run, not how fast.
fn smoke(args: Args) -> Result {
    for workload in batch::WORKLOADS {
        let args = Args { workload: (*workload).to_owned(), small: true, ..args.clone() };
        stackio::run(move || stackio::spawn(move || batch::run(&args)).join())?;
    }
    Ok(())
}
