//! The permissions that the crate's page names: with them everything works, and without any of them a check says which.

use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{Key, SessionBackend};
use portcullis_testkit::conformance::{Harness, session};
use portcullis_testkit::redis::{RedisCluster, RedisServer};

use crate::support::Session;

/// The `ACL SETUSER` lines of the crate's page, in its order.
#[derive(Clone, Copy)]
enum Line {
    OneServer,
    Sentinel,
    OfSentinels,
    Cluster,
}

impl Line {
    fn words(self) -> Vec<&'static str> {
        let documented = include_str!("../../src/lib.rs");
        let lines = documented.lines().filter_map(|line| line.strip_prefix("//! ACL SETUSER "));
        lines.map(|line| line.split(' ').collect()).nth(self as usize).unwrap()
    }

    /// Gives the user exactly these permissions on these servers, but for one.
    fn grant(self, servers: &[&RedisServer], but_for: Option<&str>) {
        let words = self.words().into_iter().filter(|word| Some(*word) != but_for);
        let mut command = vec!["ACL", "SETUSER"];
        command.extend(words);
        command.insert(3, "reset");
        for server in servers {
            server.command(&command);
        }
    }

    /// Each permission, and how a check calls it.
    fn permissions(self) -> Vec<(&'static str, &'static str)> {
        let name = |word: &'static str| match word {
            "~p:*" => Some("~keys"),
            "&p:*" => Some("&channels"),
            _ if word.starts_with('&') => Some(word),
            _ => word.strip_prefix('+'),
        };
        self.words().into_iter().filter_map(|word| Some((word, name(word)?))).collect()
    }
}

/// Servers with the user, and how to reach them as that user.
enum Stage {
    OneServer(Box<RedisServer>),
    /// The master, and who watches it.
    Sentinel(Box<[RedisServer; 2]>),
    Cluster(RedisCluster),
}

impl Stage {
    fn one_server() -> Self {
        Self::OneServer(Box::new(RedisServer::builder().tcp().start()))
    }

    fn sentinel() -> Self {
        let master = RedisServer::builder().tcp().start();
        let monitor = format!("sentinel monitor main 127.0.0.1 {} 1\n", master.port().unwrap());
        let sentinel = RedisServer::builder().tcp().config(monitor).flag("--sentinel").start();
        Self::Sentinel(Box::new([master, sentinel]))
    }

    fn cluster() -> Self {
        Self::Cluster(RedisCluster::start(3))
    }

    fn line(&self) -> Line {
        match self {
            Self::OneServer(_) => Line::OneServer,
            Self::Sentinel(_) => Line::Sentinel,
            Self::Cluster(_) => Line::Cluster,
        }
    }

    /// Those that hold sessions.
    fn servers(&self) -> Vec<&RedisServer> {
        match self {
            Self::OneServer(server) => vec![server],
            Self::Sentinel(servers) => vec![&servers[0]],
            Self::Cluster(cluster) => cluster.nodes().iter().collect(),
        }
    }

    fn grant(&self, but_for: Option<&str>) {
        self.line().grant(&self.servers(), but_for);
    }

    fn config(&self) -> RedisConfig {
        let url = |user: &str, server: &RedisServer| {
            format!("redis://{user}:secret@127.0.0.1:{}", server.port().unwrap())
        };
        match self {
            Self::OneServer(server) => RedisConfig::standalone(url("app", server)).unwrap(),
            Self::Sentinel(servers) => {
                let config = RedisConfig::sentinel([url("watcher", &servers[1])], "main").unwrap();
                config.username("app").password("secret")
            }
            Self::Cluster(cluster) => RedisConfig::cluster([url("app", cluster.node(0))]).unwrap(),
        }
    }

    fn backend(&self) -> RedisBackend {
        let patience = Duration::from_secs(20);
        RedisBackend::connect(self.config().budget(patience).attempt_timeout(patience / 4)).unwrap()
    }

    fn raw(&self, name: &str) -> redis::Connection {
        let server = match self {
            Self::OneServer(server) => server,
            Self::Sentinel(servers) => &servers[0],
            Self::Cluster(cluster) => cluster.node(cluster.master_of_key(name)),
        };
        redis::Client::open(server.url()).unwrap().get_connection().unwrap()
    }

    async fn missing(&self) -> Vec<String> {
        self.backend().check().await.unwrap().missing()
    }
}

fn name(key: Key<'_>) -> String {
    format!("p:{}:s:{}", key.realm, key.locator)
}

impl Harness for Stage {
    type Backend = RedisBackend;

    async fn handle(&self) -> RedisBackend {
        let backend = RedisBackend::connect(self.config()).unwrap();
        backend.load(Session::new().key()).await.unwrap();
        backend
    }

    async fn advance(&self, time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(20)).await;
    }

    fn unit(&self) -> Duration {
        Duration::from_millis(200)
    }

    async fn plant(&self, key: Key<'_>, bytes: &[u8]) -> bool {
        let name = name(key);
        redis::cmd("SET").arg(&name).arg(bytes).arg("EX").arg(60).exec(&mut self.raw(&name)).unwrap();
        true
    }

    async fn peek(&self, key: Key<'_>) -> Option<Vec<u8>> {
        let name = name(key);
        redis::cmd("GET").arg(&name).query(&mut self.raw(&name)).unwrap()
    }
}

async fn everything_works(stage: &Stage) {
    stage.grant(None);
    if let Stage::Sentinel(servers) = stage {
        let sentinel = &servers[1];
        Line::OfSentinels.grant(&[sentinel], None);
        // Who gives no name and password may do nothing.
        sentinel.command(&["ACL", "SETUSER", "default", "on", "+acl", "+info"]);
    }
    let report = stage.backend().check().await.unwrap();
    assert_eq!(report.missing(), [""; 0]);
    assert_eq!(report.warnings(), [""; 0], "what may not be asked is no warning");
    session::run(stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_for_everything_on_one_server() {
    everything_works(&Stage::one_server()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_for_everything_with_sentinel() {
    everything_works(&Stage::sentinel()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_permissions_suffice_for_everything_in_a_cluster() {
    everything_works(&Stage::cluster()).await;
}

#[tokio::test]
async fn each_permission_that_is_missing_is_named() {
    for stage in [Stage::one_server(), Stage::sentinel(), Stage::cluster()] {
        if let Stage::Sentinel(servers) = &stage {
            Line::OfSentinels.grant(&[&servers[1]], None);
        }
        for (permission, name) in stage.line().permissions() {
            stage.grant(Some(permission));
            assert_eq!(stage.missing().await, [name], "without {permission}");
            for server in stage.servers() {
                assert_eq!(server.command(&["DBSIZE"]), "0", "without {permission} nothing stays behind");
            }
        }
    }
}

#[tokio::test]
async fn each_permission_that_is_missing_at_the_sentinels_is_named() {
    let stage = Stage::sentinel();
    let Stage::Sentinel(servers) = &stage else { panic!("it is one") };
    stage.grant(None);
    let permissions = Line::OfSentinels.permissions();
    assert_eq!(permissions.len(), 3);
    for (permission, name) in permissions {
        Line::OfSentinels.grant(&[&servers[1]], Some(permission));
        assert_eq!(stage.missing().await, [name], "without {permission}");
    }
}

#[tokio::test]
async fn all_that_is_missing_is_named_at_once_and_on_every_master() {
    let stage = Stage::cluster();
    stage.grant(None);
    let Stage::Cluster(cluster) = &stage else { panic!("it is one") };
    cluster.node(1).command(&["ACL", "SETUSER", "app", "-zadd", "-publish"]);
    cluster.node(2).command(&["ACL", "SETUSER", "app", "-zadd", "-incr"]);
    let report = stage.backend().check().await.unwrap();
    assert_eq!(report.missing(), ["incr", "publish", "zadd"]);
    let mut found: Vec<_> =
        report.servers.iter().map(|server| (server.server.as_str(), server.missing.len())).collect();
    found.sort_unstable_by_key(|(_, missing)| *missing);
    assert_eq!(found.iter().map(|(_, missing)| *missing).collect::<Vec<_>>(), [0, 2, 2]);
    assert!(found[0].0.ends_with(&cluster.node(0).port().unwrap().to_string()), "{found:?}");
    assert_eq!(report.warnings().len(), 2);
}
