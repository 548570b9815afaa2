//! A wire in memory, with as little room as a test wants; it suspends as a socket does, and under
//! a virtual clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::rc::Rc;

use stackio::Event;

/// One direction.
struct Channel {
    bytes: RefCell<VecDeque<u8>>,
    capacity: Cell<usize>,
    /// Either end is gone.
    closed: Cell<bool>,
    changed: Event,
}

impl Channel {
    fn new(capacity: usize) -> Rc<Channel> {
        Rc::new(Channel {
            bytes: RefCell::default(),
            capacity: Cell::new(capacity),
            closed: Cell::new(false),
            changed: Event::new(),
        })
    }

    fn wait(&self) -> io::Result<()> {
        self.changed.clear();
        Ok(self.changed.wait()?)
    }

    fn close(&self) {
        self.closed.set(true);
        self.changed.set();
    }
}

/// One end of the wire. References to it read and write as well, as those of sockets do.
pub struct Pipe {
    incoming: Rc<Channel>,
    outgoing: Rc<Channel>,
    /// The most that a read gives.
    pub at_most: Cell<usize>,
}

/// Both ends, with room for so many bytes on each way.
pub fn pipes(capacity: usize) -> (Pipe, Pipe) {
    let (one, other) = (Channel::new(capacity), Channel::new(capacity));
    let at_most = || Cell::new(usize::MAX);
    let near = Pipe { incoming: one.clone(), outgoing: other.clone(), at_most: at_most() };
    (near, Pipe { incoming: other, outgoing: one, at_most: at_most() })
}

impl Pipe {
    /// Bytes that have been written and that the other end has not read.
    pub fn unread_by_peer(&self) -> usize {
        self.outgoing.bytes.borrow().len()
    }

    /// Leaves room for that many bytes on the outgoing way.
    pub fn narrow(&self, capacity: usize) {
        self.outgoing.capacity.set(capacity);
    }

    /// Ends the outgoing way.
    pub fn shut(&self) {
        self.outgoing.close();
    }
}

impl Read for &Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut bytes = self.incoming.bytes.borrow_mut();
            if !bytes.is_empty() {
                let room = buffer.len().min(self.at_most.get());
                let count = bytes.read(&mut buffer[..room])?;
                self.incoming.changed.set();
                return Ok(count);
            }
            drop(bytes);
            if self.incoming.closed.get() {
                return Ok(0);
            }
            self.incoming.wait()?;
        }
    }
}

impl Write for &Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            if self.outgoing.closed.get() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let mut bytes = self.outgoing.bytes.borrow_mut();
            let room = self.outgoing.capacity.get().saturating_sub(bytes.len());
            if room > 0 {
                let count = room.min(buffer.len());
                bytes.extend(&buffer[..count]);
                self.outgoing.changed.set();
                return Ok(count);
            }
            drop(bytes);
            self.outgoing.wait()?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipe with {} bytes under way", self.unread_by_peer())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.incoming.close();
        self.outgoing.close();
    }
}
