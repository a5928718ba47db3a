//! One server that keeps what it acknowledges, behind a network.

use portcullis_redis::RedisConfig;
use portcullis_testkit::redis::{Proxy, RedisServer};
use tokio::time::sleep;

use super::Setup;
use crate::load::Load;
use crate::random::Random;

/// One server, behind a network.
pub(super) struct Standalone {
    server: RedisServer,
    proxy: Proxy,
}

#[derive(Clone, Copy)]
enum Fault {
    Killed,
    Hung,
    Full,
    Forgetful,
    Demoted,
    ClosedConnections,
    BlackHoledConnections,
    BlackHole,
    Held,
    Slow,
    Narrow,
    RepliesLost,
    RepliesCut,
}

const FAULTS: [Fault; 13] = [
    Fault::Killed,
    Fault::Hung,
    Fault::Full,
    Fault::Forgetful,
    Fault::Demoted,
    Fault::ClosedConnections,
    Fault::BlackHoledConnections,
    Fault::BlackHole,
    Fault::Held,
    Fault::Slow,
    Fault::Narrow,
    Fault::RepliesLost,
    Fault::RepliesCut,
];

impl Setup for Standalone {
    const NAME: &'static str = "standalone";
    const REPLICATED: bool = false;

    async fn start() -> Self {
        let server =
            RedisServer::builder().tcp().arg("--appendonly", "yes").arg("--appendfsync", "always").start();
        let proxy = Proxy::start(&server).await;
        Self { server, proxy }
    }

    fn config(&self) -> RedisConfig {
        RedisConfig::standalone(self.proxy.url()).unwrap()
    }

    fn direct(&self) -> RedisConfig {
        RedisConfig::standalone(self.server.url()).unwrap()
    }

    fn servers(&self) -> Vec<&RedisServer> {
        vec![&self.server]
    }

    fn masters(&self) -> Vec<&RedisServer> {
        vec![&self.server]
    }

    async fn harm(&self, _: &Load, random: &mut Random) -> &'static str {
        let Self { server, proxy } = self;
        let (short, long) = (random.millis(20, 300), random.millis(300, 2500));
        match random.one_of(&FAULTS) {
            Fault::Killed => {
                server.kill();
                sleep(long).await;
                server.restart();
                "killed"
            }
            Fault::Hung => {
                server.pause();
                sleep(random.one_of(&[short, long])).await;
                server.resume();
                "hung"
            }
            Fault::Full => {
                server.command(&["CONFIG", "SET", "maxmemory", "100kb"]);
                sleep(long).await;
                server.command(&["CONFIG", "SET", "maxmemory", "0"]);
                "full"
            }
            Fault::Forgetful => {
                server.command(&["SCRIPT", "FLUSH"]);
                "scripts forgotten"
            }
            Fault::Demoted => {
                server.command(&["REPLICAOF", "127.0.0.1", "1"]);
                sleep(long).await;
                server.promote();
                "demoted"
            }
            Fault::ClosedConnections => {
                proxy.close_all();
                "connections closed"
            }
            Fault::BlackHoledConnections => {
                proxy.black_hole_open();
                "connections black-holed"
            }
            Fault::BlackHole => {
                proxy.black_hole();
                sleep(random.one_of(&[short, long])).await;
                proxy.forward();
                "network black-holed"
            }
            Fault::Held => {
                proxy.hold();
                sleep(random.one_of(&[short, long])).await;
                proxy.forward();
                "network away, late delivery"
            }
            Fault::Slow => {
                proxy.delay(random.millis(20, 500));
                sleep(long).await;
                proxy.forward();
                "network slow"
            }
            Fault::Narrow => {
                proxy.throttle(2_000 + random.below(40_000));
                sleep(long).await;
                proxy.throttle(0);
                "network narrow"
            }
            Fault::RepliesLost => {
                proxy.swallow_next_reply();
                sleep(short).await;
                "a reply lost"
            }
            Fault::RepliesCut => {
                for _ in 0..5 {
                    proxy.cut_next_reply();
                    sleep(short).await;
                }
                "replies cut"
            }
        }
    }
}
