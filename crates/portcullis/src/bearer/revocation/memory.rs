//! [`MemoryTokenBackend`]: revocations in this process, with the semantics of every other backend.

use std::collections::HashMap;
use std::future::{self, Future};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_store::{
    Clock, Family, Locator, Realm, Revocation, RevocationWatcher, Revoked, StoreError, StoreErrorKind,
    SystemClock, Timestamp, TokenBackend, TokenEpoch, TokenQuery, TokenStatus, UserKey, Watching,
};

use super::families::Place;
use super::watchers::Watchers;

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

#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    everyone: Mutex<HashMap<Realm, Epoch>>,
    hasher: RandomState,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) count: AtomicUsize,
    max: usize,
    /// When all shards were last looked through for what is over, because there was no room.
    swept: AtomicU64,
    pub(super) watchers: Watchers,
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) families: HashMap<Place, Family>,
    marks: HashMap<Name, Timestamp>,
    epochs: HashMap<Name, Epoch>,
    /// How much there may be before what is over is looked for.
    sweep_at: usize,
}

/// What a mark or an epoch is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    realm: Realm,
    user: Locator,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Token(Locator),
    Family(Locator),
    All,
}

/// An epoch, and until when it is kept.
#[derive(Clone, Copy, Debug, Default)]
struct Epoch {
    begun: TokenEpoch,
    until: Timestamp,
}

const SHARDS: usize = 64;
const FIRST_SWEEP: usize = 64;

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

    /// How many revocations are kept. One more is [`StoreErrorKind::Full`], unless it is of everyone; those that are known
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

impl Store {
    pub(super) fn new(clock: Arc<dyn Clock>, max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            everyone: Mutex::default(),
            hasher: RandomState::new(),
            clock,
            count: AtomicUsize::new(0),
            max,
            swept: AtomicU64::new(0),
            watchers: Watchers::default(),
        }
    }

    /// All of a user's is on one, so that a status is of one moment. `None` cannot happen: there is one for every hash.
    pub(super) fn shard(&self, user: Locator) -> Option<MutexGuard<'_, Shard>> {
        let at = usize::try_from(self.hasher.hash_one(user) % SHARDS as u64).unwrap_or(0);
        self.shards.get(at).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn everyone(&self) -> MutexGuard<'_, HashMap<Realm, Epoch>> {
        self.everyone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn everyone_at(&self, realm: &Realm, now: Timestamp) -> TokenEpoch {
        self.everyone().get(realm).copied().unwrap_or_default().at(now)
    }

    pub(super) fn status(&self, query: TokenQuery<'_>) -> Result<TokenStatus, StoreError> {
        let now = self.clock.now();
        let everyone = self.everyone_at(query.user.realm, now);
        let shard = self.shard(query.user.user).ok_or(StoreErrorKind::Unavailable)?;
        Ok(shard.status(query, everyone, now))
    }

    fn mark(&self, user: UserKey<'_>, what: What, keep: Duration) -> Result<(), StoreError> {
        let (now, name) = (self.clock.now(), Name::new(user, what));
        self.make_room(now);
        let mut shard = self.shard(user.user).ok_or(StoreErrorKind::Unavailable)?;
        shard.sweep(now, &self.count);
        let until = self.mark_in(&mut shard, name, now.saturating_add(keep))?;
        drop(shard);
        self.tell(user, what.revoked(user.user, TokenEpoch::default()), until, now);
        Ok(())
    }

    /// Until when the mark stands.
    pub(super) fn mark_in(
        &self,
        shard: &mut Shard,
        name: Name,
        until: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        if let Some(held) = shard.marks.get_mut(&name) {
            *held = until.max(*held);
            return Ok(*held);
        }
        self.count_one_more()?;
        shard.marks.insert(name, until);
        Ok(until)
    }

    fn begin_epoch(&self, user: UserKey<'_>, keep: Duration) -> Result<TokenEpoch, StoreError> {
        self.change_epoch(user, |held, now| held.next(now, keep))
    }

    fn change_epoch(
        &self,
        user: UserKey<'_>,
        change: impl FnOnce(Epoch, Timestamp) -> Epoch,
    ) -> Result<TokenEpoch, StoreError> {
        let (now, name) = (self.clock.now(), Name::new(user, What::All));
        self.make_room(now);
        let mut shard = self.shard(user.user).ok_or(StoreErrorKind::Unavailable)?;
        shard.sweep(now, &self.count);
        let held = shard.epochs.get(&name).copied();
        if held.is_none() {
            self.count_one_more()?;
        }
        let next = change(held.unwrap_or_default(), now);
        shard.epochs.insert(name, next);
        drop(shard);
        self.tell(user, What::All.revoked(user.user, next.begun), next.until, now);
        Ok(next.begun)
    }

    fn begin_epoch_for_everyone(&self, realm: &Realm, keep: Duration) -> TokenEpoch {
        self.change_everyone(realm, |held, now| held.next(now, keep))
    }

    fn change_everyone(&self, realm: &Realm, change: impl FnOnce(Epoch, Timestamp) -> Epoch) -> TokenEpoch {
        let now = self.clock.now();
        let mut everyone = self.everyone();
        let next = change(everyone.get(realm).copied().unwrap_or_default(), now);
        everyone.insert(realm.clone(), next);
        drop(everyone);
        let what = Revoked::Everyone { epoch: next.begun };
        self.watchers.tell(realm, Revocation { what, keep: next.until.since(now) });
        next.begun
    }

    /// Tells who watches, when it stands and no lock is held.
    pub(super) fn tell(&self, user: UserKey<'_>, what: Revoked, until: Timestamp, now: Timestamp) {
        self.watchers.tell(user.realm, Revocation { what, keep: until.since(now) });
    }

    /// Takes over what another store has said. One for which there is no room is an error, unless it is of everyone.
    pub(super) fn learn(&self, realm: &Realm, told: Revocation) -> Result<(), StoreError> {
        let (user, keep) = (|user| UserKey { realm, user }, told.keep);
        match told.what {
            Revoked::Token { user: whose, token } => self.mark(user(whose), What::Token(token), keep),
            Revoked::Family { user: whose, family } => self.mark(user(whose), What::Family(family), keep),
            Revoked::User { user: whose, epoch } => {
                self.change_epoch(user(whose), |held, now| held.or(epoch, now, keep)).map(drop)
            }
            Revoked::Everyone { epoch } => {
                self.change_everyone(realm, |held, now| held.or(epoch, now, keep));
                Ok(())
            }
        }
    }

    /// All that stands in the realm, by pages.
    pub(super) fn standing(&self, realm: &Realm, mut tell: impl FnMut(&[Revocation])) {
        let everyone = self.everyone().get(realm).copied().unwrap_or_default();
        let now = self.clock.now();
        if everyone.until > now {
            let what = Revoked::Everyone { epoch: everyone.begun };
            tell(&[Revocation { what, keep: everyone.until.since(now) }]);
        }
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // Not earlier: what was revoked since then would seem to be kept for longer than it is.
            let page: Vec<Revocation> = shard.standing(realm, self.clock.now()).collect();
            drop(shard);
            tell(&page);
        }
    }

    pub(super) fn count_one_less(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count_one_more(&self) -> Result<(), StoreError> {
        if self.count.fetch_add(1, Ordering::Relaxed) < self.max {
            return Ok(());
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        Err(StoreErrorKind::Full.into())
    }

    /// If there is none: takes away all that is over, at most once a second, since a full store must not get slow as well.
    pub(super) fn make_room(&self, now: Timestamp) {
        let last = self.swept.load(Ordering::Relaxed);
        let due = self.count.load(Ordering::Relaxed) >= self.max && now.as_millis().abs_diff(last) >= 1000;
        let swap =
            || self.swept.compare_exchange(last, now.as_millis(), Ordering::Relaxed, Ordering::Relaxed);
        if !due || swap().is_err() {
            return;
        }
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.sweep_at = 0;
            shard.sweep(now, &self.count);
        }
    }
}

impl Shard {
    fn len(&self) -> usize {
        self.marks.len() + self.epochs.len() + self.families.len()
    }

    pub(super) fn status(&self, query: TokenQuery<'_>, everyone: TokenEpoch, now: Timestamp) -> TokenStatus {
        // Most users have nothing revoked, and most shards are empty.
        let is_marked = |what: Option<What>| {
            let name = what.filter(|_| !self.marks.is_empty()).map(|what| Name::new(query.user, what));
            name.is_some_and(|name| self.marks.get(&name).is_some_and(|until| *until > now))
        };
        let epoch =
            if self.epochs.is_empty() { None } else { self.epochs.get(&Name::new(query.user, What::All)) };
        TokenStatus {
            token_is_revoked: is_marked(query.token.map(What::Token)),
            family_is_revoked: is_marked(query.family.map(What::Family)),
            user: epoch.copied().unwrap_or_default().at(now),
            everyone,
        }
    }

    fn standing(&self, realm: &Realm, now: Timestamp) -> impl Iterator<Item = Revocation> {
        let marks = self.marks.iter().map(|(name, until)| (name, TokenEpoch::default(), *until));
        let epochs = self.epochs.iter().map(|(name, epoch)| (name, epoch.begun, epoch.until));
        let theirs = marks.chain(epochs).filter(move |(name, _, until)| name.realm == *realm && *until > now);
        theirs.map(move |(name, epoch, until)| Revocation {
            what: name.what.revoked(name.user, epoch),
            keep: until.since(now),
        })
    }

    /// Takes away what is over, whenever there is twice as much as there was.
    pub(super) fn sweep(&mut self, now: Timestamp, count: &AtomicUsize) {
        if self.len() < self.sweep_at {
            return;
        }
        let before = self.len();
        self.marks.retain(|_, until| *until > now);
        self.epochs.retain(|_, epoch| epoch.until > now);
        self.families.retain(|_, family| family.deadline() > now);
        count.fetch_sub(before - self.len(), Ordering::Relaxed);
        self.sweep_at = (2 * self.len()).max(FIRST_SWEEP);
    }
}

impl Name {
    pub(super) fn new(user: UserKey<'_>, what: What) -> Self {
        Self { realm: user.realm.clone(), user: user.user, what }
    }
}

impl What {
    /// What it is that is revoked; `epoch` counts if it is all of the user's.
    pub(super) const fn revoked(self, user: Locator, epoch: TokenEpoch) -> Revoked {
        match self {
            Self::Token(token) => Revoked::Token { user, token },
            Self::Family(family) => Revoked::Family { user, family },
            Self::All => Revoked::User { user, epoch },
        }
    }
}

impl Epoch {
    fn at(self, now: Timestamp) -> TokenEpoch {
        if self.until > now { self.begun } else { TokenEpoch::default() }
    }

    fn next(self, now: Timestamp, keep: Duration) -> Self {
        Self { begun: self.begun.next(now), until: self.until.max(now.saturating_add(keep)) }
    }

    /// The later of this one and one that another store has begun.
    fn or(self, begun: TokenEpoch, now: Timestamp, keep: Duration) -> Self {
        Self { begun: self.begun.max(begun), until: self.until.max(now.saturating_add(keep)) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_store::ManualClock;

    #[test]
    fn it_is_bounded_what_is_over_makes_room_and_everyone_can_be_revoked_when_it_is_full() {
        let clock = ManualClock::default();
        let store = MemoryTokenBackend::with_clock(clock.clone()).max(1000).0;
        let realm = Realm::default();
        let user = |at: u128| UserKey { realm: &realm, user: Locator::from_bytes(at.to_be_bytes()) };
        let minute = Duration::from_secs(60);
        let mut refused = 0;
        for at in 0..100_000_u128 {
            let name = Locator::from_bytes(at.to_be_bytes());
            let done = [
                store.mark(user(at), What::Token(name), minute),
                store.mark(user(at), What::Family(name), minute),
                store.begin_epoch(user(at), minute).map(drop),
            ];
            refused += done
                .iter()
                .filter(|it| it.as_ref().is_err_and(|it| it.kind() == StoreErrorKind::Full))
                .count();
        }
        assert_eq!(refused, 299_000);
        assert!(
            store.mark(user(0), What::Token(Locator::from_bytes([0; 16])), minute).is_ok(),
            "it is there"
        );
        assert!(store.begin_epoch(user(0), minute).is_ok(), "it is there");
        assert!(!store.begin_epoch_for_everyone(&realm, minute).is_never());
        clock.advance(minute);
        assert!(store.begin_epoch(user(200_000), minute).is_ok());
        assert_eq!(store.count.load(Ordering::Relaxed), 1);
        assert_eq!(store.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>(), 1);
    }

    #[test]
    fn what_is_revoked_while_it_is_told_what_stands_is_kept_for_no_longer() {
        let clock = ManualClock::default();
        let store = MemoryTokenBackend::with_clock(clock.clone()).0;
        let (realm, minute) = (Realm::default(), Duration::from_secs(60));
        let mut told = Vec::new();
        store.standing(&realm, |page| {
            if told.is_empty() {
                clock.advance(Duration::from_millis(1));
                for at in 0..1000_u128 {
                    let name = Locator::from_bytes(at.to_be_bytes());
                    store.mark(UserKey { realm: &realm, user: name }, What::Token(name), minute).unwrap();
                }
            }
            told.push(page.iter().map(|one| one.keep).max());
        });
        let last = told.pop().flatten();
        assert_eq!((told.iter().flatten().max(), last), (Some(&minute), Some(minute)));
    }

    #[tokio::test]
    async fn what_is_over_is_swept_while_there_is_room_too() {
        use portcullis_store::{Begun, FamilyBackend, FamilyKey, FamilySecret, NewFamily};
        let clock = ManualClock::default();
        let backend = MemoryTokenBackend::with_clock(clock.clone());
        let (realm, minute) = (Realm::default(), Duration::from_secs(60));
        let user = UserKey { realm: &realm, user: Locator::from_bytes([3; 16]) };
        let new = NewFamily {
            secret: FamilySecret([1; 32]),
            absolute: minute,
            idle: minute,
            epoch: None,
            payload: b"",
        };
        let begin = async |at: usize| {
            let family = Locator::from_bytes((at as u128).to_be_bytes());
            let begun = backend.begin_family(FamilyKey { user, family }, new).await.unwrap();
            assert!(matches!(begun, Begun::Done(_)));
        };
        for at in 0..FIRST_SWEEP {
            begin(at).await;
        }
        clock.advance(minute);
        begin(FIRST_SWEEP).await;
        assert_eq!(backend.0.count.load(Ordering::Relaxed), 1);
    }
}
