//! A server that answers, and says no.

use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{
    AtOnce, CredentialVersion, Destroyed, Enrolled, Saved, SessionBackend, StoreErrorKind, Tag, Touched,
};
use portcullis_testkit::redis::{Proxy, RedisServer};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{BUDGET, MARGIN, Session, backend, next, patient, record, recovery, timed};

#[tokio::test]
async fn a_full_server_is_full_and_still_reads_touches_and_destroys() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, first) = Session::stored(&backend).await;
    let (key, user) = (session.key(), session.user());
    let enrolment = session.enrolment(&first);
    let (replaced, stands) = Session::stored(&backend).await;
    assert_eq!(backend.enrol(key.locator, enrolment).await.unwrap(), Enrolled::Done);
    let second = next(&first, b"second");
    assert_eq!(backend.save(key, first.header.tag(), &second).await.unwrap(), Saved::Done);

    // noeviction is the default.
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    server.command(&["SCRIPT", "FLUSH"]);
    let (new, one_more) = (Session::new(), record(b"new"));
    let evicted = [key.locator];
    let refused = [
        ("save", backend.save(key, second.header.tag(), &next(&second, b"third")).await.map(drop)),
        ("create", backend.create(new.key(), &one_more).await.map(drop)),
        ("create_enrolled", backend.create_enrolled(new.key(), &one_more, enrolment).await.map(drop)),
        ("supersede", {
            let expected = stands.header.tag();
            backend.supersede(replaced.key(), expected, new.key(), &one_more, enrolment).await.map(drop)
        }),
        ("enrol", backend.enrol(new.key().locator, enrolment).await.map(drop)),
        ("enrol in a place", backend.enrol(new.key().locator, enrolment.evicted(&evicted)).await.map(drop)),
    ];
    for (operation, outcome) in refused {
        assert_eq!(outcome.map_err(|error| error.kind()), Err(StoreErrorKind::Full), "{operation}");
    }
    assert_eq!(backend.members(user).await.unwrap(), [key.locator], "nothing was entered");
    assert_eq!(backend.load(new.key()).await.unwrap(), None, "nothing was stored");
    assert_eq!(backend.load(replaced.key()).await.unwrap().as_ref(), Some(&stands), "nothing was superseded");

    assert_eq!(backend.load(key).await.unwrap().unwrap().payload, second.payload);
    tokio::time::sleep(Duration::from_millis(5)).await;
    let touched = backend.touch(key).await.unwrap();
    let Touched::Alive(deadline) = touched else { panic!("{touched:?}") };
    assert!(deadline > first.header.idle_deadline, "it moved");
    assert_eq!(backend.load(key).await.unwrap().unwrap().header.idle_deadline, deadline);
    let bumped = backend.bump_credential_version(user, BUDGET).await.unwrap();
    assert_eq!(bumped, CredentialVersion(1), "a password that was changed is more urgent than memory");
    assert_eq!(backend.destroy_enrolled(key, user).await.unwrap(), AtOnce::Done);
    assert_eq!(backend.load(key).await.unwrap(), None);
    assert_eq!(backend.members(user).await.unwrap(), []);
    backend.withdraw(user, &[key.locator]).await.unwrap();
    backend.destroy(&[key]).await.unwrap();
    for expected in [Destroyed::Done, Destroyed::Gone] {
        let destroyed = backend.destroy_unchanged(replaced.key(), stands.header.tag(), Tag([1; 8])).await;
        assert_eq!(destroyed.unwrap(), expected, "there is no room to note whose it was");
    }
}

/// Nothing goes elsewhere than where it is said to go: what is in another database is somebody else's.
#[tokio::test]
async fn everything_is_in_the_database_that_is_named_or_nowhere() {
    let server = RedisServer::start();
    let at = |database: u32| {
        RedisBackend::connect(RedisConfig::standalone(server.url()).unwrap().database(database)).unwrap()
    };
    let held = || server.command(&["INFO", "keyspace"]);
    let (outcome, took) = timed(at(99).load(Session::new().key())).await;
    assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Config);
    assert!(took < BUDGET + MARGIN, "{took:?}");
    let there_is_none = at(99).create(Session::new().key(), &record(b"")).await;
    assert_eq!(there_is_none.unwrap_err().kind(), StoreErrorKind::Config);
    assert!(!held().contains("db"), "{}", held());
    let (session, _) = Session::stored(&at(5)).await;
    assert!(held().contains("db5:keys=1,") && !held().contains("db0"), "{}", held());
    assert_eq!(at(0).load(session.key()).await.unwrap(), None);
}

#[tokio::test]
async fn a_wrong_password_is_a_matter_of_configuration_until_it_is_right() {
    let server = RedisServer::builder().tcp().password("old").start();
    let url = format!("redis://:new@127.0.0.1:{}", server.port().unwrap());
    let backend = backend(&url);
    let session = Session::new();
    for _ in 0..5 {
        let (outcome, took) = timed(backend.load(session.key())).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Config);
        assert!(!format!("{error:?}").contains("new"), "{error:?}");
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    server.command(&["CONFIG", "SET", "requirepass", "new"]);
    let took = recovery(&backend, &session).await;
    assert!(took < Duration::from_secs(1) + MARGIN, "{took:?}");
}

#[tokio::test]
async fn a_missing_password_is_a_matter_of_configuration() {
    let server = RedisServer::builder().tcp().password("secret").start();
    let backend = backend(&format!("redis://127.0.0.1:{}", server.port().unwrap()));
    let session = Session::new();
    let error = backend.load(session.key()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    server.command(&["CONFIG", "SET", "requirepass", ""]);
    let took = recovery(&backend, &session).await;
    assert!(took < Duration::from_secs(1) + MARGIN, "{took:?}");
}

#[tokio::test]
async fn a_missing_permission_is_a_matter_of_configuration() {
    let server = RedisServer::builder().tcp().start();
    server.command(&["ACL", "SETUSER", "app", "on", ">secret", "~p:*", "+get"]);
    let backend = backend(&format!("redis://app:secret@127.0.0.1:{}", server.port().unwrap()));
    let (session, record) = (Session::new(), record(b""));
    assert_eq!(backend.load(session.key()).await.unwrap(), None);
    let refused = [
        backend.create(session.key(), &record).await.map(drop),
        backend.save(session.key(), record.header.tag(), &record).await.map(drop),
        backend.destroy(&[session.key()]).await,
    ];
    for outcome in refused {
        assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Config);
    }
}

#[tokio::test]
async fn an_index_that_is_none_keeps_no_session_alive() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, _) = Session::stored(&backend).await;
    let index = format!("p:default:u:{{{}}}", session.user().user);
    server.command(&["SET", &index, "no index"]);
    assert_eq!(backend.destroy_enrolled(session.key(), session.user()).await.unwrap(), AtOnce::NotDone);
    assert_eq!(backend.load(session.key()).await.unwrap(), None);
    let told = backend.withdraw(session.user(), &[session.key().locator]).await.unwrap_err();
    assert_eq!(told.kind(), StoreErrorKind::Corrupt, "the step tells why");
}

#[tokio::test]
async fn a_write_waits_for_a_replica_to_become_a_master() {
    let server = RedisServer::builder().tcp().start();
    let proxy = Proxy::start(&server).await;
    let backend = patient(&proxy.url());
    let (session, record) = Session::stored(&backend).await;
    tokio::time::sleep(Duration::from_millis(250)).await; // older than one attempt
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let new = next(&record, b"new");
    let save = backend.save(session.key(), record.header.tag(), &new);
    let promotion = async {
        // Asked for anew: the address may lead to another server after a failover.
        let start = Instant::now();
        while proxy.connections() < 2 && start.elapsed() < Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.command(&["REPLICAOF", "NO", "ONE"]);
    };
    let (saved, ()) = tokio::join!(save, promotion);
    assert_eq!(saved.unwrap(), Saved::Done);
    assert!((2..=8).contains(&proxy.connections()), "{} connections", proxy.connections());
}

#[tokio::test]
async fn a_server_that_stays_a_replica_is_an_outage_and_not_a_storm() {
    let server = RedisServer::builder().tcp().start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let (session, record) = Session::stored(&backend).await;
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let mut writers = JoinSet::new();
    for _ in 0..16 {
        let backend = backend.clone();
        writers.spawn(async move { timed(backend.create(Session::new().key(), &self::record(b""))).await });
    }
    while let Some(written) = writers.join_next().await {
        let (outcome, took) = written.unwrap();
        let kind = outcome.unwrap_err().kind();
        assert!(matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::Timeout), "{kind:?}");
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    assert!(proxy.connections() <= 6, "{} connections", proxy.connections());
    assert_eq!(backend.load(session.key()).await.unwrap(), Some(record), "reads go on");
}

#[tokio::test]
async fn what_is_no_session_is_corrupt_and_stays() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, record) = (Session::new(), record(b""));
    server.command(&["LPUSH", &session.name(), "a list"]);
    server.command(&["SET", &session.index_name(), "no index"]);
    server.command(&["SET", &session.credentials_name(), "no number"]);
    let key = session.key();
    let refused = [
        ("load", backend.load(key).await.map(drop)),
        ("save", backend.save(key, record.header.tag(), &record).await.map(drop)),
        ("touch", backend.touch(key).await.map(drop)),
        ("members", backend.members(session.user()).await.map(drop)),
        ("enrol", backend.enrol(key.locator, session.enrolment(&record)).await.map(drop)),
        ("credential_version", backend.credential_version(session.user()).await.map(drop)),
    ];
    for (operation, outcome) in refused {
        assert_eq!(outcome.map_err(|error| error.kind()), Err(StoreErrorKind::Corrupt), "{operation}");
    }
    assert_eq!(server.command(&["LLEN", &session.name()]), "1");
}
