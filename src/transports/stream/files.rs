//! Files, which the system sends by itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::StreamTransport;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::selectors::Direction;
use crate::sendfile::send_file_once;
use crate::transports::interface::FileSink;
use crate::transports::turns::{Did, TakesTurns};

impl StreamTransport {
    /// Puts a new future in place for who sends a file.
    fn wait_to_send(&self) -> Future<()> {
        let waiter = Future::about("a transport to be writable", self.link.scheduler.clone());
        *self.sending.borrow_mut() = Some(waiter.clone());
        self.note_outstanding();
        waiter
    }

    fn check_not_lost(&self) -> io::Result<()> {
        match self.link.lost.get() {
            false => Ok(()),
            true => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the connection is lost")),
        }
    }
}

impl FileSink for StreamTransport {
    fn begin(&self) -> Result<Future<()>> {
        self.check_writable()?;
        let waiter = self.wait_to_send();
        if self.outgoing.borrow().is_empty() {
            waiter.set_result(())?;
        }
        Ok(waiter)
    }

    fn send(&self, file: BorrowedFd<'_>, offset: &mut u64, count: usize) -> io::Result<usize> {
        self.check_not_lost()?;
        match &*self.source.borrow() {
            Some(source) => {
                let sent = send_file_once(source.as_fd(), file, offset, count)?;
                self.note_sent(sent);
                Ok(sent)
            }
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn until_writable(&self) -> Result<Future<()>> {
        self.check_not_lost()?;
        let waiter = self.wait_to_send();
        if let Some(me) = self.me() {
            me.did(Direction::Write, Did::Nothing);
        }
        Ok(waiter)
    }

    fn end(&self) {
        let waiter = self.sending.take();
        drop(waiter);
        self.note_outstanding();
    }
}
