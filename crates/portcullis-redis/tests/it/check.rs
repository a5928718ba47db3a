//! What a check finds out about a server, besides permissions.

use std::sync::{Arc, Mutex};

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::StoreErrorKind;
use portcullis_testkit::redis::{Proxy, RedisServer};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{BUDGET, MARGIN, Session, backend, commands, timed};

async fn warnings(server: &RedisServer) -> Vec<String> {
    backend(&server.url()).check().await.unwrap().warnings()
}

/// A server that may be killed, because a replica has its data.
fn sound() -> (RedisServer, RedisServer) {
    let (server, replica) = (RedisServer::builder().tcp().start(), RedisServer::builder().tcp().start());
    replica.demote(&server);
    (server, replica)
}

#[tokio::test]
async fn a_sound_server_gives_no_warning_and_keeps_nothing_of_the_check() {
    let (server, _replica) = sound();
    let backend = backend(&server.url());
    let (report, sent) = commands(&server, backend.check()).await;
    let report = report.unwrap();
    assert_eq!((report.missing(), report.warnings()), (vec![], vec![]));
    let [found] = report.servers.as_slice() else { panic!("{report:?}") };
    assert_eq!(found.eviction.as_deref(), Some("noeviction"));
    assert_eq!((found.survives_restart, found.is_replica, found.is_full), (Some(true), false, false));
    let version = server.command(&["INFO", "server"]);
    assert!(version.contains(&format!("redis_version:{}", found.version.as_deref().unwrap())));
    assert_eq!(server.command(&["DBSIZE"]), "0");
    for needed in ["set", "eval", "evalsha", "zadd", "publish", "subscribe", "unsubscribe", "wait"] {
        assert_eq!(sent[needed], 1, "{needed}: {sent:?}");
    }
}

#[tokio::test]
async fn each_fault_of_a_server_is_a_warning() {
    let (server, _replica) = sound();
    for (policy, expected) in [
        ("allkeys-lru", Some("Set noeviction")),
        ("allkeys-random", Some("Set noeviction")),
        ("volatile-lru", Some("noeviction is better")),
        ("noeviction", None),
    ] {
        server.command(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let warnings = warnings(&server).await;
        assert_eq!(warnings.len(), usize::from(expected.is_some()), "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains(expected.unwrap())), "{warnings:?}");
    }
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = warnings(&server).await;
    assert!(full.len() == 1 && full[0].contains("is full"), "{full:?}");
}

#[tokio::test]
async fn a_server_that_loses_everything_when_it_ends_is_one() {
    let server = RedisServer::start();
    let lost = warnings(&server).await;
    assert!(lost.len() == 1 && lost[0].contains("keeps nothing"), "{lost:?}");
    for (option, value) in [("save", "3600 1"), ("appendonly", "yes")] {
        let kept = RedisServer::start();
        kept.command(&["CONFIG", "SET", option, value]);
        assert_eq!(warnings(&kept).await, [""; 0], "{option}");
    }
}

#[tokio::test]
async fn a_replica_is_found_out_by_whoever_may_ask_and_by_whoever_may_not() {
    let (server, replica) = sound();
    let asked = warnings(&replica).await;
    assert!(asked[0].contains("is a replica"), "{asked:?}");
    replica.command(&[
        "ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-info", "-role", "-config",
    ]);
    let app = backend(&format!("redis://app:secret@127.0.0.1:{}", replica.port().unwrap()));
    let report = app.check().await.unwrap();
    assert!(report.servers[0].is_replica && report.missing().is_empty(), "{report:?}");
    assert_eq!(report.servers[0].version, None);
    drop(server);
}

#[tokio::test]
async fn a_command_that_the_server_does_not_have_is_missing() {
    let server = RedisServer::builder().config("rename-command EVALSHA \"\"\n").start();
    let missing = backend(&server.url()).check().await.unwrap().missing();
    assert_eq!(missing, ["evalsha"]);
}

#[tokio::test]
async fn a_server_that_is_away_or_hangs_is_an_error_within_the_budget() {
    let server = RedisServer::builder().tcp().start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    proxy.black_hole();
    let (checked, took) = timed(backend.check()).await;
    assert_eq!(checked.unwrap_err().kind(), StoreErrorKind::Timeout);
    assert!(took < BUDGET + MARGIN, "{took:?}");
    proxy.forward();
    backend.check().await.unwrap();
    server.kill();
    let (checked, took) = timed(backend.check()).await;
    assert_eq!(checked.unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert!(took < BUDGET + MARGIN, "{took:?}");
}

#[tokio::test]
async fn connections_of_the_applications_own_are_checked_without_listening_on_them() {
    let server = RedisServer::builder().tcp().start();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let backend = RedisBackend::connect(RedisConfig::from_connection(connection)).unwrap();
    let (report, sent) = commands(&server, backend.check()).await;
    assert_eq!((report.unwrap().missing(), sent.get("subscribe")), (vec![], None));
    backend.ping().await.unwrap();
    let _ = Session::stored(&backend).await;
}

/// Keeps what is told as warnings.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "warning" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Told {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "portcullis_redis" && *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn every_warning_is_an_event() {
    let server = RedisServer::start();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let told = Told::default();
    // With one subscriber alone, an event that another test's thread comes to first would be off for all threads.
    let _second = tracing::Dispatch::new(told.clone());
    let _guard = tracing::subscriber::set_default(told.clone());
    let warnings = warnings(&server).await;
    assert_eq!(warnings.len(), 2);
    assert_eq!(*told.0.lock().unwrap(), warnings);
}
