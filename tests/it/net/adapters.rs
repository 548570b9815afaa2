//! Libraries for blocking I/O over the sockets, unchanged: std's adapters, serde_json, httparse.

use std::io::{self, BufRead, BufReader, BufWriter, LineWriter, Read, Write};
use std::net::{self, Shutdown};

use serde_json::{Deserializer, Value, json};
use stackio::net::{TcpListener, TcpStream};
use stackio::{Result, spawn, to_thread};

use super::{ANY, pair, pair_with_std, pattern, play, settle};

/// A protocol that knows nothing of this crate: a line in, its length out.
fn lengths(lines: impl BufRead, mut answers: impl Write) -> io::Result<usize> {
    let mut count = 0;
    for line in lines.lines() {
        writeln!(answers, "{}", line?.len())?;
        count += 1;
    }
    answers.flush()?;
    Ok(count)
}

#[test]
fn code_that_is_generic_over_buf_read_and_write_runs_unchanged() {
    play(|| {
        let (near, far) = pair()?;
        let server = spawn(move || Ok(lengths(BufReader::new(&far), BufWriter::new(&far))?));
        (&near).write_all(b"one\nthree\n\n")?;
        near.shutdown(Shutdown::Write)?;
        let mut answers = String::new();
        (&near).read_to_string(&mut answers)?;
        assert_eq!(answers, "3\n5\n0\n");
        assert_eq!(server.join()?, 3);
        Ok(())
    });
}

#[test]
fn a_line_writer_sends_whole_lines() {
    play(|| {
        let (near, mut far) = pair()?;
        let mut lines = LineWriter::new(near);
        write!(lines, "one {}", 1)?;
        writeln!(lines, ", done")?;
        write!(lines, "half")?;
        let mut line = [0; 12];
        far.read_exact(&mut line)?;
        assert_eq!(&line, b"one 1, done\n");
        let reader = spawn(move || Ok(far.read(&mut [0; 8])?));
        settle()?;
        assert!(!reader.done(), "the half line is kept back");
        lines.flush()?;
        assert_eq!(reader.join()?, 4);
        Ok(())
    });
}

#[test]
fn take_chain_and_bytes_stop_where_they_should() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        far.write_all(b"headbodytail")?;
        let mut head = String::new();
        (&near).take(4).read_to_string(&mut head)?;
        let mut body = String::new();
        io::Cursor::new("[").chain((&near).take(4)).chain(&b"]"[..]).read_to_string(&mut body)?;
        let tail = BufReader::new(&near).bytes().take(4).collect::<io::Result<Vec<_>>>()?;
        assert_eq!((&*head, &*body, &*tail), ("head", "[body]", &b"tail"[..]));
        Ok(())
    });
}

#[test]
fn trait_objects_of_streams_can_be_read_and_written() {
    trait Both: Read + Write {}
    impl<T: Read + Write> Both for T {}
    play(|| {
        let (near, mut far) = pair()?;
        let mut any: Box<dyn Both> = Box::new(near);
        any.write_all(b"dyn")?;
        let mut text = [0; 3];
        far.read_exact(&mut text)?;
        far.write_all(&text)?;
        any.read_exact(&mut text)?;
        assert_eq!(&text, b"dyn");
        Ok(())
    });
}

/// Answers each JSON value as it is complete, without waiting for the end of the stream.
fn sum_up(stream: &TcpStream) -> Result<usize> {
    let mut count = 0;
    for request in Deserializer::from_reader(BufReader::new(stream)).into_iter::<Value>() {
        let request = request?;
        let numbers = request["add"].as_array().into_iter().flatten();
        let sum: i64 = numbers.filter_map(Value::as_i64).sum();
        let mut answer = BufWriter::new(stream);
        serde_json::to_writer(&mut answer, &json!({"id": request["id"], "sum": sum}))?;
        answer.flush()?;
        count += 1;
    }
    Ok(count)
}

#[test]
fn serde_json_reads_one_value_after_the_other_from_a_stream() {
    play(|| {
        let (near, far) = pair()?;
        let server = spawn(move || sum_up(&far));
        let mut answers = Deserializer::from_reader(&near).into_iter::<Value>();
        for id in 0..20_i64 {
            let request = json!({"id": id, "add": [id, 1, 2], "padding": "x".repeat(500)});
            let text = request.to_string();
            // In two pieces, the border being somewhere else each time.
            let (first, second) = text.as_bytes().split_at(1 + id as usize * 7);
            (&near).write_all(first)?;
            settle()?;
            (&near).write_all(second)?;
            let answer = answers.next().expect("an answer")?;
            assert_eq!(answer, json!({"id": id, "sum": id + 3}));
        }
        near.shutdown(Shutdown::Write)?;
        assert_eq!(server.join()?, 20);
        assert!(answers.next().is_none());
        Ok(())
    });
}

#[test]
fn serde_json_keeps_an_io_error_one() {
    play(|| {
        let (near, mut far) = pair_with_std()?;
        far.write_all(b"12")?;
        near.set_read_timeout(Some(stackio::millis(10)))?;
        let error = serde_json::from_reader::<_, u32>(&near).unwrap_err();
        assert_eq!(error.io_error_kind(), Some(io::ErrorKind::TimedOut));
        let (near, far) = pair_with_std()?;
        drop(far);
        assert!(serde_json::from_reader::<_, Value>(&near).unwrap_err().is_eof());
        Ok(())
    });
}

/// Requests until the client closes; answers with what was asked for.
fn serve_http(stream: &TcpStream) -> Result<usize> {
    let mut received = Vec::new();
    let mut buffer = [0; 512];
    let mut count = 0;
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(length) = request.parse(&received)? {
            let body =
                format!("{} {}\n", request.method.unwrap_or("-"), request.path.unwrap_or("-"));
            let mut stream = stream;
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
            received.drain(..length);
            count += 1;
            continue;
        }
        let mut stream = stream;
        match stream.read(&mut buffer)? {
            0 => return Ok(count),
            n => received.extend_from_slice(&buffer[..n]),
        }
    }
}

/// Asks with std's blocking sockets, in pieces of that size.
fn ask_http(address: net::SocketAddr, piece: usize) -> io::Result<String> {
    let mut stream = net::TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let requests = "GET /one HTTP/1.1\r\nHost: here\r\n\r\nPUT /two HTTP/1.1\r\nHost: here\r\n\r\n";
    for chunk in requests.as_bytes().chunks(piece) {
        stream.write_all(chunk)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers)?;
    Ok(answers)
}

#[test]
fn an_http_server_with_httparse_answers_a_client_of_stds() {
    play(|| {
        let listener = TcpListener::bind(ANY)?;
        let address = listener.local_addr()?;
        let server = spawn(move || -> Result {
            for stream in listener.incoming() {
                let stream = stream?;
                spawn(move || serve_http(&stream));
            }
            Ok(())
        });
        let clients = [1, 2, 7, 33, 1000]
            .map(|piece| spawn(move || Ok(to_thread(move || ask_http(address, piece))??)));
        for client in clients {
            let expected = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nGET /one\n\
                            HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nPUT /two\n";
            assert_eq!(client.join()?, expected);
        }
        server.cancel();
        Ok(())
    });
}

#[test]
fn a_blocking_server_of_stds_in_a_thread_answers_a_task() {
    play(|| {
        let listener = net::TcpListener::bind(ANY)?;
        let address = listener.local_addr()?;
        let server = spawn(|| {
            Ok(to_thread(move || {
                let (stream, _) = listener.accept()?;
                io::copy(&mut &stream, &mut &stream)
            })??)
        });
        let near = TcpStream::connect(address)?;
        let data = pattern(500_000);
        let (writing, sent) = (near.try_clone()?, data.clone());
        let writer = spawn(move || {
            (&writing).write_all(&sent)?;
            Ok(writing.shutdown(Shutdown::Write)?)
        });
        let mut back = Vec::new();
        (&near).read_to_end(&mut back)?;
        assert!(back == data, "the bytes differ");
        writer.join()?;
        assert_eq!(server.join()?, 500_000);
        Ok(())
    });
}
