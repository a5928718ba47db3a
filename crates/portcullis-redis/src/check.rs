//! [`check`]: finds out at start what would otherwise be found out by users: permissions that are missing, a replica in the
//! master's place, a server that evicts sessions.
//!
//! Every command of this crate is sent once to every server that holds sessions, with a key of its own that no session can
//! have, on a connection of its own.

use std::sync::Arc;

use futures_util::future::try_join_all;
use portcullis_store::StoreError;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use crate::cluster::slot_of_key;
use crate::keys::Keys;
use crate::link::Link;
use crate::route::Route;
use crate::verdict::Failure;

mod probe;
mod report;

pub(crate) use probe::refused;
use probe::{Kind, Probes};
pub use report::{Report, ServerReport};

/// So many names are tried to find one that belongs to each node of a cluster.
const NAMES: u32 = 1 << 18;

/// Looks at every server, until `deadline`.
pub(crate) async fn check(route: &Route, keys: &Keys, deadline: Instant) -> Result<Report, StoreError> {
    let servers = timeout_at(deadline, look_at_all(route, keys, deadline)).await;
    let report = Report { servers: servers.unwrap_or_else(|_| Err(Failure::timeout()))? };
    for warning in report.warnings() {
        warn!(target: "portcullis_redis", %warning, "check");
    }
    Ok(report)
}

async fn look_at_all(route: &Route, keys: &Keys, deadline: Instant) -> Result<Vec<ServerReport>, Failure> {
    let links = match route.links(deadline).await {
        Ok(links) => links,
        Err(failure) => return without(failure, "the cluster".to_owned()).map(|report| vec![report]),
    };
    let places = if route.spreads() {
        one_name_each(route, keys, links, deadline).await?
    } else {
        links.into_iter().map(|link| (link, keys.probe(0))).collect()
    };
    try_join_all(places.iter().map(|(link, name)| look_at(route, keys, link, name, deadline))).await
}

/// With each link the name of a key that is its server's.
async fn one_name_each(
    route: &Route,
    keys: &Keys,
    mut links: Vec<Arc<Link>>,
    deadline: Instant,
) -> Result<Vec<(Arc<Link>, String)>, Failure> {
    let mut places = Vec::with_capacity(links.len());
    for number in 0..NAMES {
        if links.is_empty() {
            break;
        }
        let name = keys.probe(number);
        let slot = || slot_of_key(name.as_bytes());
        let owner = route.link(slot, deadline).await?;
        if let Some(at) = links.iter().position(|link| Arc::ptr_eq(link, &owner)) {
            places.push((links.swap_remove(at), name));
        }
    }
    Ok(places)
}

async fn look_at(
    route: &Route,
    keys: &Keys,
    link: &Arc<Link>,
    name: &str,
    deadline: Instant,
) -> Result<ServerReport, Failure> {
    let connector = link.connector();
    let kind = Kind { is_cluster: route.spreads(), follows_sentinels: connector.follows_sentinels() };
    let server = connector.to_string();
    let line = match connector.connect().await {
        Ok(line) => line,
        Err(failure) => return without(failure, server),
    };
    let probes = Probes::of(name, keys, kind, connector.can_listen());
    let replies = line.send_all(&probes.commands(), deadline).await.map_err(Failure::unanswered)?;
    let mut report = probes.report(server, replies)?;
    report.missing.extend(connector.unheard().await);
    Ok(report)
}

/// What can be said of a server on which even the way there is not permitted.
fn without(failure: Failure, server: String) -> Result<ServerReport, Failure> {
    match failure.server_error().and_then(|error| refused(&error, "connecting")) {
        Some(missing) => Ok(ServerReport { missing: vec![in_full(missing)], ..ServerReport::of(server) }),
        None => Err(failure),
    }
}

/// The commands with a subcommand that are sent on the way. Before version 7 a server names the command alone.
const ON_THE_WAY: [&str; 2] = ["cluster|slots", "sentinel|master"];

fn in_full(command: String) -> String {
    let known = ON_THE_WAY.into_iter().find(|known| known.split('|').next() == Some(&*command));
    known.map_or(command, str::to_owned)
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    /// The words of Redis 6.2, and of 7 and later.
    #[test]
    fn what_is_not_permitted_on_the_way_is_named_with_its_subcommand() {
        for (detail, expected) in [
            ("this user has no permissions to run the 'cluster' command or its subcommand", "cluster|slots"),
            ("User app has no permissions to run the 'cluster|slots' command", "cluster|slots"),
            (
                "this user has no permissions to run the 'sentinel' command or its subcommand",
                "sentinel|master",
            ),
            ("this user has no permissions to run the 'ping' command or its subcommand", "ping"),
        ] {
            let reply = redis::parse_redis_value(format!("-NOPERM {detail}\r\n").as_bytes());
            let Ok(Value::ServerError(error)) = reply else { panic!("{reply:?}") };
            let report = without(Failure::refused(&error), "a".to_owned()).unwrap();
            assert_eq!(report.missing, [expected], "{detail}");
        }
    }
}
