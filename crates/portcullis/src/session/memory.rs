//! [`MemoryBackend`]: sessions in this process, with the semantics of every other backend.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, future};

use hashbrown::{DefaultHashBuilder, Equivalent, HashTable};
use portcullis_store::{
    Clock, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved,
    SessionBackend, StoreError, StoreErrorKind, SystemClock, Tag, Timestamp, Touched, UserKey, Watcher,
    Watching,
};

use self::watchers::Watchers;

/// Sessions in this process: the embedded default, for development, tests and services of one process.
///
/// Sessions end with the process. It is bounded, expired sessions make room, and locks are spread over shards so that
/// threads seldom wait for each other. Clones share the sessions.
///
/// ```
/// use portcullis::session::{MemoryBackend, SessionLayer};
///
/// let layer = SessionLayer::new(MemoryBackend::new());
/// ```
#[derive(Clone)]
pub struct MemoryBackend(Arc<Store>);

struct Store {
    sessions: Box<[Padded<Mutex<Sessions>>]>,
    indexes: Box<[Padded<Mutex<Indexes>>]>,
    hasher: DefaultHashBuilder,
    clock: Arc<dyn Clock>,
    count: AtomicUsize,
    max_sessions: usize,
    /// When all shards were last looked through for expired sessions, because there was no room.
    swept: AtomicU64,
    watchers: Arc<Watchers>,
}

/// On a cache line of its own, so that neighbouring locks do not slow each other down.
#[repr(align(128))]
#[derive(Default)]
struct Padded<T>(T);

#[derive(Default)]
struct Sessions {
    records: HashTable<(OwnedKey, Record)>,
    /// How many records there may be before expired ones are looked for.
    sweep_at: usize,
}

#[derive(Default)]
struct Indexes {
    members: hashbrown::HashMap<OwnedKey, Members>,
    versions: Versions,
    sweep_at: usize,
}

/// Users' credential versions, and until when each is kept.
#[derive(Default)]
struct Versions {
    numbers: hashbrown::HashMap<OwnedKey, (CredentialVersion, Timestamp)>,
    sweep_at: usize,
}

/// One user's sessions and their deadlines.
#[derive(Default)]
struct Members {
    deadlines: HashMap<Locator, Timestamp>,
    sweep_at: usize,
}

/// A session's key, and the hash by which its shard is found and its place therein.
#[derive(Clone, Copy)]
struct Hashed<'a> {
    key: Key<'a>,
    hash: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct OwnedKey {
    realm: Realm,
    locator: Locator,
}

const SHARDS: usize = 64;
const FIRST_SWEEP: usize = 64;

impl MemoryBackend {
    /// At most [`DEFAULT_MAX_SESSIONS`](Self::DEFAULT_MAX_SESSIONS), by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// Expires sessions by this clock. It should be the one that the layer is given, by whose time requests load them.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        Self(Arc::new(Store::new(Arc::new(clock), Self::DEFAULT_MAX_SESSIONS)))
    }

    /// How many sessions there may be unless said otherwise: at some 500 bytes each, about 500 MB.
    pub const DEFAULT_MAX_SESSIONS: usize = 1_000_000;

    /// How many sessions there may be. One more is [`StoreErrorKind::Full`]; those that exist go on.
    ///
    /// To be called before the backend is cloned or used: it starts empty.
    #[must_use]
    pub fn max_sessions(self, max: usize) -> Self {
        Self(Arc::new(Store::new(Arc::clone(&self.0.clock), max)))
    }
}

impl Default for MemoryBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    fn new(clock: Arc<dyn Clock>, max_sessions: usize) -> Self {
        Self {
            sessions: (0..SHARDS).map(|_| Padded::default()).collect(),
            indexes: (0..SHARDS).map(|_| Padded::default()).collect(),
            hasher: DefaultHashBuilder::default(),
            clock,
            count: AtomicUsize::new(0),
            max_sessions,
            swept: AtomicU64::new(0),
            watchers: Arc::default(),
        }
    }

    /// The key's hash, and the shard that it is in.
    fn sessions<'a>(&self, key: Key<'a>) -> Option<(Hashed<'a>, MutexGuard<'_, Sessions>)> {
        let hash = self.hasher.hash_one(key.locator);
        Some((Hashed { key, hash }, lock(&self.sessions, hash)?))
    }

    fn indexes(&self, user: Locator) -> Option<MutexGuard<'_, Indexes>> {
        lock(&self.indexes, self.hasher.hash_one(user))
    }

    fn load(&self, key: Key<'_>, now: Timestamp) -> Option<Record> {
        let (at, sessions) = self.sessions(key)?;
        sessions.get(at).filter(|record| record.header.expires() > now).cloned()
    }

    fn holds(&self, key: Key<'_>) -> bool {
        self.sessions(key).is_some_and(|(at, sessions)| sessions.get(at).is_some())
    }

    fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
        let now = self.clock.now();
        if self.count.load(Ordering::Relaxed) >= self.max_sessions {
            self.make_room(now);
        }
        let Some((at, mut sessions)) = self.sessions(key) else {
            return Err(StoreErrorKind::Unavailable.into());
        };
        if let Some(held) = sessions.live(at, now, &self.count) {
            let resent = held.header.tags.contains(&record.header.tag());
            return Ok(if resent { Created::Done } else { Created::Taken });
        }
        sessions.sweep(now, &self.count);
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.max_sessions {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(StoreErrorKind::Full.into());
        }
        sessions.insert(at, record.clone(), &self.hasher);
        Ok(Created::Done)
    }

    fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Saved {
        let now = self.clock.now();
        let Some((at, mut sessions)) = self.sessions(key) else { return Saved::Gone };
        let Some(held) = sessions.live(at, now, &self.count) else { return Saved::Gone };
        if held.header.tags.contains(&record.header.tag()) {
            return Saved::Done;
        }
        if held.header.tag() != expected {
            return Saved::Conflict { current: held.clone(), in_doubt: false };
        }
        let idle_deadline = held.header.idle_deadline;
        *held = record.clone();
        if held.header.idle_deadline != idle_deadline {
            held.header.idle_deadline = idle_deadline;
        }
        Saved::Done
    }

    fn touch(&self, key: Key<'_>) -> Touched {
        let now = self.clock.now();
        let Some((at, mut sessions)) = self.sessions(key) else { return Touched::Gone };
        let Some(held) = sessions.live(at, now, &self.count) else { return Touched::Gone };
        let header = &mut held.header;
        let moved = now.saturating_add(header.idle).min(header.absolute_deadline);
        header.idle_deadline = header.idle_deadline.max(moved);
        Touched::Alive(header.idle_deadline)
    }

    fn destroy(&self, key: Key<'_>) {
        if let Some((at, mut sessions)) = self.sessions(key) {
            sessions.remove(at, &self.count);
        }
    }

    fn destroy_unchanged(&self, key: Key<'_>, expected: Tag) -> Destroyed {
        let now = self.clock.now();
        let Some((at, mut sessions)) = self.sessions(key) else { return Destroyed::Gone };
        let Some(held) = sessions.live(at, now, &self.count) else { return Destroyed::Gone };
        if held.header.tag() != expected {
            return Destroyed::Conflict { current: held.clone() };
        }
        sessions.remove(at, &self.count);
        Destroyed::Done
    }

    /// Takes all expired sessions away, at most once a second: a full store must not get slow as well.
    fn make_room(&self, now: Timestamp) {
        let last = self.swept.load(Ordering::Relaxed);
        let due = now.as_millis().abs_diff(last) >= 1000;
        if !due
            || self
                .swept
                .compare_exchange(last, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        for shard in &self.sessions {
            let mut sessions = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.sweep_at = 0;
            sessions.sweep(now, &self.count);
        }
    }

    fn enrol(&self, locator: Locator, enrolment: &Enrolment<'_>) -> Result<Enrolled, StoreError> {
        let now = self.clock.now();
        let user = enrolment.user;
        let Some(mut indexes) = self.indexes(user.user) else {
            return Err(StoreErrorKind::Unavailable.into());
        };
        let current = indexes.versions.current(index_key(user), now);
        if enrolment.credential_version.is_some_and(|checked| checked != current) {
            return Ok(Enrolled::StaleCredential);
        }
        indexes.sweep(now);
        let members = indexes.members.entry(index_key(user).into()).or_default();
        for evicted in enrolment.evicted {
            members.deadlines.remove(evicted);
        }
        members.sweep(|locator, deadline| deadline > now && self.holds(Key { realm: user.realm, locator }));
        Ok(members.enter(locator, enrolment, now))
    }

    fn credential_version(&self, user: UserKey<'_>) -> CredentialVersion {
        let now = self.clock.now();
        self.indexes(user.user)
            .map_or_else(CredentialVersion::default, |indexes| indexes.versions.current(index_key(user), now))
    }

    fn bump(&self, user: UserKey<'_>, keep: Duration) -> Result<CredentialVersion, StoreError> {
        let now = self.clock.now();
        let Some(mut indexes) = self.indexes(user.user) else {
            return Err(StoreErrorKind::Unavailable.into());
        };
        Ok(indexes.versions.bump(index_key(user), now, keep))
    }

    fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) {
        let Some(mut indexes) = self.indexes(user.user) else { return };
        let Some(members) = indexes.members.get_mut(&index_key(user)) else { return };
        for locator in locators {
            members.deadlines.remove(locator);
        }
        if members.deadlines.is_empty() {
            indexes.members.remove(&index_key(user));
        }
    }

    fn members(&self, user: UserKey<'_>) -> Vec<Locator> {
        let now = self.clock.now();
        let Some(indexes) = self.indexes(user.user) else { return Vec::new() };
        let members = indexes.members.get(&index_key(user));
        let deadlines = members.into_iter().flat_map(|members| &members.deadlines);
        deadlines.filter(|(_, deadline)| **deadline > now).map(|(locator, _)| *locator).collect()
    }
}

/// `None` cannot happen: there is a shard for every hash. It is told by other bits than the place in the shard's table, in
/// which all hashes would else be alike where it matters.
fn lock<T>(shards: &[Padded<Mutex<T>>], hash: u64) -> Option<MutexGuard<'_, T>> {
    let shard = usize::try_from((hash >> 32) % SHARDS as u64).unwrap_or(0);
    shards.get(shard).map(|shard| shard.0.lock().unwrap_or_else(PoisonError::into_inner))
}

fn index_key(user: UserKey<'_>) -> Key<'_> {
    Key { realm: user.realm, locator: user.user }
}

impl Sessions {
    fn get(&self, at: Hashed<'_>) -> Option<&Record> {
        self.records.find(at.hash, |(owned, _)| at.key.equivalent(owned)).map(|(_, record)| record)
    }

    /// The record; one that has expired is taken away.
    fn live(&mut self, at: Hashed<'_>, now: Timestamp, count: &AtomicUsize) -> Option<&mut Record> {
        if self.get(at)?.header.expires() <= now {
            self.remove(at, count);
            return None;
        }
        self.records.find_mut(at.hash, |(owned, _)| at.key.equivalent(owned)).map(|(_, record)| record)
    }

    /// Of a key that is not there.
    fn insert(&mut self, at: Hashed<'_>, record: Record, hasher: &DefaultHashBuilder) {
        let hash = |(owned, _): &(OwnedKey, Record)| hasher.hash_one(owned.locator);
        self.records.insert_unique(at.hash, (at.key.into(), record), hash);
    }

    fn remove(&mut self, at: Hashed<'_>, count: &AtomicUsize) {
        if let Ok(found) = self.records.find_entry(at.hash, |(owned, _)| at.key.equivalent(owned)) {
            found.remove();
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes expired records away whenever their number has doubled.
    fn sweep(&mut self, now: Timestamp, count: &AtomicUsize) {
        if self.records.len() < self.sweep_at {
            return;
        }
        let before = self.records.len();
        self.records.retain(|(_, record)| record.header.expires() > now);
        count.fetch_sub(before - self.records.len(), Ordering::Relaxed);
        self.sweep_at = (2 * self.records.len()).max(FIRST_SWEEP);
    }
}

impl Indexes {
    fn sweep(&mut self, now: Timestamp) {
        if self.members.len() < self.sweep_at {
            return;
        }
        self.members.retain(|_, members| members.deadlines.values().any(|deadline| *deadline > now));
        self.sweep_at = (2 * self.members.len()).max(FIRST_SWEEP);
    }
}

impl Versions {
    fn current(&self, user: Key<'_>, now: Timestamp) -> CredentialVersion {
        let kept = self.numbers.get(&user).filter(|(_, until)| *until > now);
        kept.map_or_else(CredentialVersion::default, |(version, _)| *version)
    }

    fn bump(&mut self, user: Key<'_>, now: Timestamp, keep: Duration) -> CredentialVersion {
        if self.numbers.len() >= self.sweep_at {
            self.numbers.retain(|_, (_, until)| *until > now);
            self.sweep_at = (2 * self.numbers.len()).max(FIRST_SWEEP);
        }
        let next = CredentialVersion(self.current(user, now).0.saturating_add(1));
        self.numbers.insert(user.into(), (next, now.saturating_add(keep)));
        next
    }
}

impl Members {
    fn enter(&mut self, locator: Locator, enrolment: &Enrolment<'_>, now: Timestamp) -> Enrolled {
        let known = self.deadlines.get(&locator).copied().filter(|deadline| *deadline > now);
        if let (None, Some(limit)) = (known, enrolment.limit) {
            let live = self.deadlines.iter().filter(|(_, deadline)| **deadline > now);
            let others = live.map(|(other, _)| *other).filter(|other| Some(*other) != enrolment.replaces);
            let others: Vec<Locator> = others.collect();
            if others.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Enrolled::Full(others);
            }
        }
        self.deadlines.insert(locator, enrolment.deadline.max(known.unwrap_or_default()));
        Enrolled::Done
    }

    /// Takes entries away that are of no use, whenever their number has doubled.
    fn sweep(&mut self, is_of_use: impl Fn(Locator, Timestamp) -> bool) {
        if self.deadlines.len() < self.sweep_at {
            return;
        }
        self.deadlines.retain(|locator, deadline| is_of_use(*locator, *deadline));
        self.sweep_at = (2 * self.deadlines.len()).max(FIRST_SWEEP);
    }
}

impl Equivalent<OwnedKey> for Key<'_> {
    fn equivalent(&self, owned: &OwnedKey) -> bool {
        self.locator == owned.locator && *self.realm == owned.realm
    }
}

impl From<Key<'_>> for OwnedKey {
    fn from(key: Key<'_>) -> Self {
        Self { realm: key.realm.clone(), locator: key.locator }
    }
}

impl SessionBackend for MemoryBackend {
    fn load(&self, key: Key<'_>) -> impl Future<Output = Result<Option<Record>, StoreError>> + Send {
        future::ready(Ok(self.0.load(key, self.0.clock.now())))
    }

    fn load_now(&self, key: Key<'_>, now: Timestamp) -> Option<Result<Option<Record>, StoreError>> {
        Some(Ok(self.0.load(key, now)))
    }

    /// Nothing is waited for.
    fn budget(&self) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn load_many(
        &self,
        keys: &[Key<'_>],
    ) -> impl Future<Output = Result<Vec<Option<Record>>, StoreError>> + Send {
        let now = self.0.clock.now();
        future::ready(Ok(keys.iter().map(|key| self.0.load(*key, now)).collect()))
    }

    fn create(
        &self,
        key: Key<'_>,
        record: &Record,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send {
        future::ready(self.0.create(key, record))
    }

    fn save(
        &self,
        key: Key<'_>,
        expected: Tag,
        record: &Record,
    ) -> impl Future<Output = Result<Saved, StoreError>> + Send {
        future::ready(Ok(self.0.save(key, expected, record)))
    }

    fn touch(&self, key: Key<'_>) -> impl Future<Output = Result<Touched, StoreError>> + Send {
        future::ready(Ok(self.0.touch(key)))
    }

    fn destroy(&self, keys: &[Key<'_>]) -> impl Future<Output = Result<(), StoreError>> + Send {
        keys.iter().for_each(|key| self.0.destroy(*key));
        self.0.watchers.tell(keys);
        future::ready(Ok(()))
    }

    /// Nothing is sent here, so nothing can be sent again.
    fn destroy_unchanged(
        &self,
        key: Key<'_>,
        expected: Tag,
        _write: Tag,
    ) -> impl Future<Output = Result<Destroyed, StoreError>> + Send {
        let destroyed = self.0.destroy_unchanged(key, expected);
        if destroyed == Destroyed::Done {
            self.0.watchers.tell(&[key]);
        }
        future::ready(Ok(destroyed))
    }

    fn enrol(
        &self,
        locator: Locator,
        enrolment: Enrolment<'_>,
    ) -> impl Future<Output = Result<Enrolled, StoreError>> + Send {
        future::ready(self.0.enrol(locator, &enrolment))
    }

    fn withdraw(
        &self,
        user: UserKey<'_>,
        locators: &[Locator],
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.0.withdraw(user, locators);
        future::ready(Ok(()))
    }

    fn members(&self, user: UserKey<'_>) -> impl Future<Output = Result<Vec<Locator>, StoreError>> + Send {
        future::ready(Ok(self.0.members(user)))
    }

    fn credential_version(
        &self,
        user: UserKey<'_>,
    ) -> impl Future<Output = Result<CredentialVersion, StoreError>> + Send {
        future::ready(Ok(self.0.credential_version(user)))
    }

    fn bump_credential_version(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> impl Future<Output = Result<CredentialVersion, StoreError>> + Send {
        future::ready(self.0.bump(user, keep))
    }

    fn watch(&self, realm: &Realm, watcher: Arc<dyn Watcher>) -> Option<Watching> {
        Some(Watchers::enter(&self.0.watchers, realm, watcher))
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("sessions", &self.0.count).finish_non_exhaustive()
    }
}

mod watchers;

#[cfg(test)]
mod tests;
