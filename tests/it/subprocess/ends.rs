//! How processes end, and who hears of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::rc::Rc;

use stackio::signals::Signal;
use stackio::subprocess::{Command, Process, create_subprocess_exec, create_subprocess_shell};
use stackio::subprocess::{Stdio, returncode};
use stackio::{ErrorKind, Runner, VirtualClock, gather, millis, secs, sleep, spawn, timeout};
use stackio::{call_later, yield_now};

use super::{endless, exists, play, ready, until};
use crate::net::alone::{MANY_DESCRIPTORS, alone};

#[test]
fn what_a_program_gives_to_exit_is_its_return_code() {
    play(|| {
        for code in [0, 1, 7, 255] {
            let process = create_subprocess_shell(format!("exit {code}"))?;
            assert_eq!(process.returncode(), None);
            assert_eq!(process.wait()?.code(), Some(code));
            assert_eq!(process.returncode(), Some(code));
        }
        let arguments = ["-c", "exit $#", "name", "one", "two three"];
        assert_eq!(create_subprocess_exec("sh", arguments)?.wait()?.code(), Some(2));
        Ok(())
    });
}

#[test]
fn a_child_whose_pipe_cannot_be_had_is_killed_and_waited_for() {
    play(|| {
        let mut child = std::process::Command::new("sleep").arg("1000000").spawn()?;
        let pid = child.id();
        // A descriptor that stands for a place only, and cannot be set to anything.
        let place = File::options().read(true).custom_flags(libc::O_PATH).open("/")?;
        child.stdin = Some(OwnedFd::from(place).into());
        assert_eq!(Process::from_std(child).unwrap_err().kind(), ErrorKind::Io);
        while exists(pid) {
            yield_now()?;
        }
        Ok(())
    });
}

#[test]
fn a_signal_is_a_negative_return_code() {
    play(|| {
        for signal in [Signal::TERM, Signal::KILL, Signal::HUP] {
            let process = endless().spawn()?;
            process.send_signal(signal)?;
            assert_eq!(returncode(process.wait()?), -signal.as_raw());
        }
        let process = endless().spawn()?;
        process.terminate()?;
        assert_eq!(returncode(process.wait()?), -15);
        let process = endless().spawn()?;
        process.kill()?;
        assert_eq!(returncode(process.wait()?), -9);
        Ok(())
    });
}

#[test]
fn a_signal_that_is_handled_does_not_end_it() {
    play(|| {
        let process = ready("trap 'exit 3' TERM; trap '' HUP; while :; do echo ready; done")?;
        process.send_signal(Signal::HUP)?;
        process.terminate()?;
        assert_eq!(process.communicate(b"")?.status.code(), Some(3));
        Ok(())
    });
}

#[test]
fn all_who_wait_are_told() {
    play(|| {
        let process = Rc::new(endless().spawn()?);
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let process = process.clone();
                spawn(move || process.wait())
            })
            .collect();
        yield_now()?;
        process.kill()?;
        for status in gather(waiting).join()? {
            assert_eq!(returncode(status), -9);
        }
        // And who comes later, again and again.
        assert_eq!(returncode(process.wait()?), -9);
        assert_eq!(returncode(process.wait()?), -9);
        Ok(())
    });
}

#[test]
fn a_cancelled_wait_loses_nothing() {
    play(|| {
        let process = Rc::new(endless().spawn()?);
        let (given_up, patient) = (process.clone(), process.clone());
        let given_up = spawn(move || given_up.wait());
        let patient = spawn(move || patient.wait());
        yield_now()?;
        given_up.cancel();
        assert!(given_up.join().unwrap_err().is_cancelled());
        assert!(timeout(millis(1), |_| process.wait()).unwrap_err().is_timeout());
        process.kill()?;
        assert_eq!(returncode(patient.join()?), -9);
        assert_eq!(returncode(process.wait()?), -9);
        Ok(())
    });
}

#[test]
fn no_signal_is_sent_to_one_that_has_been_waited_for() {
    play(|| {
        let process = Command::new("true").spawn()?;
        process.wait()?;
        assert!(!exists(process.pid()));
        let error = process.kill().unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
        let expected = format!("cannot send SIGKILL to process {}: it has ended", process.pid());
        assert_eq!(error.to_string(), expected);
        Ok(())
    });
}

#[test]
fn a_program_that_is_missing_is_an_error_that_names_it() {
    play(|| {
        let error = Command::new("no-such-program").spawn().unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
        assert!(error.to_string().starts_with("cannot start \"no-such-program\": "), "{error}");
        let error = Command::new("true").current_dir("/no/such/directory").status().unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::NotFound));
        assert!(error.to_string().contains("in \"/no/such/directory\""), "{error}");
        let error = Command::new("/").output().unwrap_err();
        assert_eq!(error.io_kind(), Some(io::ErrorKind::PermissionDenied));
        Ok(())
    });
    let error = Command::new("true").spawn().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
}

#[test]
fn a_thousand_in_a_row() {
    play(|| {
        let mut command = Command::new("true");
        for _ in 0..1000 {
            assert!(command.status()?.success());
        }
        Ok(())
    });
}

#[test]
fn two_hundred_at_a_time() {
    if !alone("subprocess::ends::two_hundred_at_a_time", MANY_DESCRIPTORS) {
        return;
    }
    play(|| {
        let talks = (0..200).map(|n| {
            move || {
                let mut command = Command::new("cat");
                command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let process = command.spawn()?;
                yield_now()?; // all of them are running now
                let text = format!("number {n}");
                assert_eq!(process.communicate(text.as_bytes())?.stdout, text.as_bytes());
                Ok(process.pid())
            }
        });
        let pids = gather(talks.collect::<Vec<_>>()).join()?;
        assert!(!pids.into_iter().any(exists));
        Ok(())
    });
}

#[test]
fn one_whose_handle_is_dropped_goes_on_and_is_waited_for() {
    play(|| {
        let process = Command::shell("read line; exit 1").stdin(Stdio::piped()).spawn()?;
        let pid = process.pid();
        yield_now()?;
        assert!(exists(pid));
        drop(process); // closes its input, at whose end it ends
        while exists(pid) {
            yield_now()?;
        }
        Ok(())
    });
}

#[test]
fn one_that_is_to_be_killed_with_its_handle_is() {
    play(|| {
        let pid = endless().spawn()?.pid();
        while exists(pid) {
            yield_now()?;
        }
        let mut command = endless();
        let cancelled = spawn(move || command.status());
        yield_now()?;
        cancelled.cancel();
        assert!(cancelled.join().unwrap_err().is_cancelled());
        Ok(())
    });
}

#[test]
fn a_status_that_somebody_else_took_is_said_to_be_255() {
    play(|| {
        let process = endless().spawn()?;
        process.kill()?;
        let pid = i32::try_from(process.pid()).expect("a process id");
        // SAFETY: it wants no status.
        until("it has ended", || unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) == pid });
        assert_eq!(process.kill().unwrap_err().io_kind(), Some(io::ErrorKind::NotFound));
        assert_eq!(returncode(process.wait()?), 255);
        Ok(())
    });
}

#[test]
fn a_child_of_std_can_be_taken_over() {
    play(|| {
        let mut command = std::process::Command::new("cat");
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let process = Process::from_std(command.spawn()?)?;
        assert_eq!(process.communicate(b"taken over")?.stdout, b"taken over");
        Ok(())
    });
}

#[test]
fn virtual_time_stands_still_while_somebody_has_a_process_that_runs() {
    let clock = VirtualClock::new();
    let mut runner = Runner::builder().virtual_clock(&clock).build().expect("a loop");
    let watched = clock.clone();
    let ended = runner.run(move || {
        let process = Command::shell("exec sleep 0.05").spawn()?;
        let ended = timeout(secs(1), |_| process.wait());
        assert_eq!(watched.now().as_millis(), 0);
        // One that nobody has does not hold it.
        drop(endless().kill_on_drop(false).spawn().inspect(|process| {
            let pid = process.pid();
            call_later(secs(3600), move || {
                let pid = i32::try_from(pid).expect("a process id");
                // SAFETY: it takes two numbers.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            });
        }));
        sleep(secs(3600))?;
        sleep(secs(1))?;
        ended
    });
    assert!(ended.expect("it ended before the time was up").success());
    assert_eq!(clock.now().as_millis(), 3_601_000);
}
