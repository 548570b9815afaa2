//! What is said to a process and heard from it: both outputs are read while the input is
//! written, so that nobody waits for a pipe that is full.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io::{self, Read, Write};

use crate::exceptions::{Error, ErrorKind, Result};
use crate::pipes::{PipeReader, PipeWriter};
use crate::scoped::task_group;

/// How far it has come, for the next attempt after one that was cancelled.
#[derive(Default)]
pub(super) struct Talk {
    /// Input that has not been written.
    unsent: RefCell<Option<Vec<u8>>>,
    stdout: RefCell<Vec<u8>>,
    stderr: RefCell<Vec<u8>>,
}

/// The pipes there are.
pub(super) struct Pipes<'a> {
    pub(super) stdin: Option<&'a PipeWriter>,
    pub(super) stdout: Option<&'a PipeReader>,
    pub(super) stderr: Option<&'a PipeReader>,
}

impl Talk {
    /// Writes the input, what is left of it from before if there is none, and reads to
    /// the ends; at most `limit` bytes of each output.
    #[track_caller]
    pub(super) fn go_on(&self, pipes: &Pipes<'_>, input: &[u8], limit: usize) -> Result {
        let sending = self.sending(pipes.stdin.filter(|pipe| !pipe.is_closed()), input)?;
        let stdout = pipes.stdout.map(|pipe| || gather(pipe, &self.stdout, limit));
        let stderr = pipes.stderr.map(|pipe| || gather(pipe, &self.stderr, limit));
        let gone_on = task_group(|group| {
            if let Some(sending) = &sending {
                group.spawn(|| sending.send());
            }
            match (stdout, stderr) {
                (Some(stdout), Some(stderr)) => {
                    group.spawn(stderr);
                    stdout()
                }
                (Some(only), None) => only(),
                (None, Some(only)) => only(),
                (None, None) => Ok(()),
            }
        });
        gone_on.map_err(|error| match (error.kind(), error.errors()) {
            (ErrorKind::Group, [first, ..]) => first.clone(),
            _ => error,
        })
    }

    /// The two outputs.
    pub(super) fn take(&self) -> (Vec<u8>, Vec<u8>) {
        (self.stdout.take(), self.stderr.take())
    }

    /// What there is to send, if any. A pipe into which nothing is left to write is
    /// closed.
    fn sending<'a>(
        &'a self,
        pipe: Option<&'a PipeWriter>,
        input: &'a [u8],
    ) -> Result<Option<Sending<'a>>> {
        let former = self.unsent.take();
        let bytes = match (pipe, former) {
            (Some(_), Some(former)) if input.is_empty() => Cow::Owned(former),
            (Some(_), Some(former)) => {
                *self.unsent.borrow_mut() = Some(former);
                return Err(refused("its input of the call before is not all written yet"));
            }
            (None, _) if !input.is_empty() => {
                return Err(refused("its standard input is no pipe, or has been closed"));
            }
            _ => Cow::Borrowed(input),
        };
        let Some(pipe) = pipe else { return Ok(None) };
        if bytes.is_empty() {
            pipe.close();
            return Ok(None);
        }
        Ok(Some(Sending { unsent: &self.unsent, pipe, bytes, sent: Cell::new(0) }))
    }
}

fn refused(why: &str) -> Error {
    Error::text(ErrorKind::Value, format!("cannot send input to the process: {why}"))
}

/// Input on its way. What was not written is kept, however that ends.
struct Sending<'a> {
    unsent: &'a RefCell<Option<Vec<u8>>>,
    pipe: &'a PipeWriter,
    bytes: Cow<'a, [u8]>,
    sent: Cell<usize>,
}

impl Sending<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.sent.get()..]
    }

    /// Writes it all and closes the pipe.
    fn send(&self) -> Result {
        let mut pipe = self.pipe;
        while let rest @ [_, ..] = self.rest() {
            match pipe.write(rest) {
                Ok(count) => self.sent.set(self.sent.get() + count),
                // It does not read any more, which is its own affair.
                Err(error) if is_gone(&error) => self.sent.set(self.bytes.len()),
                Err(error) => return Err(error.into()),
            }
        }
        pipe.close();
        Ok(())
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let rest @ [_, ..] = self.rest() {
            *self.unsent.borrow_mut() = Some(rest.to_vec());
        }
    }
}

/// Reads a pipe to its end.
fn gather(pipe: &PipeReader, into: &RefCell<Vec<u8>>, limit: usize) -> Result {
    let mut gathered = Gathered { into, bytes: into.take() };
    // One byte more shows that there is one.
    let room = limit.saturating_sub(gathered.bytes.len()).saturating_add(1);
    let room = u64::try_from(room).unwrap_or(u64::MAX);
    pipe.take(room).read_to_end(&mut gathered.bytes)?;
    if gathered.bytes.len() <= limit {
        return Ok(());
    }
    let text = format!("an output of the process is longer than the limit of {limit} bytes");
    Err(Error::text(ErrorKind::LimitOverrun, text))
}

/// What has been read, kept however reading ends.
struct Gathered<'a> {
    into: &'a RefCell<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Drop for Gathered<'_> {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.into.borrow_mut().extend(bytes);
    }
}
