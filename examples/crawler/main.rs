//! A web crawler: the pages of one site, its broken links, and how fast it answers.
//!
//! `cargo run --release --example crawler` crawls a site that it serves itself;
//! `crawler https://host/` crawls that one, and `crawler --help` has the rest. The worker in
//! `crawl.rs` is the point of it all: it reads like blocking code, and many of it run at once.

mod crawl;
mod http;
mod links;
mod options;
mod page;
mod pool;
mod progress;
mod report;
mod site;

use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;

use stackio::net::TcpListener;
use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig};
use stackio::{Error, ErrorKind, Result, spawn};
use url::Url;

use crate::crawl::Ending;
use crate::options::{Command, Options};
use crate::progress::{Progress, say};
use crate::report::Problem;

const COULD_NOT_BEGIN: u8 = 2;
/// What shells say of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os().skip(1)) {
        Ok(Command::Crawl(options)) => options,
        Ok(Command::Help) => {
            let _ = io::stdout().write_all(options::USAGE.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            say(&format!("{message}\nTry 'crawler --help'."));
            return ExitCode::from(COULD_NOT_BEGIN);
        }
    };
    match stackio::run(move || crawl_and_report(&options)) {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Interrupted) => ExitCode::from(INTERRUPTED),
        // Ctrl-C a second time, while it was still stopping.
        Err(e) if e.kind() == ErrorKind::KeyboardInterrupt => ExitCode::from(INTERRUPTED),
        Err(e) => {
            say(&crawl::plain(&e));
            ExitCode::from(COULD_NOT_BEGIN)
        }
    }
}

fn crawl_and_report(options: &Options) -> Result<Ending> {
    let (start, tls) = match &options.start {
        Some(url) if url.scheme() == "https" => (url.clone(), Some(trusting(options, None)?)),
        Some(url) => (url.clone(), None),
        None => own_site(options)?,
    };
    let progress = Rc::new(Progress::new(&start));
    let result = crawl::crawl(start.clone(), options, tls, progress.clone());
    progress.finish();
    let (report, ending) = result.map_err(|e| cannot_begin(&start, &e))?;
    if let (true, [trouble], Ending::Complete) =
        (report.latencies.is_empty(), &report.failures[..], ending)
    {
        // The start never answered: that is not a report of one failure.
        let reason = match &trouble.problem {
            Problem::Status(status) => format!("it answered with status {status}"),
            Problem::Failure(reason) => reason.clone(),
        };
        let text = format!("cannot crawl {start}: {reason}");
        return Err(Error::new(ErrorKind::Other, text));
    }
    let interrupted = ending == Ending::Interrupted;
    let text =
        if options.json { report.json(interrupted) + "\n" } else { report.table(interrupted) };
    // A reader that has seen enough (`| head`) is no error.
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(ending),
    }
}

/// Serves the embedded site; where it is, and how to trust it if that takes TLS.
fn own_site(options: &Options) -> Result<(Url, Option<ClientConfig>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    if !options.https {
        spawn(move || site::serve(&listener, None));
        return Ok((Url::parse(&format!("http://{address}/"))?, None));
    }
    let made = rcgen::generate_simple_self_signed([address.ip().to_string()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let config = ServerConfig::new(Identity::from_pem(&certificate, key)?)?;
    spawn(move || site::serve(&listener, Some(&config)));
    let trusted = Roots::from_pem(&certificate)?;
    Ok((Url::parse(&format!("https://{address}/"))?, Some(trusting(options, Some(trusted))?)))
}

/// Whom the client trusts: these, or the system's; and who is named on the command line.
fn trusting(options: &Options, roots: Option<Roots>) -> Result<ClientConfig> {
    let roots = match (&options.ca, roots) {
        (None, Some(roots)) => roots,
        (None, None) => Roots::system()?,
        (Some(ca), Some(roots)) => roots.with_pem_file(ca)?,
        // A system without roots will do if there are others.
        (Some(ca), None) => Roots::system().unwrap_or_else(|_| Roots::empty()).with_pem_file(ca)?,
    };
    ClientConfig::builder().roots(roots).alpn(["http/1.1"]).build()
}

fn cannot_begin(start: &url::Url, error: &Error) -> Error {
    let reason =
        if error.is_timeout() { "no connection in time".to_owned() } else { crawl::plain(error) };
    let text = format!("cannot crawl {start}: {reason}");
    Error::new(ErrorKind::Other, text)
}
