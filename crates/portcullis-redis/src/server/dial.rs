//! [`Server::dial`]: opens a connection, encrypted if it is to be. Nothing has been sent on it.

use std::io;
use std::path::Path;

use redis::RedisResult;
use redis::aio::PubSub;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::server::{Place, Server};

/// A connection of any kind.
pub(crate) type Stream = Box<dyn Io>;

/// What a connection of any kind can do.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

impl Server {
    /// A connection. A host name is resolved anew.
    pub(crate) async fn dial(&self) -> RedisResult<Stream> {
        match &self.place {
            Place::Tcp { host, port } => self.dial_tcp(host, *port).await,
            Place::Unix(path) => Ok(dial_unix(path).await?),
        }
    }

    async fn dial_tcp(&self, host: &str, port: u16) -> RedisResult<Stream> {
        let stream = TcpStream::connect((host, port)).await?;
        // A request must not wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        match &self.tls {
            Some(tls) => tls.over(host, stream).await,
            None => Ok(Box::new(stream)),
        }
    }

    /// A connection on which channels are heard.
    pub(crate) async fn dial_pubsub(&self) -> RedisResult<PubSub> {
        PubSub::new(&self.login, self.dial().await?).await
    }
}

#[cfg(unix)]
async fn dial_unix(path: &Path) -> io::Result<Stream> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn dial_unix(_: &Path) -> io::Result<Stream> {
    Err(io::ErrorKind::Unsupported.into())
}
