//! Key sets that a fleet shares, and who may ask an issuer.

use std::time::Duration;

use portcullis_redis::RedisBackend;
use portcullis_store::{KeySetBackend, LONGEST_KEY_SET, Locator, SharedKeySet, StoreErrorKind};
use portcullis_testkit::redis::{RedisCluster, RedisServer};

use crate::support::{HOUR, backend, commands};

const LEASE: Duration = Duration::from_secs(6);

fn named(byte: u8) -> Locator {
    Locator::from_bytes([byte; 16])
}

fn issuer() -> Locator {
    named(9)
}

fn set(tag: u8, age: u64) -> SharedKeySet {
    let (age, ttl) = (Duration::from_secs(age), Duration::from_secs(600));
    SharedKeySet { tag: named(tag), age, ttl, document: format!("{{\"set\":{tag}}}").into_bytes() }
}

async fn there(backend: &RedisBackend) -> Option<(Locator, u64)> {
    let set = backend.load(issuer()).await.unwrap()?;
    Some((set.tag, set.age.as_secs()))
}

async fn keeps_its_promises(one: &RedisBackend, other: &RedisBackend) {
    assert_eq!(there(other).await, None);
    one.save(issuer(), set(1, 100), HOUR).await.unwrap();
    let found = other.load(issuer()).await.unwrap().unwrap();
    assert_eq!((found.tag, found.ttl.as_secs(), found.document), (named(1), 600, set(1, 0).document));
    assert!((100..110).contains(&found.age.as_secs()));

    one.save(issuer(), set(2, 200), HOUR).await.unwrap();
    assert_eq!(there(other).await.unwrap().0, named(1), "the older one came late");
    other.save(issuer(), set(3, 50), HOUR).await.unwrap();
    assert_eq!(there(one).await.unwrap().0, named(3));
    assert!(one.load(named(8)).await.unwrap().is_none(), "another issuer's");

    assert!(one.lease(issuer(), named(1), LEASE).await.unwrap());
    assert!(!other.lease(issuer(), named(2), LEASE).await.unwrap());
    assert!(one.lease(issuer(), named(1), LEASE).await.unwrap(), "sent twice");
    assert!(other.lease(named(8), named(2), LEASE).await.unwrap(), "another issuer's");
    other.release(issuer(), named(2)).await.unwrap();
    assert!(!other.lease(issuer(), named(2), LEASE).await.unwrap(), "only its holder ends it");
    one.release(issuer(), named(1)).await.unwrap();
    assert!(other.lease(issuer(), named(2), Duration::from_millis(50)).await.unwrap());
    let mut waited = 0;
    while !one.lease(issuer(), named(1), LEASE).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(10)).await;
        waited += 1;
        assert!(waited < 500, "it ends by itself");
    }
}

#[tokio::test]
async fn the_youngest_set_stays_and_a_lease_has_one_holder() {
    let server = RedisServer::start();
    keeps_its_promises(&backend(&server.url()), &backend(&server.url())).await;
}

#[tokio::test]
async fn so_it_is_on_a_cluster() {
    let cluster = RedisCluster::start(3);
    keeps_its_promises(&backend_of(&cluster), &backend_of(&cluster)).await;
}

fn backend_of(cluster: &RedisCluster) -> RedisBackend {
    RedisBackend::connect(portcullis_redis::RedisConfig::cluster(cluster.urls()).unwrap()).unwrap()
}

#[tokio::test]
async fn each_call_is_one_round_trip_and_what_is_kept_goes_by_itself() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let all = async || {
        backend.load(issuer()).await.unwrap();
        backend.save(issuer(), set(1, 0), HOUR).await.unwrap();
        backend.lease(issuer(), named(1), LEASE).await.unwrap();
        backend.release(issuer(), named(1)).await.unwrap();
    };
    all().await; // so that the server knows the scripts
    let (_, sent) = commands(&server, all()).await;
    assert_eq!((sent["evalsha"], sent.get("eval")), (4, None), "{sent:?}");
    let left: u64 = server.command(&["PTTL", &key(&server)]).parse().unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left}");
    backend.lease(issuer(), named(1), LEASE).await.unwrap();
    let left: u64 = server.command(&["PTTL", &format!("{}:lease", key(&server))]).parse().unwrap();
    assert!((1..=6_000).contains(&left), "{left}");
}

#[tokio::test]
async fn what_nobody_has_written_is_corrupt_and_is_written_over() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    backend.save(issuer(), set(1, 0), HOUR).await.unwrap();
    let key = key(&server);
    let far = format!("{:016}{:016}{}{{}}", 9_000_000_000_000_000_u64, 600_000, named(2).as_str());
    for bad in ["", "nonsense", far.as_str()] {
        server.command(&["SET", &key, bad]);
        let error = backend.load(issuer()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{bad}");
        backend.save(issuer(), set(1, 5), HOUR).await.unwrap();
        assert_eq!(there(&backend).await.unwrap().0, named(1), "{bad}");
    }
}

#[tokio::test]
async fn too_long_a_document_is_neither_kept_nor_sent_over() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let long = SharedKeySet { document: vec![b' '; LONGEST_KEY_SET + 1], ..set(1, 0) };
    assert_eq!(backend.save(issuer(), long, HOUR).await.unwrap_err().kind(), StoreErrorKind::TooLarge);
    let longest = SharedKeySet { document: vec![b' '; LONGEST_KEY_SET], ..set(1, 0) };
    backend.save(issuer(), longest, HOUR).await.unwrap();
    assert_eq!(backend.load(issuer()).await.unwrap().unwrap().document.len(), LONGEST_KEY_SET);
    server.command(&["APPEND", &key(&server), " "]);
    assert_eq!(backend.load(issuer()).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
}

/// Where the one set is.
fn key(server: &RedisServer) -> String {
    let found = server.command(&["KEYS", "*:keys:{*}"]);
    found.lines().next().unwrap().trim_matches('"').to_owned()
}
