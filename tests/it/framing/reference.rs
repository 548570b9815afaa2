//! The framings as one would define them: a byte at a time, looking at all there is, slowly.

use stackio::ErrorKind;
use stackio::framing::Prefix;

/// The messages of a stream, and what ends it if it is no good end.
pub type Outcome = (Vec<Vec<u8>>, Option<ErrorKind>);

/// What the bytes of a message that have come so far are.
enum Seen {
    /// A message of so many bytes at least.
    More(usize),
    /// A message, whole.
    Message(Vec<u8>),
    /// Nothing that could ever become one.
    Bad,
}

/// Reads `stream` by asking `look` about each beginning of a message.
fn read(stream: &[u8], max_size: usize, look: impl Fn(&[u8]) -> Seen) -> Outcome {
    let (mut messages, mut seen) = (Vec::new(), Vec::new());
    for &byte in stream {
        seen.push(byte);
        match look(&seen) {
            Seen::Bad => return (messages, Some(ErrorKind::Value)),
            Seen::More(size) if size > max_size => {
                return (messages, Some(ErrorKind::LimitOverrun));
            }
            Seen::More(_) => {}
            Seen::Message(message) if message.len() > max_size => {
                return (messages, Some(ErrorKind::LimitOverrun));
            }
            Seen::Message(message) => {
                messages.push(message);
                seen.clear();
            }
        }
    }
    (messages, (!seen.is_empty()).then_some(ErrorKind::IncompleteRead))
}

pub fn chunks(delimiter: &[u8], max_size: usize, stream: &[u8]) -> Outcome {
    read(stream, max_size, |seen| {
        if let Some(chunk) = seen.strip_suffix(delimiter) {
            return Seen::Message(chunk.to_vec());
        }
        let begun = (0..delimiter.len()).rev().find(|&n| seen.ends_with(&delimiter[..n]));
        Seen::More(seen.len() - begun.expect("no bytes are the end of any"))
    })
}

pub fn lines(strict: bool, max_size: usize, stream: &[u8]) -> Outcome {
    read(stream, max_size, |seen| match seen {
        [line @ .., b'\r', b'\n'] => Seen::Message(line.to_vec()),
        [.., b'\n'] if strict => Seen::Bad,
        [line @ .., b'\n'] => Seen::Message(line.to_vec()),
        [.., b'\r', _] if strict => Seen::Bad,
        [line @ .., b'\r'] => Seen::More(line.len()),
        line => Seen::More(line.len()),
    })
}

pub fn frames(prefix: Prefix, max_size: usize, stream: &[u8]) -> Outcome {
    let number = |bytes: &mut dyn Iterator<Item = &u8>| {
        bytes.fold(0, |number: u128, &byte| number << 8 | u128::from(byte))
    };
    read(stream, max_size, |seen| {
        let width = match prefix {
            Prefix::U8 => 1,
            Prefix::U16Be | Prefix::U16Le => 2,
            Prefix::U24Be | Prefix::U24Le => 3,
            Prefix::U32Be | Prefix::U32Le => 4,
            Prefix::U64Be | Prefix::U64Le => 8,
            Prefix::Varint => seen.iter().take_while(|&&byte| byte >= 0x80).count() + 1,
        };
        let (head, frame) = seen.split_at(width.min(seen.len()));
        let size = match prefix {
            Prefix::Varint => head
                .iter()
                .enumerate()
                .map(|(i, &byte)| u128::from(byte & 0x7f) << (7 * i.min(12)))
                .sum(),
            _ if head.len() < width => return Seen::More(0),
            Prefix::U16Le | Prefix::U24Le | Prefix::U32Le | Prefix::U64Le => {
                number(&mut head.iter().rev())
            }
            _ => number(&mut head.iter()),
        };
        // A varint of more than 64 bits, and one that would have to be.
        if size > u128::from(u64::MAX) || head.len() == 10 && head[9] >= 0x80 {
            return Seen::Bad;
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        match frame.len() {
            length if head.len() == width && length == size => Seen::Message(frame.to_vec()),
            _ => Seen::More(size),
        }
    })
}
