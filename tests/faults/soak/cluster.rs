//! Three masters, each with a replica.

use portcullis_redis::RedisConfig;
use portcullis_testkit::redis::{RedisCluster, RedisServer};
use tokio::time::{Instant, sleep};

use super::Setup;
use crate::load::Load;
use crate::random::Random;
use crate::sentinel::confirmed;

/// Three masters, each with a replica.
pub(super) struct Cluster(RedisCluster);

#[derive(Clone, Copy)]
enum Fault {
    FailedOver,
    MasterKilled,
    MasterHung,
    MasterHungShortly,
    SlotsMoved,
    Forgetful,
}

const FAULTS: [Fault; 6] = [
    Fault::FailedOver,
    Fault::MasterKilled,
    Fault::MasterHung,
    Fault::MasterHungShortly,
    Fault::SlotsMoved,
    Fault::Forgetful,
];

impl Setup for Cluster {
    const NAME: &'static str = "cluster";

    async fn start() -> Self {
        Self(RedisCluster::builder(3).replicas(1).start())
    }

    fn config(&self) -> RedisConfig {
        RedisConfig::cluster(self.0.urls()).unwrap()
    }

    fn direct(&self) -> RedisConfig {
        self.config()
    }

    fn servers(&self) -> Vec<&RedisServer> {
        self.0.nodes().iter().collect()
    }

    fn masters(&self) -> Vec<&RedisServer> {
        self.0.nodes().iter().filter(|node| node.command(&["ROLE"]).starts_with("master")).collect()
    }

    async fn harm(&self, load: &Load, random: &mut Random) -> &'static str {
        let cluster = &self.0;
        let slot = u16::try_from(random.below(16384)).unwrap();
        let (victim, short) = (cluster.master_of_slot(slot), random.millis(20, 900));
        match random.one_of(&FAULTS) {
            Fault::FailedOver => {
                cluster.failover(cluster.replica_of(victim));
                "failed over as planned"
            }
            Fault::MasterKilled => {
                self.on_sand(load, victim).await;
                cluster.node(victim).kill();
                cluster.wait_until_ok();
                self.settle(load).await;
                cluster.node(victim).restart();
                cluster.wait_until_ok();
                "a master killed"
            }
            Fault::MasterHung => {
                self.on_sand(load, victim).await;
                cluster.node(victim).pause();
                cluster.wait_until_ok();
                self.settle(load).await;
                cluster.node(victim).resume();
                cluster.wait_until_ok();
                "a master hung"
            }
            Fault::MasterHungShortly => {
                cluster.node(victim).pause();
                sleep(short).await;
                cluster.node(victim).resume();
                "a master hung for a moment"
            }
            Fault::SlotsMoved => {
                let to = (0..cluster.nodes().len()).find(|&node| {
                    node != victim && cluster.node(node).command(&["ROLE"]).starts_with("master")
                });
                let people = load.people().iter().map(|person| RedisCluster::key_slot(person.cookie.key()));
                for slot in people.filter(|slot| cluster.master_of_slot(*slot) == victim) {
                    cluster.migrate_slot(slot, to.expect("there are three masters"));
                }
                cluster.wait_until_ok();
                "slots moved"
            }
            Fault::Forgetful => {
                cluster.node(victim).command(&["SCRIPT", "FLUSH"]);
                "scripts forgotten"
            }
        }
    }
}

impl Cluster {
    async fn on_sand(&self, load: &Load, victim: usize) {
        load.on_sand(true);
        confirmed(self.0.node(victim), self.0.node(self.0.replica_of(victim))).await;
    }

    async fn settle(&self, load: &Load) {
        load.recovery(Instant::now()).await;
        load.on_sand(false);
    }
}
