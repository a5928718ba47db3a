//! Redis goes away under load, and comes back. A binary of its own: what it says about time it says of a machine that
//! does nothing else.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests: what goes wrong is a failed test; and only a part of the support is used"
)]

#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::SystemClock;
use portcullis_testkit::redis::RedisServer;
use tokio::time::Instant;

use crate::support::app::{Browser, World, now};
use crate::support::store::AnyStore;

/// The layer's default.
const BUDGET: Duration = Duration::from_millis(450);

/// What one kind of request met, from several tasks.
#[derive(Debug, Default)]
struct Tally {
    ok: AtomicU64,
    unavailable: AtomicU64,
    other: AtomicU64,
    slowest_millis: AtomicU64,
}

impl Tally {
    async fn ask(&self, browser: &Browser, path: &str) -> Option<String> {
        let start = Instant::now();
        let response = browser.get(path).await;
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap();
        self.slowest_millis.fetch_max(millis, Ordering::Relaxed);
        let counter = match response.status.as_u16() {
            200 => &self.ok,
            503 => &self.unavailable,
            _ => &self.other,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        (response.status == 200).then(|| response.text())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_under_load_costs_no_session_no_acknowledged_write_and_no_answer() {
    let server = RedisServer::builder().arg("--appendonly", "yes").arg("--appendfsync", "always").start();
    // The budgets that users get, too.
    let backend = RedisBackend::connect(RedisConfig::standalone(server.url()).unwrap()).unwrap();
    let store = AnyStore::Redis(backend, "p".to_owned());
    let world = World::with(&store, &now(), |layer| layer.clock(SystemClock).budget(BUDGET));
    let browser = world.browser();
    browser.get("/login?user=ada").await.assert_status(200);

    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let (signed_in, anonymous) = (Arc::new(Tally::default()), Arc::new(Tally::default()));
    let mut load = Vec::new();
    for n in 0..8 {
        let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let (signed_in, anonymous) = (Arc::clone(&signed_in), Arc::clone(&anonymous));
        let (browser, visitor) = (browser.clone(), browser.another());
        load.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                if n % 2 == 0 {
                    let text = signed_in.ask(&browser, "/me").await;
                    assert!(text.is_none_or(|text| text == "ada"), "never anonymous");
                } else if signed_in.ask(&browser, "/count").await.is_some() {
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                anonymous.ask(&visitor, "/me").await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }));
    }

    tokio::time::sleep(Duration::from_millis(300)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(1000)).await;
    let refused = signed_in.unavailable.load(Ordering::Relaxed);
    server.restart();
    let restarted = Instant::now();
    while browser.get("/me").await.status != 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let recovered = restarted.elapsed();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }

    println!("signed in {signed_in:?}, anonymous {anonymous:?}, recovered after {recovered:?}");
    assert!(refused > 0, "while it was away, requests with a cookie were answered 503");
    assert_eq!(signed_in.other.load(Ordering::Relaxed), 0, "and nothing else");
    assert_eq!(anonymous.unavailable.load(Ordering::Relaxed) + anonymous.other.load(Ordering::Relaxed), 0);
    assert!(signed_in.slowest_millis.load(Ordering::Relaxed) < 500, "{signed_in:?}");
    assert!(recovered < Duration::from_secs(1), "{recovered:?}");

    let counted: i64 = browser.get("/count").await.assert_status(200).text().parse().unwrap();
    assert!(counted > acknowledged.load(Ordering::Relaxed), "{counted} includes every acknowledged one");
    assert_eq!(browser.get("/me").await.text(), "ada");
}
