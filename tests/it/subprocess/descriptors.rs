//! Descriptors: none is left behind here, and none gets into a child.

use std::io;
use std::net;
use std::process::Command as StdCommand;

use stackio::net::{TcpListener, TcpStream, UdpSocket};
use stackio::pipes::{PipeWriter, pipe};
use stackio::signals::{Signal, Signals};
use stackio::subprocess::{Command, Stdio};
use stackio::{Result, gather, millis, spawn, timeout, yield_now};

use super::{endless, play};
use crate::net::alone::{alone, open_descriptors};

/// A command with three pipes.
fn piped(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Talks to children in many ways.
fn talk() -> Result {
    for _ in 0..10 {
        piped("cat").spawn()?.communicate(b"something")?;
        let process = piped("cat").spawn()?;
        process.stdin.iter().for_each(PipeWriter::close);
        process.wait()?;
        Command::shell("echo a; echo b >&2").stderr_to_stdout().output()?;
        assert!(piped("no-such-program").spawn().is_err());
        assert!(piped("no-such-program").stderr_to_stdout().output().is_err());
        assert!(timeout(millis(1), |_| endless().stdin(Stdio::piped()).output()).is_err());
        drop(piped("true").spawn()?);
    }
    Ok(())
}

#[test]
fn none_is_left_behind() {
    if !alone("subprocess::descriptors::none_is_left_behind", "") {
        return;
    }
    play(|| {
        yield_now()?;
        let before = open_descriptors();
        talk()?;
        gather((0..10).map(|_| talk).collect::<Vec<_>>()).join()?;
        // Those that nobody waits for are on their way.
        while open_descriptors() != before {
            yield_now()?;
        }
        Ok(())
    });
}

#[test]
fn a_child_gets_three() {
    if !alone("subprocess::descriptors::a_child_gets_three", "") {
        return;
    }
    // The shell needs one itself for this.
    let list = "echo /proc/$$/fd/*";
    let nothing_open = StdCommand::new("sh").args(["-c", list]).output().expect("a shell");
    play(move || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (far, _) = listener.accept()?;
        let taken_over = TcpStream::from_std(net::TcpStream::connect(listener.local_addr()?)?)?;
        let (accepted, _) = listener.accept()?;
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        let pipes = (pipe()?, io::pipe()?);
        let signals = Signals::new([Signal::USR2])?;
        let mut other = endless();
        let other = other.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let reading = spawn(move || Ok(io::Read::read(&mut &near, &mut [0])?));
        yield_now()?;
        let output = Command::shell(list).output()?;
        let text = |bytes| String::from_utf8(bytes).expect("names of files");
        let (pid, expected) = (std::process::id(), text(nothing_open.stdout));
        let numbers = |names: &str| -> Vec<String> {
            let names = names.split_whitespace().map(|name| name.rsplit('/').next());
            names.map(|name| name.unwrap_or_default().to_owned()).collect()
        };
        assert_ne!(open_descriptors(), 3, "of {pid}");
        assert_eq!(numbers(&text(output.stdout)), numbers(&expected));
        reading.cancel();
        drop((far, taken_over, accepted, udp, pipes, signals, other));
        Ok(())
    });
}
