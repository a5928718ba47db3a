//! [`AnyStore`]: a backend of either kind, so that one test shows its claim on each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use portcullis::session::MemoryBackend;
use portcullis_redis::{RedisBackend, RedisConfig};
use portcullis_store::{
    AtOnce, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, ManualClock, Realm,
    Record, Saved, SessionBackend, StoreError, Tag, Touched, UserKey, Watcher, Watching,
};
use portcullis_testkit::redis::RedisServer;

/// A backend of either kind. A clone is another handle on the same store.
#[derive(Clone, Debug)]
pub enum AnyStore {
    Memory(MemoryBackend),
    /// With the prefix of its keys: each test has one of its own, so that none meets another's users.
    Redis(RedisBackend, String),
}

impl AnyStore {
    /// One of each, empty as far as anybody can tell: keys are random.
    pub fn each(clock: &ManualClock) -> [Self; 2] {
        [Self::Memory(MemoryBackend::with_clock(clock.clone())), Self::redis()]
    }

    /// One of each, by the clock that does not stand still.
    pub fn each_in_real_time() -> [Self; 2] {
        [Self::Memory(MemoryBackend::new()), Self::redis()]
    }

    /// A part of this test run's redis-server that nobody else uses.
    pub fn redis() -> Self {
        static TESTS: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}", TESTS.fetch_add(1, Ordering::Relaxed));
        Self::Redis(connect(&RedisServer::shared().url(), &prefix), prefix)
    }

    /// What is behind this address of a server of the test's own. It has the default time to answer.
    pub fn at(url: &str) -> Self {
        let config = RedisConfig::standalone(url).unwrap().key_prefix("own");
        Self::Redis(RedisBackend::connect(config).unwrap(), "own".to_owned())
    }

    /// Another handle on the same store, with a connection of its own where there are connections.
    pub fn another(&self) -> Self {
        match self {
            Self::Memory(backend) => Self::Memory(backend.clone()),
            Self::Redis(_, prefix) => {
                Self::Redis(connect(&RedisServer::shared().url(), prefix), prefix.clone())
            }
        }
    }
}

/// For tests that are about something else than time, on a machine that may be busy with others.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A new connection to this server, with [`PATIENCE`].
pub fn connect(url: &str, prefix: &str) -> RedisBackend {
    let config = RedisConfig::standalone(url).unwrap().key_prefix(prefix);
    RedisBackend::connect(config.budget(PATIENCE).attempt_timeout(PATIENCE)).unwrap()
}

macro_rules! either {
    ($store:expr, $backend:ident => $answer:expr) => {
        match $store {
            AnyStore::Memory($backend) => $answer.await,
            AnyStore::Redis($backend, _) => $answer.await,
        }
    };
}

impl SessionBackend for AnyStore {
    async fn load(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        either!(self, backend => backend.load(key))
    }

    fn max_record_len(&self) -> Option<usize> {
        match self {
            Self::Memory(backend) => backend.max_record_len(),
            Self::Redis(backend, _) => backend.max_record_len(),
        }
    }

    fn budget(&self) -> Option<Duration> {
        match self {
            Self::Memory(backend) => backend.budget(),
            Self::Redis(backend, _) => backend.budget(),
        }
    }

    async fn load_many(&self, keys: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        either!(self, backend => backend.load_many(keys))
    }

    async fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        either!(self, backend => backend.create(key, record))
    }

    async fn create_enrolled(
        &self,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<Enrolled, StoreError> {
        either!(self, backend => backend.create_enrolled(key, record, enrolment))
    }

    async fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        either!(self, backend => backend.save(key, expected, record))
    }

    async fn touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        either!(self, backend => backend.touch(key))
    }

    async fn destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        either!(self, backend => backend.destroy(keys))
    }

    async fn destroy_durably(&self, keys: &[Key<'_>], replicas: u32) -> Result<u32, StoreError> {
        either!(self, backend => backend.destroy_durably(keys, replicas))
    }

    async fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        write: Tag,
    ) -> Result<Destroyed, StoreError> {
        either!(self, backend => backend.destroy_unchanged(key, expected, write))
    }

    async fn destroy_enrolled(&self, key: Key<'_>, user: UserKey<'_>) -> Result<AtOnce, StoreError> {
        either!(self, backend => backend.destroy_enrolled(key, user))
    }

    async fn supersede(
        &self,
        before: Key<'_>,
        expected: Tag,
        key: Key<'_>,
        record: &Record,
        enrolment: Enrolment<'_>,
    ) -> Result<AtOnce, StoreError> {
        either!(self, backend => backend.supersede(before, expected, key, record, enrolment))
    }

    async fn enrol(&self, locator: Locator, enrolment: Enrolment<'_>) -> Result<Enrolled, StoreError> {
        either!(self, backend => backend.enrol(locator, enrolment))
    }

    async fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) -> Result<(), StoreError> {
        either!(self, backend => backend.withdraw(user, locators))
    }

    async fn members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        either!(self, backend => backend.members(user))
    }

    async fn credential_version(&self, user: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
        either!(self, backend => backend.credential_version(user))
    }

    async fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<CredentialVersion, StoreError> {
        either!(self, backend => backend.bump_credential_version(user, keep))
    }

    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        match self {
            Self::Memory(backend) => backend.watch(realm, watcher),
            Self::Redis(backend, _) => backend.watch(realm, watcher),
        }
    }
}
