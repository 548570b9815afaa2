//! The floors: who may know whom.
//!
//! A module imports only from lower floors, or from modules that stand before it on its own.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, ItemMod};

use super::Source;
use super::paths::{self, Import, Reference};

/// Every module of the crate, floor by floor, in reading order. Some may not exist yet. A directory
/// belongs to the module of the same name.
const FLOORS: &[&str] = &[
    // Words.
    "panics exceptions notices conversions constants sys clock context instruments",
    // Stacks: the unsafe cellar.
    "stack fiber traces yielder generator delegation",
    // Promises.
    "registry few timers reports events handles repeating slot callback_id future_core subjects callbacks futures \
     reusable coroutines task_core steps task_cell tasks spawning deadlocks",
    // The loop.
    "sides selectors network remote watchdog housekeeping pace base_events loop_methods closing \
     selector_events readers signals",
    // Composing: no I/O of their own.
    "awaitable waiters sleeping timeouts locks queues gather waits as_completed taskgroups scoped \
     concurrent executor border threads resolver connecting sendfile builders runners",
    // Transports.
    "flow_control framing transports protocols message_protocol tls sslproto connections servers \
     datagrams blocking",
    // The friendly face.
    "net pipes streams subprocess compat",
    // Watchers.
    "graph inspect sim from_asyncio guide",
];

/// The floors as the table of `design.md` has them: rows that begin with their number, with the
/// modules in backticks in the second column.
pub fn told(design: &str) -> Vec<Vec<&str>> {
    let rows = design.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let is_floor = |row: &Vec<&str>| row.len() == 5 && row[1].starts_with(char::is_numeric);
    rows.filter(is_floor).map(|row| row[2].split('`').skip(1).step_by(2).collect()).collect()
}

/// Floor and place on it, which order all modules.
type Rank = (usize, usize);

fn rank(module: &str) -> Option<Rank> {
    let position = |names: &str| names.split(' ').position(|name| name == module);
    FLOORS.iter().enumerate().find_map(|(floor, names)| Some((floor, position(names)?)))
}

/// The parsed sources of the crate.
pub struct Crate {
    files: Vec<File>,
    /// The modules that `lib.rs` declares, in its order.
    declared: Vec<String>,
    /// What else the root offers, and the path of what it stands for.
    exports: BTreeMap<String, Vec<String>>,
}

struct File {
    path: String,
    module: Vec<String>,
    references: Vec<Reference>,
}

impl Crate {
    /// # Panics
    ///
    /// When a file is not Rust, or `lib.rs` is missing.
    pub fn parse(sources: Vec<Source>) -> Crate {
        let mut krate = Crate { files: vec![], declared: vec![], exports: BTreeMap::new() };
        for source in sources {
            let syntax = syn::parse_file(&source.content)
                .unwrap_or_else(|error| panic!("{}: {error}", source.path));
            let module = module_of(source.in_src().expect("a file of the crate"));
            krate.read_items(&module, &syntax);
            let references = paths::references(&module, &syntax);
            krate.files.push(File { path: source.path, module, references });
        }
        assert!(krate.files.iter().any(|file| file.module.is_empty()), "no src/lib.rs");
        krate
    }

    /// Notes what `syntax`, the contents of `module`, adds to the root of the crate.
    fn read_items(&mut self, module: &[String], syntax: &syn::File) {
        for item in &syntax.items {
            match item {
                Item::Macro(item) if is_exported(item) => {
                    let name = item.ident.as_ref().expect("macro_rules! has a name");
                    self.exports.insert(name.to_string(), module.to_vec());
                }
                Item::Mod(item) if module.is_empty() => self.declare(item),
                Item::Use(item) if module.is_empty() => {
                    self.export(paths::imports(&item.tree, &[]));
                }
                _ => {}
            }
        }
    }

    fn declare(&mut self, module: &ItemMod) {
        if !paths::only_for_tests(&module.attrs) {
            self.declared.push(module.ident.to_string());
        }
    }

    fn export(&mut self, imports: Vec<Import>) {
        for Import { mut path, name, .. } in imports {
            path.retain(|segment| segment != "crate" && segment != "self");
            // What a glob brings cannot be followed, so using it from within is a complaint.
            if name != "*" {
                self.exports.insert(name, path);
            }
        }
    }

    /// Files that are not on the list or not declared, and declarations out of order.
    pub fn misplaced_modules(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for file in &self.files {
            let Some(top) = file.module.first() else { continue };
            if rank(top).is_none() {
                complaints.push(format!("{}: `{top}` is on no floor", file.path));
            }
            if !self.declared.contains(top) {
                complaints.push(format!("{}: lib.rs does not declare `{top}`", file.path));
            }
        }
        let placed: Vec<&String> = self.declared.iter().filter(|m| rank(m).is_some()).collect();
        for pair in placed.windows(2) {
            if rank(pair[0]) > rank(pair[1]) {
                let [first, second] = [pair[0], pair[1]];
                complaints.push(format!("src/lib.rs: `{second}` comes before `{first}`"));
            }
        }
        complaints
    }

    /// The modules that there are, floor by floor.
    pub fn floors(&self) -> Vec<Vec<&str>> {
        let declared = |name: &&str| self.declared.iter().any(|module| module == name);
        FLOORS.iter().map(|names| names.split(' ').filter(declared).collect()).collect()
    }

    /// References to a higher floor, or to a later module of the same floor.
    pub fn upward_imports(&self) -> Vec<String> {
        let inner = self.files.iter().filter(|file| !file.module.is_empty());
        inner.flat_map(|file| self.upward_imports_of(file)).collect()
    }

    fn upward_imports_of(&self, file: &File) -> Vec<String> {
        let Some(own) = rank(&file.module[0]) else { return Vec::new() }; // it is misplaced
        let mut complaints = Vec::new();
        for Reference { line, target } in &file.references {
            let resolved = self.resolve(target);
            let complaint = match resolved.first().map(|top| (top, rank(top))) {
                Some((_, Some(there))) if there <= own => continue,
                Some((top, Some(_))) => format!("`{top}` is above `{}`", file.module[0]),
                Some((top, None)) if self.declared.contains(top) => {
                    format!("`{top}` is on no floor")
                }
                _ => "names neither a module nor what lib.rs re-exports from one".to_owned(),
            };
            let written = [&["crate".to_owned()], target.as_slice()].concat().join("::");
            complaints.push(format!("{}:{line}: {written}: {complaint}", file.path));
        }
        complaints
    }

    /// Follows `target` through the re-exports of the root.
    fn resolve<'a>(&'a self, target: &'a [String]) -> &'a [String] {
        let name = target.first().filter(|name| !self.declared.contains(name));
        name.and_then(|name| self.exports.get(name)).map_or(target, Vec::as_slice)
    }

    /// Circles of files, each shown once.
    ///
    /// Between places of the list a circle has an upward import; within a directory only this
    /// finds it. A module and what it contains may know each other.
    pub fn cycles(&self) -> Vec<String> {
        let mut search =
            Search { crate_: self, path: Vec::new(), seen: BTreeSet::new(), found: vec![] };
        for file in &self.files {
            search.visit(file);
        }
        search.found
    }

    /// The files that `file` refers to, without itself, what it contains and what contains it.
    fn neighbours(&self, file: &File) -> Vec<&File> {
        let targets = file.references.iter().filter_map(|r| self.file_of(self.resolve(&r.target)));
        let related = |other: &File| {
            file.module.starts_with(&other.module) || other.module.starts_with(&file.module)
        };
        targets.filter(|other| !related(other)).collect()
    }

    /// The file that holds the item `target`: the one of the longest module path that leads to it.
    fn file_of(&self, target: &[String]) -> Option<&File> {
        let holders = self.files.iter().filter(|file| target.starts_with(&file.module));
        holders.max_by_key(|file| file.module.len())
    }
}

/// A depth-first walk along the references.
struct Search<'a> {
    crate_: &'a Crate,
    /// From where the walk began to where it is.
    path: Vec<&'a str>,
    seen: BTreeSet<&'a str>,
    found: Vec<String>,
}

impl<'a> Search<'a> {
    fn visit(&mut self, file: &'a File) {
        if let Some(start) = self.path.iter().position(|path| *path == file.path) {
            let circle = [&self.path[start..], &[&file.path]].concat();
            self.found.push(format!("a circle: {}", circle.join(" -> ")));
        } else if self.seen.insert(&file.path) {
            self.path.push(&file.path);
            for neighbour in self.crate_.neighbours(file) {
                self.visit(neighbour);
            }
            self.path.pop();
        }
    }
}

/// `a/b.rs` and `a/b/mod.rs` hold `a::b`; `lib.rs` holds the root.
fn module_of(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').filter(|name| *name != "lib").map(str::to_owned).collect()
}

fn is_exported(item: &syn::ItemMacro) -> bool {
    item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"))
}
