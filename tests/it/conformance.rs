//! The behaviour of CPython 3.13's asyncio, line by line: every scenario below
//! `tests/conformance/` is run by the example `conformance`, and its trace must be
//! the one that asyncio itself left.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::example;

/// How long one program may take. They take milliseconds.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn every_scenario_leaves_the_trace_of_asyncio() {
    check_all(64, "0");
}

#[test]
fn looking_at_the_selector_each_time_changes_no_trace() {
    check_all(1, "0");
}

#[test]
fn debug_mode_changes_no_trace() {
    check_all(64, "1");
}

#[test]
fn an_unknown_op_is_refused_before_anything_runs() {
    let mut interpreter = Interpreter::start(64, "0");
    let program = serde_json::json!({
        "name": "unknown",
        "main": [{"op": "log", "text": "running"}, {"op": "no_such_op", "on": "x"}],
    });
    assert_eq!(interpreter.run(&program), ["refused no_such_op"]);
}

/// Runs all scenarios, with that select budget, and in debug mode or not.
fn check_all(select_budget: u32, debug: &str) {
    let mut interpreter = Interpreter::start(select_budget, debug);
    let mut run = 0;
    let mut failures = Vec::new();
    for scenario in scenarios() {
        let actual = interpreter.run(&scenario.program);
        run += 1;
        failures.extend(difference(&scenario, &actual));
    }
    assert!(run > 0, "no scenario was run");
    let failed = failures.len();
    assert!(failures.is_empty(), "{failed} of {run} scenarios differ\n{}", failures.join("\n"));
}

struct Scenario {
    name: String,
    program: Value,
    trace: Vec<String>,
}

/// The scenarios, by name.
fn scenarios() -> Vec<Scenario> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/scenarios");
    let entries = fs::read_dir(&directory).expect("the scenarios are a directory");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    files.iter().map(|file| scenario(file)).collect()
}

fn scenario(file: &Path) -> Scenario {
    let read = |file: &Path| match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => panic!("{}: {error}", file.display()),
    };
    let program = serde_json::from_str(&read(file))
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let trace = read(&file.with_extension("trace"));
    Scenario {
        name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        program,
        trace: trace.lines().map(str::to_owned).collect(),
    }
}

/// The first difference with the lines around it, if there is one.
fn difference(scenario: &Scenario, actual: &[String]) -> Option<String> {
    const BEFORE: usize = 5;
    const AFTER: usize = 3;

    let expected = &scenario.trace;
    let same = expected.iter().zip(actual).take_while(|(left, right)| left == right).count();
    if same == expected.len() && same == actual.len() {
        return None;
    }
    let mut report = format!("{}: the traces differ at line {}", scenario.name, same + 1);
    for line in &expected[same.saturating_sub(BEFORE)..same] {
        report.push_str(&format!("\n              {line}"));
    }
    for (title, lines) in [("expected", &expected[..]), ("actual", actual)] {
        let rest = &lines[same..];
        if rest.is_empty() {
            report.push_str(&format!("\n    {title:8}  (end of trace)"));
        }
        for line in rest.iter().take(AFTER) {
            report.push_str(&format!("\n    {title:8}  {line}"));
        }
    }
    Some(report)
}

/// The example in batch mode: one program in, one trace out.
struct Interpreter {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
}

impl Interpreter {
    fn start(select_budget: u32, debug: &str) -> Interpreter {
        let mut child = Command::new(example("conformance"))
            .args(["--batch", "--select-budget", &select_budget.to_string()])
            .env("STACKIO_DEBUG", debug)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example can be started");
        let input = child.stdin.take().expect("its input is a pipe");
        let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let (sender, receiver) = mpsc::channel();
        // On a thread of its own, so that a run that hangs ends in a message.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Interpreter { child, input, output: receiver }
    }

    /// The trace of a program.
    fn run(&mut self, program: &Value) -> Vec<String> {
        writeln!(self.input, "{program}").expect("the interpreter reads its input");
        let mut trace = Vec::new();
        loop {
            match self.output.recv_timeout(LIMIT) {
                Ok(line) if line == "===" => return trace,
                Ok(line) => trace.push(line),
                Err(end) => panic!("{}: {}\n{}", program["name"], why(end), trace.join("\n")),
            }
        }
    }
}

fn why(end: RecvTimeoutError) -> String {
    match end {
        RecvTimeoutError::Timeout => format!("no end within {LIMIT:?}"),
        RecvTimeoutError::Disconnected => "the interpreter died".to_owned(),
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
