//! A master that is replaced, as planned and not.
//!
//! Redis replicates behind its answers, so a failover may lose what was acknowledged just before: that is taken for
//! written on sand. What the replica had is promised to be there.

use std::time::Duration;

use portcullis_redis::RedisConfig;
use portcullis_testkit::redis::{RedisSentinel, RedisServer};
use tokio::time::{Instant, sleep};

use crate::trial::{Trial, machine};

/// What the Sentinels themselves need (down-after-milliseconds), and 2.5 s.
const AFTER_A_FAILOVER: Duration = Duration::from_millis(1500 + 2500);
/// The Sentinels announce the new master when they have made it one, and a client is to be there at once.
pub(crate) const AFTER_AN_ANNOUNCEMENT: Duration = Duration::from_millis(500);

fn config(servers: &RedisSentinel) -> RedisConfig {
    RedisConfig::sentinel(servers.urls(), servers.master_name()).unwrap()
}

fn offset(server: &RedisServer, field: &str) -> u64 {
    let replication = server.command(&["INFO", "replication"]);
    let offset = replication.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    offset.expect("the server says how far it is").parse().unwrap()
}

/// From here on Redis may lose what it acknowledges, but for ends that a replica confirms. What it acknowledged before,
/// the replica has when this returns.
pub(crate) async fn on_sand(trial: &Trial, master: &RedisServer, replica: &RedisServer) {
    trial.load.on_sand(true);
    confirmed(master, replica).await;
    // Under load, some of which the replica will have and some not.
    trial.goes_on_for(Duration::from_millis(300)).await;
}

/// Waits until the replica has what the master has now.
pub(crate) async fn confirmed(master: &RedisServer, replica: &RedisServer) {
    let acknowledged = offset(master, "master_repl_offset");
    let start = Instant::now();
    while offset(replica, "slave_repl_offset") < acknowledged {
        assert!(start.elapsed() < Duration::from_secs(20), "the replica does not follow");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_replaced_as_planned_is_left_before_more_is_lost() {
    let _machine = machine().await;
    let servers = RedisSentinel::start();
    let trial = Trial::begin_replicated("planned Sentinel failover", &config(&servers)).await;
    let old = servers.current_master();
    on_sand(&trial, servers.node(old), servers.node(1 - old)).await;
    let ordered = Instant::now();
    servers.fail_over();
    // The old one goes on answering, and forgets it all in the end.
    trial.goes_on_for(AFTER_AN_ANNOUNCEMENT).await;
    trial.load.on_sand(false);
    assert_eq!(servers.node(old).command(&["ROLE"]).lines().next(), Some("master"), "it answers as before");
    trial.goes_on_for(Duration::from_millis(300)).await;
    trial.end(ordered).await.confirmed_some().recovered_within(AFTER_A_FAILOVER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_dies_is_replaced_and_what_its_replica_had_is_there() {
    let _machine = machine().await;
    let servers = RedisSentinel::start();
    let trial = Trial::begin_replicated("unplanned Sentinel failover", &config(&servers)).await;
    let old = servers.current_master();
    on_sand(&trial, servers.node(old), servers.node(1 - old)).await;
    servers.node(old).kill();
    let killed = Instant::now();
    servers.wait_for_failover(old);
    trial.load.recovery(killed).await;
    trial.load.on_sand(false);
    trial.goes_on_for(Duration::from_millis(300)).await;
    trial.end(killed).await.refused_some().confirmed_some().recovered_within(AFTER_A_FAILOVER);
}
