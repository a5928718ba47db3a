//! What is sent: how many commands, and what the server holds afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{
    AtOnce, Created, CredentialVersion, Enrolled, Record, Saved, SessionBackend, StoreErrorKind, Timestamp,
    Touched,
};
use portcullis_testkit::redis::{Proxy, RedisServer};

use crate::support::{HOUR, Session, backend, commands, left, next, record, tag};

fn counts<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.into_iter().map(|(command, calls)| (command.to_owned(), calls)).collect()
}

/// Runs every script once, so that the server knows them.
async fn acquaint(backend: &RedisBackend) {
    let (session, record) = (Session::new(), record(b""));
    let (key, user) = (session.key(), session.user());
    let _ = backend.create_enrolled(key, &record, session.enrolment(&record)).await.unwrap();
    let _ = backend.save(key, record.header.tag(), &next(&record, b"")).await.unwrap();
    let _ = backend.touch(key).await.unwrap();
    let _ = backend.enrol(key.locator, session.enrolment(&record)).await.unwrap();
    let _ = backend.destroy_unchanged(key, tag(), tag()).await.unwrap();
    let new = Session::new();
    let _ = backend.supersede(key, tag(), new.key(), &record, new.enrolment(&record)).await.unwrap();
    let _ = backend.destroy_enrolled(new.key(), user).await.unwrap();
    backend.members(user).await.unwrap();
    backend.bump_credential_version(user, HOUR).await.unwrap();
}

#[tokio::test]
async fn each_operation_is_one_round_trip() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    acquaint(&backend).await;
    let (session, record) = (Session::new(), record(b""));
    let (key, user) = (session.key(), session.user());

    let (_, sent) = commands(&server, backend.load(key)).await;
    assert_eq!(sent, counts([("get", 1)]), "load: no script, no write");
    let (_, sent) = commands(&server, backend.load_many(&[key, key, key])).await;
    assert_eq!(sent, counts([("get", 3)]), "load_many");
    let (_, sent) = commands(&server, backend.create(key, &record)).await;
    assert_eq!(sent, counts([("set", 1)]), "create");
    let (_, sent) = commands(&server, backend.save(key, record.header.tag(), &next(&record, b"x"))).await;
    assert_eq!(
        sent,
        counts([("evalsha", 1), ("getrange", 1), ("set", 1)]),
        "save: the header is all that is read"
    );
    let (_, sent) = commands(&server, backend.touch(key)).await;
    assert_eq!(sent["evalsha"], 1, "touch");
    let (_, sent) = commands(&server, backend.destroy(&[key, key])).await;
    assert_eq!(sent, counts([("publish", 1), ("unlink", 1)]), "destroy");
    assert_eq!(backend.create(key, &record).await.unwrap(), Created::Done);
    let (_, sent) = commands(&server, backend.destroy_unchanged(key, record.header.tag(), tag())).await;
    let expected = counts([("evalsha", 1), ("getrange", 1), ("publish", 1), ("set", 1), ("unlink", 1)]);
    assert_eq!(sent, expected, "destroy_unchanged");
    let (_, sent) =
        commands(&server, backend.create_enrolled(key, &record, session.enrolment(&record))).await;
    let expected =
        counts([("evalsha", 1), ("pexpireat", 1), ("pttl", 1), ("set", 1), ("time", 1), ("zadd", 1)]);
    assert_eq!(
        sent, expected,
        "login: no version is compared that was not named, nothing removed where nothing is"
    );
    let (new, login) = (Session::new(), self::record(b""));
    let superseding = backend.supersede(key, record.header.tag(), new.key(), &login, new.enrolment(&login));
    let (superseded, sent) = commands(&server, superseding).await;
    let expected = [("evalsha", 1), ("getrange", 1), ("pexpireat", 1), ("pttl", 1), ("publish", 1)];
    let more = [("set", 1), ("time", 1), ("unlink", 1), ("zadd", 1)];
    assert_eq!(superseded.unwrap(), AtOnce::Done);
    assert_eq!(sent, counts::<9>([&expected[..], &more].concat().try_into().unwrap()), "supersede");
    let (_, sent) = commands(&server, backend.destroy_enrolled(new.key(), new.user())).await;
    let expected = counts([("publish", 1), ("unlink", 1), ("zrem", 1)]);
    assert_eq!(sent, expected, "destroy_enrolled");
    let version = backend.credential_version(user).await.unwrap();
    let conditions = session.enrolment(&record).limit(3).credential_version(version);
    let (enrolled, sent) = commands(&server, backend.enrol(key.locator, conditions)).await;
    assert_eq!((enrolled.unwrap(), sent["evalsha"], sent.get("eval")), (Enrolled::Done, 1, None), "enrol");
    let (_, sent) = commands(&server, backend.credential_version(user)).await;
    assert_eq!(sent, counts([("get", 1)]), "credential_version");
    let (_, sent) = commands(&server, backend.bump_credential_version(user, HOUR)).await;
    assert_eq!(
        sent,
        counts([("evalsha", 1), ("incr", 1), ("pexpire", 2), ("pttl", 1)]),
        "bump_credential_version"
    );
    let (_, sent) = commands(&server, backend.members(user)).await;
    assert_eq!(sent, counts([("evalsha", 1), ("time", 1), ("zrangebyscore", 1)]), "members");
    let (_, sent) = commands(&server, backend.withdraw(user, &[key.locator])).await;
    assert_eq!(sent, counts([("zrem", 1)]), "withdraw");
}

#[tokio::test]
async fn what_needs_no_answer_sends_nothing() {
    let server = RedisServer::start();
    let small = RedisConfig::standalone(server.url()).unwrap().max_record_len(200);
    let small = RedisBackend::connect(small).unwrap();
    let (session, large) = (Session::new(), record(&[0; 200]));
    let ((), sent) = commands(&server, async {
        assert_eq!(small.load_many(&[]).await.unwrap(), []);
        small.destroy(&[]).await.unwrap();
        small.withdraw(session.user(), &[]).await.unwrap();
        let too_large = [
            small.create(session.key(), &large).await.map(drop),
            small.create_enrolled(session.key(), &large, session.enrolment(&large)).await.map(drop),
            small.save(session.key(), large.header.tag(), &large).await.map(drop),
        ];
        for outcome in too_large {
            assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::TooLarge);
        }
    })
    .await;
    assert_eq!(sent, counts([]));
}

#[tokio::test]
async fn a_server_that_has_forgotten_the_scripts_is_told_them_again() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, mut stands) = Session::stored(&backend).await;
    for round in 0..3 {
        server.command(&["SCRIPT", "FLUSH"]);
        let new = next(&stands, &[round]);
        let (saved, sent) = commands(&server, backend.save(session.key(), stands.header.tag(), &new)).await;
        assert_eq!(saved.unwrap(), Saved::Done);
        assert_eq!(sent, counts([("evalsha", 1), ("eval", 1), ("getrange", 1), ("set", 1)]), "round {round}");
        stands = new;
    }
    server.command(&["SCRIPT", "FLUSH"]);
    acquaint(&backend).await;
}

#[tokio::test]
async fn clocks_that_differ_neither_end_nor_prolong_a_new_session() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let shifts: [(&str, Shift); 3] = [
        ("clocks agree", |time| time),
        ("the application is an hour ahead", |time| time.saturating_add(HOUR)),
        ("the application is a day behind", |time| time.saturating_sub(HOUR * 24)),
    ];
    for (name, by) in shifts {
        let (session, mut record) = (Session::new(), record(b""));
        shift(&mut record, by);
        assert_eq!(backend.create(session.key(), &record).await.unwrap(), Created::Done);
        let lives = left(&server, &session.name());
        assert!((1_790_000..=1_800_000).contains(&lives), "{name}: {lives} ms");
    }
}

type Shift = fn(Timestamp) -> Timestamp;

fn shift(record: &mut Record, by: Shift) {
    let header = &mut record.header;
    for time in [
        &mut header.created,
        &mut header.secret_since,
        &mut header.idle_deadline,
        &mut header.absolute_deadline,
    ] {
        *time = by(*time);
    }
}

#[tokio::test]
async fn a_touch_gives_a_session_its_time_whatever_the_clocks_say() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, mut record) = (Session::new(), record(b""));
    shift(&mut record, |time| time.saturating_add(HOUR));
    assert_eq!(backend.create(session.key(), &record).await.unwrap(), Created::Done);
    server.command(&["PEXPIRE", &session.name(), "60000"]);
    let touched = backend.touch(session.key()).await.unwrap();
    assert_eq!(touched, Touched::Alive(record.header.idle_deadline), "the header never goes back");
    let lives = left(&server, &session.name());
    assert!((1_790_000..=1_800_000).contains(&lives), "{lives} ms");
}

#[tokio::test]
async fn a_touch_past_the_absolute_deadline_changes_nothing() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, mut record) = (Session::new(), record(b""));
    shift(&mut record, |time| time.saturating_sub(HOUR * 2));
    assert_eq!(backend.create(session.key(), &record).await.unwrap(), Created::Done);
    let touched = backend.touch(session.key()).await.unwrap();
    assert_eq!(touched, Touched::Alive(record.header.idle_deadline));
    assert_eq!(backend.load(session.key()).await.unwrap(), Some(record));
    let lives = left(&server, &session.name());
    assert!((1_790_000..=1_800_000).contains(&lives), "{lives} ms");
}

#[tokio::test]
async fn a_session_never_outlives_its_entry_in_the_index() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    // By the server's clock, a minute is left; by the application's, which is behind, 61.
    let record = || {
        let mut record = record(b"");
        shift(&mut record, |time| time.saturating_sub(HOUR - Duration::from_secs(60)));
        record.header.idle = HOUR;
        record.header.idle_deadline = record.header.absolute_deadline;
        record
    };
    let (first, mut before) = (Session::new(), record());
    let enrolled = backend.create_enrolled(first.key(), &before, first.enrolment(&before)).await.unwrap();
    assert_eq!(enrolled, Enrolled::Done);
    let _ = backend.touch(first.key()).await.unwrap();
    before.header = backend.load(first.key()).await.unwrap().unwrap().header;
    lives_for_its_entry(&server, &first);

    let (second, login) = (Session::new(), record());
    let enrolment = second.enrolment(&login);
    let superseding = backend.supersede(first.key(), before.header.tag(), second.key(), &login, enrolment);
    assert_eq!(superseding.await.unwrap(), AtOnce::Done);
    lives_for_its_entry(&server, &second);
}

/// For a minute, and no longer than its entry.
fn lives_for_its_entry(server: &RedisServer, session: &Session) {
    // In this order, because time passes in between.
    let (entry, lives) = (left(server, &session.index_name()), left(server, &session.name()));
    assert!((50_000..=60_000).contains(&lives), "{lives} ms");
    assert!(entry >= lives, "the entry lives for {entry} ms, the session for {lives} ms");
}

/// Who gives way leaves the index, or stays, with all the rest.
#[tokio::test]
async fn a_login_for_which_somebody_gives_way_is_not_one_step() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let ((before, first), (new, login)) = (Session::stored(&backend).await, (Session::new(), record(b"")));
    let gives_way = [Session::new().key().locator];
    let enrolment = new.enrolment(&login).limit(3).evicted(&gives_way);
    let (superseded, sent) =
        commands(&server, backend.supersede(before.key(), first.header.tag(), new.key(), &login, enrolment))
            .await;
    assert_eq!((superseded.unwrap(), sent), (AtOnce::NotDone, counts([])));
}

#[tokio::test]
async fn a_late_repetition_does_not_shorten_an_entry() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let session = Session::new();
    let locator = session.key().locator;
    let (record, mut sooner) = (record(b""), record(b""));
    let later = record.header.absolute_deadline;
    sooner.header.absolute_deadline = later.saturating_sub(HOUR / 2);
    for record in [&record, &sooner] {
        assert_eq!(backend.enrol(locator, session.enrolment(record)).await.unwrap(), Enrolled::Done);
    }
    let score = server.command(&["ZSCORE", &session.index_name(), locator.as_str()]);
    assert_eq!(score, later.as_millis().to_string());
    let lives = left(&server, &session.index_name());
    assert!((3_590_000..=3_601_000).contains(&lives), "{lives} ms: the index lives as long as its entry");
}

#[tokio::test]
async fn an_index_that_lives_for_ever_is_not_made_mortal() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, ended) = (Session::new(), Session::new());
    let mut record = record(b"");
    assert_eq!(
        backend.enrol(session.key().locator, session.enrolment(&record)).await.unwrap(),
        Enrolled::Done
    );
    server.command(&["ZADD", &session.index_name(), "1", ended.key().locator.as_str()]);
    server.command(&["PERSIST", &session.index_name()]);
    shift(&mut record, |time| time.saturating_sub(HOUR / 2));
    let sooner = backend.enrol(Session::new().key().locator, session.enrolment(&record)).await.unwrap();
    assert_eq!(sooner, Enrolled::Done);
    assert_eq!(left(&server, &session.index_name()), -1, "what stands in it may live for longer");
    let entries = server.command(&["ZCARD", &session.index_name()]);
    assert_eq!(entries, "2", "the one past its deadline has left");
}

#[tokio::test]
async fn a_credential_version_is_forgotten_by_itself_and_never_while_it_is_needed() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let session = Session::new();
    for expected in 1..=3 {
        let version = backend.bump_credential_version(session.user(), HOUR).await.unwrap();
        assert_eq!(version, CredentialVersion(expected));
        let lives = left(&server, &session.credentials_name());
        assert!((3_590_000..=3_600_000).contains(&lives), "{lives} ms");
        server.command(&["PEXPIRE", &session.credentials_name(), "60000"]);
    }
    let longest = backend.bump_credential_version(session.user(), Duration::MAX).await.unwrap();
    assert_eq!(longest, CredentialVersion(4), "no server takes such a time, and it is kept");
    assert!(left(&server, &session.credentials_name()) > 3_600_000);
    let shorter = backend.bump_credential_version(session.user(), HOUR).await.unwrap();
    assert_eq!(shorter, CredentialVersion(5));
    assert!(left(&server, &session.credentials_name()) > 3_600_000, "the longest counts");
}

#[tokio::test]
async fn an_index_dies_with_its_last_entry_also_when_it_was_full() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, other) = (Session::new(), Session::new());
    let record = record(b"");
    let only_one = session.enrolment(&record).limit(1);
    assert_eq!(backend.enrol(session.key().locator, only_one).await.unwrap(), Enrolled::Done);
    let full = backend.enrol(other.key().locator, only_one).await.unwrap();
    assert_eq!(full, Enrolled::Full(vec![session.key().locator]));
    let lives = left(&server, &session.index_name());
    assert!((3_590_000..=3_600_000).contains(&lives), "{lives} ms");
    backend.withdraw(session.user(), &[session.key().locator]).await.unwrap();
    assert_eq!(server.command(&["EXISTS", &session.index_name()]), "0");
}

#[tokio::test]
async fn an_entry_past_its_deadline_takes_nobody_s_room() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (lives, ended, comes) = (Session::new(), Session::new(), Session::new());
    let record = record(b"");
    let enrolment = lives.enrolment(&record);
    assert_eq!(backend.enrol(lives.key().locator, enrolment).await.unwrap(), Enrolled::Done);
    server.command(&["ZADD", &lives.index_name(), "1", ended.key().locator.as_str()]);
    let enrolled = backend.enrol(comes.key().locator, enrolment.limit(2)).await.unwrap();
    assert_eq!(enrolled, Enrolled::Done);
    let full = backend.enrol(Session::new().key().locator, enrolment.limit(2)).await.unwrap();
    let Enrolled::Full(members) = full else { panic!("{full:?}") };
    assert_eq!(members.len(), 2);
}

#[tokio::test]
async fn a_credential_version_that_the_server_has_lost_is_no_longer_the_current_one() {
    let server = RedisServer::start();
    let backend = backend(&server.url());
    let (session, record) = (Session::new(), record(b""));
    let version = backend.bump_credential_version(session.user(), HOUR).await.unwrap();
    server.command(&["DEL", &session.credentials_name()]);
    for (version, expected) in
        [(version, Enrolled::StaleCredential), (CredentialVersion::default(), Enrolled::Done)]
    {
        let conditions = session.enrolment(&record).credential_version(version);
        assert_eq!(backend.enrol(session.key().locator, conditions).await.unwrap(), expected, "{version:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_share_one_connection() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let backend = backend(&proxy.url());
    let callers: Vec<_> = (0..32)
        .map(|_| {
            let backend = backend.clone();
            tokio::spawn(async move { backend.load(Session::new().key()).await.unwrap() })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), None);
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn nothing_shows_the_password() {
    let server = RedisServer::builder().tcp().password("hunter2").start();
    let backend = backend(&server.url());
    backend.load(Session::new().key()).await.unwrap();
    let text = format!("{backend:?}");
    assert!(!text.contains("hunter2") && text.contains("127.0.0.1"), "{text}");
}
