//! Pipes to and from a process, all at the same time.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::rc::Rc;

use stackio::subprocess::{Command, Stdio, returncode};
use stackio::{ErrorKind, millis, spawn, timeout, yield_now};

use super::{endless, play};

/// A command with three pipes.
fn piped(line: &str) -> Command {
    let mut command = Command::shell(line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

const BIG: usize = 3_000_000;

#[test]
fn both_outputs_may_be_larger_than_a_pipe() {
    play(|| {
        // Each waits for a reader in turn, so one who reads them in turn would wait for ever.
        let line = "for n in 1 2 3; do
            head -c 1000000 /dev/zero >&2
            head -c 1000000 /dev/zero
        done";
        let output = piped(line).spawn()?.communicate(b"")?;
        assert!(output.status.success());
        assert_eq!((output.stdout.len(), output.stderr.len()), (BIG, BIG));
        Ok(())
    });
}

#[test]
fn a_large_input_is_written_while_its_echo_is_read() {
    play(|| {
        let input: Vec<u8> = (0..BIG).map(|at| (at ^ (at >> 8)) as u8).collect();
        let output = piped("tee /dev/stderr").spawn()?.communicate(&input)?;
        assert!(output.stdout == input && output.stderr == input);
        Ok(())
    });
}

#[test]
fn a_process_that_does_not_read_its_input_is_no_error() {
    play(|| {
        let output = piped("exec <&-; echo done").spawn()?.communicate(&vec![0; BIG])?;
        assert_eq!(output.stdout, b"done\n");
        assert!(output.status.success());
        // Nor one that has ended before it is talked to.
        let process = piped("exit 5").spawn()?;
        process.wait()?;
        assert_eq!(process.communicate(b"too late")?.status.code(), Some(5));
        Ok(())
    });
}

#[test]
fn what_is_no_pipe_is_left_out() {
    play(|| {
        let process = Command::new("true").spawn()?;
        let output = process.communicate(b"")?;
        assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
        let process = endless().spawn()?;
        let error = process.communicate(b"input").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Value);
        Ok(())
    });
}

#[test]
fn output_reads_both_and_gives_an_empty_input() {
    play(|| {
        let output = Command::shell("cat; echo out; echo err >&2; exit 2").output()?;
        assert_eq!(output.status.code(), Some(2));
        assert_eq!((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        Ok(())
    });
}

#[test]
fn errors_can_go_where_the_output_goes() {
    play(|| {
        let line = "echo one; echo two >&2; echo three";
        let output = Command::shell(line).stderr_to_stdout().output()?;
        assert_eq!(output.stdout, b"one\ntwo\nthree\n");
        assert_eq!(output.stderr, b"");
        let (reader, writer) = io::pipe()?;
        let mut command = Command::shell(line);
        assert!(command.stdout(writer).stderr_to_stdout().status()?.success());
        drop(command); // it has the writer
        assert_eq!(io::read_to_string(reader)?, "one\ntwo\nthree\n");
        assert!(Command::shell(line).stdout(Stdio::null()).stderr_to_stdout().status()?.success());
        Ok(())
    });
}

#[test]
fn what_a_cancelled_talk_has_sent_and_heard_is_kept() {
    play(|| {
        let mut input = vec![b'x'; BIG];
        input.extend(b"end");
        // Takes a part of its input, and the rest only after a signal.
        let line = "trap 'exec cat' TERM; head -c 10; echo taken; echo ready >&2
            while :; do sleep 0.01; done";
        let mut process = piped(line).spawn()?;
        let mut stderr = process.stderr.take().expect("it is piped");
        let mut rest = input.as_slice();
        loop {
            let late = timeout(millis(5), |_| process.communicate(rest)).unwrap_err();
            assert!(late.is_timeout());
            rest = b"";
            let ready = timeout(millis(5), |_| Ok(stderr.read_exact(&mut [0; 6])?));
            if ready.is_ok() {
                break;
            }
        }
        let refused = process.communicate(b"more").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Value);
        process.terminate()?;
        let output = process.communicate(b"")?;
        assert!(output.stdout.starts_with(b"xxxxxxxxxxtaken\n"));
        assert!(output.stdout.ends_with(b"xend"));
        Ok(())
    });
}

#[test]
fn a_talk_that_is_cancelled_before_it_has_begun_loses_nothing() {
    play(|| {
        let process = Rc::new(piped("cat").spawn()?);
        let talking = process.clone();
        let task = spawn(move || talking.communicate(b"input"));
        yield_now()?;
        task.cancel();
        assert!(task.join().unwrap_err().is_cancelled());
        assert_eq!(process.communicate(b"")?.stdout, b"input");
        Ok(())
    });
}

#[test]
fn a_process_that_is_killed_in_the_middle_leaves_what_it_had_said() {
    play(|| {
        let process = Rc::new(piped("echo begun; exec sleep 1000000").spawn()?);
        let talking = process.clone();
        let task = spawn(move || talking.communicate(b""));
        yield_now()?;
        process.kill()?;
        let output = task.join()?;
        assert_eq!(returncode(output.status), -9);
        assert!(b"begun\n".starts_with(&output.stdout), "{output:?}");
        Ok(())
    });
}

#[test]
fn more_output_than_the_limit_is_an_error_and_as_much_is_not() {
    play(|| {
        let process = piped("head -c 100 /dev/zero >&2; printf 1234").spawn()?;
        assert_eq!(process.communicate_within(b"", 100)?.stderr.len(), 100);
        for line in ["cat /dev/zero", "cat /dev/zero >&2"] {
            let process = piped(line).spawn()?;
            let error = process.communicate_within(&vec![0; BIG], 1000).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::LimitOverrun);
            let text = "an output of the process is longer than the limit of 1000 bytes";
            assert!(error.to_string().contains(text), "{error}");
            assert_eq!(process.returncode(), None);
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    });
}

#[test]
fn lines_go_to_and_fro() {
    play(|| {
        let mut process = piped("while read line; do echo \"<$line>\"; done").spawn()?;
        let mut input = process.stdin.take().expect("it is piped");
        let mut output = BufReader::new(process.stdout.take().expect("it is piped"));
        for word in ["one", "two", "three"] {
            writeln!(input, "{word}")?;
            let mut answer = String::new();
            output.read_line(&mut answer)?;
            assert_eq!(answer, format!("<{word}>\n"));
        }
        drop(input);
        assert_eq!(output.read(&mut [0; 8])?, 0);
        assert!(process.wait()?.success());
        Ok(())
    });
}
