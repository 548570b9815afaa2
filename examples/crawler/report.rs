//! What a crawl found, as a table and as JSON.

use std::fmt::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// The server answered with this status.
    Status(u16),
    /// There was no answer to use.
    Failure(String),
}

/// A link that leads nowhere.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// As the page has it; `last_url` differs from it after redirects.
    pub url: Url,
    pub last_url: Url,
    pub problem: Problem,
    /// The first page found to hold it, and how many do.
    pub linked_from: Option<Rc<str>>,
    pub holders: usize,
}

#[derive(Debug)]
pub struct Report {
    pub start: Url,
    pub elapsed: Duration,
    pub bytes: u64,
    /// Pages by the class of their status; a page is an answer that is no redirect.
    pub ok: usize,
    pub other: usize,
    pub client_errors: usize,
    pub server_errors: usize,
    pub redirects: usize,
    pub failures: Vec<Trouble>,
    pub broken: Vec<Trouble>,
    /// One for each answer, redirects too; sorted at the end.
    pub latencies: Vec<Duration>,
    /// Links that a limit kept from being followed: of a page, and of the whole.
    pub links_ignored: usize,
    pub left: usize,
    pub connections: u64,
    pub reused: u64,
    pub retried: u64,
}

impl Report {
    pub fn new(start: &Url) -> Report {
        Report {
            start: start.clone(),
            elapsed: Duration::ZERO,
            bytes: 0,
            ok: 0,
            other: 0,
            client_errors: 0,
            server_errors: 0,
            redirects: 0,
            failures: Vec::new(),
            broken: Vec::new(),
            latencies: Vec::new(),
            links_ignored: 0,
            left: 0,
            connections: 0,
            reused: 0,
            retried: 0,
        }
    }

    pub fn page(&mut self, status: u16, bytes: u64) {
        let class = match status {
            200..=299 => &mut self.ok,
            400..=499 => &mut self.client_errors,
            500..=599 => &mut self.server_errors,
            _ => &mut self.other,
        };
        *class += 1;
        self.bytes += bytes;
    }

    pub fn pages(&self) -> usize {
        self.ok + self.other + self.client_errors + self.server_errors
    }

    fn pages_per_s(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.pages() as f64 / seconds } else { 0.0 }
    }

    /// The latency that this share of the answers did not exceed (nearest rank), in ms.
    fn percentile(&self, share: f64) -> f64 {
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        let latency = self.latencies.get(rank.saturating_sub(1));
        latency.map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    }

    /// One line.
    pub fn json(&self, interrupted: bool) -> String {
        let list = |of: &[Trouble]| of.iter().map(Trouble::json).collect::<Vec<_>>();
        let object = json!({
            "start": self.start.as_str(),
            "interrupted": interrupted,
            "pages": self.pages(),
            "bytes": self.bytes,
            "ok": self.ok,
            "other": self.other,
            "client_errors": self.client_errors,
            "server_errors": self.server_errors,
            "redirects": self.redirects,
            "failed": self.failures.len(),
            "elapsed_ms": round(self.elapsed.as_secs_f64() * 1000.0),
            "pages_per_s": round(self.pages_per_s()),
            "p50_ms": round(self.percentile(0.50)),
            "p99_ms": round(self.percentile(0.99)),
            "connections": self.connections,
            "reused": self.reused,
            "retried": self.retried,
            "links_ignored": self.links_ignored,
            "left": self.left,
            "failures": list(&self.failures),
            "broken_links": list(&self.broken),
        });
        object.to_string()
    }

    /// For people.
    pub fn table(&self, interrupted: bool) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_table(&mut text, interrupted);
        text
    }

    fn write_table(&self, out: &mut String, interrupted: bool) -> fmt::Result {
        let end = if interrupted { "interrupted" } else { "done" };
        let seconds = self.elapsed.as_secs_f64();
        writeln!(out, "{} {end} after {seconds:.2} s\n", self.start)?;
        let rate = format!("{:.0} per second", self.pages_per_s());
        row(out, "pages", self.pages(), &rate)?;
        row(out, "  2xx", self.ok, "")?;
        row(out, "  4xx", self.client_errors, "")?;
        row(out, "  5xx", self.server_errors, "")?;
        if self.other > 0 {
            row(out, "  other", self.other, "")?;
        }
        row(out, "redirects", self.redirects, "")?;
        row(out, "failures", self.failures.len(), "")?;
        row(out, "broken links", self.broken.len(), "")?;
        row(out, "bytes", self.bytes, &size(self.bytes))?;
        let (p50, p99) = (self.percentile(0.50), self.percentile(0.99));
        row(out, "latency ms", format!("{p50:.1}"), "p50")?;
        row(out, "", format!("{p99:.1}"), "p99")?;
        let reused = format!("{} requests reused one", self.reused);
        row(out, "connections", self.connections, &reused)?;
        if self.links_ignored > 0 {
            row(out, "ignored links", self.links_ignored, "over the limits")?;
        }
        if self.left > 0 {
            row(out, "links left", self.left, "not fetched")?;
        }
        section(out, "Failures", &self.failures)?;
        section(out, "Broken links", &self.broken)
    }
}

fn row(out: &mut String, name: &str, value: impl fmt::Display, remark: &str) -> fmt::Result {
    let line = format!("{name:<14}{:>12}  {remark}", value.to_string());
    writeln!(out, "{}", line.trim_end())
}

fn section(out: &mut String, title: &str, troubles: &[Trouble]) -> fmt::Result {
    if troubles.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    troubles.iter().try_for_each(|t| writeln!(out, "  {t}"))
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::Status(status) => write!(f, "{status}  {}", self.url)?,
            Problem::Failure(reason) => write!(f, "{}  {reason}", self.url)?,
        }
        if self.last_url != self.url {
            write!(f, "\n      by redirects to {}", self.last_url)?;
        }
        if let Some(page) = &self.linked_from {
            write!(f, "\n      linked from {page}")?;
        }
        match self.holders.saturating_sub(1) {
            0 => Ok(()),
            1 => f.write_str(" and 1 other page"),
            more => write!(f, " and {more} other pages"),
        }
    }
}

impl Trouble {
    fn json(&self) -> Value {
        let mut object = json!({
            "url": self.url.as_str(),
            "linked_from": self.linked_from.as_deref(),
            "holders": self.holders,
        });
        match &self.problem {
            Problem::Status(status) => object["status"] = json!(status),
            Problem::Failure(reason) => object["reason"] = json!(reason),
        }
        if self.last_url != self.url {
            object["redirected_to"] = json!(self.last_url.as_str());
        }
        object
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn size(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}
