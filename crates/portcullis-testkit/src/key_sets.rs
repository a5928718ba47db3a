//! [`MemoryKeySets`]: a place in memory where processes of a fleet share key sets, that goes away when it is told to.
//!
//! ```
//! use portcullis_store::{KeySetBackend, Locator, ManualClock, SharedKeySet};
//! use portcullis_testkit::key_sets::MemoryKeySets;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::default();
//! let place = MemoryKeySets::with_clock(clock.clone()); // for several sources, by clones
//! let (issuer, me, other) = ([1; 16], [2; 16], [3; 16]);
//! let [issuer, me, other] = [issuer, me, other].map(Locator::from_bytes);
//!
//! assert!(place.lease(issuer, me, Duration::from_secs(6)).await?);
//! assert!(!place.lease(issuer, other, Duration::from_secs(6)).await?);
//!
//! let (age, ttl) = (Duration::from_secs(1), Duration::from_secs(600));
//! let set = SharedKeySet { tag: me, age, ttl, document: b"{}".to_vec() };
//! place.save(issuer, set, Duration::from_secs(3600)).await?;
//! clock.advance(Duration::from_secs(9));
//! assert_eq!(place.load(issuer).await?.map(|set| set.age.as_secs()), Some(10));
//!
//! place.leave();
//! assert!(place.load(issuer).await.is_err());
//! # Ok(()) }
//! ```

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_store::{
    Clock, KeySetBackend, LONGEST_KEY_SET, Locator, SharedKeySet, StoreError, StoreErrorKind, SystemClock,
    Timestamp,
};

/// A place in memory; a clone is the same one.
#[derive(Clone)]
pub struct MemoryKeySets(Arc<Place>);

struct Place {
    clock: Arc<dyn Clock>,
    is_away: AtomicBool,
    issuers: Mutex<HashMap<Locator, Entry>>,
}

#[derive(Default)]
struct Entry {
    set: Option<Kept>,
    /// Who holds the lease, and until when.
    lease: Option<(Locator, Timestamp)>,
}

struct Kept {
    set: SharedKeySet,
    asked: Timestamp,
    until: Timestamp,
}

impl MemoryKeySets {
    /// An empty one, by the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty one, by this clock.
    #[must_use]
    pub fn with_clock(clock: impl Clock) -> Self {
        let clock = Arc::new(clock);
        Self(Arc::new(Place { clock, is_away: AtomicBool::new(false), issuers: Mutex::default() }))
    }

    /// From now on every call fails.
    pub fn leave(&self) {
        self.0.is_away.store(true, Ordering::SeqCst);
    }

    /// From now on calls are answered again.
    pub fn come_back(&self) {
        self.0.is_away.store(false, Ordering::SeqCst);
    }

    /// Puts whatever document into the place of every issuer's, for a test of who reads it.
    pub fn poison(&self, document: impl Into<Vec<u8>>) {
        let document = document.into();
        let mut issuers = self.issuers();
        for kept in issuers.values_mut().filter_map(|entry| entry.set.as_mut()) {
            kept.set.document.clone_from(&document);
            kept.set.tag = Locator::from_bytes([0xff; 16]);
        }
    }

    fn issuers(&self) -> MutexGuard<'_, HashMap<Locator, Entry>> {
        self.0.issuers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        issuer: Locator,
        act: impl FnOnce(&mut Entry, Timestamp) -> T,
    ) -> Result<T, StoreError> {
        if self.0.is_away.load(Ordering::SeqCst) {
            return Err(StoreErrorKind::Unavailable.into());
        }
        let now = self.0.clock.now();
        Ok(act(self.issuers().entry(issuer).or_default(), now))
    }
}

impl Default for MemoryKeySets {
    fn default() -> Self {
        Self::new()
    }
}

impl KeySetBackend for MemoryKeySets {
    async fn load(&self, issuer: Locator) -> Result<Option<SharedKeySet>, StoreError> {
        self.with(issuer, |entry, now| {
            let kept = entry.set.as_ref().filter(|kept| now < kept.until)?;
            Some(SharedKeySet { age: now.since(kept.asked), ..kept.set.clone() })
        })
    }

    async fn save(&self, issuer: Locator, set: SharedKeySet, keep: Duration) -> Result<(), StoreError> {
        if set.document.len() > LONGEST_KEY_SET {
            return Err(StoreErrorKind::TooLarge.into());
        }
        self.with(issuer, |entry, now| {
            let asked = now.saturating_sub(set.age);
            let is_late = entry.set.as_ref().is_some_and(|kept| now < kept.until && kept.asked > asked);
            if !is_late {
                entry.set = Some(Kept { set, asked, until: now.saturating_add(keep) });
            }
        })
    }

    async fn lease(&self, issuer: Locator, holder: Locator, lease: Duration) -> Result<bool, StoreError> {
        self.with(issuer, |entry, now| {
            let is_taken = entry.lease.is_some_and(|(other, until)| other != holder && now < until);
            if !is_taken {
                entry.lease = Some((holder, now.saturating_add(lease)));
            }
            !is_taken
        })
    }

    async fn release(&self, issuer: Locator, holder: Locator) -> Result<(), StoreError> {
        self.with(issuer, |entry, _| {
            entry.lease = entry.lease.filter(|(other, _)| *other != holder);
        })
    }
}

impl fmt::Debug for MemoryKeySets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeySets").field("issuers", &self.issuers().len()).finish_non_exhaustive()
    }
}
