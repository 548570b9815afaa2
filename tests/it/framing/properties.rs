//! For any stream in any pieces, the framings do what the slow reference does.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use stackio::ErrorKind;
use stackio::framing::{Chunks, Frames, Framing, Lines, Prefix};

use super::decode;
use super::reference::{self, Outcome};

const PREFIXES: [Prefix; 10] = [
    Prefix::U8,
    Prefix::U16Be,
    Prefix::U16Le,
    Prefix::U24Be,
    Prefix::U24Le,
    Prefix::U32Be,
    Prefix::U32Le,
    Prefix::U64Be,
    Prefix::U64Le,
    Prefix::Varint,
];

/// Bytes out of a few, so that they often mean something.
fn bytes(of: &'static [u8], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(of), 0..=most)
}

fn cut<'a>(stream: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = stream;
    sizes.iter().cycle().map_while(move |&size| {
        let (piece, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        (!piece.is_empty() || !rest.is_empty()).then_some(piece)
    })
}

/// In pieces of these sizes, in single bytes, and whole.
fn check(
    framing: &(impl Framing + Clone + Debug),
    stream: &[u8],
    sizes: &[usize],
    expected: &Outcome,
) -> Result<(), TestCaseError> {
    for sizes in [sizes, &[1], &[stream.len().max(1)]] {
        let (messages, outcome) = decode(&mut framing.clone(), cut(stream, sizes));
        let error = outcome.err().map(|error| error.kind());
        prop_assert_eq!(&(messages, error), expected, "{:?} in {:?}", framing, sizes);
    }
    Ok(())
}

/// What is accepted is read as it was, and nothing else is refused.
fn check_written(
    framing: &(impl Framing + Clone + Debug),
    messages: &[Vec<u8>],
    sizes: &[usize],
    readable: impl Fn(&[u8]) -> bool,
) -> Result<(), TestCaseError> {
    let (mut stream, mut accepted) = (Vec::new(), Vec::new());
    for message in messages {
        let outcome = framing.encode_into(message, &mut stream);
        prop_assert_eq!(outcome.is_ok(), readable(message), "{:?}: {:?}", framing, message);
        if outcome.is_ok() {
            accepted.push(message.clone());
        }
    }
    check(framing, &stream, sizes, &(accepted, None))
}

fn is_one(outcome: &Outcome, message: &[u8]) -> bool {
    outcome.1.is_none() && outcome.0 == [message]
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    vec(1..7usize, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn chunks_do_not_depend_on_the_pieces(
        delimiter in bytes(b"ab", 5).prop_filter("not empty", |bytes| !bytes.is_empty()),
        stream in bytes(b"ab", 60),
        max_size in 0..16usize,
        sizes in sizes(),
    ) {
        let chunks = Chunks::new(&delimiter).unwrap().max_size(max_size);
        let expected = reference::chunks(&delimiter, max_size, &stream);
        check(&chunks, &stream, &sizes, &expected)?;
    }

    #[test]
    fn chunks_are_read_as_they_were_written(
        delimiter in bytes(b"ab", 4).prop_filter("not empty", |bytes| !bytes.is_empty()),
        messages in vec(bytes(b"abc", 8), 0..8),
        sizes in sizes(),
    ) {
        let chunks = Chunks::new(&delimiter).unwrap().max_size(6);
        check_written(&chunks, &messages, &sizes, |chunk| {
            let stream = [chunk, delimiter.as_slice()].concat();
            is_one(&reference::chunks(&delimiter, 6, &stream), chunk)
        })?;
    }

    #[test]
    fn lines_do_not_depend_on_the_pieces(
        stream in bytes(b"ab\r\n", 60),
        max_size in 0..8usize,
        sizes in sizes(),
    ) {
        let lenient = reference::lines(false, max_size, &stream);
        check(&Lines::new().max_size(max_size), &stream, &sizes, &lenient)?;
        check(&Lines::crlf().max_size(max_size), &stream, &sizes, &lenient)?;
        let strict = reference::lines(true, max_size, &stream);
        check(&Lines::strict_crlf().max_size(max_size), &stream, &sizes, &strict)?;
    }

    #[test]
    fn lines_are_read_as_they_were_written(
        messages in vec(bytes(b"aaab\r\n", 6), 0..8),
        sizes in sizes(),
    ) {
        check_written(&Lines::new().max_size(4), &messages, &sizes, |line| {
            is_one(&reference::lines(false, 4, &[line, b"\n"].concat()), line)
        })?;
        for lines in [Lines::crlf().max_size(4), Lines::strict_crlf().max_size(4)] {
            check_written(&lines, &messages, &sizes, |line| {
                is_one(&reference::lines(true, 4, &[line, b"\r\n"].concat()), line)
            })?;
        }
    }

    #[test]
    fn frames_do_not_depend_on_the_pieces(
        prefix in select(&PREFIXES[..]),
        stream in bytes(&[0, 0, 0, 1, 2, 0x80, 0x81, 0xff], 60),
        max_size in prop_oneof![0..200usize, Just(70_000), Just(usize::MAX)],
        sizes in sizes(),
    ) {
        let expected = reference::frames(prefix, max_size, &stream);
        check(&Frames::new(prefix).max_size(max_size), &stream, &sizes, &expected)?;
    }

    #[test]
    fn frames_are_read_as_they_were_written(
        prefix in select(&PREFIXES[..]),
        messages in vec(prop_oneof![bytes(b"a\0", 5), bytes(b"b", 300)], 0..6),
        sizes in sizes(),
    ) {
        let most = if prefix == Prefix::U8 { 255 } else { 290 };
        let frames = Frames::new(prefix).max_size(290);
        check_written(&frames, &messages, &sizes, |frame| frame.len() <= most)?;
    }
}

#[test]
fn a_varint_is_written_in_its_shortest_form_and_read_in_any() {
    let frames = || Frames::new(Prefix::Varint);
    for (size, head) in [(0, &[0][..]), (127, &[127]), (128, &[0x80, 1]), (300, &[0xac, 2])] {
        let frame = vec![7; size];
        assert_eq!(frames().encode(&frame).unwrap(), [head, frame.as_slice()].concat());
    }
    let padded = [0x83, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 1, 2, 3];
    assert_eq!(frames().decode(&mut &padded[..]).unwrap(), Some(&[1, 2, 3][..]));
    let too_long = [&[0x80; 9][..], &[2]].concat();
    let error = frames().max_size(usize::MAX).decode(&mut &too_long[..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
}
