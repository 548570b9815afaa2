//! Requests in bytes, and their answers: the same for each style of server.

use std::collections::HashMap;

use bench::HTTP_REPLY;
use stackio::{ErrorKind, Result};

/// Answers all requests that are whole; gives how many bytes they are.
pub fn http(input: &[u8], output: &mut Vec<u8>) -> Result<usize> {
    let mut begin = 0;
    while let Some(end) = find(&input[begin..], b"\r\n\r\n") {
        begin += end + 4;
        output.extend_from_slice(HTTP_REPLY);
    }
    Ok(begin)
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// A server of `GET` and `SET`, by RESP.
#[derive(Default)]
pub struct Redis(HashMap<Vec<u8>, Vec<u8>>);

impl Redis {
    /// As [`http`].
    pub fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> Result<usize> {
        let mut begin = 0;
        while let Some((words, length)) = command(&input[begin..])? {
            begin += length;
            match words[..words.len().min(3)] {
                [name, key] if name.eq_ignore_ascii_case(b"GET") => match self.0.get(key) {
                    Some(value) => {
                        output.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
                        output.extend_from_slice(value);
                        output.extend_from_slice(b"\r\n");
                    }
                    None => output.extend_from_slice(b"$-1\r\n"),
                },
                [name, key, value] if name.eq_ignore_ascii_case(b"SET") => {
                    match self.0.get_mut(key) {
                        Some(place) => {
                            place.clear();
                            place.extend_from_slice(value);
                        }
                        None => _ = self.0.insert(key.to_vec(), value.to_vec()),
                    }
                    output.extend_from_slice(b"+OK\r\n");
                }
                // redis-benchmark asks for the configuration first.
                [name, ..] if name.eq_ignore_ascii_case(b"CONFIG") => {
                    output.extend_from_slice(b"*0\r\n");
                }
                _ => output.extend_from_slice(b"-ERR unknown command\r\n"),
            }
        }
        Ok(begin)
    }
}

/// The words of the first command and its length; `None` if it is not whole.
fn command(input: &[u8]) -> Result<Option<(Vec<&[u8]>, usize)>> {
    let Some((count, mut at)) = number(input, b'*')? else { return Ok(None) };
    let mut words = Vec::with_capacity(count.min(8));
    for _ in 0..count {
        let Some((length, begin)) = number(&input[at..], b'$')? else { return Ok(None) };
        let (begin, end) = (at + begin, at + begin + length);
        if input.len() < end + 2 {
            return Ok(None);
        }
        words.push(&input[begin..end]);
        at = end + 2;
    }
    Ok(Some((words, at)))
}

/// The number on a line that begins with that mark, and the line's length.
fn number(input: &[u8], mark: u8) -> Result<Option<(usize, usize)>> {
    match input.first() {
        None => return Ok(None),
        Some(first) if *first == mark => {}
        Some(_) => return Err(stackio::Error::new(ErrorKind::Value, "not RESP")),
    }
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    Ok(Some((std::str::from_utf8(&input[1..end])?.trim_end().parse()?, end + 1)))
}
