//! Ends of sessions that replicas confirm: how many do, for how long that is waited for, and whom it holds up.

use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{Key, SessionBackend, StoreError};
use portcullis_testkit::redis::{Proxy, RedisCluster, RedisServer};
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{BUDGET, MARGIN, Session, backend, patient, record, recovery, timed};

/// A master, and so many replicas of it that have its data.
fn replicated(replicas: usize) -> (RedisServer, Vec<RedisServer>) {
    let master = RedisServer::builder().tcp().start();
    let replicas: Vec<_> = (0..replicas).map(|_| RedisServer::builder().tcp().start()).collect();
    for replica in &replicas {
        replica.demote(&master);
    }
    catch_up(&master, replicas.len());
    (master, replicas)
}

/// Waits until so many replicas have all that the master has written. WAIT looks no further than to the last write of its
/// own connection; PUBLISH counts as one.
fn catch_up(master: &RedisServer, replicas: usize) {
    let mut connection = redis::Client::open(master.url()).unwrap().get_connection().unwrap();
    let mut pipeline = redis::pipe();
    pipeline.cmd("PUBLISH").arg("p:nobody").arg("").ignore().cmd("WAIT").arg(replicas).arg(20_000);
    let (caught_up,): (usize,) = pipeline.query(&mut connection).unwrap();
    assert_eq!(caught_up, replicas);
}

async fn destroyed_durably(backend: &RedisBackend, replicas: u32) -> (Result<u32, StoreError>, Duration) {
    let (session, _) = Session::stored(backend).await;
    let outcome = timed(backend.destroy_durably(&[session.key()], replicas)).await;
    assert_eq!(backend.load(session.key()).await.unwrap(), None);
    outcome
}

/// Waits in vain no longer than a test can, and for an answer as long as a busy machine takes.
const UNHURRIED: Duration = Duration::from_secs(3);

fn unhurried(url: &str) -> RedisBackend {
    let config = RedisConfig::standalone(url).unwrap().budget(UNHURRIED);
    RedisBackend::connect(config.attempt_timeout(UNHURRIED / 5)).unwrap()
}

/// How far the master's stream of replication has come.
fn offset(master: &RedisServer) -> u64 {
    let replication = master.command(&["INFO", "replication"]);
    let offset = replication.lines().find_map(|line| line.strip_prefix("master_repl_offset:"));
    offset.unwrap().parse().unwrap()
}

#[tokio::test]
async fn as_many_confirm_as_there_are() {
    for count in 0..=2 {
        let (master, replicas) = replicated(count);
        let patient = patient(&master.url());
        let (session, _) = Session::stored(&patient).await;
        let confirmed = patient.destroy_durably(&[session.key()], count.try_into().unwrap()).await.unwrap();
        assert_eq!(confirmed as usize, count);
        for replica in &replicas {
            assert_eq!(replica.command(&["EXISTS", &session.name()]), "0", "confirmed is gone");
        }
        let (outcome, took) = destroyed_durably(&unhurried(&master.url()), 9).await;
        assert_eq!(outcome.unwrap() as usize, count, "more than there are");
        assert!(took < UNHURRIED + MARGIN, "{took:?}");
    }
}

#[tokio::test]
async fn replicas_that_hang_do_not_count_and_do_not_take_more_than_the_budget() {
    let (master, replicas) = replicated(2);
    replicas[0].pause();
    for (asked, at_most) in [(1, UNHURRIED), (2, UNHURRIED + MARGIN)] {
        let (outcome, took) = destroyed_durably(&unhurried(&master.url()), asked).await;
        assert_eq!(outcome.unwrap(), 1);
        assert!(took < at_most, "{took:?}");
    }
    replicas[1].pause();
    let backend = backend(&master.url());
    backend.load(Session::new().key()).await.unwrap();
    for asked in [1, 2] {
        let (outcome, took) = destroyed_durably(&backend, asked).await;
        assert_eq!(outcome.unwrap(), 0);
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    replicas.iter().for_each(RedisServer::resume);
    let (outcome, _) = destroyed_durably(&patient(&master.url()), 2).await;
    assert_eq!(outcome.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_waits_meanwhile_not_even_others_who_wait() {
    let (master, replicas) = replicated(1);
    let backend = backend(&master.url());
    backend.load(Session::new().key()).await.unwrap();
    replicas[0].pause();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(async move { destroyed_durably(&backend, 1).await })
        })
        .collect();
    let blocked = || master.command(&["INFO", "clients"]).contains("blocked_clients:8");
    let start = Instant::now();
    while !blocked() {
        assert!(start.elapsed() < BUDGET, "all eight wait at the same time");
        sleep(Duration::from_millis(2)).await;
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let (loaded, took) = timed(backend.load(Session::new().key())).await;
        assert_eq!(loaded.unwrap(), None);
        slowest = slowest.max(took);
    }
    assert!(blocked(), "they were read while the others waited");
    assert!(slowest < Duration::from_millis(100), "a load took {slowest:?} of the 300 ms of a WAIT");
    for waiting in waiting {
        let (outcome, took) = waiting.await.unwrap();
        assert_eq!(outcome.unwrap(), 0);
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    assert_eq!(
        master.command(&["CLIENT", "LIST"]).lines().count(),
        3,
        "the shared one, the replica, and this"
    );
}

#[tokio::test]
async fn an_end_that_is_sent_again_is_confirmed_only_by_those_who_have_it() {
    let (master, replicas) = replicated(1);
    let proxy = Proxy::start(&master).await;
    let losses: [fn(&Proxy); 2] = [Proxy::cut_next_reply, Proxy::swallow_next_reply];
    for lose in losses {
        let backend = unhurried(&proxy.url());
        let (session, _) = Session::stored(&backend).await;
        catch_up(&master, 1);
        replicas[0].pause();
        lose(&proxy);
        let confirmed = backend.destroy_durably(&[session.key()], 1).await.unwrap();
        assert_eq!(confirmed, 0, "its first send has deleted, and the replica does not know it yet");
        // Nothing is there to delete, on a connection that has written nothing.
        assert_eq!(backend.destroy_durably(&[session.key()], 1).await.unwrap(), 0);
        replicas[0].resume();
        let patient = patient(&master.url());
        assert_eq!(patient.destroy_durably(&[session.key()], 1).await.unwrap(), 1, "called again");
        assert_eq!(replicas[0].command(&["EXISTS", &session.name()]), "0");
    }
}

/// On newer servers than the one that may be tested with, WAIT counts those that have the last write of its connection, and
/// to delete nothing is none.
#[tokio::test]
async fn what_is_confirmed_is_a_write_even_when_nothing_was_there() {
    let (master, _replicas) = replicated(1);
    let backend = patient(&master.url());
    let session = Session::new();
    for full in [false, true] {
        master.command(&["CONFIG", "SET", "maxmemory", if full { "1" } else { "0" }]);
        assert_eq!(backend.destroy_durably(&[session.key()], 1).await.unwrap(), 1, "full: {full}");
        let wait = master.command(&["CONFIG", "RESETSTAT"]);
        let before = offset(&master);
        assert_eq!((wait.as_str(), backend.destroy_durably(&[session.key()], 1).await.unwrap()), ("OK", 1));
        let grown = offset(&master) - before;
        // PUBLISH is in the stream, too: "*3 PUBLISH channel locator" is less than 100 bytes.
        assert!(grown > 150, "full: {full}: the stream has grown by {grown} bytes");
        assert_eq!(master.calls("set"), 1, "full: {full}");
        assert_eq!(master.command(&["EXISTS", &session.name()]), "0");
    }
}

#[tokio::test]
async fn sessions_have_ended_even_if_nobody_can_be_asked() {
    let (master, _replicas) = replicated(1);
    master.command(&["ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all", "-wait"]);
    let refused = backend(&format!("redis://app:secret@127.0.0.1:{}", master.port().unwrap()));
    let (outcome, _) = destroyed_durably(&refused, 1).await;
    assert_eq!(outcome.unwrap(), 0, "no permission to wait");

    // The shared connection is there, and no other can be made.
    master.command(&["ACL", "SETUSER", "app", "+wait"]);
    let alone = backend(&format!("redis://app:secret@127.0.0.1:{}", master.port().unwrap()));
    recovery(&alone, &Session::new()).await;
    master.command(&["ACL", "SETUSER", "app", "resetpass", ">changed"]);
    let session = Session::new();
    let (outcome, took) = timed(alone.destroy_durably(&[session.key()], 1)).await;
    assert_eq!(outcome.unwrap(), 0, "no connection");
    assert!(took < BUDGET + MARGIN, "{took:?}");
}

#[tokio::test]
async fn connections_of_the_applications_own_wait_if_nobody_shares_them() {
    let (master, _replicas) = replicated(1);
    let client = redis::Client::open(master.url()).unwrap();
    let shared = client.get_multiplexed_async_connection().await.unwrap();
    let new = move || {
        let client = client.clone();
        async move { client.get_multiplexed_async_connection().await.map(Box::new) }
    };
    let cases = [
        ("shared", RedisConfig::from_connection::<MultiplexedConnection>(shared), 0, 0),
        ("from a pool", RedisConfig::from_provider(new), 1, 1),
    ];
    for (name, config, confirmed, waits) in cases {
        let backend = RedisBackend::connect(config.budget(Duration::from_secs(20))).unwrap();
        let before = master.calls("wait");
        let (outcome, _) = destroyed_durably(&backend, 1).await;
        assert_eq!((outcome.unwrap(), master.calls("wait") - before), (confirmed, waits), "{name}");
    }
}

#[tokio::test]
async fn in_a_cluster_the_least_confirmed_counts_and_a_slot_on_its_way_is_not_confirmed() {
    let cluster = RedisCluster::builder(2).replicas(1).start();
    let patient = RedisConfig::cluster(cluster.urls()).unwrap().budget(Duration::from_secs(20));
    let patient = RedisBackend::connect(patient).unwrap();
    let quick = RedisBackend::connect(RedisConfig::cluster(cluster.urls()).unwrap()).unwrap();
    let sessions = on_each_master(&cluster, &patient).await;
    let keys: Vec<Key<'_>> = sessions.iter().map(Session::key).collect();
    assert_eq!(patient.destroy_durably(&keys, 1).await.unwrap(), 1);
    for session in &sessions {
        let replica = cluster.replica_of(cluster.master_of_key(session.name()));
        assert_eq!(cluster.node(replica).command(&["DBSIZE"]), "0");
    }

    let sessions = on_each_master(&cluster, &patient).await;
    let keys: Vec<Key<'_>> = sessions.iter().map(Session::key).collect();
    let replica = cluster.node(cluster.replica_of(cluster.master_of_key(sessions[0].name())));
    quick.destroy_durably(&[Session::new().key()], 0).await.unwrap();
    replica.pause();
    let (outcome, took) = timed(quick.destroy_durably(&keys, 1)).await;
    assert_eq!(outcome.unwrap(), 0, "one of the two has no replica that answers");
    assert!(took < BUDGET + MARGIN, "{took:?}");
    replica.resume();
    for key in &keys {
        assert_eq!(quick.load(*key).await.unwrap(), None);
    }
    cluster.wait_until_ok();

    let (session, _) = Session::stored(&patient).await;
    let slot = RedisCluster::key_slot(session.name());
    let migration = cluster.begin_migration(slot, 1 - cluster.master_of_slot(slot));
    // Deleted where it was: there the answer is ASK from now on, and the other's replicas know nothing of it.
    assert_eq!(quick.destroy_durably(&[session.key()], 1).await.unwrap(), 0);
    assert_eq!(quick.load(session.key()).await.unwrap(), None);
    migration.finish();
    assert_eq!(patient.destroy_durably(&[session.key()], 1).await.unwrap(), 1, "called again");
}

/// One session on each of the two masters.
async fn on_each_master(cluster: &RedisCluster, backend: &RedisBackend) -> Vec<Session> {
    let mut sessions = Vec::new();
    for master in 0..2 {
        let session = loop {
            let session = Session::new();
            if cluster.master_of_key(session.name()) == master {
                break session;
            }
        };
        let _ = backend.create(session.key(), &record(b"")).await.unwrap();
        sessions.push(session);
    }
    sessions
}

#[tokio::test]
async fn after_a_failover_the_new_masters_replicas_are_asked() {
    let (master, replicas) = replicated(2);
    let proxy = Proxy::start(&master).await;
    let backend = patient(&proxy.url());
    let (session, _) = Session::stored(&backend).await;
    catch_up(&master, 2);
    // What was the master is a replica of the one that was promoted, which has the session still.
    replicas[0].promote();
    assert_eq!(replicas[0].command(&["EXISTS", &session.name()]), "1");
    replicas[1].demote(&replicas[0]);
    let new = patient(&replicas[0].url());
    assert_eq!(new.destroy_durably(&[session.key()], 1).await.unwrap(), 1);
    assert_eq!(timeout(BUDGET, new.load(session.key())).await.unwrap().unwrap(), None);
    assert_eq!(replicas[1].command(&["EXISTS", &session.name()]), "0");
}
