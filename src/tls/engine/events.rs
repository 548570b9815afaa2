//! How far a connection is, and what it tells of that.

use crate::exceptions::Error;
use crate::tls::info::TlsInfo;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The handshake is under way.
    Handshake,
    /// Data can be read and written.
    Open,
    /// One of the sides has said that it will send no more.
    Closing,
    /// Both have, or it failed.
    Closed,
}

/// What [`Engine::next_event`](super::Engine::next_event) tells.
#[derive(Clone, Debug)]
pub enum Event {
    /// The handshake is done, and these are its results.
    HandshakeDone(TlsInfo),
    /// There is plaintext to [`read`](super::Engine::read).
    Data,
    /// The peer will send no more. All its data has been read.
    CloseNotify,
    /// The ciphertext ended without a `close_notify`: what has been read may be only a
    /// part of what was sent.
    Truncated,
    /// It cannot go on. An alert that tells the peer why may be there to be
    /// [taken](super::Engine::take_ciphertext).
    Failed(Error),
}

/// How the incoming half has ended.
pub(super) enum End {
    CloseNotify,
    Truncated,
    Failed(Error),
}

/// Which events have been told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) handshake: bool,
    /// Cleared by each read.
    pub(super) data: bool,
    pub(super) end: bool,
}
