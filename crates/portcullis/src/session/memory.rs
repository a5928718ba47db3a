//! [`MemoryBackend`]: sessions in this process, with the semantics of every other backend.

mod indexes;
mod key;
mod sessions;
mod store;
mod watchers;

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, future};

use portcullis_store::{
    Clock, Created, CredentialVersion, Destroyed, Enrolled, Enrolment, Key, Locator, Realm, Record, Saved,
    SessionBackend, StoreError, SystemClock, Tag, Timestamp, Touched, UserKey, Watcher, Watching,
};

use self::store::Store;
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

    /// How many sessions there may be. One more is [`StoreErrorKind::Full`](portcullis_store::StoreErrorKind::Full); those that exist go on.
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
