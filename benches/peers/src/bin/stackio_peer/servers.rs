//! Servers, in three styles.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;

use bench::{Args, BUF, ready};
use stackio::net::{TcpListener, TcpStream};
use stackio::{Protocol, Result, Transport, get_running_loop, spawn};

use crate::messages::Redis;

/// Answers what is whole of the input; gives how many bytes that was.
trait Answer: FnMut(&[u8], &mut Vec<u8>) -> Result<usize> + Clone + 'static {}

impl<F: FnMut(&[u8], &mut Vec<u8>) -> Result<usize> + Clone + 'static> Answer for F {}

pub fn echo(args: &Args) -> Result {
    match args.str("style") {
        "protocol" => by_protocol(args, Echo::default),
        _ => by_sockets(args, |mut stream| {
            let mut buffer = vec![0; BUF];
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    n => stream.write_all(&buffer[..n])?,
                }
            }
        }),
    }
}

pub fn redis(args: &Args) -> Result {
    let store = Rc::new(RefCell::new(Redis::default()));
    serve(args, move |input, output| store.borrow_mut().answer(input, output))
}

pub fn serve(args: &Args, answer: impl FnMut(&[u8], &mut Vec<u8>) -> Result<usize> + Clone + 'static) -> Result {
    match args.str("style") {
        "protocol" => by_protocol(args, move || Requests {
            answer: answer.clone(),
            transport: None,
            input: Vec::new(),
            output: Vec::new(),
        }),
        _ => by_sockets(args, move |stream| answer_all(stream, answer.clone())),
    }
}

fn by_sockets(args: &Args, connection: impl Fn(TcpStream) -> Result + Clone + 'static) -> Result {
    let listener = TcpListener::bind(("0.0.0.0", args.port()))?;
    ready(args.port());
    loop {
        let (stream, _) = listener.accept()?;
        let connection = connection.clone();
        spawn(move || {
            stream.set_nodelay(true)?;
            // A peer that goes away is nobody's error here.
            let _ = connection(stream);
            Ok(())
        });
    }
}

fn answer_all(mut stream: TcpStream, mut answer: impl Answer) -> Result {
    let (mut buffer, mut filled, mut output) = (vec![0; BUF], 0, Vec::new());
    loop {
        match stream.read(&mut buffer[filled..])? {
            0 => return Ok(()),
            n => filled += n,
        }
        let used = answer(&buffer[..filled], &mut output)?;
        stream.write_all(&output)?;
        output.clear();
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
    }
}

fn by_protocol<P: Protocol<R>, R: stackio::CallbackOutput>(
    args: &Args,
    factory: impl FnMut() -> P + 'static,
) -> Result {
    let server = get_running_loop()?.create_server(factory, ("0.0.0.0", args.port()))?;
    ready(args.port());
    server.serve_forever()
}

#[derive(Default)]
struct Echo(Option<Transport>);

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) {
        self.0 = Some(transport.clone());
    }

    fn data_received(&mut self, data: &[u8]) {
        self.0.iter().for_each(|transport| transport.write(data));
    }
}

struct Requests<A> {
    answer: A,
    transport: Option<Transport>,
    /// The beginning of a request.
    input: Vec<u8>,
    output: Vec<u8>,
}

impl<A: Answer> Protocol<Result> for Requests<A> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.transport = Some(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        if self.input.is_empty() {
            let used = (self.answer)(data, &mut self.output)?;
            self.input.extend_from_slice(&data[used..]);
        } else {
            self.input.extend_from_slice(data);
            let used = (self.answer)(&self.input, &mut self.output)?;
            self.input.drain(..used);
        }
        if let Some(transport) = &self.transport {
            transport.write(&self.output);
        }
        self.output.clear();
        Ok(())
    }
}
