//! The rules about a single file: what it opens with, what it may hold, how long it may be.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::Source;

/// Lines of a file, of code, comments and tests together.
const LONGEST_FILE: usize = 420;

/// Lines of a function, from its signature to its last brace.
const LONGEST_FUNCTION: usize = 60;

/// The modules that may be unsafe: what is done to stacks, and what rests on it.
const CELLAR: &[&str] =
    &["sys", "stack", "fiber", "yielder", "generator", "coroutines", "task_cell", "scoped"];

/// The modules that may switch away from a stack: the switch itself, and the two doors to it,
/// for generators and for tasks. Everything else waits for a future, which takes the latter.
const DOOR: &[&str] = &["fiber", "yielder", "coroutines"];

// Written in two parts, since this file is checked as well.
const LEFT_WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("```ig", "nore")];
const LEFT_MACROS: &[&str] = &["todo", "unimplemented", "dbg"];
const MACHINE_PATHS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/tmp/pl", "an"),
];

pub fn missing_header(source: &Source) -> Vec<String> {
    let missing = !source.content.starts_with("//! ");
    missing
        .then(|| format!("{}: does not open with what it is for (`//!`)", source.path))
        .into_iter()
        .collect()
}

pub fn unsafe_outside_the_cellar(source: &Source) -> Vec<String> {
    idents_outside(CELLAR, "unsafe", source)
}

pub fn suspends_past_the_door(source: &Source) -> Vec<String> {
    idents_outside(DOOR, "suspend", source)
}

/// Where `word` stands in the code of a module that is not in `allowed`.
fn idents_outside(allowed: &[&str], word: &str, source: &Source) -> Vec<String> {
    let module = source.in_src().and_then(|path| path.split(['/', '.']).next());
    if module.is_some_and(|module| allowed.contains(&module)) {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    each_window(tokens(source), &mut |window| {
        if let [TokenTree::Ident(ident), ..] = window
            && ident == word
        {
            let line = ident.span().start().line;
            complaints.push(format!("{}:{line}: `{word}` belongs in {allowed:?}", source.path));
        }
    });
    complaints
}

pub fn long_file(source: &Source) -> Vec<String> {
    let lines = source.content.lines().count();
    let long = lines > LONGEST_FILE;
    long.then(|| format!("{}: {lines} lines: look for the second idea", source.path))
        .into_iter()
        .collect()
}

pub fn long_functions(source: &Source) -> Vec<String> {
    let file =
        syn::parse_file(&source.content).unwrap_or_else(|error| panic!("{}: {error}", source.path));
    let mut functions = Functions { path: &source.path, complaints: Vec::new() };
    functions.visit_file(&file);
    functions.complaints
}

struct Functions<'a> {
    path: &'a str,
    complaints: Vec<String>,
}

impl Functions<'_> {
    fn measure(&mut self, signature: &Signature, body: &Block) {
        let first = signature.span().start().line;
        let lines = body.span().end().line - first + 1;
        if lines > LONGEST_FUNCTION {
            let name = &signature.ident;
            self.complaints.push(format!("{}:{first}: `{name}` has {lines} lines", self.path));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.measure(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.measure(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

/// Code that is a promise instead of code, notes to oneself, and tests that do not run.
pub fn leftovers(source: &Source) -> Vec<String> {
    let mut complaints = found_words(source, LEFT_WORDS);
    each_window(tokens(source), &mut |window| {
        if let Some((span, what)) = leftover(window) {
            complaints.push(format!("{}:{}: has `{what}`", source.path, span.start().line));
        }
    });
    complaints
}

fn leftover(window: &[TokenTree]) -> Option<(Span, String)> {
    match window {
        [TokenTree::Ident(name), TokenTree::Punct(bang), ..]
            if bang.as_char() == '!' && LEFT_MACROS.iter().any(|left| name == left) =>
        {
            Some((name.span(), format!("{name}!")))
        }
        [TokenTree::Punct(hash), TokenTree::Group(attribute), ..]
            if hash.as_char() == '#' && begins_with(attribute, "ignore") =>
        {
            Some((hash.span(), "#[ignore]".to_owned()))
        }
        _ => None,
    }
}

fn begins_with(group: &Group, word: &str) -> bool {
    matches!(group.stream().into_iter().next(), Some(TokenTree::Ident(first)) if first == word)
}

pub fn machine_paths(source: &Source) -> Vec<String> {
    found_words(source, MACHINE_PATHS)
}

/// The lines that hold one of `words`, in code or comments.
fn found_words(source: &Source, words: &[&str]) -> Vec<String> {
    let lines = source.content.lines().zip(1..);
    let found = |(line, number): (&str, usize)| {
        let word = words.iter().find(|word| line.contains(**word))?;
        Some(format!("{}:{number}: has `{word}`", source.path))
    };
    lines.filter_map(found).collect()
}

fn tokens(source: &Source) -> TokenStream {
    source.content.parse().unwrap_or_else(|error| panic!("{}: {error}", source.path))
}

/// Calls `look` with what begins at each token, at every depth. Comments are no tokens; doc
/// comments are strings.
fn each_window(tokens: TokenStream, look: &mut impl FnMut(&[TokenTree])) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for at in 0..tokens.len() {
        look(&tokens[at..]);
        if let TokenTree::Group(group) = &tokens[at] {
            each_window(group.stream(), look);
        }
    }
}
