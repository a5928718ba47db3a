//! What the tests have in common: backends, records, and the server's own view.

use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{
    Clock, Created, Enrolment, Header, Key, Locator, Realm, Record, Saved, SecretHash, SessionBackend,
    StoreError, SystemClock, Tag, UserKey,
};
use portcullis_testkit::redis::RedisServer;
use tokio::time::Instant;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// The default budget.
pub(crate) const BUDGET: Duration = Duration::from_millis(450);
/// What a busy test machine may add to any time.
pub(crate) const MARGIN: Duration = Duration::from_millis(550);

pub(crate) fn backend(url: &str) -> RedisBackend {
    RedisBackend::connect(RedisConfig::standalone(url).unwrap()).unwrap()
}

/// A backend that waits long enough for any test machine.
pub(crate) fn patient(url: &str) -> RedisBackend {
    RedisBackend::connect(RedisConfig::standalone(url).unwrap().budget(Duration::from_secs(20))).unwrap()
}

/// One session, of nobody else in this run.
#[derive(Clone)]
pub(crate) struct Session {
    realm: Realm,
    locator: Locator,
    user: Locator,
}

impl Session {
    pub(crate) fn new() -> Self {
        let random = || {
            Locator::from_bytes(
                [RandomState::new().hash_one(0); 2].map(u64::to_be_bytes).concat().try_into().unwrap(),
            )
        };
        Self { realm: Realm::default(), locator: random(), user: random() }
    }

    pub(crate) fn key(&self) -> Key<'_> {
        Key { realm: &self.realm, locator: self.locator }
    }

    pub(crate) fn user(&self) -> UserKey<'_> {
        UserKey { realm: &self.realm, user: self.user }
    }

    /// Into the index of this session's user, for as long as the record may live, without conditions.
    pub(crate) fn enrolment(&self, record: &Record) -> Enrolment<'_> {
        Enrolment::new(self.user(), record.header.absolute_deadline)
    }

    pub(crate) fn name(&self) -> String {
        format!("p:default:s:{}", self.locator)
    }

    pub(crate) fn index_name(&self) -> String {
        format!("p:default:u:{{{}}}", self.user)
    }

    pub(crate) fn credentials_name(&self) -> String {
        format!("p:default:c:{{{}}}", self.user)
    }

    /// A new session, stored.
    pub(crate) async fn stored(backend: &RedisBackend) -> (Self, Record) {
        let (session, record) = (Self::new(), record(b"first"));
        assert_eq!(backend.create(session.key(), &record).await.unwrap(), Created::Done);
        (session, record)
    }
}

/// A record that lives for an hour.
pub(crate) fn record(payload: &[u8]) -> Record {
    let now = SystemClock.now();
    let header = Header {
        tags: [tag(), Tag::default(), Tag::default(), Tag::default()],
        flags: 0,
        secret: SecretHash([1; 32]),
        previous: None,
        secret_since: now,
        created: now,
        authenticated: None,
        absolute_deadline: now.saturating_add(HOUR),
        idle: HOUR / 2,
        idle_deadline: now.saturating_add(HOUR / 2),
    };
    Record::new(header, payload)
}

/// What a request writes on top of `before`.
pub(crate) fn next(before: &Record, payload: &[u8]) -> Record {
    let mut record = Record::new(before.header, payload);
    record.header.tags = before.header.tags_after(tag());
    record
}

/// Adds one to the number that the record holds, as a request would: compare and set, until it is done.
pub(crate) async fn add_one(backend: &RedisBackend, session: &Session) -> Result<(), StoreError> {
    let mut current = backend.load(session.key()).await?.expect("the session is there");
    loop {
        let record = next(&current, (count(&current) + 1).to_string().as_bytes());
        match backend.save(session.key(), current.header.tag(), &record).await? {
            Saved::Done => return Ok(()),
            Saved::Gone => panic!("the session is there"),
            Saved::Conflict { current: other, .. } => current = other,
        }
    }
}

pub(crate) fn count(record: &Record) -> u64 {
    std::str::from_utf8(&record.payload).unwrap().parse().unwrap()
}

pub(crate) fn tag() -> Tag {
    Tag(RandomState::new().hash_one(0).to_be_bytes())
}

/// How often the server ran each command while `call` ran, commands inside scripts included.
pub(crate) async fn commands<T>(
    server: &RedisServer,
    call: impl Future<Output = T>,
) -> (T, BTreeMap<String, u64>) {
    server.command(&["CONFIG", "RESETSTAT"]);
    let answer = call.await;
    let statistics = server.command(&["INFO", "commandstats"]);
    let count = |line: &str| {
        let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        Some((command.to_owned(), rest.split(',').next()?.parse().unwrap()))
    };
    let mut counts: BTreeMap<_, _> = statistics.lines().filter_map(count).collect();
    // Our own; Redis before 7 counts no subcommands.
    counts.retain(|command, _| !matches!(command.as_str(), "config|resetstat" | "config"));
    (answer, counts)
}

/// Calls until it succeeds, and says how long that took. No call may take longer than its budget.
pub(crate) async fn recovery(backend: &RedisBackend, session: &Session) -> Duration {
    let start = Instant::now();
    loop {
        let (outcome, took) = timed(backend.load(session.key())).await;
        assert!(took < BUDGET + MARGIN, "a call took {took:?}");
        match outcome {
            Ok(_) => return start.elapsed(),
            Err(error) => assert!(start.elapsed() < Duration::from_secs(20), "no recovery: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn timed<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> (Result<T, StoreError>, Duration) {
    let start = Instant::now();
    let outcome = call.await;
    (outcome, start.elapsed())
}

/// The server's own idea of how long a key lives, in milliseconds.
pub(crate) fn left(server: &RedisServer, name: &str) -> i64 {
    server.command(&["PTTL", name]).parse().unwrap()
}
