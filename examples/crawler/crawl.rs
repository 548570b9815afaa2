//! The crawl: a queue of links, workers that fetch them, and what they found.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use stackio::tls::ClientConfig;
use stackio::{
    Error, Queue, Result, ReturnWhen, Task, gather_results, sleep, spawn, timeout, wait,
};
use url::{Position, Url};

use crate::http::Limits;
use crate::options::Options;
use crate::page::Page;
use crate::pool::Pool;
use crate::progress::Progress;
use crate::report::{Problem, Report, Trouble};

const LIMITS: Limits = Limits { head: 32 * 1024, body: 16 * 1024 * 1024 };
const MAX_REDIRECTS: usize = 10;
/// URLs to remember: a site that makes up links without end must not take the memory.
const MAX_KNOWN: usize = 500_000;

/// A link to follow.
pub struct Link {
    url: Url,
    /// The redirects that led here, beginning with the URL that a page holds.
    through: Vec<Url>,
}

/// What is known of a URL besides what it leads to.
#[derive(Default)]
struct Known {
    /// The first page found to hold it, and how many do.
    from: Option<Rc<str>>,
    holders: usize,
}

pub struct Crawler {
    start: Url,
    timeout: Duration,
    max_pages: usize,
    todo: Queue<Link>,
    /// Links found when as many as may be fetched were in the queue or done. One is taken when
    /// a fetch turns out not to be a page after all.
    parked: RefCell<VecDeque<Link>>,
    admitted: Cell<usize>,
    failed: Cell<usize>,
    /// Every URL of the site, the redirects among them, and those that did not work.
    known: RefCell<HashMap<Url, Known>>,
    hops: RefCell<HashMap<Url, Url>>,
    problems: RefCell<HashMap<Url, Problem>>,
    pool: Pool,
    report: RefCell<Report>,
    progress: Rc<Progress>,
}

/// Works through the queue until it is cancelled.
fn worker(crawler: &Crawler) -> Result {
    loop {
        let link = crawler.todo.get()?;
        match timeout(crawler.timeout, |_| crawler.fetch(&link)) {
            Ok(page) => crawler.fetched(link, page)?,
            Err(e) if e.is_cancelled() => return Err(e),
            Err(e) => crawler.failed(link, &e)?,
        }
        crawler.todo.task_done()?;
    }
}

/// How a crawl ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Complete,
    Interrupted,
}

/// Crawls from `start`. An error means that it could not begin.
pub fn crawl(
    start: Url,
    options: &Options,
    tls: Option<ClientConfig>,
    progress: Rc<Progress>,
) -> Result<(Report, Ending)> {
    let began = Instant::now();
    let crawler = Rc::new(Crawler::new(start, options, tls, progress));
    let ending = match crawler.run(options.concurrency) {
        Ok(()) => Ending::Complete,
        Err(e) if e.is_cancelled() => Ending::Interrupted,
        Err(e) => return Err(e),
    };
    Ok((crawler.take_report(began.elapsed()), ending))
}

impl Crawler {
    fn new(
        start: Url,
        options: &Options,
        tls: Option<ClientConfig>,
        progress: Rc<Progress>,
    ) -> Crawler {
        Crawler {
            timeout: options.timeout,
            max_pages: options.max_pages,
            todo: Queue::new(0),
            parked: RefCell::default(),
            admitted: Cell::new(0),
            failed: Cell::new(0),
            known: RefCell::new(HashMap::from([(start.clone(), Known::default())])),
            hops: RefCell::default(),
            problems: RefCell::default(),
            pool: Pool::new(LIMITS, tls),
            report: RefCell::new(Report::new(&start)),
            progress,
            start,
        }
    }

    /// Fetches everything there is, or until cancelled; no worker is left either way.
    fn run(self: &Rc<Self>, concurrency: usize) -> Result {
        // A site that cannot be reached is an error, and not a report of one failure.
        timeout(self.timeout, |_| self.pool.warm(&self.start))?;
        self.offer(Link { url: self.start.clone(), through: Vec::new() })?;
        let mut tasks = Vec::new();
        for _ in 0..concurrency {
            let crawler = self.clone();
            tasks.push(spawn(move || worker(&crawler)));
        }
        let crawler = self.clone();
        tasks.push(spawn(move || crawler.todo.join()));
        let crawler = self.clone();
        let ticker = spawn(move || crawler.tick());

        // The first to end is the join, unless a worker failed for a reason of our own.
        let futures: Vec<_> = tasks.iter().map(Task::future).collect();
        let ended = wait(&futures, None, ReturnWhen::FirstCompleted);

        for task in tasks.iter().chain([&ticker]) {
            task.cancel();
        }
        tasks.push(ticker);
        for result in gather_results(tasks).join()? {
            match result {
                Err(e) if !e.is_cancelled() => return Err(e),
                Ok(()) | Err(_) => {}
            }
        }
        ended.map(drop)
    }

    /// Shows how far it is, until cancelled.
    fn tick(&self) -> Result {
        loop {
            let (pages, failed) = (self.report.borrow().pages(), self.failed.get());
            self.progress.show(pages, failed, self.admitted.get());
            sleep(self.progress.period())?;
        }
    }

    /// One request; the links of what came are found within the same time limit.
    fn fetch(&self, link: &Link) -> Result<Page> {
        let sent = Instant::now();
        let response = self.pool.get(&link.url)?;
        self.report.borrow_mut().latencies.push(sent.elapsed());
        Page::from_response(&link.url, &response)
    }

    fn fetched(&self, link: Link, page: Page) -> Result {
        let (status, bytes, links) = match page {
            Page::Redirect(target) => return self.redirected(link, target),
            Page::Document { status, bytes, links } => (status, bytes, links),
        };
        let mut report = self.report.borrow_mut();
        report.page(status, bytes);
        report.links_ignored += links.ignored;
        drop(report);
        let from: Rc<str> = link.url.as_str().into();
        if status >= 400 {
            let problem = Problem::Status(status);
            self.problems.borrow_mut().insert(link.url, problem);
        }
        let mut urls = links.urls.into_iter();
        urls.try_for_each(|url| self.found(url, &from))
    }

    /// Queues a link of a page, if it stays on the site and is a new one.
    fn found(&self, url: Url, from: &Rc<str>) -> Result {
        if !self.on_site(&url) {
            return Ok(());
        }
        let mut known = self.known.borrow_mut();
        if let Some(known) = known.get_mut(&url) {
            known.holders += 1;
            known.from.get_or_insert_with(|| from.clone());
            return Ok(());
        }
        if known.len() == MAX_KNOWN {
            self.report.borrow_mut().links_ignored += 1;
            return Ok(());
        }
        let of_url = Known { from: Some(from.clone()), holders: 1 };
        known.insert(url.clone(), of_url);
        drop(known);
        let through = Vec::new();
        self.offer(Link { url, through })
    }

    /// Same origin: scheme, host and port are all there is before the path of our URLs.
    fn on_site(&self, url: &Url) -> bool {
        url[..Position::BeforePath] == self.start[..Position::BeforePath]
    }

    /// Goes on to where a redirect leads; the target takes the place of the link.
    fn redirected(&self, mut link: Link, target: Url) -> Result {
        self.report.borrow_mut().redirects += 1;
        if !self.on_site(&target) {
            return if link.first() == &self.start {
                // All there was to crawl is elsewhere, so this wants to be said.
                self.fail(link, format!("redirects to another site: {target}"))
            } else {
                self.release()
            };
        }
        if let Err(reason) = self.trace(&link, &target) {
            return self.fail(link, reason);
        }
        if self.known.borrow().contains_key(&target) {
            return self.release();
        }
        let known = Known::default();
        self.known.borrow_mut().insert(target.clone(), known);
        link.through.push(link.url);
        link.url = target;
        self.todo.put_nowait(link)
    }

    /// Notes a hop. An error if it closes a loop, or is one too many.
    fn trace(&self, link: &Link, target: &Url) -> Result<(), String> {
        let mut hops = self.hops.borrow_mut();
        hops.insert(link.url.clone(), target.clone());
        let mut path = link.through.clone();
        path.push(link.url.clone());
        // Where the target leads may be known already, from another link.
        let mut next = Some(target);
        while let Some(url) = next {
            if path.contains(url) {
                return Err(format!("redirect loop back to {url}"));
            }
            if path.len() > MAX_REDIRECTS {
                return Err(format!("more than {MAX_REDIRECTS} redirects"));
            }
            path.push(url.clone());
            next = hops.get(url);
        }
        Ok(())
    }

    fn failed(&self, link: Link, error: &Error) -> Result {
        let reason = if error.is_timeout() {
            format!("timed out after {:?}", self.timeout)
        } else {
            plain(error)
        };
        self.fail(link, reason)
    }

    fn fail(&self, link: Link, reason: String) -> Result {
        let problem = Problem::Failure(reason);
        self.problems.borrow_mut().insert(link.url, problem);
        self.failed.set(self.failed.get() + 1);
        self.release()
    }

    /// Queues a link, as long as the number of pages allows it.
    fn offer(&self, link: Link) -> Result {
        if self.admitted.get() == self.max_pages {
            self.parked.borrow_mut().push_back(link);
            return Ok(());
        }
        self.admitted.set(self.admitted.get() + 1);
        self.todo.put_nowait(link)
    }

    /// A link that was admitted was no page: another one takes its place.
    fn release(&self) -> Result {
        self.admitted.set(self.admitted.get() - 1);
        let next = self.parked.borrow_mut().pop_front();
        next.map_or(Ok(()), |link| self.offer(link))
    }

    fn take_report(&self, elapsed: Duration) -> Report {
        let mut report = self.report.replace(Report::new(&self.start));
        report.elapsed = elapsed;
        report.left = self.admitted.get() - report.pages() + self.parked.borrow().len();
        report.connections = self.pool.opened.get();
        report.reused = self.pool.reused.get();
        report.retried = self.pool.retried.get();
        for trouble in self.troubles() {
            match trouble.problem {
                Problem::Status(_) => report.broken.push(trouble),
                Problem::Failure(_) => report.failures.push(trouble),
            }
        }
        report.latencies.sort();
        report
    }

    /// Every link of a page that leads to a problem, at once or by redirects, in order.
    fn troubles(&self) -> Vec<Trouble> {
        let known = self.known.borrow();
        let held = known.iter().filter(|(url, known)| known.holders > 0 || **url == self.start);
        let mut troubles: Vec<_> = held
            .filter_map(|(url, known)| {
                let (last_url, problem) = self.problem_behind(url)?;
                Some(Trouble {
                    url: url.clone(),
                    last_url,
                    problem,
                    linked_from: known.from.clone(),
                    holders: known.holders,
                })
            })
            .collect();
        troubles.sort_by(|a, b| (&a.problem, &a.url).cmp(&(&b.problem, &b.url)));
        troubles
    }

    fn problem_behind(&self, url: &Url) -> Option<(Url, Problem)> {
        let (problems, hops) = (self.problems.borrow(), self.hops.borrow());
        let mut url = url;
        // Redirects of a thousand URLs, each with a link of its own, are longer than one fetch.
        for _ in 0..1000 {
            if let Some(problem) = problems.get(url) {
                return Some((url.clone(), problem.clone()));
            }
            url = hops.get(url)?;
        }
        None
    }
}

impl Link {
    /// The URL as the page has it.
    fn first(&self) -> &Url {
        self.through.first().unwrap_or(&self.url)
    }
}

/// The text of an error, without the number that the operating system has for it.
pub fn plain(error: &Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
