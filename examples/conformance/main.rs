//! Runs the programs of the conformance suite on this crate.
//!
//! A program is a small JSON text in the language of
//! `tests/conformance/SPEC.md`; its trace, one line per event, is compared with
//! the trace that CPython 3.13's own asyncio leaves. Every op of the language is
//! one call of the function of that name here: this program schedules nothing.
//!
//! ```text
//! conformance < program.json            one program; prints its trace
//! conformance --batch < programs        one program per line; a line "===" ends each trace
//! conformance --select-budget 1         how much may run between two looks at the selector
//! ```

mod awaitables;
mod blocks;
mod callbacks;
mod combinators;
mod errors;
mod expressions;
mod frame;
mod futures;
mod generators;
mod interpreter;
mod known;
mod locks;
mod ops;
mod program;
mod queues;
mod session;
mod streams;
mod tasks;
mod timeouts;
mod trace;
mod value;

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use program::Program;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    batch: bool,
    select_budget: Option<u32>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--batch" => options.batch = true,
                "--select-budget" => {
                    let number = arguments.next().and_then(|text| text.parse().ok());
                    options.select_budget = Some(number.ok_or("--select-budget needs a number")?);
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(options)
    }
}

/// The trace of one program, or the single line that refuses it.
fn trace_of(text: &str, options: &Options) -> Vec<String> {
    match Program::parse(text) {
        Ok(program) => session::run(program, options.select_budget),
        Err(refused) => vec![format!("refused {refused}")],
    }
}

fn run_all(options: &Options) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if options.batch {
        for line in io::stdin().lock().lines() {
            for event in trace_of(&line?, options) {
                writeln!(output, "{event}")?;
            }
            writeln!(output, "===")?;
            output.flush()?;
        }
        return Ok(());
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    trace_of(&text, options).iter().try_for_each(|event| writeln!(output, "{event}"))
}

fn main() -> ExitCode {
    let done = Options::parse(std::env::args().skip(1))
        .and_then(|options| run_all(&options).map_err(|error| error.to_string()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::FAILURE
        }
    }
}
