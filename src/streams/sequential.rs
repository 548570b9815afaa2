//! Streams for code that knows nothing of this crate: std's traits.
//!
//! An error of this crate's travels inside an [`io::Error`], so a cancellation comes out
//! of whatever wraps it as the cancellation it was.

use std::io::{self, BufRead, IoSlice, Read, Write};

use super::reader::StreamReader;
use super::writer::StreamWriter;

/// Bytes that one `write` takes at most: what waits to be sent is then at most that much
/// more than the high-water mark, however much is written.
const PIECE: usize = 64 * 1024;

impl Read for StreamReader {
    #[inline]
    #[track_caller]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut waiting = self.fill()?;
        let count = waiting.read(buffer)?;
        self.skip(count);
        Ok(count)
    }
}

impl BufRead for StreamReader {
    /// All that has come and is not read; it waits until there is something.
    #[track_caller]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.fill()?)
    }

    fn consume(&mut self, length: usize) {
        self.skip(length);
    }
}

impl StreamWriter {
    /// Waits first, so that an error means that nothing was written.
    #[track_caller]
    fn write_some(&self, data: &[u8]) -> io::Result<usize> {
        let piece = &data[..data.len().min(PIECE)];
        self.drain()?;
        self.transport().try_write(piece)?;
        Ok(piece.len())
    }

    #[track_caller]
    fn write_several(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length > PIECE {
            let first = pieces.iter().find(|piece| !piece.is_empty());
            return first.map_or(Ok(0), |piece| self.write_some(piece));
        }
        self.drain()?;
        self.transport().try_writelines(pieces.iter().map(|piece| &**piece))?;
        Ok(length)
    }
}

impl Write for &StreamWriter {
    #[track_caller]
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_some(data)
    }

    #[track_caller]
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_several(pieces)
    }

    /// As [`drain`](StreamWriter::drain): there is no buffer but the transport's, which
    /// empties itself.
    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        Ok(self.drain()?)
    }
}

impl Write for StreamWriter {
    #[track_caller]
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_some(data)
    }

    #[track_caller]
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_several(pieces)
    }

    #[track_caller]
    fn flush(&mut self) -> io::Result<()> {
        Ok(self.drain()?)
    }
}
