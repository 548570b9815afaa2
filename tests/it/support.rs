//! What more than one test module needs: built examples, children with a time limit, comparisons.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Compiling may have to wait for another cargo that holds the build directory.
const BUILD_LIMIT: Duration = Duration::from_secs(600);

/// What a child that ended by itself left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// The binary of `examples/<name>`, up to date.
///
/// `cargo test` builds the examples, `cargo test --test it` does not, so the first call for a name
/// in a process has cargo bring that example up to date.
pub fn example(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

    // A failed build panics below while it holds the lock; the other tests still get their turn.
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(name) {
        return path.clone();
    }
    let path = build_example(name);
    built.insert(name.to_owned(), path.clone());
    path
}

/// Bytes of memory that the process has, other than what the kernel has for it.
pub fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number") * 4096
}

fn build_example(name: &str) -> PathBuf {
    let profile_dir = profile_dir();
    let profile = match file_name(&profile_dir) {
        "debug" => "dev",
        other => other,
    };
    let target_dir = profile_dir.parent().expect("a profile has its directory under target/");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target_dir).args([
        "build",
        "--quiet",
        "--profile",
        profile,
        "--example",
        name,
    ]);
    let build = run(&mut cargo, BUILD_LIMIT);
    assert!(build.status.success(), "cannot build the example {name}:\n{}", build.stderr);
    profile_dir.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// `target/<profile>`, two steps up from this test binary in `target/<profile>/deps`.
fn profile_dir() -> PathBuf {
    let test_binary = std::env::current_exe().expect("a test binary knows where it is");
    let dir = test_binary.parent().and_then(Path::parent).expect("target/<profile>/deps");
    dir.to_owned()
}

fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a directory with a UTF-8 name")
}

/// Runs `command` to its end with nothing on its standard input.
///
/// # Panics
///
/// When it has not closed its outputs within `limit`: it is killed, and the panic shows them.
pub fn run(command: &mut Command, limit: Duration) -> Finished {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    // Nothing is ever sent: both readers hold a sender, and the last to reach its end of file
    // disconnects the channel.
    let (reading, all_read) = mpsc::channel();
    let stdout = collect(child.stdout.take().expect("piped above"), reading.clone());
    let stderr = collect(child.stderr.take().expect("piped above"), reading);
    let timed_out = all_read.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
    if timed_out {
        // It may have ended in the meantime; the panic below is due all the same.
        let _ = child.kill();
    }
    let status = child.wait().expect("a child can be waited for");
    let (stdout, stderr) = (text(&stdout), text(&stderr));
    assert!(
        !timed_out,
        "{command:?} was killed after {limit:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}"
    );
    Finished { status, stdout, stderr }
}

/// Reads on a thread of its own, so that a child never blocks on a full pipe.
fn collect(mut pipe: impl Read + Send + 'static, reading: Sender<()>) -> Arc<Mutex<Vec<u8>>> {
    let collected = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&collected);
    thread::spawn(move || {
        let _reading = reading;
        let mut chunk = [0; 4096];
        loop {
            match pipe.read(&mut chunk) {
                Ok(length @ 1..) => {
                    let mut collected = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    collected.extend_from_slice(&chunk[..length]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
            }
        }
    });
    collected
}

fn text(collected: &Mutex<Vec<u8>>) -> String {
    let collected = collected.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&collected).into_owned()
}

/// Panics with a line by line difference when `actual` is not `expected`.
#[track_caller]
pub fn assert_same_text(expected: &str, actual: &str) {
    assert!(
        expected == actual,
        "the texts differ (- expected, + actual):\n{}",
        difference(expected, actual)
    );
}

/// The lines of both texts in order: ` ` in both, `-` only in `expected`, `+` only in `actual`.
fn difference(expected: &str, actual: &str) -> String {
    // Split so that the line ends take part: a missing last newline is a difference too.
    let old: Vec<&str> = expected.split_inclusive('\n').collect();
    let new: Vec<&str> = actual.split_inclusive('\n').collect();
    let common = common_lines(&old, &new);
    let (mut i, mut j) = (0, 0);
    let mut out = String::new();
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            let _ = writeln!(out, "  {}", old[i].trim_end_matches('\n'));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            let _ = writeln!(out, "- {:?}", old[i]);
            i += 1;
        } else {
            let _ = writeln!(out, "+ {:?}", new[j]);
            j += 1;
        }
    }
    out
}

/// `common[i][j]`: the length of the longest common subsequence of `old[i..]` and `new[j..]`.
fn common_lines(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    common
}

#[test]
fn a_difference_shows_every_line_once() {
    assert_eq!(
        difference("one\ntwo\nthree\n", "one\nzwei\nthree\nfour"),
        "  one\n- \"two\\n\"\n+ \"zwei\\n\"\n  three\n+ \"four\"\n"
    );
}

#[test]
#[cfg(unix)]
fn a_child_that_does_not_end_is_killed_and_its_output_shown() {
    let killed = std::panic::catch_unwind(|| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo before; exec tail -f /dev/null"]);
        run(&mut shell, Duration::from_millis(200))
    });
    let panic = killed.expect_err("it cannot have ended");
    let message = panic.downcast_ref::<String>().expect("assert! panics with a String");
    assert!(message.contains("was killed after 200ms"), "{message}");
    assert!(message.contains("before"), "{message}");
}

/// How many tasks a crowd has: fewer where every stack costs a mapping, for other tests run at
/// the same time.
pub fn crowd() -> usize {
    stackio::stack_statistics().limit.map_or(100_000, |limit| limit / 16)
}

/// Calls a function when it is dropped.
pub struct Dropped<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for Dropped<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
