//! [`Leaks`]: what a load has left behind that nobody needs.

use std::collections::BTreeSet;
use std::time::Duration;

use portcullis_testkit::redis::RedisServer;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::app::Cookie;

/// What a load has left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Leaks {
    /// Keys that never expire.
    pub(super) eternal: usize,
    /// Sessions that somebody has the cookie of, and that are not in their user's index.
    pub(super) unindexed: usize,
    /// Sessions that nobody has the cookie of, because the login was refused, and that are in no index: they expire.
    pub(super) orphans: usize,
    /// Connections of clients that are gone.
    pub(super) connections: usize,
    /// Tasks that nobody needs any more.
    pub(super) tasks: usize,
}

/// What is known of the servers' own: keys that tests have put there.
const FILLER: &str = "filler:";
/// A task that waits for something notices within this that it is no longer needed.
const PATIENCE: Duration = Duration::from_secs(5);

impl Leaks {
    /// `resident` tasks are the set-up's own.
    pub(super) async fn find(
        masters: &[&RedisServer],
        servers: &[&RedisServer],
        living: &[Cookie],
        resident: usize,
    ) -> Self {
        let tasks = || Handle::current().metrics().num_alive_tasks().saturating_sub(resident);
        let connections = || servers.iter().map(|server| clients(server)).sum::<usize>();
        let start = Instant::now();
        while start.elapsed() < PATIENCE && (tasks() > 0 || connections() > 0) {
            sleep(Duration::from_millis(20)).await;
        }
        let names: Vec<(String, bool)> = masters.iter().flat_map(|master| keys(master)).collect();
        let indexed: BTreeSet<String> = masters.iter().flat_map(|master| members(master)).collect();
        let held: BTreeSet<&str> = living.iter().map(Cookie::locator).collect();
        let sessions = names.iter().filter_map(|(name, _)| name.strip_prefix("p:default:s:"));
        let (unindexed, orphans): (Vec<_>, Vec<_>) = sessions
            .filter(|locator| !indexed.contains(*locator))
            .partition(|locator| held.contains(locator));
        Self {
            eternal: names.iter().filter(|(name, eternal)| *eternal && !name.starts_with(FILLER)).count(),
            unindexed: unindexed.len(),
            orphans: orphans.len(),
            connections: connections(),
            tasks: tasks(),
        }
    }
}

/// Connections of others than replicas, Sentinels and this one itself.
fn clients(server: &RedisServer) -> usize {
    let [normal, pubsub] = ["normal", "pubsub"].map(|kind| server.command(&["CLIENT", "LIST", "TYPE", kind]));
    let all = normal.lines().chain(pubsub.lines()).filter(|line| !line.is_empty());
    all.filter(|line| !line.contains(" name=sentinel-") && !line.contains(" cmd=client")).count()
}

/// Each key, and whether it never expires.
fn keys(server: &RedisServer) -> Vec<(String, bool)> {
    let script = "local found = {}
        for _, name in ipairs(redis.call('KEYS', '*')) do
          found[#found + 1] = redis.call('PTTL', name) .. ' ' .. name
        end
        return found";
    let found = server.command(&["EVAL", script, "0"]);
    let key = |line: &str| line.split_once(' ').map(|(left, name)| (name.to_owned(), left == "-1"));
    found.lines().filter_map(key).collect()
}

/// All members of all indices.
fn members(server: &RedisServer) -> Vec<String> {
    let script = "local found = {}
        for _, name in ipairs(redis.call('KEYS', 'p:default:u:*')) do
          for _, member in ipairs(redis.call('ZRANGE', name, 0, -1)) do found[#found + 1] = member end
        end
        return found";
    server.command(&["EVAL", script, "0"]).lines().map(str::to_owned).collect()
}
