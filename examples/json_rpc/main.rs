//! JSON-RPC 2.0 over whatever carries bytes: PEP 3153's example of why protocols and transports
//! are two things. The protocol (`rpc.rs`) is written once, and knows of no carrier.
//!
//! ```text
//!   5  this program                  calls, notifications, batches
//!   4  JSON-RPC protocol             rpc.rs
//!   3  |  HTTP used as a transport   http.rs
//!   2  |  HTTP protocol              http.rs
//!   1  TCP, a Unix socket, the pipes of a process, memory
//! ```
//!
//! The same dialogue goes over each; what is said on the wire is printed once, since it is the
//! same each time, which is checked.
//!
//! Run it: `cargo run --example json_rpc`, or with `http 127.0.0.1:8080` for
//! `curl -d '{"jsonrpc":"2.0","id":1,"method":"sum","params":[1,2]}
//! ' 127.0.0.1:8080`: a message is a line, so its end belongs to it.

mod dialogue;
mod http;
mod rpc;

use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use stackio::{Error, ErrorKind, Future, Result, get_running_loop, run, secs, timeout, to_thread};

use self::dialogue::{Hall, talk};
use self::http::Http;
use self::rpc::JsonRpc;

/// By this argument the program is the process at the other end of two pipes.
const SERVE_PIPES: &str = "serve-pipes";

/// Transport, protocol, application.
fn over_tcp() -> Result<String> {
    let event_loop = get_running_loop()?;
    let server = event_loop.create_server(|| JsonRpc::server(Hall::new()), "127.0.0.1:0")?;
    let (client, remote) = JsonRpc::client();
    let (transport, _) = event_loop.create_connection(|| client, server.local_addrs()[0])?;
    let transcript = talk(&remote)?;
    transport.close();
    server.close();
    server.wait_closed()?;
    Ok(transcript)
}

/// PEP 3153's five layers.
fn over_http() -> Result<String> {
    let event_loop = get_running_loop()?;
    let serve = || Http::server(JsonRpc::server(Hall::new()));
    let server = event_loop.create_server(serve, "127.0.0.1:0")?;
    let (client, remote) = JsonRpc::client();
    let client = Http::client(client);
    let (transport, _) = event_loop.create_connection(|| client, server.local_addrs()[0])?;
    let transcript = talk(&remote)?;
    transport.close();
    server.close();
    server.wait_closed()?;
    Ok(transcript)
}

fn over_a_unix_socket() -> Result<String> {
    let event_loop = get_running_loop()?;
    let path = std::env::temp_dir().join(format!("json-rpc-{}", std::process::id()));
    let server = event_loop.create_unix_server(|| JsonRpc::server(Hall::new()), &path)?;
    let (client, remote) = JsonRpc::client();
    let (transport, _) = event_loop.create_unix_connection(|| client, &path)?;
    let transcript = talk(&remote)?;
    transport.close();
    server.close();
    server.wait_closed()?;
    Ok(transcript)
}

fn over_pipes() -> Result<String> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg(SERVE_PIPES)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(io::Error::other("the process has no pipes").into());
    };
    let (client, remote) = JsonRpc::client();
    let (transport, _) = get_running_loop()?.connect_pipes(|| client, stdout, stdin)?;
    let transcript = talk(&remote)?;
    // Its standard input ends, and so does the process.
    transport.close();
    let status = to_thread(move || process.wait())??;
    assert!(status.success(), "{status}");
    Ok(transcript)
}

/// The process at the other end.
fn serve_pipes() -> Result {
    let reader = io::stdin().as_fd().try_clone_to_owned()?;
    let writer = io::stdout().as_fd().try_clone_to_owned()?;
    let ended = Future::new();
    let server = JsonRpc::server(Hall::new()).tell_end(ended.clone());
    get_running_loop()?.connect_pipes(|| server, reader, writer)?;
    ended.join()
}

/// Every byte by itself.
fn over_memory() -> Result<String> {
    let (client, remote) = JsonRpc::client();
    let event_loop = get_running_loop()?;
    let ((transport, _), _) =
        event_loop.create_pair(|| client, || JsonRpc::server(Hall::new()), 1)?;
    let transcript = talk(&remote)?;
    transport.close();
    Ok(transcript)
}

/// A name, and a dialogue over that.
type Carrier = (&'static str, fn() -> Result<String>);

const CARRIERS: [Carrier; 5] = [
    ("TCP", over_tcp),
    ("HTTP over TCP", over_http),
    ("a Unix socket", over_a_unix_socket),
    ("the pipes of a process", over_pipes),
    ("memory, one byte at a time", over_memory),
];

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run(compare),
        [SERVE_PIPES] => run(serve_pipes),
        ["http", address] => {
            let address = address.to_owned();
            run(move || serve_http(&address))
        }
        _ => Err(Error::with_message(ErrorKind::Value, "usage: json_rpc [http ADDRESS:PORT]")),
    }
}

/// For curl and others.
fn serve_http(address: &str) -> Result {
    let serve = || Http::server(JsonRpc::server(Hall::new()));
    get_running_loop()?.create_server(serve, address)?.serve_forever()
}

fn compare() -> Result {
    let mut said = String::new();
    for (name, dialogue) in CARRIERS {
        let transcript = timeout(secs(10), |_| dialogue())?;
        if said.is_empty() {
            println!("over {name}:\n\n{transcript}");
            said = transcript;
        } else {
            assert_eq!(transcript, said, "over {name}");
            println!("over {name}: the same");
        }
    }
    Ok(())
}
