//! Streams: connections that tasks read from and write to.
//!
//! ```text
//!                 StreamReaderProtocol            tasks
//!               .-- feeds --> Incoming <-- StreamReader
//!   transport --|                ^
//!      ^        '-- tells --> Outlet  <--- StreamWriter
//!      '---- write, pause_reading --------------'
//! ```
//!
//! A protocol is called, a stream is asked. [`StreamReaderProtocol`] stands between the
//! two: it keeps what comes until a task reads it, and lets those wait who write more
//! than the peer takes.

mod buffer;
mod incoming;
mod outlet;
mod reader;
mod feeding;
mod protocol;
mod writer;
mod sequential;
mod opening;
#[cfg(feature = "tls")]
mod secure;
mod serving;

pub use opening::{
    open_connection, open_pipes, open_read_pipe, open_unix_connection, open_write_pipe,
    stream_pair, stream_pair_with,
};
pub use protocol::StreamReaderProtocol;
pub use reader::StreamReader;
pub use serving::{start_server, start_unix_server};
pub use writer::StreamWriter;
