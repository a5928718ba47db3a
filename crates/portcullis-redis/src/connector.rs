//! [`Connector`]: how a [`Link`] gets its connection. What kind of server it leads to is known here
//! only.

use std::fmt;
use std::sync::Arc;

use redis::aio::PubSub;
use redis::{Cmd, RedisError, RedisResult};

use crate::link::{Line, Link};
use crate::provider::Provider;
use crate::sentinel::Sentinel;
use crate::server::Server;
use crate::verdict::Failure;

/// How a connection is made.
pub(crate) enum Connector {
    Server(Server),
    /// To whoever the Sentinels call the master.
    Sentinel(Arc<Sentinel>),
    /// The application makes them.
    Provided(Arc<dyn Provider>),
}

impl Connector {
    /// Makes a connection that serves.
    pub(crate) async fn connect(&self) -> Result<Line, Failure> {
        match self {
            Self::Server(server) => Line::open(server).await.map_err(Failure::of_connect),
            Self::Sentinel(sentinel) => sentinel.connect().await,
            Self::Provided(provider) => provided(provider).await.map_err(Failure::of_connect),
        }
    }

    /// A connection on which channels are heard; `None` where there can be none.
    pub(crate) async fn listen(&self) -> Option<RedisResult<PubSub>> {
        match self {
            Self::Server(server) => Some(server.dial_pubsub().await),
            Self::Sentinel(sentinel) => Some(sentinel.listen().await),
            Self::Provided(_) => None,
        }
    }

    pub(crate) const fn can_listen(&self) -> bool {
        !matches!(self, Self::Provided(_))
    }

    pub(crate) const fn follows_sentinels(&self) -> bool {
        matches!(self, Self::Sentinel(_))
    }

    /// The permissions without which the Sentinels' announcements are not heard.
    pub(crate) async fn unheard(&self) -> Option<String> {
        let Self::Sentinel(sentinel) = self else { return None };
        sentinel.unheard().await
    }

    /// Whether what [`connect`](Self::connect) gives may be in use by others, whom a command that blocks would hold up.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Provided(provider) if provider.is_shared())
    }

    /// `link` has a connection now. What may make it the wrong one is watched from here on.
    pub(crate) fn watch_over(&self, link: &Arc<Link>) {
        if let Self::Sentinel(sentinel) = self {
            sentinel.follow(link);
        }
    }
}

/// That something is given, and answers, is all that can be known of it.
async fn provided(provider: &Arc<dyn Provider>) -> Result<Line, RedisError> {
    provider.send(&Cmd::new().arg("PING").to_owned()).await?.extract_error()?;
    Ok(Line::provided(Arc::clone(provider)))
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(server) => write!(f, "{}", server.place),
            Self::Sentinel(sentinel) => write!(f, "{}", sentinel.name()),
            Self::Provided(_) => f.write_str("provided"),
        }
    }
}
