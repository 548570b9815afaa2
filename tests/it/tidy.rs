//! Structure is a test: what the compiler accepts but the house does not.
//!
//! `paths` finds every path that leads into the crate, `floors` judges where it may lead, `text`
//! keeps the smaller rules. `cases` shows each of them failing on a bad snippet: a check that
//! cannot fail checks nothing.

mod cases;
mod floors;
mod paths;
mod text;

use std::fs;
use std::path::Path;

use floors::Crate;

/// One file of this repository.
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    pub content: String,
}

impl Source {
    fn new(path: impl Into<String>, content: impl Into<String>) -> Source {
        Source { path: path.into(), content: content.into() }
    }

    /// The path below `src/`, if it is there.
    fn in_src(&self) -> Option<&str> {
        self.path.strip_prefix("src/")
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Every UTF-8 file at or below `places`, relative to the repository; absent ones have none.
/// What a build has left there is not ours.
fn sources(places: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for place in places {
        collect(place, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(place: &str, found: &mut Vec<Source>) {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    if let Ok(entries) = fs::read_dir(&full) {
        for entry in entries {
            let name = entry.expect("a readable directory").file_name();
            let name = name.to_str().expect("a UTF-8 name");
            if name != "target" {
                collect(&format!("{place}/{name}"), found);
            }
        }
    } else if let Ok(content) = fs::read_to_string(&full) {
        found.push(Source::new(place, content));
    }
}

fn rust_sources(places: &[&str]) -> Vec<Source> {
    let mut sources = sources(places);
    sources.retain(Source::is_rust);
    sources
}

/// Fails with all `complaints` at once, so that one run shows the whole work.
#[track_caller]
fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Runs a rule that looks at one file over every Rust file at `places`.
#[track_caller]
fn assert_each(places: &[&str], rule: impl Fn(&Source) -> Vec<String>) {
    let sources = rust_sources(places);
    assert!(!sources.is_empty(), "nothing to check in {places:?}");
    assert_none(&sources.iter().flat_map(rule).collect::<Vec<_>>());
}

#[test]
fn modules_are_on_the_list_and_declared_in_its_order() {
    assert_none(&Crate::parse(rust_sources(&["src"])).misplaced_modules());
}

#[test]
fn the_design_has_each_module_on_its_floor() {
    let design = sources(&["design.md"]).remove(0).content;
    let crate_ = Crate::parse(rust_sources(&["src"]));
    assert_eq!(floors::told(&design), crate_.floors(), "the table in design.md");
}

#[test]
fn imports_lead_to_lower_floors_or_earlier_modules() {
    assert_none(&Crate::parse(rust_sources(&["src"])).upward_imports());
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    assert_none(&Crate::parse(rust_sources(&["src"])).cycles());
}

#[test]
fn every_file_says_what_it_is_for() {
    assert_each(&["src", "examples", "tests"], text::missing_header);
}

#[test]
fn unsafe_stays_in_the_cellar() {
    assert_each(&["src"], text::unsafe_outside_the_cellar);
}

#[test]
fn only_the_door_suspends() {
    assert_each(&["src"], text::suspends_past_the_door);
}

#[test]
fn files_hold_one_idea() {
    assert_each(&["src", "examples", "tests"], text::long_file);
}

#[test]
fn functions_hold_one_idea() {
    assert_each(&["src", "examples"], text::long_functions);
}

#[test]
fn nothing_is_left_unfinished() {
    assert_each(&["src", "examples", "tests", "benches"], text::leftovers);
}

#[test]
fn nothing_names_a_place_on_somebodys_machine() {
    let mut places = vec!["src", "examples", "tests", "benches", ".ci", "Cargo.toml"];
    places.extend(["README.md", "design.md", "CONTRIBUTING.md", "CHANGELOG.md"]);
    places.extend(["BENCHMARKS.md", "measurements.md"]);
    assert_none(&sources(&places).iter().flat_map(text::machine_paths).collect::<Vec<_>>());
}
