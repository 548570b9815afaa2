//! Servers, for a load generator beside them.

use std::io::{self, Read, Write};

use stackio::net::{TcpListener, TcpStream};
use stackio::{Result, spawn};

use crate::report::Args;

const BUFFER: usize = 16 * 1024;
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

fn serve(args: &Args, connection: fn(TcpStream) -> io::Result<()>) -> Result {
    let port = u16::try_from(args.get("port", 7700))?;
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("{{\"ready\":true,\"port\":{port}}}");
    loop {
        let (stream, _) = listener.accept()?;
        spawn(move || {
            stream.set_nodelay(true)?;
            // A peer that goes away is nobody's error here.
            let _ = connection(stream);
            Ok(())
        });
    }
}

pub fn echo(args: &Args) -> Result {
    serve(args, |mut stream| {
        let mut buffer = vec![0; BUFFER];
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                n => stream.write_all(&buffer[..n])?,
            }
        }
    })
}

/// Keep-alive, and nothing but `GET /`.
pub fn http(args: &Args) -> Result {
    serve(args, |mut stream| {
        let mut buffer = vec![0; BUFFER];
        let mut filled = 0;
        loop {
            match stream.read(&mut buffer[filled..])? {
                0 => return Ok(()),
                n => filled += n,
            }
            let mut answers = Vec::new();
            let mut begin = 0;
            while let Some(end) = find(&buffer[begin..filled], b"\r\n\r\n") {
                begin += end + 4;
                answers.extend_from_slice(ANSWER);
            }
            stream.write_all(&answers)?;
            buffer.copy_within(begin..filled, 0);
            filled -= begin;
        }
    })
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
