//! A pipeline of three programs, `tr | sort | uniq -d`, put together in three ways.
//!
//! ```text
//!   by their pipes    ours --> tr --------> sort --------> uniq --> ours
//!   by streams        ours --> tr --> ours --> sort --> ours --> uniq --> ours
//!   by talking        tr, to its end; then sort; then uniq
//! ```
//!
//! In the first the system carries what goes from one to the next. In the second it comes
//! by here, in tasks that copy and can look at it. In the third each program is given all
//! that the one before has said. What comes out is the same.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read, Write};

use stackio::pipes::{PipeReader, PipeWriter};
use stackio::subprocess::{Command, Process, Stdio};
use stackio::{Error, Result, millis, run, task_group, timeout};

const TEXT: &str = "the cat saw the dog, and the dog saw a bird\n";

/// A word on each line.
fn words() -> Command {
    let mut command = Command::new("tr");
    command.args(["-cs", "a-z", "\\n"]);
    command
}

fn sort() -> Command {
    let mut command = Command::new("sort");
    command.env("LC_ALL", "C");
    command
}

/// What comes several times, once.
fn repeated() -> Command {
    let mut command = Command::new("uniq");
    command.arg("-d");
    command
}

fn main() -> Result {
    run(|| {
        print!("text: {TEXT}");
        println!("by their pipes: {}", by_pipes(TEXT)?);
        println!("by streams: {}", by_streams(TEXT)?);
        println!("by talking: {}", by_talking(TEXT)?);
        what_goes_wrong()
    })
}

/// The output of each is the input of the next.
fn by_pipes(text: &str) -> Result<String> {
    let mut words = words().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut sorted = sort().stdin(output_of(&mut words)?).stdout(Stdio::piped()).spawn()?;
    let repeated = repeated().stdin(output_of(&mut sorted)?).stdout(Stdio::piped()).spawn()?;
    // A text that fits into a pipe; a longer one would be written by a task.
    words.communicate(text.as_bytes())?;
    let output = repeated.communicate(b"")?;
    Ok(on_one_line(&output.stdout))
}

/// Two tasks copy from one to the next, and a third one counts what goes by.
fn by_streams(text: &str) -> Result<String> {
    let mut programs = [words(), sort(), repeated()];
    let mut running = Vec::new();
    for program in &mut programs {
        running.push(program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
    }
    let (mut into_words, words) = both_of(&mut running[0])?;
    let (mut into_sort, mut sorted) = both_of(&mut running[1])?;
    let (mut into_repeated, mut repeated) = both_of(&mut running[2])?;
    let lines = Cell::new(0);
    let mut result = String::new();
    task_group(|tasks| {
        // Whoever has written all drops the pipe: the program comes to the end of its input.
        tasks.spawn(move || Ok(into_words.write_all(text.as_bytes())?));
        tasks.spawn(|| {
            for line in BufReader::new(words).lines() {
                writeln!(into_sort, "{}", line?)?;
                lines.set(lines.get() + 1);
            }
            drop(into_sort);
            Ok(())
        });
        tasks.spawn(move || Ok(io::copy(&mut sorted, &mut into_repeated)?));
        repeated.read_to_string(&mut result)?;
        Ok(())
    })?;
    for process in running {
        assert!(process.wait()?.success());
    }
    println!("({} words went by)", lines.get());
    Ok(on_one_line(result.as_bytes()))
}

/// One after the other, each with all that the one before has said.
fn by_talking(text: &str) -> Result<String> {
    let mut said = text.as_bytes().to_vec();
    for mut program in [words(), sort(), repeated()] {
        let process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        said = process.communicate(&said)?.stdout;
    }
    Ok(on_one_line(&said))
}

fn what_goes_wrong() -> Result {
    let failed = Command::shell("echo no good >&2; exit 3").output()?;
    let complaint = String::from_utf8_lossy(&failed.stderr).trim().to_owned();
    println!("a program that fails: {:?}, {complaint}", failed.status.code());

    let mut command = Command::shell("echo so far; exec sleep 1000000");
    let mut endless = command.stdout(Stdio::piped()).spawn()?;
    let mut so_far = [0; 7];
    endless.stdout.as_mut().ok_or_else(no_pipe)?.read_exact(&mut so_far)?;
    let late = timeout(millis(50), |_| endless.communicate(b"")).is_err_and(|e| e.is_timeout());
    endless.kill()?;
    endless.wait()?;
    let said = on_one_line(&so_far);
    println!("one that does not end: {said}, late {late}, {:?}", endless.returncode());

    let missing = Command::new("no-such-program").spawn().map_err(|error| error.io_kind());
    println!("one that is missing: {:?}", missing.err().flatten());
    Ok(())
}

fn output_of(process: &mut Process) -> Result<PipeReader> {
    process.stdout.take().ok_or_else(no_pipe)
}

fn both_of(process: &mut Process) -> Result<(PipeWriter, PipeReader)> {
    Ok((process.stdin.take().ok_or_else(no_pipe)?, output_of(process)?))
}

fn no_pipe() -> Error {
    io::Error::other("the process was started without this pipe").into()
}

fn on_one_line(lines: &[u8]) -> String {
    String::from_utf8_lossy(lines).split_whitespace().collect::<Vec<_>>().join(" ")
}
