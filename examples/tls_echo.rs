//! TLS in three shapes, in one program: an echo server of protocols, and two clients.
//!
//! The server is a [`Protocol`] that knows nothing of TLS; it gets plaintext, and what it writes
//! is encrypted. The first client is sequential code over a `TlsStream`, which reads and writes
//! like any stream of the standard library. The second expects somebody else at that address, so it
//! never gets as far as to speak. The certificate is made on the spot.
//!
//! Run it: `cargo run --example tls_echo`

use std::io::{BufRead, Write};
use std::net::SocketAddr;

use stackio::net::TcpStream;
use stackio::tls::{ClientConfig, Identity, Roots, ServerConfig, TlsStream};
use stackio::{Protocol, Result, ServerBuilder, Transport, run};

#[derive(Default)]
struct Echo {
    transport: Option<Transport>,
}

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) {
        self.transport = Some(transport.clone());
    }

    fn data_received(&mut self, data: &[u8]) {
        if let Some(transport) = &self.transport {
            transport.write(data);
        }
    }
}

fn talk(config: &ClientConfig, name: &str, address: SocketAddr) -> Result {
    let stream = TcpStream::connect(address)?;
    let mut stream = TlsStream::connect(config, name, stream)?;
    let info = stream.info();
    let how = if info.resumed() { "a session taken up again" } else { "a new session" };
    println!("connected to {name} by {}: {how}", info.version());
    for word in ["hello", "goodbye"] {
        writeln!(stream, "{word}")?;
        let mut reply = String::new();
        stream.read_line(&mut reply)?;
        println!("echo: {}", reply.trim_end());
    }
    Ok(stream.close()?)
}

fn main() -> Result {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let server = ServerConfig::new(Identity::from_pem(&certificate, key)?)?;
    let client = ClientConfig::builder().roots(Roots::from_pem(&certificate)?).build()?;

    run(move || {
        let server =
            ServerBuilder::new().tls(&server).create_server(Echo::default, "127.0.0.1:0")?;
        let address = server.local_addrs()[0];
        talk(&client, "localhost", address)?;
        talk(&client, "localhost", address)?;
        match talk(&client, "example.org", address) {
            Ok(()) => println!("it was taken for example.org"),
            Err(error) => println!("refused: {error}"),
        }
        server.close();
        server.wait_closed()
    })
}
