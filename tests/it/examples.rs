//! `cargo test` runs every example: one that compiles may still be wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{assert_same_text, example, run};

/// Each example and the test that runs it, as `module::test` below `tests/it/`.
const RUN_BY: &[(&str, &str)] = &[
    ("conformance", "conformance::every_scenario_leaves_the_trace_of_asyncio"),
    ("crawler", "crawler::without_arguments_its_own_site_is_crawled_to_the_last_page"),
    ("dns_lookup", "examples::dns_lookup_asks_its_own_server_everything"),
    ("e01_generator", "examples::e01_generator_says_what_python_says"),
    ("e02_mini_asyncio", "examples::e02_mini_asyncio_has_all_pages_under_way_at_once"),
    ("e03_the_flow", "examples::e03_the_flow_tells_its_seven_steps"),
    ("e05_task_tree", "examples::e05_task_tree_draws_who_waits_for_whom"),
    ("e06_protocol", "examples::e06_protocol_is_one_chat_written_twice"),
    ("e07_producers", "examples::e07_producers_hold_the_same_bytes_back_in_three_ways"),
    ("e08_cancellation", "examples::e08_cancellation_says_what_is_thrown_and_what_comes_out"),
    ("e09_debugging", "examples::e09_debugging_finds_each_mistake"),
    ("json_rpc", "examples::json_rpc_says_the_same_over_every_carrier"),
    ("tls_echo", "examples::tls_echo_is_heard_and_refuses_the_wrong_name"),
    ("million", "examples::million_suspends_as_many_tasks_as_it_is_told"),
    ("e04_sequential", "examples::e04_sequential_serves_its_guests_in_any_order"),
    ("subprocess_pipeline", "examples::subprocess_pipeline_gives_the_same_in_three_ways"),
];

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn dns_lookup_asks_its_own_server_everything() {
    assert_prints("dns_lookup", include_str!("expected/dns_lookup.txt"));
}

#[test]
fn e01_generator_says_what_python_says() {
    assert_prints("e01_generator", include_str!("expected/e01_generator.txt"));
}

#[test]
fn e02_mini_asyncio_has_all_pages_under_way_at_once() {
    assert_prints("e02_mini_asyncio", include_str!("expected/e02_mini_asyncio.txt"));
}

#[test]
fn e03_the_flow_tells_its_seven_steps() {
    assert_prints("e03_the_flow", include_str!("expected/e03_the_flow.txt"));
}

#[test]
fn e03_the_flow_has_the_words_of_the_crate_as_well() {
    let finished = run(Command::new(example("e03_the_flow")).arg("--raw"), LIMIT);
    assert!(finished.status.success(), "{}", finished.stderr);
    // When the system finds the socket writable is its affair, so not each line is the same.
    let told = ["Task-1 created", "call_soon: a step of Task-1", "send into Task-1"];
    assert_in_order(&finished.stdout, &told);
    let waits = ["Task-1 yields future", ": wake Task-1", "select\n", "ready: readable true"];
    assert_in_order(&finished.stdout, &waits);
    let goes_on = ["has a result", "a step of Task-1", "send into Task-1", "Task-1 ends: a result"];
    assert_in_order(finished.stdout.split_once("readable true").expect("it was").1, &goes_on);
}

#[test]
fn e04_sequential_serves_its_guests_in_any_order() {
    assert_prints("e04_sequential", include_str!("expected/e04_sequential.txt"));
}

#[test]
fn e05_task_tree_draws_who_waits_for_whom() {
    let finished = run(&mut Command::new(example("e05_task_tree")), LIMIT);
    assert!(finished.status.success(), "{}", finished.stderr);
    // What the loop says has numbers of locks, which are any, and lines.
    let (drawn, said) = finished.stdout.split_once("the loop says: ").expect("it says something");
    assert_same_text(include_str!("expected/e05_task_tree.txt"), drawn);
    assert_in_order(said, &["deadlock: nothing is ready", "\n   a cycle: ann -> bob -> ann\n"]);
    assert_in_order(said, &["ann waits for lock #", "held by bob", "bob waits", "held by ann"]);
}

#[test]
#[cfg(feature = "process")]
fn subprocess_pipeline_gives_the_same_in_three_ways() {
    assert_prints("subprocess_pipeline", include_str!("expected/subprocess_pipeline.txt"));
}

#[test]
fn e06_protocol_is_one_chat_written_twice() {
    assert_prints("e06_protocol", include_str!("expected/e06_protocol.txt"));
}

#[test]
fn e07_producers_hold_the_same_bytes_back_in_three_ways() {
    assert_prints("e07_producers", include_str!("expected/e07_producers.txt"));
}

#[test]
fn e08_cancellation_says_what_is_thrown_and_what_comes_out() {
    assert_prints("e08_cancellation", include_str!("expected/e08_cancellation.txt"));
}

#[test]
fn e09_debugging_finds_each_mistake() {
    assert_prints("e09_debugging", include_str!("expected/e09_debugging.txt"));
}

#[test]
fn e09_debugging_reports_by_itself_on_standard_error() {
    let finished = run(Command::new(example("e09_debugging")).arg("--plain"), LIMIT);
    assert!(finished.status.success(), "{}", finished.stderr);
    // Where the machine is busy the watchdog may come too late to say anything.
    let reports = ["nobody looks at this", "`culprit` took", "held for 20ms", "still pending"];
    assert_in_order(&finished.stderr, &reports);
}

#[test]
fn json_rpc_says_the_same_over_every_carrier() {
    assert_prints("json_rpc", include_str!("expected/json_rpc.txt"));
}

#[test]
#[cfg(feature = "tls")]
fn tls_echo_is_heard_and_refuses_the_wrong_name() {
    assert_prints("tls_echo", include_str!("expected/tls_echo.txt"));
}

#[test]
fn million_suspends_as_many_tasks_as_it_is_told() {
    let finished = run(Command::new(example("million")).arg("20000"), LIMIT);
    assert!(finished.status.success(), "{}", finished.stderr);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines[0], "20000 tasks suspended at once");
    let memory = lines[1].strip_suffix(" bytes of memory each").expect("the memory line");
    let memory: usize = memory.parse().expect("a number of bytes");
    // One page of stack and the task, or two pages in a build without optimisation.
    assert!((4096..16384).contains(&memory), "{memory} bytes a task");
}

/// Runs an example that takes no input: it must succeed, print `expected` and nothing else.
#[track_caller]
fn assert_prints(name: &str, expected: &str) {
    let finished = run(&mut Command::new(example(name)), LIMIT);
    assert!(finished.status.success(), "{name}: {}\n{}", finished.status, finished.stderr);
    assert_same_text(expected, &finished.stdout);
    assert_same_text("", &finished.stderr);
}

/// Each of the `parts` is in `text`, behind the one before.
#[track_caller]
fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { panic!("no `{part}` in:\n{rest}") };
        rest = after;
    }
}

#[test]
fn every_example_is_run_by_a_test() {
    let listed: BTreeSet<String> =
        RUN_BY.iter().map(|(example, _)| (*example).to_owned()).collect();
    assert_eq!(listed, examples(), "RUN_BY must list exactly what is in examples/");
    for (example, test) in RUN_BY {
        assert!(exists(test), "{example} is said to be run by {test}, which is no test");
    }
}

/// What is in `examples/`: files without their `.rs`, and directories.
fn examples() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(directory).expect("there are examples");
    let names = entries.map(|entry| entry.expect("a readable directory").path());
    names
        .map(|path| path.with_extension("").file_name().expect("a name").display().to_string())
        .collect()
}

/// Whether `module::test` is a test below `tests/it/`.
fn exists(test: &str) -> bool {
    let (module, name) = test.split_once("::").expect("module::test");
    let file = format!("{}/tests/it/{module}.rs", env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let syntax = syn::parse_file(&source).unwrap_or_else(|error| panic!("{file}: {error}"));
    syntax.items.iter().any(|item| match item {
        syn::Item::Fn(item) => {
            item.sig.ident == name && item.attrs.iter().any(|a| a.path().is_ident("test"))
        }
        _ => false,
    })
}
