//! Files into streams.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use super::limited::{Limited, Stream};
use crate::sendfile::{PART, is_refused, read_part, send_file_once};

impl<S: Stream> Limited<S>
where
    for<'a> &'a S: Read + Write,
{
    /// Sends `count` bytes of a file, or all that come after `offset`; how many it were.
    /// The file's position is behind what was sent, after an error too.
    #[track_caller]
    pub(super) fn send_file(
        &self,
        file: &File,
        offset: u64,
        count: Option<u64>,
    ) -> io::Result<u64> {
        let end = count.map_or(u64::MAX, |count| offset.saturating_add(count));
        let mut at = offset;
        let ended = self.send_until(file, &mut at, end);
        if at > offset {
            let mut file = file;
            let moved = file.seek(SeekFrom::Start(at));
            return ended.and(moved).map(|_| at - offset);
        }
        ended.map(|()| 0)
    }

    #[track_caller]
    fn send_until(&self, file: &File, at: &mut u64, end: u64) -> io::Result<()> {
        while *at < end {
            let count = usize::try_from(end - *at).unwrap_or(usize::MAX);
            let send = |socket: &S| send_file_once(socket.as_fd(), file.as_fd(), at, count);
            match self.writing(send) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if is_refused(&error) => return self.copy_until(file, at, end),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[track_caller]
    fn copy_until(&self, file: &File, at: &mut u64, end: u64) -> io::Result<()> {
        let file = Arc::new(file.try_clone()?);
        while *at < end {
            let room = usize::try_from(end - *at).map_or(PART, |left| left.min(PART));
            let part = read_part(&file, *at, room)?;
            if part.is_empty() {
                return Ok(());
            }
            let mut rest = part.as_slice();
            while !rest.is_empty() {
                match self.write(rest)? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    count => {
                        *at += count as u64;
                        rest = &rest[count..];
                    }
                }
            }
        }
        Ok(())
    }
}

/// The method that sends files, for the `impl` block of a stream.
macro_rules! sends_files {
    () => {
        /// Sends `count` bytes of a file from `offset` on, or all to its end, and gives
        /// how many that were (`loop.sock_sendfile`). The system copies them by itself
        /// where it can (`sendfile(2)`); otherwise they are read and written.
        ///
        /// Afterwards the position of the file is behind the last byte that was sent,
        /// also when the sending has failed or was cancelled.
        ///
        /// ```
        /// use std::fs::File;
        /// use std::io::Read;
        /// use stackio::net::UnixStream;
        ///
        /// stackio::run(|| {
        ///     let (near, mut far) = UnixStream::pair()?;
        ///     assert_eq!(near.send_file(&File::open("Cargo.toml")?, 0, 9)?, 9);
        ///     let mut received = [0; 9];
        ///     far.read_exact(&mut received)?;
        ///     assert_eq!(&received, b"[package]");
        ///     Ok(())
        /// })?;
        /// # Ok::<(), stackio::Error>(())
        /// ```
        ///
        /// # Errors
        ///
        /// As for reading the file and for writing to the stream; the timeout of writes
        /// counts for each wait.
        #[track_caller]
        pub fn send_file(
            &self,
            file: &std::fs::File,
            offset: u64,
            count: impl Into<Option<u64>>,
        ) -> io::Result<u64> {
            self.0.send_file(file, offset, count.into())
        }
    };
}
pub(super) use sends_files;
