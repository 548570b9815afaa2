//! The search for a delimiter in bytes that keep coming, without going back over them.

use memchr::memmem::Finder;

/// One or more bytes that end a chunk.
///
/// Within a piece memchr searches, many bytes at a time. A delimiter that is split
/// over pieces is found by the algorithm of Knuth, Morris and Pratt, whose whole
/// memory is how many bytes of the delimiter are the last ones that came: `matched`.
#[derive(Clone)]
pub(super) struct Delimiter {
    finder: Finder<'static>,
    /// How much of the delimiter still matches where its first so many bytes did, but
    /// not the next.
    borders: Box<[usize]>,
}

impl Delimiter {
    /// `None` for no bytes.
    pub(super) fn new(delimiter: &[u8]) -> Option<Delimiter> {
        if delimiter.is_empty() {
            return None;
        }
        let finder = Finder::new(delimiter).into_owned();
        Some(Delimiter { finder, borders: borders(delimiter) })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.finder.needle()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes().len()
    }

    /// Goes over `data` up to where the delimiter ends, and gives that place.
    pub(super) fn search(&self, data: &[u8], matched: &mut usize) -> Option<usize> {
        // One that began before `data`: until it is whole, or begins in `data` after all.
        let mut position = 0;
        while *matched > position {
            *matched = advance(self.bytes(), &self.borders, *matched, *data.get(position)?);
            position += 1;
            if *matched == self.len() {
                *matched = 0;
                return Some(position);
            }
        }
        let start = position - *matched;
        *matched = 0;
        if let Some(found) = self.finder.find(&data[start..]) {
            return Some(start + found + self.len());
        }
        // What may be the beginning of one is shorter than it.
        let tail = data.len() - (self.len() - 1).min(data.len() - start);
        for &byte in &data[tail..] {
            *matched = advance(self.bytes(), &self.borders, *matched, byte);
        }
        None
    }

    /// Whether `chunk` with the delimiter behind it is `chunk` again when it is read: not
    /// if one is in it, nor if its end and the delimiter's beginning make one.
    pub(super) fn ends_only(&self, chunk: &[u8]) -> bool {
        let mut matched = 0;
        self.search(chunk, &mut matched).is_none()
            && self.search(self.bytes(), &mut matched) == Some(self.len())
    }
}

/// How much of `delimiter` matches after `byte`, if `matched` bytes, not all, did before.
fn advance(delimiter: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    while matched > 0 && delimiter[matched] != byte {
        matched = borders[matched];
    }
    matched + usize::from(delimiter[matched] == byte)
}

fn borders(delimiter: &[u8]) -> Box<[usize]> {
    let mut borders = vec![0; 2];
    for &byte in &delimiter[1..] {
        let border = borders[borders.len() - 1];
        borders.push(advance(delimiter, &borders, border, byte));
    }
    borders.into()
}
