//! The map from asyncio's names is complete: each line of `asyncio-api.txt` is in a table of
//! `src/from_asyncio`, and nothing else is. That its links lead somewhere is rustdoc's to check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// How many names never get a counterpart. Each has its reason in the map.
const WITHOUT_COUNTERPART: usize = 5;

/// How many lines there are to map.
const LISTED: usize = 395;

const REASONS: &str = "# What has no counterpart";

fn read(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(full).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The tables, in the order in which the module includes them.
fn map() -> String {
    let module = read("src/from_asyncio.rs");
    let included =
        module.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next());
    included.map(|path| read(&format!("src/{path}"))).collect()
}

/// The names of the list, and whether each is marked as gone; what is no name is a complaint.
fn listed(list: &str, complaints: &mut Vec<String>) -> BTreeMap<String, bool> {
    let mut names = BTreeMap::new();
    for line in list.lines().filter(|line| !line.trim().is_empty()) {
        let Some((name, gone)) = listed_name(line) else { continue };
        if name.is_empty() || names.insert(name.clone(), gone).is_some() {
            complaints.push(format!("the list has no name, or one again: {line}"));
        }
    }
    names
}

/// The name on a line, and whether it is gone; `None` for a heading.
fn listed_name(line: &str) -> Option<(String, bool)> {
    if let Some(comment) = line.strip_prefix('#') {
        // What has no name in the module is a whole sentence, set in by two blanks.
        return Some((comment.strip_prefix("  ")?.to_owned(), false));
    }
    let signature = ["class ", "def ", "const ", "  "].iter().find_map(|k| line.strip_prefix(k));
    let name = signature.unwrap_or_default().split([' ', '(']).next().unwrap_or_default();
    Some((name.to_owned(), line.ends_with("# gone")))
}

/// A row of a table: names, and what is said of them.
struct Row {
    names: Vec<String>,
    counterpart: String,
}

fn rows(map: &str, complaints: &mut Vec<String>) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in map.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells[..] {
            ["", "asyncio", "here", ""] | ["", "---", "---", ""] => {}
            ["", names, counterpart, ""] => match names_in(names) {
                Some(names) => rows.push(Row { names, counterpart: counterpart.to_owned() }),
                None => complaints.push(format!("not a list of names: {names}")),
            },
            _ => complaints.push(format!("not a row of two cells: {line}")),
        }
    }
    rows
}

/// The names between backticks, with commas in between; `.name` is of the class before it.
fn names_in(text: &str) -> Option<Vec<String>> {
    let text = text.strip_prefix('`')?.strip_suffix('`')?;
    let mut owner = "";
    let mut names = Vec::new();
    for name in text.split("`, `") {
        if name.is_empty() || name.contains('`') || (name.starts_with('.') && owner.is_empty()) {
            return None;
        }
        if name.starts_with('.') {
            names.push(full_name(&format!("{owner}{name}")));
        } else {
            owner = owner_of(name);
            names.push(full_name(name));
        }
    }
    Some(names)
}

/// The class itself, or the class that a method belongs to.
fn owner_of(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((owner, member)) if !member.starts_with(char::is_uppercase) => owner,
        _ => name,
    }
}

fn full_name(name: &str) -> String {
    match name.strip_prefix("loop.") {
        Some(method) => format!("AbstractEventLoop.{method}"),
        None => name.to_owned(),
    }
}

/// The names on the list of those without a counterpart, each with a reason.
fn reasoned(map: &str, complaints: &mut Vec<String>) -> BTreeSet<String> {
    let (_, list) = map.split_once(REASONS).unwrap_or_default();
    let mut names = BTreeSet::new();
    for entry in list.lines().filter_map(|line| line.strip_prefix("- ")) {
        let found = entry.split_once("`: ").filter(|(_, reason)| !reason.trim().is_empty());
        match found.and_then(|(names, _)| names_in(&format!("{names}`"))) {
            Some(found) => names.extend(found),
            None => complaints.push(format!("not names and a reason: {entry}")),
        }
    }
    names
}

/// What is wrong with what is said of `name`.
fn wrong(name: &str, counterpart: &str, gone: bool, reasoned: bool) -> Option<String> {
    if (counterpart == "gone") != gone {
        return Some(format!("`{name}`: \"gone\" and the list's mark do not agree"));
    }
    if (counterpart == "none") != reasoned {
        return Some(format!("`{name}`: \"none\" and the list of reasons do not agree"));
    }
    let linked = counterpart.contains("[`") || counterpart.contains("](");
    (!gone && !reasoned && !linked).then(|| format!("`{name}`: leads nowhere: {counterpart}"))
}

/// Everything in which the map is not one of the list.
fn complaints(list: &str, map: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let listed = listed(list, &mut complaints);
    let reasoned = reasoned(map, &mut complaints);
    let mut mapped = BTreeSet::new();
    for Row { names, counterpart } in rows(map, &mut complaints) {
        for name in names {
            match listed.get(&name) {
                Some(&gone) => {
                    complaints.extend(wrong(&name, &counterpart, gone, reasoned.contains(&name)));
                }
                None => complaints.push(format!("`{name}`: is not asyncio's")),
            }
            if let Some(again) = mapped.replace(name) {
                complaints.push(format!("`{again}`: is mapped twice"));
            }
        }
    }
    let unmapped = listed.keys().filter(|name| !mapped.contains(*name));
    complaints.extend(unmapped.map(|name| format!("`{name}`: is not mapped")));
    let idle = reasoned.iter().filter(|name| !mapped.contains(*name));
    complaints.extend(idle.map(|name| format!("`{name}`: has a reason and no row")));
    complaints
}

#[test]
fn every_name_of_asyncio_is_mapped() {
    let list = read("tests/it/asyncio-api.txt");
    let complaints = complaints(&list, &map());
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    assert_eq!(listed(&list, &mut Vec::new()).len(), LISTED);
}

#[test]
fn few_names_have_no_counterpart() {
    assert_eq!(reasoned(&map(), &mut Vec::new()).len(), WITHOUT_COUNTERPART);
}

#[test]
fn every_table_is_included() {
    let module = read("src/from_asyncio.rs");
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/from_asyncio");
    for table in fs::read_dir(tables).expect("the tables") {
        let name = table.expect("a readable directory").file_name();
        let path = format!("from_asyncio/{}", name.to_str().expect("a UTF-8 name"));
        assert!(module.contains(&format!("include_str!(\"{path}\")")), "{path} is not included");
    }
}

const LIST: &str = "\
# A heading.
class Lock
  Lock.acquire(self)
  Lock.release(self)  # inherited
class AbstractEventLoop
  AbstractEventLoop.close(self)
def get_event_loop()  # gone
def iscoroutine(obj)
#  python -m asyncio (REPL)
";

const MAP: &str = "\
| asyncio | here |
|---|---|
| `Lock`, `.acquire`, `.release` | [`Lock`](crate::Lock) |
| `AbstractEventLoop`, `loop.close` | [`EventLoop`] |
| `get_event_loop` | gone |
| `iscoroutine` | none |
| `python -m asyncio (REPL)` | [`Runner`] |

# What has no counterpart

- `iscoroutine`: the type says it.
";

#[test]
fn a_small_map_is_complete() {
    assert_eq!(complaints(LIST, MAP), Vec::<String>::new());
}

/// What the parser says of the small map after `from` has become `to`.
fn after(from: &str, to: &str) -> Vec<String> {
    assert!(MAP.contains(from), "{from}");
    complaints(LIST, &MAP.replace(from, to))
}

#[test]
fn a_missing_or_surplus_name_is_seen() {
    assert_eq!(after(", `.release`", ""), ["`Lock.release`: is not mapped"]);
    assert_eq!(after(", `loop.close`", ""), ["`AbstractEventLoop.close`: is not mapped"]);
    assert_eq!(
        after("| `python -m asyncio (REPL)` | [`Runner`] |\n", ""),
        ["`python -m asyncio (REPL)`: is not mapped"]
    );
    assert_eq!(after("`.release`", "`.release`, `.lend`"), ["`Lock.lend`: is not asyncio's"]);
    assert_eq!(after("`.release`", "`.release`, `Lock`"), ["`Lock`: is mapped twice"]);
}

#[test]
fn a_wrong_word_is_seen() {
    let gone = "`get_event_loop`: \"gone\" and the list's mark do not agree";
    assert_eq!(after("| gone |", "| [`get_running_loop`] |"), [gone]);
    let gone = "`AbstractEventLoop.close`: \"gone\" and the list's mark do not agree";
    assert!(after("| [`EventLoop`] |", "| gone |").contains(&gone.to_owned()));
    let none = "`python -m asyncio (REPL)`: \"none\" and the list of reasons do not agree";
    assert_eq!(after("| [`Runner`] |", "| none |"), [none]);
    let none = "`iscoroutine`: \"none\" and the list of reasons do not agree";
    assert_eq!(after("| none |", "| [`Awaitable`] |"), [none]);
    assert_eq!(after("- `iscoroutine`: the type says it.\n", ""), [none]);
    let nowhere = "`python -m asyncio (REPL)`: leads nowhere: perhaps";
    assert_eq!(after("| [`Runner`] |", "| perhaps |"), [nowhere]);
}

#[test]
fn what_cannot_be_read_is_seen() {
    let row = "not a row of two cells: | `iscoroutine` | none | why |";
    assert!(after("| none |", "| none | why |").contains(&row.to_owned()));
    let names = "not a list of names: `.acquire`";
    assert!(after("`Lock`, `.acquire`, `.release`", "`.acquire`").contains(&names.to_owned()));
    let reason = "not names and a reason: `iscoroutine`";
    assert!(after("`: the type says it.", "`").contains(&reason.to_owned()));
    let line = "the list has no name, or one again: await sleep()";
    assert_eq!(complaints(&format!("{LIST}await sleep()\n"), MAP), [line]);
}
