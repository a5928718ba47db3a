//! A server behind TLS, which goes away and comes back.

use std::time::Duration;

use portcullis_redis::{RedisConfig, TlsConfig};
use portcullis_testkit::redis::RedisServer;
use tokio::time::Instant;

use crate::trial::{AFTER_A_RESTART, Trial, machine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_tls_that_is_killed_and_restarted_costs_nothing_that_it_acknowledged() {
    let _machine = machine().await;
    let server =
        RedisServer::builder().tls().arg("--appendonly", "yes").arg("--appendfsync", "always").start();
    let tls = TlsConfig::new().certificate_authority(server.certificates().ca());
    let config = RedisConfig::standalone(server.url()).unwrap().tls(tls);
    let trial = Trial::begin("TLS server restarted", &config).await;
    server.kill();
    trial.goes_on_for(Duration::from_millis(800)).await;
    server.restart();
    trial.end(Instant::now()).await.refused_some().recovered_within(AFTER_A_RESTART).kept_all();
}
