//! Messages in a stream of bytes: [`Chunks`], [`Lines`] and [`Frames`].
//!
//! A stream has no messages; it comes in pieces that mean nothing, and a message
//! may come in many of them, or many in one. What says where a message ends is a
//! *framing*. The ones here do no I/O of their own and know of no loop: bytes go
//! in, messages come out.
//!
//! ```text
//!   pieces           decode            messages
//!   "ab;c"   --->  +-----------+  --->  "ab"
//!   "d;"     --->  | Chunks    |  --->  "cd"
//!   (end)    --->  +-----------+        finish: nothing was left over
//! ```
//!
//! So the same framing serves a protocol that is called with data, a task that
//! reads, a thread that blocks, and a test that has no socket at all.
//!
//! [`ChunkProtocol`](crate::ChunkProtocol), [`LineProtocol`](crate::LineProtocol) and
//! [`FrameProtocol`](crate::FrameProtocol) are such protocols: they call a function with
//! each message.
//!
//! # With std alone
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//! use stackio::framing::{Framing, Lines};
//!
//! /// Answers each line with its length, on a thread that blocks.
//! fn serve(mut stream: TcpStream) -> stackio::Result {
//!     let mut lines = Lines::new();
//!     let mut buffer = [0; 4096];
//!     loop {
//!         let length = stream.read(&mut buffer)?;
//!         if length == 0 {
//!             return lines.finish(); // an error if a line had no end
//!         }
//!         let mut data = &buffer[..length];
//!         while let Some(line) = lines.decode(&mut data)? {
//!             let answer = line.len().to_string();
//!             stream.write_all(&lines.encode(answer.as_bytes())?)?;
//!         }
//!     }
//! }
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = std::thread::spawn(move || serve(listener.accept()?.0));
//! let mut stream = TcpStream::connect(address)?;
//! stream.write_all(b"one\nthr")?;
//! stream.write_all(b"ee\n")?;
//! stream.shutdown(std::net::Shutdown::Write)?;
//! let mut answers = String::new();
//! stream.read_to_string(&mut answers)?;
//! assert_eq!(answers, "3\n5\n");
//! server.join().unwrap()?;
//! # Ok::<(), stackio::Error>(())
//! ```
//!
//! # What a peer cannot do
//!
//! Every framing has a largest size of a message, and takes no more memory than
//! that for one that is not complete. What is larger is an error as soon as that is
//! known: a length before its bytes come, a chunk with the first byte too many. It
//! takes time in proportion to the bytes, in whatever pieces they come.

mod chunks;
mod contract;
mod delimiter;
mod frames;
mod lines;
mod partial;

pub use self::chunks::Chunks;
pub use self::contract::Framing;
pub use self::frames::{Frames, Prefix};
pub use self::lines::Lines;
