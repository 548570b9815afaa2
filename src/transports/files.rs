//! Files through transports (`loop.sendfile`).

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use crate::base_events::EventLoop;
use crate::coroutines::{check_suspendable, spend_operation};
use crate::events::Scheduler;
use crate::exceptions::Result;
use crate::flow_control::{Consumer, Producer};
use crate::futures::Future;
use crate::sendfile::{PART, is_refused, read_part};
use crate::transports::interface::{FileSink, Transport};

impl EventLoop {
    /// Sends a part of a file, to its end without `count`, after what was written before
    /// (`loop.sendfile`). How many bytes that were.
    ///
    /// Into a plain socket the system sends it by `sendfile(2)`, and meanwhile nothing
    /// else can be written and nothing is received. Into any other transport, and where
    /// the system refuses, the file is read on a thread and written in parts, no faster
    /// than they are sent. The file's position is behind what was sent, after an error too.
    ///
    /// ```
    /// use std::io::Write;
    /// use stackio::{Error, Future, Protocol, get_running_loop};
    ///
    /// struct Collect(Vec<u8>, Future<Vec<u8>>);
    /// impl Protocol for Collect {
    ///     fn data_received(&mut self, data: &[u8]) {
    ///         self.0.extend_from_slice(data);
    ///     }
    ///     fn connection_lost(&mut self, _: Option<Error>) {
    ///         let _ = self.1.set_result(std::mem::take(&mut self.0));
    ///     }
    /// }
    ///
    /// stackio::run(|| {
    ///     let event_loop = get_running_loop()?;
    ///     let path = std::env::temp_dir().join(format!("stackio-doc-{}", std::process::id()));
    ///     std::fs::write(&path, b"once upon a time")?;
    ///     let file = std::fs::File::open(&path)?;
    ///     std::fs::remove_file(&path)?;
    ///
    ///     let all = Future::new();
    ///     let collect = Collect(Vec::new(), all.clone());
    ///     let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ///     event_loop.connect_accepted_socket(|| collect, theirs)?;
    ///     struct Silent;
    ///     impl Protocol for Silent {}
    ///     let (transport, _) = event_loop.connect_accepted_socket(|| Silent, ours)?;
    ///     assert_eq!(event_loop.sendfile(&transport, &file, 5, None)?, 11);
    ///     transport.close();
    ///     assert_eq!(all.wait()?, b"upon a time");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the file and of the connection; kind `Runtime` if the transport is
    /// closing, or a file is being sent on it already; kind `Cancelled`, after which a
    /// part may have been sent.
    #[track_caller]
    pub fn sendfile(
        &self,
        transport: &Transport,
        file: &File,
        offset: u64,
        count: impl Into<Option<u64>>,
    ) -> Result<u64> {
        check_suspendable()?;
        let mut part = Part { offset, left: count.into().unwrap_or(u64::MAX), sent: 0 };
        let sent = send(transport, file, &mut part);
        if part.sent > 0 {
            let mut file = file;
            file.seek(SeekFrom::Start(part.offset))?;
        }
        sent.map(|()| part.sent)
    }
}

#[track_caller]
fn send(transport: &Transport, file: &File, part: &mut Part) -> Result {
    if let Some(sink) = transport.0.file_sink()
        && send_by_system(transport, sink, file, part)?
    {
        return Ok(());
    }
    send_by_hand(transport, file, part)
}

/// What of the file is still to be sent.
struct Part {
    offset: u64,
    left: u64,
    sent: u64,
}

impl Part {
    fn sent(&mut self, count: usize) {
        self.left -= count as u64;
        self.sent += count as u64;
    }

    /// How much to send next, at most so much.
    fn next(&self, most: usize) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(most)
    }
}

/// Whether that is done; if not, it is for the other way.
#[track_caller]
fn send_by_system(
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

#[track_caller]
fn send_by_hand(transport: &Transport, file: &File, part: &mut Part) -> Result {
    let file = Arc::new(file.try_clone()?);
    let pump = Rc::new(Pump::default());
    transport.register(pump.clone())?;
    let _registered = Registered(transport);
    while part.left > 0 {
        let data = read_part(&file, part.offset, part.next(PART))?;
        if data.is_empty() {
            return Ok(());
        }
        pump.wait()?;
        let count = data.len();
        transport.try_write_bytes(data.into())?;
        part.offset += count as u64;
        part.sent(count);
    }
    pump.wait()
}

/// A transport's producer as long as this lives.
struct Registered<'a>(&'a Transport);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.unregister();
    }
}

/// What the transport says to who sends a file by hand.
#[derive(Default)]
struct Pump {
    paused: Cell<bool>,
    stopped: Cell<bool>,
    waiter: RefCell<Option<Future<()>>>,
}

impl Pump {
    #[track_caller]
    fn wait(&self) -> Result {
        while self.paused.get() && !self.stopped.get() {
            let waiter = Future::about("a transport to be writable", Scheduler::running()?);
            *self.waiter.borrow_mut() = Some(waiter.clone());
            waiter.join()?;
        }
        match self.stopped.get() {
            true => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
            false => Ok(()),
        }
    }

    fn wake(&self) {
        let waiter = self.waiter.take();
        if let Some(waiter) = waiter {
            let _given_up = waiter.set_result(());
        }
    }
}

impl Producer for Pump {
    fn half_register(&self, _: Rc<dyn Consumer>) {}

    fn pause(&self) {
        self.paused.set(true);
    }

    fn resume(&self) {
        self.paused.set(false);
        self.wake();
    }

    fn stop(&self) {
        self.stopped.set(true);
        self.wake();
    }
}
