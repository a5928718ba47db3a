//! A master that Sentinels watch: planned and unplanned failovers, and Sentinels that are away themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{Created, SessionBackend};
use portcullis_testkit::redis::RedisSentinel;
use tokio::time::Instant;

use crate::support::{BUDGET, MARGIN, Session, add_one, count, record, timed};

pub(crate) fn backend(set: &RedisSentinel) -> RedisBackend {
    let config = RedisConfig::sentinel(set.urls(), set.master_name()).unwrap();
    RedisBackend::connect(config).unwrap()
}

async fn counter(backend: &RedisBackend) -> Session {
    let session = Session::new();
    assert_eq!(backend.create(session.key(), &record(b"0")).await.unwrap(), Created::Done);
    session
}

/// Waits for an answer; no call may take longer than its budget. Says how long it took in all.
async fn answered(backend: &RedisBackend, session: &Session) -> Duration {
    let start = Instant::now();
    loop {
        let (outcome, took) = timed(add_one(backend, session)).await;
        assert!(took < 2 * BUDGET + MARGIN, "a read and a write took {took:?}");
        match outcome {
            Ok(()) => return start.elapsed(),
            Err(error) => assert!(start.elapsed() < Duration::from_secs(20), "no recovery: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_failover_is_followed_when_it_is_announced() {
    let set = RedisSentinel::start();
    let backend = backend(&set);
    let session = counter(&backend).await;

    // Somebody writes all the time, so that a connection is never made anew for want of one.
    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (name, watched) = (session.clone(), (Arc::clone(&stop), Arc::clone(&acknowledged)));
    let writing = tokio::spawn({
        let backend = backend.clone();
        async move {
            while !watched.0.load(Ordering::Relaxed) {
                if add_one(&backend, &name).await.is_ok() {
                    watched.1.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let new = tokio::task::block_in_place(|| set.fail_over());
    // The old master goes on accepting writes, and loses them.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (before, stored_before) = (acknowledged.load(Ordering::Relaxed), stored(&set, new, &session));
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    let (after, stored_after) = (acknowledged.load(Ordering::Relaxed), stored(&set, new, &session));
    // One write may be between its acknowledgement and its count, each time.
    assert!(
        (stored_after - stored_before).abs_diff(after - before) <= 1,
        "{before} {stored_before} {after} {stored_after}"
    );
    assert!(after > before + 20, "{before} {after}");
}

/// The number in the new master.
fn stored(set: &RedisSentinel, node: usize, session: &Session) -> u64 {
    let mut raw = redis::Client::open(set.node(node).url()).unwrap().get_connection().unwrap();
    let bytes: Vec<u8> = redis::cmd("GET").arg(session.name()).query(&mut raw).unwrap();
    count(&portcullis_store::Record::decode(&bytes).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_nobody_planned_is_over_soon_after_the_sentinels_agree() {
    let set = RedisSentinel::start();
    let backend = backend(&set);
    let session = counter(&backend).await;
    set.master().command(&["WAIT", "1", "1000"]);
    set.master().kill();
    let took = answered(&backend, &session).await;
    // The Sentinels themselves take half a second to find the master down, and some time to vote.
    assert!(took < Duration::from_millis(500 + 2500) + MARGIN, "{took:?}");
    assert_eq!(
        count(&backend.load(session.key()).await.unwrap().unwrap()),
        1,
        "what was replicated is there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sentinel_of_three_is_enough_to_find_the_master() {
    let set = RedisSentinel::start();
    set.sentinels()[0].kill();
    set.sentinels()[1].pause();
    let backend = backend(&set);
    let (outcome, took) = timed(backend.load(Session::new().key())).await;
    assert_eq!(outcome.unwrap(), None);
    assert!(took < BUDGET + MARGIN, "{took:?}");
    set.sentinels()[1].resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sentinel_calls_fail_within_the_budget_and_recover() {
    let set = RedisSentinel::start();
    set.sentinels().iter().for_each(|sentinel| sentinel.kill());
    let backend = backend(&set);
    let session = Session::new();
    let start = Instant::now();
    for _ in 0..50 {
        let (outcome, took) = timed(backend.load(session.key())).await;
        outcome.unwrap_err();
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    set.sentinels()[2].restart();
    let recovered = Instant::now();
    while backend.load(session.key()).await.is_err() {
        assert!(recovered.elapsed() < Duration::from_secs(1) + MARGIN);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_go_away_cost_a_connection_that_serves_nothing() {
    let set = RedisSentinel::start();
    let backend = backend(&set);
    let session = counter(&backend).await;
    set.sentinels().iter().for_each(|sentinel| sentinel.kill());
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2500) {
        add_one(&backend, &session).await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_servers_have_passwords_of_their_own() {
    let set = RedisSentinel::builder().password("of the data").sentinel_password("of the sentinels").start();
    let config = RedisConfig::sentinel(set.urls(), set.master_name()).unwrap();
    let right = RedisBackend::connect(config.clone().password("of the data")).unwrap();
    right.ping().await.unwrap();
    let none = RedisBackend::connect(config).unwrap();
    assert_eq!(none.ping().await.unwrap_err().kind(), portcullis_store::StoreErrorKind::Config);
}
