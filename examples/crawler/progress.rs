//! How far the crawl is, on stderr: a bar on a terminal, a line now and then elsewhere.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

pub enum Progress {
    Bar(ProgressBar),
    Lines { last: Cell<Instant> },
}

impl Progress {
    pub fn new(start: &url::Url) -> Progress {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(1);
            let template = "{spinner} {bar:30} {pos}/{len} pages  {elapsed}  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            return Progress::Bar(bar);
        }
        say(&format!("crawling {start}"));
        Progress::Lines { last: Cell::new(Instant::now()) }
    }

    /// How often it is worth calling `show`.
    pub fn period(&self) -> Duration {
        match self {
            Progress::Bar(_) => Duration::from_millis(100),
            Progress::Lines { .. } => Duration::from_secs(1),
        }
    }

    /// `expected` counts the pages fetched, under way and in the queue.
    pub fn show(&self, pages: usize, failed: usize, expected: usize) {
        match self {
            Progress::Bar(bar) => {
                bar.set_length(expected as u64);
                bar.set_position(pages as u64);
                bar.set_message(format!("{failed} failed"));
                bar.tick();
            }
            Progress::Lines { last } if last.get().elapsed() >= Duration::from_millis(900) => {
                last.set(Instant::now());
                say(&format!("{pages}/{expected} pages, {failed} failed"));
            }
            Progress::Lines { .. } => {}
        }
    }

    /// Makes room for the report.
    pub fn finish(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A line on stderr; a closed stderr is no reason to stop.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "crawler: {text}");
}
