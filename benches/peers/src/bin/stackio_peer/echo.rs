//! Sends back what comes, in three styles.

use std::io::{BufRead, Read, Write};

use bench::{Args, BUF, ready};
use stackio::net::{TcpListener, TcpStream};
use stackio::{
    Protocol, Result, StreamReader, StreamWriter, Transport, get_running_loop, spawn, start_server,
};

use crate::Style;

pub fn serve(args: &Args) -> Result {
    let address = ("0.0.0.0", args.port());
    let server = match Style::of(args) {
        Style::Net => return by_sockets(args),
        Style::Protocol => get_running_loop()?.create_server(Echo::default, address)?,
        Style::Streams => start_server(by_streams, address)?,
    };
    ready(args.port());
    server.serve_forever()
}

fn by_sockets(args: &Args) -> Result {
    let listener = TcpListener::bind(("0.0.0.0", args.port()))?;
    ready(args.port());
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        spawn(move || {
            // A peer that goes away is nobody's error here.
            let _ = echo(stream);
            Ok(())
        });
    }
}

fn echo(mut stream: TcpStream) -> Result {
    let mut buffer = vec![0; BUF];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(&buffer[..n])?,
        }
    }
}

#[derive(Default)]
struct Echo(Option<Transport>);

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) {
        self.0 = Some(transport.clone());
    }

    fn data_received(&mut self, data: &[u8]) {
        if let Some(transport) = &self.0 {
            transport.write(data);
        }
    }
}

fn by_streams(mut reader: StreamReader, writer: StreamWriter) -> Result {
    loop {
        let data = reader.fill_buf()?;
        if data.is_empty() {
            writer.close();
            return Ok(());
        }
        writer.write(data);
        let length = data.len();
        reader.consume(length);
        writer.drain()?;
    }
}
