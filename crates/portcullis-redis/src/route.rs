//! [`Route`]: which connection a command goes on.

use std::sync::Arc;
use std::time::Duration;

use redis::ServerError;
use redis::aio::PubSub;
use tokio::time::Instant;

use crate::cluster::{Cluster, Redirect};
use crate::config::Topology;
use crate::health::Health;
use crate::link::{Line, Link};
use crate::verdict::Failure;

/// Which connection a command goes on. Clones share the connections.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// There is one.
    One(Arc<Link>),
    /// That to the node which has the command's slot.
    Cluster(Arc<Cluster>),
}

impl Route {
    pub(crate) fn new(topology: Topology, attempt_timeout: Duration) -> Self {
        match topology {
            Topology::One { connector } => Self::One(Arc::new(Link::new(connector, attempt_timeout))),
            Topology::Cluster { seeds, model } => {
                Self::Cluster(Arc::new(Cluster::new(seeds, model, attempt_timeout)))
            }
        }
    }

    /// Whether keys are on several servers, so that commands of one call may go to several.
    pub(crate) const fn spreads(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    /// The link for a command of the slot that `slot` gives, as far as is known.
    pub(crate) fn known_link(&self, slot: impl FnOnce() -> u16) -> Option<Arc<Link>> {
        match self {
            Self::One(link) => Some(Arc::clone(link)),
            Self::Cluster(cluster) => cluster.known_owner(slot()),
        }
    }

    /// The same, once it is known.
    pub(crate) async fn link(
        &self,
        slot: impl FnOnce() -> u16,
        deadline: Instant,
    ) -> Result<Arc<Link>, Failure> {
        match self {
            Self::One(link) => Ok(Arc::clone(link)),
            Self::Cluster(cluster) => cluster.owner(slot(), deadline).await,
        }
    }

    /// Where a node sends a command, by its answer.
    pub(crate) fn redirect(&self, line: &Line, error: &ServerError) -> Option<Redirect> {
        match self {
            Self::One(_) => None,
            Self::Cluster(_) => Redirect::read(error, line.place.as_ref()?),
        }
    }

    pub(crate) fn follow(&self, redirect: &Redirect) -> Option<Arc<Link>> {
        match self {
            Self::One(_) => None,
            Self::Cluster(cluster) => Some(cluster.follow(redirect)),
        }
    }

    /// A server did not answer, or said that it does not serve. Another may do so.
    pub(crate) fn doubt(&self) {
        if let Self::Cluster(cluster) = self {
            cluster.refresh();
        }
    }

    /// Every connection that commands may go on.
    pub(crate) async fn links(&self, deadline: Instant) -> Result<Vec<Arc<Link>>, Failure> {
        match self {
            Self::One(link) => Ok(vec![Arc::clone(link)]),
            Self::Cluster(cluster) => cluster.owners(deadline).await,
        }
    }

    /// A connection on which channels are heard; another one each `turn` where there is a choice. `None` where there can
    /// be none.
    pub(crate) async fn listen(&self, turn: usize) -> Option<redis::RedisResult<PubSub>> {
        match self {
            Self::One(link) => link.connector().listen().await,
            Self::Cluster(cluster) => Some(cluster.listen(turn).await),
        }
    }

    pub(crate) fn can_listen(&self) -> bool {
        match self {
            Self::One(link) => link.connector().can_listen(),
            Self::Cluster(_) => true,
        }
    }

    pub(crate) fn health(&self) -> Health {
        let links = match self {
            Self::One(link) => vec![(link.connector().to_string(), link.health())],
            Self::Cluster(cluster) => cluster.health(),
        };
        Health { links }
    }
}
