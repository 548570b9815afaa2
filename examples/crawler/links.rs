//! Links out of a page, and what makes two of them the same one.
//!
//! The tokenizer of html5ever finds the tags. A crawler needs no tree, and without one a page may
//! nest as deep as it likes.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use html5ever::TokenizerResult;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use url::Url;

/// The most that one page may hold, and the longest URL worth asking a server for.
pub const MAX_LINKS: usize = 50_000;
const MAX_URL: usize = 8 * 1024;
/// How much is parsed between two pauses.
const PIECE: usize = 16 * 1024;

/// What a page links to, each once and in its order, without fragments.
#[derive(Debug, Default)]
pub struct Links {
    pub urls: Vec<Url>,
    /// Links left out because there were too many of them, or they were too long.
    pub ignored: usize,
}

/// Finds the links of the page at `url`. Parsing is work, so `pause` is called now and then: it
/// may let others run, and its error ends the parsing.
pub fn extract<E>(
    body: &[u8],
    url: &Url,
    mut pause: impl FnMut() -> Result<(), E>,
) -> Result<Links, E> {
    let text = String::from_utf8_lossy(body);
    let tokenizer = Tokenizer::new(Finder::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut rest: &str = text.strip_prefix('\u{feff}').unwrap_or(&text);
    while !rest.is_empty() {
        let (piece, tail) = split(rest);
        input.push_back(StrTendril::from_slice(piece));
        // Anything but `Done` asks the caller to act on a script or a charset, which are
        // nothing to us: go on.
        while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
        rest = tail;
        if !rest.is_empty() {
            pause()?;
        }
    }
    tokenizer.end();
    Ok(tokenizer.sink.resolve(url))
}

/// Splits off a piece of about the right size, between two characters.
fn split(text: &str) -> (&str, &str) {
    let mut at = PIECE.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    text.split_at(at)
}

/// `reference` as seen from `base`, or none if it is not a web address or too long.
pub fn join(base: &Url, reference: &str) -> Option<Url> {
    let mut url = base.join(reference).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    normalize(&mut url);
    Some(url)
}

/// Drops what does not tell two documents apart: the fragment, and the user's name.
pub fn normalize(url: &mut Url) {
    url.set_fragment(None);
    // These fail for URLs that cannot have a user at all.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}

/// The attribute of an element that holds the address of another document.
fn link_attribute(element: &str) -> Option<&'static str> {
    match element {
        "a" | "area" | "link" => Some("href"),
        "img" | "script" | "iframe" | "frame" | "source" | "track" | "embed" | "audio"
        | "video" => Some("src"),
        _ => None,
    }
}

/// Receives the tags and keeps the references as they are written.
#[derive(Default)]
struct Finder {
    base: RefCell<Option<String>>,
    references: RefCell<Vec<Rc<str>>>,
    known: RefCell<HashSet<Rc<str>>>,
    ignored: Cell<usize>,
}

impl Finder {
    fn start_tag(&self, tag: &Tag) {
        let attribute = |name: &str| {
            let mut attributes = tag.attrs.iter();
            let found = attributes.find(|a| &*a.name.local == name)?;
            Some(found.value.trim_matches([' ', '\t', '\n', '\r', '\x0c']))
        };
        if &*tag.name == "base" {
            let mut base = self.base.borrow_mut();
            // The first one that has a href counts.
            if base.is_none() {
                *base = attribute("href").map(str::to_owned);
            }
            return;
        }
        // A hint for a connection names a server, not a document.
        let hint = |word: &str| matches!(word, "preconnect" | "dns-prefetch");
        let rel = attribute("rel").filter(|_| &*tag.name == "link");
        if rel.is_some_and(|rel| rel.split_ascii_whitespace().any(hint)) {
            return;
        }
        let Some(reference) = link_attribute(&tag.name).and_then(attribute) else {
            return;
        };
        // A page of source code has a fragment for each of its lines.
        let (reference, _) = reference.split_once('#').unwrap_or((reference, ""));
        let mut known = self.known.borrow_mut();
        if known.contains(reference) {
            return;
        }
        if known.len() == MAX_LINKS || reference.len() > MAX_URL {
            self.ignored.set(self.ignored.get() + 1);
            return;
        }
        let reference: Rc<str> = reference.into();
        known.insert(reference.clone());
        self.references.borrow_mut().push(reference);
    }

    fn resolve(self, url: &Url) -> Links {
        let base = self.base.into_inner().and_then(|href| join(url, &href));
        let base = base.as_ref().unwrap_or(url);
        let mut links = Links { ignored: self.ignored.get(), ..Links::default() };
        let mut known = HashSet::new();
        for reference in self.references.into_inner() {
            let Some(link) = join(base, &reference) else {
                continue;
            };
            if link.as_str().len() > MAX_URL {
                links.ignored += 1;
            } else if known.insert(link.clone()) {
                links.urls.push(link);
            }
        }
        links
    }
}

impl TokenSink for Finder {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let Token::TagToken(tag) = token else {
            return TokenSinkResult::Continue;
        };
        if tag.kind == TagKind::EndTag {
            return TokenSinkResult::Continue;
        }
        self.start_tag(&tag);
        // What looks like a tag in here is text.
        match &*tag.name {
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "iframe" | "xmp" | "noembed" | "noframes" => {
                TokenSinkResult::RawData(RawKind::Rawtext)
            }
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }
}
