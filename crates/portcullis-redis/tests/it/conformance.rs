//! The contract's own suite.

use std::time::Duration;

use portcullis_redis::RedisBackend;
use portcullis_store::{Key, SessionBackend};
use portcullis_testkit::conformance::session::{self, Harness};
use portcullis_testkit::redis::RedisServer;

use crate::support::{Session, backend};

struct Redis {
    server: RedisServer,
    raw: redis::Client,
}

impl Redis {
    fn on(server: RedisServer) -> Self {
        let raw = redis::Client::open(server.url()).unwrap();
        Self { server, raw }
    }
}

fn name(key: Key<'_>) -> String {
    format!("p:{}:s:{}", key.realm, key.locator)
}

impl Harness for Redis {
    type Backend = RedisBackend;

    async fn handle(&self) -> RedisBackend {
        let backend = backend(&self.server.url());
        // Connected now: a new session's lifetime runs from when the server has it.
        backend.load(Session::new().key()).await.unwrap();
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
        let mut connection = self.raw.get_connection().unwrap();
        redis::cmd("SET").arg(name(key)).arg(bytes).arg("EX").arg(60).exec(&mut connection).unwrap();
        true
    }

    async fn peek(&self, key: Key<'_>) -> Option<Vec<u8>> {
        let mut connection = self.raw.get_connection().unwrap();
        redis::cmd("GET").arg(name(key)).query(&mut connection).unwrap()
    }

    async fn unreachable(&self) -> Option<RedisBackend> {
        Some(backend("unix:///nonexistent/redis.sock"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_keeps_its_contract_over_a_socket() {
    session::run(&Redis::on(RedisServer::start())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_keeps_its_contract_over_tcp() {
    session::run(&Redis::on(RedisServer::builder().tcp().password("s3cret&").start())).await;
}
