//! [`MemoryReplayBackend`]: claimed names in this process, with the semantics of every other backend.

use std::collections::HashMap;
use std::future::{self, Future};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_store::{
    Claimed, Clock, Locator, Realm, ReplayBackend, StoreError, StoreErrorKind, SystemClock, Timestamp,
};

/// Which proofs were used, in this process: the embedded default, for development, tests and services of one process.
///
/// Several processes of one service need a store that they share: to each of them by itself, a proof that another has seen
/// is new. It is bounded, what is over makes room, and locks are spread over shards so that threads seldom wait for each
/// other. Clones share what is known.
///
/// ```
/// use portcullis::bearer::{Dpop, MemoryReplayBackend};
///
/// let dpop = Dpop::new("https://api.example", MemoryReplayBackend::new());
/// ```
#[derive(Clone, Debug)]
pub struct MemoryReplayBackend(Arc<Store>);

#[derive(Debug)]
struct Store {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
    max_in_shard: usize,
}

#[derive(Debug, Default)]
struct Shard {
    claims: HashMap<(Realm, Locator), Timestamp>,
    /// How many there may be before those that are over are looked for.
    sweep_at: usize,
    swept: Timestamp,
}

const SHARDS: usize = 64;
const FIRST_SWEEP: usize = 64;

/// A full shard is looked through this often at most, since a full store must not get slow as well.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

impl MemoryReplayBackend {
    /// How many names are kept unless said otherwise: at some 100 bytes each, about 100 MB.
    pub const DEFAULT_MAX: usize = 1_000_000;

    /// At most [`DEFAULT_MAX`](Self::DEFAULT_MAX), by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// Forgets by this clock. It should be the one that the layer is given.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        Self(Arc::new(Store::new(Arc::new(clock), Self::DEFAULT_MAX)))
    }

    /// How many names are kept, about: each of 64 shards keeps its part. One more is [`StoreErrorKind::Full`], which a
    /// request is answered with 503 for; those that are known stand.
    ///
    /// To be called before the backend is cloned or used: it starts empty.
    #[must_use]
    pub fn max(self, max: usize) -> Self {
        Self(Arc::new(Store::new(Arc::clone(&self.0.clock), max)))
    }
}

impl Default for MemoryReplayBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    fn new(clock: Arc<dyn Clock>, max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            clock,
            max_in_shard: max.div_ceil(SHARDS),
        }
    }

    fn claim(&self, realm: &Realm, name: Locator, keep: Duration) -> Result<Claimed, StoreError> {
        let (now, name) = (self.clock.now(), (realm.clone(), name));
        let at = usize::try_from(self.hasher.hash_one(&name) % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(at).ok_or(StoreErrorKind::Unavailable)?;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.claims.get(&name).is_some_and(|until| *until > now) {
            return Ok(Claimed::Again);
        }
        shard.make_room(self.max_in_shard, now);
        if shard.claims.len() >= self.max_in_shard && !shard.claims.contains_key(&name) {
            return Err(StoreErrorKind::Full.into());
        }
        shard.claims.insert(name, now.saturating_add(keep));
        Ok(Claimed::First)
    }
}

impl Shard {
    /// Takes away what is over, whenever there is twice as much as there was, and when there is no room.
    fn make_room(&mut self, max: usize, now: Timestamp) {
        let is_full = self.claims.len() >= max && now.since(self.swept) >= SWEEP_EVERY;
        if self.claims.len() < self.sweep_at.max(FIRST_SWEEP) && !is_full {
            return;
        }
        self.claims.retain(|_, until| *until > now);
        self.sweep_at = 2 * self.claims.len();
        self.swept = now;
    }
}

impl ReplayBackend for MemoryReplayBackend {
    fn claim(
        &self,
        realm: &Realm,
        name: Locator,
        keep: Duration,
    ) -> impl Future<Output = Result<Claimed, StoreError>> + Send {
        future::ready(self.0.claim(realm, name, keep))
    }

    fn claim_now(&self, realm: &Realm, name: Locator, keep: Duration) -> Option<Result<Claimed, StoreError>> {
        Some(self.0.claim(realm, name, keep))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_store::ManualClock;

    #[test]
    fn it_is_bounded_and_what_is_over_makes_room() {
        let clock = ManualClock::default();
        let store = MemoryReplayBackend::with_clock(clock.clone()).max(6400).0;
        let (realm, minute) = (Realm::default(), Duration::from_secs(60));
        let name = |at: u128| Locator::from_bytes(at.to_be_bytes());
        let (mut claimed, mut full) = (0, 0);
        for at in 0..50_000 {
            match store.claim(&realm, name(at), minute) {
                Ok(Claimed::First) => claimed += 1,
                Ok(Claimed::Again) => panic!("{at} is new"),
                Err(error) => full += usize::from(error.kind() == StoreErrorKind::Full),
            }
        }
        assert_eq!((claimed, full), (6400, 50_000 - 6400), "every shard is full");
        assert_eq!(store.claim(&realm, name(0), minute).unwrap(), Claimed::Again, "it is there");
        clock.advance(minute);
        assert_eq!(store.claim(&realm, name(50_000), minute).unwrap(), Claimed::First);
        assert_eq!(store.claim(&realm, name(0), minute).unwrap(), Claimed::First, "it was over");
        let kept: usize = store.shards.iter().map(|shard| shard.lock().unwrap().claims.len()).sum();
        assert!(kept <= 6400, "{kept}");
    }
}
