//! A master with a replica and Sentinels.

use std::time::Duration;

use portcullis_redis::RedisConfig;
use portcullis_testkit::redis::{RedisSentinel, RedisServer};
use tokio::time::{Instant, sleep};

use super::Setup;
use crate::load::Load;
use crate::random::Random;
use crate::sentinel::{AFTER_AN_ANNOUNCEMENT, confirmed};

/// A master with a replica and Sentinels.
pub(super) struct Sentinel(RedisSentinel);

#[derive(Clone, Copy)]
enum Fault {
    FailedOver,
    MasterKilled,
    MasterHung,
    MasterHungShortly,
    SentinelKilled,
    Forgetful,
}

const FAULTS: [Fault; 6] = [
    Fault::FailedOver,
    Fault::MasterKilled,
    Fault::MasterHung,
    Fault::MasterHungShortly,
    Fault::SentinelKilled,
    Fault::Forgetful,
];

impl Setup for Sentinel {
    const NAME: &'static str = "Sentinel";

    async fn start() -> Self {
        Self(RedisSentinel::start())
    }

    fn config(&self) -> RedisConfig {
        RedisConfig::sentinel(self.0.urls(), self.0.master_name()).unwrap()
    }

    fn direct(&self) -> RedisConfig {
        self.config()
    }

    fn servers(&self) -> Vec<&RedisServer> {
        self.0.nodes().iter().chain(self.0.sentinels()).collect()
    }

    fn masters(&self) -> Vec<&RedisServer> {
        vec![self.0.master()]
    }

    async fn harm(&self, load: &Load, random: &mut Random) -> &'static str {
        let set = &self.0;
        let (old, short) = (set.current_master(), random.millis(20, 800));
        match random.one_of(&FAULTS) {
            Fault::FailedOver => {
                self.on_sand(load, old).await;
                set.fail_over();
                self.settle(load).await;
                "failed over as planned"
            }
            Fault::MasterKilled => {
                self.on_sand(load, old).await;
                set.node(old).kill();
                set.wait_for_failover(old);
                self.settle_after_failure(load).await;
                set.node(old).restart();
                set.wait_until_ok();
                "master killed"
            }
            Fault::MasterHung => {
                self.on_sand(load, old).await;
                set.node(old).pause();
                set.wait_for_failover(old);
                self.settle_after_failure(load).await;
                set.node(old).resume();
                set.wait_until_ok();
                "master hung"
            }
            Fault::MasterHungShortly => {
                set.node(old).pause();
                sleep(short).await;
                set.node(old).resume();
                "master hung for a moment"
            }
            Fault::SentinelKilled => {
                let sentinel = &set.sentinels()[usize::try_from(random.below(3)).unwrap()];
                sentinel.kill();
                sleep(short).await;
                sentinel.restart();
                set.wait_until_ok();
                "a Sentinel killed"
            }
            Fault::Forgetful => {
                set.node(old).command(&["SCRIPT", "FLUSH"]);
                "scripts forgotten"
            }
        }
    }
}

impl Sentinel {
    async fn on_sand(&self, load: &Load, old: usize) {
        load.on_sand(true);
        confirmed(self.0.node(old), self.0.node(1 - old)).await;
    }

    /// Everybody has left the old master.
    async fn settle(&self, load: &Load) {
        sleep(AFTER_AN_ANNOUNCEMENT).await;
        load.on_sand(false);
        self.0.wait_until_ok();
    }

    /// The same, when it does not answer.
    async fn settle_after_failure(&self, load: &Load) {
        load.recovery(Instant::now()).await;
        sleep(Duration::from_millis(100)).await;
        load.on_sand(false);
    }
}
