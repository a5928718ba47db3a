//! [`Store`]: what a [`MemoryBackend`](super::MemoryBackend) keeps, spread over shards, and how much of it.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::DefaultHashBuilder;
use portcullis_store::{
    Clock, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Record, Saved,
    StoreError, StoreErrorKind, Tag, Timestamp, Touched, UserKey,
};

use super::indexes::Indexes;
use super::key::Hashed;
use super::sessions::Sessions;
use super::watchers::Watchers;

pub(super) struct Store {
    sessions: Box<[Padded<Mutex<Sessions>>]>,
    indexes: Box<[Padded<Mutex<Indexes>>]>,
    hasher: DefaultHashBuilder,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) count: AtomicUsize,
    max_sessions: usize,
    /// When all shards were last looked through for expired sessions, because there was no room.
    swept: AtomicU64,
    pub(super) watchers: Arc<Watchers>,
}

/// On a cache line of its own, so that neighbouring locks do not slow each other down.
#[repr(align(128))]
#[derive(Default)]
struct Padded<T>(T);

const SHARDS: usize = 64;

/// How many of something there may be before what is over is looked for.
pub(super) const FIRST_SWEEP: usize = 64;

impl Store {
    pub(super) fn new(clock: Arc<dyn Clock>, max_sessions: usize) -> Self {
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

    pub(super) fn load(&self, key: Key<'_>, now: Timestamp) -> Option<Record> {
        let (at, sessions) = self.sessions(key)?;
        sessions.get(at).filter(|record| record.header.expires() > now).cloned()
    }

    fn holds(&self, key: Key<'_>) -> bool {
        self.sessions(key).is_some_and(|(at, sessions)| sessions.get(at).is_some())
    }

    pub(super) fn create(&self, key: Key<'_>, record: &Record) -> Result<Created, StoreError> {
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

    pub(super) fn save(&self, key: Key<'_>, expected: Tag, record: &Record) -> Saved {
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

    pub(super) fn touch(&self, key: Key<'_>) -> Touched {
        let now = self.clock.now();
        let Some((at, mut sessions)) = self.sessions(key) else { return Touched::Gone };
        let Some(held) = sessions.live(at, now, &self.count) else { return Touched::Gone };
        let header = &mut held.header;
        let moved = now.saturating_add(header.idle).min(header.absolute_deadline);
        header.idle_deadline = header.idle_deadline.max(moved);
        Touched::Alive(header.idle_deadline)
    }

    pub(super) fn destroy(&self, key: Key<'_>) {
        if let Some((at, mut sessions)) = self.sessions(key) {
            sessions.remove(at, &self.count);
        }
    }

    pub(super) fn destroy_unchanged(&self, key: Key<'_>, expected: Tag) -> Destroyed {
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

    pub(super) fn enrol(&self, locator: Locator, enrolment: &Enrolment<'_>) -> Result<Enrolled, StoreError> {
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

    pub(super) fn credential_version(&self, user: UserKey<'_>) -> CredentialVersion {
        let now = self.clock.now();
        self.indexes(user.user)
            .map_or_else(CredentialVersion::default, |indexes| indexes.versions.current(index_key(user), now))
    }

    pub(super) fn bump(&self, user: UserKey<'_>, keep: Duration) -> Result<CredentialVersion, StoreError> {
        let now = self.clock.now();
        let Some(mut indexes) = self.indexes(user.user) else {
            return Err(StoreErrorKind::Unavailable.into());
        };
        Ok(indexes.versions.bump(index_key(user), now, keep))
    }

    pub(super) fn withdraw(&self, user: UserKey<'_>, locators: &[Locator]) {
        let Some(mut indexes) = self.indexes(user.user) else { return };
        let Some(members) = indexes.members.get_mut(&index_key(user)) else { return };
        for locator in locators {
            members.deadlines.remove(locator);
        }
        if members.deadlines.is_empty() {
            indexes.members.remove(&index_key(user));
        }
    }

    pub(super) fn members(&self, user: UserKey<'_>) -> Vec<Locator> {
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

#[cfg(test)]
mod tests;
