//! [`Health`]: how the connections are, without asking anybody.

use portcullis_store::StoreErrorKind;

/// How the connections are, as far as the calls so far have shown. Nobody is asked for it, so it can be had often.
///
/// For a readiness probe: [`RedisBackend::ping`](crate::RedisBackend::ping) first, which asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// One for each server that is known: one, or the nodes of a cluster.
    pub links: Vec<(String, LinkHealth)>,
}

/// How one connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkHealth {
    /// Nobody has needed it yet, or it is being made.
    Unconnected,
    /// It is there, and was good when it was last used.
    Connected,
    /// The circuit is open: calls fail at once, until the next attempt to connect.
    Failing {
        /// How many attempts have failed in a row.
        failures: u32,
        /// What the last one failed with.
        kind: StoreErrorKind,
    },
}

impl Health {
    /// Whether there are connections and none of them fails.
    ///
    /// A cluster with a dead node is not healthy, and serves the sessions of all other nodes.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let failing = |health: &LinkHealth| matches!(health, LinkHealth::Failing { .. });
        let connected = self.links.iter().any(|(_, health)| *health == LinkHealth::Connected);
        connected && !self.links.iter().any(|(_, health)| failing(health))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failing_link_is_enough_to_be_unhealthy() {
        let failing = LinkHealth::Failing { failures: 1, kind: StoreErrorKind::Unavailable };
        let cases = [
            (vec![], false),
            (vec![LinkHealth::Unconnected], false),
            (vec![LinkHealth::Connected], true),
            (vec![LinkHealth::Connected, LinkHealth::Unconnected], true),
            (vec![LinkHealth::Connected, failing], false),
            (vec![failing], false),
        ];
        for (links, healthy) in cases {
            let health = Health { links: links.into_iter().map(|link| (String::new(), link)).collect() };
            assert_eq!(health.is_healthy(), healthy, "{health:?}");
        }
    }
}
