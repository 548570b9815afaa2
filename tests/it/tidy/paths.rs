//! Finds every path in a file that leads into the crate.
//!
//! These are paths that begin with `crate`, `super` or `self`: in `use` trees, in expressions,
//! types, patterns, bounds and macro names, and in the tokens given to macros and attributes,
//! which Rust's grammar does not look into. What is only compiled for tests is left out, and so
//! is `pub(in path)`, which opens a door instead of going through one.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, Item, ItemExternCrate, ItemMod, ItemUse, UseTree};

/// What `extern crate self as ...` would call it.
const CRATE: &str = env!("CARGO_PKG_NAME");

/// One mention of something in the crate.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    pub line: usize,
    /// From the root of the crate; empty for the root itself, `*` at the end for a glob.
    pub target: Vec<String>,
}

/// One leaf of a `use` tree.
pub struct Import {
    pub line: usize,
    /// As written, from the tree's root to this leaf.
    pub path: Vec<String>,
    /// What it is called from then on.
    pub name: String,
}

/// The references in `file`, the contents of the module `module`.
pub fn references(module: &[String], file: &syn::File) -> Vec<Reference> {
    let mut collector = Collector { module: module.to_vec(), found: Vec::new() };
    collector.visit_file(file);
    collector.found
}

/// The leaves of `tree`, which stands below `above`.
pub fn imports(tree: &UseTree, above: &[String]) -> Vec<Import> {
    let leaf = |ident: &Ident, name: &Ident| {
        // `a::{self}` imports `a`.
        let own = (ident != "self" || above.is_empty()).then(|| ident.to_string());
        let path: Vec<String> = above.iter().cloned().chain(own).collect();
        let name = if name == "self" { path[path.len() - 1].clone() } else { name.to_string() };
        vec![Import { line: line(ident), path, name }]
    };
    match tree {
        UseTree::Path(path) => imports(&path.tree, &longer(above, path.ident.to_string())),
        UseTree::Name(name) => leaf(&name.ident, &name.ident),
        UseTree::Rename(rename) => leaf(&rename.ident, &rename.rename),
        UseTree::Glob(glob) => vec![Import {
            line: glob.star_token.spans[0].start().line,
            path: longer(above, "*".to_owned()),
            name: "*".to_owned(),
        }],
        UseTree::Group(group) => group.items.iter().flat_map(|tree| imports(tree, above)).collect(),
    }
}

/// Whether what carries these attributes is compiled for tests only.
pub fn only_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg_test = || matches!(attribute.parse_args::<Ident>(), Ok(what) if what == "test");
        attribute.path().is_ident("test") || (attribute.path().is_ident("cfg") && cfg_test())
    })
}

struct Collector {
    /// The module that is being read, with the inline ones around it.
    module: Vec<String>,
    found: Vec<Reference>,
}

impl Collector {
    /// Notes `path`, as written at `line`, if it leads into the crate.
    fn note(&mut self, line: usize, path: &[String]) {
        let Some((first, mut rest)) = path.split_first() else { return };
        let mut target = match first.as_str() {
            "crate" | CRATE => Vec::new(),
            "self" => self.module.clone(),
            "super" => parent(&self.module),
            _ => return,
        };
        while let [first, others @ ..] = rest
            && first == "super"
        {
            target = parent(&target);
            rest = others;
        }
        target.extend_from_slice(rest);
        self.found.push(Reference { line, target });
    }

    /// Finds the paths among tokens that have no grammar.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.scan(group.stream()),
                TokenTree::Ident(_) if colons(&tokens[at + 1..]) => {
                    at = self.follow(&tokens, at, Vec::new());
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Reads on from the segment `tokens[at]`, which stands below `path`; answers where it ended.
    fn follow(&mut self, tokens: &[TokenTree], mut at: usize, mut path: Vec<String>) -> usize {
        let line = tokens[at].span().start().line;
        path.push(tokens[at].to_string());
        at += 1;
        while colons(&tokens[at..]) {
            match tokens.get(at + 2) {
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.branch(group.stream(), &path);
                    return at + 3;
                }
                Some(TokenTree::Ident(segment)) => path.push(segment.to_string()),
                // A glob, or generic arguments, which the caller scans in their turn.
                _ => break,
            }
            at += 3;
        }
        self.note(line, &path);
        at
    }

    /// Reads the branches of a `use` tree that stand below `path`.
    fn branch(&mut self, tokens: TokenStream, path: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_comma =
            |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ',');
        for branch in tokens.split(is_comma).filter(|branch| !branch.is_empty()) {
            self.follow(branch, 0, path.to_vec());
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item(&mut self, item: &'ast Item) {
        if !only_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !only_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for import in imports(&item.tree, &[]) {
            self.note(import.line, &import.path);
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast ItemExternCrate) {
        if item.ident == "self" {
            self.note(line(&item.ident), &["crate".to_owned()]);
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        // A lone `self` is a value, not a module.
        if segments.len() > 1 {
            self.note(line(&path.segments[0].ident), &segments);
        }
        visit::visit_path(self, path);
    }

    /// What macros and attributes are given, and syntax that `syn` does not know.
    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.scan(tokens.clone());
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether `tokens` begin with `::`.
fn colons(tokens: &[TokenTree]) -> bool {
    let colon = |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.as_char() == ':');
    matches!(tokens, [first, second, ..] if colon(first) && colon(second))
}

fn longer(path: &[String], segment: String) -> Vec<String> {
    path.iter().cloned().chain([segment]).collect()
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

fn line(ident: &Ident) -> usize {
    ident.span().start().line
}
