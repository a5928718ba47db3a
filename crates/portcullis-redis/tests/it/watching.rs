//! The connection that hears which sessions have ended: when it is there, what breaks it, and what is told then.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_redis::RedisBackend;
use portcullis_store::{AtOnce, Destroyed, Key, Notice, Realm, SessionBackend, Watcher, Watching};
use portcullis_testkit::redis::{Proxy, RedisServer};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::support::{BUDGET, MARGIN, Session, backend, commands, record, tag, timed};

#[derive(Default)]
pub(crate) struct Ear {
    told: Mutex<Vec<String>>,
    rung: Notify,
}

impl Watcher for Ear {
    fn notice(&self, notice: Notice<'_>) {
        self.told.lock().unwrap().push(match notice {
            Notice::Ended(locators) => format!("{locators:?}"),
            state @ (Notice::Hearing | Notice::Deaf) => format!("{state:?}"),
        });
        self.rung.notify_one();
    }
}

impl Ear {
    /// Waits until it has been told this, and forgets what came before.
    pub(crate) async fn hears(&self, what: &str) {
        let heard = async {
            loop {
                {
                    let mut told = self.told.lock().unwrap();
                    if let Some(at) = told.iter().position(|told| told == what) {
                        told.drain(..=at);
                        return;
                    }
                }
                self.rung.notified().await;
            }
        };
        let heard = timeout(Duration::from_secs(10), heard).await;
        assert!(heard.is_ok(), "never heard {what}, but {:?}", self.told.lock().unwrap());
    }
}

pub(crate) fn listen(backend: &RedisBackend, realm: &Realm) -> (Arc<Ear>, Watching) {
    let ear = Arc::new(Ear::default());
    let watching = backend.watch(realm, Arc::clone(&ear) as _).unwrap();
    (ear, watching)
}

fn subscribers(server: &RedisServer) -> usize {
    server.command(&["CLIENT", "LIST", "TYPE", "pubsub"]).lines().filter(|line| !line.is_empty()).count()
}

pub(crate) async fn becomes(server: &RedisServer, expected: usize) {
    for _ in 0..500 {
        if subscribers(server) == expected {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{} subscribers, not {expected}", subscribers(server));
}

#[tokio::test]
async fn the_connection_is_there_while_somebody_watches() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (default, staff) = (Realm::default(), "staff".parse().unwrap());
    backend.load(Session::new().key()).await.unwrap();
    assert_eq!(subscribers(&server), 0, "nobody watches");

    let (first, watch_first) = listen(&backend, &default);
    first.hears("Hearing").await;
    let (second, watch_second) = listen(&backend.clone(), &default);
    second.hears("Hearing").await;
    let (of_staff, watch_staff) = listen(&backend, &staff);
    of_staff.hears("Hearing").await;
    assert_eq!(subscribers(&server), 1, "one for all");
    let channels = server.command(&["PUBSUB", "CHANNELS"]);
    assert!(channels.contains("p:default:ended") && channels.contains("p:staff:ended"), "{channels}");

    drop((watch_first, watch_staff));
    let session = Session::new();
    backend.destroy(&[session.key()]).await.unwrap();
    second.hears(&format!("[{}]", session.key().locator)).await;
    drop(watch_second);
    becomes(&server, 0).await;

    let (again, _watch) = listen(&backend, &default);
    again.hears("Hearing").await;
}

#[tokio::test]
async fn many_that_end_at_once_are_one_message() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let sessions: Vec<Session> = (0..50).map(|_| Session::new()).collect();
    let keys: Vec<_> = sessions.iter().map(Session::key).collect();
    let (ear, _watch) = listen(&backend, &Realm::default());
    ear.hears("Hearing").await;
    let (_, sent) = commands(&server, backend.destroy(&keys)).await;
    assert_eq!((sent["unlink"], sent["publish"]), (1, 1));
    let locators: Vec<_> = keys.iter().map(|key| key.locator).collect();
    ear.hears(&format!("{locators:?}")).await;
}

#[tokio::test]
async fn of_many_that_end_at_once_each_is_told_in_its_own_realm() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (default, staff) = (Realm::default(), "staff".parse().unwrap());
    let locator = || Session::new().key().locator;
    let (customer, grace) = (locator(), locator());
    let (of_customers, _watch_customers) = listen(&backend, &default);
    let (of_staff, _watch_staff) = listen(&backend, &staff);
    for ear in [&of_customers, &of_staff] {
        ear.hears("Hearing").await;
    }
    let of = |realm, locator| Key { realm, locator };
    backend.destroy(&[of(&default, customer), of(&staff, grace)]).await.unwrap();
    of_customers.hears(&format!("[{customer}]")).await;
    of_staff.hears(&format!("[{grace}]")).await;
}

#[tokio::test]
async fn a_break_is_told_and_so_is_its_end() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (ear, _watch) = listen(&backend, &Realm::default());
    ear.hears("Hearing").await;
    for _ in 0..3 {
        server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        ear.hears("Deaf").await;
        ear.hears("Hearing").await;
    }
    server.kill();
    ear.hears("Deaf").await;
    server.restart();
    ear.hears("Hearing").await;
    let session = Session::new();
    backend.destroy(&[session.key()]).await.unwrap();
    ear.hears(&format!("[{}]", session.key().locator)).await;
}

#[tokio::test]
async fn a_connection_that_has_gone_silent_is_found_out() {
    let server = RedisServer::builder().tcp().start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let (ear, _watch) = listen(&backend, &Realm::default());
    ear.hears("Hearing").await;
    proxy.black_hole();
    ear.hears("Deaf").await;
    proxy.forward();
    ear.hears("Hearing").await;
}

#[tokio::test]
async fn without_the_permission_to_tell_or_to_hear_sessions_end_all_the_same() {
    let server = RedisServer::builder().tcp().start();
    server.command(&["ACL", "SETUSER", "mute", "on", ">secret", "~p:*", "+@all", "resetchannels"]);
    let mute = backend(&format!("redis://mute:secret@127.0.0.1:{}", server.port().unwrap()));
    let (session, _) = Session::stored(&mute).await;
    let (ear, _watch) = listen(&mute, &Realm::default());
    let (destroyed, took) = timed(mute.destroy(&[session.key()])).await;
    destroyed.unwrap();
    assert!(took < BUDGET + MARGIN, "{took:?}");
    assert_eq!(mute.load(session.key()).await.unwrap(), None);

    let (handed_over, before) = Session::stored(&mute).await;
    let ended = mute.destroy_unchanged(handed_over.key(), before.header.tag(), tag()).await;
    assert_eq!(ended.unwrap(), Destroyed::Done);
    let ((old, before), (new, login)) = (Session::stored(&mute).await, (Session::new(), record(b"")));
    let enrolment = new.enrolment(&login);
    let login = mute.supersede(old.key(), before.header.tag(), new.key(), &login, enrolment).await;
    assert_eq!(login.unwrap(), AtOnce::Done);
    assert_eq!(mute.destroy_enrolled(new.key(), new.user()).await.unwrap(), AtOnce::Done);
    for session in [handed_over, old, new] {
        assert_eq!(mute.load(session.key()).await.unwrap(), None);
    }

    sleep(Duration::from_millis(300)).await;
    assert!(ear.told.lock().unwrap().is_empty(), "it is never told that it hears");

    server.command(&["ACL", "SETUSER", "mute", "allchannels"]);
    ear.hears("Hearing").await;
}

#[test]
fn a_watch_outlives_the_runtime_that_listened() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    assert!(backend.watch(&Realm::default(), Arc::new(Ear::default())).is_none(), "outside of a runtime");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let (ear, _watch) = first.block_on(async {
        let (ear, watch) = listen(&backend, &Realm::default());
        ear.hears("Hearing").await;
        (ear, watch)
    });
    drop(first);
    let second = runtime();
    second.block_on(async {
        ear.hears("Deaf").await;
        let (other, _watch) = listen(&backend, &Realm::default());
        other.hears("Hearing").await;
        ear.hears("Hearing").await;
    });
}
