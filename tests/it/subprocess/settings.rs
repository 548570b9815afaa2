//! What a command can be told.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, Write};

use stackio::signals::Signal;
use stackio::subprocess::{Command, Stdio, returncode};

use super::{endless, play};

fn said(command: &mut Command) -> stackio::Result<String> {
    let output = command.output()?;
    assert!(output.status.success(), "{command:?}: {output:?}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_environment_is_inherited_changed_or_cleared() {
    play(|| {
        let line = "echo \"${HOME-none} ${ONE-none} ${TWO-none}\"";
        let home = env::var("HOME").unwrap_or_else(|_| "none".to_owned());
        let mut command = Command::shell(line);
        assert_eq!(said(command.env("ONE", "1"))?, format!("{home} 1 none\n"));
        assert_eq!(said(command.env_remove("HOME").envs([("TWO", "2")]))?, "none 1 2\n");
        assert_eq!(said(command.env_clear())?, "none none none\n");
        Ok(())
    });
}

#[test]
fn the_directory_and_arguments_with_blanks_are_passed_on() {
    play(|| {
        assert_eq!(said(Command::new("pwd").current_dir("/"))?, "/\n");
        let mut command = Command::shell("printf '[%s]' \"$@\"");
        assert_eq!(said(command.arg("$0").args(["a b", "$HOME", ""]))?, "[a b][$HOME][]");
        Ok(())
    });
}

#[test]
fn a_process_group_is_a_new_one_or_that_of_another() {
    play(|| {
        let group = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
            let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
            fields.split(' ').nth(2).expect("the group").parse::<i32>().expect("a number")
        };
        let first = endless().process_group(0).spawn()?;
        let leader = i32::try_from(first.pid()).expect("a process id");
        assert_eq!(group(first.pid()), leader);
        let second = endless().process_group(leader).spawn()?;
        assert_eq!(group(second.pid()), leader);
        assert_eq!(group(endless().spawn()?.pid()), group(std::process::id()));
        Ok(())
    });
}

#[test]
fn a_signal_to_a_group_reaches_what_the_child_has_started() {
    play(|| {
        let mut command = Command::shell("sleep 1000 & echo started; wait");
        let process = command.process_group(0).stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stdout.as_ref().expect("a pipe"));
        lines.read_line(&mut String::new())?;
        process.send_signal_to_group(Signal::KILL)?;
        // The other end of the pipe is closed when `sleep` is gone as well.
        assert_eq!(lines.read_to_end(&mut Vec::new())?, 0);
        assert_eq!(returncode(process.wait()?), -9);
        let late = process.send_signal_to_group(Signal::KILL).unwrap_err();
        assert_eq!(late.io_kind(), Some(ErrorKind::NotFound));
        let mut command = endless();
        let follower = command.kill_on_drop(true).spawn()?;
        let refused = follower.send_signal_to_group(Signal::KILL).unwrap_err();
        assert_eq!(refused.io_kind(), Some(ErrorKind::NotFound), "it leads none");
        assert_eq!(follower.returncode(), None);
        Ok(())
    });
}

#[test]
fn files_serve_as_standard_streams_for_several_children() {
    let directory = env::temp_dir().join(format!("stackio-settings-{}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("file");
    let written = path.clone();
    play(move || {
        let file = File::create(&written)?;
        let mut command = Command::shell("echo \"$0\"");
        command.arg("again").stdout(file);
        assert!(command.status()?.success());
        assert!(command.status()?.success());
        let mut input = File::options().read(true).append(true).open(&written)?;
        input.write_all(b"and more\n")?;
        input.rewind()?;
        assert_eq!(said(Command::new("cat").stdin(input))?, "again\nagain\nand more\n");
        Ok(())
    });
    fs::remove_dir_all(directory).expect("it is still there");
}

#[test]
fn a_child_can_read_what_another_writes() {
    play(|| {
        let mut words = Command::new("printf");
        let mut words = words.arg("b\nc\na\n").stdout(Stdio::piped()).spawn()?;
        let words = words.stdout.take().expect("it is piped");
        assert_eq!(said(Command::new("sort").stdin(words))?, "a\nb\nc\n");
        Ok(())
    });
}

#[test]
fn what_std_can_set_is_set_through_it() {
    use std::os::unix::process::CommandExt;
    play(|| {
        let mut command = Command::shell("echo $0");
        command.as_std_mut().arg0("other");
        assert_eq!(said(&mut command)?, "other\n");
        Ok(())
    });
}
