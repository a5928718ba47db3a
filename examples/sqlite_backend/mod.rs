//! [`SqliteBackend`]: sessions in one SQLite file, shared by every process of this machine that opens it.
//!
//! Each method is one transaction of `tables.rs` on a thread where it may block. That gives most of what the contract
//! asks: a transaction is applied whole or not at all, also when its future is dropped, and SQLite lets one write at a
//! time, whichever process it is in. What is left stands in `tables.rs`: what each transaction compares before it
//! writes. It does not say when a session ends: a file tells nobody that it has changed, so the layer looks for itself.

mod failure;
mod lane;
mod tables;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    Clock, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved,
    SessionBackend, StoreError, SystemClock, Tag, Timestamp, Touched, UserKey,
};
use rusqlite::Transaction;

use self::failure::Failure;
use self::lane::Lane;

/// Sessions in one SQLite file. It is opened when it is first asked, so that a service can start without it.
#[derive(Clone)]
pub(crate) struct SqliteBackend {
    readers: Arc<Lane>,
    writers: Arc<Lane>,
    clock: Arc<dyn Clock>,
}

/// Less than the layer's own budget of 450 ms, so that the layer learns what was wrong.
const BUDGET: Duration = Duration::from_millis(400);

/// How many may read at once. More would wait for the processor.
const READERS: usize = 4;

impl SqliteBackend {
    /// Sessions in this file, by the system's clock, which all processes of a machine share.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self::with(path, SystemClock, BUDGET)
    }

    /// The same by another clock, and with another budget for each call, its turn included.
    pub(crate) fn with(path: impl Into<PathBuf>, clock: impl Clock, budget: Duration) -> Self {
        let path = path.into();
        Self {
            readers: Arc::new(Lane::reading(path.clone(), READERS, budget)),
            writers: Arc::new(Lane::writing(path, budget)),
            clock: Arc::new(clock),
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>, Timestamp) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let clock = Arc::clone(&self.clock);
        self.readers.run(move |transaction| job(transaction, clock.now())).await
    }

    /// It reads the clock when it is the only writer, so that what one writer leaves is never from the next one's future.
    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Transaction<'_>, Timestamp) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let clock = Arc::clone(&self.clock);
        self.writers.run(move |transaction| job(transaction, clock.now())).await
    }
}

impl SessionBackend for SqliteBackend {
    async fn load(&self, key: Key<'_>) -> Result<Option<Record>, StoreError> {
        let key = OwnedKey::from(key);
        self.read(move |transaction, now| tables::load(transaction, key.borrow(), now)).await
    }

    async fn load_many(&self, keys: &[Key<'_>]) -> Result<Vec<Option<Record>>, StoreError> {
        let keys = owned(keys);
        self.read(move |transaction, now| {
            keys.iter().map(|key| tables::load(transaction, key.borrow(), now)).collect()
        })
        .await
    }

    async fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        let (key, record) = (OwnedKey::from(key), record.clone());
        self.write(move |transaction, now| tables::create(transaction, key.borrow(), &record, now)).await
    }

    async fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Result<Saved, StoreError> {
        let (key, record) = (OwnedKey::from(key), record.clone());
        self.write(move |transaction, now| tables::save(transaction, key.borrow(), expected, &record, now))
            .await
    }

    async fn touch(&self, key: Key<'_>) -> Result<Touched, StoreError> {
        let key = OwnedKey::from(key);
        self.write(move |transaction, now| tables::touch(transaction, key.borrow(), now)).await
    }

    async fn destroy(&self, keys: &[Key<'_>]) -> Result<(), StoreError> {
        let keys = owned(keys);
        self.write(move |transaction, _| {
            keys.iter().try_for_each(|key| tables::destroy(transaction, key.borrow()))
        })
        .await
    }

    /// The write needs no name: nothing here is sent a second time.
    async fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        _write: Tag,
    ) -> Result<Destroyed, StoreError> {
        let key = OwnedKey::from(key);
        self.write(move |transaction, now| {
            tables::destroy_unchanged(transaction, key.borrow(), expected, now)
        })
        .await
    }

    async fn enrol(&self, locator: Locator, enrolment: Enrolment<'_>) -> Result<Enrolled, StoreError> {
        let (realm, evicted) = (enrolment.user.realm.clone(), enrolment.evicted.to_vec());
        let Enrolment { user, deadline, limit, replaces, credential_version, .. } = enrolment;
        let user = user.user;
        self.write(move |transaction, now| {
            let mut enrolment = Enrolment::new(UserKey { realm: &realm, user }, deadline).evicted(&evicted);
            (enrolment.limit, enrolment.replaces) = (limit, replaces);
            enrolment.credential_version = credential_version;
            tables::enrol(transaction, locator, &enrolment, now)
        })
        .await
    }

    async fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) -> Result<(), StoreError> {
        let (user, locators) = (OwnedKey::from(user), locators.to_vec());
        self.write(move |transaction, _| tables::withdraw(transaction, user.user(), &locators)).await
    }

    async fn members(&self, user: UserKey<'_>) -> Result<Vec<Locator>, StoreError> {
        let user = OwnedKey::from(user);
        self.read(move |transaction, now| tables::members(transaction, user.user(), now)).await
    }

    async fn credential_version(&self, user: UserKey<'_>) -> Result<CredentialVersion, StoreError> {
        let user = OwnedKey::from(user);
        self.read(move |transaction, now| tables::credential_version(transaction, user.user(), now)).await
    }

    async fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> Result<CredentialVersion, StoreError> {
        let user = OwnedKey::from(user);
        self.write(move |transaction, now| tables::bump(transaction, user.user(), keep, now)).await
    }
}

/// A key that a thread can take along. A realm's clone is one atomic increment.
struct OwnedKey {
    realm: Realm,
    locator: Locator,
}

impl OwnedKey {
    fn borrow(&self) -> Key<'_> {
        Key { realm: &self.realm, locator: self.locator }
    }

    fn user(&self) -> UserKey<'_> {
        UserKey { realm: &self.realm, user: self.locator }
    }
}

impl From<Key<'_>> for OwnedKey {
    fn from(key: Key<'_>) -> Self {
        Self { realm: key.realm.clone(), locator: key.locator }
    }
}

impl From<UserKey<'_>> for OwnedKey {
    fn from(user: UserKey<'_>) -> Self {
        Self { realm: user.realm.clone(), locator: user.user }
    }
}

fn owned(keys: &[Key<'_>]) -> Vec<OwnedKey> {
    keys.iter().copied().map(OwnedKey::from).collect()
}
