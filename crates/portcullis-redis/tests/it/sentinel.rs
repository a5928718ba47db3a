//! A master that Sentinels watch: planned and unplanned failovers, and Sentinels that are away themselves.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{Created, SessionBackend};
use portcullis_testkit::redis::{RedisSentinel, RedisServer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
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

/// What Sentinels say that have a mind of their own and announce nothing.
#[derive(Clone)]
struct Opinion(Arc<Mutex<String>>);

impl Opinion {
    fn of(master: &RedisServer, epoch: u64) -> Self {
        let opinion = Self(Arc::default());
        opinion.becomes(master, epoch);
        opinion
    }

    fn becomes(&self, master: &RedisServer, epoch: u64) {
        let (master, epoch) = (master.address().unwrap(), epoch.to_string());
        let (ip, port) = (master.ip().to_string(), master.port().to_string());
        let fields = ["name", "m", "ip", &ip, "port", &port, "config-epoch", &epoch];
        *self.0.lock().unwrap() = fields.iter().fold(format!("*{}\r\n", fields.len()), |text, field| {
            format!("{text}${}\r\n{field}\r\n", field.len())
        });
    }

    /// A Sentinel that says so after a while, for as long as the tasks live. Gives its address.
    async fn sentinel(&self, tasks: &mut JoinSet<()>, after: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let opinion = self.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(says(stream, opinion.clone(), after));
            }
        });
        url
    }
}

/// Answers questions for the master with an opinion, and everything else with OK.
async fn says(stream: TcpStream, opinion: Opinion, after: Duration) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let count: usize = line(&mut stream).await?.strip_prefix('*')?.parse().ok()?;
        let mut words = Vec::new();
        for _ in 0..count {
            line(&mut stream).await?;
            words.push(line(&mut stream).await?);
        }
        let answer = if words.first()? == "SENTINEL" {
            tokio::time::sleep(after).await;
            opinion.0.lock().unwrap().clone()
        } else {
            "+OK\r\n".to_owned()
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_announces_another_master_is_believed_before_the_others_know() {
    let set = RedisSentinel::start();
    let mut tasks = JoinSet::new();
    // Two have not heard of the failover yet.
    let behind = Opinion::of(set.master(), 0);
    let at_once = Duration::ZERO;
    let (one, other) =
        (behind.sentinel(&mut tasks, at_once).await, behind.sentinel(&mut tasks, at_once).await);
    let urls = [set.sentinels()[0].url(), one, other];
    let backend = RedisBackend::connect(RedisConfig::sentinel(urls, set.master_name()).unwrap()).unwrap();
    let session = counter(&backend).await;
    set.master().command(&["WAIT", "1", "1000"]);
    tokio::time::sleep(Duration::from_millis(200)).await; // it listens
    let new = tokio::task::block_in_place(|| set.fail_over());
    tokio::time::sleep(Duration::from_millis(400)).await;
    for done in 1..=20 {
        add_one(&backend, &session).await.unwrap();
        assert_eq!(stored(&set, new, &session), done, "it is the new master that has it");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A new session is kept by this server, by and by.
async fn goes_to(server: &RedisServer, backend: &RedisBackend) {
    let began = Instant::now();
    loop {
        let session = Session::new();
        let _ = backend.create(session.key(), &record(b"0")).await;
        if server.command(&["EXISTS", &session.name()]) == "1" {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it stays elsewhere");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn masters() -> [RedisServer; 2] {
    [(); 2].map(|()| RedisServer::builder().tcp().start())
}

/// What is announced is heard at most once.
#[tokio::test]
async fn a_failover_that_nobody_has_announced_is_found_out_by_asking() {
    let ([old, new], mut tasks) = (masters(), JoinSet::new());
    let opinion = Opinion::of(&old, 0);
    let urls = [opinion.sentinel(&mut tasks, Duration::ZERO).await];
    let backend = RedisBackend::connect(RedisConfig::sentinel(urls, "m").unwrap()).unwrap();
    goes_to(&old, &backend).await;
    opinion.becomes(&new, 1);
    // The old one is well, and would take everything.
    goes_to(&new, &backend).await;
}

#[tokio::test]
async fn one_that_was_cut_off_does_not_outvote_the_others_by_being_faster() {
    let ([old, new], mut tasks) = (masters(), JoinSet::new());
    let (cut_off, others) = (Opinion::of(&old, 0), Opinion::of(&new, 1));
    let a_little_later = Duration::from_millis(30);
    let urls = [
        cut_off.sentinel(&mut tasks, Duration::ZERO).await,
        others.sentinel(&mut tasks, a_little_later).await,
        others.sentinel(&mut tasks, a_little_later).await,
    ];
    // Half an attempt is for asking: on a busy machine, too, they all answer within that.
    let second = Duration::from_secs(1);
    let config = RedisConfig::sentinel(urls, "m").unwrap().attempt_timeout(second * 10).budget(second * 20);
    goes_to(&new, &RedisBackend::connect(config).unwrap()).await;
    assert_eq!(old.command(&["DBSIZE"]), "0", "nothing went to the one that was the master");
}

/// As for a moment during each failover. What it holds may be old.
#[tokio::test]
async fn a_replica_is_not_even_read_from_whoever_calls_it_the_master() {
    let ([master, replica], mut tasks) = (masters(), JoinSet::new());
    replica.command(&["REPLICAOF", "127.0.0.1", &master.port().unwrap().to_string()]);
    let opinion = Opinion::of(&replica, 0);
    let urls = [opinion.sentinel(&mut tasks, Duration::ZERO).await];
    let backend = RedisBackend::connect(RedisConfig::sentinel(urls, "m").unwrap()).unwrap();
    for _ in 0..3 {
        let (loaded, took) = timed(backend.load(Session::new().key())).await;
        loaded.unwrap_err();
        assert!(took < BUDGET + MARGIN, "{took:?}");
    }
    opinion.becomes(&master, 1);
    goes_to(&master, &backend).await;
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
    // The Sentinels themselves take 1.5 s to find the master down, and some time to vote.
    assert!(took < Duration::from_millis(1500 + 2500) + MARGIN, "{took:?}");
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
