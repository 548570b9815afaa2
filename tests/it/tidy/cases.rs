//! The rules, shown at work on snippets: what they must catch, and what they must let pass.

use super::floors::{self, Crate};
use super::{Source, text};

/// A root that declares one module of each floor that the cases use, in order.
const ROOT: &str = "
    pub mod exceptions;
    pub mod sys;
    mod generator;
    mod futures;
    mod tasks;
    pub mod base_events;
    pub mod transports;
    pub use exceptions::Error;
    pub use crate::tasks::{spawn as start, Task};
    pub use sys::*;
    fn at_the_root() {}
";

fn with(files: &[(&str, &str)]) -> Crate {
    let all = [("lib.rs", ROOT)].into_iter().chain(files.iter().copied());
    Crate::parse(all.map(|(path, text)| Source::new(format!("src/{path}"), text)).collect())
}

/// What the floors say about `futures.rs` with this content.
fn futures_with(content: &str) -> Vec<String> {
    with(&[("futures.rs", content)]).upward_imports()
}

#[track_caller]
fn assert_caught(content: &str, complaint: &str) {
    assert_eq!(futures_with(content), [format!("src/futures.rs:{complaint}")], "{content}");
}

#[track_caller]
fn assert_passes(content: &str) {
    assert_eq!(futures_with(content), [""; 0], "{content}");
}

#[test]
fn a_lower_floor_may_be_imported() {
    assert_passes("use crate::generator::Generator;");
    assert_passes("use super::exceptions::{self, Error};");
    assert_passes("fn f() -> crate::Error { crate::generator::make!(crate::exceptions::X) }");
}

#[test]
fn other_crates_and_values_are_no_imports() {
    assert_passes("use std::task::Context; use bytes::*;");
    assert_passes("impl X { fn f(&self) { self.tasks(); self::g(); Self::tasks(); } }");
    assert_passes("pub(crate) fn f() {} pub(in crate::futures) fn g() {} pub(super) fn h() {}");
    assert_passes(
        "/// See [`crate::tasks::Task`].\n// crate::tasks\nconst X: &str = \"crate::tasks\";",
    );
}

#[test]
fn a_higher_floor_is_caught() {
    assert_caught(
        "\nuse crate::base_events::EventLoop;",
        "2: crate::base_events::EventLoop: `base_events` is above `futures`",
    );
}

#[test]
fn a_later_module_of_the_same_floor_is_caught() {
    assert_caught("use crate::tasks::Task;", "1: crate::tasks::Task: `tasks` is above `futures`");
    let earlier = with(&[("tasks.rs", "use crate::futures::Future;")]);
    assert_eq!(earlier.upward_imports(), [""; 0]);
}

#[test]
fn a_nested_use_group_is_caught() {
    let group =
        "use crate::{\n  exceptions::Error,\n  base_events::{self as b, x::{EventLoop}},\n};";
    assert_eq!(
        futures_with(group),
        [
            "src/futures.rs:3: crate::base_events: `base_events` is above `futures`",
            "src/futures.rs:3: crate::base_events::x::EventLoop: `base_events` is above `futures`",
        ]
    );
}

#[test]
fn inline_paths_are_caught() {
    let above = "1: crate::tasks::f: `tasks` is above `futures`";
    assert_caught("fn g() { crate::tasks::f(); }", above);
    assert_caught("fn g() -> crate::tasks::f<u8> { x }", above);
    assert_caught("fn g(x: impl crate::tasks::f) {}", above);
    assert_caught("fn g() { match x { crate::tasks::f => {} } }", above);
    assert_caught("fn g() { let x: <X as crate::tasks>::f; }", above);
    assert_caught("fn g() { use crate::tasks::f; }", above);
    assert_caught("struct S { field: Option<Box<dyn crate::tasks::f>> }", above);
    assert_caught("fn g() { stackio::tasks::f(); }", above);
}

#[test]
fn macros_are_caught_by_name_and_by_what_they_are_given() {
    let above = "1: crate::tasks::m: `tasks` is above `futures`";
    assert_caught("fn g() { crate::tasks::m!(); }", above);
    assert_caught("fn g() { println!(\"{}\", f(crate::tasks::m::<u8>())); }", above);
    assert_caught("macro_rules! made { ($x:expr) => { $crate::tasks::m($x) }; }", above);
    assert_caught("other! { use crate::{exceptions::{A, B}, tasks::m as n}; }", above);
    assert_caught("#[helper(with = x, crate::tasks::m)] struct S;", above);
}

#[test]
fn super_and_self_are_followed() {
    assert_caught("use super::tasks::t;", "1: crate::tasks::t: `tasks` is above `futures`");
    assert_caught(
        "mod inner { fn f() { super::super::tasks::t() } }",
        "1: crate::tasks::t: `tasks` is above `futures`",
    );
    assert_passes("mod tasks { pub fn t() {} } fn f() { self::tasks::t() }");
    let below = with(&[("transports/socket.rs", "use super::server; use super::super::tasks;")]);
    assert_eq!(below.upward_imports(), [""; 0]);
}

#[test]
fn a_directory_has_the_place_of_its_module() {
    let sys = with(&[("sys/pidfd.rs", "use super::mapping; use crate::generator::X;")]);
    assert_eq!(
        sys.upward_imports(),
        ["src/sys/pidfd.rs:1: crate::generator::X: `generator` is above `sys`"]
    );
}

#[test]
fn re_exports_lead_to_where_the_item_is_defined() {
    assert_caught("use crate::Task;", "1: crate::Task: `tasks` is above `futures`");
    assert_caught("fn f() { super::start(); }", "1: crate::start: `tasks` is above `futures`");
}

#[test]
fn an_exported_macro_belongs_to_its_file() {
    let exporting = "#[macro_export] macro_rules! shout { () => {} }";
    let high = with(&[("tasks.rs", exporting), ("futures.rs", "fn f() { crate::shout!() }")]);
    assert_eq!(
        high.upward_imports(),
        ["src/futures.rs:1: crate::shout: `tasks` is above `futures`"]
    );
}

#[test]
fn the_root_is_above_everything() {
    let unknown = "names neither a module nor what lib.rs re-exports from one";
    assert_caught("use crate::at_the_root;", &format!("1: crate::at_the_root: {unknown}"));
    assert_caught("use crate::*;", &format!("1: crate::*: {unknown}"));
    assert_caught("use crate::made;", &format!("1: crate::made: {unknown}"));
    assert_caught("use crate as whole;", &format!("1: crate: {unknown}"));
    assert_caught("use super::{self};", &format!("1: crate: {unknown}"));
    assert_caught("extern crate self as whole;", &format!("1: crate: {unknown}"));
}

#[test]
fn tests_may_import_anything() {
    assert_passes("#[cfg(test)] mod tests { use crate::base_events::EventLoop; }");
    assert_passes("#[test] fn f() { crate::base_events::run(); }");
    assert_passes("impl X { #[cfg(test)] fn f() { crate::base_events::run(); } }");
    let above = "1: crate::tasks::Task: `tasks` is above `futures`";
    assert_caught("#[cfg(not(test))] use crate::tasks::Task;", above);
    assert_caught("#[cfg(unix)] use crate::tasks::Task;", above);
}

#[test]
fn modules_off_the_list_undeclared_or_out_of_order_are_caught() {
    let krate = with(&[("helpers.rs", ""), ("tasks.rs", ""), ("streams.rs", "")]);
    assert_eq!(
        krate.misplaced_modules(),
        [
            "src/helpers.rs: `helpers` is on no floor",
            "src/helpers.rs: lib.rs does not declare `helpers`",
            "src/streams.rs: lib.rs does not declare `streams`",
        ]
    );
    let root = "mod tasks; mod exceptions; #[cfg(test)] mod aids;";
    let swapped = Crate::parse(vec![Source::new("src/lib.rs", root)]);
    assert_eq!(swapped.misplaced_modules(), ["src/lib.rs: `exceptions` comes before `tasks`"]);
}

#[test]
fn a_table_of_floors_is_read_as_it_stands() {
    let table = "| floor | modules | of |\n|---|---|---|\n\
                 | 0 words | `sys` (the system), `exceptions` | nothing |\n\
                 | 1 stacks | `generator` | words |\n| 2 | `tasks`, `futures` | |\n";
    let told = floors::told(table);
    assert_eq!(told, [vec!["sys", "exceptions"], vec!["generator"], vec!["tasks", "futures"]]);
    let crate_ = with(&[]);
    let there = crate_.floors();
    assert_eq!(
        there[..3],
        [vec!["exceptions", "sys"], vec!["generator"], vec!["futures", "tasks"]]
    );
    assert!(told[0] != there[0], "the order counts");
}

#[test]
fn circles_are_caught() {
    let across =
        with(&[("futures.rs", "use crate::Task;"), ("tasks.rs", "use crate::futures::Future;")]);
    assert_eq!(across.cycles(), ["a circle: src/futures.rs -> src/tasks.rs -> src/futures.rs"]);
    let within = with(&[
        ("sys/mod.rs", "use self::a::A; use b::B;"),
        ("sys/a.rs", "use super::b::B;"),
        ("sys/b.rs", "use super::{a::A, top};"),
    ]);
    assert_eq!(within.upward_imports(), [""; 0]);
    assert_eq!(within.cycles(), ["a circle: src/sys/a.rs -> src/sys/b.rs -> src/sys/a.rs"]);
}

#[test]
fn a_module_and_its_parts_may_know_each_other() {
    let related = with(&[
        ("transports/mod.rs", "mod socket; use self::socket::S;"),
        ("transports/socket.rs", "use super::Transport; use crate::futures::Future;"),
        ("futures.rs", ""),
    ]);
    assert_eq!(related.cycles(), [""; 0]);
}

fn source(path: &str, content: &str) -> Source {
    Source::new(path, content)
}

#[test]
fn a_missing_header_is_caught() {
    assert_eq!(text::missing_header(&source("src/a.rs", "use std::fs;")).len(), 1);
    assert_eq!(text::missing_header(&source("src/a.rs", "// No.\n")).len(), 1);
    assert_eq!(text::missing_header(&source("src/a.rs", "//! What.\n")), [""; 0]);
}

#[test]
fn unsafe_outside_the_cellar_is_caught() {
    let unsafe_code = "//! About unsafe.\nfn f() {\n  m!(unsafe { g() })\n}";
    assert_eq!(text::unsafe_outside_the_cellar(&source("src/queues.rs", unsafe_code)).len(), 1);
    for cellar in ["src/fiber.rs", "src/sys/mapping.rs"] {
        assert_eq!(text::unsafe_outside_the_cellar(&source(cellar, unsafe_code)), [""; 0]);
    }
    let words = "#![deny(unsafe_code)] /// unsafe\nconst X: &str = \"unsafe\";";
    assert_eq!(text::unsafe_outside_the_cellar(&source("src/lib.rs", words)), [""; 0]);
}

#[test]
fn suspending_past_the_door_is_caught() {
    let switch = "fn f() { fiber.suspend(); }";
    assert_eq!(text::suspends_past_the_door(&source("src/locks.rs", switch)).len(), 1);
    assert_eq!(text::suspends_past_the_door(&source("src/coroutines.rs", switch)), [""; 0]);
}

#[test]
fn length_is_caught() {
    let lines = |count| "    x();\n".repeat(count);
    assert_eq!(text::long_file(&source("src/a.rs", &lines(421))).len(), 1);
    assert_eq!(text::long_file(&source("src/a.rs", &lines(420))), [""; 0]);
    for (body, complaints) in [(58, 0), (59, 1)] {
        let function = format!("/// What.\n#[inline]\nfn f() {{\n{}}}", lines(body));
        assert_eq!(text::long_functions(&source("src/a.rs", &function)).len(), complaints);
        let method = format!("impl T for X {{\n{function}\n}} trait T {{ fn f(); }}");
        assert_eq!(text::long_functions(&source("src/a.rs", &method)).len(), complaints);
    }
}

#[test]
fn leftovers_are_caught() {
    for left in [
        "fn f() { g(todo!()) }",
        "fn f() { unimplemented!(\"later\") }",
        "fn f() { dbg!(1); }",
        "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
        concat!("// TO", "DO: more\n"),
        concat!("/// ```ig", "nore\n/// x\n/// ```\nstruct S;"),
    ] {
        assert_eq!(text::leftovers(&source("tests/it/a.rs", left)).len(), 1, "{left}");
    }
    let clean = "// What todo!() means.\nfn f() { if ignore != todo { \"dbg!\" } }";
    assert_eq!(text::leftovers(&source("tests/it/a.rs", clean)), [""; 0]);
}

#[test]
fn machine_paths_are_caught() {
    let path = concat!("see /ho", "me/me/notes\n");
    assert_eq!(text::machine_paths(&source("README.md", path)).len(), 1);
    assert_eq!(text::machine_paths(&source("README.md", "see /usr/share")), [""; 0]);
}
