//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

pub const USAGE: &str = "\
Crawls a web site, follows every link that stays on it, and reports what it found.

Usage: crawler [URL] [OPTIONS]

Without a URL a site of a few hundred pages is served on this machine, and crawled.

Options:
  --concurrency N     requests under way at a time [default: 16]
  --max-pages N       stop after N pages; failures and redirects do not count
                      [default: 1000]
  --timeout SECONDS   for each request, until the end of its answer
                      [default: 10; 2 for the site on this machine]
  --ca FILE           trust the certificates in this PEM file as well, for https
  --https             serve the site on this machine by https
  --json              the report as one JSON object, the last line of stdout
  --help              this text

Ctrl-C ends the crawl, and what was found so far is reported.

Exit status: 0 the crawl came to its end, 2 it could not begin, 130 Ctrl-C ended it.
";

const MAX_CONCURRENCY: usize = 10_000;
const EMBEDDED_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// None: crawl the embedded site.
    pub start: Option<Url>,
    pub concurrency: usize,
    pub max_pages: usize,
    pub timeout: Duration,
    /// A file of certificates to trust.
    pub ca: Option<PathBuf>,
    /// Whether the embedded site is served by https.
    pub https: bool,
    pub json: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Help,
    Crawl(Options),
}

/// Reads the arguments (without the program's name); the error is for the user.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments.into_iter();
    let mut start = None;
    let mut timeout = None;
    let (mut concurrency, mut max_pages) = (16, 1000);
    let (mut ca, mut https, mut json) = (None, false, false);
    while let Some(argument) = arguments.next() {
        let argument = text(argument)?;
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        let mut value = || match attached.clone() {
            Some(value) => Ok(value),
            None => match arguments.next() {
                Some(value) => text(value),
                None => Err(format!("{name} needs a value")),
            },
        };
        match name {
            "--concurrency" => concurrency = number(name, &value()?, MAX_CONCURRENCY)?,
            "--max-pages" => max_pages = number(name, &value()?, usize::MAX)?,
            "--timeout" => timeout = Some(seconds(&value()?)?),
            "--ca" => ca = Some(PathBuf::from(value()?)),
            "--json" | "--https" | "--help" | "-h" if attached.is_some() => {
                return Err(format!("{name} takes no value"));
            }
            "--json" => json = true,
            "--https" => https = true,
            "--help" | "-h" => return Ok(Command::Help),
            _ if name.starts_with('-') => return Err(format!("unknown option {name}")),
            _ if start.is_some() => return Err(format!("a second URL: {argument}")),
            _ => start = Some(url(&argument)?),
        }
    }
    if let (true, Some(url)) = (https, &start) {
        return Err(format!("--https is for the site on this machine, not for {url}"));
    }
    let usual = if start.is_none() { EMBEDDED_TIMEOUT } else { TIMEOUT };
    Ok(Command::Crawl(Options {
        start,
        concurrency,
        max_pages,
        timeout: timeout.unwrap_or(usual),
        ca,
        https,
        json,
    }))
}

fn text(argument: OsString) -> Result<String, String> {
    let text = argument.into_string();
    text.map_err(|argument| format!("not UTF-8: {}", argument.display()))
}

fn number(name: &str, value: &str, most: usize) -> Result<usize, String> {
    match value.parse() {
        Ok(n) if (1..=most).contains(&n) => Ok(n),
        Ok(0) | Err(_) => Err(format!("{name}: {value:?} is not a number from 1 up")),
        Ok(_) => Err(format!("{name}: {value} is more than {most}")),
    }
}

fn seconds(value: &str) -> Result<Duration, String> {
    let parsed = value.parse().ok().map(Duration::try_from_secs_f64);
    match parsed {
        Some(Ok(duration)) if !duration.is_zero() => Ok(duration),
        _ => Err(format!("--timeout: {value:?} is not a number of seconds")),
    }
}

fn url(argument: &str) -> Result<Url, String> {
    let mut url = Url::parse(argument).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            format!("bad URL {argument:?}: it does not begin with http:// or https://")
        }
        error => format!("bad URL {argument:?}: {error}"),
    })?;
    match url.scheme() {
        "http" | "https" => {}
        other => {
            return Err(format!("bad URL {argument:?}: {other:?} is not http (http:// in front?)"));
        }
    }
    crate::links::normalize(&mut url);
    Ok(url)
}
