//! Those who are told what is revoked: what is read for them, what is sent, and what is not taken for peace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{
    Locator, REVOCATIONS_ARE_TOLD_WITHIN, Realm, Revocation, RevocationNotice, RevocationWatcher, Revoked,
    SessionBackend, StoreErrorKind, TokenBackend, TokenQuery, UserKey, Watching,
};
use portcullis_testkit::redis::{RedisCluster, RedisServer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::support::{HOUR, Session, backend, commands};
use crate::watching::{becomes, listen as listen_for_sessions};

/// How long anything may take on a busy machine that is bound to happen.
const PATIENT: Duration = Duration::from_secs(20);

/// What somebody was told.
#[derive(Default)]
struct Ear(Mutex<Told>);

#[derive(Default)]
struct Told {
    revoked: HashMap<Revoked, Duration>,
    until: Option<Instant>,
    breaks: usize,
}

impl RevocationWatcher for Ear {
    fn notice(&self, notice: RevocationNotice<'_>) {
        let mut told = self.0.lock().unwrap();
        match notice {
            RevocationNotice::Revoked(all) => {
                told.revoked.extend(all.iter().map(|Revocation { what, keep }| (*what, *keep)));
            }
            RevocationNotice::Current { until } => told.until = until.map(Instant::from_std),
            RevocationNotice::Deaf => *told = Told { breaks: told.breaks + 1, ..Told::default() },
        }
    }
}

impl Ear {
    fn is_current(&self) -> bool {
        self.0.lock().unwrap().until.is_some_and(|until| Instant::now() < until)
    }

    fn breaks(&self) -> usize {
        self.0.lock().unwrap().breaks
    }

    fn told(&self, what: Revoked) -> Option<Duration> {
        self.0.lock().unwrap().revoked.get(&what).copied()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().revoked.len()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENT, "never {what}");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn enter(backend: &RedisBackend) -> (Arc<Ear>, Watching) {
    let ear = Arc::new(Ear::default());
    let watching = backend.watch_revocations(&Realm::default(), Arc::clone(&ear) as _).unwrap();
    (ear, watching)
}

async fn listen(backend: &RedisBackend) -> (Arc<Ear>, Watching) {
    let (ear, watching) = enter(backend);
    ear.until("current", Ear::is_current).await;
    (ear, watching)
}

fn user(realm: &Realm) -> UserKey<'_> {
    UserKey { realm, user: Locator::from_bytes([7; 16]) }
}

fn name(number: u128) -> Locator {
    Locator::from_bytes(number.to_be_bytes())
}

fn token(number: u128) -> Revoked {
    Revoked::Token { user: user(&Realm::default()).user, token: name(number) }
}

async fn revoke(backend: &RedisBackend, number: u128) {
    backend.revoke_token(user(&Realm::default()), name(number), HOUR).await.unwrap();
}

#[tokio::test]
async fn everything_that_stands_is_read_among_much_else() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let realm = Realm::default();
    let fill = "for i = 1, 5000 do redis.call('SET', 'p:default:s:' .. i, '') end \
                for i = 1, 50 do redis.call('SET', 'p:default:t:{' .. i .. '}:x', '') end return 1";
    server.command(&["EVAL", fill, "0"]);
    for number in 0..2_500 {
        revoke(&backend, number).await;
    }
    backend.revoke_family(user(&realm), name(1), HOUR / 2).await.unwrap();
    let epoch = backend.revoke_user(user(&realm), HOUR).await.unwrap();
    let all = backend.revoke_everyone(&realm, HOUR * 2).await.unwrap();
    let elsewhere: Realm = "staff".parse().unwrap();
    backend.revoke_token(user(&elsewhere), name(9_999), HOUR).await.unwrap();
    // What does not expire counts for as long as it is there.
    server.command(&["SET", &format!("p:default:t:{{{}}}:{}", user(&realm).user, name(7_777)), ""]);

    let ((ear, _watch), sent) = commands(&server, listen(&backend)).await;
    assert!((0..2_500).all(|number| ear.told(token(number)).is_some_and(|keep| keep > HOUR * 9 / 10)));
    let user = user(&realm).user;
    let family = ear.told(Revoked::Family { user, family: name(1) }).unwrap();
    assert!(family <= HOUR / 2 && family > HOUR / 3, "{family:?}");
    assert!(ear.told(Revoked::User { user, epoch }).is_some());
    assert!(ear.told(Revoked::Everyone { epoch: all }).is_some_and(|keep| keep > HOUR));
    assert!(ear.told(token(7_777)).is_some_and(|keep| keep > HOUR * 1_000));
    assert_eq!(ear.count(), 2_504, "nothing else");
    assert!((25..=60).contains(&sent["scan"]), "{sent:?}");
    assert!(!sent.contains_key("keys"));
    let connections = || server.command(&["CLIENT", "LIST"]).lines().count();
    ear.until("closed", |_| connections() == 3).await; // commands, messages, and the one that counts
}

#[tokio::test]
async fn one_connection_hears_of_sessions_and_of_tokens_and_is_there_while_somebody_watches() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (of_sessions, watch_sessions) = listen_for_sessions(&backend, &Realm::default());
    of_sessions.hears("Hearing").await;
    let (first, watch_first) = listen(&backend).await;
    let (second, watch_second) = listen(&backend.clone()).await;
    becomes(&server, 1).await;
    revoke(&backend, 1).await;
    let session = Session::new();
    backend.destroy(&[session.key()]).await.unwrap();
    of_sessions.hears(&format!("[{}]", session.key().locator)).await;
    for ear in [&first, &second] {
        ear.until("told", |ear| ear.told(token(1)).is_some()).await;
    }
    drop((watch_first, watch_sessions));
    revoke(&backend, 2).await;
    second.until("told", |ear| ear.told(token(2)).is_some()).await;
    assert_eq!(first.told(token(2)), None, "it does not watch any more");
    drop(watch_second);
    becomes(&server, 0).await;
    let (_, sent) = commands(&server, sleep(Duration::from_millis(1_200))).await;
    assert_eq!(sent.get("publish"), None, "nobody publishes to itself whom nobody watches");
}

#[tokio::test]
async fn who_comes_and_goes_breaks_nothing() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (of_sessions, _watch_sessions) = listen_for_sessions(&backend, &Realm::default());
    of_sessions.hears("Hearing").await;
    // The channel on which the process hears itself is there for a while, and is not, and is again.
    for _ in 0..3 {
        let (ear, _watch) = listen(&backend).await;
        for _ in 0..5 {
            let (_other, _watch) = listen(&backend).await;
        }
        sleep(Duration::from_millis(1_800)).await;
        assert!(ear.is_current() && ear.breaks() == 0);
    }
}

#[tokio::test]
async fn what_is_told_is_good_for_as_long_as_it_is_kept() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let realm = Realm::default();
    let (ear, _watch) = listen(&backend).await;
    backend.revoke_user(user(&realm), HOUR * 2).await.unwrap();
    // Who calls now knows of no token that lives for longer; whoever called before did.
    let epoch = backend.revoke_user(user(&realm), HOUR).await.unwrap();
    let told = Revoked::User { user: user(&realm).user, epoch };
    ear.until("told", |ear| ear.told(told).is_some()).await;
    let keep = ear.told(told).unwrap();
    assert!(keep > HOUR * 3 / 2 && keep <= HOUR * 2, "{keep:?}");
}

/// Forwards each new connection to the server that is chosen at that time, and leaves those that are there alone.
async fn switch(servers: [u16; 2]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, chosen) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let choice = Arc::clone(&chosen);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let port = servers[choice.load(Ordering::SeqCst)];
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, chosen)
}

/// As after a failover that left the old master alive: it answers each PING, and hears nothing that counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_at_a_server_to_which_commands_do_not_go_any_more_is_given_up() {
    let [old, new] = [(); 2].map(|()| RedisServer::builder().tcp().start());
    let (port, chosen) = switch([old.port().unwrap(), new.port().unwrap()]).await;
    let watcher = backend(&format!("redis://127.0.0.1:{port}"));
    revoke(&watcher, 1).await;
    let (ear, _watch) = listen(&watcher).await;

    chosen.store(1, Ordering::SeqCst);
    old.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    let breaks = ear.breaks();
    let elsewhere = backend(&new.url());
    revoke(&elsewhere, 2).await;
    let (returned, realm) = (Instant::now(), Realm::default());
    while ear.told(token(2)).is_none() {
        let late = returned.elapsed();
        assert!(
            !ear.is_current() || late < REVOCATIONS_ARE_TOLD_WITHIN,
            "it takes itself for current: {late:?}"
        );
        assert!(late < PATIENT, "it stays where it is");
        // Somebody asks something now and then, so that commands do go to the new one.
        let _ = watcher.status(TokenQuery { user: user(&realm), token: None, family: None }).await;
        sleep(Duration::from_millis(2)).await;
    }
    ear.until("current", Ear::is_current).await;
    assert!(ear.breaks() > breaks);
    assert_eq!(
        ear.told(token(1)),
        None,
        "what only the old one knows is forgotten, as who asks has forgotten it"
    );
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_a_break() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    revoke(&backend, 1).await;
    let (ear, _watch) = listen(&backend).await;
    for bad in ["", "x:1", "t:short:1", "a:1"] {
        let breaks = ear.breaks();
        server.command(&["PUBLISH", "p:default:revoked", bad]);
        ear.until("broken, and current again", |ear| ear.breaks() > breaks && ear.is_current()).await;
        assert!(ear.told(token(1)).is_some(), "{bad}");
    }
}

#[tokio::test]
async fn who_cannot_read_what_stands_is_never_current() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let key = format!("p:default:e:{{{}}}", user(&Realm::default()).user);
    server.command(&["SET", &key, "not a number"]);
    let (ear, _watch) = enter(&backend);
    sleep(Duration::from_millis(700)).await;
    assert!(!ear.is_current(), "who asks is told that it cannot be read");
    server.command(&["DEL", &key]);
    ear.until("current", Ear::is_current).await;
}

#[tokio::test]
async fn without_a_permission_nobody_is_current_and_what_cannot_be_told_is_no_success() {
    let server = RedisServer::builder().tcp().start();
    server.command(&["ACL", "SETUSER", "mute", "on", ">secret", "~p:*", "+@all", "allchannels"]);
    let mute = backend(&format!("redis://mute:secret@127.0.0.1:{}", server.port().unwrap()));
    let realm = Realm::default();
    for (missing, back) in [("-scan", "+scan"), ("-subscribe", "+subscribe")] {
        server.command(&["ACL", "SETUSER", "mute", missing]);
        let (ear, watch) = enter(&mute);
        sleep(Duration::from_millis(500)).await;
        assert!(!ear.is_current(), "{missing}");
        revoke(&mute, 1).await;
        server.command(&["ACL", "SETUSER", "mute", back]);
        ear.until("current", Ear::is_current).await;
        assert!(ear.told(token(1)).is_some(), "{missing}");
        drop(watch);
        becomes(&server, 0).await;
    }
    server.command(&["ACL", "SETUSER", "mute", "-publish"]);
    let (ear, _watch) = enter(&mute);
    sleep(Duration::from_millis(500)).await;
    assert!(!ear.is_current(), "it has read all, and cannot know that it hears");
    server.command(&["ACL", "SETUSER", "mute", "+publish"]);
    ear.until("current", Ear::is_current).await;
    server.command(&["ACL", "SETUSER", "mute", "-publish"]);
    let error = mute.revoke_token(user(&realm), name(2), HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    let query = TokenQuery { user: user(&realm), token: Some(name(2)), family: None };
    assert!(mute.status(query).await.unwrap().token_is_revoked, "it is revoked all the same");
    let error = mute.revoke_user(user(&realm), HOUR).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Config);
    ear.until("no longer current", |ear| !ear.is_current()).await;
    server.command(&["ACL", "SETUSER", "mute", "+publish"]);
    ear.until("current again", Ear::is_current).await;
}

#[tokio::test]
async fn another_database_and_another_prefix_are_somebody_else_s() {
    let server = RedisServer::start();
    let at = |database: u32, prefix: &str| {
        let config = RedisConfig::standalone(server.url()).unwrap();
        RedisBackend::connect(config.database(database).key_prefix(prefix)).unwrap()
    };
    let (here, fifth, other) = (at(0, "p"), at(5, "p"), at(0, "q"));
    let (ear, _watch) = listen(&here).await;
    let (ear_of_fifth, _watch_of_fifth) = listen(&fifth).await;
    for (number, backend) in [(1, &fifth), (2, &other), (3, &here)] {
        revoke(backend, number).await;
    }
    ear.until("told", |ear| ear.told(token(3)).is_some()).await;
    ear_of_fifth.until("told", |ear| ear.told(token(1)).is_some()).await;
    assert_eq!((ear.count(), ear_of_fifth.count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_and_on_connections_of_the_application_s_own_everybody_asks() {
    let cluster = RedisCluster::start(3);
    let spread = RedisBackend::connect(RedisConfig::cluster(cluster.urls()).unwrap()).unwrap();
    assert!(spread.watch_revocations(&Realm::default(), Arc::new(Ear::default())).is_none());
    revoke(&spread, 1).await;

    let server = RedisServer::start();
    let client = redis::Client::open(server.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let own = RedisBackend::connect(RedisConfig::from_connection(connection)).unwrap();
    assert!(own.watch_revocations(&Realm::default(), Arc::new(Ear::default())).is_none());
    // But others are told of what it revokes.
    let (ear, _watch) = listen(&backend(&server.url())).await;
    revoke(&own, 2).await;
    ear.until("told", |ear| ear.told(token(2)).is_some()).await;
}

#[test]
fn a_watch_outlives_the_runtime_that_listened() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    assert!(backend.watch_revocations(&Realm::default(), Arc::new(Ear::default())).is_none());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (ear, _watch) = first.block_on(listen(&backend));
    drop(first);
    assert!(!ear.is_current() && ear.breaks() == 1, "it is told when its runtime ends");
    runtime().block_on(async {
        revoke(&backend, 1).await;
        let (_other, _watch) = listen(&backend).await;
        ear.until("current", Ear::is_current).await;
        assert!(ear.told(token(1)).is_some());
    });
}
