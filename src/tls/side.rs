//! Which side of a connection one is on.

use super::client::ClientConfig;
use super::config::Limits;
use super::engine::Engine;
use super::server::ServerConfig;
use crate::exceptions::Result;

/// The client's side or the server's, for what can be either
/// (`start_tls` with `server_side`). Made of `(&ClientConfig, "name")` or of a
/// `&ServerConfig`.
#[derive(Clone, Debug)]
pub enum Side {
    /// The client of a server of that name.
    Client(ClientConfig, String),
    /// The server.
    Server(ServerConfig),
}

impl Side {
    /// A connection of its own.
    pub(crate) fn engine(&self) -> Result<Engine> {
        match self {
            Side::Client(config, name) => Engine::client(config, name),
            Side::Server(config) => Engine::server(config),
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        match self {
            Side::Client(config, _) => config.limits(),
            Side::Server(config) => config.limits(),
        }
    }
}

impl<N: Into<String>> From<(&ClientConfig, N)> for Side {
    fn from((config, name): (&ClientConfig, N)) -> Side {
        Side::Client(config.clone(), name.into())
    }
}

impl From<&ServerConfig> for Side {
    fn from(config: &ServerConfig) -> Side {
        Side::Server(config.clone())
    }
}
