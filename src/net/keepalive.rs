//! TCP keepalive: whether the peer of a silent connection is still there.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::tcp::TcpStream;

/// When a silent connection is probed; what is `None` is as the system has it, which is
/// two hours for the first probe on Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keepalive {
    /// How long it has to be silent before the first probe; whole seconds.
    pub idle: Option<Duration>,
    /// How long between probes; whole seconds.
    pub interval: Option<Duration>,
    /// After how many probes without an answer it is given up, which is `TimedOut` to
    /// whoever reads.
    pub retries: Option<u32>,
}

impl TcpStream {
    /// Has the connection probed when it is silent (`SO_KEEPALIVE`), or not any more.
    ///
    /// ```
    /// use stackio::net::{Keepalive, TcpListener, TcpStream};
    /// use stackio::secs;
    ///
    /// stackio::run(|| {
    ///     let listener = TcpListener::bind("127.0.0.1:0")?;
    ///     let stream = TcpStream::connect(listener.local_addr()?)?;
    ///     assert!(!stream.keepalive()?);
    ///     stream.set_keepalive(Keepalive { idle: Some(secs(60)), ..Keepalive::default() })?;
    ///     assert!(stream.keepalive()?);
    ///     stream.set_keepalive(None)?;
    ///     assert!(!stream.keepalive()?);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), stackio::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the system, as for a time or number out of its range.
    pub fn set_keepalive(&self, keepalive: impl Into<Option<Keepalive>>) -> io::Result<()> {
        let socket = SockRef::from(self);
        let Some(Keepalive { idle, interval, retries }) = keepalive.into() else {
            return socket.set_keepalive(false);
        };
        let mut wanted = TcpKeepalive::new();
        if let Some(idle) = idle {
            wanted = wanted.with_time(idle);
        }
        if let Some(interval) = interval {
            wanted = wanted.with_interval(interval);
        }
        if let Some(retries) = retries {
            wanted = wanted.with_retries(retries);
        }
        socket.set_tcp_keepalive(&wanted)
    }

    /// Whether the connection is probed when it is silent.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn keepalive(&self) -> io::Result<bool> {
        SockRef::from(self).keepalive()
    }
}
