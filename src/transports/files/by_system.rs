//! A file that the system sends by itself.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use super::Part;
use crate::coroutines::spend_operation;
use crate::exceptions::Result;
use crate::futures::Future;
use crate::sendfile::is_refused;
use crate::transports::interface::{FileSink, Transport};

/// Whether that is done; if not, it is for the other way.
#[track_caller]
pub(super) fn send_by_system(
    transport: &Transport,
    sink: Rc<dyn FileSink>,
    file: &File,
    part: &mut Part,
) -> Result<bool> {
    let sending = Sending::begin(transport, sink)?;
    sending.begun.settle()?;
    while part.left > 0 {
        spend_operation()?;
        let count = part.next(usize::MAX);
        match sending.sink.send(file.as_fd(), &mut part.offset, count) {
            Ok(0) => return Ok(true),
            Ok(count) => part.sent(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sending.sink.until_writable()?.join()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_refused(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// The time in which a transport does nothing but to send a file.
struct Sending<'a> {
    transport: &'a Transport,
    sink: Rc<dyn FileSink>,
    begun: Future<()>,
    was_reading: bool,
}

impl Sending<'_> {
    fn begin(transport: &Transport, sink: Rc<dyn FileSink>) -> Result<Sending<'_>> {
        let begun = sink.begin()?;
        let was_reading = transport.is_reading();
        transport.pause_reading();
        Ok(Sending { transport, sink, begun, was_reading })
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.sink.end();
        if self.was_reading {
            self.transport.resume_reading();
        }
    }
}
