//! The code that the design promises users can write, as they would write it.

use std::io::{self, Read, Write};

use stackio::net::{TcpListener, TcpStream};
use stackio::{Queue, Result, run, secs, sleep, spawn, timeout};

fn count(n: u32) -> Result<u32> {
    sleep(stackio::millis(1))?;
    Ok(n)
}

#[test]
fn two_tasks_are_joined() {
    let sum = run(|| {
        let a = spawn(|| count(1));
        let b = spawn(|| count(2));
        Ok(a.join()? + b.join()?)
    });
    assert_eq!(sum.unwrap(), 3);
}

fn echo(mut s: TcpStream) -> io::Result<()> {
    let mut buf = [0; 4096];
    loop {
        match s.read(&mut buf)? {
            0 => return Ok(()),
            n => s.write_all(&buf[..n])?,
        }
    }
}

fn serve(listener: TcpListener) -> Result {
    loop {
        let (s, _) = listener.accept()?;
        spawn(move || Ok(echo(s)?));
    }
}

#[test]
fn an_echo_server_reads_like_blocking_code() {
    run(|| {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let server = spawn(move || serve(listener));
        let mut client = TcpStream::connect(address)?;
        client.write_all(b"hello")?;
        client.shutdown(std::net::Shutdown::Write)?;
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        assert_eq!(answer, "hello");
        server.cancel();
        Ok(())
    })
    .unwrap();
}
