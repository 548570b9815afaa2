//! Framings: what is read does not depend on the pieces; bounds, ends, errors.

mod properties;
mod reference;

use stackio::framing::{Chunks, Frames, Framing, Lines, Prefix};
use stackio::{Error, ErrorKind, IncompleteRead, Result};

/// All messages that `framing` has in these pieces, with nothing at all after each.
fn decode<'a>(
    framing: &mut dyn Framing,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Result) {
    let mut messages = Vec::new();
    for mut piece in pieces.into_iter().flat_map(|piece| [piece, b""]) {
        loop {
            match framing.decode(&mut piece) {
                Ok(Some(message)) => messages.push(message.to_vec()),
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
        assert_eq!(piece, b"", "all of it has been taken");
    }
    (messages, framing.finish())
}

fn bytes(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.chunks(1)
}

/// What is wrong with a byte after which there was nothing wrong yet.
fn error_at(framing: &mut dyn Framing, position: usize, data: &[u8]) -> Error {
    for (i, mut byte) in bytes(data).enumerate() {
        match framing.decode(&mut byte) {
            Ok(message) => assert!(message.is_none(), "a message at {i}"),
            Err(error) => {
                assert_eq!(i, position, "{error}");
                return error;
            }
        }
    }
    panic!("no error in {data:?}");
}

fn incomplete(framing: &mut dyn Framing, data: &[u8]) -> IncompleteRead {
    let (_, outcome) = decode(framing, [data]);
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IncompleteRead);
    error.downcast_ref::<IncompleteRead>().unwrap().clone()
}

#[test]
fn a_delimiter_that_overlaps_itself_ends_where_it_is_first_complete() {
    let (messages, outcome) = decode(&mut Chunks::new(b"aab").unwrap(), bytes(b"aaabaabxaaaab"));
    outcome.unwrap();
    assert_eq!(messages, [&b"a"[..], b"", b"xaa"]);
    let (messages, outcome) = decode(&mut Chunks::new(b"aa").unwrap(), [&b"aa"[..], b"a", b"a"]);
    outcome.unwrap();
    assert_eq!(messages, [b"", b""], "the second `a` has been used up");
}

#[test]
fn an_end_that_would_come_early_is_not_written() {
    let refused = |framing: &dyn Framing, message: &[u8]| {
        let mut out = b"before".to_vec();
        let error = framing.encode_into(message, &mut out).unwrap_err();
        assert_eq!(out, b"before");
        error.kind()
    };
    // The `a` would be read as a part of the delimiter.
    assert_eq!(refused(&Chunks::new(b"aa").unwrap(), b"xa"), ErrorKind::Value);
    assert_eq!(refused(&Chunks::new(b"aa").unwrap(), b"aax"), ErrorKind::Value);
    assert_eq!(refused(&Chunks::new(b";").unwrap().max_size(2), b"abc"), ErrorKind::LimitOverrun);
    assert_eq!(refused(&Lines::new(), b"one\ntwo"), ErrorKind::Value);
    assert_eq!(refused(&Lines::new(), b"one\r"), ErrorKind::Value);
    assert_eq!(refused(&Lines::crlf(), b"one\rtwo"), ErrorKind::Value);
    assert_eq!(refused(&Lines::strict_crlf(), b"one\ntwo"), ErrorKind::Value);
    assert_eq!(refused(&Lines::new().max_size(2), b"abc"), ErrorKind::LimitOverrun);
    assert_eq!(refused(&Frames::new(Prefix::U8), &[0; 256]), ErrorKind::LimitOverrun);
    assert_eq!(refused(&Frames::new(Prefix::U32Be).max_size(2), b"abc"), ErrorKind::LimitOverrun);
    assert_eq!(Lines::new().encode(b"one\rtwo").unwrap(), b"one\rtwo\n");
}

#[test]
fn the_first_byte_too_many_is_the_error() {
    let chunks = || Chunks::new(b"<>").unwrap().max_size(3);
    assert_eq!(error_at(&mut chunks(), 3, b"abcd").kind(), ErrorKind::LimitOverrun);
    // The `<` may be the end of a chunk of three, until it is not.
    assert_eq!(error_at(&mut chunks(), 4, b"abc<x").kind(), ErrorKind::LimitOverrun);
    assert_eq!(error_at(&mut Lines::new().max_size(3), 3, b"abcd").kind(), ErrorKind::LimitOverrun);
    let error = error_at(&mut Lines::new().max_size(3), 4, b"abc\rx");
    assert_eq!(error.kind(), ErrorKind::LimitOverrun);
    for (mut framing, data) in [
        (Box::new(chunks()) as Box<dyn Framing>, &b"abc<>"[..]),
        (Box::new(Lines::new().max_size(3)), b"abc\r\n"),
        (Box::new(Lines::strict_crlf().max_size(3)), b"abc\r\n"),
        (Box::new(Frames::new(Prefix::U16Le).max_size(3)), b"\x03\0abc"),
    ] {
        let (messages, outcome) = decode(framing.as_mut(), [data]);
        outcome.unwrap();
        assert_eq!(messages, [b"abc"]);
    }
}

#[test]
fn a_length_that_is_too_much_is_refused_before_its_bytes_come() {
    let error = |prefix, position, data: &[u8]| {
        error_at(&mut Frames::new(prefix).max_size(300), position, data).kind()
    };
    assert_eq!(error(Prefix::U16Be, 1, &[1, 45, 0]), ErrorKind::LimitOverrun);
    assert_eq!(error(Prefix::U64Be, 7, &[0xff; 9]), ErrorKind::LimitOverrun);
    assert_eq!(error(Prefix::U64Le, 7, &[0xff; 9]), ErrorKind::LimitOverrun);
    // 0xff, 0x7f is 16383; that it goes on makes it no less.
    assert_eq!(error(Prefix::Varint, 1, &[0xff, 0xff, 0]), ErrorKind::LimitOverrun);
    // Without end, and without saying anything: bits 0, as many as there may be.
    assert_eq!(error(Prefix::Varint, 9, &[0x80; 12]), ErrorKind::Value);
    let most = &mut Frames::new(Prefix::U64Be).max_size(usize::MAX);
    assert!(most.decode(&mut &[0xff; 20][..]).unwrap().is_none());
}

#[test]
fn half_an_end_of_a_line_is_an_error_where_that_is_strict() {
    for (position, data) in [(3, &b"one\ntwo\r\n"[..]), (4, b"one\rtwo\r\n"), (1, b"\r\r\n")] {
        assert_eq!(error_at(&mut Lines::strict_crlf(), position, data).kind(), ErrorKind::Value);
        let (_, outcome) = decode(&mut Lines::crlf(), [data]);
        outcome.unwrap();
    }
    assert_eq!(incomplete(&mut Lines::strict_crlf(), b"one\r").partial, b"one\r");
}

#[test]
fn a_stream_that_ends_within_a_message_says_what_there_was() {
    let partial = |framing: &mut dyn Framing, data: &[u8]| {
        let IncompleteRead { partial, expected } = incomplete(framing, data);
        (String::from_utf8(partial).unwrap(), expected)
    };
    assert_eq!(partial(&mut Chunks::new(b"--").unwrap(), b"a--b-"), ("b-".into(), None));
    assert_eq!(partial(&mut Lines::new(), b"a\nb"), ("b".into(), None));
    assert_eq!(partial(&mut Frames::new(Prefix::U8), b"\x03ab"), ("ab".into(), Some(3)));
    assert_eq!(partial(&mut Frames::new(Prefix::U8), b"\x03"), (String::new(), Some(3)));
    assert_eq!(partial(&mut Frames::new(Prefix::U32Be), b"\0\0"), ("\0\0".into(), Some(4)));
    let longer = incomplete(&mut Frames::new(Prefix::Varint), b"\x80");
    assert_eq!((&longer.partial[..], longer.expected), (&b"\x80"[..], Some(2)));
}

#[test]
fn after_an_error_the_same_error_comes_for_ever() {
    let mut failed: [Box<dyn Framing>; 3] = [
        Box::new(Chunks::new(b"--").unwrap().max_size(1)),
        Box::new(Lines::strict_crlf().max_size(1)),
        Box::new(Frames::new(Prefix::U8).max_size(1)),
    ];
    for framing in &mut failed {
        let error = framing.decode(&mut &b"\x02a--\r\n"[..]).unwrap_err();
        assert!(framing.decode(&mut &b"--\r\n"[..]).unwrap_err().ptr_eq(&error));
        assert!(framing.finish().unwrap_err().ptr_eq(&error));
    }
    let mut ended = Lines::new();
    ended.decode(&mut &b"one"[..]).unwrap();
    let error = ended.finish().unwrap_err();
    assert!(ended.decode(&mut &b"\n"[..]).unwrap_err().ptr_eq(&error));
}

#[test]
fn a_message_within_a_piece_is_not_copied() {
    let data: &[u8] = b"one\r\n\x03two--";
    let given = |framing: &mut dyn Framing, mut rest: &[u8]| {
        framing.decode(&mut rest).unwrap().unwrap().as_ptr_range()
    };
    assert_eq!(given(&mut Lines::new(), data), data[..3].as_ptr_range());
    assert_eq!(given(&mut Frames::new(Prefix::U8), &data[5..]), data[6..9].as_ptr_range());
    assert_eq!(given(&mut Chunks::new(b"--").unwrap(), data), data[..9].as_ptr_range());
}

#[test]
fn what_comes_after_a_message_is_left_to_the_caller() {
    let mut lines = Lines::crlf();
    let mut data: &[u8] = b"TTLS\r\n\x16\x03\x01";
    lines.decode(&mut &b"STAR"[..]).unwrap();
    assert_eq!(lines.decode(&mut data).unwrap(), Some(&b"STARTTLS"[..]));
    assert_eq!(data, b"\x16\x03\x01");
    lines.finish().unwrap();
}

/// A search that went back over all it has would not come to an end here.
#[test]
fn a_large_message_in_single_bytes_takes_linear_time() {
    let size = 2_000_000;
    let body = vec![b'a'; size];
    let delimiter = [&[b'a'; 40][..], b"b"].concat();
    let mut framings: [Box<dyn Framing>; 3] = [
        Box::new(Chunks::new(&delimiter).unwrap().max_size(size)),
        Box::new(Lines::strict_crlf().max_size(size)),
        Box::new(Frames::new(Prefix::U32Be)),
    ];
    let streams = [
        [&body[..], &delimiter].concat(),
        framings[1].encode(&body).unwrap(),
        framings[2].encode(&body).unwrap(),
    ];
    for (framing, stream) in framings.iter_mut().zip(&streams) {
        let (messages, outcome) = decode(framing.as_mut(), bytes(stream));
        outcome.unwrap();
        assert!(messages == [body.as_slice()]);
    }
}
