//! What must not compile: each file of `tests/compile_fail`, and its twin, which does.
//!
//! A case opens with the code of its error and says why it must be one. `//~` marks the lines that
//! the compiler complains of. One place makes the difference: `#[cfg(feature = "twin")]` and
//! `#[cfg(not(feature = "twin"))]` are the twin's side of it and the case's.
//!
//! All of them are the binaries of one package that is written below the target directory, so the
//! crate is checked once, and the compiler's own words are compared, code and line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Finished, run};

/// The first time, the crate and its dependencies are checked as well.
const LIMIT: Duration = Duration::from_secs(600);

/// The code of an error and the line it is on.
type Complaint = (String, u64);

/// What the compiler said of each case.
type Complaints = BTreeMap<String, BTreeSet<Complaint>>;

struct Case {
    name: String,
    path: PathBuf,
    source: String,
}

impl Case {
    /// `//! E0597: why`
    fn code(&self) -> &str {
        let header = self.source.strip_prefix("//! ").unwrap_or_default();
        let (code, _why) = header.split_once(": ").unwrap_or_default();
        assert!(code.starts_with('E') && code.len() == 5, "{}: `//! E0597: why`", self.name);
        code
    }

    fn expected(&self) -> BTreeSet<Complaint> {
        let marked = self.source.lines().zip(1..).filter(|(line, _)| line.ends_with(" //~"));
        marked.map(|(_, number)| (self.code().to_owned(), number)).collect()
    }

    fn assert_differs_in_one_place(&self) {
        let count = |side: &str| self.source.matches(side).count();
        let sides = (count("#[cfg(not(feature = \"twin\"))]"), count("#[cfg(feature = \"twin\")]"));
        let one = matches!(sides, (1, 0) | (0, 1) | (1, 1));
        assert!(one, "{} and its twin differ in more or less than one place", self.name);
    }
}

fn cases() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile_fail");
    let entries = fs::read_dir(directory).expect("the cases are here");
    let case = |path: PathBuf| Case {
        name: path.file_stem().expect("a file has a name").display().to_string(),
        source: fs::read_to_string(&path).expect("a readable case"),
        path,
    };
    entries.map(|entry| case(entry.expect("a readable directory").path())).collect()
}

/// Writes the package whose binaries are the cases.
fn write_package(cases: &[Case]) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile-fail");
    fs::create_dir_all(&directory).expect("the target directory is there to be written to");
    let root = env!("CARGO_MANIFEST_DIR");
    let mut manifest = format!(
        "[package]\nname = 'compile-fail'\nedition = '2024'\nautobins = false\n\
         [features]\ntwin = []\n\
         [dependencies]\nstackio = {{ path = '{root}' }}\n\
         [workspace]\n"
    );
    for case in cases {
        let (name, path) = (&case.name, case.path.display());
        manifest += &format!("[[bin]]\nname = '{name}'\npath = '{path}'\n");
    }
    fs::write(directory.join("Cargo.toml"), manifest).expect("a manifest can be written");
    // The versions that this test was built with are on this machine.
    fs::copy(Path::new(root).join("Cargo.lock"), directory.join("Cargo.lock"))
        .expect("the versions are locked");
    directory
}

fn check(package: &Path, features: &str) -> Finished {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/tmp");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(package).env("CARGO_TARGET_DIR", target);
    cargo.args(["check", "--offline", "--keep-going", "--quiet", "--message-format=json"]);
    run(cargo.args(["--features", features]), LIMIT)
}

/// Every warning and error that has a place in the source.
fn complaints(finished: &Finished) -> Complaints {
    let mut complaints = Complaints::new();
    for line in finished.stdout.lines() {
        let line: Value = serde_json::from_str(line).expect("cargo was asked for JSON");
        if line["reason"] != "compiler-message" {
            continue;
        }
        let case = line["target"]["name"].as_str().expect("a target has a name");
        let message = &line["message"];
        let code = message["code"]["code"].as_str().or(message["level"].as_str());
        let spans = message["spans"].as_array().expect("spans are a list");
        for span in spans.iter().filter(|span| span["is_primary"] == true) {
            let line = span["line_start"].as_u64().expect("a line is a number");
            let complaint = (code.unwrap_or_default().to_owned(), line);
            complaints.entry(case.to_owned()).or_default().insert(complaint);
        }
    }
    complaints
}

#[test]
fn what_must_not_compile_does_not_and_its_twin_does() {
    let cases = cases();
    let package = write_package(&cases);
    let checked = check(&package, "twin");
    assert_eq!(complaints(&checked), Complaints::new(), "the twins compile without a word");
    assert!(checked.status.success(), "{}", checked.stderr);

    let checked = check(&package, "");
    assert!(!checked.status.success());
    let found = complaints(&checked);
    let expected: Complaints =
        cases.iter().map(|case| (case.name.clone(), case.expected())).collect();
    assert_eq!(found, expected, "{}", checked.stderr);
    for case in &cases {
        case.assert_differs_in_one_place();
    }
}
