//! Servers that answer requests, in three styles.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::rc::Rc;

use bench::{Args, BUF, ready};
use stackio::net::{TcpListener, TcpStream};
use stackio::{
    Protocol, Result, StreamReader, StreamWriter, Transport, get_running_loop, spawn, start_server,
};

use crate::Style;

/// Answers what is whole of the input; gives how many bytes that was.
pub trait Answer: FnMut(&[u8], &mut Vec<u8>) -> Result<usize> + 'static {}

impl<F: FnMut(&[u8], &mut Vec<u8>) -> Result<usize> + 'static> Answer for F {}

pub fn serve(args: &Args, answer: impl Answer) -> Result {
    let answer = Rc::new(RefCell::new(answer));
    let address = ("0.0.0.0", args.port());
    let server = match Style::of(args) {
        Style::Net => return by_sockets(args, &answer),
        Style::Protocol => {
            let event_loop = get_running_loop()?;
            event_loop.create_server(move || Requests::new(answer.clone()), address)?
        }
        Style::Streams => {
            start_server(move |reader, writer| by_streams(&reader, &writer, &answer), address)?
        }
    };
    ready(args.port());
    server.serve_forever()
}

/// What has come of requests, and what is to be sent.
struct Conversation<A> {
    answer: Rc<RefCell<A>>,
    /// The beginning of a request that is not whole.
    input: Vec<u8>,
    output: Vec<u8>,
}

impl<A: Answer> Conversation<A> {
    fn new(answer: Rc<RefCell<A>>) -> Conversation<A> {
        Conversation { answer, input: Vec::new(), output: Vec::new() }
    }

    /// The answers to what is whole with this.
    fn hear(&mut self, data: &[u8]) -> Result<&[u8]> {
        self.output.clear();
        let mut answer = self.answer.borrow_mut();
        if self.input.is_empty() {
            let used = answer(data, &mut self.output)?;
            self.input.extend_from_slice(&data[used..]);
        } else {
            self.input.extend_from_slice(data);
            let used = answer(&self.input, &mut self.output)?;
            self.input.drain(..used);
        }
        Ok(&self.output)
    }
}

fn by_sockets<A: Answer>(args: &Args, answer: &Rc<RefCell<A>>) -> Result {
    let listener = TcpListener::bind(("0.0.0.0", args.port()))?;
    ready(args.port());
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let conversation = Conversation::new(answer.clone());
        spawn(move || {
            // A peer that goes away is nobody's error here.
            let _ = converse(stream, conversation);
            Ok(())
        });
    }
}

fn converse<A: Answer>(mut stream: TcpStream, mut conversation: Conversation<A>) -> Result {
    let mut buffer = vec![0; BUF];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            n => stream.write_all(conversation.hear(&buffer[..n])?)?,
        }
    }
}

struct Requests<A> {
    transport: Option<Transport>,
    conversation: Conversation<A>,
}

impl<A: Answer> Requests<A> {
    fn new(answer: Rc<RefCell<A>>) -> Requests<A> {
        Requests { transport: None, conversation: Conversation::new(answer) }
    }
}

impl<A: Answer> Protocol<Result> for Requests<A> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.transport = Some(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, data: &[u8]) -> Result {
        let answers = self.conversation.hear(data)?;
        if let Some(transport) = &self.transport {
            transport.write(answers);
        }
        Ok(())
    }
}

fn by_streams<A: Answer>(
    reader: &StreamReader,
    writer: &StreamWriter,
    answer: &Rc<RefCell<A>>,
) -> Result {
    let mut conversation = Conversation::new(answer.clone());
    loop {
        let data = reader.read(BUF)?;
        if data.is_empty() {
            writer.close();
            return Ok(());
        }
        writer.write(conversation.hear(&data)?);
        writer.drain()?;
    }
}
