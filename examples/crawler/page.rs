//! What a response means to the crawl: a redirect, or a document with its links.

use std::time::{Duration, Instant};

use stackio::{Error, ErrorKind, Result, yield_now};
use url::Url;

use crate::http::Response;
use crate::links::{self, Links};

/// Honest pages take milliseconds to parse. The parser compares each attribute of a tag with all
/// before it, so a tag of a million attributes would take minutes.
const MAX_WORK: Duration = Duration::from_secs(2);

pub enum Page {
    Redirect(Url),
    Document { status: u16, bytes: u64, links: Links },
}

impl Page {
    /// `url` is where the response came from.
    pub fn from_response(url: &Url, response: &Response) -> Result<Page> {
        if let Some(target) = redirect(url, response)? {
            return Ok(Page::Redirect(target));
        }
        let links = if is_html(response) { parse(&response.body, url)? } else { Links::default() };
        let bytes = response.body.len() as u64;
        Ok(Page::Document { status: response.status, bytes, links })
    }
}

/// Where the response sends us, if it does.
fn redirect(url: &Url, response: &Response) -> Result<Option<Url>> {
    if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.header("location") else {
        return Ok(None);
    };
    match url.join(location) {
        Ok(mut target) => {
            links::normalize(&mut target);
            Ok(Some(target))
        }
        Err(error) => {
            let text = format!("bad redirect to {location:?}: {error}");
            Err(Error::new(ErrorKind::Value, text))
        }
    }
}

/// Only good answers count: the page that comes with a 404 is not part of the site.
fn is_html(response: &Response) -> bool {
    let whole = response.header("content-type").unwrap_or_default();
    let (kind, _) = whole.split_once(';').unwrap_or((whole, ""));
    let html = ["text/html", "application/xhtml+xml"];
    (200..300).contains(&response.status)
        && html.iter().any(|h| kind.trim().eq_ignore_ascii_case(h))
}

/// Finds the links of a page, and lets the others run in between.
fn parse(body: &[u8], url: &Url) -> Result<Links> {
    let mut work = Duration::ZERO;
    let mut since = Instant::now();
    links::extract(body, url, || {
        work += since.elapsed();
        if work > MAX_WORK {
            return Err(Error::new(ErrorKind::Value, "takes too long to parse"));
        }
        yield_now()?;
        since = Instant::now();
        Ok(())
    })
}
