//! The crawler example, as a user runs it: its site, other sites, bad servers, bad arguments.

mod client;
#[path = "../../examples/crawler/http.rs"]
mod http;
#[path = "../../examples/crawler/links.rs"]
mod links;
mod pages;
mod server;

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use server::{Server, Then, html, not_found, raw, redirect};

use crate::support::{Finished, example, run};

const LIMIT: Duration = Duration::from_secs(60);

fn crawl(arguments: &[&str]) -> Finished {
    run(Command::new(example("crawler")).args(arguments), LIMIT)
}

/// The report of a crawl that came to its end.
#[track_caller]
fn report(arguments: &[&str]) -> Value {
    let finished = crawl(&[arguments, &["--json"]].concat());
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    json(&finished)
}

#[track_caller]
fn json(finished: &Finished) -> Value {
    let mut lines = finished.stdout.lines();
    let last = lines.next_back().expect("a report");
    assert_eq!(lines.next(), None, "stdout is for the report");
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error} in {last}"))
}

fn counts<const N: usize>(report: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| report[name].as_u64().unwrap_or_else(|| panic!("no {name} in {report}")))
}

/// One line for each entry, as `what  path  page that holds it`.
fn troubles(report: &Value, list: &str, what: &str) -> Vec<String> {
    let start = report["start"].as_str().expect("a URL").trim_end_matches('/');
    let path = |url: &Value| url.as_str().map_or("-", |url| &url[start.len()..]).to_owned();
    let entries = report[list].as_array().expect("a list").iter();
    let mut lines: Vec<String> = entries
        .map(|entry| {
            let (url, from) = (path(&entry["url"]), path(&entry["linked_from"]));
            let what = match &entry[what] {
                Value::String(text) => text.replace(start, ""),
                other => other.to_string(),
            };
            format!("{what}  {url}  {from}")
        })
        .collect();
    lines.sort();
    lines
}

const COUNTS: [&str; 6] = ["pages", "ok", "client_errors", "server_errors", "redirects", "failed"];

#[test]
fn without_arguments_its_own_site_is_crawled_to_the_last_page() {
    let finished = crawl(&[]);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let rows = [
        ("pages", "334"),
        ("2xx", "322"),
        ("4xx", "10"),
        ("5xx", "2"),
        ("redirects", "34"),
        ("failures", "11"),
        ("broken links", "13"),
    ];
    for (name, value) in rows {
        let has = |line: &str| {
            let rest = line.trim_start().strip_prefix(name);
            rest.and_then(|rest| rest.split_whitespace().next()) == Some(value)
        };
        assert!(finished.stdout.lines().any(has), "no {name} {value} in\n{}", finished.stdout);
    }
    assert!(finished.stdout.contains("/never  timed out after 2s"), "{}", finished.stdout);
    assert!(finished.stderr.starts_with("crawler: crawling http://127.0.0.1:"));
    assert!(!finished.stderr.contains('\x1b'), "a bar is for terminals: {}", finished.stderr);
}

#[test]
fn the_report_of_its_own_site_names_every_trouble() {
    let report = report(&[]);
    assert_eq!(counts(&report, COUNTS), [334, 322, 10, 2, 34, 11]);
    let expected = [
        "bad chunk in the body  /bad-chunk  /",
        "bad content-length \"4, 5\"  /two-lengths  /",
        "body ended after 9 of 1000 bytes  /truncated  /",
        "body over 16777216 bytes  /flood  /",
        "body over 16777216 bytes  /huge  /",
        "connection closed without a response  /hang-up  /",
        "more than 10 redirects  /endless/1  /",
        "redirect loop back to /loop/a  /loop/a  /",
        "redirect loop back to /self  /self  /",
        "response header over 32768 bytes  /endless-head  /",
        "timed out after 2s  /never  /",
    ];
    assert_eq!(troubles(&report, "failures", "reason"), expected);
    let mut expected: Vec<String> =
        (1..10).map(|n| format!("404  /missing/{}  /page/{}", n * 30, n * 30)).collect();
    expected.extend(
        ["403  /locked  /", "404  /old  /", "500  /error  /", "503  /busy  /"].map(Into::into),
    );
    expected.sort();
    assert_eq!(troubles(&report, "broken_links", "status"), expected);

    for name in ["bytes", "elapsed_ms", "pages_per_s", "p50_ms", "p99_ms"] {
        assert!(report[name].as_f64().is_some_and(|n| n > 0.0), "{name} in {report}");
    }
    let [connections, reused, left] = counts(&report, ["connections", "reused", "left"]);
    assert!(connections >= 30 && reused >= 30 && left == 0, "{report}");
}

#[test]
fn its_own_site_is_the_same_by_https() {
    let report = report(&["--https"]);
    assert!(report["start"].as_str().is_some_and(|start| start.starts_with("https://")));
    assert_eq!(counts(&report, COUNTS), [334, 322, 10, 2, 34, 11]);
    let silent = "connection closed without a response  /hang-up  /".to_owned();
    assert!(troubles(&report, "failures", "reason").contains(&silent), "{report}");
}

#[cfg(feature = "tls")]
#[test]
fn a_site_by_https_is_crawled_if_its_certificate_is_trusted() {
    use std::io::{BufRead, Write};

    use stackio::tls::{Identity, ServerConfig, TlsStream};

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let identity = Identity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
    let config = identity.and_then(ServerConfig::new).expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    // Blocking sockets, and no loop.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Ok(mut stream) = TlsStream::accept(&config, stream) else { continue };
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|length| length > 2) {
                line.clear();
            }
            let text = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n";
            let _gone = write!(stream, "{text}<p>hello").and_then(|()| stream.close());
        }
    });
    let url = format!("https://localhost:{port}/");
    let finished = crawl(&[&url]);
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    let distrust = format!("cannot crawl {url}: TLS with localhost: the handshake failed");
    assert!(finished.stderr.contains(&distrust), "{}", finished.stderr);

    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = directory.join(format!("crawler-{}.pem", std::process::id()));
    std::fs::write(&file, made.cert.pem()).expect("a file for the certificate");
    let report = report(&[&url, "--ca", file.to_str().expect("UTF-8")]);
    std::fs::remove_file(&file).expect("it is still there");
    assert_eq!(counts(&report, COUNTS), [1, 1, 0, 0, 0, 0]);
}

#[test]
fn a_crawl_stops_at_the_page_it_was_told() {
    for max in ["1", "50"] {
        let report = report(&["--max-pages", max, "--concurrency", "7", "--timeout=0.5"]);
        let [pages, left] = counts(&report, ["pages", "left"]);
        assert_eq!(pages.to_string(), max);
        assert!(left > 0, "{report}");
    }

    // The server is asked for no more either, though each page links to two others.
    let server = Server::start(|target| {
        let n: u32 = target[1..].parse().unwrap_or(1);
        html(&format!("<a href=/{}><a href=/{}>", 2 * n, 2 * n + 1))
    });
    let report = report(&[&server.url("/1"), "--max-pages=40", "--concurrency=30"]);
    assert_eq!(counts(&report, ["pages", "left"]), [40, 41]);
    assert_eq!(server.targets().len(), 40);
}

#[test]
fn failures_and_redirects_take_no_page_from_the_limit() {
    let server = Server::start(|target| match target {
        "/" => server::links(&["/bad", "/away", "/alias", "/1", "/2", "/3", "/4"]),
        "/bad" => raw("what?\r\n\r\n"),
        "/away" => redirect("http://other.invalid/"),
        "/alias" => redirect("/"),
        _ => html("page"),
    });
    let report = report(&[&server.url("/"), "--max-pages=4", "--concurrency=1"]);
    assert_eq!(counts(&report, COUNTS), [4, 4, 0, 0, 2, 1]);
    assert_eq!(server.targets(), ["/", "/bad", "/away", "/alias", "/1", "/2", "/3"]);
}

#[test]
fn one_connection_serves_a_whole_site_that_keeps_it() {
    let server = Server::start(|target| match target {
        "/" => server::links(&["/a", "/b", "/c?x=1&y=%20", "/d"]),
        "/a" => html("length"),
        "/b" => (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), Then::Keep),
        "/c?x=1&y=%20" => {
            let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            (format!("{chunked}4\r\nokay\r\n0\r\n\r\n").into_bytes(), Then::Keep)
        }
        _ => not_found(),
    });
    let report = report(&[&server.url("/"), "--concurrency", "1"]);
    assert_eq!(counts(&report, ["pages", "ok", "client_errors"]), [5, 4, 1]);
    assert_eq!(counts(&report, ["connections", "reused", "retried"]), [1, 5, 0]);
    let port = server.address.port();
    for head in server.heads() {
        assert!(head.contains(&format!("\r\nHost: 127.0.0.1:{port}\r\n")), "{head}");
        assert!(head.contains("\r\nAccept-Encoding: identity\r\n"), "{head}");
    }
}

#[test]
fn a_connection_closed_in_the_meantime_is_replaced() {
    // Nothing says that the connection will not be kept, and it is not.
    let server = Server::start(|target| match target {
        "/" => (server::links(&["/a", "/b", "/c"]).0, Then::Close),
        _ => (html("page").0, Then::Close),
    });
    let report = report(&[&server.url("/"), "--concurrency", "1"]);
    assert_eq!(counts(&report, COUNTS), [4, 4, 0, 0, 0, 0]);
    assert_eq!(counts(&report, ["connections", "retried"]), [4, 3]);
}

#[test]
fn bad_servers_are_failures_with_a_reason_each() {
    let server = Server::start(|target| match target {
        "/" => server::links(&["/minus", "/short", "/chunk", "/noise", "/cut", "/size", "/until"]),
        "/minus" => raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        "/short" => raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        "/chunk" => raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "/noise" => raw([0xff; 2000]),
        "/cut" => raw("HTTP/1.1 200 OK\r\nContent-"),
        "/size" => raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"),
        _ => raw(&b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n\xff<a href=/>"[..]),
    });
    let report = report(&[&server.url("/")]);
    assert_eq!(counts(&report, COUNTS), [2, 2, 0, 0, 0, 6]);
    let expected = [
        "bad chunk in the body  /chunk  /",
        "bad content-length \"-1\"  /minus  /",
        "bad content-length \"99999999999999999999\"  /size  /",
        "body ended after 5 of 10 bytes  /short  /",
        "connection closed within the response header  /cut  /",
        "connection closed within the response header  /noise  /",
    ];
    assert_eq!(troubles(&report, "failures", "reason"), expected);
}

#[test]
fn every_link_into_a_redirect_loop_is_reported() {
    let server = Server::start(|target| match target {
        "/" => server::links(&["/a", "/b", "/c", "/gone-by"]),
        "/a" => redirect("/b"),
        "/b" => redirect("/a"),
        "/c" => redirect("/a"),
        "/gone-by" => redirect("/gone#here"),
        _ => not_found(),
    });
    let report = report(&[&server.url("/")]);
    assert_eq!(counts(&report, ["pages", "redirects", "failed"]), [2, 4, 3]);
    assert_eq!(troubles(&report, "broken_links", "status"), ["404  /gone-by  /"]);
    assert_eq!(report["broken_links"][0]["redirected_to"], server.url("/gone"));
}

#[test]
fn other_hosts_stay_unvisited_and_users_unnamed() {
    let server = Server::start(|target| match target {
        "/" => server::links(&["//user:secret@127.0.0.1:1/", "/a", "http://localhost/"]),
        _ => redirect("https://127.0.0.1/"),
    });
    let url = format!("http://user:secret@{}/#top", server.address);
    let report = report(&[&url]);
    assert_eq!(counts(&report, COUNTS), [1, 1, 0, 0, 1, 0]);
    assert_eq!(report["start"], server.url("/"));
    assert!(server.heads().iter().all(|head| !head.contains("secret")));
}

#[test]
fn a_site_that_lives_elsewhere_says_so() {
    let server = Server::start(|_| redirect("https://elsewhere.invalid/"));
    let report = report(&[&server.url("/")]);
    assert_eq!(counts(&report, ["pages", "redirects", "failed"]), [0, 1, 1]);
    let expected = ["redirects to another site: https://elsewhere.invalid/  /  -"];
    assert_eq!(troubles(&report, "failures", "reason"), expected);
}

#[test]
fn hosts_may_be_ipv6_addresses() {
    // Not every machine that runs tests has IPv6.
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let server = Server::serve(listener, |_| html("<a href='/'>"));
    let report = report(&[&server.url("/")]);
    assert_eq!(counts(&report, ["pages", "failed"]), [1, 0]);
    assert!(server.heads()[0].contains(&format!("\r\nHost: {}\r\n", server.address)));
}

#[test]
fn what_cannot_begin_is_refused_with_the_reason() {
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let closed = format!("http://{}/", closed.expect("a free port"));
    let cases: &[(&[&str], &str)] = &[
        (&[&closed], "onnection refused"),
        (&["--https", "http://a/"], "--https is for the site on this machine"),
        (&["--ca", "no such file", "https://example.invalid/"], "cannot read no such file"),
        (&["ftp://example.invalid/"], "is not http"),
        (&["127.0.0.1:8000"], "does not begin with http://"),
        (&["http://[::1/"], "bad URL"),
        (&["http://a/", "http://b/"], "a second URL"),
        (&["--colour"], "unknown option --colour"),
        (&["--json=yes"], "takes no value"),
        (&["--timeout"], "--timeout needs a value"),
        (&["--timeout", "-1"], "is not a number of seconds"),
        (&["--timeout=inf"], "is not a number of seconds"),
        (&["--concurrency=0"], "is not a number from 1 up"),
        (&["--max-pages", "many"], "is not a number from 1 up"),
    ];
    for (arguments, message) in cases {
        let finished = crawl(arguments);
        assert_eq!(finished.status.code(), Some(2), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.contains(message), "{arguments:?}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{arguments:?}");
    }
}

#[test]
fn help_is_no_error() {
    let finished = crawl(&["--help"]);
    assert_eq!(finished.status.code(), Some(0));
    assert!(finished.stdout.contains("Usage: crawler [URL] [OPTIONS]"));
    assert_eq!(finished.stderr, "");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_crawl_with_what_it_has() {
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    use std::sync::mpsc;

    /// A shell's background job ignores it, and so would the child.
    fn heed_interrupts() -> std::io::Result<()> {
        // SAFETY: no handler of ours is replaced, in a child that has none.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        Ok(())
    }

    let (stalled, stalls) = mpsc::channel();
    let server = Server::start(move |target| match target {
        "/" => server::links(&["/a", "/missing", "/stall", "/later"]),
        "/a" => html("page"),
        "/stall" => {
            // The test may be over already: then nobody listens.
            let _ = stalled.send(());
            (b"HTTP/1.1 200 OK\r\n".to_vec(), Then::Stall)
        }
        _ => not_found(),
    });
    let mut crawler = Command::new(example("crawler"));
    // SAFETY: `signal` may be called between fork and exec.
    unsafe { crawler.pre_exec(heed_interrupts) };
    let child = crawler
        .args([&server.url("/"), "--json", "--concurrency=1", "--timeout=50"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    stalls.recv_timeout(LIMIT).expect("it gets as far as the page that stalls");
    let mut kill = Command::new("kill");
    assert!(run(kill.args(["-INT", &child.id().to_string()]), LIMIT).status.success());

    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let report: Value = serde_json::from_str(&stdout).expect("one report");
    assert_eq!(report["interrupted"], true);
    assert_eq!(counts(&report, ["pages", "client_errors", "failed", "left"]), [3, 1, 0, 2]);
}
