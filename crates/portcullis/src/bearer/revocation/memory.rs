//! [`MemoryTokenBackend`]: revocations in this process, with the semantics of every other backend.

use std::future::{self, Future};
use std::sync::Arc;
use std::time::Duration;

use portcullis_store::{
    Clock, Locator, Realm, RevocationWatcher, StoreError, SystemClock, TokenBackend, TokenEpoch, TokenQuery,
    TokenStatus, UserKey, Watching,
};

use super::shard::What;
use super::store::Store;

/// Revocations, and families of refresh tokens, in this process: the embedded default, for development, tests and services of one process.
///
/// They end with the process; a token that outlives it is good again. It is bounded, what need not be known any longer
/// makes room, and locks are spread over shards so that threads seldom wait for each other. Clones share what is known.
///
/// ```
/// use portcullis::bearer::{MemoryTokenBackend, Revocations};
///
/// let revocations = Revocations::new(MemoryTokenBackend::new());
/// ```
#[derive(Clone, Debug)]
pub struct MemoryTokenBackend(pub(super) Arc<Store>);

impl MemoryTokenBackend {
    /// How many revocations are kept unless said otherwise: at some 150 bytes each, about 150 MB.
    pub const DEFAULT_MAX: usize = 1_000_000;

    /// At most [`DEFAULT_MAX`](Self::DEFAULT_MAX), by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// Forgets by this clock, and begins epochs by it. It should be the one that the layer is given.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        Self(Arc::new(Store::new(Arc::new(clock), Self::DEFAULT_MAX)))
    }

    /// How many revocations are kept. One more is [`StoreErrorKind::Full`](portcullis_store::StoreErrorKind::Full), unless it is of everyone; those that are known
    /// stand.
    ///
    /// To be called before the backend is cloned or used: it starts empty.
    #[must_use]
    pub fn max(self, max: usize) -> Self {
        Self(Arc::new(Store::new(Arc::clone(&self.0.clock), max)))
    }
}

impl Default for MemoryTokenBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenBackend for MemoryTokenBackend {
    fn status(&self, query: TokenQuery<'_>) -> impl Future<Output = Result<TokenStatus, StoreError>> + Send {
        future::ready(self.0.status(query))
    }

    fn status_now(&self, query: TokenQuery<'_>) -> Option<Result<TokenStatus, StoreError>> {
        Some(self.0.status(query))
    }

    fn revoke_token(
        &self,
        user: UserKey<'_>,
        token: Locator,
        keep: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        future::ready(self.0.mark(user, What::Token(token), keep))
    }

    fn revoke_family(
        &self,
        user: UserKey<'_>,
        family: Locator,
        keep: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        future::ready(self.0.mark(user, What::Family(family), keep))
    }

    fn revoke_user(
        &self,
        user: UserKey<'_>,
        keep: Duration,
    ) -> impl Future<Output = Result<TokenEpoch, StoreError>> + Send {
        future::ready(self.0.begin_epoch(user, keep))
    }

    fn revoke_everyone(
        &self,
        realm: &Realm,
        keep: Duration,
    ) -> impl Future<Output = Result<TokenEpoch, StoreError>> + Send {
        future::ready(Ok(self.0.begin_epoch_for_everyone(realm, keep)))
    }

    fn watch_revocations(&self, realm: &Realm, watcher: Arc<dyn RevocationWatcher>) -> Option<Watching> {
        Some(self.enter(realm, watcher))
    }
}
