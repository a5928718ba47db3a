//! The contract's own suite.

use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::Key;
use portcullis_testkit::conformance::{Harness, family, key_set, replay, session, token};
use portcullis_testkit::redis::{RedisCluster, RedisSentinel, RedisServer};

use crate::support::backend;

/// A backend, and the servers that it is on.
struct Redis<S> {
    servers: S,
    backend: fn(&S) -> RedisBackend,
}

/// The server that has a key.
trait Servers: Send + Sync + 'static {
    fn of_key(&self, name: &str) -> &RedisServer;

    /// Cuts the connections on which channels are heard.
    fn deafen(&self) {
        self.of_key("").command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    }
}

impl Servers for RedisServer {
    fn of_key(&self, _: &str) -> &RedisServer {
        self
    }
}

impl Servers for RedisCluster {
    fn of_key(&self, name: &str) -> &RedisServer {
        self.node(self.master_of_key(name))
    }
}

impl Servers for RedisSentinel {
    fn of_key(&self, _: &str) -> &RedisServer {
        self.master()
    }
}

/// The value in hexadecimal digits, because the testkit's own commands are text.
const AS_HEX: &str = "local value = redis.call('GET', KEYS[1]) or '' \
                      return (value:gsub('.', function(byte) return string.format('%02x', byte:byte()) end))";

fn name(key: Key<'_>) -> String {
    format!("p:{}:s:{}", key.realm, key.locator)
}

impl<S: Servers> Harness for Redis<S> {
    type Backend = RedisBackend;

    async fn handle(&self) -> RedisBackend {
        let backend = (self.backend)(&self.servers);
        // Connected now: a new session's lifetime runs from when the server has it.
        backend.ping().await.unwrap();
        backend
    }

    /// The same reason: the server has a record a little later than it was made.
    async fn advance(&self, time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(20)).await;
    }

    fn unit(&self) -> Duration {
        Duration::from_millis(200)
    }

    async fn plant(&self, key: Key<'_>, bytes: &[u8]) -> bool {
        let name = name(key);
        let escaped: String = bytes.iter().map(|byte| format!("\\{byte:03}")).collect();
        let script = format!("return redis.call('SET', KEYS[1], '{escaped}', 'EX', 60)");
        self.servers.of_key(&name).command(&["EVAL", &script, "1", &name]);
        true
    }

    async fn peek(&self, key: Key<'_>) -> Option<Vec<u8>> {
        let name = name(key);
        let hex = self.servers.of_key(&name).command(&["EVAL", AS_HEX, "1", &name]);
        let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        (!hex.is_empty()).then(|| hex.as_bytes().chunks(2).map(byte).collect())
    }

    async fn unreachable(&self) -> Option<RedisBackend> {
        Some(backend("unix:///nonexistent/redis.sock"))
    }

    async fn deafen(&self) -> bool {
        self.servers.deafen();
        true
    }
}

/// Nothing of what can be told is left out.
async fn tells<S: Servers>(redis: &Redis<S>) {
    use token::Promise;
    for promise in [Promise::WatchersAreToldWhatStands, Promise::WhatABreakHidIsTold] {
        assert_eq!(token::check(redis, promise).await, token::Verdict::Kept, "{promise:?}");
    }
}

fn at_its_url(server: &RedisServer) -> RedisBackend {
    backend(&server.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_keeps_its_contract_over_a_socket() {
    let redis = Redis { servers: RedisServer::start(), backend: at_its_url };
    session::run(&redis).await;
    token::run(&redis).await;
    replay::run(&redis).await;
    family::run(&redis).await;
    key_set::run(&redis).await;
    tells(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_keeps_its_contract_over_tcp() {
    let server = RedisServer::builder().tcp().password("s3cret&").start();
    session::run(&Redis { servers: server, backend: at_its_url }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_keeps_its_contract_on_a_cluster() {
    let cluster = RedisCluster::builder(3).password("s3cret&").start();
    let backend = |cluster: &RedisCluster| {
        RedisBackend::connect(RedisConfig::cluster(cluster.urls()).unwrap()).unwrap()
    };
    let redis = Redis { servers: cluster, backend };
    session::run(&redis).await;
    token::run(&redis).await;
    replay::run(&redis).await;
    family::run(&redis).await;
    key_set::run(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_keeps_its_contract_where_sentinels_watch() {
    // What a master that is being replaced still takes is lost: no contract holds while that happens, and on a busy machine
    // it would happen to one that is well.
    let set = RedisSentinel::builder().down_after(Duration::from_secs(60)).start();
    let first = set.current_master();
    let redis = Redis { servers: set, backend: crate::sentinel::backend };
    session::run(&redis).await;
    token::run(&redis).await;
    replay::run(&redis).await;
    family::run(&redis).await;
    key_set::run(&redis).await;
    tells(&redis).await;
    assert_eq!(redis.servers.current_master(), first, "the master was replaced meanwhile");
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread")]
async fn the_backend_keeps_its_contract_over_tls() {
    let server = RedisServer::builder().tls().password("s3cret&").start();
    session::run(&Redis { servers: server, backend: crate::tls::believing }).await;
}

/// On a runtime's thread a connection cannot be waited for, so that it is given by a provider.
#[tokio::test(flavor = "multi_thread")]
async fn the_backend_keeps_its_contract_on_connections_of_the_application() {
    let backend = |server: &RedisServer| {
        let client = redis::Client::open(server.url()).unwrap();
        let connection = std::sync::Arc::new(tokio::sync::OnceCell::new());
        let provider = move || {
            let (client, connection) = (client.clone(), std::sync::Arc::clone(&connection));
            async move {
                let connecting = || async { client.get_multiplexed_async_connection().await };
                connection.get_or_try_init(connecting).await.cloned().map(Box::new)
            }
        };
        RedisBackend::connect(RedisConfig::from_provider(provider)).unwrap()
    };
    session::run(&Redis { servers: RedisServer::start(), backend }).await;
}
