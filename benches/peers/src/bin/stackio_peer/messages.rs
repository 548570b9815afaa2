//! Requests in bytes, and their answers: the same for each style of server.

use std::collections::HashMap;

use bench::HTTP_REPLY;
use memchr::memmem;
use stackio::{Error, ErrorKind, Result};

const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

/// A server of one page.
pub struct Http {
    /// Finds the end of a request.
    end: memmem::Finder<'static>,
}

impl Default for Http {
    fn default() -> Http {
        Http { end: memmem::Finder::new(b"\r\n\r\n") }
    }
}

impl Http {
    /// Answers all requests that are whole; gives how many bytes they are.
    pub fn answer(&self, input: &[u8], output: &mut Vec<u8>) -> usize {
        let mut begin = 0;
        while let Some(end) = self.end.find(&input[begin..]) {
            let known = input[begin..].starts_with(b"GET / ");
            output.extend_from_slice(if known { HTTP_REPLY } else { NOT_FOUND });
            begin += end + 4;
        }
        begin
    }
}

/// A server of `GET` and `SET`, by RESP.
#[derive(Default)]
pub struct Redis(HashMap<Vec<u8>, Vec<u8>>);

impl Redis {
    /// As [`Http::answer`].
    pub fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize> {
        let mut rest = input;
        while let Some(command) = Command::parse(&mut rest)? {
            self.execute(&command, output);
        }
        Ok(input.len() - rest.len())
    }

    fn execute(&mut self, command: &Command<'_>, output: &mut Vec<u8>) {
        match command.words() {
            [name, key] if name.eq_ignore_ascii_case(b"GET") => match self.0.get(*key) {
                Some(value) => {
                    output.push(b'$');
                    push_number(output, value.len());
                    output.extend_from_slice(b"\r\n");
                    output.extend_from_slice(value);
                    output.extend_from_slice(b"\r\n");
                }
                None => output.extend_from_slice(b"$-1\r\n"),
            },
            [name, key, value] if name.eq_ignore_ascii_case(b"SET") => {
                self.0.insert(key.to_vec(), value.to_vec());
                output.extend_from_slice(b"+OK\r\n");
            }
            // redis-benchmark asks for the configuration first.
            [name, ..] if name.eq_ignore_ascii_case(b"CONFIG") => {
                output.extend_from_slice(b"*0\r\n");
            }
            _ => output.extend_from_slice(b"-ERR unknown command\r\n"),
        }
    }
}

/// The first words of a command: none that is known has more.
#[derive(Default)]
struct Command<'a> {
    words: [&'a [u8]; 4],
    count: usize,
}

impl<'a> Command<'a> {
    /// Takes a whole command off `input`; leaves it as it is if there is none.
    fn parse(input: &mut &'a [u8]) -> Result<Option<Command<'a>>> {
        let mut rest = *input;
        let mut command = Command::default();
        let Some(count) = number(&mut rest, b'*')? else { return Ok(None) };
        for index in 0..count {
            let Some(length) = number(&mut rest, b'$')? else { return Ok(None) };
            if rest.len() < length.saturating_add(2) {
                return Ok(None);
            }
            if let Some(place) = command.words.get_mut(index) {
                *place = &rest[..length];
                command.count += 1;
            }
            rest = &rest[length + 2..];
        }
        *input = rest;
        Ok(Some(command))
    }

    fn words(&self) -> &[&'a [u8]] {
        &self.words[..self.count]
    }
}

/// Takes the number off a line that begins with that mark; `None` if the line is not whole.
fn number(input: &mut &[u8], mark: u8) -> Result<Option<usize>> {
    let not_resp = || Error::new(ErrorKind::Value, "not RESP");
    let Some((first, line)) = input.split_first() else { return Ok(None) };
    if *first != mark {
        return Err(not_resp());
    }
    let mut number = 0;
    for (at, byte) in line.iter().enumerate() {
        match byte {
            b'0'..=b'9' if number < 1 << 30 => number = 10 * number + usize::from(byte - b'0'),
            b'\r' if line.get(at + 1).is_none_or(|next| *next == b'\n') => {
                let rest = line.get(at + 2..);
                return Ok(rest.map(|rest| {
                    *input = rest;
                    number
                }));
            }
            _ => return Err(not_resp()),
        }
    }
    Ok(None)
}

fn push_number(output: &mut Vec<u8>, number: usize) {
    if number >= 10 {
        push_number(output, number / 10);
    }
    output.push(b'0' + (number % 10) as u8);
}
