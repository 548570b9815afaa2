//! Streams: what is read does not depend on how it was fed; limits, ends, errors.

mod coming;
mod ends;
mod flow;
mod opening;
mod peers;
#[cfg(feature = "tls")]
mod secure;
mod sequential;
mod serving;
mod writing;

use std::cell::RefCell;
use std::rc::Rc;

use proptest::prelude::*;
use stackio::{
    ErrorKind, ExceptionContext, IncompleteRead, LimitOverrun, Result, Runner, StreamReader, Task,
    VirtualClock, get_running_loop, spawn, yield_now,
};

fn run<T: 'static>(main: impl FnOnce() -> Result<T> + 'static) -> Result<T> {
    Runner::builder().virtual_clock(&VirtualClock::new()).build()?.run(main)
}

/// Lets everything happen that needs no time.
fn rest() -> Result {
    (0..200).try_for_each(|_| yield_now())
}

/// What the exception handler of the running loop is told from now on.
fn reported() -> Result<Rc<RefCell<Vec<ExceptionContext>>>> {
    let reports: Rc<RefCell<Vec<ExceptionContext>>> = Rc::default();
    let kept = reports.clone();
    get_running_loop()?.set_exception_handler(move |context| {
        kept.borrow_mut().push(context.clone());
    });
    Ok(reports)
}

/// A reader that has all it will ever have.
fn fed(limit: usize, data: &[u8]) -> StreamReader {
    let reader = StreamReader::new(limit).unwrap();
    reader.feed_data(data).unwrap();
    reader.feed_eof();
    reader
}

/// A task that reads to the end by `read`, and what it got.
fn reads(
    reader: &Rc<StreamReader>,
    read: impl Fn(&StreamReader) -> Result<Vec<u8>> + 'static,
) -> Task<Vec<Vec<u8>>> {
    let reader = reader.clone();
    spawn(move || {
        let mut all = Vec::new();
        while !reader.at_eof() {
            all.push(read(&reader)?);
        }
        Ok(all)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_pieces_give_the_same_lines(
        data in "[ab\r\n]{0,40}",
        sizes in prop::collection::vec(1..6usize, 1..40),
    ) {
        let expected: Vec<Vec<u8>> =
            data.as_bytes().split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
        let lines = run(move || {
            let reader = Rc::new(StreamReader::new(64)?);
            let task = reads(&reader, StreamReader::readline);
            let mut rest = data.as_bytes();
            for size in sizes.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(size.min(rest.len()));
                reader.feed_data(piece)?;
                rest = after;
                yield_now()?;
            }
            reader.feed_eof();
            let mut lines = task.join()?;
            // A reader that waits when the stream ends gets a line with nothing in it.
            if lines.last().is_some_and(Vec::is_empty) {
                lines.pop();
            }
            Ok(lines)
        });
        prop_assert_eq!(lines.unwrap(), expected);
    }
}

#[test]
fn the_separator_that_ends_first_is_the_one() {
    let either: [&[u8]; 3] = [b"ab", b"b", b"cde"];
    let reader = fed(64, b"xabyb-cde");
    for expected in [&b"xab"[..], b"yb", b"-cde"] {
        assert_eq!(reader.readuntil_any(&either).unwrap(), expected);
    }
    for none in [&[][..], &[&b""[..]], &[&b"a"[..], b""]] {
        assert_eq!(reader.readuntil_any(none).unwrap_err().kind(), ErrorKind::Value);
    }
}

#[test]
fn a_separator_in_two_pieces_is_found() {
    let read = run(|| {
        let reader = Rc::new(StreamReader::default());
        let task = reads(&reader, |reader| reader.readuntil(b"SEP"));
        for piece in [&b"text S"[..], b"SE", b"P"] {
            yield_now()?;
            reader.feed_data(piece)?;
        }
        reader.feed_eof();
        task.join()
    });
    assert_eq!(read.unwrap(), [b"text SSEP"]);
}

#[test]
fn what_is_over_the_limit_stays_for_readuntil_and_goes_for_readline() {
    let consumed = |reader: &StreamReader| {
        let error = reader.readuntil(b"\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitOverrun);
        error.downcast_ref::<LimitOverrun>().unwrap().consumed
    };
    let reader = fed(4, b"abcd\nabcde\nab\n");
    assert_eq!(reader.readline().unwrap(), b"abcd\n");
    assert_eq!((consumed(&reader), consumed(&reader)), (5, 5));
    assert_eq!(reader.readline().unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(reader.readline().unwrap(), b"ab\n");

    let endless = fed(4, b"abcdefgh");
    assert_eq!(consumed(&endless), 8);
    assert_eq!(endless.readline().unwrap_err().kind(), ErrorKind::Value);
    assert!(endless.at_eof());
}

#[test]
fn a_stream_that_ends_too_early_says_what_there_was() {
    let partial = |outcome: Result<Vec<u8>>| {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IncompleteRead);
        error.downcast_ref::<IncompleteRead>().unwrap().clone()
    };
    let reader = fed(8, b"abc");
    let incomplete = partial(reader.readexactly(5));
    assert_eq!((&incomplete.partial[..], incomplete.expected), (&b"abc"[..], Some(5)));
    assert_eq!(incomplete.to_string(), "the stream ended after 3 bytes of 5");
    assert!(reader.at_eof());
    let incomplete = partial(fed(8, b"ab").readuntil(b"\n"));
    assert_eq!((&incomplete.partial[..], incomplete.expected), (&b"ab"[..], None));
    assert_eq!(reader.read(1).unwrap(), b"");
    assert_eq!(reader.feed_data(b"late").unwrap_err().kind(), ErrorKind::Runtime);
}

#[test]
fn an_error_comes_to_the_one_who_waits_and_to_all_later_ones() {
    run(|| {
        let reader = Rc::new(StreamReader::default());
        let waits = reads(&reader, |reader| reader.read(1));
        yield_now()?;
        reader.set_exception(ErrorKind::Timeout);
        let error = waits.join().unwrap_err();
        assert!(error.ptr_eq(&reader.exception().unwrap()));
        reader.feed_data(b"too late")?;
        for outcome in [reader.read(0), reader.readexactly(0), reader.readline()] {
            assert!(outcome.unwrap_err().ptr_eq(&error));
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_second_one_who_would_wait_is_refused_and_a_cancelled_one_makes_way() {
    run(|| {
        let reader = Rc::new(StreamReader::default());
        let first = reads(&reader, |reader| reader.read(1));
        yield_now()?;
        assert_eq!(reader.readline().unwrap_err().kind(), ErrorKind::Runtime);
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        let second = reads(&reader, StreamReader::read_to_end);
        yield_now()?;
        reader.feed_data(b"ab")?;
        yield_now()?;
        reader.feed_data(b"c")?;
        reader.feed_eof();
        assert_eq!(second.join()?, [b"abc"]);
        Ok(())
    })
    .unwrap();
    assert_eq!(StreamReader::default().read(1).unwrap_err().kind(), ErrorKind::Runtime);
}
