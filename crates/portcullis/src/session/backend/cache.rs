//! [`SessionCache`]: for how long a process may answer from what it has loaded; and [`Cache`], where that is kept.
//!
//! What is kept was loaded at most `max_stale` ago, counted from before the store was asked. A write of this process, or
//! the news that a session has ended, takes it away at once; and a load that was under way then is not kept.

use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashMap};
use portcullis_store::{Locator, Notice, Record, Timestamp, Watcher, Watching};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::session::transport::{Presented, Proof};

/// For how long a process may answer from sessions that it has loaded before, and how many it keeps. For
/// [`SessionLayerBuilder::cache`](crate::session::SessionLayerBuilder::cache).
///
/// * What another process does is seen after `max_stale` at the latest: that a session was ended, as a rule within
///   milliseconds, because a backend that can tell of it does; a value that it has set, a role that it has taken away,
///   a secret that it has replaced, not before that time is over.
/// * What this process does is seen at once.
/// * Writes are exact all the same: they are compared with the store. [`take`](crate::session::Session::take) asks the store.
/// * A store that is away is noticed `max_stale` later; then it is 503, as ever.
/// * Absent sessions are not kept, nor is a session whose token was replaced.
///
/// Where this is too little, a [`StrongSessionLayer`](crate::session::StrongSessionLayer) on the route asks the store.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis::session::{MemoryBackend, SessionCache, SessionLayer};
///
/// let cache = SessionCache::new(Duration::from_millis(500)).max_sessions(50_000);
/// let layer = SessionLayer::builder(MemoryBackend::new()).cache(cache).build()?;
/// # Ok::<(), portcullis::session::SessionConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCache {
    pub(crate) max_stale: Duration,
    pub(crate) max_sessions: usize,
}

/// Sessions that were loaded a moment ago.
pub(crate) struct Cache {
    rules: SessionCache,
    shelves: Arc<Shelves>,
    /// Subscribed when the first session is kept; `None` when the backend cannot tell.
    watching: OnceLock<Option<Watching>>,
}

struct Shelves {
    shelves: Box<[Padded<Mutex<Shelf>>]>,
    hasher: DefaultHashBuilder,
}

/// On a cache line of its own, so that neighbouring locks do not slow each other down.
#[repr(align(128))]
#[derive(Default)]
struct Padded<T>(T);

#[derive(Default)]
struct Shelf {
    records: HashMap<Locator, Kept>,
    /// How often something was taken away: what was loaded before that is not kept.
    forgotten: u64,
}

struct Kept {
    record: Record,
    asked: Instant,
}

/// A load under way.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    forgotten: u64,
    asked: Instant,
}

/// Takes sessions away when it is dropped: when a write has ended, with whatever outcome, or was cancelled.
pub(crate) struct Forgetting<'a> {
    cache: Option<&'a Cache>,
    locators: SmallVec<[Locator; 1]>,
}

const SHELVES: usize = 64;

impl SessionCache {
    /// The longest `max_stale`.
    pub const LONGEST: Duration = Duration::from_secs(2);

    /// Sessions are kept for this long; at most two seconds, or the layer is not built.
    #[must_use]
    pub const fn new(max_stale: Duration) -> Self {
        Self { max_stale, max_sessions: 10_000 }
    }

    /// How many are kept, about. Default: 10 000. Each takes what it takes in the store, and some 300 bytes.
    #[must_use]
    pub const fn max_sessions(mut self, max: usize) -> Self {
        self.max_sessions = max;
        self
    }

    pub(crate) fn is_sound(&self) -> bool {
        !self.max_stale.is_zero() && self.max_stale <= Self::LONGEST && self.max_sessions > 0
    }
}

impl Cache {
    pub(crate) fn new(rules: SessionCache) -> Self {
        let shelves = Shelves {
            shelves: (0..SHELVES).map(|_| Padded::default()).collect(),
            hasher: DefaultHashBuilder::default(),
        };
        Self { rules, shelves: Arc::new(shelves), watching: OnceLock::new() }
    }

    pub(crate) fn rules(&self) -> SessionCache {
        self.rules
    }

    /// The session, if it was loaded lately, lives, and is presented with its current secret: anything else is for the
    /// store to say.
    pub(crate) fn get(&self, presented: &Presented, now: Timestamp) -> Option<Record> {
        let shelf = self.shelves.of(&presented.locator)?;
        let Kept { record, asked } = shelf.records.get(&presented.locator)?;
        let counts = asked.elapsed() < self.rules.max_stale
            && record.header.expires() > now
            && presented.proves(&record.header, now) == Proof::Current;
        counts.then(|| record.clone())
    }

    /// To be called before the store is asked.
    pub(crate) fn ticket(
        &self,
        locator: &Locator,
        watch: impl FnOnce(Arc<dyn Watcher>) -> Option<Watching>,
    ) -> Option<Ticket> {
        self.watching.get_or_init(|| watch(Arc::clone(&self.shelves) as _));
        let asked = Instant::now();
        self.shelves.of(locator).map(|shelf| Ticket { forgotten: shelf.forgotten, asked })
    }

    /// Keeps what the store has answered, unless something was taken away meanwhile.
    pub(crate) fn keep(&self, locator: Locator, ticket: Ticket, record: &Record) {
        let Some(mut shelf) = self.shelves.of(&locator) else { return };
        if shelf.forgotten != ticket.forgotten {
            return;
        }
        // A full shelf is emptied: nothing on it would have lasted for longer than two seconds.
        if shelf.records.len() >= self.rules.max_sessions.div_ceil(SHELVES) {
            shelf.records.clear();
        }
        shelf.records.insert(locator, Kept { record: record.clone(), asked: ticket.asked });
    }
}

impl Shelves {
    /// `None` cannot happen: there is a shelf for every hash.
    fn of(&self, locator: &Locator) -> Option<MutexGuard<'_, Shelf>> {
        let at = usize::try_from(self.hasher.hash_one(locator) % SHELVES as u64).unwrap_or(0);
        self.shelves.get(at).map(|shelf| shelf.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn forget(&self, locator: &Locator) {
        if let Some(mut shelf) = self.of(locator) {
            shelf.records.remove(locator);
            shelf.forgotten += 1;
        }
    }
}

impl Watcher for Shelves {
    fn notice(&self, notice: Notice<'_>) {
        match notice {
            Notice::Ended(locators) => locators.iter().for_each(|locator| self.forget(locator)),
            // What was missed is no older than `max_stale`.
            Notice::Hearing | Notice::Deaf => {}
        }
    }
}

impl<'a> Forgetting<'a> {
    pub(crate) fn new(cache: Option<&'a Cache>, locators: impl Iterator<Item = Locator>) -> Self {
        let locators = if cache.is_some() { locators.collect() } else { SmallVec::new() };
        Self { cache, locators }
    }
}

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        if let Some(cache) = self.cache {
            self.locators.iter().for_each(|locator| cache.shelves.forget(locator));
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("rules", &self.rules).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_store::{Header, SecretHash, Tag};

    #[test]
    fn a_cache_holds_what_it_may_and_no_more() {
        let cache = Cache::new(SessionCache::new(SessionCache::LONGEST).max_sessions(640));
        let hash = SecretHash([1; 32]);
        let header = Header {
            tags: [Tag::default(); 4],
            flags: 0,
            secret: hash,
            previous: None,
            secret_since: Timestamp::EPOCH,
            created: Timestamp::EPOCH,
            authenticated: None,
            absolute_deadline: Timestamp::MAX,
            idle: Duration::from_secs(1),
            idle_deadline: Timestamp::MAX,
        };
        let record = Record::new(header, []);
        let locators = (0..10_000_u128).map(|at| Locator::from_bytes(at.to_be_bytes()));
        for locator in locators.clone() {
            let ticket = cache.ticket(&locator, |_| None).unwrap();
            cache.keep(locator, ticket, &record);
            assert!(
                cache.get(&Presented::of(locator, hash), Timestamp::EPOCH).is_some(),
                "the last one is there"
            );
        }
        let kept =
            locators.filter(|at| cache.get(&Presented::of(*at, hash), Timestamp::EPOCH).is_some()).count();
        assert!((1..=640).contains(&kept), "{kept}");
    }
}
